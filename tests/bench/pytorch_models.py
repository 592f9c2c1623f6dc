#!/usr/bin/env python3
"""elbo's models in plain PyTorch, for tests/bench/speed.py: the same layers, sizes, batch and optimiser (fused Adam).

    pytorch_models.py MODEL DATA.h5 [--threads=1] [--processes=1] [--seconds=3] [--compile] [--channels_last]
    pytorch_models.py mlp DATA.h5 --task=evaluate|encode|sample --out=FILE.h5 [--rows=N]     work after training

Training prints samples/s; the tasks write their results, and speed.py measures the whole process. Data are in memory as float32 (tokens: int64) and are indexed by a permutation, which is faster than a
DataLoader; the loss is read in each step. Several processes: DistributedDataParallel over gloo, each with its part of the
batch. Nothing is tuned beyond what a good PyTorch user writes.
"""
import argparse
import time

import h5py
import torch
import torch.distributed
import torch.multiprocessing
from torch import nn
from torch.nn import functional as F


def dense(*widths, act=nn.ReLU):
    layers = []
    for before, after in zip(widths, widths[1:]):
        layers += [nn.Linear(before, after), act()]
    return nn.Sequential(*layers[:-1])


def draw(mean, logvar):
    return mean + torch.exp(0.5 * logvar) * torch.randn_like(mean)


def kl_standard(mean, logvar):
    return 0.5 * (mean.square() + logvar.exp() - 1 - logvar)


def bce(logits, x):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum")


class Vae(nn.Module):
    """configs/mnist_vae.ini, and 4096-2048-z128 for `wide`."""
    def __init__(self, features=784, hidden=400, latent=20):
        super().__init__()
        self.encoder, self.decoder = dense(features, hidden, 2 * latent), dense(latent, hidden, features)

    def forward(self, x):
        x = x.flatten(1)
        mean, logvar = self.encoder(x).chunk(2, 1)
        return (bce(self.decoder(draw(mean, logvar)), x) + kl_standard(mean, logvar).sum()) / len(x)


class ConvVae(nn.Module):
    """configs/mnist_conv.ini: kernel 4, stride 2, channels 32, 64, dense 256."""
    def __init__(self, latent=20):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), nn.Flatten(),
            nn.Linear(3136, 256), nn.ReLU(), nn.Linear(256, 2 * latent))
        self.decoder = nn.Sequential(
            nn.Linear(latent, 256), nn.ReLU(), nn.Linear(256, 3136), nn.Unflatten(1, (64, 7, 7)), nn.ReLU(),
            nn.ConvTranspose2d(64, 32, 4, 2, 1), nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1))

    def forward(self, x):
        mean, logvar = self.encoder(x).chunk(2, 1)
        return (bce(self.decoder(draw(mean, logvar)), x) + kl_standard(mean, logvar).sum()) / len(x)


class Residual(nn.Module):
    def __init__(self, c):
        super().__init__()
        self.wide, self.narrow = nn.Conv2d(c, c, 3, 1, 1), nn.Conv2d(c, c, 1)

    def forward(self, x):
        return x + self.narrow(F.relu(self.wide(F.relu(x))))


class GatedLayer(nn.Module):
    """A layer of the gated PixelCNN, 3x3: vertical stack of 2x3, horizontal one of 1x2 (first layer: 1x1 to the left)."""
    def __init__(self, width, first):
        super().__init__()
        self.first = first
        self.vertical, self.link = nn.Conv2d(width, 2 * width, (2, 3)), nn.Conv2d(2 * width, 2 * width, 1)
        self.horizontal, self.last = nn.Conv2d(width, 2 * width, (1, 1 if first else 2)), nn.Conv2d(width, width, 1)

    @staticmethod
    def gate(h):
        a, b = h.chunk(2, 1)
        return torch.tanh(a) * torch.sigmoid(b)

    def forward(self, v, h):
        rows = self.vertical(F.pad(v, (1, 1, 1, 0)))
        above = self.link(F.pad(rows, (0, 0, 1, 0))[:, :, :-1])
        left = self.horizontal(F.pad(h, (1, 0))[..., :-1] if self.first else F.pad(h, (1, 0)))
        out = self.last(self.gate(above + left))
        return self.gate(rows), out if self.first else h + out


