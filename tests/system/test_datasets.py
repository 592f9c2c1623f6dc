#!/usr/bin/env python3
"""datasets/get.sh: its table equals that of the README; it works without a network and leaves no incomplete files."""
import gzip
import hashlib
import io
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
import unittest
import zipfile

import h5py
import numpy

from program import ELBO, ROOT, ProgramTest

SETS = sorted(path.stem for path in (ROOT / "datasets/sets").glob("*.sh"))


def read_set(name):
    """The variables of a set's file, each a list of words."""
    script = ('unpacked= prepared= packages=() files=() convert=() expect=() checksum=; . "$1"; for name in title shape '
              'application license; do printf "%s\\0" "${!name}"; done; printf "%s\\0" "$checksum" "${packages[*]}" '
              '"${convert[*]}" "${expect[*]}"')
    said = subprocess.run(["bash", "-uc", script, "bash", ROOT / f"datasets/sets/{name}.sh"], check=True, capture_output=True,
                          text=True).stdout
    keys = ("title", "shape", "application", "license", "checksum", "packages", "convert", "expect")
    return dict(zip(keys, said.split("\0")))


def package_in_words(package):
    registry, name, version = re.fullmatch(r"(pypi|debian):([^=]+)=*(.*)", package).groups()
    return f"{'PyPI' if registry == 'pypi' else 'Debian'} {name} {version}"


def readme_row(name):
    table = read_set(name)
    packages = table["packages"].split()
    words = ", ".join(map(package_in_words, packages[:4])) or "none"
    if len(packages) > 4:
        words = f"{len(packages)} of Debian, see [sets/{name}.sh](sets/{name}.sh)"
    return (f"| {name} | {table['title']} | {table['shape']} | {table['application']} | {words} | {table['license']} | "
            f"`{table['convert']}` | {table['checksum'][:16]} |")


