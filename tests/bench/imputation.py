#!/usr/bin/env python3
"""Compares imputation of missing values by elbo with the column's mean and with nearest neighbours.

    imputation.py [NAME…] [--key=value…]            needs h5py, scikit-learn and statsmodels, whose bundled tables it takes

A fifth of the values of each table are removed at random, and columns of which a single value is left. Prints the root mean square error of the filled-in values in
standard deviations of their columns, which is near 1 for the column's mean: mean, KNNImputer of scikit-learn (5 neighbours,
columns standardised), and elbo with its own settings for the table (elbo train TABLE.h5 --data.missing=mask).
"""
import os
import pathlib
import subprocess
import sys
import tempfile

import h5py
import numpy
import sklearn.datasets
import statsmodels.datasets
from sklearn.impute import KNNImputer

ELBO = os.environ.get("ELBO", str(pathlib.Path(__file__).resolve().parents[2] / "build/elbo"))
MISSING, NEIGHBOURS, SEED = 0.2, 5, 1


def of_scikit_learn(name):
    return lambda: getattr(sklearn.datasets, f"load_{name}")().data


def of_statsmodels(name):
    return lambda: getattr(statsmodels.datasets, name).load_pandas().data.select_dtypes("number").to_numpy()


TABLES = {name: of_scikit_learn(name) for name in ("breast_cancer", "diabetes", "digits", "iris", "wine")}
TABLES |= {name: of_statsmodels(name) for name in ("anes96", "fair", "macrodata", "randhie", "star98")}


def table(name):
    """Without rows with gaps, at most 5000 rows."""
    x = TABLES[name]().astype("f4")
    return x[numpy.isfinite(x).all(1)][:5000]


def impute_with_elbo(holes, folder, settings):
    data, run, out = folder / "table.h5", folder / "run", folder / "rows.h5"
    with h5py.File(data, "w") as file:
        file["train/x"] = holes
    for words in (["train", data, "--data.missing=mask", f"--run.directory={run}", *settings],
                  ["reconstruct", run, data, f"--n={len(holes)}", f"--out={out}"]):
        subprocess.run([ELBO, *map(str, words)], check=True, capture_output=True)
    with h5py.File(out) as file:
        return file["imputed"][()]


def errors(name, settings):
    x = table(name)
    observed = numpy.random.default_rng(SEED).random(x.shape) >= MISSING
    holes = numpy.where(observed, x, numpy.nan)
    varies = numpy.nanstd(holes, 0) > 0
    x, observed, holes = x[:, varies], observed[:, varies], holes[:, varies]
    mean, deviation = numpy.nanmean(holes, 0), numpy.nanstd(holes, 0)
    knn = KNNImputer(n_neighbors=NEIGHBOURS).fit_transform((holes - mean) / deviation) * deviation + mean
    with tempfile.TemporaryDirectory() as folder:
        ours = impute_with_elbo(holes, pathlib.Path(folder), settings)
    scale = x.std(0)
    error = lambda filled: numpy.sqrt((((filled - x) / scale)[~observed] ** 2).mean())
    return x.shape, error(numpy.broadcast_to(mean, x.shape)), error(knn), error(ours)


def main():
    names = [word for word in sys.argv[1:] if not word.startswith("--")]
    settings = [word for word in sys.argv[1:] if word.startswith("--")]
    print("| table | rows × columns | mean | 5 neighbours | elbo |\n|---|---|---|---|---|")
    for name in names or TABLES:
        (rows, columns), *found = errors(name, settings)
        print(f"| {name} | {rows} × {columns} | " + " | ".join(f"{error:.3f}" for error in found) + " |", flush=True)


if __name__ == "__main__":
    main()
