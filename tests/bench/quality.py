#!/usr/bin/env python3
"""Compares the quality and the variety of several models' samples with real digits, over several seeds.

    build/elbo sample RUN --n=10000 --out=vae_1.h5
    quality.py vae=vae_1.h5,vae_2.h5,vae_3.h5 gan=gan_1.h5,…        needs PyTorch and h5py; from the root of the project

A line for each name, with the mean over its files and, in brackets, the lowest and the highest of them. Files hold x or
reconstruction. Measured with the features of a classifier of real digits, the 128 inputs of its last layer, against the
test digits:
    sure       share of the samples that the classifier gives a probability of at least 0.9
    Fréchet    distance of the features' normal distributions (Heusel et al. 2017, with this classifier's features)
    precision  share of the samples that are near real digits, recall: share of the real digits that are near
               samples (Kynkäänniemi et al. 2019, k = 3, of 5000 each)
    classes    exp of the entropy of the predicted classes: 10 if all digits have the same frequency
"""
import sys

import h5py
import torch

from recognised import classifier, read

DATA = "datasets/mnist.h5"
NEIGHBOURS, COMPARED = 3, 5000


def moments(features):
    return features.mean(0).double(), torch.cov(features.T.double())


def frechet(a, b):
    (mean_a, cov_a), (mean_b, cov_b) = moments(a), moments(b)
    values, vectors = torch.linalg.eigh(cov_a)
    root = vectors * values.clamp_min(0).sqrt() @ vectors.T
    shared = torch.linalg.eigvalsh(root @ cov_b @ root).clamp_min(0).sqrt().sum()
    return ((mean_a - mean_b).square().sum() + cov_a.trace() + cov_b.trace() - 2 * shared).item()


def covered(points, by):
    """Share of points whose distance to one of `by` is at most that of its third nearest neighbour in `by`."""
    radius = torch.cdist(by, by).kthvalue(NEIGHBOURS + 1, dim=1).values
    return (torch.cdist(points, by) <= radius).any(1).float().mean().item()


def measured(net, images, real):
    with torch.no_grad():
        features = net[:-1](images)
        probability = net[-1](features).softmax(1)
    share = torch.bincount(probability.argmax(1), minlength=10) / len(images)
    some, some_real = features[:COMPARED], real[-COMPARED:]
    return {"sure": (probability.amax(1) >= 0.9).float().mean().item(), "Fréchet": frechet(features, real),
            "precision": covered(some, some_real), "recall": covered(some_real, some),
            "classes": torch.special.entr(share).sum().exp().item()}


def samples(path):
    with h5py.File(path) as file:
        return torch.tensor(file["x" if "x" in file and "reconstruction" not in file else "reconstruction"][:])


def line(name, runs):
    cells = [f"{name:16}"]
    for measure in runs[0]:
        values = [run[measure] for run in runs]
        spread = f" ({min(values):.3f}–{max(values):.3f})" if len(values) > 1 else ""
        cells.append(f"{measure} {sum(values) / len(values):.3f}{spread}")
    print("  ".join(cells))


def main(*groups):
    net, _ = classifier(DATA)
    test, train = read(DATA, "test")[0], read(DATA, "train")[0]
    with torch.no_grad():
        real = net[:-1](test)
    line("real, of train", [measured(net, train[:len(test)], real)])
    for group in groups:
        name, paths = group.split("=")
        line(name, [measured(net, samples(path), real) for path in paths.split(",")])


if __name__ == "__main__":
    main(*sys.argv[1:])
