#!/usr/bin/env python3
"""A negative binomial VAE of elbo beside scVI (Lopez et al. 2018) of scvi-tools: equal network, equal steps.

    single_cells.py [--elbo=build/elbo] [--epochs=400] [--seeds=3] [--folder=FOLDER]

Needs scvi-tools and scanpy, which ships the data: 700 blood cells of donor A of Zheng et al. 2017 (10x Genomics, CC BY 4.0), 765 genes,
ten cell types, eight batches (the channels of the instrument, in the cells' barcodes). Both models see log(1 + x) and the batch, have one
hidden layer of 128, ten latent variables, a dispersion for each gene, the cell's sum of counts as library size, and no batch norm or
dropout; Adam with scvi-tools' settings, no KL warm-up. Prints, for each seed and as means:

    test ELBO, test log p(x) (importance samples), both in nats per cell
    types:  cells whose type is the majority of their 15 nearest neighbours by latent mean
    mixing: entropy of the batches among the 30 nearest neighbours, 1 where they are as in all cells
"""
import argparse
import json
import pathlib
import subprocess
import tempfile
import warnings

import anndata
import h5py
import numpy
import scanpy
import scvi

BATCH, LATENT, HIDDEN, SAMPLES = 105, 10, 128, 200
TEST = 70  # of the 700 cells; the others are six batches of 105


def load():
    """The counts, which the file has as log(1 + counts · 10,000 / sum), to three decimals."""
    path = pathlib.Path(scanpy.__file__).parent / "datasets/10x_pbmc68k_reduced.h5ad"
    stored = anndata.read_h5ad(path)
    sums = stored.obs["n_counts"].to_numpy()[:, None]
    exact = numpy.expm1(stored.raw.X.toarray().astype("f8")) * sums / 1e4
    counts = numpy.round(exact)
    assert numpy.abs(exact - counts).max() < 0.1, "the logarithms do not belong to whole numbers"
    order = numpy.random.default_rng(0).permutation(len(counts))
    cells = anndata.AnnData(counts[order].astype("f4"))
    names = stored.obs_names[order]
    cells.obs["batch"] = [name.rpartition("-")[2] for name in names]
    cells.obs["type"] = stored.obs["bulk_labels"].to_numpy()[order].astype(str)
    return cells


def write(cells, path):
    batch = cells.obs["batch"].astype(int).to_numpy() - 1
    with h5py.File(path, "w") as file:
        for split, rows in (("train", slice(TEST, None)), ("test", slice(TEST))):
            file[f"{split}/x"], file[f"{split}/label"] = cells.X[rows], batch[rows]
        file.attrs.update(name="pbmc68k_reduced", source="Zheng et al. 2017, in scanpy", license="CC BY 4.0")


def neighbours(z, k):
    distances = ((z[:, None] - z[None]) ** 2).sum(2)
    numpy.fill_diagonal(distances, numpy.inf)
    return numpy.argsort(distances, 1)[:, :k]


def knn_figures(z, cells):
    types, batches = cells.obs["type"].to_numpy(), cells.obs["batch"].to_numpy()

    def majority(labels):
        values, counts = numpy.unique(labels, return_counts=True)
        return values[counts.argmax()]

    def entropy(labels):
        share = numpy.unique(labels, return_counts=True)[1] / len(labels)
        return -(share * numpy.log(share)).sum()
    right = numpy.mean([majority(types[near]) == own for near, own in zip(neighbours(z, 15), types)])
    # The entropy that 30 cells drawn from all would have, on average.
    rng = numpy.random.default_rng(1)
    expected = numpy.mean([entropy(rng.choice(batches, 30, replace=False)) for _ in range(2000)])
    return right, numpy.mean([entropy(batches[near]) for near in neighbours(z, 30)]) / expected


