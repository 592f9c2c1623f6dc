#!/usr/bin/env python3
"""The figures of the field in `elbo evaluate`, and the threshold of `elbo score`, beside NumPy on the outputs of other
commands; the same bytes for every number of ranks."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest
from program import run as run_program

SHORT = ["--train.steps=60", "--train.batch=32", "--train.microbatch=16", "--evaluate.every=never"]


def write_images(path):
    """Squares at one of 4 × 4 places on 10 × 10 pixels, of two brightnesses, which is the label; the place is the factors."""
    random = numpy.random.default_rng(1)
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "image"
        for split, rows in (("train", 300), ("test", 90)):
            row, column, bright = random.integers(0, 4, rows), random.integers(0, 4, rows), random.integers(0, 2, rows)
            x = random.uniform(0, 0.2, (rows, 1, 10, 10))
            for i in range(rows):
                x[i, 0, 2 * row[i]:2 * row[i] + 3, 2 * column[i]:2 * column[i] + 3] += 0.3 + 0.4 * bright[i]
            file[f"{split}/x"] = x.astype("f4")
            file[f"{split}/label"] = bright
            file[f"{split}/factors"] = numpy.stack([row, column], 1)


def write_table(path):
    """Five columns, of which two are functions of the others; every tenth test row has a wrong fourth column, label 1."""
    random = numpy.random.default_rng(2)
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "tabular"
        file["features"] = ["width", "height", "depth", "area", "weight"]
        for split, rows in (("train", 400), ("validation", 200), ("test", 100)):
            x = random.standard_normal((rows, 5)).astype("f4")
            x[:, 3], x[:, 4] = x[:, 0] + x[:, 1], x[:, 2] - x[:, 0]
            label = numpy.zeros(rows, "i8")
            if split == "test":
                x[::10, 3] += 8
                label[::10] = 1
            file[f"{split}/x"], file[f"{split}/label"] = x, label


def area_under_roc(score, anomalous):
    higher = score[anomalous][:, None] - score[~anomalous]
    return ((higher > 0) + 0.5 * (higher == 0)).mean()


def average_precision(score, anomalous):
    thresholds = numpy.unique(score)[::-1]
    found = [(anomalous & (score >= threshold)).sum() for threshold in thresholds]
    precision = [count / (score >= threshold).sum() for count, threshold in zip(found, thresholds)]
    return (numpy.diff([0, *found]) * precision).sum() / anomalous.sum()


def structural_similarity(x, y):
    """Of images (n, 1, height, width) of at most 11 pixels: one window."""
    place = [numpy.exp(-0.5 * ((numpy.arange(size) - (size - 1) / 2) / 1.5) ** 2) for size in x.shape[2:]]
    weight = numpy.outer(*place) / numpy.outer(*place).sum()
    mean = lambda values: (weight * values).sum((2, 3))
    a, b = mean(x), mean(y)
    variances = mean(x ** 2) - a ** 2 + mean(y ** 2) - b ** 2
    return ((2 * a * b + 1e-4) * (2 * (mean(x * y) - a * b) + 9e-4) / ((a ** 2 + b ** 2 + 1e-4) * (variances + 9e-4))).mean()


class FieldMeasures(ProgramTest):
    def evaluation(self, ranks, run, *options):
        """The bytes of the evaluation, and what it holds."""
        out = self.folder / f"evaluation_{ranks}.json"
        out.unlink(missing_ok=True)
        self.succeed(ranks, "evaluate", run, f"--out={out}", *options)
        return out.read_bytes(), json.loads(out.read_text())

    def codes(self, run, data, split):
        out = self.folder / f"codes_{split}.h5"
        self.succeed(0, "encode", run, data, f"--split={split}", f"--out={out}")
        with h5py.File(out) as file:
            return file["z"][:].astype("f8")

    def test_images(self):
        data, run = self.folder / "images.h5", self.folder / "run"
        write_images(data)
        self.train(0, "run", f"--data.path={data}", "--model.latent=4", "--network.hidden=32", *SHORT)
        of_one, result = self.evaluation(0, run, "--samples=60")
        self.assertEqual(of_one, self.evaluation(3, run, "--samples=60")[0])
        with h5py.File(data) as file:
            labels, asked = file["train/label"][:], file["test/label"][:]
            x, factors = file["test/x"][:].astype("f8"), file["test/factors"][:]
        codes, test = self.codes(run, data, "train"), self.codes(run, data, "test")

        near = numpy.linalg.norm(test[:, None] - codes, axis=2).argsort(1)[:, :5]
        self.assertAlmostEqual(result["classes"]["nearest_neighbours"], ((labels[near].mean(1) > 0.5) == asked).mean(), places=9)
        self.assertAlmostEqual(result["classes"]["most_frequent_class"],
                               (asked == numpy.bincount(labels).argmax()).mean(), places=9)
        self.assertGreater(result["classes"]["linear_probe"], result["classes"]["most_frequent_class"])

        out = self.folder / "reconstruction.npz"
        self.succeed(0, "reconstruct", run, data, "--split=test", f"--out={out}")
        error = ((x - numpy.load(out)["reconstruction"]) ** 2).sum((1, 2, 3))
        self.assertAlmostEqual(result["similarity"]["ssim"], structural_similarity(x, numpy.load(out)["reconstruction"]), places=4)
        found = result["information"]
        self.assertAlmostEqual(found["marginal_kl"], found["total_correlation"] + found["dimension_wise_kl"], places=9)
        self.assertAlmostEqual(found["mutual_information"] + found["marginal_kl"], result["kl"], delta=0.5 + 0.1 * result["kl"])
        self.assertLessEqual(found["mutual_information"], numpy.log(found["rows"]))
        anomalies = result["anomalies"]
        self.assertEqual((anomalies["class"], anomalies["rows"]), (1, asked.sum()))
        for name, score in (("squared_error", error), ("relative_error", error / (x ** 2).sum((1, 2, 3)))):
            self.assertAlmostEqual(anomalies["auroc"][name], area_under_roc(score, asked == 1), places=3)
            self.assertAlmostEqual(anomalies["auprc"][name], average_precision(score, asked == 1), places=3)
        self.assertIn("deviance", anomalies["auroc"])
        other = self.evaluation(0, run, "--metrics=anomalies", "--anomaly=0")[1]["anomalies"]
        self.assertAlmostEqual(other["auroc"]["squared_error"], 1 - anomalies["auroc"]["squared_error"], places=9)

        correlation = numpy.corrcoef(test.T, factors.T)[:4, 4:] ** 2
        self.assertAlmostEqual(result["factors"]["sap"], (numpy.sort(correlation, 0)[-1] - numpy.sort(correlation, 0)[-2]).mean(),
                               places=5)
        self.assertEqual((result["samples"]["features"], result["samples"]["rows"]), ("pixels", 60))
        of_one, by_codes = self.evaluation(0, run, "--metrics=samples", f"--features={run}", "--samples=60")
        self.assertEqual(of_one, self.evaluation(2, run, "--metrics=samples", f"--features={run}", "--samples=60")[0])
        self.assertRegex(by_codes["samples"]["features"], "^codes of vae [0-9a-f]{64}$")
        self.assertNotEqual(by_codes["samples"]["frechet_distance"], result["samples"]["frechet_distance"])
        self.assertNotIn("classes", by_codes)

    def test_wrong_uses(self):
        data, run = self.folder / "table.h5", self.folder / "run"
        write_table(data)
        self.train(0, "run", f"--data.path={data}", "--model.likelihood=gaussian", "--model.latent=3", *SHORT)
        for options, message in ((["--metrics=samples"], "not images"), (["--metrics=factors"], "factors"),
                                 (["--metrics=best"], "'best' is not a measure"), (["--anomaly=7"], "the labels of the rows are 0, 1")):
            result = self.fail_with(2, "evaluate", run, *options)
            self.assertIn(message, result)
        self.assertNotIn("anomalies", self.evaluation(0, run, "--metrics=none")[1])
        self.assertIn("gives", self.fail_with(2, "score", run, data, "--by=deviance", f"--out={self.folder / 's.csv'}"))

    def test_texts_are_judged_by_a_command(self):
        data, run = self.folder / "text.h5", self.folder / "run"
        (self.folder / "lines.txt").write_text("".join(f"a{'bcd'[i % 3]} {'xy'[i % 2]}{i % 5}\n" for i in range(90)))
        self.succeed(0, "convert", "text", self.folder / "lines.txt", f"--out={data}")
        self.train(0, "run", "--model.name=sequence_vae", "--model.hidden=16", "--train.steps=40",
                   "--train.batch=32", "--train.microbatch=16", "--optimizer.lr=0.02", "--data.validation_fraction=0.2",
                   "--evaluate.every=never", config=data)
        seen = self.folder / "seen.txt"
        command = f"tee {seen} | sed 's/.*b.*//'"  # texts with a b are not valid
        shared = ["--split=validation", "--metrics=texts", "--samples=50", f"--validity={command}"]
        of_one, result = self.evaluation(0, run, *shared)
        drawn = seen.read_text().splitlines()
        valid = [line for line in drawn if "b" not in line and line]
        texts = result["texts"]
        self.assertEqual((texts["drawn"], texts["valid"]), (50, len(valid) / 50))
        self.assertEqual(texts["unique"], len(set(valid)) / len(valid))
        with h5py.File(data) as file:
            words = [word.decode() for word in file["vocabulary"][:]]
            known = {" ".join(words[i] for i in row if words[i] not in ("<pad>", "<bos>", "<eos>")) for row in file["train/x"][:]}
        # A part of the rows is for validation, so at least the texts that no row has are new.
        self.assertGreaterEqual(texts["novel"], len(set(valid) - known) / len(set(valid)))
        self.assertEqual(self.evaluation(3, run, *shared)[0], of_one)
        self.assertIn("expected a line for each", self.fail_with(2, "evaluate", run, *shared[:3], "--validity=head -1"))
        self.assertIn("ended with status 3", self.fail_with(1, "evaluate", run, *shared[:3], "--validity=exit 3"))
        self.assertIn("--validity=COMMAND", self.fail_with(2, "evaluate", run, "--split=validation", "--metrics=texts"))

    def fail_with(self, code, *words):
        from program import run as start
        result = start(0, *words)
        self.assertEqual(result.returncode, code, result.stderr)
        return result.stderr

    def test_a_threshold_and_what_made_rows_strange(self):
        data, run = self.folder / "table.h5", self.folder / "run"
        write_table(data)
        self.train(0, "run", f"--data.path={data}", "--model.likelihood=gaussian", "--model.likelihood_scale=0.2",
                   "--model.latent=3", *SHORT, "--train.steps=600", "--optimizer.lr=0.005")
        files = {ranks: self.folder / f"scores_{ranks}.npz" for ranks in (0, 3)}
        for ranks, out in files.items():
            printed = self.succeed(ranks, "score", run, data, "--split=test", "--false_alarms=0.02", f"--out={out}").stdout
        one, three = (numpy.load(files[ranks]) for ranks in (0, 3))
        for name in one.files:
            numpy.testing.assert_array_equal(one[name], three[name])
        usual = self.folder / "usual.npz"
        self.succeed(0, "score", run, data, "--split=validation", f"--out={usual}")
        threshold = numpy.sort(numpy.load(usual)["score"])[::-1][4]  # 2 % of 200 rows are above it
        numpy.testing.assert_array_equal(one["anomaly"], one["score"] > threshold)
        self.assertIn(f"threshold {threshold:.6g}: 2 % of 200 validation rows", printed)
        wrong = numpy.arange(100) % 10 == 0
        self.assertGreater(one["anomaly"][wrong].mean(), 0.8)
        self.assertTrue((numpy.abs(one["deviation"]).argmax(1) == 0).all())
        self.assertRegex(printed, r"test \d*0  [0-9.]+  (?:area|width|height) [+-]")
        evaluation = self.evaluation(0, run)[1]["anomalies"]
        self.assertGreater(evaluation["auroc"]["negative_elbo"], 0.95)

    def test_annealing_finds_the_likelihood_of_a_linear_model(self):
        """A VAE without hidden layers is probabilistic PCA: x ~ N(b, WW' + s^2 I)."""
        data, run = self.folder / "table.h5", self.folder / "linear"
        write_table(data)
        self.train(0, "linear", *SHORT, "--model.name=vae", "--model.latent=3", "--network.hidden=", "--network.kind=mlp",
                   "--model.likelihood=gaussian", "--model.likelihood_variance=fixed", "--model.likelihood_scale=0.4", config=data)
        options = ("--split=validation", "--metrics=ais", "--ais_rows=20", "--ais_temperatures=150", "--ais_chains=8")
        content, found = self.evaluation(0, run, *options)
        self.assertEqual(self.evaluation(2, run, *options)[0], content)
        with h5py.File(data) as file, h5py.File(next((run / "checkpoints").glob("step_*.h5"))) as checkpoint:
            x, values = file["validation/x"][::10].astype("f8"), {}
            checkpoint.visititems(lambda name, item: values.update({name: item[()].astype("f8")} if isinstance(item, h5py.Dataset) else {}))
        value = lambda *words: next(v for name, v in values.items() if all(word in name for word in ("parameters", *words)))
        x = (x - values.get("buffers/input_shift", 0)) / values.get("buffers/input_scale", 1)
        w, b = value("decoder", "weight"), value("decoder", "bias")
        covariance, deviation = w @ w.T + 0.4 ** 2 * numpy.eye(5), x - b
        exact = 0.5 * ((deviation @ numpy.linalg.inv(covariance) * deviation).sum(1) + numpy.linalg.slogdet(2 * numpy.pi * covariance)[1])
        ais = found["ais"]
        self.assertEqual((ais["rows"], ais["chains"], ais["temperatures"]), (20, 8, 150))
        self.assertAlmostEqual(ais["nll"], exact.mean(), delta=0.3)  # 8 chains a row
        self.assertAlmostEqual(ais["standard_error"], exact.std(ddof=1) / 20 ** 0.5, delta=0.1)
        self.assertTrue(0.4 < ais["acceptance"] < 0.95, ais)
        self.assertNotIn("ais", self.evaluation(0, run, "--split=validation", "--metrics=auto")[1])
        self.train(0, "ae", *SHORT, "--model.name=autoencoder", config=data)
        refused = run_program(0, "evaluate", self.folder / "ae", "--metrics=ais")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("autoencoder has no density p(x, z)", refused.stderr)


if __name__ == "__main__":
    unittest.main()
