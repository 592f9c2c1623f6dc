#!/usr/bin/env python3
"""Every variant, as its users run it: the same bits for every number of ranks and threads, resume, and each command."""
import json
import unittest

import h5py
import numpy

from program import ProgramTest, run

STEPS = 4
SMALL = ("--network.hidden=16", "--network.channels=4,8", "--train.batch=32", "--train.microbatch=8",
         "--evaluate.every=never", "--train.seed=3")


def names():
    lines = run(0, "models").stdout.splitlines()
    return [line.split()[0] for line in lines[::2]]


class Variants(ProgramTest):
    def data(self, name):
        """A small set of a prime number of rows that the variant takes: labelled pictures, sequences, or tokens."""
        random = numpy.random.default_rng(1)
        sets = {"image": random.random((71, 1, 16, 16), dtype="f4"),
                "sequence": random.standard_normal((71, 8, 3), dtype="f4"),
                "tokens": numpy.hstack([numpy.ones((71, 1)), random.integers(4, 11, (71, 6)), numpy.full((71, 1), 2)]).astype("i2")}
        for kind, x in sets.items():
            path = self.folder / f"{kind}.h5"
            if not path.exists():
                with h5py.File(path, "w") as file:
                    file.attrs["kind"] = kind
                    for split in ("train", "test"):
                        file[f"{split}/x"] = x
                        if kind == "image":
                            file[f"{split}/label"] = numpy.arange(71) % 3
                    if kind == "tokens":
                        file["vocabulary"] = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcdefg"]
            result = run(0, "train", path, f"--model.name={name}", "--train.steps=1", *SMALL,
                         f"--run.directory={self.folder / 'try'}_{name}_{kind}")
            if result.returncode == 0:
                return path
            self.assertEqual(result.returncode, 2, result.stderr)
        self.fail(f"{name} takes none of {list(sets)}")

    def train_on(self, data, name, ranks, threads, directory, *settings):
        result = self.succeed(ranks, "train", data, f"--model.name={name}", f"--train.threads={threads}", *SMALL,
                              f"--run.directory={self.folder / directory}", *settings)
        return result.stdout.splitlines()[-1]

    def check(self, name):
        data = self.data(name)
        steps = f"--train.steps={STEPS}"
        whole = self.train_on(data, name, 0, 1, "whole", steps)
        for ranks, threads in ((0, 2), (2, 1), (3, 2), (4, 1)):
            self.assertEqual(self.train_on(data, name, ranks, threads, f"{ranks}_{threads}", steps), whole,
                             f"{ranks} ranks, {threads} threads")
        self.train_on(data, name, 2, 1, "cut", f"--train.steps={STEPS // 2}")
        self.assertEqual(self.train_on(data, name, 3, 1, "cut", steps, "--resume"), whole, "resumed on other ranks")

        self.check_commands(data)

    def test_an_adversary_learns_at_a_pace_of_its_own(self):
        data = self.data("factor_vae")
        parameters = {}
        for factor in (1e-30, 1):  # the first moves no float32
            self.train_on(data, "factor_vae", 2, 1, f"pace_{factor}", "--train.steps=2",
                          f"--model.discriminator_lr_factor={factor}", "--checkpoint.every_steps=1")
            for step in (1, 2):
                with h5py.File(self.folder / f"pace_{factor}/checkpoints/step_{step:09}.h5") as file:
                    parameters[factor, step] = {name: value[:] for name, value in file["parameters"].items()}

        def moved(factor, module):
            before, after = parameters[factor, 1], parameters[factor, 2]
            names = [name for name in before if name.startswith(module)]
            self.assertTrue(names)
            return any((before[name] != after[name]).any() for name in names)
        self.assertFalse(moved(1e-30, "discriminator."))
        self.assertTrue(moved(1, "discriminator."))
        self.assertTrue(moved(1e-30, "encoder."))

    def test_a_stage_leaves_what_the_one_before_it_has_learnt(self):
        data = self.data("vq_vae")
        stages = ("--model.prior_from=2", "--checkpoint.every_steps=1", "--checkpoint.keep_last=9")
        whole = self.train_on(data, "vq_vae", 2, 1, "stages", "--train.steps=4", *stages)
        self.train_on(data, "vq_vae", 3, 2, "stages_cut", "--train.steps=3", *stages)
        self.assertEqual(self.train_on(data, "vq_vae", 0, 1, "stages_cut", "--train.steps=4", *stages, "--resume"), whole)
        parameters = []
        for step in (1, 2, 3, 4):
            with h5py.File(self.folder / f"stages/checkpoints/step_{step:09}.h5") as file:
                parameters.append({name: value[:] for name, value in file["parameters"].items()})

        def moved(before, after, module):
            names = [name for name in before if name.startswith(module)]
            self.assertTrue(names)
            return any((before[name] != after[name]).any() for name in names)
        for i, (before, after) in enumerate(zip(parameters, parameters[1:])):
            self.assertEqual(moved(before, after, "encoder."), i == 0, f"step {i + 2}")
            self.assertEqual(moved(before, after, "prior."), i > 0, f"step {i + 2}")

    def check_commands(self, data):
        directory = self.folder / "whole"
        with h5py.File(data) as file:
            x = file["test/x"][:]
        for ranks in (0, 3):
            self.succeed(ranks, "evaluate", directory, f"--out={self.folder / f'{ranks}.json'}")
        texts = [(self.folder / f"{ranks}.json").read_text() for ranks in (0, 3)]
        self.assertEqual(*texts)
        evaluation = json.loads(texts[0])
        self.assertEqual(evaluation["rows"], len(x))
        self.assertTrue(numpy.isfinite(evaluation["loss"]))
        for words, rows in ((("sample", directory, "--n=5"), 5), (("reconstruct", directory, "--n=6"), 6),
                            (("interpolate", directory, "--n=2", "--steps=4"), 8)):
            out = self.folder / f"{words[0]}.h5"
            self.succeed(0, *words, f"--out={out}")
            with h5py.File(out) as file:
                made = file["reconstruction" if words[0] == "reconstruct" else "x"][:]
            self.assertEqual(made.shape, (rows, *x.shape[1:]), words)
            self.assertTrue(numpy.isfinite(made).all(), words)
        if data.name == "tokens.h5":
            self.check_texts(directory)
        self.check_prediction(directory, data)
        codes = self.folder / "codes.h5"
        self.succeed(2, "encode", directory, data, f"--out={codes}")
        with h5py.File(codes) as file:
            self.assertEqual(len(file["z"]), len(x))
            self.assertTrue(numpy.isfinite(file["z"][:]).all())

    def check_prediction(self, directory, data):
        """Variants that tell rows element after element keep a row's beginning; the others say that they do not."""
        out = self.folder / "predicted.h5"
        for elements in ("mean", "drawn"):
            words = ("predict", directory, data, "--from=4", f"--elements={elements}", "--n=6")
            result = run(0, *words, f"--out={out}", "--force")
            if result.returncode != 0:
                self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), result.stderr)
                self.assertIn("element after element", result.stderr)
                return
            with h5py.File(out) as file:
                x, told = file["x"][:], file["prediction"][:]
            self.assertEqual(told.shape, x.shape)
            self.assertTrue((told[:, :4] == x[:, :4]).all())
            self.assertFalse((told[:, 4:] == x[:, 4:]).all())
            self.assertTrue(numpy.isfinite(told).all())

    def check_texts(self, directory):
        for command, columns in (("sample", 1), ("reconstruct", 2), ("interpolate", 1)):
            out = self.folder / f"{command}.txt"
            self.succeed(0, command, directory, "--n=3", f"--out={out}")
            with h5py.File(self.folder / "tokens.h5") as file:
                rows, names = file["test/x"][:3], file["vocabulary"].asstr()[:]
            lines = [line.split("\t") for line in out.read_text().splitlines()]
            self.assertEqual({len(line) for line in lines}, {columns})
            if command == "reconstruct":
                self.assertEqual([line[0] for line in lines], [" ".join(names[row[1:-1]]) for row in rows])
            for word in " ".join(line[-1] for line in lines).split():
                self.assertIn(word, names)


def add(name):
    def test(self):
        self.check(name)
    setattr(Variants, f"test_{name}", test)


if __name__ == "__main__":
    for name in names():
        add(name)
    unittest.main()
