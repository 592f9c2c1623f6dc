#!/usr/bin/env python3
"""Results in the user's own rows, names, units and forms, with the same bytes on 1 and 3 ranks."""
import csv
import json
import statistics
import struct
import unittest
import wave

import h5py
import numpy

from program import ProgramTest, run

SMALL = "--train.batch=50", "--train.microbatch=25", "--train.steps=60"


def lines_of(path, delimiter=","):
    with open(path, newline="", encoding="utf8") as file:
        return list(csv.DictReader(file, delimiter=delimiter))


def png(path, colour):
    from PIL import Image
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (16, 16), colour).save(path)


class OutputsTest(ProgramTest):
    def convert(self, form, *words):
        self.succeed(0, "convert", form, *words)

    def write(self, command, run_name, out, *words, ranks=0):
        """The path of what a command wrote; on 3 ranks it writes the same bytes."""
        path = self.folder / out
        self.succeed(ranks, command, self.folder / run_name, *words, f"--out={path}")
        if ranks == 0:
            other = self.folder / ("ranks_" + out)
            self.succeed(3, command, self.folder / run_name, *words, f"--out={other}")
            self.assertEqual(path.read_bytes(), other.read_bytes(), f"{command} {out}")
        return path

    def refuse(self, *words):
        result = run(0, *words)
        self.assertEqual(result.returncode, 2, f"{words}\n{result.stdout}{result.stderr}")
        said = [line for line in result.stderr.splitlines() if "error" in line]
        self.assertEqual(len(said), 1, result.stderr)
        return said[0]


