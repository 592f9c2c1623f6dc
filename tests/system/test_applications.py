#!/usr/bin/env python3
"""The short form of each script in applications/ trains, measures its field and its baselines, and writes the table."""
import contextlib
import io
import json
import os
import subprocess
import sys
import types
import unittest

import h5py
import numpy

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest

sys.path.insert(0, str(ROOT / "applications"))
import anomalies  # noqa: E402
import augmentation  # noqa: E402
import chorales  # noqa: E402
import common  # noqa: E402
import finance  # noqa: E402
import molecules  # noqa: E402
import recommendation  # noqa: E402
import speech  # noqa: E402
import style  # noqa: E402
import text  # noqa: E402


class ShortForm(ProgramTest):
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


class Applications(ShortForm):
    def test_anomalies(self):
        tables = self.table("anomalies", "--ranks=2", name="tables")
        self.assertGreater(tables["vae, −ELBO"]["planes, clean: AUROC"], 0.85)
        self.assertGreater(tables["nearest neighbour"]["planes, clean: AUROC"], 0.85)
        digits = json.loads((self.folder / "anomalies/digits.json").read_text())
        areas = {line["method"]: line["measures"]["mean"]["mean"] for line in digits["methods"]}
        self.assertGreater(areas["vae, deviance"], 0.6)
        self.assertGreater(areas["nearest neighbour"], 0.9)

    def test_recommendation(self):
        table = self.table("recommendation", "--ranks=1")
        for method in ("Mult-VAE", "EASE", "itemKNN"):
            self.assertGreater(table[method]["recall@20"], 1.5 * table["popularity"]["recall@20"])

    def test_features(self):
        table = self.table("features", "--ranks=1")
        self.assertGreater(table["curves, z = 4: vae"]["neighbours"], 0.3)  # five classes

    def test_augmentation(self):
        table = self.table("augmentation", "--ranks=1")
        self.assertGreater(min(entry["right"] for entry in table.values()), 0.8)

    def test_images_continue_where_they_stopped(self):
        first = self.table("images", "--ranks=1")
        self.assertLess(first["vae"]["−log p"], first["vae"]["−ELBO"])
        self.assertEqual(self.table("images", "--ranks=1"), first)
        result = self.start("images", "--ranks=1", f"--out={self.folder}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("choose another --out", result.stderr)


class Splits(unittest.TestCase):
    """Nothing of a test set is in training."""

    def test_of_tables(self):
        label = numpy.arange(1000) % 7 == 0
        train, test = anomalies.split_rows(label, True, 1)
        self.assertFalse(set(train) & set(test))
        self.assertFalse(label[train].any())
        self.assertEqual(sorted([*train, *test]), list(range(1000)))

    def test_of_users(self):
        tests = []
        for split in range(recommendation.SPLITS):
            parts = recommendation.split_users(103, split)
            self.assertEqual(sorted(numpy.concatenate(parts)), list(range(103)))
            tests.extend(parts[2])
        self.assertEqual(sorted(tests), list(range(103)))

    def test_of_interactions(self):
        seen = recommendation.short_histories()
        given, hidden = recommendation.hide(seen, 0)
        self.assertFalse((given & hidden).any())
        numpy.testing.assert_array_equal(given | hidden, seen)
        numpy.testing.assert_array_equal(hidden.sum(1), seen.sum(1) // 5)


class Measures(unittest.TestCase):
    def test_areas_under_curves_with_equal_scores(self):
        random = numpy.random.default_rng(3)
        score, anomalous = random.integers(0, 6, 60).astype(float), random.random(60) < 0.3
        higher = score[anomalous][:, None] - score[~anomalous]
        self.assertAlmostEqual(anomalies.area_under_roc(score, anomalous), ((higher > 0) + 0.5 * (higher == 0)).mean(), places=12)
        thresholds = numpy.unique(score)[::-1]
        found = numpy.array([(anomalous & (score >= t)).sum() for t in thresholds])
        precision = found / numpy.array([(score >= t).sum() for t in thresholds])
        self.assertAlmostEqual(anomalies.average_precision(score, anomalous),
                               (numpy.diff(numpy.r_[0, found]) * precision).sum() / anomalous.sum(), places=12)

    def test_ranking_of_one_user(self):
        given, hidden = numpy.zeros((1, 60), bool), numpy.zeros((1, 60), bool)
        given[0, 0], hidden[0, [1, 40]] = True, True
        result = recommendation.ranking(-numpy.arange(60.)[None], given, hidden)  # hidden items have ranks 1 and 40
        self.assertAlmostEqual(result["recall@20"], 0.5)
        self.assertAlmostEqual(result["recall@50"], 1)
        self.assertAlmostEqual(result["NDCG@100"], (1 + 1 / numpy.log2(41)) / (1 + 1 / numpy.log2(3)))

    def test_ease_is_the_regression_of_each_item_on_the_others(self):
        train = recommendation.short_histories()[:, :8]
        weights = recommendation.ease(train, 3)
        x = numpy.delete(train, 2, 1).astype(float)
        numpy.testing.assert_allclose(numpy.delete(weights[:, 2], 2), numpy.linalg.solve(x.T @ x + 3 * numpy.eye(7), x.T @ train[:, 2]))
        self.assertEqual(weights[2, 2], 0)

    def test_a_copy_that_is_not_moved_is_the_image(self):
        image = numpy.random.default_rng(0).random((5, 6))
        rows, columns = numpy.meshgrid(numpy.arange(5), numpy.arange(6), indexing="ij")
        numpy.testing.assert_allclose(augmentation.bilinear(image, rows, columns), image)
        self.assertEqual(augmentation.bilinear(image, rows - 9, columns).max(), 0)


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


class Speech(ShortForm):
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


class Finance(ShortForm):
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


class Chorales(ShortForm):
    """Pieces of made voices; those of the test part are not in training, in another key either."""

    def test_the_short_form_compares_the_model_with_both_baselines(self):
        result = self.start("chorales")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("1 training pieces are in validation or test, too", result.stdout)
        self.assertIn("train: 1 of 22 rows have no note", result.stdout)
        self.assertEqual((self.folder / "chorales/samples.mid").read_bytes()[:4], b"MThd")
        lines = json.loads((self.folder / "chorales/table.json").read_text())["methods"]
        self.assertEqual(len(lines), 3)

    def test_independent_keys_have_the_entropy_of_fair_coins(self):
        random = numpy.random.default_rng(1)
        coins = lambda: [(random.random((4000, 88)) < 0.5).astype("u1")]  # noqa: E731
        self.assertAlmostEqual(chorales.independent_keys({"train": coins(), "test": coins()}), 88 * numpy.log(2), 1)

    def test_a_transposed_piece_is_the_same_piece(self):
        piece = chorales.made_pieces()["train"][0]
        self.assertEqual(chorales.in_any_key(numpy.roll(piece, 5, 1)), chorales.in_any_key(piece))
        self.assertNotEqual(chorales.in_any_key(piece[:-1]), chorales.in_any_key(piece))


class Style(ShortForm):
    """Letters of made typefaces from five of them."""

    def test_the_short_form_completes_typefaces(self):
        result = self.start("style")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("train: 1 of 80 typefaces have a letter without ink and are left out, the first is number 3", result.stdout)
        lines = json.loads((self.folder / "style/table.json").read_text())["methods"]
        errors = {line["method"]: line["measures"]["mean squared error"]["mean"] for line in lines}
        self.assertLess(errors["vae"], errors["mean letter"])
        self.assertLess(errors["ridge"], errors["five nearest typefaces"])

    def test_a_ridge_without_weight_learns_a_linear_style(self):
        random = numpy.random.default_rng(0)
        faces = 0.5 + 0.02 * (random.standard_normal((30, 3)) @ random.standard_normal((3, 26 * 4))).reshape(30, 26, 4)
        self.assertLess(style.error(style.ridge(faces[:20], faces[20:], 1e-9), faces[20:]), 1e-9)

    def test_a_typeface_on_both_sides_ends_the_script(self):
        style.made_typefaces(self.folder / "glyphs.h5")
        with h5py.File(self.folder / "glyphs.h5", "r+") as file:
            file["test/x"][:26] = file["train/x"][:26]
        with self.assertRaises(SystemExit), contextlib.redirect_stdout(io.StringIO()), \
                contextlib.redirect_stderr(io.StringIO()) as printed:
            style.typefaces(self.folder / "glyphs.h5")
        self.assertIn("1 typefaces are in train and in test", printed.getvalue())


class Molecules(ShortForm):
    """Made chains of pieces, beside n-grams; one training row is not a molecule."""

    def test_the_short_form_draws_and_searches(self):
        result = self.start("molecules", "--ranks=1")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("train: 1 of 468 rows are not molecules and are left out, the first is row 3, C1CC", result.stdout)
        lines = json.loads((self.folder / "molecules/table.json").read_text())["methods"]
        valid = {line["method"]: line["measures"]["valid"]["mean"] for line in lines}
        self.assertGreater(valid["n-grams of 10 tokens"], 0.9)
        self.assertGreater(valid["sequence_vae"], 0.2)
        self.assertEqual(len(json.loads((self.folder / "molecules/search.json").read_text())["methods"]), 8)
        self.assertEqual(len((self.folder / "molecules/between.smi").read_text().splitlines()), 24)

    def test_open_rings_and_branches_are_not_well_formed(self):
        for text_, expected in {"CC(C)C": True, "C1CC1": True, "C1CC": False, "C(C": False, "C)C(": False, "": False, "C?": False}.items():
            self.assertEqual(molecules.well_formed(text_) is not None, expected, text_)

    def test_an_n_gram_follows_its_context_as_often_as_in_the_rows(self):
        rows = numpy.array([[1, 4, 5, 2, 0], [1, 4, 6, 2, 0], [1, 4, 6, 2, 0], [1, 5, 5, 5, 2]], "u1")
        drawn = molecules.NGrams(rows, 3).draw(4000, 0)
        after = drawn[drawn[:, 1] == 4]
        self.assertAlmostEqual(len(after) / 4000, 0.75, 1)
        self.assertAlmostEqual((after[:, 2] == 6).mean(), 2 / 3, 1)
        self.assertTrue((after[:, 3] == 2).all())
        self.assertFalse(after[:, 4].any())

    def test_a_direction_is_the_slope_of_the_property(self):
        codes = numpy.random.default_rng(0).standard_normal((200, 3))
        direction = molecules.Direction(codes, 2 + codes @ [3, 0, 4], 1e-9)
        numpy.testing.assert_allclose(direction.moved(codes, 5) - codes, numpy.tile([3, 0, 4], (200, 1)), atol=1e-6)

    def test_a_molecule_on_both_sides_ends_the_script(self):
        with h5py.File(self.folder / "molecules.h5", "w") as file:
            file["vocabulary"] = numpy.array(["<pad>", "<bos>", "<eos>", "<unk>", "C"], object)
            for split in ("train", "test"):
                file[f"{split}/x"] = numpy.array([[1, 4, 2]], "u1")
        job = types.SimpleNamespace(out=self.folder, options=types.SimpleNamespace(rows=None, gpu=False))
        chemistry = types.SimpleNamespace(canonical=molecules.well_formed)
        with self.assertRaises(SystemExit), contextlib.redirect_stderr(io.StringIO()) as printed:
            molecules.rows_of(job, self.folder / "molecules.h5", chemistry)
        self.assertIn("1 molecules are in training and in test", printed.getvalue())


class Text(ShortForm):
    """Sentences of a small grammar; one is empty, and some are in training and in test."""

    def test_the_short_form_compares_three_models(self):
        result = self.start("text", "--ranks=1")
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("train: 1 of 600 sentences are empty and are left out, the first is row 5", result.stdout)
        self.assertIn("158 training sentences are in validation or test, too, and are left out of training", result.stdout)
        lines = json.loads((self.folder / "text/table.json").read_text())["methods"]
        found = {line["method"]: {name: value["mean"] for name, value in line["measures"].items()} for line in lines}
        self.assertLess(found["GRU language model"]["KL"], 0.05)
        self.assertGreater(found["sequence_vae"]["KL"], 1)
        self.assertLess(found["Kneser–Ney trigram"]["nats a token"], numpy.log(5))
        self.assertEqual(len((self.folder / "text/between.txt").read_text().splitlines()), 36)

    def test_a_trigram_is_a_distribution_over_the_vocabulary(self):
        random = numpy.random.default_rng(0)
        rows = numpy.concatenate([numpy.ones((50, 1), "i2"), random.integers(4, 9, (50, 5)), numpy.full((50, 1), 2)], 1)
        model = text.KneserNey(rows, 10)
        for beginning in ([1], [1, 4], [1, 4, 5], [1, 3, 9], [1, 9, 4]):  # the last two: contexts that are not in the rows
            total = sum(numpy.exp(model.log_prob(numpy.array([[*beginning, token]]))[-1]) for token in range(1, 10))
            total += 1 / 10 * self.weight_of_padding(model, beginning)
            self.assertAlmostEqual(total, 1, 9)

    @staticmethod
    def weight_of_padding(model, beginning):
        """Ten times the probability of <pad>, which is not predicted: that of another token that is in no row."""
        return 10 * numpy.exp(model.log_prob(numpy.array([[*beginning, 3]]))[-1])


if __name__ == "__main__":
    unittest.main()
