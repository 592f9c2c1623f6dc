#!/usr/bin/env python3
"""Music: the likelihood of chorales under a vrnn, in nats a frame, and new ones as .mid files.

A frame says which of 88 keys sound at a step.
"""
import h5py
import numpy

import common

FRAMES = 64                 # of a row: the model begins each part of a longer piece without a memory of the part before
MEASURES = {"nats a frame": ".2f", "−ELBO a frame": ".2f", "KL a frame": ".2f"}


# ---- Pieces --------------------------------------------------------------------------------------------------------

def pieces_of(path):
    """{split: list of pieces (frames, 88) of 0 and 1}. Rows without a note are counted and left out."""
    with h5py.File(path) as file:
        if "train/x" not in file or file["train/x"].shape[2:] != (88,):
            common.fail(f"{path} has no piano rolls; elbo convert piano_rolls FILE.json makes such a file")
        splits = {}
        for split in ("train", "validation", "test"):
            if split not in file:
                common.fail(f"{path} has no group {split}; expected train, validation and test")
            x = file[f"{split}/x"][:]
            lengths = file[f"{split}/length"][:] if f"{split}/length" in file else [x.shape[1]] * len(x)
            rows = [(row[:length] > 0).astype("u1") for row, length in zip(x, lengths)]
            silent = [number for number, row in enumerate(rows) if not row.any()]
            if silent:
                print(f"{split}: {len(silent)} of {len(rows)} rows have no note and are left out: row {silent[0]} and others",
                      flush=True)
            splits[split] = [row for row in rows if row.any()]
        return splits


def in_any_key(piece):
    """The same for all transpositions of a piece."""
    keys = numpy.nonzero(piece.any(0))[0]
    return piece[:, keys[0]:keys[-1] + 1].tobytes() + bytes([keys[-1] - keys[0]])


def without_copies(pieces):
    """Training pieces that are not in validation or test, in this or another key."""
    measured = {in_any_key(piece) for split in ("validation", "test") for piece in pieces[split]}
    kept = [piece for piece in pieces["train"] if in_any_key(piece) not in measured]
    copies = len(pieces["train"]) - len(kept)
    if copies:
        print(f"{copies} training pieces are in validation or test, too, and are left out of training", flush=True)
    common.assert_disjoint(map(in_any_key, kept), measured, "pieces")
    return {**pieces, "train": kept}


def write_pieces(path, splits):
    with h5py.File(path, "w") as file:
        file.attrs["kind"], file.attrs["lowest_key"] = "sequence", 21
        for split, pieces in splits.items():
            parts = [piece[begin:begin + FRAMES] for piece in pieces for begin in range(0, len(piece), FRAMES)]
            x = numpy.zeros((len(parts), FRAMES, 88), "u1")
            for row, part in zip(x, parts):
                row[:len(part)] = 255 * part
            file.create_dataset(f"{split}/x", data=x, compression="gzip", chunks=(1, FRAMES, 88))
            file[f"{split}/length"] = numpy.array([len(part) for part in parts], "i4")


def made_pieces():
    """For --short: walks of three parallel voices, one piece without a note, and one that is in training and in test."""
    random = numpy.random.default_rng(0)

    def piece():
        x = numpy.zeros((random.integers(12, 20), 88), "u1")
        melody = 40 + numpy.cumsum(random.integers(-2, 3, len(x)))
        for frame, key in zip(x, melody):
            frame[[key, key + 4, key + 7]] = 1
        return x

    splits = {split: [piece() for _ in range(count)] for split, count in (("train", 20), ("validation", 4), ("test", 4))}
    splits["train"].append(numpy.zeros((5, 88), "u1"))
    splits["train"].append(numpy.roll(splits["test"][0], 3, 1))
    return splits


# ---- Baselines -------------------------------------------------------------------------------------------------------

def frames(pieces):
    """Two frames before each frame (n, 176), zeros before a piece begins, and the frames (n, 88)."""
    before, all_frames = [], []
    for piece in pieces:
        padded = numpy.concatenate([numpy.zeros((2, 88), "f4"), piece.astype("f4")])
        before.append(numpy.concatenate([padded[:-2], padded[1:-1]], 1))
        all_frames.append(padded[2:])
    return numpy.concatenate(before), numpy.concatenate(all_frames)


def independent_keys(pieces):
    _, train = frames(pieces["train"])
    _, test = frames(pieces["test"])
    share = (train.sum(0) + 0.5) / (len(train) + 1)
    return -(test * numpy.log(share) + (1 - test) * numpy.log(1 - share)).sum(1).mean()


class TwoFrames:
    """The keys of a frame, independent given the two frames before it: a network with one hidden layer, trained by Adam."""

    def __init__(self, seed, hidden):
        self.random = numpy.random.default_rng(seed)
        sizes = [(176, hidden), (hidden, 88)]
        self.weights = [self.random.standard_normal(size).astype("f4") * numpy.float32((2 / size[0]) ** 0.5) for size in sizes]
        self.weights += [numpy.zeros(size[1], "f4") for size in sizes]
        self.moments = [[numpy.zeros_like(weight) for weight in self.weights] for _ in range(2)]
        self.steps = 0

    def forward(self, before):
        hidden = numpy.maximum(before @ self.weights[0] + self.weights[2], 0)
        return hidden, hidden @ self.weights[1] + self.weights[3]

    def nats(self, before, after):
        _, logits = self.forward(before)
        return float((numpy.logaddexp(0, logits) - after * logits).sum(1).mean())

    def step(self, before, after, rate=1e-3):
        hidden, logits = self.forward(before)
        error = (1 / (1 + numpy.exp(-logits)) - after) / len(after)
        below = (error @ self.weights[1].T) * (hidden > 0)
        gradients = [before.T @ below, hidden.T @ error, below.sum(0), error.sum(0)]
        self.steps += 1
        for weight, gradient, first, second in zip(self.weights, gradients, *self.moments):
            first += 0.1 * (gradient - first)
            second += 0.001 * (gradient ** 2 - second)
            unbiased = second / (1 - 0.999 ** self.steps)
            weight -= rate / (1 - 0.9 ** self.steps) * first / (unbiased ** 0.5 + 1e-8)


