#!/usr/bin/env python3
"""Speed of training, evaluation, encoding and sampling compared with PyTorch (tests/bench/pytorch_models.py): the same layers,
batch and optimiser. In a round all contestants of a row run one after another, so that noise of the machine affects all; the
tables give medians, and medians of each round's ratios. Needs a Python with torch and h5py:

    tests/bench/speed.py --python=VENV/bin/python [--rows=mlp,conv] [--rounds=5] [--seconds=3] [--compile] [--train.key=value …]

Further options go to `elbo train`. Work after training is timed as whole processes: start, reading, computing, writing.
"""
import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
PEERS = ROOT / "tests/bench/pytorch_models.py"
MNIST = ROOT / "datasets/mnist.h5"
WIDE = ("--model.name=vae", "--model.latent=128", "--model.likelihood=bernoulli", "--network.kind=mlp", "--network.hidden=2048",
        "--train.batch=512", "--train.microbatch=256")
# model → (what elbo trains, batch, samples/s of a thread, roughly: it decides the number of steps)
TRAINING = {
    "mlp": (["configs/mnist_vae.ini"], 128, 20_000),
    "conv": (["configs/mnist_conv.ini"], 128, 3_000),
    "vq_vae": (["configs/mnist_vq_vae.ini"], 128, 500),
    "sequence_vae": (["configs/wordnet_sequence_vae.ini"], 64, 250),
    "vrnn": (["configs/bach_chorales_vrnn.ini"], 8, 60),
    "factor_vae": (["configs/mnist_factor_vae.ini"], 128, 13_000),
    "hierarchical_vae": (["configs/mnist_hierarchical_vae.ini"], 128, 15_000),
    "wide": (["wide.h5", *WIDE], 512, 700),
}
DATA = {"sequence_vae": ROOT / "datasets/wordnet_examples.h5", "vrnn": ROOT / "datasets/bach_chorales.h5"}
# task → (rows, command line of elbo after the run)
WORK = {
    "evaluate": (1_000, lambda run, out: ["evaluate", run, "--importance_samples=500", f"--out={out}.json"]),
    "encode": (60_000, lambda run, out: ["encode", run, MNIST, "--split=train", f"--out={out}.h5"]),
    "sample": (60_000, lambda run, out: ["sample", run, "--n=60000", f"--out={out}.h5"]),
}


def launcher(ranks):
    return [] if ranks == 1 else ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]


def elbo(words, ranks, threads, steps, batch, *settings):
    """samples/s of training."""
    warm = max(3, steps // 5)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([*launcher(ranks), ELBO, "train", *words, f"--run.directory={folder}/run",
                        f"--train.steps={warm + steps}", f"--train.threads={threads}", "--evaluate.every=never", *settings],
                       cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)
        lines = [json.loads(line) for line in pathlib.Path(folder, "run/metrics.jsonl").read_text().splitlines()]
    return steps * batch / (lines[-1]["seconds"] - lines[warm - 1]["seconds"])


def pytorch(python, *words):
    """What it prints, if anything, and the seconds of the process."""
    begin = time.perf_counter()
    out = subprocess.run([python, PEERS, *map(str, words)], check=True, capture_output=True, text=True)
    return out.stdout, time.perf_counter() - begin


def write_wide(path):
    import h5py
    import numpy
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "image"
        for split, rows in (("train", 8192), ("test", 512)):
            file[f"{split}/x"] = numpy.random.default_rng(1).integers(0, 256, (rows, 1, 64, 64), dtype=numpy.uint8)


def write_few(path, rows):
    import h5py
    with h5py.File(MNIST) as source, h5py.File(path, "w") as file:
        file.attrs["kind"] = "image"
        file["train/x"], file["test/x"] = source["train/x"][:rows], source["test/x"][:rows]


def training(model, given, folder, settings):
    words, batch, rate = TRAINING[model]
    data = DATA.get(model, MNIST)
    if model == "wide":
        data = folder / "wide.h5"
        write_wide(data)
        words = [str(data), *words[1:]]
    steps = max(6, int(given.seconds * rate / batch))

    def peer(*options):
        return float(pytorch(given.python, model, data, f"--seconds={given.seconds}", *options)[0])

    contestants = {
        "elbo, 1 thread": lambda: elbo(words, 1, 1, steps, batch, *settings),
        "PyTorch, 1 thread": peer,
        "elbo, 2 ranks": lambda: elbo(words, 2, 1, 2 * steps, batch, *settings),
        "DDP, 2 processes": lambda: peer("--processes=2"),
    }
    if given.compile:
        contestants["torch.compile"] = lambda: peer("--compile")
    if model == "conv":
        contestants["channels_last"] = lambda: peer("--channels_last")
    return contestants


def work(task, given, folder):
    """Rows/s of whole processes, with a run that is trained for a few steps."""
    rows, command = WORK[task]
    data, run = MNIST, folder / "run"
    if task == "evaluate":
        data, run = folder / "few.h5", folder / "few"
        write_few(data, rows)
    if not run.exists():
        subprocess.run([ELBO, "train", "configs/mnist_vae.ini", f"--data.path={data}", f"--run.directory={run}",
                        "--train.steps=20", "--evaluate.every=never"], cwd=ROOT, env=ENVIRONMENT, check=True, capture_output=True)

    def of_elbo():
        out = folder / f"elbo_{task}_{time.time_ns()}"
        begin = time.perf_counter()
        subprocess.run(["taskset", "-c", "0", ELBO, *map(str, command(run, out))], cwd=ROOT, env=ENVIRONMENT, check=True,
                       capture_output=True)
        return rows / (time.perf_counter() - begin)

    return {"elbo, 1 thread": of_elbo,
            "PyTorch, 1 thread": lambda: rows / pytorch(given.python, "mlp", data, f"--task={task}", f"--rows={rows}",
                                                        f"--out={folder}/peer.h5")[1]}


def versions(python):
    with open("/proc/cpuinfo", encoding="utf-8") as file:
        cpu = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), "unknown CPU")
    torch = subprocess.run([python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True)
    return f"{cpu}, {os.cpu_count()} cores; PyTorch {torch.stdout.strip()}"


def ratio(seen, ours, theirs):
    if ours not in seen or theirs not in seen:
        return ""
    ratios = [a / b for a, b in zip(seen[ours], seen[theirs])]
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--rows", default=",".join([*TRAINING, *WORK]))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=3)
    parser.add_argument("--compile", action="store_true")
    given, settings = parser.parse_known_args()
    print(versions(given.python), flush=True)
    ways = ["elbo, 1 thread", "PyTorch, 1 thread", "elbo, 2 ranks", "DDP, 2 processes"]
    print(f"\n| median samples/s | {' | '.join(ways)} | 1 thread: ratio (least) | 2 ranks: ratio (least) | other peers |")
    print("|---" * (len(ways) + 4) + "|", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        for row in given.rows.split(","):
            contestants = training(row, given, folder, settings) if row in TRAINING else work(row, given, folder)
            seen = {way: [] for way in contestants}
            for _ in range(given.rounds):
                for way, measure in contestants.items():
                    seen[way].append(measure())
            rates = [f"{statistics.median(seen[way]):,.0f}" if way in seen else "" for way in ways]
            others = [f"{way} {statistics.median(rate):,.0f}, ratio {ratio(seen, ways[0], way)}" for way, rate in seen.items()
                      if way not in ways]
            print(f"| {row} | {' | '.join(rates)} | {ratio(seen, ways[0], ways[1])} | {ratio(seen, ways[2], ways[3])} | "
                  f"{'; '.join(others)} |", flush=True)


if __name__ == "__main__":
    main()
