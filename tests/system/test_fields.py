#!/usr/bin/env python3
"""Files as their fields write them are read as they were written, or refused with a sentence whose remedy works. The table in
docs/data_format.md is made of the same list (tests/system/fields)."""
import concurrent.futures
import os
import re
import shlex
import subprocess
import sys
import unittest

import h5py
import numpy

from program import ROOT, ProgramTest, run

sys.path.insert(0, str(ROOT / "tests/system/fields"))
from families import FILES  # noqa: E402


class Fields(ProgramTest):
    def write_files(self):
        for kind, path in (("old", ""), ("new", str(ROOT / "deps/python"))):
            if kind == "new" and not (ROOT / "deps/python/h5py").exists():
                continue
            subprocess.run([sys.executable, ROOT / "tests/system/fields/write.py", self.folder, kind], check=True,
                           env={**os.environ, "PYTHONPATH": path}, stderr=subprocess.DEVNULL)

    def train(self, number, path, *settings):
        """The result of training, and of reading all rows with the model that came out of it."""
        folder = self.folder / str(number)
        trained = run(0, "train", path, "--train.steps=2", "--evaluate.every=never", f"--run.directory={folder / 'run'}", *settings)
        read = []
        if trained.returncode == 0:
            commands = [("reconstruct", "--n=1000", "--split=train")]
            if "label" in self.expected(number):
                commands.append(("encode", "--split=train"))
            for command, *words in commands:
                read.append(run(0, command, folder / "run", path, f"--out={folder / command}.h5", *words))
        return trained, read

    def expected(self, number):
        path = self.folder / str(number) / "expected.npz"
        return numpy.load(path) if path.exists() else {}

    def require_rows(self, number, file, trained, read):
        for result in (trained, *read):
            self.assertEqual(result.returncode, 0, result.stderr)
        with h5py.File(self.folder / str(number) / "reconstruct.h5") as written:
            x = written["x"][()]
        expected = self.expected(number)
        self.assertEqual(x.shape, expected["x"].shape)
        largest = numpy.abs(expected["x"].astype("f8")).max()
        numpy.testing.assert_allclose(x, expected["x"].astype("f8"), rtol=0, atol=file.tolerance * largest)
        if "label" in expected:
            with h5py.File(self.folder / str(number) / "encode.h5") as written:
                numpy.testing.assert_allclose(written["label"][()], expected["label"], rtol=1e-6)

    def require_refusal(self, file, trained):
        self.assertEqual(trained.returncode, 2, trained.stdout + trained.stderr)
        errors = [line for line in trained.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, trained.stderr)
        self.assertIn(file.refused, errors[0])
        self.assertEqual("in Python: " in errors[0], "Python" in file.remedy, errors[0])
        for words in re.findall("elbo convert [a-z]+", file.remedy):
            self.assertIn(words, errors[0])
        return errors[0]

    def follow(self, number, file, sentence):
        """Does what the sentence says; the data set that comes out of it."""
        folder = self.folder / str(number)
        if line := re.search(r"in Python: (.*?)(?:; then elbo .*)?$", sentence):
            ran = subprocess.run([sys.executable, "-W", "ignore", "-c", line[1]], cwd=folder, capture_output=True, text=True)
            self.assertEqual(ran.returncode, 0, f"{line[1]}\n{ran.stderr}")
        made = re.search(r'\.(?:to_hdf|write_h5ad)\("([^"]*)"', sentence)
        converted = re.search(r"elbo (convert \S+) (.*?) --out=(\S+?)(?:, then .*)?$", sentence)
        if not converted:
            return folder / (made[1] if made else file.name)
        *_, source = shlex.split(converted[2])
        out = folder / converted[3]
        self.succeed(0, *converted[1].split(), folder / source, f"--out={out}")
        return out

    def check(self, number, file, trained, read):
        if (missing := self.folder / str(number) / "missing.txt").exists():
            self.skipTest(missing.read_text())
        if not (self.folder / str(number)).exists():
            self.skipTest("deps/python has no h5py: launch/setup.sh --tests")
        if not file.refused:
            return self.require_rows(number, file, trained, read)
        sentence = self.require_refusal(file, trained)
        if self.expected(number):
            self.require_rows(number, file, *self.train(number, self.follow(number, file, sentence)))

    def test_every_file_is_read_as_it_was_written_or_refused_with_a_remedy(self):
        self.assertGreaterEqual(len(FILES), 40)
        self.write_files()
        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            results = pool.map(lambda number: self.train(number, self.folder / str(number) / FILES[number].name,
                                                         *FILES[number].settings), range(len(FILES)))
        for number, (file, (trained, read)) in enumerate(zip(FILES, results)):
            with self.subTest(f"{file.title}, {file.library}"):
                self.check(number, file, trained, read)


if __name__ == "__main__":
    unittest.main()
