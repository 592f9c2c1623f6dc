#!/usr/bin/env python3
"""The cost of exact sums: the time of a step of configs/mnist_vae.ini on 2 ranks with and without train.exact, alternately.

    tests/bench/exactness.py [--ranks=2] [--rounds=5] [--steps=400]
"""
import argparse
import statistics

from speed import elbo


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    seen = {"true": [], "false": []}
    for _ in range(given.rounds):
        for exact, rates in seen.items():
            rates.append(elbo(["configs/mnist_vae.ini"], given.ranks, 1, given.steps, 128, f"--train.exact={exact}"))
    for exact, rates in seen.items():
        print(f"train.exact={exact}: {128000 / statistics.median(rates):.3f} ms a step (median), "
              f"{128000 / max(rates):.3f} ms (least)")
    ratios = [inexact / exact for exact, inexact in zip(seen["true"], seen["false"])]
    print(f"exact sums take {statistics.median(ratios):.2f} times as long (median of rounds)")


main()
