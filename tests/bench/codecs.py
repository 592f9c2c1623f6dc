#!/usr/bin/env python3
"""Speed of reading compressed rows: elbo on one and two threads, in training order, beside h5py with hdf5plugin, which reads
whole chunks in the order of the file. 256 MiB of float32 rows of 12 KiB in the page cache, in chunks of 512 KiB.

    tests/bench/codecs.py [--folder=/tmp] [--rounds=5]

Needs the h5py and hdf5plugin of `launch/wheels.py fields`.
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
ROWS, FEATURES, CHUNK = 21_840, 3072, 42
BYTES = ROWS * FEATURES * 4
CODECS = {
    "none": "{}",
    "deflate 4": "{'compression': 'gzip'}",
    "shuffle, deflate 4": "{'compression': 'gzip', 'shuffle': True}",
    "shuffle, LZF": "{'compression': 'lzf', 'shuffle': True}",
    "shuffle, zstd 3": "{**hdf5plugin.Zstd(), 'shuffle': True}",
    "LZ4": "hdf5plugin.LZ4()",
    "bitshuffle, LZ4": "hdf5plugin.Bitshuffle(cname='lz4')",
    "bitshuffle, zstd 3": "hdf5plugin.Bitshuffle(cname='zstd')",
    "Blosc: shuffle, LZ4": "hdf5plugin.Blosc(cname='lz4', shuffle=hdf5plugin.Blosc.SHUFFLE)",
    "Blosc: shuffle, zstd 5": "hdf5plugin.Blosc(cname='zstd', shuffle=hdf5plugin.Blosc.SHUFFLE)",
}


def write(path, codec):
    """A smooth signal with noise, in steps of 1/256, as instruments measure it."""
    import h5py
    import hdf5plugin
    import numpy
    dice = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        options = eval(codec, {"hdf5plugin": hdf5plugin})
        x = file.create_dataset("train/x", (ROWS, FEATURES), "<f4", chunks=(CHUNK, FEATURES), **options)
        places = numpy.linspace(0, 20, FEATURES, dtype="f4")
        for first in range(0, ROWS, CHUNK):
            signal = numpy.sin(places * dice.uniform(0.5, 2, (CHUNK, 1)) + dice.uniform(0, 6, (CHUNK, 1)))
            x[first:first + CHUNK] = numpy.round(256 * (signal + dice.normal(0, 0.02, signal.shape))) / 256


def read(path):
    """Prints the seconds in which h5py reads the rows."""
    import h5py
    import hdf5plugin  # noqa: F401
    with h5py.File(path) as file:
        x = file["train/x"]
        start = time.perf_counter()
        for first in range(0, ROWS, CHUNK):
            x[first:first + CHUNK]
        print(time.perf_counter() - start)


def in_python(*words):
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "deps/python")}
    return subprocess.run([sys.executable, __file__, *map(str, words)], check=True, env=environment, text=True,
                          stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout


def rate_of_elbo(path, threads):
    lines = subprocess.run([ELBO, "bench", "data", path, "--rounds=1", f"--threads={threads}",
                            "--data.shuffle_buffer_bytes=1073741824"], check=True, capture_output=True, text=True).stdout
    assert "read directly" in lines, lines
    return float(lines.splitlines()[2].split()[-4]) * FEATURES * 4 / 1e6  # below two lines of headings


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--folder", type=pathlib.Path, default="/tmp")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", nargs=2)
    parser.add_argument("--read")
    given = parser.parse_args()
    if given.write:
        return write(*given.write)
    if given.read:
        return read(given.read)
    print("| MB/s of float32 | file | elbo, 1 thread | elbo, 2 threads | h5py | 1 thread : h5py | 2 threads : h5py |\n"
          "|---|---|---|---|---|---|---|")
    for name, codec in CODECS.items():
        path = given.folder / "elbo_bench_codec.h5"
        in_python("--write", path, codec)
        seen = [(rate_of_elbo(path, 1), rate_of_elbo(path, 2), BYTES / 1e6 / float(in_python("--read", path)))
                for _ in range(given.rounds)]
        size = path.stat().st_size / BYTES
        path.unlink()
        rates = " | ".join(f"{statistics.median(column):,.0f}" for column in zip(*seen))
        ratios = [[round[method] / round[2] for round in seen] for method in (0, 1)]
        print(f"| {name} | {size:.0%} | {rates} | " +
              " | ".join(f"{statistics.median(column):.1f} (lowest {min(column):.1f})" for column in ratios) + " |", flush=True)


if __name__ == "__main__":
    main()