class Tables(OutputsTest):
    @staticmethod
    def table(path, rows=400):
        rng = numpy.random.default_rng(0)
        with open(path, "w", encoding="utf8") as file:
            file.write("who,age,\"income, net\",region\n")
            for i in range(rows):
                region = rng.choice(["north", "south", "west"])
                file.write(f"person {i},{rng.normal(40, 12):.2f},{rng.normal(30000, 8000):.1f},{region}\n")

    def make(self, *words):
        self.table(self.folder / "t.csv")
        self.convert("csv", self.folder / "t.csv", "--id=who", "--standardize=true", f"--out={self.folder}/t.h5", *words)
        self.train(0, "run", *SMALL, "--train.steps=300", "--data.validation_fraction=0.1", config=self.folder / "t.h5")

    def test_a_table_comes_back_as_it_was(self):
        self.make()
        data = self.folder / "t.h5"
        with h5py.File(data) as file:
            self.assertEqual(file["train/name"][7], b"person 7")
        made = lines_of(self.write("sample", "run", "s.csv", "--n=300"))
        self.assertEqual(list(made[0]), ["age", "income, net", "region"])
        self.assertEqual({row["region"] for row in made}, {"north", "south", "west"})
        self.assertTrue(25000 < statistics.mean(float(row["income, net"]) for row in made) < 35000)
        drawn = statistics.stdev(float(row["age"]) for row in made)
        self.assertTrue(8 < drawn < 17, drawn)
        mean = lines_of(self.write("sample", "run", "m.csv", "--n=300", "--elements=mean"))
        self.assertLess(statistics.stdev(float(row["age"]) for row in mean), drawn)
        cold = lines_of(self.write("sample", "run", "c.csv", "--n=300", "--temperature=0.01"))
        for one, other in zip(cold, mean):
            self.assertAlmostEqual(float(one["age"]), float(other["age"]), delta=1)

        # Rows and their reconstructions: row numbers, names, the numbers of the table.
        rows = lines_of(self.write("reconstruct", "run", "r.tsv", data), "\t")
        table = lines_of(self.folder / "t.csv")
        self.assertEqual(len(rows), 400)
        for row, line in zip(rows, table):
            self.assertEqual(row["name"], line["who"])
            self.assertEqual(row["x_region"], line["region"])
            self.assertAlmostEqual(float(row["x_age"]), float(line["age"]), delta=1e-3)
            self.assertIn(row["reconstruction_region"], {"north", "south", "west"})
        arrays = numpy.load(self.write("reconstruct", "run", "r.npz", data))
        numpy.testing.assert_allclose(arrays["x"][:, 0], [float(line["age"]) for line in table], rtol=1e-5)
        self.assertEqual(arrays["name"][5], b"person 5")
        self.assertEqual(numpy.load(self.write("reconstruct", "run", "r.npy", data)).shape, (400, 3))

    def test_scores_and_codes_name_their_rows(self):
        self.make()
        data = self.folder / "t.h5"
        scores = lines_of(self.write("score", "run", "s.csv", data, "--split=all"))
        self.assertEqual(list(scores[0]), ["row", "name", "score"])
        self.assertEqual([int(row["row"]) for row in scores], list(range(400)))
        with h5py.File(self.write("score", "run", "s.h5", data)) as file:
            numpy.testing.assert_allclose(file["score"][:], [float(row["score"]) for row in scores], rtol=1e-6)
        held_out = lines_of(self.write("score", "run", "v.csv", data, "--split=validation"))
        self.assertTrue(20 <= len(held_out) <= 60, len(held_out))
        for row in held_out:
            self.assertEqual(row["name"], f"person {row['row']}")
        codes = lines_of(self.write("encode", "run", "z.csv", data))
        self.assertEqual(codes[3]["name"], "person 3")
        import anndata
        frame = anndata.read_h5ad(self.write("encode", "run", "z.h5ad", data))
        self.assertEqual(frame.obs_names[9], "person 9")
        numpy.testing.assert_allclose(frame.obsm["X_elbo"][3, 0], float(codes[3]["z_0"]), rtol=1e-6)
        self.assertEqual(list(anndata.read_h5ad(self.write("sample", "run", "x.h5ad", "--n=5")).var_names),
                         ["age", "income, net", "region"])

    def test_samples_are_a_data_set(self):
        self.make()
        made = self.write("sample", "run", "made.h5", "--n=200")
        self.train(0, "again", *SMALL, config=made)
        table = lines_of(self.write("sample", "again", "again.csv", "--n=100"))
        self.assertEqual(list(table[0]), ["age", "income, net", "region"])
        self.assertTrue(20000 < statistics.mean(float(row["income, net"]) for row in table) < 40000)
        scores = lines_of(self.write("score", "run", "scores.csv", made))  # rows are those that the run knows
        self.assertEqual(len(scores), 200)

    def test_names_of_classes_keep_their_blanks_and_line_breaks(self):
        names = [" padded ", "back\\n", "two\nlines", "x,y"]
        with h5py.File(self.folder / "t.h5", "w") as file:
            file["train/x"] = numpy.random.default_rng(0).normal(size=(80, 3)).astype("f4")
            file.create_dataset("train/label", data=[names[i % 4] for i in range(80)], dtype=h5py.string_dtype())
        self.train(0, "run", "--train.steps=2", "--model.name=cvae", config=self.folder / "t.h5")
        rows = lines_of(self.write("score", "run", "s.csv", self.folder / "t.h5"))
        self.assertEqual([row["label"] for row in rows], [names[i % 4] for i in range(80)])
        for name in names:
            made = lines_of(self.write("sample", "run", "one.csv", "--n=1", f"--label={name}", "--force=true"))
            self.assertEqual(made[0]["label"], name)
        import anndata
        frame = anndata.read_h5ad(self.write("encode", "run", "z.h5ad", self.folder / "t.h5"))
        self.assertEqual(list(frame.obs["label"][:4]), names)

    def test_rows_beside_their_reconstructions_are_those_of_the_file(self):
        x = numpy.random.default_rng(0).integers(0, 1000, (60, 5))
        with h5py.File(self.folder / "t.h5", "w") as file:
            file["train/x"] = x
        self.train(0, "run", "--train.steps=2", "--data.validation_fraction=0.1", config=self.folder / "t.h5")
        self.assertIn("standardize", (self.folder / "run/run.ini").read_text())
        numpy.testing.assert_array_equal(numpy.load(self.write("reconstruct", "run", "r.npz", self.folder / "t.h5"))["x"], x)
        walks = lines_of(self.write("interpolate", "run", "walks.csv"))  # of the six rows that are held out
        self.assertEqual(len(walks), 3 * 10)

    def test_one_hot_categories_and_labels_are_texts(self):
        self.table(self.folder / "t.csv")
        self.convert("csv", self.folder / "t.csv", "--drop=who", "--label=region", f"--out={self.folder}/l.h5")
        self.train(0, "classes", *SMALL, "--model.name=cvae", config=self.folder / "l.h5")
        made = lines_of(self.write("sample", "classes", "west.csv", "--n=5", "--label=west"))
        self.assertEqual([row["label"] for row in made], ["west"] * 5)
        scores = lines_of(self.write("score", "classes", "s.csv", self.folder / "l.h5"))
        self.assertEqual([row["label"] for row in scores[:9]], [line["region"] for line in lines_of(self.folder / "t.csv")[:9]])
        self.convert("csv", self.folder / "t.csv", "--drop=who", "--categories=one_hot", f"--out={self.folder}/o.h5")
        self.train(0, "one_hot", *SMALL, config=self.folder / "o.h5")
        made = lines_of(self.write("sample", "one_hot", "o.csv", "--n=50"))
        self.assertEqual(list(made[0]), ["age", "income, net", "region"])
        self.assertLessEqual({row["region"] for row in made}, {"north", "south", "west"})

    def test_log_returns_become_prices(self):
        rng = numpy.random.default_rng(1)
        prices = 100 * numpy.exp(numpy.cumsum(rng.normal(0, 0.02, (801, 2)), 0))
        with open(self.folder / "p.csv", "w", encoding="utf8") as file:
            file.write("A,B\n" + "".join(f"{a:.6f},{b:.6f}\n" for a, b in prices))
        self.convert("csv", self.folder / "p.csv", "--transform=log_returns", "--window=8", "--standardize",
                     f"--out={self.folder}/p.h5")
        self.train(0, "prices", *SMALL, "--model.name=vrnn", "--model.hidden=16", config=self.folder / "p.h5")
        rows = lines_of(self.write("reconstruct", "prices", "r.csv", self.folder / "p.h5"))
        self.assertEqual(list(rows[0])[:2] + list(rows[0])[-4:], ["row", "step", "x_A", "x_B", "reconstruction_A", "reconstruction_B"])
        self.assertEqual(len(rows), 800)
        for row in rows:
            self.assertAlmostEqual(float(row["x_A"]) / prices[int(row["row"]) * 8 + int(row["step"]) + 1, 0], 1, delta=1e-5)
        made = lines_of(self.write("sample", "prices", "s.csv", "--n=4"))
        self.assertEqual((list(made[0]), len(made)), (["row", "step", "A", "B"], 32))
        self.assertTrue(all(0.7 < float(row["A"]) < 1.4 for row in made))  # relative to the line before the row
        paths = lines_of(self.write("predict", "prices", "f.csv", self.folder / "p.h5", "--n=3", "--steps=2", "--paths=5"))
        self.assertEqual(len(paths), 3 * 5 * 8)
        new = {row["prediction_A"] for row in paths if row["row"] == "0" and row["step"] == "7"}
        self.assertEqual(len(new), 5)
        # Rows that are shorter than those of training are continued from their end.
        with h5py.File(self.folder / "p.h5") as file, h5py.File(self.folder / "short.h5", "w") as short:
            short["train/x"] = file["train/x"][:4, :5]
            known = file["train/x"][:4, :5]
        with h5py.File(self.write("predict", "prices", "short_out.h5", self.folder / "short.h5")) as file:
            numpy.testing.assert_allclose(file["prediction"][:, :5], known, rtol=1e-5, atol=1e-6)
            self.assertEqual(file["prediction"].shape, (4, 8, 2))
            self.assertTrue(numpy.isnan(file["x"][:, 5:]).all())
            self.assertEqual(file["prefix"][:].tolist(), [5] * 4)

    def test_missing_values_are_filled_in(self):
        with open(self.folder / "g.csv", "w", encoding="utf8") as file:
            file.write("a,b,c\n")
            rng = numpy.random.default_rng(2)
            for i in range(300):
                a = rng.normal(100, 10)
                file.write(f"{a:.2f},{'' if i % 7 == 0 else f'{2 * a:.2f}'},{3 * a:.2f}\n")
        self.convert("csv", self.folder / "g.csv", "--missing=keep", "--standardize", f"--out={self.folder}/g.h5")
        self.train(0, "gaps", *SMALL, "--train.steps=400", "--data.missing=mask", config=self.folder / "g.h5")
        filled = lines_of(self.write("impute", "gaps", "f.csv", self.folder / "g.h5"))
        stored = lines_of(self.folder / "g.csv")
        self.assertEqual(list(filled[0]), ["row", "a", "b", "c"])
        for row, line in zip(filled, stored):
            if line["b"]:
                self.assertAlmostEqual(float(row["b"]), float(line["b"]), delta=0.01)
        errors = [abs(float(row["b"]) - 2 * float(line["a"])) for row, line in zip(filled, stored) if not line["b"]]
        self.assertLess(statistics.mean(errors), 10)


