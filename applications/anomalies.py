#!/usr/bin/env python3
"""Anomalies in tables and images: a VAE's −ELBO and errors of reconstruction beside neighbours, isolation forest, PCA and
Mahalanobis distance. docs/applications/anomalies.md explains the protocols.

    python3 applications/anomalies.py --tables             Shuttle and Satellite, each with clean and with all rows
    python3 applications/anomalies.py --digits             MNIST, each digit left out of training in turn
"""
import h5py
import numpy

import common


def area_under_roc(score, anomalous):
    """The probability that an anomaly scores higher than another row (Fawcett 2006, section 7)."""
    order = numpy.argsort(score, kind="stable")
    values, first, counts = numpy.unique(score[order], return_index=True, return_counts=True)
    ranks = numpy.empty(len(score))
    ranks[order] = numpy.repeat(first + (counts + 1) / 2, counts)
    count = anomalous.sum()
    return (ranks[anomalous].sum() - count * (count + 1) / 2) / (count * (len(score) - count))


def average_precision(score, anomalous):
    """Σ (R_t − R_{t−1}) P_t over the distinct scores, from the highest (Davis & Goadrich 2006)."""
    order = numpy.argsort(-score, kind="stable")
    last = numpy.r_[numpy.diff(score[order]) != 0, True]  # of equal scores
    found = numpy.cumsum(anomalous[order])[last]
    precision = found / (numpy.flatnonzero(last) + 1)
    return (numpy.diff(numpy.r_[0, found]) * precision).sum() / anomalous.sum()


def neighbours(train, rows, k, skip_itself=False, block=512):
    """Euclidean distances of `rows` to their k nearest training rows, (rows, k)."""
    squares = (train ** 2).sum(1)
    k += skip_itself
    nearest = []
    for begin in range(0, len(rows), block):
        part = rows[begin:begin + block]
        distance = (part ** 2).sum(1)[:, None] - 2 * part @ train.T + squares
        nearest.append(numpy.sort(numpy.partition(distance, k - 1, 1)[:, :k], 1))
    return numpy.sqrt(numpy.maximum(numpy.concatenate(nearest)[:, int(skip_itself):], 0))


def principal(train, share):
    """The directions that explain `share` of the variance, (features, k), and the mean."""
    mean = train.mean(0)
    values, vectors = numpy.linalg.eigh(numpy.cov(train.T))
    k = int((numpy.cumsum(values[::-1]) / values.sum() < share).sum()) + 1
    return vectors[:, -k:], mean


def pca_errors(x, train, test):
    """Squared errors of reconstruction from the components that explain 90 % of the variance."""
    vectors, mean = principal(x[train].astype(float), 0.9)
    centred = x[test] - mean
    return ((centred - centred @ vectors @ vectors.T) ** 2).sum(1)


def baselines(x, train, test, seed):
    """{name: score of each test row}, higher for anomalies."""
    errors = pca_errors(x, train, test)
    among_training = bool(numpy.isin(test, train).all())
    train, rows = x[train].astype(float), x[test].astype(float)
    centred = rows - train.mean(0)
    near = neighbours(train, rows, 5, among_training)
    precision = numpy.linalg.pinv(numpy.cov(train.T))
    result = {"nearest neighbour": near[:, 0], "5th nearest neighbour": near[:, -1], "PCA": errors,
              "Mahalanobis distance": numpy.einsum("ij,jk,ik->i", centred, precision, centred)}
    if common.scikit_learn():
        from sklearn.ensemble import IsolationForest
        result["isolation forest"] = -IsolationForest(random_state=seed).fit(train).score_samples(rows)
    return result


