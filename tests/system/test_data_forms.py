#!/usr/bin/env python3
"""The same rows in every file layout give one fingerprint, on any number of ranks."""
import json
import os
import re
import subprocess
import unittest

import h5py
import numpy

from program import ENVIRONMENT, ProgramTest, run

try:
    import hdf5plugin
except ImportError:
    hdf5plugin = None

ROWS, SHAPE = 211, (1, 9, 7)  # a prime number of rows
SHORT = "--train.steps=20", "--train.batch=30", "--train.microbatch=10"

FORMS = {
    "contiguous": {},
    "chunked": {"chunks": (16, *SHAPE)},
    "chunked in parts of rows": {"chunks": (10, 1, 4, 3)},
    "one chunk": {"chunks": (ROWS, *SHAPE)},
    "big-endian": {"dtype": ">f4", "chunks": (16, *SHAPE)},
    "float64": {"dtype": "<f8"},
    "float16": {"dtype": "<f2", "chunks": (16, *SHAPE)},
    "gzip": {"chunks": (16, *SHAPE), "compression": "gzip"},
    "gzip, shuffle, Fletcher-32": {"chunks": (16, *SHAPE), "compression": "gzip", "shuffle": True, "fletcher32": True},
    "lzf": {"chunks": (16, *SHAPE), "compression": "lzf", "shuffle": True},
    "scale-offset": {"chunks": (16, *SHAPE), "scaleoffset": 9},
    "extendible": {"chunks": (16, *SHAPE), "maxshape": (None, *SHAPE)},
    "extendible in every direction": {"chunks": (16, *SHAPE), "maxshape": (None, None, None, None)},
}


