#!/usr/bin/env python3
"""Style: the 21 other capitals of a typeface from 5 of them.

A row is a typeface: the principal components of its 26 small letters. A VAE is trained on rows in which letters are missing,
and fills in those of typefaces that it has never seen (`elbo impute`).
"""
import h5py
import numpy

import common

LETTERS = 26
GIVEN = [0, 4, 6, 13, 18]   # a, e, g, n, s
ASKED = [letter for letter in range(LETTERS) if letter not in GIVEN]
COMPONENTS = 80             # of each letter
COPIES = 20                 # rows of a typeface, each lacks other letters
MEASURES = {"mean squared error": ".4f"}


def options(parser):
    parser.add_argument("--split", choices=["validation", "test"], default="test", help="typefaces that are completed")


# ---- Typefaces ------------------------------------------------------------------------------------------------------------

def typefaces(path):
    """{split: letters (n, 26, 1024) in [0, 1], ink is 1}. Validation has the last tenth of the training faces: the file is in the
    order of names, so families are not torn."""
    faces = {}
    with h5py.File(path) as file:
        for split in ("train", "test"):
            x, label = file[f"{split}/x"][:], file[f"{split}/label"][:]
            classes = int(label.max()) + 1
            if len(x) % classes or (label.reshape(-1, classes) != numpy.arange(classes)).any() or classes < LETTERS:
                common.fail(f"{path}, {split}: expected the characters 0, 1, … of one typeface after the other; "
                            "datasets/get.sh glyphs makes such a file")
            all_characters = 1 - x.reshape(-1, classes, x[0].size).astype("f4") / 255
            faces[split] = all_characters[:, :LETTERS]
            empty = ~(faces[split].max(2) > 0).all(1)
            if empty.any():
                print(f"{split}: {empty.sum()} of {len(empty)} typefaces have a letter without ink and are left out, "
                      f"the first is number {empty.argmax()}", flush=True)
                faces[split] = faces[split][~empty]
    held_out = max(1, len(faces["train"]) // 10)
    faces["validation"] = faces["train"][-held_out:]
    faces["train"] = faces["train"][:-held_out]
    for split in ("validation", "test"):
        same = {face.tobytes() for face in faces["train"]} & {face.tobytes() for face in faces[split]}
        if same:
            common.fail(f"{path}: {len(same)} typefaces are in train and in {split}")
    return faces


def made_typefaces(path):
    """For --short: letters are 26 fixed shapes, drawn with a stroke and a contrast that differ between faces; one has no ink."""
    random = numpy.random.default_rng(0)
    shapes = random.random((LETTERS, 64))
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "image"
        for split, count in {"train": 80, "test": 10}.items():
            threshold, slope = random.uniform(0.3, 0.7, (count, 1, 1)), random.uniform(4, 20, (count, 1, 1))
            ink = 1 / (1 + numpy.exp(-slope * (shapes - threshold)))
            if split == "train":
                ink[3, 2] = 0
            file[f"{split}/x"] = numpy.round(255 * (1 - ink)).astype("u1").reshape(-1, 1, 8, 8)
            file[f"{split}/label"] = numpy.tile(numpy.arange(LETTERS, dtype="i4"), count)


class Components:
    """The first principal components of each letter, in one unit for all."""

    def __init__(self, faces):
        self.count = min(COMPONENTS, len(faces) - 1, faces.shape[2])
        self.mean = faces.mean(0)
        self.axes = numpy.stack([numpy.linalg.svd(faces[:, letter] - self.mean[letter], full_matrices=False)[2][:self.count]
                                 for letter in range(LETTERS)])  # (26, count, 1024)
        self.unit = 1.0
        self.unit = self.of(faces).std()

    def of(self, faces):
        """(n, 26, count)"""
        return numpy.einsum("nlp,lcp->nlc", faces - self.mean, self.axes, optimize=True) / self.unit

    def draw(self, components):
        return self.mean + self.unit * numpy.einsum("nlc,lcp->nlp", components, self.axes, optimize=True)


# ---- Baselines ------------------------------------------------------------------------------------------------------------

def error(made, faces):
    return float(((numpy.clip(made, 0, 1) - faces[:, ASKED]) ** 2).mean())


def flat(faces, letters):
    return faces[:, letters].reshape(len(faces), -1)


def nearest(train, faces, count=5):
    """The mean of the faces whose given letters are nearest."""
    distances = ((flat(faces, GIVEN)[:, None] - flat(train, GIVEN)) ** 2).sum(2) if len(train) * len(faces) < 100 else \
        numpy.stack([((flat(train, GIVEN) - face) ** 2).sum(1) for face in flat(faces, GIVEN)])
    return numpy.stack([train[rows][:, ASKED].mean(0) for rows in distances.argsort(1)[:, :count]])


def ridge(train, faces, weight):
    """Ridge regression of all asked pixels on all given ones, in its dual form."""
    x, y = flat(train, GIVEN), flat(train, ASKED)
    mean_x, mean_y = x.mean(0), y.mean(0)
    x, y = x - mean_x, y - mean_y
    dual = numpy.linalg.solve(x @ x.T + weight * numpy.eye(len(x)), y)
    return ((flat(faces, GIVEN) - mean_x) @ x.T @ dual + mean_y).reshape(len(faces), len(ASKED), -1)


def best_ridge(faces):
    return min((10.0 ** power for power in range(0, 5)),
               key=lambda weight: error(ridge(faces["train"], faces["validation"], weight), faces["validation"]))


# ---- The model --------------------------------------------------------------------------------------------------------------

def with_letters(components, given):
    """Rows (n, 26 · count) in which only the letters in `given` (n, 26) are known."""
    return numpy.where(given[:, :, None], components, numpy.nan).reshape(len(components), -1).astype("f4")


def some_letters(count, random):
    """Which letters are given: 4 to 10 of them, at random."""
    return random.random((count, LETTERS)).argsort(1) < random.integers(4, 11, (count, 1))


def the_given(count):
    return numpy.tile(numpy.isin(numpy.arange(LETTERS), GIVEN), (count, 1))


def write_rows(path, **splits):
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "tabular"
        for split, rows in splits.items():
            file[f"{split}/x"] = rows


def complete(job, run, components, faces):
    """The asked letters (n, 21, pixels) of faces of which the model sees the given ones."""
    rows = job.out / "asked.h5"
    write_rows(rows, test=with_letters(components.of(faces), the_given(len(faces))))
    filled = job.rows("impute", run, rows, "--checkpoint=best")["x"].reshape(len(faces), LETTERS, -1)
    return components.draw(filled)[:, ASKED]


def draw(job, faces, made, straight):
    """Three lines for each of three faces: what is true, the ridge, and the VAE; given letters are shown in all."""
    side = int(faces.shape[2] ** 0.5)
    lines = []
    for number in range(min(3, len(faces))):
        for asked in (faces[number, ASKED], straight[number], made[number]):
            lines.append(numpy.concatenate([faces[number, GIVEN], asked]))
    common.save_grid(job, 1 - numpy.concatenate(lines).reshape(-1, side, side), LETTERS, scale=1)


def main():
    job = common.start("style", __doc__.splitlines()[0], "glyphs", options)
    if job.short:
        made_typefaces(job.out / "glyphs.h5")
    faces = typefaces(job.out / "glyphs.h5" if job.short else job.data())
    asked = faces[job.options.split]
    table = common.Table(job, f"Style: {len(ASKED)} letters of {len(asked)} typefaces ({job.options.split}) from {len(GIVEN)}",
                         MEASURES)
    table.add("mean letter", {"mean squared error": error(faces["train"].mean(0)[ASKED], asked)})
    table.add("five nearest typefaces", {"mean squared error": error(nearest(faces["train"], asked), asked)})
    weight = best_ridge(faces)
    straight = ridge(faces["train"], asked, weight)
    table.add("ridge", {"mean squared error": error(straight, asked)})
    components = Components(faces["train"])
    limit = error(components.draw(components.of(asked))[:, ASKED], asked)
    random = numpy.random.default_rng(0)
    data = job.out / "rows.h5"
    if not data.exists():
        train, validation = (numpy.tile(components.of(faces[split]), (COPIES, 1, 1)) for split in ("train", "validation"))
        write_rows(data, train=with_letters(train, some_letters(len(train), random)),
                   validation=with_letters(validation, some_letters(len(validation), random)))
    short = ["--train.steps=60", "--network.hidden=32", "--model.latent=4"] if job.short else []
    runs = [job.train(f"vae_{seed}", "style", f"--data.path={data}", f"--train.seed={seed}", *short) for seed in job.seeds]
    made = [complete(job, run, components, asked) for run in runs]
    table.add("vae", {"mean squared error": [error(each, asked) for each in made]}, "elbo")
    table.note(f"The components alone lose {limit:.4f}; the ridge has the weight {weight:g}, the best of validation.")
    table.write()
    if common.pyplot() is not None:
        draw(job, asked, made[0], straight)


if __name__ == "__main__":
    main()