def of_elbo(program, data, folder, epochs, seed):
    run = folder / f"elbo{seed}"
    command = [program, "train", data, f"--run.directory={run}", "--model.name=cvae", "--model.likelihood=negative_binomial",
               "--model.library=observed", "--model.dispersion=gene", f"--model.latent={LATENT}", f"--network.hidden={HIDDEN}",
               "--network.kind=mlp", f"--train.batch={BATCH}", "--train.microbatch=35", f"--train.epochs={epochs}",
               f"--train.seed={seed}", "--optimizer.lr=1e-3", "--optimizer.epsilon=0.01", "--optimizer.weight_decay=1e-6",
               "--evaluate.every=never"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    out = folder / f"elbo{seed}.json"
    subprocess.run([program, "evaluate", run, "--split=test", f"--importance_samples={SAMPLES}", f"--out={out}"], check=True,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    codes = folder / f"codes{seed}.h5"
    z = []
    for split in ("test", "train"):
        codes.unlink(missing_ok=True)
        subprocess.run([program, "encode", run, data, f"--split={split}", f"--out={codes}"], check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        with h5py.File(codes) as file:
            z.append(file["z"][()])
    found = json.loads(out.read_text())
    return found["elbo"], -found["nll"], numpy.concatenate(z)


def of_scvi(cells, epochs, seed):
    scvi.settings.seed = seed
    scvi.settings.verbosity = 40
    scvi.model.SCVI.setup_anndata(cells, batch_key="batch")
    model = scvi.model.SCVI(cells, n_hidden=HIDDEN, n_latent=LATENT, n_layers=1, dropout_rate=0.0, dispersion="gene",
                            gene_likelihood="nb", use_batch_norm="none", use_layer_norm="none", encode_covariates=True)
    test, train = numpy.arange(TEST), numpy.arange(TEST, len(cells))
    model.train(max_epochs=epochs, batch_size=BATCH, accelerator="cpu", enable_progress_bar=False, logger=False,
                datasplitter_kwargs={"external_indexing": [train, numpy.array([], int), test]},
                plan_kwargs={"lr": 1e-3, "eps": 0.01, "weight_decay": 1e-6, "n_epochs_kl_warmup": None})
    elbo = numpy.mean([-abs(float(model.get_elbo(indices=test))) for _ in range(SAMPLES)])
    log_p = float(model.get_marginal_ll(indices=test, n_mc_samples=SAMPLES))
    return elbo, log_p, model.get_latent_representation()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--elbo", default=str(pathlib.Path(__file__).resolve().parents[2] / "build/elbo"))
    parser.add_argument("--epochs", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--folder", type=pathlib.Path, default=None)
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    folder = options.folder or pathlib.Path(tempfile.mkdtemp(prefix="single_cells_"))
    folder.mkdir(parents=True, exist_ok=True)
    cells, data = load(), folder / "pbmc68k_reduced.h5"
    write(cells, data)
    principal = scanpy.pp.pca(numpy.log1p(1e4 * cells.X / cells.X.sum(1, keepdims=True)), n_comps=LATENT)
    print(f"{'':<12}{'ELBO':>10}{'log p(x)':>10}{'types':>8}{'mixing':>8}")
    print("%-12s%10s%10s%8.3f%8.3f" % ("PCA", "", "", *knn_figures(principal, cells)))
    for name, fit in (("elbo", lambda seed: of_elbo(options.elbo, data, folder, options.epochs, seed)),
                      ("scvi-tools", lambda seed: of_scvi(cells, options.epochs, seed))):
        rows = []
        for seed in range(1, options.seeds + 1):
            elbo, log_p, z = fit(seed)
            rows.append((elbo, log_p, *knn_figures(z, cells)))
            print("%-12s%10.2f%10.2f%8.3f%8.3f" % (f"{name} {seed}", *rows[-1]), flush=True)
        print("%-12s%10.2f%10.2f%8.3f%8.3f" % (name, *numpy.mean(rows, 0)))


if __name__ == "__main__":
    main()