class Classes(OutputsTest):
    def test_classes_are_named(self):
        for name, colour in (("birds", (40, 90, 200)), ("cats", (200, 40, 40)), ("dogs", (40, 200, 40))):
            for i in range(40):
                png(self.folder / f"photos/{name}/{i:02d}.png", tuple(c + (i * 7) % 20 for c in colour))
        data = self.folder / "p.h5"
        self.convert("images", self.folder / "photos", f"--out={data}")
        self.train(0, "run", *SMALL, "--train.steps=150", "--model.name=cvae", "--network.kind=mlp", config=data)
        with h5py.File(self.write("sample", "run", "cats.h5", "--label=cats", "--n=120")) as file:
            mean = file["x"][:].mean((0, 2, 3))
            self.assertEqual(list(file["label"].attrs["class_names"]), ["birds", "cats", "dogs"])
            self.assertEqual(set(file["label"][:]), {1})
        self.assertEqual(mean.argmax(), 0)
        self.train(0, "again", *SMALL, "--model.name=cvae", "--network.kind=mlp", config=self.folder / "cats.h5")
        said = self.refuse("sample", self.folder / "run", "--label=cat", f"--out={self.folder}/x.h5")
        self.assertRegex(said, "did you mean cats.*birds, cats, dogs")

        scores = lines_of(self.write("score", "run", "s.csv", data))
        self.assertEqual((scores[0]["name"], scores[0]["label"]), ("birds/00.png", "birds"))
        with h5py.File(self.write("transfer", "run", "t.h5", data, "--label=dogs")) as file, \
                h5py.File(self.write("reconstruct", "run", "r.h5", data)) as other:
            self.assertEqual(file["x"].shape[0], 120)
            _, green, blue = file["x"][:40].mean((0, 2, 3)) - other["reconstruction"][:40].mean((0, 2, 3))
            self.assertGreater(green, 0.02)  # birds become green
            self.assertLess(blue, -0.02)
            self.assertEqual(file["name"][0], b"birds/00.png")
            self.assertEqual(set(file["label"][:]), {2})
        codes = self.write("encode", "run", "z.h5", data)
        with h5py.File(self.write("decode", "run", "d.h5", codes)) as file, \
                h5py.File(self.folder / "r.h5") as other:
            numpy.testing.assert_array_equal(file["x"][:], other["reconstruction"][:])
            self.assertEqual(file["name"][0], b"birds/00.png")
        self.write("decode", "run", "d.png", codes, "--label=cats")
        self.write("reconstruct", "run", "r.png", data)
        self.assertRegex(self.refuse("decode", self.folder / "run", data, f"--out={self.folder}/n.h5"), "/z")
        self.assertRegex(self.refuse("transfer", self.folder / "run", data, f"--out={self.folder}/n.h5"), "--label")
        self.assertRegex(self.refuse("sample", self.folder / "run", f"--out={self.folder}/n.wav"), "wav.*sound")
        self.assertRegex(self.refuse("sample", self.folder / "run", f"--out={self.folder}/n.npy", "--temperature=2"),
                         "temperature.*--elements=drawn")


