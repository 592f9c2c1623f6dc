#!/usr/bin/env python3
"""Tests whether codes follow a prior: the energy distance of two samples, with a permutation test.

    build/elbo encode RUN datasets/mnist.h5 --split=test --out=codes.h5
    two_sample.py codes.h5 [normal|mixture|swiss_roll] [N]      needs NumPy and h5py

For N codes and N samples of the prior. "share" is Székely & Rizzo's coefficient, D/2E|a-b|: 0 for equal distributions, at
most 1. The 95 % quantile over permutations is the D of equal distributions; p is the share of permutations with a larger D.
With p ≥ 5 %, N codes do not distinguish the distribution from the prior. Standardised codes have the prior's mean and
covariance: a remaining distance is one of shape.
"""
import sys

import h5py
import numpy

PERMUTATIONS = 999
random = numpy.random.default_rng(1)


def draws(prior, n, latent):
    """The distributions of src/elbo/nn/planar_priors.h with ten components."""
    part = random.integers(0, 10, n)
    if prior == "mixture":
        along, across = 1.4 + 0.5 * random.standard_normal(n), 0.1 * random.standard_normal(n)
        angle = 2 * numpy.pi * part / 10
        return numpy.stack([along * numpy.cos(angle) - across * numpy.sin(angle),
                            along * numpy.sin(angle) + across * numpy.cos(angle)], 1)
    if prior == "swiss_roll":
        way = numpy.sqrt(random.random(n))
        return 3 * way[:, None] * numpy.stack([numpy.cos(4 * numpy.pi * way), numpy.sin(4 * numpy.pi * way)], 1)
    return random.standard_normal((n, latent))


def distances(x):
    squares = (x ** 2).sum(1)
    return numpy.sqrt(numpy.maximum(squares[:, None] + squares - 2 * x @ x.T, 0)).astype("f4")


def energy(between, members):
    """Unbiased 2E|a-b| - E|a-a'| - E|b-b'|, and 2E|a-b|, for each column of members (2n, splits): 1 of a, 0 of b."""
    n = len(members) // 2
    to_a, to_b = between @ members, between @ (1 - members)
    across = 2 * (members * to_b).sum(0, dtype="f8") / n ** 2
    inside = ((members * to_a).sum(0, dtype="f8") + ((1 - members) * to_b).sum(0, dtype="f8")) / (n * (n - 1))
    return across - inside, across


def compare(name, codes, prior):
    n = len(codes)
    members = numpy.zeros((2 * n, 1 + PERMUTATIONS), "f4")
    members[:n, 0] = 1
    for column in range(1, 1 + PERMUTATIONS):
        members[random.permutation(2 * n)[:n], column] = 1
    found, across = energy(distances(numpy.concatenate([codes, prior])), members)
    p = (found >= found[0]).sum() / len(found)
    print(f"{name:14}D {found[0]:8.5f}  95 % of permutations {numpy.quantile(found[1:], 0.95):.5f}"
          f"  share {found[0] / across[0]:8.5f}  p {p:.3f}")


def standardised(codes, like):
    """Codes with the mean and the covariance of `like`."""
    root = numpy.linalg.cholesky(numpy.cov(like.T)) @ numpy.linalg.inv(numpy.linalg.cholesky(numpy.cov(codes.T)))
    return (codes - codes.mean(0)) @ root.T + like.mean(0)


def main(path, prior="normal", n="2000"):
    with h5py.File(path) as file:
        codes = file["z"][:int(n)].astype("f8")
    drawn = draws(prior, len(codes), codes.shape[1])
    compare("codes", codes, drawn)
    compare("standardised", standardised(codes, drawn), drawn)
    compare("other draws", draws(prior, len(codes), codes.shape[1]), drawn)


main(*sys.argv[1:])
