#!/usr/bin/env python3
"""Likelihoods of counts: one fingerprint for every number of ranks, and the log p of their definition."""
import json
import math
import unittest

import h5py
import numpy

from program import ProgramTest, run

CELLS, GENES, BATCHES = 300, 40, 3
SMALL = ("--train.steps=40", "--train.batch=60", "--train.microbatch=20", "--network.hidden=32", "--model.latent=4",
         "--data.validation_fraction=0.1", "--evaluate.every=20")
LIKELIHOODS = "poisson", "zero_inflated_poisson", "negative_binomial", "zero_inflated_negative_binomial"


LOG_GAMMA = numpy.vectorize(math.lgamma)


def negative_binomial(x, mean, theta):
    """The probability of x: Γ(x+θ)/(Γ(θ) x!) (θ/(θ+μ))^θ (μ/(θ+μ))^x."""
    coefficient = LOG_GAMMA(x + theta) - LOG_GAMMA(theta) - LOG_GAMMA(x + 1)
    return numpy.exp(coefficient + theta * numpy.log(theta / (theta + mean)) + x * numpy.log(mean / (theta + mean)))


def counts():
    rng = numpy.random.default_rng(0)
    mean = numpy.exp(rng.normal(0, 1.5, (4, GENES)))[rng.integers(0, 4, CELLS)] * rng.gamma(5, 0.2, (CELLS, 1))
    return rng.negative_binomial(2, 2 / (2 + mean)).astype("f4")


