#!/usr/bin/env python3
"""Every invalid input gives one clear line and the right exit code, overwrites nothing and leaves no process."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
import unittest

import h5py
import numpy

from program import ROOT, ProgramTest, processes_left, run, start

DATA = "datasets/mnist.h5"


class BadInput(ProgramTest):
    def refuse(self, words, expected, code=2, worlds=(0, 3), **options):
        """Runs with one and with three ranks; `expected` are parts of the error line."""
        before = self.contents()
        for ranks in worlds:
            with self.subTest(ranks=ranks, words=words):
                result = run(ranks, *words, **options)
                errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
                self.assertEqual(len(errors), 1, result.stderr)
                self.assertEqual(result.returncode, code, result.stderr)
                for part in expected:
                    self.assertIn(part, errors[0])
                self.assertEqual(processes_left(str(self.folder)), [], "a rank was left behind")
        self.assertEqual(self.contents(), before)

    def contents(self):
        return {str(path): path.read_bytes() if path.is_file() else None for path in self.folder.rglob("*")}

    def train(self, *settings, config="configs/mnist_vae.ini"):
        return ["train", config, f"--run.directory={self.folder / 'run'}", "--train.steps=3", *settings]

    def file(self, name, **datasets):
        """A data set with the given arrays, train/x and the like, as double underscores."""
        path = self.folder / name
        with h5py.File(path, "w") as file:
            for key, value in datasets.items():
                file[key.replace("__", "/")] = value
        return path

    def refuse_data(self, path, expected, **options):
        self.refuse(self.train(f"--data.path={path}"), [str(path), *expected], **options)

    # ---- options ----

    def test_misspelt_key(self):
        self.refuse(self.train("--trian.batch=64"), ["trian.batch", "did you mean train.batch?"])

    def test_unknown_key_in_the_file(self):
        config = self.folder / "bad.ini"
        config.write_text("[data]\npath = datasets/mnist.h5\n[model]\nlatnet = 3\n")
        self.refuse(self.train(config=config), ["bad.ini", "model.latnet", "model.latent"])

    def test_value_out_of_range(self):
        self.refuse(self.train("--train.batch=0"), ["train.batch=0", "from 1 to"])
        self.refuse(self.train("--optimizer.lr=fast"), ["optimizer.lr=fast", "number"])
        self.refuse(self.train("--train.microbatch=100"), ["train.microbatch=100", "divisor of train.batch=128"])
        self.refuse(self.train("--model.name=vea"), ["vea"])

        self.refuse(self.train("--evaluate.every=2.5"), ["evaluate.every=2.5", "whole number"])
        self.refuse(self.train("--train.batch=1000000000"), ["train.batch=1000000000"])
        self.refuse(self.train("--run.name=a#b"), ["INI"])

    def test_a_key_is_found_by_its_last_part(self):
        self.refuse(self.train("--lr=1"), ["did you mean optimizer.lr?"])
        self.refuse(self.train("--train.lr=1"), ["did you mean optimizer.lr?"])

    def test_a_network_that_no_machine_holds(self):
        self.refuse(self.train("--network.hidden=99999999"), ["network.hidden"])
        self.refuse(self.train("--model.latent=9000000000000000000"), ["model.latent"])

    def test_unknown_command_and_missing_words(self):
        self.refuse(["trian", "x"], ["trian", "did you mean train?"])
        self.refuse([], ["--help"])
        self.refuse(["train"], ["CONFIG.ini"])
        self.refuse(["evaluate"], ["folder of a run"])

    # ---- files ----

    def test_missing_file_and_folder_for_a_file(self):
        self.refuse(self.train(config=self.folder / "none.ini"), ["none.ini", "no such file"])
        self.refuse(self.train(config=self.folder), ["is a folder"])
        self.refuse_data(self.folder / "none.h5", ["no such file"])
        self.refuse_data(self.folder, ["is a folder"])

    def test_not_hdf5_and_truncated_hdf5(self):
        text = self.folder / "text.h5"
        text.write_text("no HDF5 at all\n" * 100)
        self.refuse_data(text, ["is not an HDF5 file"])
        cut = self.folder / "cut.h5"
        cut.write_bytes((pathlib.Path(__file__).resolve().parents[2] / DATA).read_bytes()[:3_000_000])
        self.refuse_data(cut, ["truncated"])

    def test_links_that_lead_nowhere(self):
        x = numpy.zeros((20, 3), "f4")
        for name, link, expected in (
                ("file", h5py.ExternalLink("gone.h5", "/rows"), ["/rows of gone.h5: no such file", "HDF5_EXT_PREFIX"]),
                ("object", h5py.ExternalLink("other.h5", "/rows"), ["/rows of", "other.h5, which has no such object"]),
                ("soft", h5py.SoftLink("/nothing"), ["/nothing, which does not exist"])):
            self.file("other.h5", x=x)
            path = self.file(f"{name}.h5", decoy=x)
            with h5py.File(path, "a") as file:
                file["train/x"] = link
            self.refuse_data(path, ["/train/x is a link to", *expected])
            for place in ("train/label", "validation"):
                with h5py.File(path, "w") as file:
                    file["train/x"], file[place] = x, link
                self.refuse_data(path, [f"/{place} is a link to", *expected], worlds=(0,))

    def test_inspect_prints_each_object_once(self):
        path = self.file("loops.h5", group__rows=numpy.ones((20, 3), "f4"))
        with h5py.File(path, "a") as file:
            file["group/itself"], file["group/up"], file["again"] = file["group"], h5py.SoftLink("/"), file["group/rows"]
            file["gone"] = h5py.ExternalLink("gone.h5", "/")
        result = run(0, "inspect", path, seconds=100)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout.count("(20, 3)"), 1, result.stdout)
        self.assertIn("/gone\n  BROKEN", result.stdout)

    def test_files_that_are_open_or_were_not_closed(self):
        path = self.folder / "open.h5"
        with h5py.File(path, "w") as file:
            file["train/x"] = numpy.zeros((20, 3), "f4")
            file.flush()
            self.refuse_data(path, ["another program has it open for writing"])
        with h5py.File(path, "r+"):
            self.refuse_data(path, ["another program has it open for writing"], worlds=(0,))
        killed = self.folder / "killed.h5"
        subprocess.run([sys.executable, "-c", f"""
