#!/usr/bin/env python3
"""The installed tree is complete, can be moved, and other programs can link to it; how a build can be configured."""
import json
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
TORCH = re.search(r"^LibTorch_INCLUDE_DIR:PATH=(.*)/include$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)[1]
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
        self.succeed(2, "evaluate", self.folder / "two", "--metrics=none")
        # The configuration has the program's variant, not vae.
        self.assertNotEqual(self.train(1, "vae", *SETTINGS), self.train(1, "again", *settings))


class Configure(ProgramTest):
    def configure(self, source, *settings):
        """The commands that compile the files of a build: [(file, command)]."""
        build = self.folder / "build"
        done("cmake", "-S", source, "-B", build, "-G", "Ninja", f"-DLibTorch_ROOT={TORCH}", "-DCMAKE_EXPORT_COMPILE_COMMANDS=ON", *settings)
        return [(entry["file"], entry["command"]) for entry in json.loads((build / "compile_commands.json").read_text())]

    def test_without_its_converters_it_needs_none_of_their_libraries(self):
        without = [f"-DCMAKE_DISABLE_FIND_PACKAGE_{name}=ON" for name in ("SndFile", "libzip", "TurboJPEG")]
        files = [file for file, _ in self.configure(ROOT, "-DELBO_CONVERT=OFF", *without)]
        self.assertEqual([file for file in files if "/convert/" in file], [])
        self.assertIn(str(ROOT / "src/elbo/commands/no_convert.cpp"), files)
        # They are what the converters look for.
        with self.assertRaisesRegex(AssertionError, "CMAKE_DISABLE_FIND_PACKAGE_libzip"):
            self.configure(ROOT, "-DELBO_CONVERT=ON", *without)

    def test_warnings_are_errors_only_where_that_is_asked_for(self):
        for option, expected in (("OFF", {False}), ("ON", {True})):
            commands = [command for file, command in self.configure(ROOT, f"-DELBO_WERROR={option}") if "/src/elbo/" in file]
            self.assertEqual({"-Wall" in command for command in commands}, {True})
            self.assertEqual({"-Werror" in command for command in commands}, expected)

    def test_a_project_that_it_is_a_part_of_keeps_its_own_choices(self):
        (self.folder / "CMakeLists.txt").write_text(
            "cmake_minimum_required(VERSION 3.24)\nproject(other LANGUAGES C CXX)\n"
            f"add_subdirectory({ROOT} elbo)\nadd_executable(other other.cpp)\ntarget_link_libraries(other PRIVATE elbo_main)\n"
            'file(GENERATE OUTPUT elbo_is CONTENT "$<TARGET_FILE_DIR:elbo>")\n')
        (self.folder / "other.cpp").touch()
        commands = self.configure(self.folder)
        self.assertEqual([file for file, command in commands if "-Wall" in command or "-Werror" in command], [])
        self.assertEqual([file for file, _ in commands if file.startswith(str(ROOT / "tests"))], [])
        self.assertEqual((self.folder / "build/elbo_is").read_text(), str(self.folder / "build/elbo/src"))


if __name__ == "__main__":
    unittest.main()
