#!/usr/bin/env python3
"""Rows/s in training order, compared with the HDF5 library, h5py and a PyTorch DataLoader over h5py: 60,000 rows of 12 KiB,
in the page cache, in three layouts. Needs a Python with h5py, and torch for the last.

    tests/bench/data.py [--python=VENV/bin/python] [--folder=/tmp] [--rounds=3]
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ROWS, FEATURES = 60_000, 3072
LAYOUTS = {
    "contiguous": {},
    "chunked": {"chunks": (16, FEATURES)},
    "deflate": {"chunks": (16, FEATURES), "compression": "gzip", "compression_opts": 4, "shuffle": True},
}


def write(path, layout):
    import h5py
    import numpy
    dice = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        x = file.create_dataset("train/x", (ROWS, FEATURES), "<f4", **layout)
        for first in range(0, ROWS, 1000):
            x[first:first + 1000] = dice.integers(0, 256, (1000, FEATURES)) / 256


def rates(path, taken):
    """Prints rows/s of h5py, row by row in random order, and of a DataLoader over it: run in a separate process."""
    import h5py
    import numpy
    import torch

    class Rows(torch.utils.data.Dataset):
        def __init__(self):
            self.file = None

        def __len__(self):
            return ROWS

        def __getitem__(self, row):
            if self.file is None:  # a file opened before the fork cannot be shared
                self.file = h5py.File(path)["train/x"]
            return torch.from_numpy(self.file[row])

    order = numpy.random.default_rng(2).permutation(ROWS)[:taken]
    with h5py.File(path) as file:
        x = file["train/x"]
        start = time.perf_counter()
        for row in order:
            x[row]
        print(taken / (time.perf_counter() - start))
    loader = torch.utils.data.DataLoader(Rows(), batch_size=64, sampler=order.tolist(), num_workers=2)
    start = time.perf_counter()
    for _ in loader:
        pass
    print(taken / (time.perf_counter() - start))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--folder", default="/tmp")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rates", nargs=2)
    given = parser.parse_args()
    if given.rates:
        return rates(given.rates[0], int(given.rates[1]))
    print("| layout | elbo | H5Dread | h5py | DataLoader, 2 workers | elbo : H5Dread | elbo : DataLoader |\n"
          "|---|---|---|---|---|---|---|")
    for name, layout in LAYOUTS.items():
        path = pathlib.Path(given.folder, f"elbo_bench_{name}.h5")
        subprocess.run([given.python, "-c", f"import sys; sys.path.insert(0, {str(ROOT / 'tests/bench')!r}); import data; "
                        f"data.write({str(path)!r}, {layout!r})"], check=True)
        taken = ROWS if name == "contiguous" else 6000  # reading row by row is slow in the library
        seen = []
        for _ in range(given.rounds):
            ours = subprocess.run([ELBO, "bench", "data", path, "--rounds=1", "--data.shuffle_buffer_bytes=1073741824"], check=True,
                                  capture_output=True, text=True).stdout.splitlines()
            theirs = subprocess.run([given.python, __file__, "--rates", path, str(taken)], check=True, capture_output=True,
                                    text=True).stdout.split()
            seen.append([float(line.split()[-4]) for line in ours[-2:]] + [float(rate) for rate in theirs])
        path.unlink()
        elbo, library, h5py, loader = (statistics.median(column) for column in zip(*seen))
        print(f"| {name} | {elbo:,.0f} | {library:,.0f} | {h5py:,.0f} | {loader:,.0f} | {elbo / library:.1f} | "
              f"{elbo / loader:.1f} |", flush=True)


if __name__ == "__main__":
    main()
