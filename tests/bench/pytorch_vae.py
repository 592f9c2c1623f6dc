#!/usr/bin/env python3
"""The VAE of configs/mnist_vae.ini and the one of configs/mnist_iwae_paper.ini in plain PyTorch, as a baseline of quality
(tests/bench/pytorch_models.py is that of speed).

    pytorch_vae.py quality --config=vae|iwae --epochs=N                prints the test -ELBO

Eager mode, fused Adam; the data are in memory as float32.
"""
import argparse
import pathlib

import h5py
import torch
from torch import nn
from torch.nn import functional

DATA = pathlib.Path(__file__).resolve().parents[2] / "datasets/mnist.h5"
CONFIGS = {
    "vae": {"hidden": [400], "latent": 20, "activation": nn.ReLU, "batch": 128, "eps": 1e-8, "dynamic": False},
    "iwae": {"hidden": [200, 200], "latent": 50, "activation": nn.Tanh, "batch": 20, "eps": 1e-4, "dynamic": True},
}


def mlp(widths, activation):
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Linear(before, after), activation()]
    return nn.Sequential(*layers[:-1])


class Vae(nn.Module):
    def __init__(self, hidden, latent, activation):
        super().__init__()
        self.encoder = mlp([784, *hidden, 2 * latent], activation)
        self.decoder = mlp([latent, *reversed(hidden), 784], activation)

    def forward(self, x):
        mean, logvar = self.encoder(x).chunk(2, 1)
        z = mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)
        reconstruction = functional.binary_cross_entropy_with_logits(self.decoder(z), x, reduction="sum")
        kl = -0.5 * (1 + logvar - mean.square() - logvar.exp()).sum()
        return (reconstruction + kl) / len(x)


def load(split):
    with h5py.File(DATA) as file:
        return torch.from_numpy(file[f"{split}/x"][:]).flatten(1).float() / 255


def make(config):
    model = Vae(config["hidden"], config["latent"], config["activation"])
    return model, torch.optim.Adam(model.parameters(), lr=1e-3, eps=config["eps"], fused=True)


def batches(x, size, dynamic):
    while True:
        order = torch.randperm(len(x))
        for first in range(0, len(x) - size + 1, size):
            batch = x[order[first:first + size]]
            yield torch.bernoulli(batch) if dynamic else batch


def steps(model, optimizer, stream, count):
    for _ in range(count):
        optimizer.zero_grad()
        loss = model(next(stream))
        loss.backward()
        optimizer.step()
        loss.item()  # as in a trainer that reports its loss


def quality(options):
    torch.set_num_threads(options.threads)
    torch.manual_seed(1)
    config = CONFIGS[options.config]
    model, optimizer = make(config)
    x, test = load("train"), load("test")
    per_epoch = len(x) // config["batch"]
    stream = batches(x, config["batch"], config["dynamic"])
    milestones = [1, 4, 13, 40, 121, 364, 1093] if options.config == "iwae" else []
    schedule = torch.optim.lr_scheduler.MultiStepLR(optimizer, milestones, 10 ** (-1 / 7))
    for _ in range(options.epochs):
        steps(model, optimizer, stream, per_epoch)
        schedule.step()
    if config["dynamic"]:
        test = torch.bernoulli(test)
    with torch.no_grad():
        losses = [model(part).item() * len(part) for part in test.split(1000)]
    print(f"{sum(losses) / len(test):.3f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["quality"])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--config", choices=CONFIGS, default="vae")
    parser.add_argument("--epochs", type=int, default=10)
    quality(parser.parse_args())
