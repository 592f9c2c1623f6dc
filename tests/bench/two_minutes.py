#!/usr/bin/env python3
"""Trains each shipped configuration for two minutes, and looks for settings that do not learn.

    two_minutes.py [--minutes=2] [--ranks=0] [--names=mnist_vae,…]        needs h5py; from the root of the project

Columns: steps; the error of reconstructions of test rows beside that of the rows' mean (of tokens: of the most frequent at
each place); how far samples are from each other beside how far test rows are; KL in nats. A line ends with what is wrong:
    blind       reconstructions are not better than the mean
    monotonous  samples are nearly the same: less than a third of the variety of the rows
    unused      the KL is below a nat: the latent variables are not used
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ROWS = 400


def elbo(*words, ranks=0, codes=(0,)):
    launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
    result = subprocess.run([*launcher, ELBO, *map(str, words)], cwd=ROOT, capture_output=True, text=True)
    if result.returncode not in codes:
        sys.exit(f"{words}\n{result.stderr}")


def far(rows):
    """Mean distance of neighbours in the list: of tokens, the share of places that differ."""
    a, b = rows[:-1], rows[1:]
    if rows.dtype.kind in "iu":
        return (a != b).mean()
    return numpy.sqrt(((a - b) ** 2).reshape(len(a), -1).sum(1)).mean()


def error(rows, reconstructions):
    """Beside that of the mean row."""
    if rows.dtype.kind in "iu":
        frequent = numpy.array([numpy.bincount(column).argmax() for column in rows.reshape(len(rows), -1).T])
        return (rows != reconstructions).mean() / (rows.reshape(len(rows), -1) != frequent).mean()
    return ((rows - reconstructions) ** 2).mean() / ((rows - rows.mean(0)) ** 2).mean()


def read(path, name, tokens):
    with h5py.File(path) as file:
        values = file[name][:]
    return values.astype("i8" if tokens else "f4")


def measured(config, folder, minutes, ranks):
    run = folder / config.stem
    elbo("train", config, f"--run.directory={run}", f"--run.time_limit={minutes}", ranks=ranks, codes=(0, 75))
    elbo("evaluate", run, "--importance_samples=0", f"--out={run}.json", ranks=ranks)
    evaluation = json.loads(pathlib.Path(f"{run}.json").read_text())
    steps = json.loads((run / "metrics.jsonl").read_text().splitlines()[-1])["step"]
    made = pathlib.Path(f"{run}_samples.h5")
    elbo("sample", run, f"--n={ROWS}", "--elements=mean", f"--out={made}")
    with h5py.File(made) as file:
        tokens = "vocabulary" in file
    samples = read(made, "x", tokens)
    result = {"steps": steps, "kl": evaluation.get("kl", evaluation.get("terms", {}).get("kl"))}
    if "gan" not in config.stem or "vae" in config.stem:
        restored = pathlib.Path(f"{run}_restored.h5")
        elbo("reconstruct", run, f"--n={ROWS}", "--elements=mean", f"--out={restored}")
        rows = read(restored, "x", tokens)
        result |= {"error": error(rows, read(restored, "reconstruction", tokens)), "variety": far(samples) / far(rows)}
    else:
        result |= {"error": None, "variety": None}
    return result


def faults(found):
    if found["error"] is not None and found["error"] >= 1:
        yield "blind"
    if found["variety"] is not None and found["variety"] < 1 / 3:
        yield "monotonous"
    if found["kl"] is not None and found["kl"] < 1:
        yield "unused"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=int, default=2)
    parser.add_argument("--ranks", type=int, default=0)
    parser.add_argument("--names", default="")
    options = parser.parse_args()
    names = options.names.split(",") if options.names else [path.stem for path in sorted((ROOT / "configs").glob("*.ini"))]
    bad = 0
    print(f"{'configuration':28} {'steps':>6} {'error':>6} {'variety':>8} {'KL':>7}")
    with tempfile.TemporaryDirectory(prefix="elbo_two_minutes_") as folder:
        for name in names:
            found = measured(ROOT / f"configs/{name}.ini", pathlib.Path(folder), options.minutes, options.ranks)
            numbers = [f"{found[key]:{form}}" if found[key] is not None else "–" for key, form in
                       (("steps", "d"), ("error", ".3f"), ("variety", ".2f"), ("kl", ".1f"))]
            wrong = ", ".join(faults(found))
            bad += bool(wrong)
            print(f"{name:28} {numbers[0]:>6} {numbers[1]:>6} {numbers[2]:>8} {numbers[3]:>7}  {wrong}", flush=True)
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