class Counts(ProgramTest):
    def sparse(self, name="cells.h5ad", x=None):
        """An AnnData file as anndata writes it: CSR, and a categorical column of observations."""
        x = counts() if x is None else x
        path, text = self.folder / name, h5py.string_dtype()
        with h5py.File(path, "w") as file:
            group = file.create_group("X")
            group.attrs["encoding-type"], group.attrs["shape"] = "csr_matrix", x.shape
            row, column = numpy.nonzero(x)
            group["data"], group["indices"] = x[row, column], column.astype("i4")
            group["indptr"] = numpy.append(0, numpy.cumsum((x > 0).sum(1))).astype("i4")
            for table, rows in (("obs", len(x)), ("var", x.shape[1])):
                file.create_dataset(f"{table}/_index", data=[f"{table}{i}" for i in range(rows)], dtype=text)
                file[table].attrs["_index"], file[table].attrs["encoding-type"] = "_index", "dataframe"
            batch = file["obs"].create_group("batch")
            batch.attrs["encoding-type"] = "categorical"
            batch["codes"] = (numpy.arange(len(x)) % BATCHES).astype("i1")
            batch.create_dataset("categories", data=["first", "second", "third"], dtype=text)
        return path

    def dense(self, x=None, name="dense.h5"):
        path = self.folder / name
        with h5py.File(path, "w") as file:
            file["train/x"] = counts() if x is None else x
            file["train/label"] = numpy.arange(CELLS) % BATCHES
        return path

    def test_dense_cells_are_counts_too(self):
        x = numpy.random.default_rng(1).poisson(2, (CELLS, GENES)).astype("f4")
        for name in ("X", "matrix"):  # AnnData, Loom
            path = self.folder / f"{name}.h5"
            with h5py.File(path, "w") as file:
                file[name] = x if name == "X" else x.T
                for table, rows in (("obs", CELLS), ("var", GENES)) if name == "X" else (("col_attrs", CELLS), ("row_attrs", GENES)):
                    file[f"{table}/{'_index' if name == 'X' else {'obs': '', 'col_attrs': 'CellID', 'row_attrs': 'Gene'}[table]}"] = [
                        f"{table}{i}" for i in range(rows)]
            told = self.succeed(0, "train", path, "--check", f"--run.directory={self.folder / 'none'}")
            self.assertIn("negative_binomial", told.stdout + told.stderr)

    def one_fingerprint(self, name, data, *settings):
        fingerprints = {self.train(ranks, f"{name}{ranks}", *SMALL, *settings, config=data) for ranks in (0, 2, 3)}
        self.assertEqual(len(fingerprints), 1, name)
        return fingerprints.pop()

    def losses(self, name):
        lines = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
        return [line["loss"] for line in lines if line["split"] == "validation"]

    def test_sparse_and_dense_rows_train_to_one_fingerprint(self):
        sparse, dense = self.sparse(), self.dense()
        for likelihood in LIKELIHOODS:
            settings = f"--model.likelihood={likelihood}", "--model.library=observed", "--model.warmup_steps=0"
            found = self.one_fingerprint(likelihood, sparse, *settings)
            self.assertEqual(self.train(2, f"{likelihood}_dense", *SMALL, *settings, config=dense), found)
            first, last = self.losses(f"{likelihood}0")[0], self.losses(f"{likelihood}0")[-1]
            self.assertLess(last, first, likelihood)
            self.assertIn("input = log1p", (self.folder / f"{likelihood}0/run.ini").read_text())

    def test_what_is_of_a_row_has_its_sum(self):
        x = counts()
        data = self.sparse(x=x)
        self.train(0, "run", *SMALL, "--model.name=cvae", "--data.label=/obs/batch", "--model.library=observed",
                   "--model.likelihood=negative_binomial", config=data)
        made = {}
        for command, words in (("transfer", ["--label=second"]), ("reconstruct", ["--elements=drawn"])):
            self.succeed(0, command, self.folder / "run", data, f"--out={self.folder}/{command}.h5", *words)
            with h5py.File(self.folder / f"{command}.h5") as file:
                made[command] = file["x" if command == "transfer" else "reconstruction"][:]
        numpy.testing.assert_allclose(made["transfer"].sum(1), x.sum(1), rtol=1e-3)
        self.assertAlmostEqual(made["reconstruct"].sum() / x.sum(), 1, delta=0.2)

    def test_a_dispersion_of_each_batch(self):
        settings = ("--model.name=cvae", "--data.label=/obs/batch", "--model.likelihood=negative_binomial",
                    "--model.library=observed", "--model.dispersion=gene-batch")
        self.one_fingerprint("batches", self.sparse(), *settings)
        with h5py.File(self.folder / "batches0/checkpoints/step_000000040.h5") as file:
            dispersion = file["parameters/likelihood.log_inverse_dispersion"][()]
        self.assertEqual(dispersion.shape, (BATCHES, GENES))
        self.assertGreater(numpy.abs(dispersion[0] - dispersion[1]).max(), 0)
        refused = run(0, "train", self.dense(), *SMALL, "--model.name=vae", *settings[2:], f"--run.directory={self.folder}/none")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertIn("model.dispersion=gene-batch: needs a model that is conditioned on classes", refused.stderr)

    def test_student_t(self):
        rng = numpy.random.default_rng(1)
        x = rng.normal(size=(CELLS, 8)).astype("f4")
        x[::50] *= 1000
        self.one_fingerprint("student", self.dense(x), "--model.likelihood=student_t", "--model.likelihood_variance=learned",
                             "--data.normalize=none", "--model.likelihood_degrees=2.5")

    def test_a_score_follows_from_the_weights(self):
        """The loss of an autoencoder is -log p(x|z) at its code, without noise."""
        x = counts()
        data = self.sparse(x=x)
        for library in ("observed", "none"):
            name = f"weights_{library}"
            self.train(0, name, *SMALL, "--model.name=autoencoder", "--model.likelihood=zero_inflated_negative_binomial",
                       "--model.dispersion=gene", f"--model.library={library}", config=data)
            out = self.folder / f"{name}.h5"
            self.succeed(2, "score", self.folder / name, data, f"--out={out}")
            with h5py.File(self.folder / name / "checkpoints/step_000000040.h5") as file:
                weights = {key: value[()].astype("f8") for key, value in file["parameters"].items()}
            with h5py.File(out) as file:
                score = file["score"][()].reshape(-1)

            def dense(name, h):
                return h @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
            z = dense("encoder.mlp.dense1", numpy.maximum(dense("encoder.mlp.dense0", numpy.log1p(x.astype("f8"))), 0))
            decoded = dense("decoder.mlp.dense1", numpy.maximum(dense("decoder.mlp.dense0", z), 0)).reshape(-1, 2, GENES)
            mean = numpy.exp(decoded[:, 0])
            if library == "observed":
                mean *= x.sum(1, keepdims=True) / mean.sum(1, keepdims=True)
            theta, pi = numpy.exp(weights["likelihood.log_inverse_dispersion"]), 1 / (1 + numpy.exp(-decoded[:, 1]))
            probability = (1 - pi) * negative_binomial(x.astype("f8"), mean, theta) + pi * (x == 0)
            numpy.testing.assert_allclose(score, -numpy.log(probability).sum(1), rtol=1e-4)

            out = self.folder / f"{name}_rows.h5"
            self.succeed(0, "reconstruct", self.folder / name, data, "--n=50", f"--out={out}")
            with h5py.File(out) as file:
                numpy.testing.assert_allclose(file["x"][()], x[:50])
                numpy.testing.assert_allclose(file["reconstruction"][()], ((1 - pi) * mean)[:50], rtol=1e-3, atol=1e-5)

    def test_samples_are_counts_per_library_size(self):
        self.train(0, "samples", *SMALL, "--model.likelihood=poisson", "--model.library=observed", "--model.library_size=500",
                   config=self.sparse())
        rows = {}
        for elements in "drawn", "mean":
            out = self.folder / f"{elements}.npy"
            self.succeed(0, "sample", self.folder / "samples", "--n=7", f"--elements={elements}", f"--out={out}")
            rows[elements] = numpy.load(out)
        numpy.testing.assert_allclose(rows["mean"].sum(1), 500, rtol=1e-4)
        self.assertTrue((rows["drawn"] == rows["drawn"].round()).all())
        self.assertLess(numpy.abs(rows["drawn"].sum(1) - 500).max(), 5 * 500 ** 0.5, "a Poisson number of mean 500")

    def test_an_evaluation_has_no_bits_per_dimension(self):
        self.train(0, "evaluated", *SMALL, "--model.likelihood=negative_binomial", "--model.library=observed", config=self.sparse())
        self.succeed(2, "evaluate", self.folder / "evaluated", "--split=train", "--importance_samples=20")
        found = json.loads((self.folder / "evaluated/evaluation.json").read_text())
        self.assertIsNone(found["bits_per_dim"])
        self.assertIsNone(found["psnr"])
        self.assertLess(found["nll"], -found["elbo"])
        # Reconstructions have the size of their row: closer than the mean cell.
        self.assertLess(found["mse"], counts().var(0).mean())

    def test_counts_of_a_million(self):
        rng = numpy.random.default_rng(2)
        x = rng.poisson(numpy.exp(rng.uniform(0, 13.8, (CELLS, 8)))).astype("f4")
        for library in ("observed", "none"):
            self.one_fingerprint(f"million_{library}", self.dense(x), "--model.likelihood=negative_binomial",
                                 f"--model.library={library}", "--optimizer.clip_norm=1000")

    def test_a_file_may_say_that_its_rows_are_counts(self):
        x = numpy.random.default_rng(5).poisson(3, size=(211, 13)).astype("i4")  # too even to be recognised
        for name, settings in (("attribute", ()), ("option", ("--data.kind=counts",))):
            path = self.folder / f"{name}.h5"
            with h5py.File(path, "w") as file:
                file["x"] = x
                if not settings:
                    file.attrs["kind"] = "counts"
            chosen = self.succeed(0, "train", path, "--check", f"--run.directory={self.folder / name}", *settings).stdout
            self.assertIn("likelihood = negative_binomial", chosen)

    def test_what_is_not_a_count_is_refused(self):
        logarithms = numpy.log1p(counts())
        refused = run(0, "train", self.dense(logarithms), *SMALL, "--model.likelihood=negative_binomial",
                      f"--run.directory={self.folder}/none")
        self.assertEqual(refused.returncode, 2, refused.stderr)
        self.assertRegex(refused.stderr, r"row \d+ of /train/x has a value that is not a whole number of 0 or more: [\d.]+; "
                                         r"model.likelihood=negative_binomial needs whole numbers of 0 or more; name the raw "
                                         r"counts by data.x")

    def test_interactions_with_a_normalised_input(self):
        x = (numpy.random.default_rng(3).random((CELLS, GENES)) < 0.2).astype("f4")
        x[:, 0] = 1
        self.one_fingerprint("interactions", self.dense(x), "--model.likelihood=multinomial", "--network.input=l2",
                             "--model.input_dropout=0.5")


if __name__ == "__main__":
    unittest.main()
