#!/usr/bin/env python3
"""data.weights: training rows are sampled by weight or class, with the same bits on any number of ranks."""
import unittest

import h5py
import numpy

from program import ProgramTest, run

SETTINGS = ("--data.validation_fraction=0.1", "--network.hidden=16", "--train.batch=60", "--train.microbatch=20", "--train.steps=40",
            "--run.tensorboard=false", "--model.likelihood=gaussian", "--data.normalize=none", "--evaluate.every=never")


class Weights(ProgramTest):
    def setUp(self):
        super().setUp()
        rng = numpy.random.default_rng(0)
        self.label = (rng.random(600) < 0.1).astype(int)  # a tenth of the rows is of class 1
        with h5py.File(self.folder / "d.h5", "w") as file:
            file["train/x"] = (rng.normal(size=(600, 5)) * 0.1 + 6 * self.label[:, None]).astype("f4")
            file["train/label"] = self.label
            file["train/weight"] = numpy.where(self.label, 1., 0.)
            file["train/equal"] = numpy.ones(600, "f4")
            file["train/short"] = numpy.ones(599)
            file["train/negative"] = numpy.where(self.label, -1., 1.)
            file["train/zero"] = numpy.zeros(600, "i4")
            file["elsewhere"] = numpy.where(self.label, 2., 0.)

    def fit(self, ranks, name, *words):
        return self.train(ranks, name, *SETTINGS, *words, config=self.folder / "d.h5")

    def test_has_the_same_bits_on_any_number_of_ranks_and_after_a_resume(self):
        plain = self.fit(0, "plain")
        self.assertEqual(self.fit(0, "equal", "--data.weights=equal"), plain, "equal weights change nothing")
        whole = self.fit(0, "whole", "--data.weights=balanced")
        self.assertNotEqual(whole, plain)
        self.assertEqual(self.fit(3, "three", "--data.weights=balanced"), whole)
        self.fit(2, "parts", "--data.weights=balanced", "--train.steps=17")
        self.assertEqual(self.fit(1, "parts", "--data.weights=balanced", "--resume"), whole)
        fast = "--optimizer.lr=0.05"
        self.assertEqual(self.fit(0, "only", "--data.weights=weight", fast), self.fit(2, "other", "--data.weights=/elsewhere", fast))
        # Rows without a weight are not seen: the model knows class 1 alone, whose rows are near 6.
        self.succeed(0, "sample", self.folder / "only", "--n=200", "--elements=mean", f"--out={self.folder}/s.h5")
        with h5py.File(self.folder / "s.h5") as file:
            self.assertGreater(file["x"][:].mean(), 2)

        # Other weights are another data set.
        with h5py.File(self.folder / "d.h5", "r+") as file:
            file["train/weight"][0] = 3
        result = run(0, "train", self.folder / "d.h5", *SETTINGS, f"--run.directory={self.folder / 'only'}", "--data.weights=weight",
                     "--train.steps=50", fast, "--resume")
        self.assertEqual(result.returncode, 2)
        self.assertIn("is not the data set that", result.stderr)

    def test_mistakes_are_one_sentence(self):
        for weights, expected in (("shrot", "/train/shrot is not a dataset"), ("x", "has the shape (600, 5)"), ("short", "has 599 numbers; expected one for each of the 600"),
                                  ("negative", "is -1; expected numbers of at least 0"), ("zero", "all training rows have the weight 0")):
            result = run(0, "train", self.folder / "d.h5", *SETTINGS, f"--run.directory={self.folder / 'r'}", f"--data.weights={weights}", "--check")
            self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
            self.assertEqual(result.stderr.count("error: "), 1, result.stderr)
            self.assertIn(f"data.weights={weights}", result.stderr)
            self.assertIn(expected, result.stderr)
        with h5py.File(self.folder / "d.h5", "r+") as file:
            del file["train/label"]
        result = run(3, "train", self.folder / "d.h5", *SETTINGS, f"--run.directory={self.folder / 'r'}", "--data.weights=balanced", "--check")
        self.assertEqual(result.returncode, 2)
        self.assertEqual(result.stderr.count("error: "), 1, result.stderr)
        self.assertIn("the training rows have no classes", result.stderr)


if __name__ == "__main__":
    unittest.main()
