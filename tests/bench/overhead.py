#!/usr/bin/env python3
"""What reliability costs, for docs/results.md: the stall of a checkpoint, and the checks of run.check_every.

    ELBO=build/elbo tests/bench/overhead.py [--rounds=5]

Checkpoints: metrics.jsonl has the end of each step. The step after a checkpoint waits for the copy of the state: its time, less the
median of all steps, in steps. The checks: runs with and without them alternate; ratios of the medians of a step."""
import argparse
import json
import pathlib
import statistics
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from disturbed import write_table  # noqa: E402 (the path is known from here on)
from program import run  # noqa: E402

# Name, ranks, steps, steps between checkpoints, settings.
STATES = (("small", 0, 1000, 100, ("--train.batch=128", "--network.hidden=64")),
          ("large", 0, 60, 10, ("--train.batch=512", "--train.microbatch=256", "--network.hidden=2880,2880")))


def step_seconds(data, folder, ranks, *settings):
    """The seconds of each step of a run without evaluations."""
    result = run(ranks, "train", data, f"--run.directory={folder}", "--evaluate.every=never", *settings, seconds=600)
    assert result.returncode == 0, result.stderr
    ends = [json.loads(line)["seconds"] for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [ends[0], *(after - before for before, after in zip(ends, ends[1:]))]


def stalls(data, folder, ranks, steps, every, settings):
    times = step_seconds(data, folder, ranks, f"--train.steps={steps}", f"--checkpoint.every_steps={every}", *settings)
    median = statistics.median(times)
    after = [times[step] for step in range(every, steps, every)]  # the step after checkpoint `step`
    size = max((folder / "checkpoints").glob("step_*.h5")).stat().st_size
    return size, median, [time / median - 1 for time in after]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory(prefix="elbo_overhead_") as name:
        folder = pathlib.Path(name)
        data = folder / "table.h5"
        write_table(data)
        for state, ranks, steps, every, settings in STATES:
            size, median, found = 0, 0, []
            for number in range(rounds):
                size, median, more = stalls(data, folder / f"{state}_{number}", ranks, steps, every, settings)
                found += more
            print(f"{state}: a checkpoint of {size / 1e6:.1f} MB; a step takes {median * 1e3:.2f} ms; stall of {len(found)} checkpoints: "
                  f"median {statistics.median(found):.2f}, largest {max(found):.2f} steps", flush=True)
        ratios = []
        for number in range(rounds):
            medians = [statistics.fmean(step_seconds(data, folder / f"checks_{every}_{number}", 2, "--train.steps=1500", "--train.batch=128",
                                                     "--train.microbatch=64", "--network.hidden=400", "--checkpoint.every_steps=0",
                                                     f"--run.check_every={every}")[100:]) for every in (100, 0)]
            ratios.append(medians[0] / medians[1])
        print(f"run.check_every=100 on 2 ranks: a step takes {statistics.median(ratios):.3f} times as long as without "
              f"(rounds: {', '.join(f'{ratio:.3f}' for ratio in sorted(ratios))})")


if __name__ == "__main__":
    main()