class Forms(OutputsTest):
    def test_molecules(self):
        molecules = ["CCO", "CCN", "c1ccccc1", "CC(=O)O", "CCCl", "C#N"] * 20
        (self.folder / "m.smi").write_text("".join(f"{molecule} mol {i}\n" for i, molecule in enumerate(molecules)), encoding="utf8")
        self.convert("smiles", self.folder / "m.smi", f"--out={self.folder}/m.h5")
        self.train(0, "run", *SMALL, "--model.hidden=32", config=self.folder / "m.h5")
        texts = self.write("reconstruct", "run", "r.txt", self.folder / "m.h5").read_text().splitlines()
        self.assertEqual([line.split("\t")[0] for line in texts], molecules)
        named = self.write("reconstruct", "run", "r.smi", self.folder / "m.h5").read_text().splitlines()
        self.assertEqual(named[7].split("\t")[1], "mol 7")
        self.assertEqual(lines_of(self.write("score", "run", "scores.csv", self.folder / "m.h5"))[7]["name"], "mol 7")
        made = self.write("sample", "run", "s.smi", "--n=40").read_text().splitlines()
        self.assertEqual(len(made), 40)
        self.assertGreater(len(set(made)), 10)  # drawn
        self.train(0, "again", *SMALL, "--model.hidden=32", config=self.write("sample", "run", "s.h5", "--n=60"))
        self.assertIn("x", lines_of(self.write("sample", "run", "s.csv", "--n=3"))[0])

    def test_sound(self):
        rng = numpy.random.default_rng(0)
        for k in range(6):
            (self.folder / "w").mkdir(exist_ok=True)
            with wave.open(f"{self.folder}/w/{k}.wav", "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                tone = 20000 * numpy.sin(2 * numpy.pi * rng.uniform(200, 600) * numpy.arange(8192) / 8000)
                file.writeframes(tone.astype("<i2").tobytes())
        for form, words in (("waveform", ("--frames=0", "--frame=512")), ("mu_law", ("--frames=4", "--frame=128")),
                            ("log_mel", ("--frames=8", "--mels=20"))):
            self.convert("wav", self.folder / "w", f"--form={form}", *words, f"--out={self.folder}/{form}.h5")
            self.train(0, form, *SMALL, "--train.steps=5", "--model.latent=4", config=self.folder / f"{form}.h5")
            out = self.write("reconstruct", form, f"{form}.wav", self.folder / f"{form}.h5", "--n=20")
            with wave.open(str(out)) as file:
                self.assertEqual((file.getframerate(), file.getsampwidth()), (8000, 2))
                self.assertGreaterEqual(file.getnframes(), 512)
        names = [row["name"] for row in lines_of(self.write("score", "mu_law", "s.csv", self.folder / "mu_law.h5"))]
        self.assertEqual(names[:2], ["0.wav#0", "0.wav#1"])

    def test_music(self):
        chords = [[60, 64, 67], [60, 65, 69], [59, 62, 67], []]
        pieces = {"train": [[chords[(i + j) % 4] for j in range(8)] for i in range(40)]}
        (self.folder / "m.json").write_text(json.dumps(pieces), encoding="utf8")
        self.convert("piano_rolls", self.folder / "m.json", f"--out={self.folder}/m.h5")
        self.train(0, "run", *SMALL, "--model.name=vrnn", "--model.hidden=16", "--model.likelihood=bernoulli",
                   config=self.folder / "m.h5")
        midi = self.write("sample", "run", "s.mid", "--n=2").read_bytes()
        self.assertEqual(struct.unpack(">4sIHHH4sI", midi[:22])[:6], (b"MThd", 6, 0, 1, 480, b"MTrk"))
        self.assertEqual(len(midi), 22 + struct.unpack(">I", midi[18:22])[0])
        again = self.write("sample", "run", "s.json", "--n=6")
        self.convert("piano_rolls", again, f"--out={self.folder}/again.h5")
        with h5py.File(self.folder / "again.h5") as file, \
                h5py.File(self.write("sample", "run", "s.h5", "--n=6")) as made:
            numpy.testing.assert_array_equal(file["train/x"][:] / 255, made["x"][:])

    def test_video(self):
        from PIL import Image
        frames = numpy.zeros((30, 5, 1, 12, 12), "u1")
        for clip in range(30):
            for t in range(5):
                frames[clip, t, 0, t:t + 4, clip % 8:clip % 8 + 4] = 255
        with h5py.File(self.folder / "v.h5", "w") as file:
            file["train/x"] = frames
            file.attrs["kind"] = "video"
        self.train(0, "run", *SMALL, "--train.steps=10", "--model.name=vrnn", "--model.hidden=16", config=self.folder / "v.h5")
        with Image.open(self.write("reconstruct", "run", "r.gif", self.folder / "v.h5", "--n=3")) as animation:
            self.assertEqual(animation.n_frames, 5)
            animation.seek(2)
            seen = numpy.array(animation.convert("L"))
        numpy.testing.assert_array_equal(seen[2:14, 2:14], frames[0, 2, 0])

    def test_recommendations(self):
        rng = numpy.random.default_rng(0)
        with open(self.folder / "r.csv", "w", encoding="utf8") as file:
            file.write("user_id,item_id,rating\n")
            for user in range(120):
                taste = user % 2
                for item in rng.choice(10, 6, replace=False):
                    file.write(f"user{user},{'film' if taste else 'book'} {item},5\n")
        self.convert("ratings", self.folder / "r.csv", f"--out={self.folder}/r.h5")
        self.train(0, "run", *SMALL, "--train.steps=300", config=self.folder / "r.h5")
        (self.folder / "mine.txt").write_text("film 1\nfilm 3\nno such film\nfilm 5\n", encoding="utf8")
        said = self.succeed(3, "recommend", self.folder / "run", f"--history={self.folder}/mine.txt", "--n=4")
        self.assertRegex(said.stderr, "1 of 4 items are unknown.*'no such film'")
        names = [line.split(maxsplit=2)[2] for line in said.stdout.splitlines()]
        self.assertEqual(len(names), 4)
        self.assertTrue(all(name.startswith("film") for name in names), names)
        self.assertFalse({"film 1", "film 3", "film 5"} & set(names))
        out = self.folder / "best.csv"
        self.succeed(0, "recommend", self.folder / "run", "--user=user4", "--n=3", f"--out={out}")
        self.assertTrue(all(row["item"].startswith("book") for row in lines_of(out)))
        self.assertEqual(lines_of(self.write("encode", "run", "z.csv", self.folder / "r.h5"))[4]["name"], "user4")
        self.assertRegex(self.refuse("recommend", self.folder / "run"), "--history=FILE or --user=NAME")
        self.assertRegex(self.refuse("recommend", self.folder / "run", "--user=nobody"), "nobody.*none of the 120 users")


if __name__ == "__main__":
    unittest.main()