def two_frames(pieces, seed, epochs, hidden=256, batch=256):
    """Nats a frame of the test part after the epoch with the best validation part."""
    train, validation, test = (frames(pieces[split]) for split in ("train", "validation", "test"))
    network, best = TwoFrames(seed, hidden), (numpy.inf, None)
    for _ in range(epochs):
        order = network.random.permutation(len(train[0]))
        for begin in range(0, len(order), batch):
            rows = order[begin:begin + batch]
            network.step(train[0][rows], train[1][rows])
        best = min(best, (network.nats(*validation), network.nats(*test)))
    return best[1]


# ---- The model ---------------------------------------------------------------------------------------------------------

def measure(job, run, split, samples):
    """Nats a frame: of −log p(x) from importance samples, of −ELBO and of the KL term."""
    result = job.evaluate(run, f"--split={split}", f"--importance_samples={samples}", "--checkpoint=best")
    frames_a_row = result["nll"] / result["nats_per_step"]
    return {"nats a frame": result["nats_per_step"], "−ELBO a frame": -result["elbo"] / frames_a_row,
            "KL a frame": result["kl"] / frames_a_row}


def difference(pieces):
    """The mean share of keys on which two pieces differ at a step, of the keys that sound in one of them."""
    shares = []
    for number, one in enumerate(pieces):
        for other in pieces[:number]:
            length = min(len(one), len(other))
            either = numpy.logical_or(one[:length], other[:length]).sum()
            shares.append((one[:length] != other[:length]).sum() / max(either, 1))
    return numpy.mean(shares)


def describe(pieces):
    sounding = numpy.mean([piece.sum(1).mean() for piece in pieces])
    held = numpy.mean([((piece[1:] == 1) & (piece[:-1] == 1)).sum() / max(piece[1:].sum(), 1) for piece in pieces])
    return (f"{sounding:.2f} keys a frame, {held:.0%} of them held from the frame before, "
            f"two pieces differ in {difference(pieces):.0%}")


def draw(job, rolls):
    plot = common.pyplot()
    if plot is None:
        return
    keys = numpy.flatnonzero(numpy.any([roll.any(0) for _, roll in rolls], 0))
    lowest, end = keys[0], keys[-1] + 1
    figure, axes = plot.subplots(len(rolls), 1, figsize=(9, 1.7 * len(rolls)), sharex=True)
    for axis, (title, roll) in zip(axes, rolls):
        axis.imshow(roll[:, lowest:end].T, origin="lower", aspect="auto", cmap="Greys", interpolation="nearest",
                    extent=(0, len(roll), 21 + lowest, 21 + end))
        axis.set_title(title, fontsize=8, loc="left")
        axis.set_ylabel("MIDI pitch", fontsize=7)
    axes[-1].set_xlabel("frame")
    figure.tight_layout()
    common.save_figure(job, figure)


def main():
    job = common.start("chorales", __doc__.splitlines()[0], "bach_chorales")
    if job.short:
        write_pieces(job.out / "pieces.h5", made_pieces())
    pieces = without_copies(pieces_of(job.out / "pieces.h5" if job.short else job.data()))
    data = job.out / "rows.h5"
    if not data.exists():
        write_pieces(data, pieces)
    total = {split: sum(map(len, rows)) for split, rows in pieces.items()}
    print(", ".join(f"{split}: {len(pieces[split])} pieces, {frames_:,} frames" for split, frames_ in total.items()), flush=True)

    table = common.Table(job, f"Music: {len(pieces['test'])} test pieces, {total['test']:,} frames", MEASURES)
    table.add("independent keys", {"nats a frame": independent_keys(pieces)})
    epochs = 1 if job.short else 40
    table.add("two frames through an MLP", {"nats a frame": [two_frames(pieces, seed, epochs) for seed in job.seeds]})
    small = ["--train.steps=20", "--model.warmup_steps=5", "--model.hidden=16", "--network.hidden=16"] if job.short else []
    runs = [job.train(f"vrnn_{seed}", "chorales", f"--data.path={data}", f"--train.seed={seed}", *small) for seed in job.seeds]
    measured = [measure(job, run, "test", 2 if job.short else 20) for run in runs]
    table.add("vrnn", {name: [each[name] for each in measured] for name in MEASURES}, "elbo")

    count = 4 if job.short else 16
    drawn = [f"--n={count}", "--checkpoint=best", "--elements=drawn"]
    job.elbo("sample", runs[0], *drawn, f"--out={job.out / 'samples.mid'}", "--force")
    made = list(job.rows("sample", runs[0], *drawn)["x"] > 0)
    table.note(f"Test pieces: {describe(pieces['test'])}.")
    table.note(f"Drawn pieces: {describe(made)}.")
    table.write()
    draw(job, [("a test piece", pieces["test"][0]), *((f"drawn, {number}", roll) for number, roll in enumerate(made[:2], 1))])


if __name__ == "__main__":
    main()