def split_rows(label, clean, seed):
    """Numbers of the rows for training and test. clean: half of the normal rows train, the others and all anomalies are test;
    else all rows train, and are scored but for every fifth, whose labels were used to choose settings."""
    if not clean:
        rows = numpy.arange(len(label))
        return rows, rows[rows % 5 != 0]
    normal = numpy.random.default_rng(seed).permutation(numpy.flatnonzero(label == 0))
    train = numpy.sort(normal[:len(normal) // 2])
    return train, numpy.setdiff1d(numpy.arange(len(label)), train)


def standardised(x, train):
    """Columns with mean 0 and deviation 1 in the training rows."""
    mean, scale = x[train].mean(0), x[train].std(0)
    return ((x - mean) / numpy.where(scale > 0, scale, 1)).astype("f4")


def ranks(x, train):
    """Columns as ranks among the training rows, equal values at the middle of theirs, with mean 0 and deviation 1."""
    result = numpy.empty(x.shape, "f4")
    for column, values in enumerate(x.T):
        ordered = numpy.sort(values[train])
        below, to = (numpy.searchsorted(ordered, values, side) for side in ("left", "right"))
        result[:, column] = ((below + to) / (2 * len(ordered)) - 0.5) * 12 ** 0.5
    return result


def write_split(path, rows, label, train, test):
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "tabular"
        file["train/x"], file["test/x"], file["test/label"] = rows[train], rows[test], label[test].astype("i8")


def short_table():
    """Three groups of rows on planes in six dimensions, and anomalies off them."""
    random = numpy.random.default_rng(0)
    group = random.integers(0, 3, 1200)
    x = numpy.einsum("nk,nkf->nf", random.standard_normal((1200, 2)), random.standard_normal((3, 2, 6))[group])
    x += 3 * random.standard_normal((3, 6))[group] + 0.1 * random.standard_normal((1200, 6))
    label = numpy.zeros(1200, int)
    label[:100] = 1
    x[:100] += 2 * random.standard_normal((100, 6))
    return x, label


# What is trained, and the form of the columns.
METHODS = {("shuttle", "clean"): ("anomalies_clean", standardised), ("satellite", "clean"): ("anomalies_clean", standardised),
           ("shuttle", "all"): ("anomalies_shuttle_all", ranks), ("satellite", "all"): ("anomalies_satellite_all", standardised),
           ("planes", "clean"): ("anomalies_clean", standardised), ("planes", "all"): ("anomalies_satellite_all", standardised)}


def tables(job):
    table = common.Table(job, "Anomalies in tables", {f"{name}, {rows}: {measure}": ".4f" for name in names(job)
                                                      for rows in ("clean", "all") for measure in ("AUROC", "AUPRC")})
    scores, images = {}, []
    for name in names(job):
        if job.short:
            x, label = short_table()
        else:
            with h5py.File(job.data_named(name)) as file:
                x, label = file["train/x"][:], file["train/label"][:]
        for rows in ("clean", "all"):
            for seed in job.seeds:
                train, test = split_rows(label, rows == "clean", seed)
                if rows == "clean":
                    common.assert_disjoint(train.tolist(), test.tolist(), "rows")
                path = job.out / f"{name}_{rows}_{seed}.h5"
                config, form = METHODS[name, rows]
                write_split(path, form(x, train), label, train, test)
                anomalous = label[test] != 0
                run = job.train(f"runs/{name}_{rows}_{seed}", config, f"--data.path={path}", f"--train.seed={seed}",
                                *(["--train.steps=300"] if job.short else []))
                found = {"vae, −ELBO": job.rows("score", run, path, "--split=test", f"--importance_samples={10 if job.short else 20}",
                                                "--by=negative_elbo")["score"],
                         "vae, squared error": job.rows("score", run, path, "--split=test", "--by=squared_error")["score"],
                         **baselines(standardised(x, train), train, test, seed)}
                found["PCA on ranks"] = pca_errors(ranks(x, train), train, test)
                for method, score in found.items():
                    measures = scores.setdefault(method, {})
                    for measure, value in (("AUROC", area_under_roc(score, anomalous)), ("AUPRC", average_precision(score, anomalous))):
                        measures.setdefault(f"{name}, {rows}: {measure}", []).append(value)
                if seed == 1:
                    images.append((f"{name}, {rows} rows", found, anomalous))
    for method, values in scores.items():
        table.add(method, values, "elbo" if method.startswith("vae") else "baseline")
    table.write("tables")
    draw_curves(job, images)


def names(job):
    return ["planes"] if job.short else ["shuttle", "satellite"]


def draw_curves(job, images):
    """Share of anomalies that are found against the share of false alarms, of seed 1."""
    plot = common.pyplot()
    if not plot:
        return
    figure, axes = plot.subplots(1, len(images), figsize=(3.2 * len(images), 3), squeeze=False)
    for axis, (title, found, anomalous) in zip(axes[0], images):
        for method, score in found.items():
            order = anomalous[numpy.argsort(-score, kind="stable")]
            axis.plot(numpy.cumsum(~order) / (~order).sum(), numpy.cumsum(order) / order.sum(), label=method,
                      linewidth=2 if method.startswith("vae") else 1)
        axis.set(title=title, xlabel="false alarms", xscale="symlog", xlim=(0, 1), ylim=(0, 1))
        axis.set_xscale("symlog", linthresh=0.01)
    axes[0][0].set_ylabel("anomalies found")
    axes[0][-1].legend(fontsize=7)
    common.save_figure(job, figure)


def short_digits():
    """Ten kinds of 10 × 10 images: a bar at one of ten heights, of random length and brightness."""
    random = numpy.random.default_rng(0)
    label = random.integers(0, 10, 700)
    x = numpy.zeros((700, 1, 10, 10), "f4")
    for image, height in zip(x[:, 0], label):
        image[height, :random.integers(4, 10)] = random.uniform(0.5, 1)
    return (x[:500], label[:500]), (x[500:], label[500:])


def digits(job):
    """One-class learning with a digit left out of training; the test rows of that digit are the anomalies."""
    if job.short:
        (train_x, train_label), (test_x, test_label) = short_digits()
    else:
        with h5py.File(job.data_named("mnist")) as file:
            train_x, train_label, test_x, test_label = (file[name][:] for name in ("train/x", "train/label", "test/x", "test/label"))
    left_out = [4] if job.short else range(10)
    scores = {}
    nearest = nearest_by_class(train_x, train_label, test_x)
    for digit in left_out:
        kept = train_label != digit
        anomalous = test_label == digit
        path = job.out / f"without_{digit}.h5"
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = "image"
            file["train/x"], file["test/x"], file["test/label"] = train_x[kept], test_x, test_label.astype("i8")
        found = pca_of_images(train_x[kept], test_x)
        found["nearest neighbour"] = numpy.delete(nearest, digit, 0)[:, :, 0].min(0)
        found["5th nearest neighbour"] = numpy.sort(numpy.concatenate(numpy.delete(nearest, digit, 0), 1), 1)[:, 4]
        for method, score in found.items():
            scores.setdefault(method, []).append([area_under_roc(score, anomalous)])
        areas = {}
        for seed in job.seeds:
            run = job.train(f"runs/without_{digit}_{seed}", "anomalies_images", f"--data.path={path}", f"--train.seed={seed}",
                            *(["--train.steps=300", "--network.hidden=64"] if job.short else []))
            measured = job.evaluate(run, "--split=test", "--metrics=anomalies", f"--anomaly={digit}")
            for name, value in measured["anomalies"]["auroc"].items():
                areas.setdefault(f"vae, {name.replace('_', ' ')}", []).append(value)
        for method, values in areas.items():
            scores.setdefault(method, []).append(values)
        path.unlink()
    table = common.Table(job, "Anomalies: a digit left out of training, AUROC",
                         {"mean": ".3f", **{str(digit): ".3f" for digit in left_out}})
    for method, values in scores.items():
        table.add(method, {"mean": numpy.mean(values, 0), **{str(digit): numpy.mean(value) for digit, value in zip(left_out, values)}},
                  "elbo" if method.startswith("vae") else "baseline")
    table.write("digits")


def nearest_by_class(train, label, rows):
    """Distances of `rows` to their five nearest training images of each class, (10, rows, 5)."""
    flat, rows = (values.reshape(len(values), -1).astype("f4") / max(1, train.max()) for values in (train, rows))
    return numpy.stack([neighbours(flat[label == digit], rows, 5) for digit in range(10)])


def pca_of_images(train, rows):
    """Squared errors of reconstruction by PCA, and relative to ink."""
    x = numpy.concatenate([train, rows]).reshape(len(train) + len(rows), -1)
    x = x / numpy.float32(255 if x.dtype == numpy.uint8 else 1)
    error = pca_errors(x, slice(len(train)), slice(len(train), None))
    return {"PCA": error, "PCA, relative to ink": error / (x[len(train):] ** 2).sum(1)}


def main():
    job = common.start("anomalies", __doc__, add_options=lambda parser: [
        parser.add_argument("--tables", action="store_true", help="only the tables"),
        parser.add_argument("--digits", action="store_true", help="only the digits")])
    if job.options.tables or not job.options.digits:
        tables(job)
    if job.options.digits or not job.options.tables:
        digits(job)


if __name__ == "__main__":
    main()
