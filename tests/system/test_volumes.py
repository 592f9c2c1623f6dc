#!/usr/bin/env python3
"""Volumes: 3-D convolutions, to the same bits on any number of ranks, and outputs of the rows' shape."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = ("--train.steps=60", "--train.batch=24", "--train.microbatch=8", "--network.channels=8,16", "--network.hidden=32",
         "--model.latent=6", "--optimizer.lr=0.003", "--evaluate.every=never")


def ellipsoids(rows, sides, seed):
    """(rows, depth, height, width) of 0 and 1: ellipsoids of any centre and radii."""
    rng = numpy.random.default_rng(seed)
    grid = numpy.stack(numpy.meshgrid(*(numpy.linspace(-1, 1, side) for side in sides), indexing="ij"))
    centres = rng.uniform(-0.4, 0.4, (rows, 3, 1, 1, 1))
    radii = rng.uniform(0.3, 0.6, (rows, 3, 1, 1, 1))
    return (((grid - centres) / radii) ** 2).sum(1) < 1


class Volumes(ProgramTest):
    def write(self, name, x, **attributes):
        path = self.folder / f"{name}.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = x
            file.attrs.update(attributes)
        return path

    def losses(self, name):
        lines = [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]
        return [line["loss"] for line in lines if line["split"] == "train"]

    def outputs(self, run, *words):
        path = self.folder / "rows.h5"
        self.succeed(0, *words[:1], self.folder / run, *words[1:], f"--out={path}", "--force")
        with h5py.File(path) as file:
            return {name: file[name][()] for name in file if isinstance(file[name], h5py.Dataset)}

    def check(self, name, data, shape, *settings):
        """The same fingerprint for each number of ranks and threads, a loss that falls, outputs of the rows' shape."""
        fingerprints = {self.train(ranks, f"{name}{ranks}", *SMALL, *settings, f"--train.threads={threads}", config=data)
                        for ranks, threads in ((0, 1), (1, 3), (2, 1), (3, 1))}
        self.assertEqual(len(fingerprints), 1)
        losses = self.losses(f"{name}0")
        self.assertLess(losses[-1], 0.6 * losses[0])
        run = f"{name}0"
        rows = self.outputs(run, "reconstruct", "--split=train", "--n=3")
        self.assertEqual(rows["x"].shape, (3, *shape))
        self.assertEqual(rows["reconstruction"].shape, (3, *shape))
        self.assertEqual(self.outputs(run, "sample", "--n=5")["x"].shape, (5, *shape))
        self.succeed(0, "sample", self.folder / run, "--n=5", f"--out={self.folder / name}.png")
        self.succeed(2, "evaluate", self.folder / run, "--split=train")
        result = json.loads((self.folder / run / "evaluation.json").read_text())
        self.assertGreater(result["psnr"], 5)
        return rows["x"]

    def test_cubes_of_bytes_as_they_are(self):
        x = ellipsoids(96, (16, 16, 16), 1)
        data = self.write("cubes", x.astype("u1") * 255)
        said = self.succeed(0, "train", data, "--check").stdout
        self.assertIn("volumes of at least 8×8×8", said)
        rows = self.check("cubes", data, (1, 16, 16, 16))
        numpy.testing.assert_array_equal(rows[:, 0], x[:3])
        self.assertIn("conv", (self.folder / "cubes0/run.ini").read_text())

    def test_boxes_of_floats_with_a_channel(self):
        x = ellipsoids(96, (12, 20, 18), 2)[:, None].astype("f4")
        rows = self.check("boxes", self.write("boxes", 0.8 * x + 0.1), (1, 12, 20, 18))
        numpy.testing.assert_allclose(rows, 0.8 * x[:3] + 0.1, atol=1e-6)

    def test_what_the_user_says(self):
        flat = ellipsoids(48, (4, 16, 16), 3).astype("u1")
        data = self.write("flat", flat)  # taken for images of 4 channels, unless one says otherwise
        said = self.write("said", flat, kind="volume")
        fingerprints = set()
        for name, file, settings in (("by_kind", data, ["--data.kind=volume"]), ("by_axes", data, ["--data.axes=NDHW"]),
                                     ("by_file", said, [])):
            fingerprints.add(self.train(0, name, *SMALL, "--network.kind=conv", *settings, config=file))
            self.assertEqual(self.outputs(name, "sample", "--n=2")["x"].shape, (2, 1, 4, 16, 16))
        self.assertEqual(len(fingerprints), 1)
        self.train(0, "dense", *SMALL, "--network.kind=mlp", config=said)
        self.assertEqual(self.outputs("dense", "sample", "--n=2")["x"].shape, (2, 1, 4, 16, 16))
        self.train(0, "images", *SMALL, config=data)
        self.assertEqual(self.outputs("images", "sample", "--n=2")["x"].shape, (2, 4, 16, 16))

    def test_channels_last_and_standardised(self):
        rng = numpy.random.default_rng(4)
        x = numpy.stack([1000 + 300 * ellipsoids(64, (9, 10, 11), 5), -50 + 20 * ellipsoids(64, (9, 10, 11), 6)], -1)
        x = (x + rng.normal(size=x.shape)).astype("f4")
        data = self.write("scans", x, kind="volume")
        settings = "--data.normalize=standardize", "--model.likelihood=gaussian"
        fingerprints = {self.train(ranks, f"scans{ranks}", *SMALL, *settings, config=data) for ranks in (0, 2)}
        self.assertEqual(len(fingerprints), 1)
        with h5py.File(self.folder / "scans0/checkpoints/step_000000060.h5") as file:
            shift = file["buffers/input_shift"][()]
        self.assertEqual(shift.shape, (2, 1, 1, 1))
        numpy.testing.assert_allclose(shift[:, 0, 0, 0], x.mean((0, 1, 2, 3)), rtol=1e-4)
        rows = self.outputs("scans0", "reconstruct", "--split=train", "--n=3")
        numpy.testing.assert_allclose(rows["x"], x[:3].transpose(0, 4, 1, 2, 3), rtol=1e-4, atol=0.05)

    def test_other_variants(self):
        data = self.write("small", ellipsoids(48, (8, 9, 10), 7).astype("u1"))
        for model, settings in (("vq_vae", ["--model.codebook_size=16"]), ("hierarchical_vae", []), ("vae_gan", [])):
            own = [setting for setting in SMALL if not setting.startswith(("--model", "--train.steps"))]
            self.train(0, model, *own, "--train.steps=5", f"--model.name={model}", *settings, "--network.kind=conv", config=data)
            self.assertEqual(self.outputs(model, "sample", "--n=2")["x"].shape, (2, 1, 8, 9, 10))
        result = self.fail_of(data, "--model.name=sequence_vae")
        self.assertIn("needs sequences", result)
        own = [setting for setting in SMALL if not setting.startswith("--train.steps")]
        self.train(0, "portable", *own, "--train.steps=5", "--train.kernels=portable", "--network.kind=conv", config=data)

    def fail_of(self, data, *settings):
        result = run(0, "train", data, f"--run.directory={self.folder}/refused", *settings)
        self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr


if __name__ == "__main__":
    unittest.main()
