#!/usr/bin/env python3
"""Tables of Parquet, Feather and Arrow become the same data set as the CSV file with their lines."""
import os
import pathlib
import subprocess
import sys
import unittest

import h5py
import numpy

from program import ELBO, ROOT, ProgramTest, run

# Compares the columns of `original` with those of a reconstruction of its rows, in both forms.
COMPARE = """
import pathlib, sys
import pyarrow, pyarrow.csv, pyarrow.feather, pyarrow.parquet
folder = pathlib.Path(sys.argv[1])
original = pyarrow.parquet.read_table(folder / "whole.parquet")
for found in (pyarrow.parquet.read_table(folder / "out.parquet"), pyarrow.feather.read_table(folder / "out.feather")):
    assert found.column_names == ["row", *[f"{side}_{name}" for side in ("x", "reconstruction") for name in original.column_names]], found
    assert found["row"].to_pylist() == list(range(original.num_rows)) and found["row"].type == pyarrow.int64()
    types = {"age": "int64", "smoker": "bool", "region": "string", "visit": "date32[day]", "weight": "double"}
    for name, values in zip(original.column_names, original.columns):
        x, mean = found[f"x_{name}"], found[f"reconstruction_{name}"]
        assert str(x.type) == types[name], (name, x.type)
        assert str(mean.type) == ("double" if name == "age" else types[name]), (name, mean.type)
        assert x.null_count == mean.null_count == 0
        expected, exact = values.to_pylist(), name != "weight"
        assert (x.to_pylist() == expected if exact else
                all(abs(a - b) < 1e-5 for a, b in zip(x.to_pylist(), expected))), (name, x.to_pylist()[:5], expected[:5])
"""

WRITE = """
import datetime, pathlib, sys
import numpy, pyarrow, pyarrow.csv, pyarrow.feather, pyarrow.ipc, pyarrow.parquet
folder = pathlib.Path(sys.argv[1])
random = numpy.random.default_rng(0)
day = datetime.datetime(2024, 2, 27)
table = pyarrow.table({
    "age": pyarrow.array(random.integers(20, 90, 500), pyarrow.int8()),
    "dose": random.normal(size=500),
    "large": random.integers(0, 2**40, 500).astype("u8"),
    "smoker": random.random(500) < 0.3,
    "region": pyarrow.array(random.choice(["north", "south, east", 'the "west"'], 500)).dictionary_encode(),
    "visit": pyarrow.array([day + datetime.timedelta(days=int(d)) for d in random.integers(0, 900, 500)], pyarrow.date32()),
    "weight": pyarrow.array(random.normal(size=500), pyarrow.float32())})
pyarrow.parquet.write_table(table, folder / "t.parquet", row_group_size=70, compression="zstd")
pyarrow.feather.write_feather(table, folder / "t.feather", chunksize=90)
with pyarrow.ipc.new_file(folder / "t.arrow", table.schema) as file:
    file.write_table(table)
pyarrow.csv.write_csv(table, folder / "t.csv")
pyarrow.parquet.write_table(table.set_column(1, "dose", pyarrow.array([None, *table["dose"].to_pylist()[1:]])), folder / "null.parquet")
pyarrow.parquet.write_table(pyarrow.table({"a": [1, 2], "codes": [[1, 2], [3]]}), folder / "lists.parquet")
pyarrow.parquet.write_table(table.slice(0, 0), folder / "empty.parquet")
pyarrow.parquet.write_table(table.select(["age", "smoker", "region", "visit", "weight"]), folder / "whole.parquet")
whole = (folder / "t.parquet").read_bytes()
(folder / "cut.parquet").write_bytes(whole[:len(whole) // 2])
ratings = pyarrow.table({"user": [f"u{i % 9}" for i in range(90)], "item": [f"i{i % 7}" for i in range(90)]})
pyarrow.parquet.write_table(ratings, folder / "ratings.parquet")
"""


def contents(path):
    result = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: result.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return result


@unittest.skipUnless((pathlib.Path(ELBO).parent / "libelbo_arrow.so").exists() and (ROOT / "deps/python/pyarrow").exists(),
                     "this elbo is built without Arrow (launch/setup.sh --arrow)")
class Arrow(ProgramTest):
    def setUp(self):
        super().setUp()
        subprocess.run([sys.executable, "-c", WRITE, self.folder], check=True, env={**os.environ, "PYTHONPATH": ROOT / "deps/python"})

    def convert(self, format, name, *settings):
        out = self.folder / f"{name}.h5"
        self.succeed(0, "convert", format, self.folder / name, f"--out={out}", *settings)
        return contents(out)

    def refuse(self, name, *words):
        result = run(0, "convert", "csv", self.folder / name, f"--out={self.folder}/no.h5")
        self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
        for word in (name, *words):
            self.assertIn(word, result.stderr)
        self.assertFalse((self.folder / "no.h5").exists())

    def test_a_table_becomes_what_its_csv_file_becomes(self):
        expected = self.convert("csv", "t.csv")
        self.assertEqual(expected["train/x"].shape[1], 7)
        for name in ("t.parquet", "t.feather", "t.arrow"):
            found = self.convert("csv", name)
            self.assertEqual(found.keys(), expected.keys())
            for key, value in expected.items():
                numpy.testing.assert_array_equal(found[key], value, f"{name}: {key}")

    def test_labels_and_ratings_are_named_by_their_columns(self):
        found = self.convert("csv", "t.parquet", "--label=region", "--standardize=true")
        self.assertEqual(set(found["train/label"]), {0, 1, 2})
        self.assertEqual(sorted(self.convert("ratings", "ratings.parquet")["items"]), [f"i{i}".encode() for i in range(7)])

    def test_results_have_the_columns_and_types_of_the_table(self):
        data, run_directory = self.folder / "whole.h5", self.folder / "run"
        self.succeed(0, "convert", "csv", self.folder / "whole.parquet", "--categories=one_hot", f"--out={data}")
        self.succeed(0, "train", data, f"--run.directory={run_directory}", "--train.steps=3", "--train.batch=16", "--train.microbatch=8",
                     "--network.hidden=8", "--data.validation_fraction=0.2", "--evaluate.every=never")
        for form, ranks in (("parquet", 0), ("feather", 2)):
            self.succeed(ranks, "reconstruct", run_directory, data, f"--out={self.folder}/out.{form}")
        subprocess.run([sys.executable, "-c", COMPARE, self.folder], check=True, env={**os.environ, "PYTHONPATH": ROOT / "deps/python"})

    def test_what_a_table_cannot_be_is_said(self):
        self.refuse("lists.parquet", "column 'codes' is of type list<", "expected numbers, texts, booleans and dates")
        self.refuse("cut.parquet", "damaged", "write it again")
        self.refuse("null.parquet", "dose", "line 2")
        self.refuse("empty.parquet")


if __name__ == "__main__":
    unittest.main()
