#!/usr/bin/env python3
"""The time of a step on one machine and on hosts with shaped links, compared with the predictions of `elbo bench scale`:
from figures of the same ranks, and for four hosts from those of two.

    sudo tests/bench/scale.py [--worlds=REGEX] [--steps=60] [CONFIG.ini --section.key=value …]

Prints the table of docs/results.md: one line per world.
"""
import argparse
import json
import pathlib
import re
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


WORLDS = {"1 on one host": "node1", "2 on one host": "node1:2", "2 hosts": "node1,node2", "4 hosts": "node1,node2,node3,node4",
          "2 hosts of 2": "node1:2,node2:2", "2 hosts of 2, cyclic": "node1:2,node2:2"}


def launcher(hosts, world):
    """Cyclic placement (ranks 0 and 2 on node1) exchanges on one level, for comparison; launch/run.sh makes blocks."""
    environment = [f"{key}={value}" for key, value in {**hosts.environment(), "ELBO": ELBO}.items()]
    command = [str(ROOT / "launch/run.sh"), f"--hosts={WORLDS[world]}"]
    if "cyclic" in world:
        command = ["mpirun", "--host", WORLDS[world], "--map-by", "node", "--bind-to", "none", ELBO]
    return hosts.hosts[0].command("env", *environment, *command, folder=ROOT)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--worlds", default="", help="a regular expression: only worlds whose name it is found in")
    given, words = parser.parse_known_args()
    words = words if any(word.endswith(".ini") for word in words) else ["configs/mnist_vae.ini", *words]
    words = ["bench", "scale", *words, "--train.threads=1"]
    folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_scale_"))
    found = {}
    with network.Network(4) as hosts:
        for rate in None, 1000, 100:
            if rate is not None:
                hosts.shape(rate * MBIT)
            for world in WORLDS:
                if not re.search(given.worlds, world) or (rate is not None and "one host" in world):  # no shaped link
                    continue
                name = world + (f", {rate} Mbit/s" if rate else "")
                found[name] = measure(launcher(hosts, world), words, folder, name.replace(" ", "_").replace("/", "_"))
    print("| ranks | mode | computation | of it overlapped | exchange after it | step, measured | step, model | step, from the two hosts' figures |\n"
          "|---|---|---|---|---|---|---|---|")
    for name, figures in found.items():
        others = found.get(name.replace("4 hosts", "2 hosts")) if name.startswith("4 hosts") else None
        for mode, of_mode in figures["modes"].items():
            seconds, model = of_mode["seconds"], of_mode["step_on_ranks"][str(figures["ranks"])]
            predicted = compare(others["modes"][mode]["step_on_ranks"]["4"], seconds["step"]) if others else ""
            print(f"| {name} | {mode} | {1000 * seconds['compute']:.2f} ms | {1000 * seconds['overlapped']:.2f} ms | "
                  f"{1000 * seconds['exchange']:.2f} ms | {1000 * seconds['step']:.2f} ms | {compare(model, seconds['step'])} | {predicted} |")


if __name__ == "__main__":
    network.enter()
    main()
