#!/usr/bin/env python3
"""The rivals of tests/gpu/check.py in plain PyTorch: the same layers, batch, precision and optimiser (fused Adam) as elbo's.

    peers.py speed MODEL --device=cuda|cpu [--steps=N]     samples/s in eager mode, by torch.compile, by CUDA graphs
    peers.py hold --leave=MIB                              takes the GPU's memory but for MIB, until its input ends

Each prints "ready" when it is prepared and waits for a line; `speed` then measures and prints one JSON line. The rows are random
float32 in the device's memory, chosen by a permutation: no reading, no copy, and the loss is never read.
"""
import argparse
import json
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F


def dense(*widths):
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


def halving(*channels):
    """(b, channels[0], s, s) → (b, channels[-1], s / 2ⁿ, s / 2ⁿ)"""
    layers = []
    for before, after in zip(channels, channels[1:]):
        layers += [nn.Conv2d(before, after, 4, 2, 1), nn.ReLU()]
    return layers


def doubling(*channels):
    layers = []
    for before, after in zip(channels, channels[1:]):
        layers += [nn.ConvTranspose2d(before, after, 4, 2, 1), nn.ReLU()]
    return layers[:-1]


def convolutional(channels, side, hidden, latent):
    small = side >> (len(channels) - 1)
    flat = channels[-1] * small * small
    encoder = nn.Sequential(*halving(*channels), nn.Flatten(), nn.Linear(flat, hidden), nn.ReLU(), nn.Linear(hidden, 2 * latent))
    decoder = nn.Sequential(nn.Linear(latent, hidden), nn.ReLU(), nn.Linear(hidden, flat), nn.ReLU(),
                            nn.Unflatten(1, (channels[-1], small, small)), *doubling(*reversed(channels)))
    return encoder, decoder


class Vae(nn.Module):
    def __init__(self, encoder, decoder):
        super().__init__()
        self.encoder, self.decoder = encoder, decoder

    def forward(self, x):
        mean, logvar = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        return (reconstruction + 0.5 * (mean.square() + logvar.exp() - 1 - logvar).sum()) / len(x)


# name → (encoder and decoder, shape of a row, batch), as in check.py's SPEED
MODELS = {
    "mlp": (lambda: (dense(784, 400, 40), dense(20, 400, 784)), (784,), 128),
    "conv": (lambda: convolutional((1, 32, 64), 28, 256, 20), (1, 28, 28), 128),
    "wide": (lambda: (dense(4096, 2048, 256), dense(128, 2048, 4096)), (4096,), 512),
    "colour": (lambda: convolutional((3, 32, 64, 128, 256), 64, 256, 128), (3, 64, 64), 256),
}


def finish(device):
    if device == "cuda":
        torch.cuda.synchronize()


class Contestant:
    """A model, its optimiser and its rows; step() trains on the next batch."""

    def __init__(self, name, device, graph=False, compiled=False):
        torch.manual_seed(1)
        make, shape, self.batch = MODELS[name]
        model = Vae(*make()).to(device)
        self.optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True, capturable=graph)
        self.net = torch.compile(model) if compiled else model
        self.rows = torch.rand(max(2000, 2 * self.batch), *shape, device=device)
        self.order = iter(())

    def next_rows(self):
        chosen = next(self.order, None)
        if chosen is None or len(chosen) < self.batch:
            self.order = iter(torch.randperm(len(self.rows), device=self.rows.device).split(self.batch))
            chosen = next(self.order)
        return self.rows[chosen]

    def learn(self, x):
        self.optimizer.zero_grad()
        self.net(x).backward()
        self.optimizer.step()

    def step(self):
        self.learn(self.next_rows())


class Graphed(Contestant):
    """The whole step as one CUDA graph."""

    def __init__(self, name, device):
        super().__init__(name, device, graph=True)
        self.x = self.next_rows().clone()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):  # what is made at first use must not be captured
            for _ in range(3):
                self.learn(self.x)
        torch.cuda.current_stream().wait_stream(side)
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.learn(self.x)

    def step(self):
        self.x.copy_(self.next_rows())
        self.graph.replay()


def speed(given):
    ways = {"eager": lambda: Contestant(given.model, given.device)}
    if given.device == "cuda":
        ways["graphs"] = lambda: Graphed(given.model, given.device)
        ways["compile"] = lambda: Contestant(given.model, given.device, compiled=True)
    contestants, result = {}, {}
    for way, make in ways.items():
        try:
            contestants[way] = make()
            for _ in range(3):
                contestants[way].step()
            finish(given.device)
        except Exception as error:  # one way that cannot be had does not stop the others
            contestants.pop(way, None)
            result[way] = str(error).split("\n")[0]
    print("ready", flush=True)
    sys.stdin.readline()
    for way, contestant in contestants.items():
        for _ in range(given.steps // 5):
            contestant.step()
        finish(given.device)
        begin = time.perf_counter()
        for _ in range(given.steps):
            contestant.step()
        finish(given.device)
        result[way] = contestant.batch * given.steps / (time.perf_counter() - begin)
    print(json.dumps(result), flush=True)


def hold(given):
    free = torch.cuda.mem_get_info()[0]  # makes the context, which takes some itself
    kept = []
    while free > (given.leave + 32) << 20:  # PyTorch takes it in blocks of 20 MiB and more
        kept.append(torch.empty(min(free - (given.leave << 20), 1 << 30), dtype=torch.uint8, device="cuda"))
        free = torch.cuda.mem_get_info()[0]
    print("ready", flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    verbs = parser.add_subparsers(dest="verb", required=True)
    verb = verbs.add_parser("speed")
    verb.add_argument("model", choices=MODELS)
    verb.add_argument("--device", choices=["cpu", "cuda"], required=True)
    verb.add_argument("--steps", type=int, default=200)
    verb.set_defaults(act=speed)
    verb = verbs.add_parser("hold")
    verb.add_argument("--leave", type=int, default=0)
    verb.set_defaults(act=hold)
    arguments = parser.parse_args()
    arguments.act(arguments)
