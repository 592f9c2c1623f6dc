#!/usr/bin/env python3
"""Training speed of configs/mnist_vae.ini, compared with PyTorch. They run alternately, so that noise of the machine affects
both. Needs a Python with torch and h5py:

    tests/bench/speed.py --python=VENV/bin/python [--rounds=5] [--steps=400]
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
WARM = 50  # warm-up steps


def elbo(ranks, threads, steps, *settings):
    """samples/s, and the share of the time that workers waited for data."""
    with tempfile.TemporaryDirectory() as folder:
        launcher = [] if ranks == 1 else ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]
        subprocess.run([*launcher, ELBO, "train", "configs/mnist_vae.ini", f"--run.directory={folder}/run",
                        f"--train.steps={WARM + steps}", f"--train.threads={threads}", "--evaluate.every=never",
                        *settings],
                       cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
        lines = [json.loads(line) for line in pathlib.Path(folder, "run/metrics.jsonl").read_text().splitlines()]
    first, last = lines[WARM - 1], lines[-1]
    seconds = last["seconds"] - first["seconds"]
    waited = (last["data_wait_seconds"] - first["data_wait_seconds"]) / threads
    return steps * 128 / seconds, waited / seconds


def pytorch(python, processes, threads, steps):
    out = subprocess.run([python, ROOT / "tests/bench/pytorch_vae.py", "speed", f"--threads={threads}",
                          f"--processes={processes}", f"--steps={steps}"], check=True, capture_output=True, text=True)
    return float(out.stdout), 0.0


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=400)
    given = parser.parse_args()
    contestants = {
        "elbo, 1 rank, 1 thread": lambda: elbo(1, 1, given.steps),
        "PyTorch, 1 thread": lambda: pytorch(given.python, 1, 1, given.steps),
        "elbo, 1 rank, 2 workers": lambda: elbo(1, 2, given.steps),
        "elbo, 2 ranks": lambda: elbo(2, 1, given.steps),
        "PyTorch, 2 intra-op threads": lambda: pytorch(given.python, 1, 2, given.steps),
        "PyTorch DDP (gloo), 2 processes": lambda: pytorch(given.python, 2, 1, given.steps),
    }
    seen = {name: [] for name in contestants}
    for _ in range(given.rounds):
        for name, measure in contestants.items():
            seen[name].append(measure())
    print("| samples/s | median | best | waiting for data |\n|---|---|---|---|")
    for name, results in seen.items():
        rates = [rate for rate, _ in results]
        waited = f"{100 * statistics.median(wait for _, wait in results):.2f} %" if name.startswith("elbo") else ""
        print(f"| {name} | {statistics.median(rates):,.0f} | {max(rates):,.0f} | {waited} |")
    print("\n| ratio, round by round | median | least |\n|---|---|---|")
    for ours, theirs in (("elbo, 1 rank, 1 thread", "PyTorch, 1 thread"),
                         ("elbo, 1 rank, 2 workers", "PyTorch, 2 intra-op threads"),
                         ("elbo, 2 ranks", "PyTorch, 2 intra-op threads"),
                         ("elbo, 1 rank, 2 workers", "PyTorch DDP (gloo), 2 processes"),
                         ("elbo, 2 ranks", "PyTorch DDP (gloo), 2 processes")):
        ratios = [a / b for (a, _), (b, _) in zip(seen[ours], seen[theirs])]
        print(f"| {ours} : {theirs} | {statistics.median(ratios):.2f} | {min(ratios):.2f} |")


if __name__ == "__main__":
    main()
