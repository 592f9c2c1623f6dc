#!/usr/bin/env python3
"""The time of a step on one machine and on hosts with shaped links, compared with the predictions of `elbo bench scale`:
from figures of the same ranks, and for four hosts from those of two.

    sudo tests/bench/scale.py [--steps=60] [CONFIG.ini --section.key=value …]

Prints the table of docs/results.md: one line per world.
"""
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/system"))
import network  # noqa: E402
from program import ELBO, ENVIRONMENT  # noqa: E402

MBIT = 1000 * 1000


def measure(launcher, words, folder, name):
    out = folder / f"{name}.json"
    result = subprocess.run([*launcher, *words, f"--out={out}"], cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"{name}: {result.stderr}")
    return json.loads(out.read_text())


def compare(model, measured):
    return f"{1000 * model:.2f} ms ({100 * (model / measured - 1):+.1f} %)"


def main():
    words = sys.argv[1:] if any(word.endswith(".ini") for word in sys.argv[1:]) else ["configs/mnist_vae.ini", *sys.argv[1:]]
    words = ["bench", "scale", *words, "--train.threads=1"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_scale_"))
    found = {}
    with network.Network(4) as hosts:
        environment = [f"{key}={value}" for key, value in {**hosts.environment(), "ELBO": ELBO}.items()]
        for rate in None, 1000, 100:
            if rate is not None:
                hosts.shape(rate * MBIT)
            for name in ("node1", "node1:2", "node1,node2", ",".join(hosts.names())):
                if rate is not None and "," not in name:  # no shaped link between them
                    continue
                launcher = hosts.hosts[0].command("env", *environment, str(ROOT / "launch/run.sh"), f"--hosts={name}", folder=ROOT)
                count = name.count(",") + 1
                world = f"{count} hosts" if count > 1 else f"{name.partition(':')[2] or 1} on one host"
                found[world + (f", {rate} Mbit/s" if rate else "")] = measure(launcher, words, folder, f"{name}_{rate}")
    print("| ranks | mode | computation | of it overlapped | exchange after it | step, measured | step, model | step, from the two hosts' figures |\n"
          "|---|---|---|---|---|---|---|---|")
    for name, figures in found.items():
        others = found.get(name.replace("4 hosts", "2 hosts")) if name.startswith("4 hosts") else None
        for mode, of_mode in figures["modes"].items():
            seconds, model = of_mode["seconds"], of_mode["step_on_ranks"][str(figures["ranks"])]
            told = compare(others["modes"][mode]["step_on_ranks"]["4"], seconds["step"]) if others else ""
            print(f"| {name} | {mode} | {1000 * seconds['compute']:.2f} ms | {1000 * seconds['overlapped']:.2f} ms | "
                  f"{1000 * seconds['exchange']:.2f} ms | {1000 * seconds['step']:.2f} ms | {compare(model, seconds['step'])} | {told} |")


if __name__ == "__main__":
    network.enter()
    main()
