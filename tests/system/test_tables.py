#!/usr/bin/env python3
"""Tables whose columns are of several kinds, and the settings that `elbo train DATA` chooses by the kind of data."""
import csv
import json
import math
import re
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = "--train.steps=60", "--train.batch=32", "--train.microbatch=8", "--network.hidden=16", "--data.validation_fraction=0.1"
CITIES = "Bern", "Genf", "Zug"


def people(rows=400, seed=0):
    """Of each row: two real columns, a binary one, a count and two texts."""
    rng = numpy.random.default_rng(seed)
    age = rng.normal(45, 12, rows)
    income = numpy.exp(rng.normal(8, 0.5, rows)) + 40 * age
    smokes = (rng.random(rows) < 0.3).astype(int)
    visits = rng.poisson(rng.gamma(1.5, 2, rows))
    visits[0] = 0
    city = numpy.array(CITIES)[rng.integers(0, 3, rows)]
    sex = numpy.array(["f", "m"])[rng.integers(0, 2, rows)]
    return list(zip(age.round(3), income.round(2), smokes, visits, city, sex))


class MixedTables(ProgramTest):
    def convert(self, rows, name="people"):
        path = self.folder / f"{name}.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("age", "income", "smokes", "visits", "city", "sex"), *rows])
        self.succeed(0, "convert", "csv", path, "--categories=one_hot", f"--out={self.folder / name}.h5")
        return self.folder / f"{name}.h5"

    COLUMNS = "gaussian:2,bernoulli:1,count:1,categorical:3,categorical:2"

    def test_a_table_of_several_kinds(self):
        data = self.convert(people())
        with h5py.File(data) as file:
            self.assertEqual(file.attrs["one_hot_columns"], "4:3,7:2")
        fingerprints = {self.train(ranks, f"run{ranks}", *SMALL, config=data) for ranks in (0, 2, 3)}
        self.assertEqual(len(fingerprints), 1)
        ini = (self.folder / "run0/run.ini").read_text()
        for line in ("likelihood = mixed", f"likelihood_columns = {self.COLUMNS}", "normalize = standardize"):
            self.assertIn(line, ini)
        # The same columns are found where nothing says what they hold.
        self.train(2, "found", "--model.likelihood=mixed", "--model.likelihood_columns=auto", *SMALL, config=data)
        self.assertIn(f"likelihood_columns = {self.COLUMNS}", (self.folder / "found/run.ini").read_text())

        # Only the real columns are standardised.
        with h5py.File(self.folder / "run2/checkpoints/step_000000060.h5") as file:
            shift, scale = file["buffers/input_shift"][()], file["buffers/input_scale"][()]
        self.assertTrue((shift[:2] > 20).all() and (scale[:2] > 5).all())
        numpy.testing.assert_array_equal(shift[2:], 0)
        numpy.testing.assert_array_equal(scale[2:], 1)

        # Results read as columns of the table do: units, rates and probabilities.
        out = self.folder / "rows.h5"
        self.succeed(0, "reconstruct", self.folder / "run0", "--split=train", "--n=40", f"--out={out}")
        with h5py.File(out) as file:
            mean = file["reconstruction"][()]
        self.assertTrue((abs(mean[:, 0] - 45) < 60).all() and ((0 < mean[:, 2]) & (mean[:, 2] < 1)).all())
        self.assertTrue((mean[:, 3] > 0).all())
        numpy.testing.assert_allclose(mean[:, 4:7].sum(1), 1, rtol=1e-5)
        numpy.testing.assert_allclose(mean[:, 7:].sum(1), 1, rtol=1e-5)

        # It resumes on another number of ranks, and evaluates.
        self.train(2, "parts", "--train.steps=30", *SMALL[1:], config=data)
        self.assertEqual(self.train(3, "parts", *SMALL, "--resume", config=self.folder / "parts/run.ini"), fingerprints.pop())
        self.succeed(2, "evaluate", self.folder / "run0", "--importance_samples=5")
        result = json.loads((self.folder / "run0/evaluation.json").read_text())
        self.assertTrue(math.isfinite(result["nll"]))
        self.assertIsNone(result["bits_per_dim"])

    def test_the_score_is_that_of_numpy(self):
        data = self.convert(people(seed=1))
        self.train(0, "run", "--model.name=autoencoder", *SMALL, config=data)  # its loss is -log p(x|z) alone
        self.succeed(0, "score", self.folder / "run", data, "--split=train", f"--out={self.folder / 'scores.h5'}")
        self.succeed(0, "reconstruct", self.folder / "run", data, "--split=train", "--n=1000", f"--out={self.folder / 'rows.h5'}")
        with h5py.File(self.folder / "scores.h5") as file:
            score = file["score"][()]
        with h5py.File(self.folder / "rows.h5") as file:
            x, mean = file["x"][()].astype("f8"), file["reconstruction"][()].astype("f8")
        with h5py.File(self.folder / "run/checkpoints/step_000000060.h5") as file:
            scale = file["buffers/input_scale"][()][:2].astype("f8")
            sigma = numpy.exp(numpy.log1p(numpy.exp(file["parameters/likelihood.log_scale"][()].astype("f8") + 6)) - 6)
            r = numpy.exp(file["parameters/likelihood.log_dispersion"][0].astype("f8"))
        log_gamma = numpy.vectorize(math.lgamma)
        residual, n, mu, p = (x[:, :2] - mean[:, :2]) / scale, x[:, 3], mean[:, 3], mean[:, 2]
        log_p = (-0.5 * (residual / sigma) ** 2 - numpy.log(sigma) - 0.5 * math.log(2 * math.pi)).sum(1)
        log_p += x[:, 2] * numpy.log(p) + (1 - x[:, 2]) * numpy.log1p(-p)
        log_p += log_gamma(n + r) - math.lgamma(r) - log_gamma(n + 1) + r * numpy.log(r / (r + mu)) + n * numpy.log(mu / (r + mu))
        log_p += (x[:, 4:] * numpy.log(mean[:, 4:])).sum(1)
        self.assertEqual(len(score), len(x))
        numpy.testing.assert_allclose(score, -log_p, rtol=2e-3, atol=2e-3)

    def test_columns_of_other_tables(self):
        rng = numpy.random.default_rng(2)
        choice = rng.integers(0, 4, 300)
        path = self.folder / "table.h5"
        with h5py.File(path, "w") as file:  # a compound table, as pandas and PyTables write it
            file["people"] = numpy.array(
                [(a, *(c == i for i in range(4)), b) for a, c, b in zip(rng.normal(size=300), choice, rng.integers(0, 2, 300))],
                dtype=[("height", "f8"), *((f"choice{i}", "i4") for i in range(4)), ("member", "u1")])
        self.train(2, "compound", "--data.x=/people", *SMALL, config=path)
        self.assertIn("likelihood_columns = gaussian:1,categorical:4,bernoulli:1", (self.folder / "compound/run.ini").read_text())

    def test_missing_values(self):
        rows = [list(row) for row in people(seed=3)]
        rng = numpy.random.default_rng(4)
        for row in rows:
            for column in numpy.flatnonzero(rng.random(len(row)) < 0.1):
                row[column] = ""
        path = self.folder / "holes.csv"
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([("age", "income", "smokes", "visits", "city", "sex"), *rows])
        data = self.folder / "holes.h5"
        self.succeed(0, "convert", "csv", path, "--categories=one_hot", "--missing=keep", f"--out={data}")
        fingerprints = {self.train(ranks, f"holes{ranks}", "--data.missing=mask", *SMALL, config=data) for ranks in (0, 2, 3)}
        self.assertEqual(len(fingerprints), 1)
        self.assertIn(f"likelihood_columns = {self.COLUMNS}", (self.folder / "holes0/run.ini").read_text())
        self.succeed(0, "reconstruct", self.folder / "holes0", "--split=train", "--n=40", f"--out={self.folder / 'rows.h5'}")
        with h5py.File(self.folder / "rows.h5") as file:
            numpy.testing.assert_allclose(file["reconstruction"][()][:, 4:7].sum(1), 1, rtol=1e-5)

    def test_what_does_not_fit_is_refused(self):
        data = self.convert(people())
        self.train(0, "run", *SMALL, config=data)

        def refused(words, *texts):
            result = run(0, *words)
            self.assertEqual(result.returncode, 2, result.stderr)
            for text in texts:
                self.assertIn(text, result.stderr)

        train = "train", data, "--model.likelihood=mixed", f"--run.directory={self.folder}/none"
        refused((*train, "--model.likelihood_columns=gaussian:2"), "names 2 columns, but", "has 9")
        refused((*train, "--model.likelihood_columns=gauss:9"), "gaussian, bernoulli, count and categorical")
        refused((*train, "--data.normalize=unit"), "data.normalize=unit", "standardize, robust or none")
        refused(("train", data, "--model.likelihood=gaussian", "--model.likelihood_columns=gaussian:9",
                 f"--run.directory={self.folder}/none"), "model.likelihood_columns=gaussian:9", "it needs mixed")
        images = self.folder / "images.h5"
        with h5py.File(images, "w") as file:
            file["train/x"] = numpy.random.default_rng(0).random((50, 1, 8, 8)).astype("f4")
        refused(("train", images, "--model.likelihood=mixed", f"--run.directory={self.folder}/none"), "needs rows of a table")
        # The rows of another file hold something else.
        with h5py.File(data) as file:
            x = file["train/x"][()]
        for column, value, text in ((2, 2, "outside of [0, 1]: 2"), (3, -1, "that is not a whole number of 0 or more: -1"),
                                    (3, 2.5, "that is not a whole number of 0 or more: 2.5")):
            x_wrong = x.copy()
            x_wrong[17, column] = value
            other = self.folder / f"other{column}_{value}.h5"
            with h5py.File(other, "w") as file:
                file["train/x"] = x_wrong
                file.attrs["kind"] = "tabular"
            refused(("score", self.folder / "run", other, f"--out={self.folder}/none.h5"), "row 17", text)