class VqVae(nn.Module):
    """configs/mnist_vq_vae.ini; the prior learns the codes of the same forward pass, as PyTorch users do."""
    def __init__(self, dim=16, size=128, width=64, layers=4):
        super().__init__()
        self.size = size
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 32, 4, 2, 1), nn.ReLU(), nn.Conv2d(32, 64, 4, 2, 1), nn.ReLU(), Residual(64), Residual(64),
            nn.ReLU(), nn.Conv2d(64, dim, 1))
        self.decoder = nn.Sequential(
            nn.Conv2d(dim, 64, 3, 1, 1), Residual(64), Residual(64), nn.ReLU(), nn.ConvTranspose2d(64, 32, 4, 2, 1),
            nn.ReLU(), nn.ConvTranspose2d(32, 1, 4, 2, 1))
        bound = dim ** -0.5
        self.register_buffer("vectors", torch.empty(size, dim).uniform_(-bound, bound))
        self.register_buffer("uses", torch.ones(size))
        self.register_buffer("sums", self.vectors.clone())
        self.embed = nn.Embedding(size, width)
        self.layers = nn.ModuleList(GatedLayer(width, i == 0) for i in range(layers))
        self.out = nn.Sequential(nn.ReLU(), nn.Conv2d(width, width, 1), nn.ReLU(), nn.Conv2d(width, size, 1))

    def forward(self, x):
        z = self.encoder(x).permute(0, 2, 3, 1)                      # b, 7, 7, dim
        flat = z.reshape(-1, z.shape[-1])
        with torch.no_grad():
            codes = (self.vectors.square().sum(1) - 2 * flat @ self.vectors.t()).argmin(1)
        e = F.embedding(codes, self.vectors).view_as(z)
        if self.training:
            self.learn(flat.detach(), codes)
        logits = self.decoder((z + (e - z).detach()).permute(0, 3, 1, 2))
        vertical = horizontal = self.embed(codes.view(z.shape[:3])).permute(0, 3, 1, 2)
        for layer in self.layers:
            vertical, horizontal = layer(vertical, horizontal)
        prior = F.cross_entropy(self.out(horizontal), codes.view(z.shape[:3]), reduction="sum")
        return (bce(logits, x) + 0.25 * (z - e).square().sum() + prior) / len(x)

    @torch.no_grad()
    def learn(self, rows, codes):
        hot = F.one_hot(codes, self.size).float()
        counts = hot.sum(0)
        self.uses.mul_(0.99).add_(counts, alpha=0.01)
        self.sums.mul_(0.99).add_(hot.t() @ rows, alpha=0.01)
        self.vectors.copy_(torch.where(counts.gt(0)[:, None], self.sums / self.uses[:, None], self.vectors))
        dead = self.uses.lt(0.5).nonzero().flatten()[:16]
        if len(dead):
            fresh = rows[torch.randint(len(rows), (len(dead),))]
            self.vectors[dead], self.sums[dead], self.uses[dead] = fresh, fresh, 1.0


class FactorVae(nn.Module):
    """configs/mnist_factor_vae.ini: two optimisers; the discriminator's samples are encoded again, as in elbo."""
    def __init__(self, latent=10, hidden=400):
        super().__init__()
        self.encoder, self.decoder = dense(784, hidden, 2 * latent), dense(latent, hidden, 784)
        self.discriminator = dense(latent, 256, 256, 2, act=lambda: nn.LeakyReLU(0.2))

    def forward(self, x, discriminate=False):
        x = x.flatten(1)
        if discriminate:
            with torch.no_grad():
                mean, logvar = self.encoder(x).chunk(2, 1)
                z, other = draw(mean, logvar), draw(mean, logvar)
                other = torch.stack([other[torch.randperm(len(x)), d] for d in range(z.shape[1])], 1)
            joint, product = self.discriminator(z), self.discriminator(other)
            return 0.5 * (F.softplus(joint[:, 1] - joint[:, 0]) + F.softplus(product[:, 0] - product[:, 1])).mean()
        mean, logvar = self.encoder(x).chunk(2, 1)
        z = draw(mean, logvar)
        tc = self.discriminator(z)
        return (bce(self.decoder(z), x) + kl_standard(mean, logvar).sum() + 10 * (tc[:, 0] - tc[:, 1]).sum()) / len(x)


