#!/usr/bin/env python3
"""Fifty labels a class: samples of a conditional VAE as further training rows, beside shifted and turned copies, and beside a VAE
that learns from all rows without labels. docs/applications/augmentation.md explains the protocol.

    python3 applications/augmentation.py                   MNIST with 500 labels
"""
import h5py
import numpy

import common

LABELS = 50  # a class
COPIES = 10  # of each labelled row


def short_images():
    """Five classes of 10 × 10 images: a bar at a height, shifted and turned a little."""
    random = numpy.random.default_rng(0)
    label = random.integers(0, 5, 900)
    x = numpy.zeros((900, 10, 10), "f4")
    for image, height in zip(x, label):
        image[2 * height, :random.integers(3, 10)] = random.uniform(0.5, 1)
    x += 0.15 * random.random(x.shape)
    return (x[:600, None].clip(0, 1), label[:600]), (x[600:, None].clip(0, 1), label[600:])


def labelled_rows(label, seed, count):
    """`count` rows of each class, by the seed."""
    random = numpy.random.default_rng(seed)
    return numpy.concatenate([random.choice(numpy.flatnonzero(label == digit), count, replace=False) for digit in range(label.max() + 1)])


def moved_copies(x, seed, copies):
    """Copies of images (n, height, width), each shifted by up to 2 pixels, turned by up to 15 degrees, scaled by up to 10 %."""
    random = numpy.random.default_rng(seed)
    height, width = x.shape[1:]
    rows, columns = numpy.meshgrid(numpy.arange(height) - (height - 1) / 2, numpy.arange(width) - (width - 1) / 2, indexing="ij")
    result = []
    for image in numpy.repeat(x, copies, 0):
        angle, scale, shift = random.uniform(-0.26, 0.26), random.uniform(0.9, 1.1), random.uniform(-2, 2, 2) * height / 28
        r = (numpy.cos(angle) * rows - numpy.sin(angle) * columns) / scale + (height - 1) / 2 + shift[0]
        c = (numpy.sin(angle) * rows + numpy.cos(angle) * columns) / scale + (width - 1) / 2 + shift[1]
        result.append(bilinear(image, r, c))
    return numpy.stack(result).astype("f4")


def bilinear(image, r, c):
    """Values between pixels; 0 outside of the image."""
    padded = numpy.pad(image, 1)
    r, c = numpy.clip(r + 1, 0, image.shape[0] + 0.999), numpy.clip(c + 1, 0, image.shape[1] + 0.999)
    i, j = r.astype(int), c.astype(int)
    a, b = r - i, c - j
    return ((1 - a) * ((1 - b) * padded[i, j] + b * padded[i, j + 1]) + a * ((1 - b) * padded[i + 1, j] + b * padded[i + 1, j + 1]))


