#!/usr/bin/env python3
"""Values of any scale train, to the same bits on any number of ranks, and results are in the units of the data."""
import csv
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = "--train.steps=60", "--train.batch=50", "--train.microbatch=25", "--network.kind=mlp", "--network.hidden=32"


def squares(rng, rows):
    x = numpy.zeros((rows, 1, 16, 16), bool)
    for row in x[:, 0]:
        top, left = rng.integers(0, 10, 2)
        row[top:top + 6, left:left + 6] = True
    return x


class Normalization(ProgramTest):
    def write(self, name, x, **attributes):
        path = self.folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = x
            file.attrs.update(attributes)
        return path

    def loss(self, name):
        lines = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
        self.assertFalse(any(line.get("skipped") for line in lines))
        return [line["loss"] for line in lines if line["split"] == "validation"][-1]

    def test_bytes_of_zeros_and_ones_are_zeros_and_ones(self):
        x = squares(numpy.random.default_rng(0), 300)
        losses = {}
        for name, values in (("float", x.astype("f4")), ("uint8", x.astype("u1")), ("bytes", x.astype("u1") * 255)):
            self.train(0, name, *SMALL, config=self.write(name + "_data", values))
            losses[name] = self.loss(name)
        self.assertEqual(len(set(losses.values())), 1, losses)

    def test_a_table_as_it_is(self):
        rng = numpy.random.default_rng(1)
        scale = numpy.exp(numpy.linspace(numpy.log(0.002), numpy.log(600), 30))
        x = ((3 + rng.normal(size=(569, 4)) @ rng.normal(size=(4, 30)) * 0.5 + rng.normal(size=(569, 30)) * 0.3) * scale).astype("f4")
        data = self.write("table", x)
        fingerprints = {self.train(ranks, f"run{ranks}", *SMALL, config=data) for ranks in (0, 2, 3)}
        self.assertEqual(len(fingerprints), 1)
        self.assertLess(abs(self.loss("run0")), 1e3)
        self.assertIn("normalize = standardize", (self.folder / "run2/run.ini").read_text())
        with h5py.File(self.folder / "run2/checkpoints/step_000000060.h5") as file:
            shift, deviation = file["buffers/input_shift"][()], file["buffers/input_scale"][()]
        numpy.testing.assert_allclose(shift, x.mean(0), atol=0.1 * x.std(0).max(), rtol=0.2)
        numpy.testing.assert_allclose(deviation, x.std(0), rtol=0.2)

        out = self.folder / "rows.h5"
        self.succeed(0, "reconstruct", self.folder / "run0", "--split=train", "--n=8", f"--out={out}")
        with h5py.File(out) as file:
            rows, reconstruction = file["x"][()], file["reconstruction"][()]
        distances = numpy.abs(rows[:, None] - x[None]) / x.std(0)
        self.assertLess(distances.max(2).min(1).max(), 1e-3)  # rows of the table, in its units
        self.assertLess((numpy.abs(reconstruction - rows) / x.std(0)).mean(), 1.5)
        out = self.folder / "samples.csv"
        self.succeed(0, "sample", self.folder / "run0", "--n=200", f"--out={out}")
        with out.open() as file:
            samples = numpy.array([[float(value) for value in row] for row in list(csv.reader(file))[1:]])
        self.assertLess((numpy.abs(samples.mean(0) - x.mean(0)) / x.std(0)).max(), 1)

        # Another file is transformed as the training rows were.
        part = self.write("part", x[:40] + 5 * x.std(0))
        self.succeed(0, "score", self.folder / "run0", data, "--split=train", f"--out={self.folder}/all.h5")
        self.succeed(2, "score", self.folder / "run0", part, "--split=train", f"--out={self.folder}/far.h5")
        with h5py.File(self.folder / "all.h5") as usual, h5py.File(self.folder / "far.h5") as far:
            self.assertGreater(far["score"][()].min(), usual["score"][()].mean())

        # A run resumes with the transform that it began with, on another number of ranks.
        first = "--train.steps=30", *SMALL[1:]
        self.train(2, "parts", *first, config=data)
        self.assertEqual(self.train(3, "parts", *SMALL, "--resume", config=self.folder / "parts/run.ini"), fingerprints.pop())

    def test_images_of_any_range(self):
        rng = numpy.random.default_rng(2)
        counts = rng.poisson(1000 + 3000 * squares(rng, 200)).astype("u2")
        centred = (2 * rng.random((200, 1, 16, 16)) - 1).astype("f4")
        for name, x in (("counts", counts), ("centred", centred), ("large", (squares(rng, 200) * 255).astype("f4"))):
            self.train(0, name, *SMALL, config=self.write(name + "_data", x))
            self.assertTrue(numpy.isfinite(self.loss(name)), name)
            self.succeed(0, "reconstruct", self.folder / name, "--split=train", "--n=2", f"--out={self.folder}/{name}.h5")
            with h5py.File(self.folder / f"{name}.h5") as file:
                numpy.testing.assert_allclose(file["x"][()].max(), x[:2].max(), rtol=0.5)
            self.succeed(0, "reconstruct", self.folder / name, "--split=train", "--n=2", f"--out={self.folder}/{name}.png")
        self.train(0, "gaussian", *SMALL, "--model.likelihood=gaussian", "--data.normalize=none",
                   config=self.folder / "centred_data.h5")

    def test_every_kind(self):
        x = numpy.random.default_rng(3).gamma(2, 50, (300, 5)).astype("f4")
        data = self.write("gamma", x)
        for kind in ("unit", "standardize", "robust", "log1p"):
            self.train(2, kind, *SMALL, f"--data.normalize={kind}", config=data)
            self.succeed(0, "reconstruct", self.folder / kind, "--split=train", "--n=4", f"--out={self.folder}/{kind}.h5")
            with h5py.File(self.folder / f"{kind}.h5") as file:
                distances = numpy.abs(file["x"][()][:, None] - x[None]).max(2).min(1)
            self.assertLess(distances.max(), 1e-2, kind)

    def test_sparse_rows_are_transformed_too(self):
        x = numpy.random.default_rng(6).poisson(40, (120, 6)).astype("f4")
        x[:, 3] = 0
        data = self.folder / "sparse.h5"
        with h5py.File(data, "w") as file:
            file["train/indices"] = numpy.nonzero(x)[1]
            file["train/offsets"] = numpy.append(0, numpy.cumsum((x > 0).sum(1)))
            file["train/values"] = x[x > 0]
            file["train"].attrs["features"] = 6
        for kind in ("auto", "log1p", "standardize"):
            self.train(2, kind, *SMALL, "--model.likelihood=gaussian", f"--data.normalize={kind}", config=data)
            self.succeed(0, "reconstruct", self.folder / kind, "--split=all", "--n=4", f"--out={self.folder}/{kind}.h5")
            with h5py.File(self.folder / f"{kind}.h5") as file:
                distances = numpy.abs(file["x"][()][:, None] - x[None]).max(2).min(1)
            self.assertLess(distances.max(), 1e-3, kind)

    def packed(self, name, x, **attributes):
        path = self.folder / f"{name}.nc"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("t", data=x, chunks=(1, *x.shape[1:]), compression="gzip", shuffle=True)
            for key, value in attributes.items():
                dataset.attrs[key] = value
        return path

    def test_packed_numbers_of_netcdf(self):
        rng = numpy.random.default_rng(5)
        kelvin = 280 + rng.normal(0, 5, (200, 1)) + rng.normal(0, 1, (200, 12))
        scale = {"scale_factor": numpy.array([0.01]), "add_offset": numpy.array([250.0])}
        stored = numpy.round((kelvin - 250) / 0.01).astype("i2")
        data = self.packed("kelvin", stored, _FillValue=numpy.array([-32768], "i2"), **scale)
        self.train(0, "kelvin_run", *SMALL, "--data.x=/t", config=data)
        self.succeed(0, "reconstruct", self.folder / "kelvin_run", "--split=train", "--n=4", f"--out={self.folder}/rows.h5")
        with h5py.File(self.folder / "rows.h5") as file:
            distances = numpy.abs(file["x"][()][:, None] - kelvin[None]).max(2).min(1)
        self.assertLess(distances.max(), 0.01)

        bad = stored.copy()
        bad[33, 5] = -32768
        anomaly = rng.normal(size=(200, 12)).astype("f4")
        anomaly[33, 5] = -9
        for name, x, attributes in (("fill", bad, {"_FillValue": numpy.array([-32768], "i2"), **scale}),
                                    ("missing", anomaly, {"missing_value": numpy.float32(-9)}),
                                    ("range", anomaly, {"valid_range": numpy.array([-8, 8], "f4")}),
                                    ("least", anomaly, {"valid_min": numpy.float32(-8)})):
            refused = run(0, "train", self.packed(name, x, **attributes), "--data.x=/t", *SMALL,
                          f"--run.directory={self.folder}/none")
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertRegex(refused.stderr, r"row 33 of /t has the value -(9|32768), which its attribute " +
                             list(attributes)[0] + " declares missing")

    def test_likelihoods_get_values_that_they_explain(self):
        rng = numpy.random.default_rng(4)
        binary = self.write("binary", (rng.random((300, 64)) < 0.2).astype("f4"))
        self.train(0, "bernoulli", *SMALL, "--model.likelihood=bernoulli", config=binary)
        x = rng.normal(size=(100, 6)).astype("f4")
        x[:17] = 0.5
        table = self.write("normal", x)
        for likelihood, remedy in (("bernoulli", "data.normalize=unit"), ("multinomial", "values of 0 or more")):
            refused = run(0, "train", table, *SMALL, f"--model.likelihood={likelihood}", "--data.validation_fraction=0",
                          f"--run.directory={self.folder}/none")
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertRegex(refused.stderr, r"normal.h5: row 17 of /train/x has a value (outside of|below)")
            self.assertIn(remedy, refused.stderr)


if __name__ == "__main__":
    unittest.main()