class Vrnn(nn.Module):
    """configs/bach_chorales_vrnn.ini on (128, 88) with lengths."""
    def __init__(self, features=88, latent=16, h=128):
        super().__init__()
        self.h = h
        self.see_x, self.see_z, self.prior = dense(features, h, h), dense(latent, h, h), dense(h, h, 2 * latent)
        self.encoder, self.decoder = dense(2 * h, h, 2 * latent), dense(2 * h, h, h)
        self.cell, self.output = nn.GRUCell(2 * h, h), nn.Linear(h, features)

    def forward(self, x, length):
        state = x.new_zeros(len(x), self.h)
        noise = torch.randn(len(x), x.shape[1], 16)
        before, posteriors, seen = [], [], []
        for t, now in enumerate(F.relu(self.see_x(x)).unbind(1)):
            before.append(state)
            posteriors.append(self.encoder(torch.cat([now, state], 1)))
            mean, logvar = posteriors[-1].chunk(2, 1)
            seen.append(F.relu(self.see_z(mean + torch.exp(0.5 * logvar) * noise[:, t])))
            state = self.cell(torch.cat([now, seen[-1]], 1), state)
        before = torch.stack(before, 1)
        mean, logvar = torch.stack(posteriors, 1).chunk(2, 2)
        pmean, plogvar = self.prior(before).chunk(2, 2)
        logits = self.output(F.relu(self.decoder(torch.cat([torch.stack(seen, 1), before], 2))))
        counts = (torch.arange(x.shape[1])[None] < length[:, None]).float()
        kl = 0.5 * ((mean - pmean).square() * (-plogvar).exp() + (logvar - plogvar).exp() - 1 - logvar + plogvar)
        nats = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum(2)
        return ((nats + kl.sum(2)) * counts).sum() / len(x)


class SequenceVae(nn.Module):
    """configs/wordnet_sequence_vae.ini; probabilities are computed where a token counts, as in elbo."""
    def __init__(self, tokens=10000, latent=32, h=256, width=128):
        super().__init__()
        self.h, self.embed = h, nn.Embedding(tokens, width)
        self.encoder = nn.GRU(width, h, batch_first=True)
        self.posterior, self.start = nn.Linear(h, 2 * latent), nn.Linear(latent, h)
        self.decoder, self.output = nn.GRU(width + latent, h, batch_first=True), nn.Linear(h, tokens)

    def forward(self, x, length):
        states, _ = self.encoder(self.embed(x))
        last = states.gather(1, (length - 1).clamp_min(0).view(-1, 1, 1).expand(-1, 1, self.h)).squeeze(1)
        mean, logvar = self.posterior(last).chunk(2, 1)
        z = draw(mean, logvar)
        fed = x[:, :-1].masked_fill((torch.rand(len(x), x.shape[1] - 1) < 0.5) & (x[:, :-1] != 1), 3)
        inputs = torch.cat([self.embed(fed), z[:, None].expand(-1, fed.shape[1], -1)], 2)
        h, _ = self.decoder(inputs, torch.tanh(self.start(z))[None])
        counts = torch.arange(1, x.shape[1])[None] < length[:, None]
        nats = F.cross_entropy(self.output(h[counts]), x[:, 1:][counts], reduction="sum")
        return (nats + len(x) * kl_standard(mean, logvar).mean(0).clamp_min(0.1).sum()) / len(x)


class Hierarchical(nn.Module):
    """configs/mnist_hierarchical_vae.ini: a ladder of 32 and 16; pixels sampled in each step."""
    def __init__(self, w=200, low=32, top=16):
        super().__init__()
        act = nn.LeakyReLU
        self.encoder, self.up = dense(784, 400, w, act=act), nn.Linear(w, w)
        self.top, self.head, self.prior = nn.Linear(w, 2 * top), nn.Linear(w, 2 * low), dense(top, w, 2 * low, act=act)
        self.decoder = dense(low, 400, 784, act=act)

    def forward(self, x):
        x = torch.bernoulli(x.flatten(1))
        first = F.leaky_relu(self.encoder(x))
        second = F.leaky_relu(self.up(first))
        mean, logvar = self.top(second).chunk(2, 1)
        z = draw(mean, logvar)
        kl = kl_standard(mean, logvar).sum()
        qm, qv = self.head(first).chunk(2, 1)
        pm, pv = self.prior(z).chunk(2, 1)
        mean = pm + torch.sigmoid(pv - qv) * (qm - pm)
        logvar = -torch.logaddexp(-qv, -pv)
        kl = kl + 0.5 * ((mean - pm).square() * (-pv).exp() + (logvar - pv).exp() - 1 - logvar + pv).sum()
        return (bce(self.decoder(draw(mean, logvar)), x) + kl) / len(x)


MODELS = {"mlp": (Vae, 128), "conv": (ConvVae, 128), "vq_vae": (VqVae, 128), "factor_vae": (FactorVae, 128), "vrnn": (Vrnn, 8),
          "sequence_vae": (SequenceVae, 64), "hierarchical_vae": (Hierarchical, 128),
          "wide": (lambda: Vae(4096, 2048, 128), 512)}


def load(path, name):
    with h5py.File(path) as file:
        x = torch.from_numpy(file["train/x"][:])
        rows = [x.long() if name == "sequence_vae" else x.float() if name == "vrnn" else x.float() / 255]
        if "train/length" in file:
            rows.append(torch.from_numpy(file["train/length"][:]).long())
    return rows


