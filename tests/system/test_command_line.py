#!/usr/bin/env python3
"""Words of the command line, and lines of the log."""
import os
import pty
import re
import subprocess
import unittest

import h5py
import numpy

from program import ELBO, ENVIRONMENT, ProgramTest, run

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d"


class CommandLine(ProgramTest):
    def setUp(self):
        super().setUp()
        self.data = self.folder / "x.h5"
        with h5py.File(self.data, "w") as file:
            file["train/x"] = numpy.random.default_rng(0).normal(size=(64, 6)).astype("f4")

    def elbo(self, *words, **variables):
        return subprocess.run([ELBO, *map(str, words)], cwd=self.folder, env={**ENVIRONMENT, **variables}, capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=600)

    def succeed_here(self, *words, **variables):
        result = self.elbo(*words, **variables)
        self.assertEqual(result.returncode, 0, result.stderr)
        return result

    def test_a_value_may_follow_its_option_as_a_word(self):
        self.succeed_here("train", "--train.steps", "2", self.data, "--run.directory", "run", "--optimizer.warmup_steps=1", "--check")
        self.assertFalse((self.folder / "run").exists())
        together = self.succeed_here("train", self.data, "--train.steps=2", "--run.directory=together").stdout
        apart = self.succeed_here("train", "--train.steps", "2", self.data, "--run.directory", "apart").stdout
        self.assertEqual(apart.splitlines()[-1], together.splitlines()[-1])
        self.succeed_here("sample", "--n", "4", "apart", "--force", "--out", "a.csv")
        self.assertEqual(len((self.folder / "a.csv").read_text().splitlines()), 5)
        (self.folder / "t.csv").write_text("a,b\n1,2\n3,4\n")
        self.succeed_here("convert", "--standardize", "csv", "t.csv", "--out", "t.h5")
        refused = self.elbo("score", "apart", self.data, "--out")
        self.assertEqual((refused.returncode, refused.stderr), (2, "error: --out: has no value; write --out=VALUE\n"))
        refused = self.elbo("train", self.data, "--train.steps", "-1")
        self.assertIn("--train.steps=-1: expected a whole number", refused.stderr)

    def test_a_tilde_is_the_home_directory(self):
        home = self.folder / "home"
        home.mkdir()
        self.data.rename(home / "x.h5")
        (self.folder / "c.ini").write_text("[data]\npath = ~/x.h5\n[train]\nsteps = 2\n")
        self.succeed_here("train", "c.ini", "--run.directory=~/run", HOME=str(home))
        self.succeed_here("train", "~/x.h5", "--train.steps=2", "--run.directory=~/again", HOME=str(home))
        self.succeed_here("score", "~/run", "~/x.h5", "--out=~/scores.h5", HOME=str(home))
        self.assertTrue((home / "scores.h5").exists())
        self.assertTrue((home / "again/run.ini").exists())
        self.assertFalse((self.folder / "~").exists())

    def test_an_output_that_cannot_be_written_is_said(self):
        with open("/dev/full", "w", encoding="utf-8") as full:
            for words in ("--version",), ("--help",):
                result = subprocess.run([ELBO, *words], stdout=full, stderr=subprocess.PIPE, env=ENVIRONMENT, text=True, timeout=300)
                self.assertEqual((result.returncode, result.stderr), (1, "error: standard output: No space left on device\n"), words)

    def test_a_time_limit_reaches_the_commands(self):
        """All rows are in one microbatch: a rank waits for the other, which computes for long."""
        self.succeed_here("train", self.data, "--train.steps=2", "--run.directory=run", "--train.batch=32")
        result = run(2, "evaluate", self.folder / "run", "--timeout", "1", "--split=train", "--importance_samples=1000000",
                     seconds=60)
        self.assertEqual(result.returncode, 69, result.stderr)
        self.assertRegex(result.stderr, r"(?m)^error: rank [01] on .* waited 1 s .*: rank [01] on \S+ \(process \d+\)")

    def test_lines_of_a_log_carry_the_time(self):
        result = self.succeed_here("train", self.data, "--train.steps=2", "--run.directory=run", "--train.batch=32")
        lines = result.stderr.splitlines()
        self.assertTrue(lines)
        for line in lines:
            self.assertRegex(line, rf"^(?!.*{TIME}.*{TIME}).*  \[{TIME}\]$")
        refused = self.elbo("train", self.data, "--run.directory=run")
        self.assertRegex(refused.stderr.splitlines()[-1], "^error: ")

    def test_lines_on_a_terminal_do_not(self):
        terminal, other_end = pty.openpty()
        self.addCleanup(os.close, terminal)
        subprocess.run([ELBO, "train", self.data, "--train.steps=2", "--run.directory=run"], cwd=self.folder, env=ENVIRONMENT,
                       stdout=subprocess.DEVNULL, stderr=other_end, stdin=subprocess.DEVNULL, check=True, timeout=600)
        os.close(other_end)
        text = b""
        while True:
            try:
                part = os.read(terminal, 4096)
            except OSError:  # the other end is closed
                break
            text += part
        self.assertTrue(text)
        self.assertIsNone(re.search(TIME, text.decode()), text)


if __name__ == "__main__":
    unittest.main()
