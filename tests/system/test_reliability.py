#!/usr/bin/env python3
"""A run survives what happens around it, and what cannot be survived is named. docs/reliability.md lists the cases.
ELBO_TRIES: how often each is tried, with another moment each time (default 1)."""
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import socket
import subprocess
import time
import unittest

import h5py
import numpy

from disturbed import SETTINGS, DisturbedRun, flip_bit, last_step, ranks_of, seal, write_table
from program import ELBO, ENVIRONMENT, ProgramTest, processes_left, run

TRIES = int(os.environ.get("ELBO_TRIES", "1"))
HOST = socket.gethostname()
HANG = 69


class Reliability(ProgramTest):
    def setUp(self):
        super().setUp()
        self.dice = random.Random(22)
        self.data = self.folder / "t.h5"
        write_table(self.data)

    def words(self, name, *more):
        return ("train", self.data, f"--run.directory={self.folder / name}", *SETTINGS, "--evaluate.every=never", *more)

    def fingerprint(self, ranks, *more):
        return self.succeed(ranks, *self.words("undisturbed", *more)).stdout.splitlines()[-1]

    def begin(self, ranks, name, *more, steps=20):
        """Starts a run and waits for its first steps."""
        run = DisturbedRun(ranks, self.data, self.folder / name, "--evaluate.every=never", *more)
        run.wait_for_step(steps)
        return run.process

    def finish(self, process, expected):
        output, errors = process.communicate(timeout=600)
        self.assertEqual(process.returncode, 0, errors)
        self.assertEqual(output.splitlines()[-1], expected)
        return errors

    def test_a_full_disk_costs_nothing(self):
        steps = ("--train.steps=3000", "--checkpoint.every_steps=200")
        expected = self.fingerprint(0, *steps)
        for number in range(TRIES):
            name = f"full{number}"
            process = self.begin(0, name, *steps, steps=self.dice.randrange(20, 300))
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, resource.RLIM_INFINITY))
            time.sleep(1)
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
            errors = self.finish(process, expected)
            self.assertIn("warning: ", errors)
            lines = (self.folder / name / "metrics.jsonl").read_text().splitlines()
            self.assertEqual([json.loads(line)["step"] for line in lines], list(range(1, 3001)))

    def test_a_folder_that_is_deleted_costs_nothing(self):
        steps = ("--train.steps=3000", "--checkpoint.every_steps=200")
        expected = self.fingerprint(0, *steps)
        process = self.begin(0, "deleted", *steps, steps=50)
        shutil.rmtree(self.folder / "deleted", ignore_errors=True)
        self.finish(process, expected)
        lines = (self.folder / "deleted" / "metrics.jsonl").read_text().splitlines()
        self.assertEqual([json.loads(line)["step"] for line in lines], list(range(1, 3001)))
        self.succeed(0, "verify", self.folder / "deleted")

    def test_ahead_of_the_time_limit_it_saves_itself_and_ends_with_75(self):
        words = self.words("limited", "--train.steps=1000000")
        end = int(time.time()) + 8
        result = run(2, *words, wrapper=("env", f"SLURM_JOB_END_TIME={end}"))
        self.assertEqual(result.returncode, 75, result.stderr)
        self.assertIn("before the end of its time (run.time_limit) the run stops", result.stderr)
        self.assertLess(time.time(), end + 60)  # without the limit it would take an hour
        steps = last_step(self.folder / "limited") + 5
        self.assertEqual(self.succeed(3, *self.words("limited", f"--train.steps={steps}", "--resume")).stdout.splitlines()[-1],
                         self.fingerprint(1, f"--train.steps={steps}"))
        table = (self.folder / "limited/ranks.tsv").read_text().splitlines()
        self.assertEqual([line.split("\t")[:3] for line in table],
                         [["rank", "host", "steps"], *([str(rank), HOST, "5"] for rank in range(3))])

    def test_a_job_that_is_suspended_continues(self):
        steps = ("--train.steps=1500", "--run.timeout=2", "--checkpoint.every_steps=300")
        expected = self.fingerprint(2, *steps)
        for number in range(TRIES):
            process = self.begin(2, f"suspended{number}", *steps, steps=self.dice.randrange(20, 200))
            ranks = list(ranks_of(self.folder / f"suspended{number}").values())
            for rank in ranks:
                os.kill(rank, signal.SIGSTOP)
            time.sleep(3)
            for rank in ranks:
                os.kill(rank, signal.SIGCONT)
            self.finish(process, expected)

    def test_a_rank_that_hangs_is_named_and_everything_ends(self):
        timeout = 2
        for number in range(TRIES):
            culprit = self.dice.randrange(3)
            name = f"hangs{number}"
            process = self.begin(3, name, "--train.steps=1000000", f"--run.timeout={timeout}", "--train.batch=48",
                                 steps=self.dice.randrange(20, 100))
            start = time.monotonic()
            stopped = ranks_of(self.folder / name)[culprit]
            os.kill(stopped, signal.SIGSTOP)
            _, errors = process.communicate(timeout=300)
            self.assertLess(time.monotonic() - start, timeout + 6, errors)
            self.assertEqual(process.returncode, HANG, errors)
            error, = [line for line in errors.splitlines() if line.startswith("error: ")]
            self.assertIn(f"rank {culprit} on {HOST} (process {stopped}) is stopped", error)
            self.assertEqual(processes_left(str(self.folder / name)), [])
            records = sorted(file.name for file in (self.folder / name / "flight").iterdir())
            self.assertEqual(records, [f"rank_{rank:05}.txt" for rank in range(3)])

    def test_a_bit_that_flips_in_memory_is_found(self):
        steps = ("--train.steps=10000", "--checkpoint.every_steps=500")
        expected = self.fingerprint(0, *steps)
        for number in range(TRIES):
            name = f"flipped{number}"
            process = self.begin(0, name, *steps, steps=520 + self.dice.randrange(1000))
            os.kill(process.pid, signal.SIGSTOP)
            newest = max((self.folder / name / "checkpoints").glob("step_*.h5"))
            self.assertTrue(flip_bit(process.pid, newest), f"step {last_step(self.folder / name)}, {newest}")
            os.kill(process.pid, signal.SIGCONT)
            errors = self.finish(process, expected)
            self.assertRegex(errors, rf"warning: the memory of rank 0 on {HOST} has changed values of .* goes back from step")

    def test_commands_look_at_a_run_that_trains(self):
        process = self.begin(0, "busy", "--train.steps=10000000", "--checkpoint.every_steps=1", "--checkpoint.keep_last=1")
        for _ in range(5 * TRIES):
            self.succeed(0, "verify", self.folder / "busy")
            self.succeed(0, "evaluate", self.folder / "busy", "--split=validation")
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=150)
        self.assertEqual(process.returncode, 75)

    def test_a_checkpoint_of_a_newer_elbo_keeps_its_name(self):
        steps = ("--checkpoint.every_steps=10", "--checkpoint.keep_last=0")
        expected = self.fingerprint(0, *steps, "--train.steps=40")
        self.succeed(0, *self.words("newer", *steps, "--train.steps=20"))
        newest = self.folder / "newer/checkpoints/step_000000020.h5"
        with h5py.File(newest, "r+") as file:
            file.attrs["format_version"] = 2
        seal(newest)
        content = newest.read_bytes()
        refused = run(0, "train", self.folder / "newer", "--resume", "--train.steps=15")
        self.assertEqual(refused.returncode, 0, refused.stderr)
        self.assertIn("has format version 2; this elbo reads version 1", refused.stderr)
        self.assertEqual(newest.read_bytes(), content)
        resumed = self.succeed(0, "train", self.folder / "newer", "--resume", "--train.steps=40")
        self.assertEqual(resumed.stdout.splitlines()[-1], expected)
        self.assertEqual(pathlib.Path(f"{newest}.other").read_bytes(), content)

    def test_a_run_of_a_newer_elbo_is_not_called_damaged(self):
        self.succeed(0, *self.words("newer", "--checkpoint.every_steps=10", "--checkpoint.keep_last=0", "--train.steps=20"))
        for path in (self.folder / "newer/checkpoints").glob("step_*.h5"):
            with h5py.File(path, "r+") as file:
                file.attrs["format_version"] = 2
            seal(path)
        for words in (("verify", self.folder / "newer"), ("evaluate", self.folder / "newer"),
                      ("train", self.folder / "newer", "--resume", "--train.steps=30")):
            refused = run(0, *words)
            self.assertEqual(refused.returncode, 2, refused.stderr)
            error, = (line for line in refused.stderr.splitlines() if line.startswith("error: "))
            self.assertIn("made by a newer elbo", error)
            self.assertNotRegex(refused.stdout + refused.stderr, "damaged|remove")

    def test_verify_shortens_what_a_checkpoint_says(self):
        self.succeed(0, *self.words("run", "--train.steps=2"))
        path, = (self.folder / "run/checkpoints").glob("step_*.h5")
        with h5py.File(path, "r+") as file:
            file.attrs["data_row"] = "x" * 60000
        seal(path)
        found = run(0, "verify", self.folder / "run")
        self.assertEqual(found.returncode, 1, found.stderr)
        self.assertLess(max(map(len, found.stdout.splitlines())), 4100)

    def test_lines_of_metrics_that_are_not_of_elbo_are_removed(self):
        steps = ("--checkpoint.every_steps=10",)
        self.succeed(0, *self.words("run", *steps, "--train.steps=20"))
        metrics = self.folder / "run/metrics.jsonl"
        with open(metrics, "a", encoding="utf-8") as file:
            file.write('5\n[1,2]\n{"step":"x"}\n{"step":null}\n{"step":21,"split":"train","terms":[1]}\n{"step":2, "spl')
        with open(self.folder / "run/events.jsonl", "a", encoding="utf-8") as file:
            file.write('{"event":5,"step":"x"}\n{"event":"ended","step":1e300,"how":7}\n[[[\n')
        shown = self.succeed(0, "watch", self.folder / "run", "--once").stdout
        self.assertIn("step 20 ", shown)
        self.assertIn("ended  how \"finished\"", shown.splitlines()[-1])
        self.succeed(0, "report", self.folder / "run", "--model=false")
        self.succeed(0, *self.words("run", *steps, "--train.steps=30", "--resume"))
        self.assertEqual([json.loads(line)["step"] for line in metrics.read_text().splitlines()], list(range(1, 31)))

    def test_nothing_that_files_say_controls_the_terminal(self):
        escape = "\x1b[2J\x1b]0;title\x07\nerror: a line that elbo did not say"
        with h5py.File(self.folder / "name.h5", "w") as file:
            file[f"data{escape}/x"] = numpy.zeros((20, 8), "f4")
        with h5py.File(self.folder / "attribute.h5", "w") as file:
            file.attrs["name"] = escape
            file["train/x"] = numpy.random.default_rng(1).random((50, 8), "f4")
        (self.folder / "key.ini").write_text("[data]\npa\033[31mth = x\n")
        for words in (("train", self.folder / "name.h5", "--check"), ("inspect", self.folder / "name.h5"),
                      ("inspect", self.folder / "attribute.h5"), ("train", self.folder / "key.ini", "--check"),
                      ("verify", self.folder / f"no{escape}")):
            result = run(0, *words)
            for text in (result.stdout, result.stderr):
                self.assertEqual(re.findall(r"[\x00-\x08\x0b-\x1f\x7f]", text), [], words)
                self.assertNotRegex(text, "(?m)^error: a line")

    def test_a_path_of_another_encoding_works(self):
        folder = os.fsencode(self.folder) + b"/m\xfcnchen"
        os.mkdir(folder)
        data = folder + b"/t.h5"
        os.rename(self.data, data)
        def elbo(*words):
            result = subprocess.run([ELBO, *words], cwd=self.folder, env=ENVIRONMENT, capture_output=True, timeout=300)
            self.assertEqual(result.returncode, 0, result.stderr)
        elbo("train", data, "--train.steps=20", "--run.directory=run")
        elbo("train", data, "--train.steps=40", "--run.directory=run", "--resume")
        elbo("evaluate", "run")


if __name__ == "__main__":
    unittest.main()
