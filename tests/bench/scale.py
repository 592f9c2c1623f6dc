#!/usr/bin/env python3
"""What a step takes on one machine and on hosts behind shaped links, beside what the model of `elbo bench scale` says.

    sudo tests/bench/scale.py [--steps=60] [CONFIG.ini --section.key=value …]

Prints the table of docs/results.md: one line for each world.
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
                if rate is not None and "," not in name:  # no link is in their way
                    continue
                launcher = hosts.hosts[0].command("env", *environment, str(ROOT / "launch/run.sh"), f"--hosts={name}", folder=ROOT)
                count = name.count(",") + 1
                world = f"{count} hosts" if count > 1 else f"{name.partition(':')[2] or 1} on one host"
                found[world + (f", {rate} Mbit/s" if rate else "")] = measure(launcher, words, folder, f"{name}_{rate}")
    print("| ranks | computation | exchange, measured | exchange, model | step, measured | step, model | off by |\n|---|---|---|---|---|---|---|")
    for name, figures in found.items():
        measured, model = figures["measured"], figures["model"]
        print(f"| {name} | {1000 * measured['compute']:.2f} ms | {1000 * (measured['exchange'] + measured['publish']):.2f} ms | "
              f"{1000 * model['exchange']:.2f} ms | {1000 * measured['step']:.2f} ms | {1000 * model['step']:.2f} ms | "
              f"{100 * (model['step'] / measured['step'] - 1):+.1f} % |")


if __name__ == "__main__":
    network.enter()
    main()
