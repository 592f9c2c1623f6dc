#!/usr/bin/env python3
"""Every variant: the same bits for every number of ranks and threads, resume, and each command."""
import json
import pathlib
import unittest

import h5py
import numpy

from program import ProgramTest, run

STEPS = 4
SMALL = ("--network.hidden=16", "--network.channels=4,8", "--train.batch=32", "--train.microbatch=8",
         "--evaluate.every=never", "--evaluate.microbatch=16", "--train.seed=3")


def names():
    lines = run(0, "models").stdout.splitlines()
    return [line.split()[0] for line in lines[::2]]


class Variants(ProgramTest):
    def make(self, kind):
        """A small data set with a prime number of rows: labelled images, sequences, tokens or video."""
        path = self.folder / f"{kind}.h5"
        if path.exists():
            return path
        random = numpy.random.default_rng(1)
        x = {"image": lambda: random.random((71, 1, 16, 16), dtype="f4"),
             "sequence": lambda: random.standard_normal((71, 8, 3), dtype="f4"),
             "tokens": lambda: numpy.hstack([numpy.ones((71, 1)), random.integers(4, 11, (71, 6)), numpy.full((71, 1), 2)]).astype("i2"),
             "video": lambda: random.integers(0, 256, (71, 6, 1, 16, 16), dtype="u1")}[kind]()
        with h5py.File(path, "w") as file:
            file.attrs["kind"] = kind
            for split in ("train", "test"):
                file[f"{split}/x"] = x
                if kind == "image":
                    file[f"{split}/label"] = numpy.arange(71) % 3
            if kind == "tokens":
                file["vocabulary"] = ["<pad>", "<bos>", "<eos>", "<unk>", *"abcdefg"]
        return path

    def data(self, name):
        """The first kind of data that the variant accepts."""
        kinds = "image", "sequence"
        for kind in kinds:
            result = run(0, "train", self.make(kind), f"--model.name={name}", "--train.steps=1", *SMALL,
                         f"--run.directory={self.folder / 'try'}_{name}_{kind}")
            if result.returncode == 0:
                return self.make(kind)
            self.assertEqual(result.returncode, 2, result.stderr)
        self.fail(f"{name} takes none of {kinds}")

    def train_on(self, data, name, ranks, threads, directory, *settings):
        result = self.succeed(ranks, "train", data, f"--model.name={name}", f"--train.threads={threads}", *SMALL,
                              f"--run.directory={self.folder / directory}", *settings)
        return result.stdout.splitlines()[-1]

    def check(self, name, data, prefix=""):
        steps = f"--train.steps={STEPS}"
        whole = self.train_on(data, name, 0, 1, f"{prefix}whole", steps)
        for ranks, threads in ((0, 2), (3, 2)):
            self.assertEqual(self.train_on(data, name, ranks, threads, f"{prefix}{ranks}_{threads}", steps), whole,
                             f"{ranks} ranks, {threads} threads")
        self.train_on(data, name, 2, 1, f"{prefix}cut", f"--train.steps={STEPS // 2}")
        self.assertEqual(self.train_on(data, name, 4, 1, f"{prefix}cut", steps, "--resume"), whole, "resumed on other ranks")

        self.check_commands(self.folder / f"{prefix}whole", data)

    def test_tokens_and_video_are_sequences_too(self):
        for name in ("sequence_vae", "vrnn"):
            for kind in ("tokens", "video"):
                with self.subTest(name=name, kind=kind):
                    self.check(name, self.make(kind), f"{name}_{kind}_")

    def test_a_traversal_moves_one_number_of_one_rows_code(self):
        data, directory = self.data("vae"), self.folder / "walk"
        self.train_on(data, "vae", 2, 1, "walk", "--train.steps=20", "--optimizer.lr=0.01")
        self.succeed(0, "encode", directory, data, f"--out={self.folder}/z.h5")
        self.succeed(0, "reconstruct", directory, "--n=8", f"--out={self.folder}/x.h5")
        with h5py.File(self.folder / "z.h5") as codes, h5py.File(self.folder / "x.h5") as rows:
            row, dimension = 7, 2
            value, restored = codes["z"][row, dimension], rows["reconstruction"][row]
        out = self.folder / "traversed.h5"
        # One of the values -range and range differs from the code.
        self.succeed(0, "traverse", directory, f"--row={row}", f"--dimensions=0,{dimension}", "--steps=2", f"--range={abs(float(value))!r}",
                     f"--out={out}")
        with h5py.File(out) as file:
            ends = file["x"][2:]
        numpy.testing.assert_allclose(ends[int(value > 0)], restored, atol=1e-6)
        self.assertGreater(abs(ends[int(value < 0)] - restored).max(), 1e-6)

    def test_terms_that_couple_rows_want_thirty_two_of_them(self):
        """Total correlation, covariance, MMD and free bits are estimated within a microbatch."""
        for name, settings, term in (("beta_tc_vae", (), "the total correlation"), ("dip_vae", (), "the covariance of z"),
                                     ("wae_mmd", (), "the MMD"), ("info_vae", (), "the MMD"), ("vae", (), None),
                                     ("vae", ("--model.free_bits=0.1",), "the KL of each dimension")):
            for rows in (16, 32):
                told = self.succeed(0, "train", self.make("image"), f"--model.name={name}", *settings, *SMALL, f"--train.microbatch={rows}",
                                    "--train.steps=1", f"--run.directory={self.folder / 'none'}", "--check").stderr
                warned = "is estimated within a microbatch" in told
                self.assertEqual(warned, rows < 32 and term is not None, (name, settings, rows, told))
                self.assertIn(f"train.microbatch=16: {term} is estimated" if warned else "", told)

    def moved(self, before, after, module):
        """Whether any parameter of the module differs."""
        names = [name for name in before if name.startswith(module)]
        self.assertTrue(names)
        return any((before[name] != after[name]).any() for name in names)

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
            return self.moved(parameters[factor, 1], parameters[factor, 2], module)
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

        lines = [json.loads(line) for line in (self.folder / "stages/metrics.jsonl").read_text().splitlines()]
        self.assertEqual([line["phase"] for line in lines], ["model", "model", "prior", "prior"])
        self.assertEqual([line["loss"] for line in lines[2:]], [line["terms"]["prior"] for line in lines[2:]])

        for i, (before, after) in enumerate(zip(parameters, parameters[1:])):
            self.assertEqual(self.moved(before, after, "encoder."), i == 0, f"step {i + 2}")
            self.assertEqual(self.moved(before, after, "prior."), i > 0, f"step {i + 2}")

    def check_export(self, directory):
        out = pathlib.Path(f"{directory}.safetensors")
        self.succeed(2, "export", directory, f"--out={out}")
        content = out.read_bytes()
        length = int.from_bytes(content[:8], "little")
        header = json.loads(content[8:8 + length])
        about = header.pop("__metadata__")
        self.assertIn(f"[model]\nname = {about['model']}\n", about["config"])
        layers = json.loads(about["layers"])
        self.assertEqual(set(layers), {name.rpartition(".")[0] for name in header} - {""})
        for name, layer in layers.items():
            shape = header.get(f"{name}.weight", {"shape": ()})["shape"]
            if len(shape) > 2:  # a convolution's stride and padding do not follow from its weights
                self.assertRegex(layer, rf"^\w*Conv\w+\(kernel_size={shape[-1]}, (stride=\d|dilation=\d)")
        dtypes = {"F32": "f4", "F64": "f8", "I64": "i8", "I32": "i4", "U8": "u1", "BOOL": "?"}
        with h5py.File(directory / f"checkpoints/step_{STEPS:09}.h5") as file:
            saved = {**file["parameters"], **file.get("buffers", {})}
            self.assertEqual(set(header), set(saved))
            for name, about in header.items():
                first, end = about["data_offsets"]
                values = numpy.frombuffer(content[8 + length:][first:end], dtypes[about["dtype"]]).reshape(about["shape"])
                numpy.testing.assert_array_equal(values, saved[name][()])

    def check_commands(self, directory, data):
        with h5py.File(data) as file:
            x = file["test/x"][:]
        for ranks in (0, 3):
            self.succeed(ranks, "evaluate", directory, f"--out={directory}_{ranks}.json")
        texts = [pathlib.Path(f"{directory}_{ranks}.json").read_text() for ranks in (0, 3)]
        self.assertEqual(*texts)
        evaluation = json.loads(texts[0])
        self.assertEqual(evaluation["rows"], len(x))
        self.assertTrue(numpy.isfinite(evaluation["loss"]))
        for words, rows in ((("sample", directory, "--n=5"), 5), (("reconstruct", directory, "--n=6"), 6),
                            (("interpolate", directory, "--n=2", "--steps=4"), 8),
                            (("traverse", directory, "--steps=3", "--dimensions=0,1"), 6)):
            out = f"{directory}_{words[0]}.h5"
            self.succeed(0, *words, f"--out={out}")
            with h5py.File(out) as file:
                made = file["reconstruction" if words[0] == "reconstruct" else "x"][:]
            self.assertEqual(made.shape, (rows, *x.shape[1:]), words)
            self.assertTrue(numpy.isfinite(made).all(), words)
        if data.name == "tokens.h5":
            self.check_texts(directory)
        if data.name == "video.h5":
            self.succeed(0, "predict", directory, "--n=2", f"--out={directory}.png")
        self.check_prediction(directory, data)
        scores = []
        for ranks in (0, 3):
            out = f"{directory}_scores_{ranks}.h5"
            self.succeed(ranks, "score", directory, data, "--split=test", f"--out={out}")
            with h5py.File(out) as file:
                scores.append(file["score"][:])
        numpy.testing.assert_array_equal(*scores)
        self.assertAlmostEqual(scores[0].mean(dtype=numpy.float64) / evaluation["loss"], 1, places=5)
        self.check_export(directory)
        codes = f"{directory}_codes.h5"
        self.succeed(2, "encode", directory, data, "--split=test", f"--out={codes}")
        with h5py.File(codes) as file:
            self.assertEqual(len(file["z"]), len(x))
            self.assertTrue(numpy.isfinite(file["z"][:]).all())

    def check_prediction(self, directory, data):
        """Autoregressive variants keep the prefix of a row; others report that they cannot continue rows."""
        out = f"{directory}_predicted.h5"
        for elements in ("mean", "drawn"):
            words = ("predict", directory, data, "--from=4", f"--elements={elements}", "--n=6")
            result = run(0, *words, f"--out={out}", "--force")
            if result.returncode != 0:
                self.assertEqual((result.returncode, len(result.stderr.splitlines())), (2, 1), result.stderr)
                self.assertIn("is not autoregressive", result.stderr)
                return
            with h5py.File(out) as file:
                x, told = file["x"][:], file["prediction"][:]
            self.assertEqual(told.shape, x.shape)
            self.assertTrue((told[:, :4] == x[:, :4]).all())
            self.assertFalse((told[:, 4:] == x[:, 4:]).all())
            self.assertTrue(numpy.isfinite(told).all())

    def check_texts(self, directory):
        for command, columns in (("sample", 1), ("reconstruct", 2), ("interpolate", 1)):
            out = pathlib.Path(f"{directory}_{command}.txt")
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
        self.check(name, self.data(name))
    setattr(Variants, f"test_{name}", test)


if __name__ == "__main__":
    for name in names():
        add(name)
    unittest.main()
