#!/usr/bin/env python3
"""The short form of each script in applications/ trains, measures its field and its baselines, and writes the table."""
import contextlib
import io
import json
import os
import subprocess
import sys
import unittest

import h5py
import numpy

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest

sys.path.insert(0, str(ROOT / "applications"))
import common  # noqa: E402
import finance  # noqa: E402
import speech  # noqa: E402


class Applications(ProgramTest):
    def start(self, field, *options):
        """The short form, into the folder `field`."""
        command = [sys.executable, ROOT / f"applications/{field}.py", "--short", "--seeds=1", f"--out={self.folder / field}", *options]
        return subprocess.run(list(map(str, command)), cwd=self.folder, env={**ENVIRONMENT, "ELBO": ELBO}, capture_output=True, text=True,
                              timeout=300, stdin=subprocess.DEVNULL)

    def table(self, field, *options, name="table"):
        """The lines of a table of the short form: {method: {measure: mean}}."""
        result = self.start(field, *options)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        table = json.loads((self.folder / field / f"{name}.json").read_text())
        self.assertIn(f"applications/{field}.py", table["command"])
        text = (self.folder / field / f"{name}.md").read_text()
        for line in table["methods"]:
            self.assertIn(line["method"], text)
        return {line["method"]: {name: value["mean"] for name, value in line["measures"].items()} for line in table["methods"]}


class Common(ProgramTest):
    def test_an_interval_holds_the_mean_and_widens_with_the_spread(self):
        mean, low, high = common.interval([1, 2, 3])
        self.assertEqual((mean, low, high), (2, 1, 3))
        self.assertEqual(common.interval([5]), (5, None, None))
        narrow = common.interval([1.9, 2.0, 2.1])
        self.assertLess(narrow[2] - narrow[1], high - low)

    def test_a_row_on_both_sides_of_a_split_ends_the_script(self):
        common.assert_disjoint(["anna", "bob"], ["carl"], "users")
        with self.assertRaises(SystemExit):
            common.assert_disjoint(["anna", "bob"], ["bob"], "users")


class Speech(Applications):
    """Frames in eight numbers, beside PCA, and conversion between two made speakers."""

    def test_the_short_form_writes_sound(self):
        result = self.start("speech")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("train: 1 of 40 rows are silent and are left out, the first is train_5.wav#0", result.stdout)
        for name in ("reconstructed", "as_flat"):
            self.assertEqual((self.folder / f"speech/{name}.wav").read_bytes()[:4], b"RIFF")

    def test_the_distance_of_a_gain_is_the_gain(self):
        frames = numpy.random.default_rng(0).standard_normal((5, 40))
        self.assertAlmostEqual(speech.distance(frames, frames + numpy.log(10) * 0.3), 3)

    def test_all_components_give_the_frames_back(self):
        frames = numpy.random.default_rng(0).standard_normal((100, 40)).astype("f4")
        self.assertLess(speech.distance(frames, speech.principal_components(frames, frames, 40)), 1e-3)

    def test_a_recording_on_both_sides_ends_the_script(self):
        speech.made_speech(self.folder / "speech.h5")
        with h5py.File(self.folder / "speech.h5", "r+") as file:
            file["test/name"][2] = "train_3.wav#1"
        with self.assertRaises(SystemExit), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()) as printed:
            speech.Speech(self.folder / "speech.h5")
        self.assertIn("1 recordings are in training and in test, such as train_3.wav", printed.getvalue())


class Finance(Applications):
    """VaR and ES of made returns; days without a price and splits out of order."""

    def test_the_short_form_judges_every_method_at_both_levels(self):
        table = self.table("finance")
        for level in ("5%", "1%"):
            for method in ("historical simulation", "filtered historical simulation", "RiskMetrics", "vrnn"):
                self.assertGreater(table[f"{method}, {level}"]["pinball, 1e-4"], 0)
        self.assertTrue((self.folder / "finance/facts.md").exists())

    def test_a_day_without_a_price_is_counted_and_named(self):
        with self.days() as file:
            file["validation/x"][3, 1] = numpy.nan
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            days = finance.Days(self.folder / "days.h5")
        self.assertIn("validation: 1 of 100 days lack a price and are left out, the first is 00603", printed.getvalue())
        self.assertEqual(days.test - days.validation, 99)

    def test_no_window_of_training_holds_a_later_day(self):
        with self.days():
            pass
        with contextlib.redirect_stdout(io.StringIO()):
            days = finance.Days(self.folder / "days.h5")
        last = days.windows(finance.HISTORY, days.validation, 5)[-1, -1]
        self.assertTrue(any((last == day.astype("f4")).all() for day in days.filtered[:days.validation]))
        with self.days() as file:
            del file["test/name"]
            file["test/name"] = [f"{day:05d}" for day in range(550, 650)]
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as printed:
            finance.Days(self.folder / "days.h5")
        self.assertIn("days are in training and in test", printed.getvalue())

    @contextlib.contextmanager
    def days(self):
        finance.made_days(self.folder / "days.h5")
        with h5py.File(self.folder / "days.h5", "r+") as file:
            yield file

    def test_kupiec_and_christoffersen_reject_what_they_should(self):
        # 20 of 1,000 days at 1 %: the likelihood ratio is 2 (20 log 2 + 980 log(0.98 / 0.99)) = 7.83, p = 0.0051.
        beyond = numpy.arange(1000) < 10
        self.assertAlmostEqual(finance.kupiec(beyond, 0.01), 1)
        self.assertAlmostEqual(finance.kupiec(numpy.arange(1000) < 20, 0.01), 0.00514, 4)
        self.assertLess(finance.christoffersen(beyond), 1e-6)  # all in a row
        self.assertGreater(finance.christoffersen(numpy.arange(1000) % 100 == 50), 0.5)


if __name__ == "__main__":
    unittest.main()