class Settings(ProgramTest):
    """What `elbo train DATA` decides, by kind."""

    def write(self, name, x, kind, **datasets):
        path = self.folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = x
            file.attrs["kind"] = kind
            for key, value in datasets.items():
                file[key.replace("__", "/")] = value
        return path

    def chosen(self, path, ranks=0):
        """The settings with which training would begin; other numbers of ranks choose the same."""
        text = self.succeed(ranks, "train", path, "--check", f"--run.directory={self.folder / 'none'}").stdout
        return dict(re.findall(r"^(\w+) = (.*?)\s*(?:#.*)?$", text, re.M))

    def trains(self, path, *settings):
        self.train(0, f"{path.stem}_run", "--train.steps=3", *settings, config=path)
        lines = [json.loads(line) for line in (self.folder / f"{path.stem}_run/metrics.jsonl").read_text().splitlines()]
        self.assertTrue(all(math.isfinite(line["loss"]) for line in lines))

    def test_sequences(self):
        rng = numpy.random.default_rng(0)
        keys = self.write("keys", (rng.random((120, 10, 12)) < 0.2).astype("f4"), "sequence")
        walks = self.write("walks", rng.normal(size=(120, 10, 3)).cumsum(1).astype("f4"), "sequence")
        found = self.chosen(keys)
        self.assertEqual(found, self.chosen(keys, ranks=2))
        self.assertEqual([found[key] for key in ("name", "likelihood", "latent")], ["vrnn", "bernoulli", "6"])
        found = self.chosen(walks)
        self.assertEqual([found[key] for key in ("name", "likelihood", "likelihood_variance")], ["vrnn", "gaussian", "learned"])
        self.trains(keys)
        self.trains(walks)

    def test_text(self):
        rng = numpy.random.default_rng(1)
        x = numpy.where(numpy.arange(12) < 11, rng.integers(4, 9, (150, 12)), 2)
        x[:, 0] = 1
        path = self.write("text", x, "tokens", vocabulary=numpy.array([b"<pad>", b"<bos>", b"<eos>", b"<unk>", b"a", b"b", b"c", b"d", b"e"]))
        found = self.chosen(path)
        self.assertEqual(found["name"], "sequence_vae")
        self.assertGreater(float(found["free_bits"]), 0)
        self.assertGreater(float(found["word_dropout"]), 0)
        self.assertGreater(int(found["warmup_steps"]), 100)
        self.trains(path)

    def test_interactions(self):
        rng = numpy.random.default_rng(2)
        taste = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 60))
        x = taste + rng.normal(size=(300, 60)) > 1.5
        x[:, 0] = True
        path = self.folder / "films.h5"
        with h5py.File(path, "w") as file:
            for split, rows in (("train", x[:240]), ("validation", x[240:])):
                file[f"{split}/indices"] = numpy.nonzero(rows)[1]
                file[f"{split}/offsets"] = numpy.append(0, numpy.cumsum(rows.sum(1)))
                file[split].attrs["features"] = 60
        found = self.chosen(path)
        self.assertEqual([found[key] for key in ("likelihood", "input_dropout", "input", "best")],
                         ["multinomial", "0.5", "l2", "ndcg_100"])
        results = set()
        for ranks in (0, 2, 3):
            name = f"run{ranks}"
            self.train(ranks, name, "--train.steps=120", "--evaluate.every=20", config=path)
            lines = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
            evaluations = [(line["step"], line["ndcg_100"], line["recall_20"]) for line in lines if line["split"] == "validation"]
            results.add(tuple(evaluations))
        self.assertEqual(len(results), 1)
        best_step, best, _ = max(evaluations, key=lambda line: line[1])
        self.assertEqual((self.folder / "run0/checkpoints/best.h5").resolve().name, f"step_{best_step:09d}.h5")
        self.assertGreater(best, 0.3)
        self.succeed(2, "evaluate", self.folder / "run0", "--checkpoint=best", "--split=validation")
        result = json.loads((self.folder / "run0/evaluation.json").read_text())
        self.assertAlmostEqual(result["ndcg_100"], best, 12)
        self.assertTrue(0 < result["recall_20"] <= result["recall_50"] <= 1)

    def test_tables(self):
        rng = numpy.random.default_rng(3)
        # Three factors explain twelve columns.
        columns = (rng.normal(size=(900, 3)) @ rng.normal(size=(3, 12)) + 0.05 * rng.normal(size=(900, 12))) * numpy.logspace(-2, 3, 12)
        table = self.write("table", columns.astype("f4"), "tabular")
        found = self.chosen(table)
        self.assertEqual(found, self.chosen(table, ranks=3))
        self.assertEqual([found[key] for key in ("likelihood", "normalize")], ["gaussian", "standardize"])
        self.assertIn(found["latent"], ("2", "3"))
        self.trains(table)
        binary = self.write("binary", (rng.random((300, 20)) < 0.3).astype("f4"), "tabular")
        self.assertEqual(self.chosen(binary)["likelihood"], "bernoulli")
        # Pixels in many columns are one quantity.
        pixels = self.write("pixels", numpy.clip(rng.integers(-8, 17, (300, 64)), 0, 16).astype("f4"), "tabular")
        self.assertEqual(self.chosen(pixels)["likelihood"], "gaussian")
        self.trains(pixels)

    def test_counts(self):
        rng = numpy.random.default_rng(5)
        genes = rng.poisson(rng.gamma(0.3, numpy.exp(rng.normal(0, 1, 80)), (300, 80)))
        dense = self.write("genes", genes.astype("i4"), "tabular")
        sparse = self.folder / "cells.h5"
        with h5py.File(sparse, "w") as file:  # AnnData's form
            matrix = file.create_group("X")
            matrix.attrs.update({"encoding-type": "csr_matrix", "encoding-version": "0.1.0", "shape": genes.shape})
            matrix["data"] = genes[genes > 0].astype("f4")
            matrix["indices"] = numpy.nonzero(genes)[1].astype("i4")
            matrix["indptr"] = numpy.append(0, numpy.cumsum((genes > 0).sum(1))).astype("i4")
            for table, names in ("obs", genes.shape[0]), ("var", genes.shape[1]):
                file[f"{table}/_index"] = numpy.array([f"{table}{i}" for i in range(names)], h5py.string_dtype())
                file[table].attrs.update({"encoding-type": "dataframe", "_index": "_index"})
        for path in dense, sparse:
            found = self.chosen(path)
            self.assertEqual([found[key] for key in ("likelihood", "library", "latent")], ["negative_binomial", "observed", "10"])
            self.trains(path)

    def test_images_have_the_settings_of_before(self):
        x = numpy.random.default_rng(4).integers(0, 256, (200, 1, 16, 16)).astype("u1")
        found = self.chosen(self.write("images", x, "image"))
        self.assertEqual([found[key] for key in ("name", "latent", "likelihood", "kind", "hidden", "batch", "epochs")],
                         ["vae", "11", "bernoulli", "conv", "128", "16", "417"])


if __name__ == "__main__":
    unittest.main()