class DataForms(ProgramTest):
    def write(self, name, libver, form):
        path = self.folder / f"{name}.h5"
        values = numpy.random.default_rng(1).integers(0, 257, (ROWS, *SHAPE)) / 256  # exact in every type
        with h5py.File(path, "w", libver=libver) as file:
            file.attrs["kind"] = "image"
            options = {"dtype": "<f4", **form}
            file.create_dataset("train/x", data=values.astype(options["dtype"]), **options)
            file["train/label"] = numpy.arange(ROWS) % 5
        return path

    def test_one_fingerprint(self):
        seen = {}
        for libver in ("earliest", "latest"):
            for number, (form, options) in enumerate(FORMS.items()):
                if "scaleoffset" in options:  # rounds what it stores
                    continue
                path = self.write(f"{libver}{number}", libver, options)
                ranks = (0, 2, 3)[number % 3]
                seen[libver, form] = self.train(ranks, f"run_{libver}{number}", "--train.steps=200", "--train.batch=30",
                                                "--train.microbatch=10", config=path)
        self.assertEqual(len(set(seen.values())), 1, seen)

    def test_many_files_are_one_data_set(self):
        whole = self.write("whole", "latest", FORMS["chunked"])
        arguments = "--train.steps=200", "--train.batch=30", "--train.microbatch=10"
        expected = self.train(0, "whole_run", *arguments, config=whole)
        with h5py.File(whole) as file:
            x, label = file["train/x"][()], file["train/label"][()]
        for number, (first, end) in enumerate(((0, 100), (100, 103), (103, ROWS))):
            with h5py.File(self.folder / f"part{number}.h5", "w") as file:
                file.attrs["kind"] = "image"
                file.create_dataset("train/x", data=x[first:end], chunks=(min(16, end - first), *SHAPE) if number != 1 else None)
                file["train/label"] = label[first:end]
        for ranks in (0, 2, 3):
            self.assertEqual(self.train(ranks, f"parts{ranks}", *arguments, config=self.folder / "part*.h5"), expected)
        told = run(0, "train", self.folder / "part0.h5", self.folder / "part0.h5")
        self.assertEqual(told.returncode, 2)
        self.assertIn("twice", told.stderr)

    def test_files_of_pytables(self):
        path = "tests/system/pytables.h5"  # (20, 6), 0 to 119: deflated by rows, in one chunk, and with a special filter
        plain = self.folder / "plain.h5"
        with h5py.File(plain, "w") as file:
            rows = numpy.arange(120, dtype="f4").reshape(20, 6)
            file["train/x"], file["validation/x"] = rows, rows[:5]
        arguments = "--train.steps=3", "--train.batch=10", "--train.microbatch=5"
        expected = self.train(0, "plain", *arguments, config=plain)
        self.assertEqual(self.train(2, "tables", *arguments, config=path), expected)
        with h5py.File(plain, "w") as file:
            file["train/x"] = numpy.zeros((200, 6), "f4")  # what its group blosc holds
            file["validation/x"] = rows[:5]
        expected = self.train(0, "zeros", *arguments, config=plain)
        self.assertEqual(self.train(2, "blosc", *arguments, "--data.train=blosc", config=path), expected)

    def test_a_filter_that_is_not_there_is_named(self):
        path = self.folder / "filtered.h5"
        with h5py.File(path, "w") as file:
            properties = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
            properties.set_chunk((20, 6))
            properties.set_filter(32999, h5py.h5z.FLAG_OPTIONAL, (1,))  # of nobody
            group = file.create_group("train")
            x = h5py.h5d.create(group.id, b"x", h5py.h5t.IEEE_F32LE, h5py.h5s.create_simple((20, 6)), properties)
            x.write_direct_chunk((0, 0), bytes(480))
        refused = run(2, "train", path, f"--run.directory={self.folder / 'none'}")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("filter 32999", refused.stderr)
        self.assertIn("h5repack", refused.stderr)

    @unittest.skipUnless(hdf5plugin, "needs the Python package hdf5plugin")
    def test_filters_of_plugins(self):
        expected = self.train(0, "whole_run", *SHORT, config=self.write("whole", "earliest", FORMS["chunked"]))
        bitshuffle = hdf5plugin.Bitshuffle
        codecs = [hdf5plugin.Zstd(), hdf5plugin.LZ4(), *(bitshuffle(cname=name) for name in ("none", "lz4", "zstd")),
                  bitshuffle(nelems=64, cname="lz4"), *(hdf5plugin.Blosc(cname=name, shuffle=mode) for name in ("lz4", "zstd", "blosclz", "zlib")
                    for mode in (hdf5plugin.Blosc.SHUFFLE, hdf5plugin.Blosc.BITSHUFFLE))]
        # Debian's plugins are fewer than PyPI's; tests/hdf5/codecs_test.cpp has all.
        codecs = [codec for codec in codecs if h5py.h5z.filter_avail(dict(codec)["compression"])]
        self.assertGreater(len(codecs), 0)
        for number, codec in enumerate(codecs):
            with self.subTest(codec=dict(codec)):
                path = self.write(f"codec{number}", ("earliest", "latest")[number % 2],
                                  {"chunks": (16, *SHAPE), "dtype": ("<f4", "<f8")[number % 2], **codec})
                self.assertIn("read       directly", self.succeed(0, "inspect", path).stdout)
                self.assertEqual(self.train((0, 2)[number % 2], f"codec_run{number}", *SHORT, config=path), expected)

    def split_in_three(self, whole, target):
        """A virtual data set of three files, with the rows and labels of `whole`."""
        with h5py.File(whole) as file:
            x, label = file["train/x"][()], file["train/label"][()]
        rows, labels = h5py.VirtualLayout(x.shape, x.dtype), h5py.VirtualLayout(label.shape, label.dtype)
        for number, (first, end) in enumerate(((0, 100), (100, 103), (103, ROWS))):
            name = f"source{number}.h5"
            with h5py.File(self.folder / name, "w") as file:
                file.create_dataset("x", data=x[first:end], chunks=(3, *SHAPE) if number else None)
                file["label"] = label[first:end]
            rows[first:end] = h5py.VirtualSource(name, "x", (end - first, *SHAPE))
            labels[first:end] = h5py.VirtualSource(name, "label", (end - first,))
        with h5py.File(target, "w", libver="latest") as file:
            file.attrs["kind"] = "image"
            file.create_virtual_dataset("train/x", rows)
            file.create_virtual_dataset("train/label", labels)

    def test_rows_of_other_files(self):
        whole = self.write("whole", "latest", FORMS["contiguous"])
        expected = self.train(0, "whole_run", *SHORT, config=whole)
        with h5py.File(self.folder / "links.h5", "w") as file:
            file.attrs["kind"] = "image"
            file["decoy"] = numpy.full((4 * ROWS, *SHAPE), -1, "f4")  # other numbers at the same addresses
            file["train/x"] = h5py.ExternalLink("whole.h5", "/train/x")
            file["train/label"] = h5py.SoftLink("/labels")
            file["labels"] = h5py.ExternalLink("whole.h5", "/train/label")
        with h5py.File(self.folder / "group.h5", "w") as file:
            file.attrs["kind"] = "image"
            file["train"] = h5py.ExternalLink("whole.h5", "/train")
        self.split_in_three(whole, self.folder / "virtual.h5")
        with h5py.File(whole) as file:
            x, label = file["train/x"][()], file["train/label"][()]
        rows = h5py.VirtualLayout(x.shape, x.dtype)
        for part, name in enumerate(("even.h5", "odd.h5")):
            with h5py.File(self.folder / name, "w") as file:
                file["x"] = x[part::2]
            rows[part::2] = h5py.VirtualSource(name, "x", x[part::2].shape)
        with h5py.File(self.folder / "woven.h5", "w", libver="latest") as file:
            file.attrs["kind"] = "image"
            file.create_virtual_dataset("train/x", rows)
            file["train/label"] = label
        for ranks, name in ((0, "links"), (2, "group"), (3, "virtual"), (2, "woven")):
            with self.subTest(name):
                self.assertEqual(self.train(ranks, f"{name}_run", *SHORT, config=self.folder / f"{name}.h5"), expected)

    def test_a_missing_source_and_rows_of_none(self):
        self.split_in_three(self.write("whole", "latest", FORMS["chunked"]), self.folder / "virtual.h5")
        (self.folder / "source1.h5").rename(self.folder / "moved.h5")
        for ranks in (0, 2):
            refused = run(ranks, "train", self.folder / "virtual.h5", f"--run.directory={self.folder / 'none'}")
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn("rows 100 to 102 comes from source1.h5: no such file", refused.stderr)
        with h5py.File(self.folder / "holes.h5", "w") as file:
            file.attrs["kind"] = "image"
            x = file.create_dataset("train/x", (ROWS, *SHAPE), "f4", chunks=(16, *SHAPE), fillvalue=0.5)
            x[:100] = 0.25
            file.create_dataset("train/label", (ROWS,), "i4")
        trained = self.succeed(2, "train", self.folder / "holes.h5", *SHORT, f"--run.directory={self.folder / 'holes'}")
        inspected = self.succeed(0, "inspect", self.folder / "holes.h5").stdout
        for text in (trained.stderr, inspected):
            self.assertIn("/train/x: 99 of 211 rows were never written, whole or in part (the first: rows 112 to 210), "
                          "and read as the fill value 0.5", text)
            self.assertIn("/train/label: 211 of 211 rows were never written", text)

    def test_more_files_than_the_soft_limit(self):
        rows, count = h5py.VirtualLayout((600, 6), "f4"), 300
        for number in range(count):
            with h5py.File(self.folder / f"s{number:03}.h5", "w") as file:
                file["train/x"] = numpy.random.default_rng(number).normal(5, 1, (2, 6)).astype("f4")
            rows[2 * number:2 * number + 2] = h5py.VirtualSource(f"s{number:03}.h5", "train/x", (2, 6))
        with h5py.File(self.folder / "all.h5", "w", libver="latest") as file:
            file.create_virtual_dataset("train/x", rows)
        limited = {which: ("sh", "-c", f'ulimit {which} 200; exec "$@"', "sh") for which in ("-Sn", "-n")}
        arguments = "--train.steps=10", "--train.batch=30", "--train.microbatch=10"
        lines = {self.succeed(0, "train", self.folder / name, *arguments, f"--run.directory={self.folder / f'limited{number}'}",
                              wrapper=limited["-Sn"]).stdout.splitlines()[-1] for number, name in enumerate(("s*.h5", "all.h5"))}
        self.assertEqual(len(lines), 1)
        for name in ("s*.h5", "all.h5"):
            refused = run(0, "train", self.folder / name, f"--run.directory={self.folder / 'none'}", wrapper=limited["-n"])
            self.assertEqual(refused.returncode, 2, refused.stderr)
            self.assertIn("ulimit -n", refused.stderr)

    def test_a_user_block_of_any_size_precedes_the_file(self):
        for size in (512, 4096):
            path = self.folder / f"matlab{size}.mat"
            with h5py.File(path, "w", userblock_size=size) as file:
                file.create_dataset("train/x", data=numpy.random.default_rng(1).normal(size=(100, 6)), chunks=(10, 6))
            with open(path, "r+b") as file:
                file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + bytes(8) + b"\x00\x02IM")
            self.succeed(0, "train", path, "--train.steps=2", f"--run.directory={self.folder / f'run{size}'}")

    def test_staged_copies_train_the_same_and_are_used_again(self):
        path = self.write("source", "latest", FORMS["gzip"])
        arguments = "--train.steps=5", "--train.batch=30", "--train.microbatch=10"
        stage = self.folder / "stage"
        told = self.run_and_fail_to_stage(path, stage)
        self.assertIn(f"data.stage={stage}: is not a folder on {os.uname().nodename}", told)
        self.assertIn("the variable NOT_SET is not set on", self.run_and_fail_to_stage(path, "$NOT_SET/x"))
        stage.mkdir()
        staged = f"--data.stage={stage}"
        self.succeed(2, "train", path, "--check", staged, f"--run.directory={self.folder / 'checked'}")
        self.assertEqual(list(stage.iterdir()), [], "a check copies nothing")
        expected = self.train(0, "plain", *arguments, config=path)
        self.assertEqual(self.train(2, "first", *arguments, staged, config=path), expected)
        copy, = stage.iterdir()
        self.assertEqual(copy.read_bytes(), path.read_bytes())
        before = copy.stat().st_ino
        self.addCleanup(ENVIRONMENT.pop, "STAGE")
        ENVIRONMENT["STAGE"] = str(self.folder)
        self.assertEqual(self.train(2, "second", *arguments, "--data.stage=$STAGE/stage", config=path), expected)
        self.assertEqual([one.stat().st_ino for one in stage.iterdir()], [before])
        copy.rename(f"{copy}.partial-4194304")  # like one of a killed process; process ids are smaller than this
        self.assertEqual(self.train(2, "third", *arguments, staged, config=path), expected)
        self.assertEqual(list(stage.iterdir()), [copy])

    def run_and_fail_to_stage(self, path, stage):
        result = run(2, "train", path, f"--data.stage={stage}", f"--run.directory={self.folder / 'none'}")
        self.assertEqual(result.returncode, 2)
        return result.stderr

    def test_data_alone_decide_the_settings_and_the_printed_ones_train_the_same(self):
        image = self.write("image", "latest", {})
        table = self.folder / "table.h5"
        with h5py.File(table, "w") as file:
            file["train/x"] = numpy.random.default_rng(1).normal(5, 2, (300, 6)).astype("f4")
        for data, expected in ((image, "likelihood = bernoulli"), (table, "likelihood = gaussian")):
            arguments = "--train.steps=5", f"--run.directory={self.folder / data.stem}"
            told = self.succeed(0, "train", data, *arguments, "--model.latent=3").stdout
            self.assertIn(expected, told)
            self.assertNotIn("latent =", told)  # it was given
            kept = self.folder / f"{data.stem}.ini"
            kept.write_text(told[:told.index("fingerprint")])
            again = self.train(2, f"{data.stem}_again", "--train.steps=5", "--model.latent=3", config=kept)
            self.assertEqual(again, told.splitlines()[-1])

    def test_a_table_of_zeros_and_ones_has_a_bernoulli_likelihood(self):
        path = self.folder / "binary.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = (numpy.random.default_rng(1).random((301, 16)) < 0.2).astype("f4")
        seen = {self.train(ranks, f"binary{ranks}", "--model.likelihood=bernoulli", "--train.steps=20", config=path)
                for ranks in (0, 2, 3)}
        self.assertEqual(len(seen), 1, seen)
        told = self.succeed(0, "train", path, "--model.likelihood=bernoulli", "--train.steps=1", "--check").stdout
        self.assertNotIn("likelihood_", told, "options of the Gaussian, which have no effect")
        result = json.loads(self.evaluation(self.folder / "binary0"))
        self.assertGreater(result["bits_per_dim"], 0)
        self.assertIsNone(result["psnr"])

    def evaluation(self, directory):
        self.succeed(0, "evaluate", directory, "--importance_samples=10")
        return (directory / "evaluation.json").read_text()

    def test_padding_that_a_variant_takes_for_data_is_told(self):
        path = self.folder / "ragged.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = numpy.random.default_rng(1).normal(0, 1, (64, 6, 2)).astype("f4")
            file["train/length"] = numpy.full(64, 4)
        for name, told in (("vae", 1), ("vrnn", 0)):
            result = self.succeed(2, "train", path, f"--model.name={name}", "--train.steps=1", "--train.batch=8",
                                  f"--run.directory={self.folder / name}")
            self.assertEqual(result.stderr.count("rows have a length"), told, result.stderr)

    def test_cores_and_ranks_without_a_microbatch_are_told(self):
        path = self.write("image", "latest", {})
        for ranks, threads, told in ((0, 2, ""), (0, 8, "6 of 8 cores have nothing to compute: "), (2, 3, "4 of 6 cores"),
                                     (3, 1, "warning: 1 of 3 ranks have nothing to compute: ")):
            result = self.succeed(ranks, "train", path, "--train.steps=1", "--train.batch=30", "--train.microbatch=15",
                                  f"--train.threads={threads}", f"--run.directory={self.folder / f'{ranks}_{threads}'}")
            self.assertEqual(result.stderr.count("nothing to compute"), 1 if told else 0, result.stderr)
            self.assertIn(told, result.stderr)

    def test_inspect_says_how_each_is_read(self):
        library = {"scale-offset": "filter"}
        for libver in ("earliest", "latest"):
            for number, (form, options) in enumerate(FORMS.items()):
                told = self.succeed(0, "inspect", self.write(f"{libver}{number}", libver, options)).stdout
                way = next(line.split(None, 1)[1] for line in told.splitlines() if line.startswith("  read  "))
                if form in library:
                    self.assertIn("through the HDF5 library", way, form)
                    self.assertIn(library[form], way)
                else:
                    self.assertEqual(way, "directly", form)

    def test_the_line_that_inspect_advises_makes_a_file_that_is_read_directly(self):
        for name, form in {"parts": {"chunks": (10, 1, 4, 3)}, "filter": {"chunks": (16, *SHAPE), "dtype": "<i4", "scaleoffset": 9}}.items():
            path = self.write(name, "earliest", form)
            told = self.succeed(0, "inspect", path).stdout
            line = re.search("h5repack .*", told).group()
            subprocess.run(line, shell=True, check=True)
            repacked = self.folder / f"{name}_repacked.h5"
            self.assertIn("advice     none", self.succeed(0, "inspect", repacked).stdout)
            with h5py.File(path) as before, h5py.File(repacked) as after:
                numpy.testing.assert_array_equal(before["train/x"], after["train/x"])

    def test_inspect_counts_values_that_are_not_finite_in_any_file(self):
        path = self.folder / "other.h5"
        with h5py.File(path, "w") as file:
            file["deep/inside/numbers"] = numpy.array([[1, numpy.nan], [-3, 7]])
            file["text"] = "words"
        told = self.succeed(0, "inspect", path).stdout
        self.assertIn("/deep/inside/numbers", told)
        self.assertIn("-3 to 7", told)
        self.assertIn("1 of 4 values are missing (25 %), all in column 1 (50 %)", told)

    def test_rows_that_lie_elsewhere_are_read_or_refused_with_the_reason(self):
        source = self.write("source", "latest", {})
        path = self.folder / "virtual.h5"
        with h5py.File(path, "w", libver="latest") as file:
            layout = h5py.VirtualLayout((ROWS, *SHAPE), dtype="<f4")
            layout[:] = h5py.VirtualSource(source, "train/x", (ROWS, *SHAPE))
            file.create_virtual_dataset("train/x", layout)
            file.attrs["kind"] = "image"
        self.assertIn("virtual", self.succeed(0, "inspect", path).stdout)
        settings = ("--train.steps=3", "--train.batch=30", "--train.microbatch=10")
        self.assertEqual(self.train(2, "a", *settings, config=path), self.train(0, "b", *settings, config=source))

    def test_damage_is_told_with_file_dataset_and_rows_or_does_no_harm(self):
        path = self.write("whole", "latest", {"chunks": (16, *SHAPE), "compression": "gzip", "fletcher32": True})
        content = path.read_bytes()
        dice = numpy.random.default_rng(2)
        damaged = self.folder / "damaged.h5"
        told = 0
        for turn in range(60):
            if turn % 3 == 0:
                damaged.write_bytes(content[:dice.integers(1, len(content))])
            else:
                changed = bytearray(content)
                for place in dice.integers(0, len(content), 1 + turn % 5):
                    changed[place] ^= 1 << int(dice.integers(0, 8))
                damaged.write_bytes(changed)
            result = run(0, "verify", damaged, seconds=100)
            self.assertIn(result.returncode, (0, 1, 2), f"turn {turn}: {result.stderr}")
            if result.returncode != 0:
                told += 1
                errors = result.stderr.splitlines()
                self.assertEqual(len(errors), 1, f"turn {turn}: {result.stderr}")
                self.assertIn("damaged.h5", errors[0])
        self.assertGreater(told, 20)


if __name__ == "__main__":
    unittest.main()
