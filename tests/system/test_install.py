#!/usr/bin/env python3
"""The installed tree is complete, can be moved, and other programs can link to it."""
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import program
from program import ENVIRONMENT, ROOT, ProgramTest

BUILD = pathlib.Path(program.ELBO).parent
SETTINGS = ("--train.steps=20", "--evaluate.every=never")


def done(*words, **options):
    result = subprocess.run(list(map(str, words)), capture_output=True, text=True, timeout=500, env=ENVIRONMENT, **options)
    if result.returncode != 0:
        raise AssertionError(f"{words}\n{result.stdout}{result.stderr}")
    return result.stdout


class Install(ProgramTest):
    @classmethod
    def setUpClass(cls):
        cls.place = pathlib.Path(tempfile.mkdtemp(prefix="elbo_install_"))
        cls.addClassCleanup(shutil.rmtree, cls.place)
        done("cmake", "--install", BUILD, "--prefix", cls.place / "first")
        (cls.place / "first").rename(cls.place / "moved")
        cls.tree = cls.place / "moved"

    def with_program(self, binary):
        """The following tests run this program instead of the build's."""
        self.addCleanup(setattr, program, "ELBO", program.ELBO)
        program.ELBO = str(binary)

    def test_a_tree_that_was_moved_trains_to_the_same_fingerprint(self):
        built = self.train(2, "built", *SETTINGS)
        self.with_program(self.tree / "bin/elbo")
        self.assertEqual(self.train(2, "installed", *SETTINGS), built)
        version = re.search(r"^project\(elbo VERSION (\S+)", (ROOT / "CMakeLists.txt").read_text(), re.MULTILINE)[1]
        self.assertEqual(self.succeed(0, "--version").stdout, f"elbo {version}\n")

    def test_its_configurations_find_their_data(self):
        words = ("train", "configs/mnist_vae.ini", "--train.steps=2", f"--run.directory={self.folder / 'run'}")
        self.assertIn("fingerprint", done(self.tree / "bin/elbo", *words, cwd=self.tree / "share/elbo"))

    def test_nothing_of_the_checkout_is_needed(self):
        for binary in [self.tree / "bin/elbo", *(self.tree / "lib").glob("libelbo_cuda.so")]:
            path = re.search(r"R(?:UN)?PATH +(\S+)", done("objdump", "-p", binary))[1].split(":")
            # The site's LibTorch and modules are not installed.
            self.assertEqual([folder for folder in path if pathlib.Path(folder).is_relative_to(ROOT)], [], binary)
        self.assertEqual([], [file for file in (self.tree / "lib/cmake").rglob("*") if file.is_file()
                              and str(ROOT) in file.read_text()])

    def test_another_program_has_all_commands_and_a_variant_of_its_own(self):
        source = self.tree / "share/elbo/docs/own_variant"
        done("cmake", "-S", source, "-B", self.folder / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={self.tree}")
        done("cmake", "--build", self.folder / "build")
        builtin = self.succeed(0, "models").stdout
        self.with_program(self.folder / "build/cyclical")
        models = self.succeed(0, "models").stdout
        self.assertNotIn("cyclical_vae", builtin)
        self.assertIn("cyclical_vae", models)
        settings = (*SETTINGS, "--model.name=cyclical_vae", "--model.cycle=8")
        self.assertEqual(self.train(1, "one", *settings), self.train(2, "two", *settings))
        self.succeed(2, "evaluate", self.folder / "two")
        # The configuration has the program's variant, not vae.
        self.assertNotEqual(self.train(1, "vae", *SETTINGS), self.train(1, "again", *settings))


if __name__ == "__main__":
    unittest.main()
