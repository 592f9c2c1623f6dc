#!/usr/bin/env python3
"""Missing values: refused by name, or left out of training and imputed, in the units of the data."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = "--train.batch=50", "--train.microbatch=25", "--network.kind=mlp", "--network.hidden=32"
MASK = "--data.missing=mask"


def correlated(rng, rows, columns=8):
    """Columns of different means and scales, which two numbers of a row explain to a tenth."""
    x = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, columns)) + 0.1 * rng.normal(size=(rows, columns))
    return (x * numpy.logspace(-1, 2, columns) + numpy.linspace(-50, 200, columns)).astype("f4")


class Missing(ProgramTest):
    def write(self, name, x, **attributes):
        path = self.folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            dataset = file.create_dataset("train/x", data=x, chunks=(32, *x.shape[1:]), compression="gzip")
            dataset.attrs.update(attributes)
        return path

    def refuse(self, *words):
        result = run(0, "train", *words, *SMALL, "--train.steps=5", f"--run.directory={self.folder}/none")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        return result.stderr.strip().splitlines()[-1]

    def reconstruct(self, name, *words, n=10000):
        out = self.folder / f"{name}_rows.h5"
        self.succeed(0, "reconstruct", self.folder / name, *words, f"--n={n}", f"--out={out}", "--force")
        with h5py.File(out) as file:
            return {key: file[key][()] for key in file}

    def test_a_table_with_gaps(self):
        rng = numpy.random.default_rng(0)
        complete = correlated(rng, 500)
        observed = rng.random(complete.shape) > 0.2
        observed[7] = False
        holes = numpy.where(observed, complete, numpy.nan).astype("f4")
        data = self.write("holes", holes)
        self.assertRegex(self.refuse(data), r"holes.h5.*/train/x.*NaN.* in row \d+; .*data.missing=mask")

        settings = (*SMALL, MASK, "--train.steps=1500", "--data.validation_fraction=0", "--optimizer.lr=0.003")
        fingerprints = {self.train(ranks, f"run{ranks}", *settings, config=data) for ranks in (0, 2, 3)}
        self.assertEqual(len(fingerprints), 1)
        self.train(2, "parts", *settings, "--train.steps=700", config=data)
        self.assertEqual(self.train(3, "parts", "--resume", "--train.steps=1500", config=self.folder / "parts/run.ini"),
                         fingerprints.pop())
        with h5py.File(self.folder / "run0/checkpoints/step_000001500.h5") as file:
            self.assertEqual(file["parameters/encoder.mlp.dense0.weight"].shape[1], 16)  # values and mask
            shift, scale = file["buffers/input_shift"][()], file["buffers/input_scale"][()]
        mean, deviation = numpy.nanmean(holes.astype("f8"), 0), numpy.nanstd(holes.astype("f8"), 0)
        numpy.testing.assert_allclose(shift, mean, rtol=1e-5)
        numpy.testing.assert_allclose(scale, deviation, rtol=1e-5)

        rows = self.reconstruct("run0", "--split=train")
        numpy.testing.assert_allclose(rows["x"], holes, rtol=1e-5, atol=1e-4)  # with the same gaps
        numpy.testing.assert_array_equal(rows["imputed"][observed], complete[observed])
        error = lambda filled: numpy.sqrt(numpy.mean((((filled - complete) / deviation)[~observed]) ** 2))
        self.assertLess(error(rows["imputed"]), 0.6 * error(numpy.broadcast_to(mean, complete.shape)))
        self.assertTrue(numpy.isfinite(rows["reconstruction"]).all())

        # Other rows, of which none is missing.
        new = self.write("complete", complete[:60])
        self.succeed(2, "score", self.folder / "run0", new, f"--out={self.folder}/scores.h5")
        numpy.testing.assert_array_equal(self.reconstruct("run0", new)["imputed"], complete[:60])

    def test_what_is_missing_is_said(self):
        x = numpy.random.default_rng(1).normal(size=(100, 4)).astype("f4")
        x[:50, 2] = numpy.nan
        x[0, 0] = numpy.nan
        data = self.write("half", x)
        with h5py.File(data, "r+") as file:
            file["features"] = ["age", "height", "mass", "score"]
        said = self.succeed(2, "train", data, *SMALL, MASK, "--train.steps=5", "--data.validation_fraction=0",
                            f"--run.directory={self.folder}/run").stderr
        self.assertEqual(said.count("51 of 400 values are missing (12.8 %), most in columns 'mass' (50 %), 'age' (1 %)"), 1, said)
        told = self.succeed(0, "inspect", data).stdout
        self.assertRegex(told, r"MISSING +51 of 400 values .*column.* 2 \(50 %\), 0 \(1 %\)")
        x[:, 1] = numpy.nan
        self.assertIn("column 1 of the training rows has no observed value", self.refuse(self.write("none", x), MASK))
        x[3, 1] = numpy.inf
        self.assertRegex(self.refuse(self.write("infinite", x), MASK), "infinity.*row 3")

    def test_values_that_mean_a_missing_one(self):
        rng = numpy.random.default_rng(2)
        kelvin = 280 + rng.normal(0, 5, (200, 1)) + rng.normal(0, 1, (200, 12))
        stored = numpy.round((kelvin - 250) / 0.01).astype("i2")
        stored[33, 5], stored[40, 1] = -32768, -999
        scale = {"scale_factor": 0.01, "add_offset": 250.0}
        for name, attributes, further in (
                ("fill", {"_FillValue": numpy.int16(-32768)}, ("--data.missing_value=-999",)),
                ("both", {"missing_value": numpy.array([-32768, -999], "i2")}, ()),
                ("range", {"valid_range": numpy.array([-500, 32000], "i2")}, ()),
                ("named", {"valid_min": numpy.int16(-2000)}, ("--data.missing_value=-999, -5",))):
            data = self.write(name, stored, **scale, **attributes)
            self.assertIn("row 33", self.refuse(data, *further))
            self.train(0, name + "_run", *SMALL, MASK, *further, "--train.steps=200", config=data)
            rows = self.reconstruct(name + "_run", "--split=all")
            self.assertEqual(numpy.argwhere(numpy.isnan(rows["x"])).tolist(), [[33, 5], [40, 1]], name)
            self.assertLess(numpy.abs(rows["imputed"] - kelvin).max(), 15, name)

    def test_images_and_importance_weighted_bounds(self):
        rng = numpy.random.default_rng(3)
        x = (rng.random((120, 1, 16, 16)) < 0.5).astype("f4")
        x[rng.random(x.shape) < 0.3] = numpy.nan
        with h5py.File(self.folder / "images.h5", "w") as file:
            file["train/x"] = x
            file.attrs["kind"] = "image"
        settings = "--train.batch=40", "--train.microbatch=20", "--train.steps=6", "--network.channels=4,8", MASK
        for model in ("iwae", "miwae"):
            lines = {self.train(ranks, f"{model}{ranks}", *settings, f"--model.name={model}", "--model.importance_samples=3",
                                config=self.folder / "images.h5") for ranks in (0, 3)}
            self.assertEqual(len(lines), 1)
        self.succeed(0, "evaluate", self.folder / "iwae0", "--split=train", "--importance_samples=5")
        evaluation = json.loads((self.folder / "iwae0/evaluation.json").read_text())
        # At the start a pixel costs one bit. With all pixels counted it would cost 0.7 of one.
        self.assertAlmostEqual(evaluation["bits_per_dim"], 1, delta=0.15)
        self.succeed(0, "reconstruct", self.folder / "iwae0", f"--out={self.folder}/rows.png")
        refused = self.refuse(self.folder / "images.h5", MASK, "--model.name=gan")
        self.assertRegex(refused, "data.missing=mask: model.name=gan has a discriminator")

    def test_sequences(self):
        rng = numpy.random.default_rng(5)
        x = numpy.cumsum(rng.normal(size=(100, 6, 3)), 1).astype("f4")
        observed = rng.random(x.shape) > 0.3
        with h5py.File(self.folder / "walks.h5", "w") as file:
            file["train/x"] = numpy.where(observed, x, numpy.nan).astype("f4")
            file.attrs["kind"] = "sequence"
        for model in ("sequence_vae", "vrnn"):
            lines = {self.train(ranks, f"{model}{ranks}", "--train.batch=40", "--train.microbatch=20", "--train.steps=6",
                                f"--model.name={model}", "--model.hidden=16", MASK, config=self.folder / "walks.h5")
                     for ranks in (0, 3)}
            self.assertEqual(len(lines), 1)
            rows = self.reconstruct(model + "0", "--split=all", "--importance_samples=3")
            numpy.testing.assert_array_equal(rows["imputed"][observed], x[observed])
            self.assertTrue(numpy.isfinite(rows["imputed"]).all())

    def test_log_likelihood_of_observed_elements(self):
        """The score of a linear model equals the formula, from its exported parameters."""
        rng = numpy.random.default_rng(4)
        x = rng.normal(size=(150, 5)).astype("f4")
        observed = rng.random(x.shape) > 0.3
        data = self.write("small", numpy.where(observed, x, numpy.nan).astype("f4"))
        self.train(0, "linear", "--network.hidden=", "--network.kind=mlp", "--model.name=autoencoder", "--model.latent=2",
                   "--model.likelihood=gaussian", "--model.likelihood_variance=fixed", "--model.likelihood_scale=0.7",
                   "--data.normalize=none", "--train.batch=50", "--train.steps=40", MASK, config=data)
        self.succeed(0, "score", self.folder / "linear", data, f"--out={self.folder}/scores.h5")
        with h5py.File(self.folder / "linear/checkpoints/step_000000040.h5") as file:
            parameters = {name: file["parameters"][name][()].astype("f8") for name in file["parameters"]}
        with h5py.File(self.folder / "scores.h5") as file:
            scores = file["score"][()]
        seen = numpy.hstack([numpy.where(observed, x, 0), observed])
        layer = lambda h, name: h @ parameters[f"{name}.mlp.dense0.weight"].T + parameters[f"{name}.mlp.dense0.bias"]
        residual = (x - layer(layer(seen, "encoder"), "decoder")) / 0.7
        log_p = -0.5 * residual ** 2 - numpy.log(0.7) - 0.5 * numpy.log(2 * numpy.pi)
        numpy.testing.assert_allclose(scores, -(log_p * observed).sum(1), rtol=1e-4, atol=1e-4)


if __name__ == "__main__":
    unittest.main()
