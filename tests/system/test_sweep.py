#!/usr/bin/env python3
"""launch/sweep.sh on this machine: the product of settings, trained, evaluated and compared."""
import json
import os
import re
import shlex
import signal
import subprocess
import time
import unittest

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest, processes_left, run

SETTINGS = ("--network.hidden=32", "--train.batch=64", "--train.microbatch=16", "--evaluate.every=never",
            "--evaluate.metrics=none")
SHORT, LONG = "--train.steps=60", "--train.steps=5000"


class Sweep(ProgramTest):
    def setUp(self):
        super().setUp()
        for name in ("configs", "datasets"):
            (self.folder / name).symlink_to(ROOT / name)
        (self.folder / "small.ini").write_text((ROOT / "configs/mnist_vae.ini").read_text())

    def command(self, *words):
        return {"args": [ROOT / "launch/sweep.sh", *words], "cwd": self.folder, "env": {**ENVIRONMENT, "ELBO": ELBO}, "text": True,
                "stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

    def sweep(self, *words, status=0):
        result = subprocess.run(**self.command("small.ini", *SETTINGS, *words), timeout=240)
        self.assertEqual(result.returncode, status, result.stdout + result.stderr)
        return result

    def table(self, name="small"):
        lines = [line.split("\t") for line in (self.folder / f"runs/{name}/table.tsv").read_text().splitlines()]
        return [dict(zip(lines[0], line)) for line in lines[1:]]

    def test_a_dry_run_prints_the_product(self):
        result = self.sweep("--model.beta=1,0.5", "--train.seed=-1..1", "--network.channels=[8,16],[4]", "--dry_run")
        lines = result.stdout.splitlines()
        self.assertEqual(len(lines), 2 * 3 * 2)
        self.assertEqual(lines[0], f"{ELBO} train small.ini {' '.join(SETTINGS)} --model.beta=1 --train.seed=-1 --network.channels=8,16 "
                                   "--run.directory=runs/small/beta=1_seed=-1_channels=8-16 --resume")
        self.assertFalse((self.folder / "runs").exists())

    def test_a_mistake_in_any_value_is_told_before_a_run_begins(self):
        for setting, sentence in (("--model.betta=1,4", "--model.betta: no such option; did you mean model.beta?"),
                                  ("--train.microbatch=16,24", "train.microbatch=24"),
                                  ("--optimizer.lr=0.1..0.3", "0.1..0.3 is not a range of integers")):
            with self.subTest(setting):
                result = self.sweep(SHORT, "--train.seed=1,2", setting, status=2)
                self.assertEqual(result.stderr.count("error: "), 1, result.stderr)
                self.assertIn(sentence, result.stderr)
                self.assertFalse((self.folder / "runs").exists())

    def test_runs_are_compared_in_the_order_of_their_loss_and_equal_plain_ones(self):
        result = self.sweep(SHORT, "--model.latent=2,20", "--train.seed=1..2", "--at_once=2")
        rows = self.table()
        self.assertEqual([(row["model.latent"], row["train.seed"]) for row in rows[:2]].count("2"), 0)
        losses = [float(row["loss"]) for row in rows]
        self.assertEqual(len(losses), 4)
        self.assertEqual(losses, sorted(losses))
        for row in rows:
            directory = self.folder / f"runs/small/latent={row['model.latent']}_seed={row['train.seed']}"
            evaluation = json.loads((directory / "evaluation.json").read_text())
            self.assertEqual([evaluation["loss"], evaluation["kl"]], [float(row["loss"]), float(row["kl"])])
            self.assertEqual(f"fingerprint {row['fingerprint']} step {row['step']}",
                             self.train(1, f"plain_{row['model.latent']}_{row['train.seed']}", *SETTINGS, SHORT,
                                        f"--model.latent={row['model.latent']}", f"--train.seed={row['train.seed']}"))
        self.assertIn((self.folder / "runs/small/table.md").read_text(), result.stdout)
        self.assertEqual((self.folder / "runs/small/table.md").read_text().count("\n"), 2 + 4)

    def test_started_again_it_trains_only_what_is_new(self):
        self.sweep(SHORT, "--model.latent=2,20")
        before = {path: path.stat().st_mtime_ns for path in self.folder.glob("runs/small/*/run.ini")}
        result = self.sweep(SHORT, "--model.latent=2,20,5")
        self.assertEqual(result.stdout.count("is finished"), 2, result.stdout)
        self.assertEqual({path: path.stat().st_mtime_ns for path in before}, before)
        self.assertEqual(len(self.table()), 3)

    def test_a_longer_sweep_goes_on_from_the_shorter_one(self):
        self.sweep(SHORT, "--model.latent=2,20")
        self.sweep("--train.steps=90", "--model.latent=2,20")
        self.assertEqual([row["step"] for row in self.table()], ["90", "90"])

    def test_stopped_and_started_again_it_ends_with_the_same_bits(self):
        words = ("small.ini", *SETTINGS, LONG, "--model.latent=2,20", "--train.threads=1")
        process = subprocess.Popen(**self.command(*words))
        metrics = self.folder / "runs/small/latent=2/metrics.jsonl"
        end = time.monotonic() + 60
        while time.monotonic() < end and (not metrics.exists() or metrics.read_text().count("\n") < 50):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 75, output + errors)
        self.assertIn("latent=2: stopped", output)
        self.assertEqual(processes_left("runs/small"), [])
        self.assertFalse((self.folder / "runs/small/latent=2/evaluation.json").exists())
        self.sweep(LONG, "--model.latent=2,20", "--train.threads=1")
        self.assertEqual({row["model.latent"]: f"fingerprint {row['fingerprint']} step {row['step']}" for row in self.table()},
                         {latent: self.train(2, f"plain_{latent}", *SETTINGS, LONG, f"--model.latent={latent}") for latent in ("2", "20")})

    def test_every_signal_ends_the_sweep_and_its_runs(self):
        for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
            process = subprocess.Popen(**self.command("small.ini", *SETTINGS, "--train.steps=1000000", "--model.latent=2,20",
                                                      f"--name={number.name}"))
            metrics = self.folder / f"runs/{number.name}/latent=2/metrics.jsonl"
            end = time.monotonic() + 60
            while time.monotonic() < end and (not metrics.exists() or not metrics.read_text()):
                time.sleep(0.02)
            process.send_signal(number)
            output, errors = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 75, output + errors)
            self.assertIn("latent=2: stopped", output)
            self.assertEqual(processes_left(f"runs/{number.name}"), [])

    def test_the_report_of_an_array_finds_a_program_of_any_name(self):
        place = self.folder / "ada's"
        place.mkdir()
        (place / "sbatch").write_text("#!/bin/sh\n")
        (place / "elbo").write_text("#!/bin/sh\necho reported \"$@\"\n")
        for program in place.iterdir():
            program.chmod(0o755)
        command = self.command("small.ini", "--model.latent=2,20", "--slurm", "--dry_run")
        command["env"].update(ELBO=str(place / "elbo"), PATH=f"{place}:{os.environ['PATH']}")
        result = subprocess.run(**command, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        wrap, = (word for word in shlex.split(result.stdout.splitlines()[-1]) if word.startswith("--wrap="))
        self.assertEqual(subprocess.run(["sh", "-c", wrap[len("--wrap="):]], capture_output=True, text=True, check=True).stdout,
                         "reported report runs/small\n")

    def test_one_that_fails_does_not_keep_the_others(self):
        result = self.sweep(SHORT, "--optimizer.lr=1e30,0.001", "--train.max_nonfinite_steps=1", status=1)
        self.assertIn("lr=1e30: failed: error: training diverged", result.stdout)
        self.assertIn("1 of 2 runs failed", result.stderr)
        self.assertEqual([row["state"] for row in self.table()], ["finished", "at step 3"])

    def test_mistakes_are_told_in_a_sentence(self):
        for word, sentence in (("--a.b=3..1", "the range 3..1 is empty"), ("--a.b=1,,2", "'' is not a value"),
                               ("--a.b=1,1", "two runs would be named b=1"), ("--at_once=0", "expected a number from 1"),
                               ("--at_once=99999999999999999999", "expected a number from 1 to 99999"),
                               ("--train.seed=1..99999999999999999999", "not a range of integers of at most 18 digits"),
                               ("--train.seed=1..3000000", "more than 10000 runs"), (f"--name={'x' * 300}", "300 letters"),
                               ("--colour", "unknown option '--colour'"), ("--run.directory=x", "is set by the sweep"),
                               ("--name=a/b", "expected letters"), ("other.ini", "expected one CONFIG.ini")):
            result = self.sweep(word, status=2)
            self.assertEqual(len(result.stderr.splitlines()), 1, result.stderr)
            self.assertIn(sentence, result.stderr)
        self.assertFalse((self.folder / "runs").exists())

    def test_the_report_is_that_of_the_runs_and_names_its_columns(self):
        self.sweep(SHORT, "--model.latent=2,20")
        page = (self.folder / "runs/small/report.html").read_text()
        runs = json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])
        self.assertEqual({run["name"] for run in runs}, {"latent=2", "latent=20"})
        self.succeed(0, "report", self.folder / "runs/small", "--sort=mse", "--model=false")
        values = [float(row["mse"]) for row in self.table()]
        self.assertEqual(values, sorted(values))
        result = run(0, "report", self.folder / "runs/small", "--sort=colour")
        self.assertEqual(result.returncode, 2)
        self.assertIn("expected one of model.latent, state, step, loss", result.stderr)
        self.assertEqual(run(0, "verify", self.folder / "runs/small/latent=2").returncode, 0)


if __name__ == "__main__":
    unittest.main()
