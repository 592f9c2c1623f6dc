#!/usr/bin/env python3
"""elbo tune: a search whose trials are runs, by successive halving."""
import json
import re
import shutil
import signal
import time
import unittest

from program import ProgramTest, run, start

CONFIG = "configs/mnist_vae.ini"
SETTINGS = ("--network.hidden=16", "--train.batch=64", "--train.microbatch=32", "--train.steps=45", "--data.validation_fraction=0.01",
            "--run.tensorboard=false", "--train.kernels=portable")
SEARCH = ("--model.beta=0.5..16:log", "--model.latent=2..8", "--optimizer.schedule=constant,cosine", "--trials=4", "--keep=3",
          "--model=false")


class Tune(ProgramTest):
    def table(self):
        lines = [line.split("\t") for line in (self.folder / "t/table.tsv").read_text().splitlines()]
        return {row["run"]: row for row in (dict(zip(lines[0], line)) for line in lines[1:])}

    def tune(self, ranks, *words):
        return self.succeed(ranks, "tune", CONFIG, *SETTINGS, *SEARCH, f"--folder={self.folder / 't'}", *words)

    def test_the_better_trials_continue_and_the_best_is_the_run_that_train_makes(self):
        shown = self.tune(2).stdout
        trials = self.table()
        self.assertEqual(sorted(row["step"] for row in trials.values()), ["15", "15", "15", "45"])
        for row in trials.values():
            self.assertTrue(0.5 <= float(row["model.beta"]) <= 16 and 2 <= int(row["model.latent"]) <= 8, row)
        losses = {}
        for name in trials:
            lines = [json.loads(line) for line in (self.folder / "t" / name / "metrics.jsonl").read_text().splitlines()]
            losses[name] = next(line["loss"] for line in lines if line["split"] == "validation" and line["step"] == 15)
        best = min(losses, key=losses.get)
        self.assertEqual(trials[best]["step"], "45")
        words = re.fullmatch(rf"best: {best} with loss [\d.]+: (.*)", shown.splitlines()[-1])[1].split()
        last = json.loads((self.folder / "t" / best / "events.jsonl").read_text().splitlines()[-1])
        self.assertEqual(last["step"], 45)
        plain = self.train(0, "plain", *SETTINGS, *words)
        verified = self.succeed(0, "verify", self.folder / "t" / best).stdout
        self.assertIn(plain.split()[1], verified)
        page = (self.folder / "t/report.html").read_text()
        self.assertEqual(len(json.loads(re.search(r'id="data">(.*?)</script>', page, re.DOTALL)[1])), 4)
        # Started again, it trains nothing; where a trial is lost, only that one, to the same end.
        before = {path: path.stat().st_mtime_ns for path in self.folder.glob("t/*/metrics.jsonl")}
        table = (self.folder / "t/table.md").read_text()
        lost = next(name for name in trials if name != best)
        shutil.rmtree(self.folder / "t" / lost)
        again = self.tune(0)
        self.assertEqual(again.stdout.splitlines()[-1], shown.splitlines()[-1])
        self.assertEqual([path.parent.name for path in before if path.stat().st_mtime_ns != before[path]], [lost])
        strip = lambda text: re.sub(r"\| *\d+ *(?=\| trial)", "", text)  # samples/s
        self.assertEqual(strip((self.folder / "t/table.md").read_text()), strip(table))

    def test_trials_of_an_array_are_those_of_the_search(self):
        words = ("--method=random", "--trials=2", "--train.steps=20")
        self.assertRegex(self.tune(0, *words, "--trial=2").stdout, r"best: trial_002 with loss")
        self.assertEqual([path.name for path in sorted((self.folder / "t").glob("trial_*"))], ["trial_002"])
        last = self.tune(2, *words, "--trial=1").stdout.splitlines()[-1]
        self.assertEqual(len(self.table()), 2)
        self.assertEqual(self.tune(0, *words).stdout.splitlines()[-1], last)
        for wrong, expected in ((("--trial=3",), "--trial=3: the search has 2 trials; expected 1 to 2"),
                                (("--trial=1", "--method=halving"), "add --method=random")):
            refused = run(0, "tune", CONFIG, *SETTINGS, *SEARCH, *words, *wrong)
            self.assertEqual(refused.returncode, 2)
            self.assertIn(expected, refused.stderr)

    def test_stopped_and_started_again_it_ends_with_the_same_trials(self):
        words = ("tune", CONFIG, *SETTINGS, "--train.steps=240", *SEARCH, "--trials=2", "--method=random", f"--folder={self.folder / 't'}")
        process = start(0, *words)
        metrics = self.folder / "t/trial_001/metrics.jsonl"
        end = time.monotonic() + 60
        while time.monotonic() < end and (not metrics.exists() or metrics.read_text().count("\n") < 5):
            time.sleep(0.02)
        process.send_signal(signal.SIGTERM)
        output, errors = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 75, output + errors)
        last = self.succeed(0, *words).stdout.splitlines()[-1]
        self.assertEqual({row["step"] for row in self.table().values()}, {"240"})
        shutil.rmtree(self.folder / "t")
        self.assertEqual(self.succeed(0, *words).stdout.splitlines()[-1], last)

    def test_a_full_disk_is_not_a_trial_that_diverges(self):
        limited = ("sh", "-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh")  # as of a full disk, in blocks of 512 or 1024 bytes
        result = run(0, "tune", CONFIG, *SETTINGS, *SEARCH, f"--folder={self.folder / 't'}", wrapper=limited)
        self.assertEqual(result.returncode, 1, result.stdout + result.stderr)
        self.assertNotIn("diverged", result.stderr)
        self.assertRegex(result.stderr, r"error: .*trial_001.*(step_\d+|written)")
        self.assertFalse((self.folder / "t/trial_002").exists())

    def test_mistakes_are_one_sentence_before_a_trial_begins(self):
        for words, expected in (((), "nothing to search"), (("--model.beta=4..1",), "is not a range"), (("--model.beta=0..1:log",), "numbers above 0"),
                                (("--model.betta=1,2",), "did you mean model.beta"), (("--model.latent=0,1",), "model.latent"),
                                (("--run.directory=x", "--model.beta=1,2"), "is set by elbo tune"),
                                (("--model.beta=1,2", "--data.validation_fraction=0"), "set data.validation_fraction")):
            result = run(0, "tune", CONFIG, *SETTINGS, *words, f"--folder={self.folder / 't'}")
            self.assertEqual(result.returncode, 2, result.stdout + result.stderr)
            self.assertEqual(result.stderr.count("error: "), 1, result.stderr)
            self.assertIn(expected, result.stderr)
        self.assertFalse((self.folder / "t").exists())


if __name__ == "__main__":
    unittest.main()