def batches(rows, size):
    while True:
        order = torch.randperm(len(rows[0]))
        for first in range(0, len(order) - size + 1, size):
            yield [part[order[first:first + size]] for part in rows]


class Trainer:
    """step() trains on the next batch; with two optimisers, of both parts in turn."""

    def __init__(self, rank, given):
        make, batch = MODELS[given.model]
        model = make()
        self.channels_last = given.channels_last
        if given.channels_last:
            model = model.to(memory_format=torch.channels_last)
        parts = [model]
        if given.model == "factor_vae":
            parts = [nn.ModuleList([model.encoder, model.decoder]), model.discriminator]
        self.optimizers = [torch.optim.Adam(part.parameters(), lr=1e-3 * 0.1 ** i, fused=True) for i, part in enumerate(parts)]
        self.net = model
        if given.processes > 1:
            self.net = nn.parallel.DistributedDataParallel(model, find_unused_parameters=given.model == "factor_vae",
                                                           broadcast_buffers=False)
        if given.compile:
            self.net = torch.compile(self.net)
        rows = load(given.data, given.model)
        self.batch = batch
        self.stream = batches([part[rank::given.processes] for part in rows], batch // given.processes)

    def step(self):
        data = next(self.stream)
        if self.channels_last:
            data[0] = data[0].contiguous(memory_format=torch.channels_last)
        for number, optimizer in enumerate(self.optimizers):
            for each in self.optimizers:
                each.zero_grad()
            loss = self.net(*data) if number == 0 else self.net(*data, True)
            loss.backward()
            optimizer.step()
            loss.item()  # as in a trainer that reports its loss


def steps_for(seconds, of_step, processes):
    """The same number on all processes."""
    count = torch.tensor([max(4, int(seconds / of_step))])
    if processes > 1:
        torch.distributed.broadcast(count, 0)
    return int(count)


def train(rank, given, port=0):
    torch.set_num_threads(given.threads)
    torch.manual_seed(1 + rank)
    if given.processes > 1:
        torch.distributed.init_process_group("gloo", f"tcp://127.0.0.1:{port}", rank=rank, world_size=given.processes)
    trainer = Trainer(rank, given)
    for _ in range(10):
        trainer.step()
    begin = time.perf_counter()
    for _ in range(3):
        trainer.step()
    count = steps_for(given.seconds, (time.perf_counter() - begin) / 3, given.processes)
    begin = time.perf_counter()
    for _ in range(count):
        trainer.step()
    if rank == 0:
        print(trainer.batch * count / (time.perf_counter() - begin), flush=True)
    if given.processes > 1:
        torch.distributed.destroy_process_group()


def importance(model, x, samples):
    """log p(x) by importance sampling (Burda et al. 2016)."""
    mean, logvar = model.encoder(x).chunk(2, 1)
    z = mean + torch.exp(0.5 * logvar) * torch.randn(samples, *mean.shape)
    log_p = -F.binary_cross_entropy_with_logits(model.decoder(z.flatten(0, 1)).view(samples, len(x), -1),
                                                x.expand(samples, -1, -1), reduction="none").sum(-1)
    log_q = -0.5 * ((z - mean).square() * (-logvar).exp() + logvar).sum(-1)
    return torch.logsumexp(log_p - 0.5 * z.square().sum(-1) - log_q, 0)


@torch.no_grad()
def work(given):
    """evaluate: log p(x) of test rows by 500 samples each; encode: training rows; sample: means of p(x|z), z from the prior."""
    torch.set_num_threads(given.threads)
    model = Vae().eval()
    with h5py.File(given.data) as file:
        x = torch.from_numpy(file["test/x" if given.task == "evaluate" else "train/x"][:given.rows]).flatten(1).float() / 255
    if given.task == "encode":
        done = [model.encoder(part) for part in x.split(128)]
    elif given.task == "sample":
        done = [torch.sigmoid(model.decoder(torch.randn(128, 20))) for _ in range(0, given.rows, 128)]
    else:
        done = [importance(model, part, 500) for part in x.split(8)]
    with h5py.File(given.out, "w") as file:
        file["z"] = torch.cat(done).numpy()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("model", choices=MODELS)
    parser.add_argument("data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--task", choices=["evaluate", "encode", "sample"])
    parser.add_argument("--rows", type=int, default=2000)
    parser.add_argument("--out")
    for flag in ("compile", "channels_last"):
        parser.add_argument(f"--{flag}", action="store_true")
    given = parser.parse_args()
    if given.task:
        work(given)
    elif given.processes == 1:
        train(0, given)
    else:
        torch.multiprocessing.spawn(train, (given, 29600 + time.time_ns() % 997), given.processes)


if __name__ == "__main__":
    main()