def kernel_ridge(x, label, rows, penalty=1e-2):
    """Classes of `rows` by ridge regression on one-hot classes with a Gaussian kernel, whose width is the median distance of
    training rows divided by 2 (fixed before the test rows are seen)."""
    x, rows = (values.reshape(len(values), -1).astype("f4") for values in (x, rows))
    squares = (x ** 2).sum(1)

    def distance(other):
        return numpy.maximum((other ** 2).sum(1)[:, None] + squares - 2 * other @ x.T, 0)

    width = numpy.median(distance(x[:: max(1, len(x) // 500)])) / 4
    gram = numpy.exp(-distance(x) / (2 * width)) + numpy.float32(penalty) * numpy.eye(len(x), dtype="f4")
    weights = numpy.linalg.solve(gram, numpy.eye(label.max() + 1, dtype="f4")[label])
    return numpy.concatenate([numpy.exp(-distance(part) / (2 * width)) @ weights
                              for part in numpy.array_split(rows, -(-len(rows) // 2000))]).argmax(1)


def write_images(path, x, label=None):
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "image"
        file["train/x"] = x.astype("f4")
        if label is not None:
            file["train/label"] = label.astype("i8")
    return path


def sampled(job, x, label, seed):
    """COPIES · rows samples of a conditional VAE that is trained on the labelled rows."""
    data = write_images(job.out / f"labelled_{seed}.h5", x, label)
    run = job.train(f"runs/labelled_{seed}", "augmentation", f"--data.path={data}", f"--train.seed={seed}",
                    *(["--train.steps=300"] if job.short else []))
    made = job.rows("sample", run, f"--n={COPIES * len(x)}", f"--seed={seed}")
    return made["x"].reshape(-1, *x.shape[1:]), made["label"].astype(int)


def semi_supervised(job, unlabelled, x, label, rows, name, seed):
    """Classes of `rows` by q(y|x) of a model of all rows, of which (x, label) have a label and are a quarter of each batch."""
    data = job.out / f"{name}_{seed}.h5"
    if not data.exists():
        write_images(data, numpy.concatenate([x, unlabelled]), numpy.r_[label, numpy.full(len(unlabelled), -1)])
        with h5py.File(data, "r+") as file:
            file["train/weight"] = numpy.r_[numpy.full(len(x), len(unlabelled) / len(x) / 3), numpy.ones(len(unlabelled))]
    run = job.train(f"runs/{name}_{seed}", "augmentation_m2", f"--data.path={data}", f"--train.seed={seed}",
                    *(["--train.steps=150", "--network.hidden=32", "--model.latent=4"] if job.short else []))
    return codes(job, run, rows, f"{name}_test_{seed}")[:, :label.max() + 1].argmax(1)


def codes(job, run, x, name):
    return job.rows("encode", run, write_images(job.out / f"{name}.h5", x))["z"]


def main():
    job = common.start("augmentation", __doc__)
    if job.short:
        (train, train_label), (test, test_label) = short_images()
        count = 5
    else:
        with h5py.File(job.data_named("mnist")) as file:
            train, train_label, test, test_label = (file[f"{split}/{part}"][:] for split in ("train", "test") for part in ("x", "label"))
        train, test, count = train / numpy.float32(255), test / numpy.float32(255), LABELS
    found = {}

    def judge(method, x, label, rows):
        found.setdefault(method, []).append((kernel_ridge(x, label, rows) == test_label).mean())

    unlabelled = write_images(job.out / "unlabelled.h5", train)
    for seed in job.seeds:
        chosen = labelled_rows(train_label, seed, count)
        x, label = train[chosen], train_label[chosen].astype(int)
        copies, copied = moved_copies(x[:, 0], seed, COPIES)[:, None], numpy.repeat(label, COPIES)
        judge("labelled rows alone", x, label, test)
        judge("with moved copies", numpy.concatenate([x, copies]), numpy.r_[label, copied], test)
        made, made_label = sampled(job, x, label, seed)
        judge("with samples of cvae", numpy.concatenate([x, made]), numpy.r_[label, made_label], test)
        run = job.train(f"runs/unlabelled_{seed}", "features_images", f"--data.path={unlabelled}", f"--train.seed={seed}",
                        "--model.latent=50", *(["--train.steps=300", "--model.latent=8"] if job.short else []))
        z, z_copies, z_test = (codes(job, run, rows, f"{name}_{seed}") for name, rows in (("rows", x), ("copies", copies), ("test", test)))
        judge("codes of a vae of all rows (M1)", z, label, z_test)
        judge("codes of all rows, with moved copies", numpy.concatenate([z, z_copies]), numpy.r_[label, copied], z_test)
        rest = numpy.delete(train, chosen, 0)
        for method, given, its in (("m2_vae of all rows (M2)", x, label),
                                   ("m2_vae, with moved copies",
                                    numpy.concatenate([x, copies]), numpy.r_[label, copied])):
            guessed = semi_supervised(job, rest, given, its, test, "copies_m2" if "copies" in method else "m2", seed)
            found.setdefault(method, []).append((guessed == test_label).mean())
    table = common.Table(job, f"{count} labels a class", {"right": ".3f"})
    for method, values in found.items():
        table.add(method, {"right": values}, "elbo" if "vae" in method or "codes" in method else "baseline")
    table.write()
    common.save_grid(job, numpy.concatenate([rows[label_of == digit][:10, 0] for digit in range(label.max() + 1)
                                             for rows, label_of in ((copies, copied), (made, made_label))]), 20)


if __name__ == "__main__":
    main()
