#!/usr/bin/env python3
"""Measures how well the dimensions of codes correspond to the known factors of a data set.

    build/elbo encode RUN DATA.h5 --split=train --out=codes.h5
    factors.py codes.h5 DATA.h5 [SPLIT]        needs NumPy and h5py

Prints the score of Kim & Mnih 2018 (FactorVAE, section 4: a majority vote on the dimension of least variance among codes
that share one factor) and the mutual information gap of Chen et al. 2018 (eq. 6, the means of the posteriors in 20 bins).
"""
import sys

import h5py
import numpy

BINS, VOTES, ROWS_OF_VOTE = 20, 800, 100


def least_varying(z, same, factor, random, spread):
    """The dimension with the least variance among codes with the same value of `factor`, relative to its variance over all rows."""
    values = list(same[factor])
    rows = same[factor][values[random.integers(len(values))]]
    return (z[random.choice(rows, ROWS_OF_VOTE)].var(0) / spread).argmin()


def factor_vae_score(z, factors, random):
    spread = z.var(0)
    used = spread > 0.05  # dimensions that collapsed to the prior are left out
    z, spread = z[:, used], spread[used]
    same = [{value: numpy.flatnonzero(column == value) for value in numpy.unique(column)} for column in factors.T]
    count = factors.shape[1]
    votes = numpy.zeros((z.shape[1], count))
    for vote in range(VOTES):
        votes[least_varying(z, same, vote % count, random, spread), vote % count] += 1
    means = votes.argmax(1)
    right = [means[least_varying(z, same, vote % count, random, spread)] == vote % count for vote in range(VOTES)]
    return numpy.mean(right)


def entropy(counts):
    p = counts[counts > 0] / counts.sum()
    return -(p * numpy.log(p)).sum()


def mutual_information_gap(z, factors):
    edges = [numpy.histogram_bin_edges(column, BINS) for column in z.T]
    codes = [numpy.clip(numpy.digitize(column, e[1:-1]), 0, BINS - 1) for column, e in zip(z.T, edges)]
    gaps = []
    for column in factors.T:
        values, number = numpy.unique(column, return_inverse=True)
        of_factor = entropy(numpy.bincount(number))
        shared = []
        for code in codes:
            joint = numpy.bincount(code * len(values) + number, minlength=BINS * len(values))
            shared.append(entropy(numpy.bincount(code)) + of_factor - entropy(joint))
        first, second = sorted(shared, reverse=True)[:2]
        gaps.append((first - second) / of_factor)
    return numpy.array(gaps)


def main(codes, data, split="train"):
    with h5py.File(codes) as file:
        z = file["z"][:].astype("f8")
    with h5py.File(data) as file:
        factors = file[f"{split}/factors"][:]
        names = [name.decode() if isinstance(name, bytes) else name for name in file["factor_names"][()]]
    gaps = mutual_information_gap(z, factors)
    print(f"FactorVAE score {factor_vae_score(z, factors, numpy.random.default_rng(1)):.3f}")
    print(f"mutual information gap {gaps.mean():.3f}:", " ".join(f"{name} {gap:.3f}" for name, gap in zip(names, gaps)))


if __name__ == "__main__":
    main(*sys.argv[1:])