def idx(values):
    array = numpy.asarray(values, "u1")
    header = bytes([0, 0, 8, array.ndim]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
    return gzip.compress(header + array.tobytes(), mtime=0)


def write_deb(path, files):
    """A Debian package is an ar archive of three members."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as archive:
        for name, content in files.items():
            entry = tarfile.TarInfo("./" + name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    with open(path, "wb") as out:
        out.write(b"!<arch>\n")
        for name, content in (("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.xz", data.getvalue())):
            out.write(f"{name:<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(content):<10}`\n".encode())
            out.write(content + b"\n" * (len(content) % 2))


def write_wheel(path, files):
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def checksum_of(files):
    """The checksum of sha256sum over the files, sorted by path."""
    lines = [f"{hashlib.sha256(content).hexdigest()}  ./{name}\n" for name, content in sorted(files.items())]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


CLOTHES = {f"usr/share/datasets/fashion-mnist/{part}-{kind}-ubyte.gz": content
           for part, rows in (("train", 5), ("t10k", 2))
           for kind, content in (("images-idx3", idx(numpy.arange(rows * 784).reshape(rows, 28, 28) % 256)),
                                 ("labels-idx1", idx(range(rows))))}
MOLECULES = {"moses/dataset/data/train.csv.gz": gzip.compress(b"SMILES\nCCO\nc1ccccc1Cl\nCC(=O)O\n", mtime=0),
             "moses/dataset/data/test.csv.gz": gzip.compress(b"SMILES\nCCN\n", mtime=0)}


class Datasets(ProgramTest):
    """Runs get.sh in a copy of the checkout, whose tables describe small packages made by the test."""

    def setUp(self):
        super().setUp()
        self.checkout = self.folder / "checkout"
        shutil.copytree(ROOT / "datasets", self.checkout / "datasets", ignore=shutil.ignore_patterns("*.h5", ".*"))
        shutil.copytree(ROOT / "launch", self.checkout / "launch")
        self.packages = self.folder / "packages"
        self.packages.mkdir()
        self.out = self.folder / "out"
        write_deb(self.packages / "dataset-fashion-mnist_1.0-1_all.deb", {**CLOTHES, "usr/share/doc/copyright": b"MIT"})
        write_wheel(self.packages / "molsets-0.3.1-py3-none-any.whl", {**MOLECULES, "moses/__init__.py": b""})
        self.change("fashion_mnist", checksum=checksum_of(CLOTHES), expect='("/train/x (5, 1, 28, 28) uint8")')
        self.change("moses", checksum=checksum_of(MOLECULES), expect='("/train/x (3, 11)" "/test/x (1, 11)")')

    def change(self, name, **values):
        path = self.checkout / f"datasets/sets/{name}.sh"
        text = path.read_text()
        for key, value in values.items():
            text, count = re.subn(rf"^{key}=.*$", f"{key}={value}", text, flags=re.MULTILINE)
            self.assertEqual(count, 1, key)
        path.write_text(text)

    def command(self, *words):
        return [str(self.checkout / "datasets/get.sh"), f"--from={self.packages}", f"--out={self.out}", *words]

    def get(self, *words):
        return subprocess.run(self.command(*words), env={**os.environ, "ELBO": ELBO}, capture_output=True, text=True,
                              timeout=600, stdin=subprocess.DEVNULL)

    def refuse(self, words, code, *expected):
        result = self.get(*words)
        self.assertEqual(result.returncode, code, result.stdout + result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        for part in expected:
            self.assertIn(part, errors[0])
        self.assertEqual(list(self.out.glob("*")), [])

    # ---- the table ----

    def test_the_readme_has_the_same_table(self):
        rows = re.findall(r"^\| (?!name )[a-z0-9_]+ \| .*", (ROOT / "datasets/README.md").read_text(), re.MULTILINE)
        self.assertEqual(rows, [readme_row(name) for name in SETS])

    def test_every_set_says_what_it_is_and_how_it_is_checked(self):
        for name in SETS:
            with self.subTest(name):
                table = read_set(name)
                for key in ("title", "shape", "application", "license", "convert", "expect"):
                    self.assertNotEqual(table[key], "")
                self.assertRegex(table["checksum"], "^[0-9a-f]{64}$" if table["packages"] else "^$")

    def test_list_names_every_set(self):
        self.assertEqual([line.split()[0] for line in self.get("--list").stdout.splitlines()], SETS)

    # ---- without a network ----

    def test_sets_of_both_registries(self):
        result = self.get("fashion_mnist", "moses")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn(f"build/elbo train {self.out}/fashion_mnist.h5", result.stdout)
        self.assertIn("licence  MIT", result.stdout)
        self.assertEqual(sorted(path.name for path in self.out.iterdir()), ["fashion_mnist.h5", "moses.h5"])
        with h5py.File(self.out / "fashion_mnist.h5") as file:
            self.assertEqual(file["train/x"].shape, (5, 1, 28, 28))
            self.assertEqual(list(file["test/label"]), [0, 1])
            self.assertEqual(file.attrs["license"], b"MIT" if isinstance(file.attrs["license"], bytes) else "MIT")
        with h5py.File(self.out / "moses.h5") as file:
            self.assertEqual(len(file["train/x"]), 3)
            self.assertEqual(len(file["test/x"]), 1)

    def test_a_second_call_changes_nothing(self):
        self.get("fashion_mnist")
        before = (self.out / "fashion_mnist.h5").stat()
        result = self.get("fashion_mnist")
        self.assertEqual(result.returncode, 0)
        self.assertIn("is there already", result.stdout)
        self.assertEqual((self.out / "fashion_mnist.h5").stat(), before)

    def test_a_killed_call_leaves_nothing(self):
        slow = self.folder / "slow"
        slow.write_text("#!/bin/sh\nsleep 60\n")
        slow.chmod(0o755)
        process = subprocess.Popen(self.command("fashion_mnist"), env={**os.environ, "ELBO": str(slow)},
                                   start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   text=True)
        for line in process.stdout:
            if "elbo convert" in line:
                break
        self.assertTrue((self.out / ".fashion_mnist.unfinished").exists())
        time.sleep(0.2)
        os.killpg(process.pid, signal.SIGTERM)
        process.communicate(timeout=150)
        self.assertNotEqual(process.returncode, 0)
        self.assertEqual(list(self.out.iterdir()), [])

    # ---- what is refused ----

    def test_other_files_than_the_table_was_made_for(self):
        self.change("fashion_mnist", checksum="0123456789abcdef" * 4)
        self.refuse(["fashion_mnist"], 1, "fashion_mnist", checksum_of(CLOTHES)[:16], "0123456789abcdef", "datasets/README.md")

    def test_a_package_that_is_not_there(self):
        (self.packages / "molsets-0.3.1-py3-none-any.whl").unlink()
        self.refuse(["moses"], 2, "molsets-0.3.1-*.whl", "--download=FOLDER moses")

    def test_a_damaged_package(self):
        for name, set_name in (("molsets-0.3.1-py3-none-any.whl", "moses"),
                               ("dataset-fashion-mnist_1.0-1_all.deb", "fashion_mnist")):
            path = self.packages / name
            path.write_bytes(path.read_bytes()[:-150])
            self.refuse([set_name], 1, name, "delete it")

    def test_a_package_without_the_files(self):
        write_wheel(self.packages / "molsets-0.3.1-py3-none-any.whl", {"moses/__init__.py": b""})
        self.refuse(["moses"], 1, "molsets-0.3.1", "train.csv.gz")

    def test_a_result_with_other_rows(self):
        self.change("fashion_mnist", expect='("/train/x (60000, 1, 28, 28) uint8")')
        self.refuse(["fashion_mnist"], 1, "fashion_mnist", "/train/x (60000, 1, 28, 28) uint8")

    def test_names_and_options_that_nobody_knows(self):
        self.refuse(["fashion_mnits"], 2, "fashion_mnits", "--list")
        self.refuse(["../sets/moses"], 2, "../sets/moses", "--list")
        self.refuse(["moses", "--form=none"], 2, "--form=none", "--help")
        self.refuse([], 2, "--list")

    # ---- preparation ----

    def prepare(self, script, *words):
        subprocess.run([sys.executable, ROOT / f"datasets/prepare/{script}.py", *words], check=True, capture_output=True,
                       timeout=300)

    def test_chorales_become_the_pitches_of_each_eighth(self):
        def note(step, octave, quarters, alter=0):
            return (f"<note><pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"
                    f"<duration>{2 * quarters}</duration></note>")
        soprano = note("C", 5, 1) + note("F", 4, 1, 1)
        parts = [soprano] + [note(step, 3, 2) for step in "GEC"]
        score = "".join("<part><measure><attributes><divisions>2</divisions></attributes>"
                        f"{part}</measure></part>" for part in parts)
        write_wheel(self.folder / "a.mxl", {"META-INF/container.xml": "", "a.xml": f"<score>{score}</score>"})
        write_wheel(self.folder / "one_part.mxl", {"a.xml": f"<score>{score[:score.index('</part>')]}</part></score>"})
        self.prepare("chorales", self.folder, self.folder / "out.json")
        rolls = json.loads((self.folder / "out.json").read_text())
        pieces = [piece for split in ("train", "valid", "test") for piece in rolls[split]]
        self.assertEqual(pieces, [[[48, 52, 55, 72]] * 2 + [[48, 52, 55, 66]] * 2])

    def test_shares_are_split_by_date(self):
        days = ["1990-04-09", "1990-04-10", "2014-12-31", "2015-01-02", "2016-12-30", "2017-01-03"]
        with gzip.open(self.folder / "prices.csv.gz", "wt") as file:
            file.write("Date,A\n" + "".join(f"{day},1\n" for day in days))
        self.prepare("shares", self.folder / "prices.csv.gz", self.folder)
        kept = {split: [line.split(",")[0] for line in (self.folder / f"{split}.csv").read_text().split()[1:]]
                for split in ("train", "validation", "test")}
        self.assertEqual(kept, {"train": days[1:3], "validation": days[3:5], "test": days[5:]})

    def test_phrases_come_once(self):
        lines = {"noun": '1 | a thing; "good  day"; "so long"', "verb": '2 | "so long"', "adj": "", "adv": ""}
        for part, line in lines.items():
            (self.folder / f"data.{part}").write_text(f"  1 licence | \"not this\"\n{line}\n")
        self.prepare("wordnet", self.folder, self.folder / "out.txt")
        self.assertEqual((self.folder / "out.txt").read_text(), "good day\nso long\n")
        self.prepare("wordnet", self.folder, self.folder / "out.txt", "definitions")
        self.assertEqual((self.folder / "out.txt").read_text(), "a thing\n")


if __name__ == "__main__":
    unittest.main()
