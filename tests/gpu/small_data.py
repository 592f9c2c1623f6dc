#!/usr/bin/env python3
"""Small data sets for tests/gpu: small_data.py MNIST.h5 FOLDER. Needs NumPy and h5py.

mnist            the first 2,000 and 500 rows
wide, colour     the same digits enlarged to (1, 64, 64) and, in three colours, to (3, 64, 64)
moving_digits    a digit that crosses a square, (20, 1, 64, 64)
bach_chorales    random chords with a length, (128, 88)
wordnet_examples random tokens of a vocabulary of 10,000, (24)

Names and shapes are those that configs/ expects. Random rows exercise the same kernels as real ones.
"""
import pathlib
import sys

import h5py
import numpy


def digits(source, split, rows):
    with h5py.File(source) as file:
        return file[f"{split}/x"][:rows], file[f"{split}/label"][:rows]


def enlarged(x):
    """(n, 1, 28, 28) → (n, 1, 64, 64): each pixel doubled, and a border of four."""
    return numpy.pad(x.repeat(2, 2).repeat(2, 3), ((0, 0), (0, 0), (4, 4), (4, 4)))


def coloured(x):
    shade = numpy.linspace(0.3, 1, 3)[(numpy.arange(len(x))[:, None] + numpy.arange(3)) % 3]
    return (enlarged(x) * shade[:, :, None, None]).astype("u1")


def moving(x, frames=20):
    rows = numpy.zeros((len(x), frames, 1, 64, 64), "u1")
    for frame in range(frames):
        rows[:, frame, :, frame:frame + 28, frame:frame + 28] = x
    return rows


def chords(random, rows):
    length = random.integers(32, 129, rows)
    x = random.random((rows, 128, 88)) < 0.05
    return (x & (numpy.arange(128)[:, None] < length[:, None, None])).astype("u1"), length


def phrases(random, rows):
    """<bos> words <eos> <pad> …"""
    length = random.integers(6, 25, rows)
    step = numpy.arange(24)
    x = numpy.where(step < length[:, None] - 1, random.integers(4, 10000, (rows, 24)), 0)
    x[:, 0] = 1
    x[numpy.arange(rows), length - 1] = 2
    return x.astype("i2"), length


def write(path, kind, splits, vocabulary=()):
    """splits: name → {dataset: rows}"""
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = kind
        for split, parts in splits.items():
            for name, rows in parts.items():
                chunks = (min(len(rows), 64), *rows.shape[1:])
                file.create_dataset(f"{split}/{name}", data=rows, chunks=chunks, compression="gzip", shuffle=True)
        if vocabulary:
            file["vocabulary"] = vocabulary


def main(source, folder):
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = numpy.random.default_rng(17)
    sizes = {"train": 2000, "test": 500}
    rows = {split: digits(source, split, n) for split, n in sizes.items()}
    write(folder / "mnist.h5", "image", {split: {"x": x, "label": label} for split, (x, label) in rows.items()})
    write(folder / "wide.h5", "image", {split: {"x": enlarged(x)} for split, (x, _) in rows.items()})
    write(folder / "colour.h5", "image", {split: {"x": coloured(x)} for split, (x, _) in rows.items()})
    write(folder / "moving_digits.h5", "sequence", {split: {"x": moving(x[:128])} for split, (x, _) in rows.items()})
    pieces = {split: dict(zip(("x", "length"), chords(random, 128))) for split in sizes}
    write(folder / "bach_chorales.h5", "sequence", pieces)
    texts = {split: dict(zip(("x", "length"), phrases(random, n))) for split, n in (("train", 1000), ("test", 200))}
    write(folder / "wordnet_examples.h5", "tokens", texts, ["<pad>", "<bos>", "<eos>", "<unk>", *(f"w{i}" for i in range(9996))])


if __name__ == "__main__":
    main(*sys.argv[1:])
