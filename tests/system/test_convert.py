#!/usr/bin/env python3
"""Every format that elbo convert reads, written by Python and read back with h5py; and invalid inputs."""
import csv
import gzip
import json
import re
import signal
import struct
import subprocess
import time
import unittest
import wave
import zlib

import h5py
import numpy

from program import ROOT, ProgramTest, command, run, start


def png(path, pixels):
    """A PNG file of (height, width) or (height, width, 3 or 4) bytes."""
    height, width = pixels.shape[:2]
    colour = 0 if pixels.ndim == 2 else {3: 2, 4: 6}[pixels.shape[2]]

    def block(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    rows = b"".join(b"\0" + row.tobytes() for row in pixels)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + block(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, colour, 0, 0, 0))
                     + block(b"IDAT", zlib.compress(rows)) + block(b"IEND", b""))


def wav(path, samples, rate=8000):
    """16 bits, one channel; samples in [-1, 1)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes((samples * 32768).astype("<i2").tobytes())


def texts(values):
    return [value.decode() if isinstance(value, bytes) else value for value in values]


class Convert(ProgramTest):
    def convert(self, *words, inspect=True):
        """The result, open for reading."""
        out = self.folder / f"out{len(list(self.folder.glob('out*.h5')))}.h5"
        self.succeed(0, "convert", *words, f"--out={out}")
        if inspect:
            self.succeed(0, "inspect", out)
        file = h5py.File(out)
        self.addCleanup(file.close)
        return file

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".gz":
            path.write_bytes(gzip.compress(text.encode()))
        else:
            path.write_text(text)
        return path

    def test_every_format_has_help_of_its_own(self):
        names = re.findall(r"^  (\w+) ", self.succeed(0, "convert", "--help").stdout, re.MULTILINE)
        self.assertIn("ratings", names)
        for name in names:
            text = self.succeed(0, "convert", name, "--help").stdout
            self.assertIn(f"usage: elbo convert {name}", text)
            self.assertEqual("--mels=" in text, name in {"audio", "wav", "flac"}, name)

    def test_idx(self):
        images = numpy.arange(5 * 3 * 4, dtype=numpy.uint8).reshape(5, 3, 4)
        for name, array in [("train-images", images), ("train-labels", numpy.array([0, 1, 2, 1, 0], "u1")),
                            ("t10k-images", images[:2] + 1)]:
            (self.folder / name).write_bytes(b"\0\0\x08" + bytes([array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
                                             + array.tobytes())
        file = self.convert("idx", *(self.folder / name for name in ("train-images", "train-labels", "t10k-images")))
        numpy.testing.assert_array_equal(file["train/x"][:, 0], images)
        numpy.testing.assert_array_equal(file["test/x"][:, 0], images[:2] + 1)
        self.assertEqual(file["train/label"].attrs["classes"], 3)
        self.assertEqual(file.attrs["kind"], "image")

    def test_npy_of_every_type_and_order(self):
        generator = numpy.random.default_rng(1)
        for kind in ["?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", ">i2", ">i4", ">i8", ">u2", ">u4",
                     ">f2", ">f4", ">f8"]:
            values = (generator.random((7, 3, 2)) * 100).astype(kind)
            for order in "CF":
                numpy.save(self.folder / "x.npy", numpy.asarray(values, order=order))
                file = self.convert("npy", self.folder / "x.npy", inspect=False)
                picture = kind in {"?", "u1"}
                self.assertEqual(file.attrs["kind"], "image" if picture else "sequence")
                numpy.testing.assert_array_equal(file["train/x"][:, 0] if picture else file["train/x"][()], values,
                                                 f"{kind} {order}")

    def test_npy_larger_than_a_piece(self):
        values = numpy.random.default_rng(2).normal(size=(30000, 50)).astype("f4")
        numpy.save(self.folder / "x.npy", values)
        numpy.save(self.folder / "labels.npy", numpy.arange(30000) % 10)
        split = ["--validation_fraction=0.1", "--test_fraction=0.2"]
        file = self.convert("npy", self.folder / "x.npy", self.folder / "labels.npy", *split, "--seed=7")
        self.assertEqual([len(file[f"{name}/x"]) for name in ("train", "validation", "test")], [21000, 3000, 6000])
        rows = {row.tobytes(): label for name in ("train", "validation", "test")
                for row, label in zip(file[f"{name}/x"][()], file[f"{name}/label"][()])}
        self.assertEqual([rows[row.tobytes()] for row in values], list(numpy.arange(30000) % 10))
        self.assertLessEqual(numpy.prod(file["train/x"].chunks) * 4, 256 * 1024)
        self.assertEqual((file["train/x"].compression, file["train/x"].shuffle), ("gzip", True))
        again = self.convert("npy", self.folder / "x.npy", *split, "--seed=7")
        numpy.testing.assert_array_equal(again["test/x"][()], file["test/x"][()])
        other = self.convert("npy", self.folder / "x.npy", *split, "--seed=8")
        self.assertFalse(numpy.array_equal(other["test/x"][()], file["test/x"][()]))

    def test_npz(self):
        generator = numpy.random.default_rng(3)
        arrays = {"x_train": generator.integers(0, 256, (40, 6, 5, 3)).astype("u1"), "y_train": numpy.arange(40) % 4,
                  "x_test": numpy.asfortranarray(generator.integers(0, 256, (8, 6, 5, 3)).astype("u1")),
                  "y_test": numpy.arange(8) % 4}
        for save in (numpy.savez, numpy.savez_compressed):
            save(self.folder / "a.npz", **arrays)
            file = self.convert("npz", self.folder / "a.npz", "--channels_last=true")
            numpy.testing.assert_array_equal(file["train/x"][()], arrays["x_train"].transpose(0, 3, 1, 2))
            numpy.testing.assert_array_equal(file["test/x"][()], arrays["x_test"].transpose(0, 3, 1, 2))
            numpy.testing.assert_array_equal(file["test/label"][()], arrays["y_test"])
        numpy.savez(self.folder / "b.npz", rows=numpy.eye(4), extra=numpy.zeros(4))
        file = self.convert("npz", self.folder / "b.npz", "--x=rows", "--label=extra")
        numpy.testing.assert_array_equal(file["train/x"][()], numpy.eye(4))
        self.assertEqual(file["train/label"].dtype, numpy.float64)
        # A column of labels, as MedMNIST has them, and the names of scikit-learn.
        numpy.savez(self.folder / "c.npz", train_images=arrays["x_train"][..., 0], train_labels=arrays["y_train"].reshape(-1, 1))
        self.assertEqual(list(self.convert("npz", self.folder / "c.npz")["train/label"]), list(arrays["y_train"]))
        numpy.savez(self.folder / "d.npz", data=numpy.eye(4), target=numpy.array([0, 1, 1, 2]))
        self.assertEqual(list(self.convert("npz", self.folder / "d.npz")["train/label"]), [0, 1, 1, 2])

    def test_csv(self):
        generator = numpy.random.default_rng(4)
        values = generator.normal(3, 2, (500, 3))
        kinds = generator.choice(["ok", "a, b", 'say "x"'], 500)
        with open(self.folder / "a.csv", "w", newline="") as out:
            writer = csv.writer(out)
            writer.writerow(["one", "two", "three", "kind"])
            writer.writerows([*map(repr, row), kind] for row, kind in zip(values.tolist(), kinds))
        file = self.convert("csv", self.folder / "a.csv", "--label=kind", "--standardize=true", "--test_fraction=0.2")
        names = texts(file["train/label"].attrs["class_names"])
        self.assertEqual(names, sorted(set(kinds)))
        mean, scale = file["standardization/mean"][()], file["standardization/scale"][()]
        self.assertEqual(file["train/x"].shape, (400, 3))
        restored = numpy.concatenate([file[f"{split}/x"][()] * scale + mean for split in ("train", "test")])
        labels = numpy.concatenate([file[f"{split}/label"][()] for split in ("train", "test")])
        found = {tuple(numpy.round(row, 4)): names[label] for row, label in zip(restored, labels)}
        self.assertEqual([found.get(tuple(numpy.round(row, 4)), kind) for row, kind in zip(values, kinds)], list(kinds))
        self.assertGreater(sum(tuple(numpy.round(row, 4)) in found for row in values), 480)  # the others round apart
        train = file["train/x"][()].astype("f8")
        numpy.testing.assert_allclose(train.mean(0), 0, atol=1e-6)
        numpy.testing.assert_allclose(train.std(0), 1, atol=1e-6)
        self.assertEqual(texts(file["features"][()]), ["one", "two", "three"])

    def test_tables_of_laboratories(self):
        generator = numpy.random.default_rng(10)
        values = generator.normal([100, 5, 20000], [15, 1, 3000], (300, 3)).round(2)
        days = [f"{1 + i % 28:02}.{1 + i // 28:02}.2021 {i % 24:02}:30" for i in range(300)]
        lines = [";".join([day, *(f"{x:,.2f}".translate(str.maketrans(",.", ".,")) for x in row)]) for day, row in zip(days, values)]
        german = self.write("german.csv", "\r\n".join(["\ufeffZeit;a;b;c", *lines]))
        file = self.convert("csv", german)
        times = numpy.array([numpy.datetime64(f"2021-{d[3:5]}-{d[:2]}T{d[11:]}") for d in days])
        expected = numpy.column_stack([(times - numpy.datetime64("1970-01-01")) / numpy.timedelta64(1, "D"), values])
        numpy.testing.assert_array_equal(file["train/x"][()], expected.astype("f4"))
        said = run(0, "convert", "csv", german, f"--out={self.folder / 'x.h5'}").stderr
        for part in ("separated by ';'", "decimal commas: columns a, b, c", "days since 1970-01-01: column Zeit", "times to minutes"):
            self.assertIn(part, said)
        with open(self.folder / "one.csv", "w") as out:
            out.write("a,b\n" + "".join(f"{row[0]},{'n.d.' if i == 150 else row[1]}\n" for i, row in enumerate(values)))
        result = run(0, "convert", "csv", self.folder / "one.csv", f"--out={self.folder / 'y.h5'}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("one.csv, line 152: column 'b' has no value but 'n.d.'", result.stderr)
        file = self.convert("csv", self.folder / "one.csv", "--missing=mean")
        others = numpy.delete(values[:, 1], 150)
        numpy.testing.assert_allclose(file["train/x"][150, 1], others.mean(), rtol=1e-6)
        numpy.testing.assert_array_equal(numpy.delete(file["train/x"][:, 1], 150), others.astype("f4"))
        self.write("below.csv", "a,b\n" + "".join(f"{row[0]},{'<0.5' if i == 9 else row[1]}\n" for i, row in enumerate(values)))
        result = run(0, "convert", "csv", self.folder / "below.csv", f"--out={self.folder / 'z.h5'}")
        self.assertIn("column 'b': '<0.5' in " + str(self.folder / "below.csv") + ", line 11 is among numbers", result.stderr)

    def test_hdf5_of_other_programs(self):
        generator = numpy.random.default_rng(11)
        pictures = generator.integers(0, 256, (50, 12, 10, 3)).astype("u1")
        kelvin = generator.integers(1000, 3000, (40, 4, 5)).astype("i2")
        kelvin[7, 2:, 1] = -32768
        with h5py.File(self.folder / "python.h5", "w") as out:
            out["images/raw"], out["images/kind"] = pictures, numpy.eye(5)[numpy.arange(50) % 5]
        with h5py.File(self.folder / "era.nc", "w") as out:
            t2m = out.create_dataset("t2m", data=kelvin, chunks=(1, 4, 5), compression="gzip")
            t2m.attrs["scale_factor"], t2m.attrs["add_offset"] = numpy.array([0.01]), numpy.array([250.0])
            t2m.attrs["_FillValue"] = numpy.array([-32768], "i2")
        with h5py.File(self.folder / "matlab.mat", "w", userblock_size=512) as out:
            out.create_dataset("X", data=generator.normal(size=(3, 20))).attrs["MATLAB_class"] = numpy.bytes_("double")
            out.create_dataset("y", data=numpy.arange(20.)[None] % 2).attrs["MATLAB_class"] = numpy.bytes_("double")
        file = self.convert("hdf5", self.folder / "python.h5", "--x=/images/raw", "--label=/images/kind", "--test_fraction=0.2")
        self.assertEqual((file["train/x"].shape, file.attrs["kind"]), ((40, 3, 12, 10), "image"))
        rows = {row.tobytes(): label for split in ("train", "test") for row, label in zip(file[f"{split}/x"][()], file[f"{split}/label"][()])}
        self.assertEqual([rows[row.tobytes()] for row in pictures.transpose(0, 3, 1, 2).copy()], [i % 5 for i in range(50)])
        result = run(0, "convert", "hdf5", self.folder / "era.nc", "--x=t2m", f"--out={self.folder / 'x.h5'}")
        self.assertEqual(result.returncode, 2)
        self.assertIn("era.nc: /t2m: row 7 has missing values", result.stderr)
        file = self.convert("hdf5", self.folder / "era.nc", "--x=t2m", "--missing=keep", inspect=False)
        numpy.testing.assert_allclose(file["train/x"][()], numpy.where(kelvin == -32768, numpy.nan, kelvin * 0.01 + 250), rtol=1e-6)
        file = self.convert("hdf5", self.folder / "matlab.mat", "--x=X", "--label=y")
        with h5py.File(self.folder / "matlab.mat") as matlab:
            numpy.testing.assert_array_equal(file["train/x"][()], matlab["X"][()].T)
        numpy.testing.assert_array_equal(file["train/label"][()], numpy.arange(20) % 2)
        for name in ("cat", "dog"):
            with h5py.File(self.folder / f"{name}.h5", "w") as out:
                out["x"] = generator.normal(size=(4, 3)) > 0
        file = self.convert("hdf5", self.folder / "dog.h5", self.folder / "cat.h5")
        self.assertEqual(texts(file["train/label"].attrs["class_names"]), ["cat", "dog"])
        numpy.testing.assert_array_equal(file["train/label"][()], [1] * 4 + [0] * 4)
        self.assertEqual(set(numpy.unique(file["train/x"][()])) - {0, 1}, set())

    def test_prices_as_windows_of_log_returns(self):
        prices = numpy.exp(numpy.cumsum(numpy.random.default_rng(5).normal(0, 0.01, (301, 4)), axis=0))
        lines = ["Date,a,b,c,d"] + [f"{1990 + i}-01-01," + ",".join(map(repr, row)) for i, row in enumerate(prices.tolist())]
        source = self.write("prices.csv.gz", "\n".join(lines))
        file = self.convert("csv", source, "--drop=Date", "--transform=log_returns", "--window=20")
        self.assertEqual(file.attrs["kind"], "sequence")
        expected = numpy.diff(numpy.log(prices), axis=0).reshape(15, 20, 4)
        numpy.testing.assert_allclose(file["train/x"][()], expected, rtol=1e-4, atol=1e-8)

    def test_tsv_without_header(self):
        file = self.convert("tsv", self.write("a.tsv", "1\t2\t0\n3\t4\t1\n"), "--label=3", "--columns=2,1")
        numpy.testing.assert_array_equal(file["train/x"][()], [[2, 1], [4, 3]])
        numpy.testing.assert_array_equal(file["train/label"][()], [0, 1])

    def test_images(self):
        generator = numpy.random.default_rng(6)
        colour = generator.integers(0, 256, (8, 6, 3)).astype("u1")
        png(self.folder / "set/train/dog/1.png", colour)
        png(self.folder / "set/train/cat/2.png", numpy.dstack([colour, numpy.zeros((8, 6), "u1")]))
        png(self.folder / "set/test/dog/3.png", colour[..., 0])
        file = self.convert("images", self.folder / "set")
        self.assertEqual(texts(file["train/label"].attrs["class_names"]), ["cat", "dog"])
        numpy.testing.assert_array_equal(file["train/label"][()], [0, 1])
        numpy.testing.assert_array_equal(file["train/x"][1], colour.transpose(2, 0, 1))
        numpy.testing.assert_array_equal(file["train/x"][0], numpy.full((3, 8, 6), 255))
        numpy.testing.assert_array_equal(file["test/x"][0], numpy.stack([colour[..., 0]] * 3))
        file = self.convert("images", self.folder / "set", "--size=4x3", "--channels=1")
        self.assertEqual(file["train/x"].shape, (2, 1, 4, 3))

    def test_text(self):
        lines = ["The cat sat.", "The dog sat, too!", "", "A naïve cat."]
        source = self.write("train.txt", "\n".join(lines))
        file = self.convert("text", source, "--lowercase=true")
        vocabulary = texts(file["vocabulary"][()])
        self.assertEqual(vocabulary[:4], ["<pad>", "<bos>", "<eos>", "<unk>"])
        rows = [[vocabulary[i] for i in row[:length]] for row, length in zip(file["train/x"][()], file["train/length"][()])]
        self.assertEqual(rows[1], ["<bos>", "the", "dog", "sat", ",", "too", "!", "<eos>"])
        self.assertEqual(rows[2], ["<bos>", "a", "naïve", "cat", ".", "<eos>"])
        self.assertEqual((file.attrs["kind"], file.attrs["tokens"], file["train/x"].dtype), ("tokens", "words", "u1"))
        file = self.convert("text", source, "--tokens=characters")
        vocabulary = texts(file["vocabulary"][()])
        self.assertEqual("".join(vocabulary[i] for i in file["train/x"][0][1:13]), lines[0])
        file = self.convert("text", source, "--tokens=byte_pairs", "--vocabulary=26")
        vocabulary = texts(file["vocabulary"][()])
        joined = "".join(vocabulary[i] for i in file["train/x"][1][1:file["train/length"][1] - 1])
        self.assertEqual(joined.replace("</w>", " ").split(), ["The", "dog", "sat", ",", "too", "!"])
        self.assertGreater(len(file["merges"]), 0)

    def test_smiles(self):
        train = self.write("train.csv.gz", "SMILES\nCC(=O)Oc1ccccc1C(=O)O\nC[C@@H](Br)Cl\n")
        test = self.write("test_scaffolds.csv", "SMILES,n\nC%12CC%12,1\n")
        file = self.convert("smiles", train, test)
        vocabulary = texts(file["vocabulary"][()])
        for token in ("[C@@H]", "Br", "Cl", "c"):
            self.assertIn(token, vocabulary)
        row = [vocabulary[i] for i in file["train/x"][0][1:file["train/length"][0] - 1]]
        self.assertEqual("".join(row), "CC(=O)Oc1ccccc1C(=O)O")
        self.assertEqual(list(file["test/x"][0][:6]), [1, vocabulary.index("C"), 3, vocabulary.index("C"), vocabulary.index("C"), 3])

    def test_ratings(self):
        generator = numpy.random.default_rng(7)
        pairs = sorted({(int(u), int(i)) for u, i in generator.integers(0, [60, 40], (800, 2))})
        generator.shuffle(pairs)
        rows = [(u, i, int(generator.integers(1, 6)), t) for t, (u, i) in enumerate(pairs)]
        source = self.write("a.inter", "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
                            + "".join(f"u{u}\ti{i}\t{r}\t{t}\n" for u, i, r, t in rows))
        file = self.convert("ratings", source, "--minimum_rating=3", "--leave_out=1", "--values=rating", "--test_fraction=0.2",
                            inspect=False)
        expected = {}
        for u, i, r, t in rows:
            if r >= 3:
                expected.setdefault(f"u{u}", []).append((f"i{i}", r))
        expected = {u: entries for u, entries in expected.items() if len(entries) > 1}
        users, items = texts(file["users"][()]), texts(file["items"][()])
        self.assertEqual(set(users), set(expected))
        place = 0
        for split in ("train", "test"):
            group = file[split]
            self.assertEqual(group.attrs["features"], len(items))
            for row, (first, last) in enumerate(zip(group["offsets"][:-1], group["offsets"][1:])):
                entries = expected[users[place]]
                place += 1
                self.assertEqual({(items[i], v) for i, v in zip(group["indices"][first:last], group["values"][first:last])},
                                 set(entries[:-1]))
                self.assertEqual(items[group["held_out/indices"][row]], entries[-1][0])
        self.assertEqual(place, len(users))

    def test_wav_as_log_mel(self):
        generator = numpy.random.default_rng(8)
        sounds = {f"{digit}_{name}_{n}.wav": numpy.round(generator.normal(0, 0.1, 900).clip(-1, 0.99) * 32768) / 32768
                  for digit in (0, 1) for name in ("ann", "bob") for n in (0, 1)}
        for name, samples in sounds.items():
            wav(self.folder / "set" / name, samples)
        file = self.convert("wav", self.folder / "set", "--label=name_field:1", "--test_pattern=*_0.wav", "--frame=200", "--hop=100",
                            "--mels=20", "--frames=8")
        self.assertEqual(file["train/x"].shape, (4, 8, 20))
        self.assertEqual(texts(file["test/label"].attrs["class_names"]), ["ann", "bob"])
        numpy.testing.assert_array_equal(file["test/label"][()], [0, 1, 0, 1])
        frames = numpy.stack([sounds["0_ann_1.wav"][100 * i:100 * i + 200] for i in range(8)])
        window = 0.5 - 0.5 * numpy.cos(2 * numpy.pi * numpy.arange(200) / 200)
        power = numpy.abs(numpy.fft.rfft(frames * window)) ** 2
        edges = 700 * (10 ** (numpy.linspace(0, 2595 * numpy.log10(1 + 4000 / 700), 22) / 2595) - 1)
        bins = numpy.linspace(0, 4000, 101)
        bands = [numpy.interp(bins, edges[i:i + 3], [0, 1, 0]) for i in range(20)]
        expected = numpy.log(numpy.maximum(power @ numpy.array(bands).T, 1e-5))
        numpy.testing.assert_allclose(file["train/x"][0], expected, rtol=1e-3, atol=1e-3)

    def test_wav_as_samples(self):
        samples = numpy.round(numpy.sin(numpy.arange(1000) / 7) * 20000) / 32768
        wav(self.folder / "a.wav", samples)
        file = self.convert("audio", self.folder / "a.wav", "--form=waveform", "--frame=100", "--frames=0")
        numpy.testing.assert_allclose(file["train/x"][()].flatten(), samples, atol=1e-6)
        file = self.convert("audio", self.folder / "a.wav", "--form=mu_law", "--frame=100", "--frames=5")
        bent = numpy.sign(samples) * numpy.log1p(255 * abs(samples)) / numpy.log(256)
        self.assertLessEqual(abs(file["train/x"][()].flatten() - (bent + 1) / 2 * 255).max(), 0.501)

    def test_moving_digits(self):
        words = ["moving_digits", "datasets/mnist.h5", "--n=6", "--n_test=2", "--frames=5"]
        file = self.convert(*words)
        self.assertEqual((file["train/x"].shape, file["test/x"].shape), ((6, 5, 1, 64, 64), (2, 5, 1, 64, 64)))
        self.assertGreater(file["train/x"][()].max(), 250)
        with h5py.File(ROOT / "datasets/mnist.h5") as mnist:
            known = {image.tobytes() for image in mnist["train/x"][:, 0]}
        one = self.convert(*words, "--digits=1")["train/x"][0, :, 0]
        windows = numpy.lib.stride_tricks.sliding_window_view(one, (28, 28), axis=(1, 2)).reshape(5, -1, 28, 28)
        for frame in windows:
            self.assertTrue(any(numpy.ascontiguousarray(place).tobytes() in known for place in frame))
        numpy.testing.assert_array_equal(self.convert(*words)["train/x"][()], file["train/x"][()])

    def test_sprites(self):
        file = self.convert("sprites", "--every=1500", "--seed=1")
        self.assertEqual(file["train/x"].shape, (737280 // 1500, 1, 64, 64))
        self.assertEqual(set(numpy.unique(file["train/x"][()])), {0, 255})
        self.assertEqual(texts(file["factor_names"][()]), ["shape", "scale", "orientation", "x", "y"])
        factors = file["train/factors"][()]
        place = numpy.array([[numpy.argwhere(image[0]).mean(0)[::-1]] for image in file["train/x"][()]])[:, 0] + 0.5
        ellipses = factors[:, 0] == 1
        numpy.testing.assert_allclose(place[ellipses], 12 + 40 * factors[ellipses, 3:] / 31, atol=0.7)

    def test_video(self):
        frames = numpy.random.default_rng(9).integers(0, 256, (12, 6, 8, 3)).astype("u1")
        for i, frame in enumerate(frames):
            png(self.folder / f"film/frame{i}.png", frame)
        file = self.convert("video", self.folder / "film", "--frames=4", "--stride=2")
        expected = frames.transpose(0, 3, 1, 2)
        numpy.testing.assert_array_equal(file["train/x"][()], numpy.stack([expected[i:i + 4] for i in range(0, 9, 2)]))
        self.assertEqual(file.attrs["kind"], "sequence")

    def test_piano_rolls(self):
        pieces = {"train": [[[60, 64], [], [21]], [[108]]], "valid": [[[50]]], "test": [[[51], [52]]]}
        file = self.convert("piano_rolls", self.write("a.json", json.dumps(pieces)))
        self.assertEqual(file["train/x"].shape, (2, 3, 88))
        numpy.testing.assert_array_equal(numpy.argwhere(file["train/x"][()]), [[0, 0, 39], [0, 0, 43], [0, 2, 0], [1, 0, 87]])
        self.assertEqual(set(file["train/x"][()].flat), {0, 255})  # bytes stand for 0 to 1
        numpy.testing.assert_array_equal(file["validation/length"][()], [1])

    def test_what_is_wrong_is_refused_in_one_line(self):
        (self.folder / "empty").mkdir()
        numpy.save(self.folder / "x.npy", numpy.zeros((5, 2)))
        numpy.save(self.folder / "complex.npy", numpy.zeros(5, complex))
        numpy.savez_compressed(self.folder / "x.npz", x=numpy.random.default_rng(0).random((500, 2)))
        numpy.savez(self.folder / "sparse.npz", data=numpy.ones(3), indices=numpy.arange(3), indptr=numpy.arange(4), format=b"csr",
                    shape=numpy.array([3, 3]))
        damaged = bytearray((self.folder / "x.npz").read_bytes())
        damaged[2000:2040] = bytes(40)
        (self.folder / "damaged.npz").write_bytes(damaged)
        (self.folder / "cut.npy").write_bytes((self.folder / "x.npy").read_bytes()[:150])
        png(self.folder / "broken/1.png", numpy.zeros((9, 9), "u1"))
        (self.folder / "broken/1.png").write_bytes((self.folder / "broken/1.png").read_bytes()[:50])
        wav(self.folder / "cut.wav", numpy.zeros(500))
        (self.folder / "cut.wav").write_bytes((self.folder / "cut.wav").read_bytes()[:200])
        self.write("ragged.csv", "a,b\n1,2\n3\n")
        zipped = gzip.compress(b"a,b\n" + b"1,2\n" * 90000)
        (self.folder / "cut.csv.gz").write_bytes(zipped[:len(zipped) // 2])
        self.write("good.csv", "a,b\n1,2\n")
        self.write("bad.smi", "CC\nC!\n")
        self.write("bad.inter", "user,item,rating\n1,2,x\n")
        self.write("bad.json", "{")
        self.write("good.txt", "a b c\n")
        cases = [
            (["csv", "none.csv"], "no such file"), (["csv", "ragged.csv"], "ragged.csv, line 3"), (["csv", "cut.csv.gz"], "cut short"),
            (["csv", "good.csv", "--lable=a"], "--lable: no such option; did you mean label"),
            (["csv", "good.csv", "--mels=4"], "--mels: no such option"), (["csv", "good.csv", "--window=x"], "--window=x: expected"),
            (["csv", "good.csv", "--label=c"], "no such column"), (["csf", "good.csv"], "did you mean csv"),
            (["csv"], "expected a format and its files"), (["npy", "cut.npy"], "cut short"), (["npy", "complex.npy"], "type '<c16'"),
            (["npy", "good.csv"], "not a NumPy array"), (["npz", "damaged.npz"], "damaged"), (["npz", "x.npy"], "not a zip archive"),
            (["npz", "x.npz", "--x=y"], "has no array y"), (["npz", "sparse.npz"], "is a sparse matrix of SciPy; expected arrays"), (["images", "broken"], "1.png: is damaged"), (["images", "empty"], "no images"),
            (["images", "none"], "is not a folder"), (["text", "none.txt"], "no such file"), (["text", "cut.wav"], "not UTF-8"),
            (["text", "good.txt", "--length=1"], "--length=1"), (["smiles", "bad.smi"], "bad.smi, line 2"),
            (["ratings", "bad.inter"], "line 2: the rating is 'x'"), (["wav", "cut.wav"], "cut short"), (["flac", "good.csv"], "not a sound file"),
            (["audio", "empty"], "no sound files"), (["piano_rolls", "bad.json"], "is not JSON"), (["video", "empty"], "no images"),
            (["moving_digits", "good.csv"], "is a table of comma-separated values; elbo convert csv"), (["sprites", "--every=0"], "--every=0: expected"),
            (["npy", "x.npy", "--validation_fraction=0.6", "--test_fraction=0.6"], "too little for training"),
            (["idx", "good.csv"], "is not an IDX file"),
        ]
        before = set(self.folder.rglob("*"))
        for (name, *words), message in cases:
            given = [word if word.startswith("--") else self.folder / word for word in words]
            result = run(0, "convert", name, *given, f"--out={self.folder / 'new/out.h5'}")
            lines = result.stderr.splitlines()
            self.assertEqual((result.returncode, len(lines)), (2, 1), f"{name} {words}: {result.stderr}")
            self.assertIn(message, lines[0])
            self.assertEqual({path for path in self.folder.rglob("*") if path.is_file()}, {path for path in before if path.is_file()})

    def test_an_existing_file_stays(self):
        source, out = self.write("a.csv", "a,b\n1,2\n"), self.write("out.h5", "precious")
        self.assertEqual(run(0, "convert", "csv", source, f"--out={out}").returncode, 2)
        self.assertEqual(out.read_text(), "precious")

    def test_an_interruption_leaves_nothing(self):
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR2):
            process = start(0, "convert", "sprites", f"--out={self.folder / 'sprites.h5'}")
            end = time.monotonic() + 60
            while not list(self.folder.glob("sprites.h5.partial-*")) and time.monotonic() < end:
                time.sleep(0.05)
            time.sleep(0.3)
            process.send_signal(number)
            process.communicate(timeout=300)
            self.assertEqual(process.returncode, -number)
            self.assertEqual(list(self.folder.iterdir()), [])

    def test_a_hangup_that_the_process_ignores_ends_nothing(self):
        out = self.folder / "digits.h5"
        process = subprocess.Popen(command(0, "convert", "sprites", "--every=16", f"--out={out}"), stdout=subprocess.DEVNULL,
                                   stderr=subprocess.DEVNULL, preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        while process.poll() is None:
            process.send_signal(signal.SIGHUP)
            time.sleep(0.02)
        self.assertEqual(process.returncode, 0)
        self.succeed(0, "inspect", out)


if __name__ == "__main__":
    unittest.main()