import h5py, numpy, os
file = h5py.File({str(killed)!r}, "w", libver="latest")
file["train/x"] = numpy.zeros((20, 3), "f4")
file.flush()
os._exit(0)"""], check=True)
        self.refuse_data(killed, ["was not closed by the program that writes it", "h5clear --status"])
        subprocess.run(["h5clear", "--status", killed], check=True)
        result = run(0, "inspect", killed)
        self.assertEqual(result.returncode, 0, result.stderr)
        (self.folder / "empty.h5").touch()
        self.refuse_data(self.folder / "empty.h5", ["is empty"], worlds=(0,))

    def test_a_file_of_a_newer_hdf5(self):
        path = self.folder / "newer.h5"
        with h5py.File(path, "w") as file:
            file.create_dataset("train/x", data=numpy.zeros((20, 3), "f4"), chunks=(5, 3))
        content = bytearray(path.read_bytes())
        message = content.index(b"\x08\x00", content.index(b"TREE"))  # the layout: type 8, size, flags, version 3, chunked
        while content[message + 8:message + 10] != b"\x03\x02":
            message = content.index(b"\x08\x00", message + 1)
        content[message + 8] = 9
        path.write_bytes(content)
        self.refuse_data(path, ["/train/x: was written by a newer HDF5 than", "h5repack", "libver"])

    def test_datasets_missing_empty_or_of_another_shape_or_type(self):
        x = numpy.zeros((20, 3), "f4")
        self.refuse_data(self.file("a.h5", rows=x, more=x), ["/rows", "data.x"])
        self.refuse_data(self.file("b.h5", train__y=x), ["/train", "data.x"])
        self.refuse_data(self.file("c.h5", train__x=x[:0]), ["/train/x", "empty"])
        self.refuse_data(self.file("d.h5", train__x=x[:, 0]), ["/train/x", "dimensions"])
        self.refuse_data(self.file("e.h5", train__x=numpy.full((20, 3), b"text")), ["/train/x", "expected numbers"])
        self.refuse_data(self.file("f.h5", test__x=x), ["no train split"])

    def test_values_that_are_no_data(self):
        for value in (numpy.nan, numpy.inf):
            x = numpy.zeros((20, 3), "f4")
            x[11, 1] = value
            path = self.file(f"{value}.h5", train__x=x)
            self.refuse(self.train("--model.likelihood=auto", "--data.normalize=none", f"--data.path={path}"),
                        [str(path), "/train/x", "row 11", "not finite"])

    def test_values_that_the_likelihood_does_not_take(self):
        rows = numpy.random.default_rng(1).normal(size=(50, 6)).astype("f4")
        rows[:7] = numpy.abs(rows[:7])
        negative = self.file("negative.h5", train__x=rows)
        first = int(numpy.argmax((rows < 0).any(1)))
        self.refuse(["train", negative, "--model.likelihood=multinomial", f"--run.directory={self.folder / 'run'}"],
                    ["negative.h5", f"row {first} of /train/x has a value below 0", "model.likelihood=multinomial", "gaussian"])
        self.refuse(["train", negative, "--model.likelihood=bernoulli", f"--run.directory={self.folder / 'run'}"],
                    ["negative.h5", "of /train/x has a value outside of [0, 1]", "model.likelihood=bernoulli"])

    def test_settings_without_effect(self):
        self.refuse(self.train("--train.epochs=3"), ["--train.steps=3", "train.epochs=3", "one of them"])
        self.refuse(self.train("--optimizer.schedule=step"), ["optimizer.schedule=step", "optimizer.schedule_steps"])
        self.refuse(self.train("--optimizer.min_lr=1e-5"), ["optimizer.min_lr=1e-05", "cosine"])
        self.refuse(self.train("--data.validation_fraction=0.001"), ["data.validation_fraction=0.001", "0.01"])

    def test_labels_out_of_range(self):
        x, label = numpy.zeros((20, 3), "f4"), numpy.arange(20) % 4
        for name, value in (("negative", -1), ("huge", 4000)):
            bad = label.copy()
            bad[5] = value
            path = self.file(f"{name}.h5", train__x=x, train__label=bad)
            self.refuse(self.train("--model.name=cvae", f"--data.path={path}"), [str(path), "/train/label", f"label {value}"])

    # ---- runs ----

    def make_run(self, *settings):
        result = run(0, *self.train("--evaluate.every=never", *settings))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_a_folder_that_holds_a_run(self):
        self.make_run()
        self.refuse(self.train(), ["holds a run already", "--resume"])

    def test_a_check_finds_what_training_would_and_writes_nothing(self):
        self.refuse(self.train("--check", "--train.microbatch=100"), ["train.microbatch=100", "divisor of train.batch=128"])
        for ranks in (0, 3):
            result = run(ranks, *self.train("--check"))
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout.count(f"begins in {self.folder / 'run'}"), 1, result.stdout)
        self.assertEqual(self.contents(), {})
        self.make_run()
        self.refuse(self.train("--check"), ["holds a run already", "--resume"])
        before = self.contents()
        result = run(2, *self.train("--check", "--resume", "--train.steps=9"))
        self.assertIn(f"continues after step 3 in {self.folder / 'run'}", result.stdout)
        self.assertEqual(self.contents(), before)

    def test_what_a_run_does_not_have(self):
        self.make_run("--model.name=autoencoder")
        run_folder, data, out = self.folder / "run", ROOT / "datasets/mnist.h5", self.folder / "out"
        self.refuse(["traverse", run_folder, f"--out={out}.png", "--dimensions=0,900"], ["'900'", "latent dimensions", "expected 0 …"], worlds=(0,))
        self.refuse(["traverse", run_folder, f"--out={out}.png", "--row=10000"], ["--row=10000", "expected 0 … 9999"], worlds=(0,))
        self.refuse(["score", run_folder, data, f"--out={out}.h5", "--importance_samples=5"],
                    ["--importance_samples=5", "autoencoder has no density"], worlds=(0,))
        self.refuse(["evaluate", run_folder, "--importance_samples=5"],
                    ["--importance_samples=5", "autoencoder has no density"], worlds=(0,))
        self.refuse(["export", run_folder, f"--out={out}.pt"], [f"{out}.pt", "ends in .safetensors"], worlds=(0,))

    def test_a_folder_that_holds_somebody_elses_metrics(self):
        (self.folder / "run").mkdir()
        (self.folder / "run" / "metrics.jsonl").write_text("precious")
        self.refuse(self.train(), ["metrics.jsonl"])

    def test_resuming_another_experiment(self):
        self.make_run()
        self.refuse(self.train("--resume", "--optimizer.lr=0.1"), ["optimizer.lr=0.1", "0.001"])
        other = self.file("other.h5", train__x=numpy.zeros((200, 1, 28, 28), "u1"))
        self.refuse(self.train("--resume", f"--data.path={other}"), ["is not the data set", "run.allow_data_change"])
        result = run(0, *self.train("--resume", f"--data.path={other}", "--run.allow_data_change=true", "--train.steps=4"))
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertIn("is not the data set", result.stderr)

    def test_an_inconsistent_chunk_index(self):
        data = self.folder / "index.h5"
        with h5py.File(data, "w", libver="earliest") as file:
            file.create_dataset("train/x", data=numpy.zeros((100, 8), "f4"), chunks=(10, 8))
        content = bytearray(data.read_bytes())
        node = -1
        while (node := content.find(b"TREE", node + 1)) >= 0:
            if content[node + 4] == 1:  # of chunks
                content[node + 24 + 8] ^= 10  # the row that the first one begins with
                break
        data.write_bytes(content)
        self.refuse_data(data, ["/train/x", "inconsistent"])

    def test_a_checkpoint_of_another_model(self):
        self.make_run()
        foreign = self.folder / "foreign"
        shutil.copytree(self.folder / "run", foreign)
        other = self.file("wide.h5", train__x=numpy.zeros((40, 1, 30, 30), "u1"))
        self.refuse(["reconstruct", foreign, other, f"--out={self.folder / 'x.png'}", "--split=train"],
                    ["wide.h5", "(1, 30, 30)", "trained on rows (1, 28, 28)"])
        flat = self.file("flat.h5", test__x=numpy.zeros((40, 784), "f4"))
        self.refuse(["evaluate", foreign, f"--data={flat}"], ["flat.h5", "(784)"])

    def test_not_a_run_and_not_a_checkpoint(self):
        self.refuse(["evaluate", self.folder / "none"], ["none", "no such run"])
        self.refuse(["evaluate", self.folder], ["holds no checkpoint"])
        self.refuse(["verify", self.folder / "none.h5"], ["no such file"])

    def test_an_existing_file_is_not_replaced(self):
        self.make_run()
        picture = self.folder / "mine.png"
        picture.write_text("precious")
        self.refuse(["sample", self.folder / "run", f"--out={picture}"], ["exists already", "--force"])
        self.refuse(["sample", self.folder / "run", f"--out={self.folder / 'x.doc'}"], [".png"])

    def test_force_does_not_replace_what_is_read(self):
        self.make_run()
        data, link, run_folder = self.folder / "data.h5", self.folder / "link.h5", self.folder / "run"
        shutil.copy(ROOT / "datasets/mnist.h5", data)
        link.symlink_to(data)
        os.mkfifo(self.folder / "fifo.h5")
        checkpoint = next((run_folder / "checkpoints").glob("step_*.h5"))
        kept = {path: path.read_bytes() for path in (data, checkpoint)}
        for out, words in ((data, "reads"), (link, "reads"), (checkpoint, "file of a run"), (self.folder / "fifo.h5", "FIFO")):
            self.refuse(["encode", run_folder, data, f"--out={out}", "--force"], [str(out), words], worlds=(0,))
        self.assertEqual({path: path.read_bytes() for path in kept}, kept)

    def test_a_report_replaces_only_a_report(self):
        self.make_run()
        page, link = self.folder / "page.html", self.folder / "link.html"
        link.symlink_to(self.folder / "run" / "run.ini")
        page.write_text("<!doctype html>")
        for out, words in ((page, "not a report"), (link, "not a report"), (self.folder / "run" / "run.ini", ".html")):
            before = out.read_bytes()
            self.refuse(["report", self.folder / "run", f"--out={out}"], [str(out), words], worlds=(0,))
            self.assertEqual(out.read_bytes(), before)
        page.unlink()
        for _ in range(2):
            self.succeed(0, "report", self.folder / "run", "--model=false", f"--out={page}")

    def test_results_that_a_signal_interrupts_leave_nothing(self):
        self.make_run()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
            for ending in ("h5", "csv"):
                out = self.folder / "out" / f"scores.{ending}"
                process = start(0, "score", self.folder / "run", ROOT / DATA, f"--out={out}", "--importance_samples=2000")
                end = time.monotonic() + 60
                while not list(out.parent.glob("*.partial-*")) and time.monotonic() < end:
                    time.sleep(0.05)
                process.send_signal(number)
                process.communicate(timeout=300)
                self.assertEqual(process.returncode, -number)
                self.assertEqual(list(out.parent.iterdir()), [])

    def test_a_level_that_the_model_lacks(self):
        self.make_run()
        self.refuse(["sample", self.folder / "run", f"--out={self.folder / 'x.png'}", "--vary=1"],
                    ["--vary=1", "1 level", "expected 0"])

    def test_no_permission(self):
        # A folder that even root cannot write to.
        self.refuse(["train", "configs/mnist_vae.ini", "--train.steps=3", "--run.directory=/sys/elbo/run"],
                    ["/sys/elbo/run"])

    def test_a_full_disk(self):
        # A limit on file sizes acts like a full disk: a write fails half-way. Each rank sets the limit, as mpirun cannot
        # start with it.
        limited = ("sh", "-c", "trap '' XFSZ; ulimit -f 400; exec \"$@\"", "sh")
        for ranks in (0, 3):
            folder = self.folder / f"full{ranks}"
            result = run(ranks, "train", "configs/mnist_vae.ini", f"--run.directory={folder}", "--train.steps=3",
                         "--evaluate.every=never", wrapper=limited)
            errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
            self.assertEqual(len(errors), 1, result.stderr)
            self.assertIn("step_000000003.h5", errors[0])
            self.assertEqual(result.returncode, 1)
            self.assertEqual(os.listdir(folder / "checkpoints"), [])

    def test_results_on_a_full_disk(self):
        self.make_run()
        limited = ("sh", "-c", "trap '' XFSZ; ulimit -f 40; exec \"$@\"", "sh")  # blocks of 512 or 1024 bytes, as the shell likes
        data = ROOT / "datasets/mnist.h5"
        for words in (("encode", self.folder / "run", data), ("score", self.folder / "run", data),
                      ("sample", self.folder / "run", "--n=100"), ("convert", "npy", self.many_rows())):
            self.refuse([*words, f"--out={self.folder / 'out.h5'}"], ["out.h5", "file write failed"], code=1, worlds=(0,), wrapper=limited)

    def many_rows(self):
        numpy.save(self.folder / "rows.npy", numpy.random.default_rng(1).random((200, 100), dtype="f4"))
        return self.folder / "rows.npy"

    def test_a_run_that_ends_without_a_usable_step(self):
        x = numpy.full((40, 3), 1e30, "f4")
        result = run(2, *self.train("--model.likelihood=auto", "--data.normalize=none", f"--data.path={self.file('big.h5', train__x=x)}"))
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(result.stderr.count("warning: step 1 is skipped"), 1, result.stderr)
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertIn("diverged", errors[0])
        self.assertIn("scale the data", errors[0])
        self.assertNotIn("optimizer.lr", errors[0], "no learning rate helps before anything was learned")
        self.assertEqual(os.listdir(self.folder / "run" / "checkpoints"), [])

    def test_training_that_diverges_to_numbers_that_are_finite(self):
        x = numpy.random.default_rng(1).normal(size=(200, 8)).astype("f4")
        data = self.file("table.h5", train__x=x, validation__x=x[:20])
        result = run(2, "train", data, f"--run.directory={self.folder / 'run'}", "--optimizer.name=sgd", "--optimizer.lr=1e-3",
                     "--train.steps=60", "--evaluate.every=1", "--model.likelihood=laplace", "--model.likelihood_scale=1e-9",
                     "--model.likelihood_variance=fixed", "--optimizer.clip_norm=0")
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertIn("diverged", errors[0])

    def test_training_that_diverges(self):
        result = run(2, *self.train("--optimizer.name=sgd", "--optimizer.lr=1e30", "--train.steps=50"))
        errors = [line for line in result.stderr.splitlines() if line.startswith("error: ")]
        self.assertEqual(result.returncode, 1, result.stderr)
        self.assertEqual(len(errors), 1, result.stderr)
        self.assertIn("diverged", errors[0])


if __name__ == "__main__":
    unittest.main()
