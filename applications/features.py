#!/usr/bin/env python3
"""Codes as features: a linear probe and nearest neighbours on codes beside the same on principal components and on the rows.
docs/applications/features.md explains the protocol.

    python3 applications/features.py                       MNIST with z of 5 to 50, letters with z of 4 to 16
"""
import h5py
import numpy

import common

SETS = {"mnist": ("features_images", (5, 10, 20, 50)), "letter_recognition": ("features_table", (4, 8, 16))}
MEASURES = {"linear": ".3f", "neighbours": ".3f"}
FITTED = 10_000  # training rows at most for classifiers, at equal distances


def short_rows():
    """Five classes of rows on curves in twelve dimensions."""
    random = numpy.random.default_rng(0)
    label = random.integers(0, 5, 900)
    angle = random.uniform(0, 2, 900) + label
    x = numpy.stack([numpy.cos(k * angle + k) for k in range(1, 13)], 1) + 0.1 * random.standard_normal((900, 12))
    return (x[:600].astype("f4"), label[:600]), (x[600:].astype("f4"), label[600:])


def logistic_regression(x, label, classes, penalty=1.0, iterations=100):
    """Weights (features + 1, classes) of least Σ −log p(class) + penalty/2 ‖W‖², by L-BFGS."""
    from scipy.optimize import minimize
    x = numpy.c_[x, numpy.ones(len(x))]
    asked = numpy.eye(classes)[label]

    def loss(flat):
        weights = flat.reshape(x.shape[1], classes)
        logits = x @ weights
        logits -= logits.max(1, keepdims=True)
        log_p = logits - numpy.log(numpy.exp(logits).sum(1, keepdims=True))
        inner = weights.copy()
        inner[-1] = 0
        return -(asked * log_p).sum() + penalty / 2 * (inner ** 2).sum(), (x.T @ (numpy.exp(log_p) - asked) + penalty * inner).ravel()

    start = numpy.zeros(x.shape[1] * classes)
    return minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": iterations}).x.reshape(-1, classes)


def nearest_vote(train, label, rows, k=5, block=1000):
    """The class of most of the k nearest training rows, in Euclidean distance."""
    squares = (train ** 2).sum(1)
    result = []
    for begin in range(0, len(rows), block):
        distance = squares - 2 * rows[begin:begin + block] @ train.T
        near = label[numpy.argpartition(distance, k - 1, 1)[:, :k]]
        result.append([numpy.bincount(votes).argmax() for votes in near])
    return numpy.concatenate(result)


def probes(train, label, rows, asked):
    """Shares of rows whose class is found from features, by both classifiers. Standardised for the linear one."""
    chosen = numpy.linspace(0, len(train) - 1, min(FITTED, len(train))).astype(int)
    train, label = train[chosen].astype(float), label[chosen]
    mean, scale = train.mean(0), train.std(0) + 1e-9
    weights = logistic_regression((train - mean) / scale, label, int(label.max()) + 1)
    linear = (numpy.c_[(rows - mean) / scale, numpy.ones(len(rows))] @ weights).argmax(1)
    return {"linear": (linear == asked).mean(), "neighbours": (nearest_vote(train, label, rows) == asked).mean()}


def principal_components(train, rows, k):
    mean = train.mean(0)
    vectors = numpy.linalg.eigh(numpy.cov((train - mean).T))[1][:, -k:]
    return (train - mean) @ vectors, (rows - mean) @ vectors


def measure(job, table, name, config, sizes):
    if job.short:
        (train_x, train_label), (test_x, test_label) = short_rows()
        path = job.out / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = "tabular"
            for split, x, label in (("train", train_x, train_label), ("test", test_x, test_label)):
                file[f"{split}/x"], file[f"{split}/label"] = x, label
    else:
        path = job.data_named(name)
        with h5py.File(path) as file:
            train_x, train_label, test_x, test_label = (file[f"{split}/{part}"][:] for split in ("train", "test") for part in ("x", "label"))
    flat, flat_test = (x.reshape(len(x), -1).astype("f4") / (255 if x.dtype == numpy.uint8 else 1) for x in (train_x, test_x))
    curves = {"vae": [], "PCA": []}
    for z in sizes:
        found = []
        for seed in job.seeds:
            run = job.train(f"runs/{name}_{z}_{seed}", config, f"--data.path={path}", f"--model.latent={z}", f"--train.seed={seed}",
                            *(["--train.steps=400"] if job.short else []))
            codes = {split: job.rows("encode", run, path, f"--split={split}")["z"] for split in ("train", "test")}
            found.append(probes(codes["train"], train_label, codes["test"], test_label))
        curves["vae"].append({measure: [entry[measure] for entry in found] for measure in MEASURES})
        curves["PCA"].append(probes(*insert(principal_components(flat, flat_test, z), train_label), test_label))
        table.add(f"{name}, z = {z}: vae", curves["vae"][-1], "elbo")
        table.add(f"{name}, {z} components: PCA", curves["PCA"][-1])
    table.add(f"{name}: rows themselves", probes(flat, train_label, flat_test, test_label))
    return curves


def insert(pair, label):
    """(train, test) as the arguments of probes before the asked classes."""
    return pair[0], label, pair[1]


def draw(job, curves, sizes):
    plot = common.pyplot()
    if not plot:
        return
    figure, axes = plot.subplots(1, len(curves), figsize=(4 * len(curves), 3), squeeze=False)
    for axis, (name, lines) in zip(axes[0], curves.items()):
        for method, points in lines.items():
            for measure, style in (("linear", "-"), ("neighbours", "--")):
                axis.plot(sizes[name], [numpy.mean(point[measure]) for point in points], style, marker="o", label=f"{method}, {measure}")
        axis.set(title=name, xlabel="dimensions", ylabel="share of test rows that are right")
        axis.legend(fontsize=7)
    common.save_figure(job, figure)


def main():
    job = common.start("features", __doc__)
    sets = {"curves": ("features_table", (2, 4))} if job.short else SETS
    table = common.Table(job, "Codes as features", MEASURES)
    curves = {name: measure(job, table, name, config, sizes) for name, (config, sizes) in sets.items()}
    table.write()
    draw(job, curves, {name: sizes for name, (_, sizes) in sets.items()})


if __name__ == "__main__":
    main()
