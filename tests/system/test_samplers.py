#!/usr/bin/env python3
"""elbo sample --sampler=: distributions that are fitted to the codes of training rows, and kept in the run."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = ("--train.batch=100", "--train.microbatch=50", "--train.steps=100", "--network.hidden=64", "--model.latent=4",
         "--run.tensorboard=false", "--evaluate.every=never")
FEW = "--fitted_rows=3000"


class Samplers(ProgramTest):
    def sample(self, ranks, name, out, *words, sampler="gmm"):
        path = self.folder / out
        log = self.succeed(ranks, "sample", self.folder / name, "--n=200", f"--sampler={sampler}", f"--out={path}", "--force", *words).stderr
        return path, "is fitted to" in log

    def refuse(self, command, name, *words, expected):
        result = run(0, command, self.folder / name, *words, f"--out={self.folder}/x.h5" if command == "sample" else "--metrics=samples")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        self.assertEqual(len([line for line in result.stderr.splitlines() if "error" in line]), 1, result.stderr)
        self.assertIn(expected, result.stderr)

    def test_is_fitted_once_for_a_checkpoint_and_has_the_same_bytes_on_3_ranks(self):
        self.train(0, "run", *SMALL)
        first, fitted = self.sample(0, "run", "1.h5", FEW)
        self.assertTrue(fitted)
        kept = self.folder / "run/samplers/gmm.h5"
        content = kept.read_bytes()
        again, fitted = self.sample(0, "run", "2.h5", FEW)
        self.assertFalse(fitted, "the kept mixture is used")
        self.assertEqual(first.read_bytes(), again.read_bytes())
        kept.unlink()
        ranks, fitted = self.sample(3, "run", "3.h5", FEW)
        self.assertTrue(fitted)
        self.assertEqual(first.read_bytes(), ranks.read_bytes())
        self.assertEqual(content, kept.read_bytes(), "the file has the same bytes, too")

        with h5py.File(kept) as file:
            with h5py.File(next((self.folder / "run/checkpoints").glob("step_*100.h5"))) as checkpoint:
                self.assertEqual(file.attrs["fingerprint"], checkpoint.attrs["fingerprint"])
            self.assertEqual(file["means"].shape, (1, 10, 4))
            self.assertAlmostEqual(file["weights"][:].sum(), 1)
            self.assertTrue((numpy.diagonal(file["factors"][:], axis1=-2, axis2=-1) > 0).all())

        # Other options, a damaged file, another checkpoint: it is fitted again.
        self.assertTrue(self.sample(0, "run", "4.h5", FEW, "--components=3")[1])
        with h5py.File(kept, "r+") as file:
            file["means"][0, 0, 0] += 1e-3  # damage
        self.assertTrue(self.sample(0, "run", "5.h5", FEW, "--components=3")[1])
        self.train(0, "run", *SMALL, "--train.steps=110", "--resume")
        self.assertTrue(self.sample(0, "run", "6.h5", FEW, "--components=3")[1])
        kept.unlink()
        result = run(0, "sample", self.folder / "run", "--sampler=gmm", f"--out={self.folder}/x.mid")
        self.assertEqual(result.returncode, 2, result.stderr)
        self.assertFalse(kept.exists(), "nothing is fitted where --out cannot hold the samples")
        self.refuse("sample", "run", "--sampler=gmm", "--vary=0", expected="--vary=0: samples levels of the prior")
        self.refuse("sample", "run", "--components=3", expected="add --sampler=gmm")
        self.refuse("sample", "run", "--sampler=gmm", "--fitted_rows=49", expected="need 50 training rows, and there are 49; expected at most --components=9")
        self.refuse("sample", "run", "--sampler=gmm", "--fitted_rows=4", expected="expected --sampler=prior")

    def test_every_sampler_is_kept_and_has_the_same_bytes_on_3_ranks(self):
        self.train(0, "run", *SMALL)
        for sampler, *words in ("vampprior", "--components=40"), ("two_stage", FEW, "--sampler_steps=30"), ("flow", FEW, "--sampler_steps=10"):
            first, fitted = self.sample(0, "run", "1.h5", *words, sampler=sampler)
            self.assertTrue(fitted)
            kept = self.folder / f"run/samplers/{sampler}.h5"
            content, samples = kept.read_bytes(), first.read_bytes()
            kept.unlink()
            again, fitted = self.sample(3, "run", "2.h5", *words, sampler=sampler)
            self.assertTrue(fitted)
            self.assertEqual(content, kept.read_bytes(), sampler)
            self.assertEqual(samples, again.read_bytes(), sampler)
            again, fitted = self.sample(2, "run", "3.h5", *words, sampler=sampler)
            self.assertFalse(fitted, f"the kept {sampler} is used")
            self.assertEqual(samples, again.read_bytes(), sampler)
        self.assertTrue(self.sample(0, "run", "4.h5", FEW, "--sampler_steps=11", sampler="flow")[1], "other options: fitted again")
        self.refuse("sample", "run", "--sampler=gmm", "--sampler_steps=3", expected="add --sampler=flow or --sampler=two_stage")
        self.refuse("sample", "run", "--sampler=flow", "--components=3", expected="add --sampler=gmm or --sampler=vampprior")
        self.refuse("sample", "run", "--sampler=flow", "--fitted_rows=100", expected="needs 256 training rows, and there are 100")

    def test_vampprior_has_posteriors_of_training_rows(self):
        self.train(0, "run", *SMALL)
        self.sample(0, "run", "s.h5", "--components=40", sampler="vampprior")
        self.succeed(0, "encode", self.folder / "run", "datasets/mnist.h5", "--split=train", f"--out={self.folder}/codes.h5")
        with h5py.File(self.folder / "codes.h5") as codes, h5py.File(self.folder / "run/samplers/vampprior.h5") as kept:
            numpy.testing.assert_allclose(kept["weights"][:], 1 / 40)
            z, logvar = codes["z"][:], codes["logvar"][:]
            rows = [numpy.abs(z - mean).sum(1).argmin() for mean in kept["means"][0]]
            self.assertEqual(len(set(rows)), 40, "rows are different ones")
            numpy.testing.assert_allclose(kept["means"][0], z[rows], rtol=0, atol=1e-4)
            numpy.testing.assert_allclose(kept["logvars"][0], logvar[rows], rtol=0, atol=1e-4)

    def test_brings_samples_of_an_autoencoder_nearer_to_rows(self):
        self.train(0, "ae", *SMALL, config="configs/mnist_autoencoder.ini")
        distance = {}
        for sampler, *words in ("prior",), ("gmm",), ("two_stage", "--sampler_steps=300"), ("flow", "--sampler_steps=150"):
            out = self.folder / f"{sampler}.json"
            self.succeed(2, "evaluate", self.folder / "ae", "--metrics=samples", "--samples=600", f"--sampler={sampler}", FEW, *words, f"--out={out}")
            measured = json.loads(out.read_text())["samples"]
            self.assertEqual(measured["sampler"], sampler)
            distance[sampler] = measured["frechet_distance"]
        for sampler in "gmm", "two_stage", "flow":
            self.assertLess(distance[sampler], 0.5 * distance["prior"], distance)
        self.refuse("sample", "ae", "--sampler=vampprior", expected="autoencoder has no posterior q(z|x)")

    def test_of_a_conditional_model_has_a_mixture_for_each_class(self):
        rng = numpy.random.default_rng(0)
        label = numpy.arange(900) % 3
        with h5py.File(self.folder / "three.h5", "w") as file:
            file["train/x"] = (rng.normal(size=(900, 6)) + label[:, None]).astype("f4")
            file["train/label"] = label
        self.train(0, "cvae", *SMALL, "--model.name=cvae", "--model.beta=0.01", config=self.folder / "three.h5")
        self.sample(0, "cvae", "all.h5", "--components=2")
        with h5py.File(self.folder / "cvae/samplers/gmm.h5") as file:
            self.assertEqual(file["weights"].shape, (3, 2))
        with h5py.File(self.folder / "all.h5") as file:
            means = [file["x"][:][file["label"][:] == k].mean() for k in range(3)]
        numpy.testing.assert_allclose(means, [0, 1, 2], atol=0.35)
        for sampler, *words in ("vampprior",), ("two_stage", "--sampler_steps=300"), ("flow", "--sampler_steps=200"):
            self.sample(0, "cvae", "all.h5", *words, sampler=sampler)
            with h5py.File(self.folder / "all.h5") as file:
                means = [file["x"][:][file["label"][:] == k].mean() for k in range(3)]
            numpy.testing.assert_allclose(means, [0, 1, 2], atol=0.35, err_msg=sampler)
        with h5py.File(self.folder / "cvae/samplers/vampprior.h5") as file:
            rows = (file["weights"][:] > 0).sum(1)
            self.assertEqual(rows.sum(), 810, "all training rows, as no class has 500")
            numpy.testing.assert_allclose(file["weights"][:].max(1), 1 / rows)
            numpy.testing.assert_allclose(file["weights"][:].sum(1), 1)
        self.refuse("sample", "cvae", "--sampler=gmm", "--components=100", expected="of class 0, and there are 270")
        self.refuse("evaluate", "cvae", "--sampler=gmm", expected="samples cannot be measured")
        (self.folder / "three.h5").unlink()
        self.sample(0, "cvae", "again.h5", "--components=2")  # needs no data
        self.refuse("sample", "cvae", "--sampler=gmm", expected="three.h5")

    def test_needs_continuous_codes(self):
        self.train(0, "vq", "--train.steps=2", "--network.hidden=16", "--evaluate.every=never", config="configs/mnist_vq_vae.ini")
        self.refuse("sample", "vq", "--sampler=gmm", expected="its codes are discrete and have a trained prior; use --sampler=prior")


if __name__ == "__main__":
    unittest.main()
