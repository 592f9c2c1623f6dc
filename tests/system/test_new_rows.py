#!/usr/bin/env python3
"""Rows that a model meets after training: their columns, codes, scale and tokens mean what those of training did, or are refused."""
import random
import unittest

import h5py
import numpy

from program import ProgramTest, run

SMALL = ("--network.hidden=16", "--model.latent=2", "--train.batch=32", "--train.steps=10", "--evaluate.every=never")
COLUMNS = ("age", "income", "region", "n")


class NewRows(ProgramTest):
    def setUp(self):
        super().setUp()
        dice = random.Random(0)
        self.rows = [{"age": round(dice.gauss(40, 12), 1), "income": round(dice.gauss(3e4, 8e3)), "n": dice.randrange(9),
                      "region": dice.choice(("north", "south", "west"))} for _ in range(200)]

    def table(self, name, rows, columns=COLUMNS):
        path = self.folder / f"{name}.csv"
        lines = [",".join(columns), *(",".join(str(row[column]) for column in columns) for row in rows)]
        path.write_text("\n".join(lines) + "\n")
        return path

    def convert(self, name, path, *words, kind="csv"):
        self.succeed(0, "convert", kind, path, f"--out={self.folder / name}.h5", *words)
        return self.folder / f"{name}.h5"

    def train_on(self, data, *settings):
        self.succeed(0, "train", data, *SMALL, f"--run.directory={self.folder / 'run'}", *settings)
        return self.folder / "run"

    def refused(self, *words):
        for ranks in (0, 2):
            result = run(ranks, *words)
            self.assertEqual(result.returncode, 2, result.stderr)
        return result.stderr

    def reconstructed(self, trained, data):
        """The rows as the run reads them, by column."""
        out = self.folder / f"{data.stem}_x.csv"
        self.succeed(0, "reconstruct", trained, data, "--split=train", f"--out={out}")
        lines = [line.split(",") for line in out.read_text().splitlines()]
        return [{name.removeprefix("x_"): value for name, value in zip(lines[0], line)} for line in lines[1:]]

    def assert_read(self, found, rows):
        self.assertEqual(len(found), len(rows))
        for one, row in zip(found, rows):
            self.assertEqual(one["region"], row["region"])
            for column in ("age", "income", "n"):
                self.assertAlmostEqual(float(one[column]), row[column], delta=1e-3 * abs(row[column]) + 1e-3)

    def test_columns_and_codes_of_a_table(self):
        trained = self.train_on(self.convert("t", self.table("t", self.rows)))
        few = self.rows[:20]
        others = {"another_order": (few, ("income", "age", "n", "region"), "its column 0 is 'income', not 'age'"),
                  "without_north": ([row for row in few if row["region"] != "north"], COLUMNS,
                                    "in its column 'region' the code 0 is 'south', not 'north'")}
        for name, (rows, columns, sentence) in others.items():
            path = self.table(name, rows, columns)
            own = self.convert(f"{name}_own", path)
            for command in ("score", "encode", "reconstruct"):
                self.assertIn(sentence, self.refused(command, trained, own, f"--out={self.folder / 'none.csv'}"))
            self.assert_read(self.reconstructed(trained, self.convert(f"{name}_like", path, f"--like={trained}")), rows)
        strange = self.table("strange", [{**few[0], "region": "east"}])
        self.assertIn("line 2: column 'region' holds 'east'",
                      self.refused("convert", "csv", strange, f"--out={self.folder / 'none.h5'}", f"--like={trained}"))
        lacking = self.table("lacking", few, ("age", "region", "n"))
        self.assertIn("income", self.refused("convert", "csv", lacking, f"--out={self.folder / 'none.h5'}", f"--like={trained}"))

    def test_one_hot_and_the_scale_of_training(self):
        words = ("--standardize=true", "--categories=one_hot")
        trained = self.train_on(self.convert("t", self.table("t", self.rows), *words))
        rich = [{**row, "income": row["income"] + 20000} for row in self.rows[:20] if row["region"] != "west"]
        path = self.table("rich", rich)
        own = self.convert("own", path, *words)
        self.assertIn("its column 4 is 'n', not 'region=west'", self.refused("score", trained, own, f"--out={self.folder / 'none.csv'}"))
        own = self.convert("all", self.table("all", self.rows[:20]), *words)
        self.assertRegex(self.refused("score", trained, own, f"--out={self.folder / 'none.csv'}"),
                         "its column 'age' is standardised with the mean .* and the scale .*, not ")
        with h5py.File(self.folder / "t.h5") as file, h5py.File(self.convert("like", path, f"--like={self.folder / 't.h5'}")) as new:
            mean, scale = (file[f"standardization/{name}"][:] for name in ("mean", "scale"))
            self.assertEqual(new["features"].asstr()[:].tolist(), file["features"].asstr()[:].tolist())
            numpy.testing.assert_array_equal(new["standardization/mean"][:], mean)
            incomes = new["train/x"][:, 1] * scale[1] + mean[1]
            numpy.testing.assert_allclose(incomes, [row["income"] for row in rich], rtol=1e-5)
        self.assert_read(self.reconstructed(trained, self.folder / "like.h5"), rich)

    def test_the_vocabulary_of_a_text(self):
        old, new = self.folder / "old.txt", self.folder / "new.txt"
        dice = random.Random(1)
        sentences = [f"the {dice.choice(('cat', 'dog'))} {dice.choice(('sat', 'ran'))}" for _ in range(60)]
        old.write_text("\n".join(sentences) + "\n")
        new.write_text("the owl sat\nthe dog ran\n" * 20)
        for tokens in ("words", "byte_pairs"):
            data = self.convert(f"old_{tokens}", old, f"--tokens={tokens}", kind="text")
            with h5py.File(data) as file:
                length, vocabulary = file["train/x"].shape[1], file["vocabulary"][:].tolist()
            like = self.convert(f"like_{tokens}", new, f"--tokens={tokens}", f"--like={data}", f"--length={length}", kind="text")
            with h5py.File(like) as file:
                self.assertEqual(file["vocabulary"][:].tolist(), vocabulary)
                self.assertEqual("merges" in file, tokens == "byte_pairs")
        trained = self.train_on(self.folder / "old_words.h5", "--model.name=sequence_vae")
        other = self.convert("other", new, "--length=5", "--vocabulary=9", kind="text")
        self.assertIn("its token", self.refused("score", trained, other, f"--out={self.folder / 'none.csv'}"))
        swapped = self.folder / "swapped.txt"
        swapped.write_text(old.read_text().replace("cat", "owl").replace("dog", "ant"))
        other = self.convert("swapped", swapped, kind="text")
        self.assertIn("its token", self.refused("score", trained, other, f"--out={self.folder / 'none.csv'}"))
        self.succeed(0, "score", trained, self.folder / "like_words.h5", f"--out={self.folder / 'scores.csv'}")

    def test_files_of_one_data_set(self):
        x = numpy.random.default_rng(0).random((40, 3), "f4")
        for name, columns in (("part1", "abc"), ("part2", "bac")):
            with h5py.File(self.folder / f"{name}.h5", "w") as file:
                file["train/x"] = x
                file["features"] = list(columns)
        told = self.refused("train", f"{self.folder}/part*.h5", "--check")
        self.assertRegex(told, "part2.h5: its column 0 is 'b', not 'a' .* as in .*part1.h5; expected the same in all files")


if __name__ == "__main__":
    unittest.main()
