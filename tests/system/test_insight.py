#!/usr/bin/env python3
"""What a run shows while it trains, and what follows from it: TensorBoard, samples, early stopping, averages, hooks."""
import io
import json
import math
import os
import signal
import struct
import unittest
import wave

import h5py
import numpy

from event_files import events
from program import ProgramTest, processes_with, run, start


class Insight(ProgramTest):
    STEPS = 60
    SETTINGS = ("--train.steps=60", "--network.hidden=16", "--model.latent=3", "--checkpoint.every_steps=10",
                "--evaluate.every=20")

    def lines(self, name):
        return [json.loads(line) for line in (self.folder / name / "metrics.jsonl").read_text().splitlines()]

    def assert_events_match_metrics(self, name):
        """Every scalar of metrics.jsonl once, in its order, and nothing else."""
        found = {}
        for step, tag, value in events(self.folder / name):
            self.assertNotIn((step, tag), found, "an event is there twice")
            found[step, tag] = value
        for line in self.lines(name):
            expected = {"loss": line["loss"], **line["terms"]}
            if line["split"] == "train":
                expected["lr"] = line["lr"]
            for term, value in expected.items():
                event = found.pop((line["step"], f"{line['split']}/{term}"))
                self.assertTrue(math.isclose(event, value, rel_tol=1e-6, abs_tol=1e-30), (term, event, value))
            if line["split"] == "train":
                for other in ("gradient_norm", "samples_per_s"):
                    found.pop((line["step"], f"train/{other}"))
            else:
                kind, limits, heights = found.pop((line["step"], f"{line['split']}/kl_per_dim"))
                self.assertEqual((kind, limits, list(heights)), ("histogram", (0.5, 1.5, 2.5), line["kl_per_dim"]))
        return found

    def test_events_hold_what_metrics_and_samples_hold(self):
        self.train(0, "run", *self.SETTINGS)
        rest = self.assert_events_match_metrics("run")
        for tag in ("samples", "reconstructions"):
            for step in (20, 40, 60):
                kind, height, width, png = rest[step, tag]
                self.assertEqual((kind, width), ("image", 8 * 30 + 2))
                self.assertEqual(height, 4 * 30 + 2)
                name = f"step_{step:09}{'_reconstruction' if tag == 'reconstructions' else ''}.png"
                self.assertEqual((self.folder / "run" / "samples" / name).read_bytes(), png)

    def test_no_step_is_there_twice_after_a_kill_and_a_resume(self):
        process = start(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", *self.SETTINGS,
                        "--train.steps=2000", "--evaluate.every=never")
        file = self.folder / "run" / "checkpoints" / "step_000000010.h5"
        while not file.exists():
            self.assertIsNone(process.poll())
        for victim in processes_with(str(self.folder / "run")):
            os.kill(victim, signal.SIGKILL)
        process.communicate(timeout=150)
        self.train(2, "run", "--resume", *self.SETTINGS, f"--train.steps={self.lines('run')[-1]['step'] + 100}",
                   "--evaluate.every=never")
        self.assertEqual(self.assert_events_match_metrics("run"), {})
        self.assertGreater(len(list((self.folder / "run").glob("events.out.tfevents.*"))), 1)

    def test_text_and_sound_are_shown(self):
        lines = self.folder / "lines.txt"
        lines.write_text("".join(f"the {'red green blue'.split()[i % 3]} cat sees {i % 7} birds\n" for i in range(60)))
        self.succeed(0, "convert", "text", lines, f"--out={self.folder / 'text.h5'}")
        self.train(0, "text", "--train.steps=4", "--evaluate.every=4", "--data.validation_fraction=0.2",
                   config=self.folder / "text.h5")
        kind, text = next(value for _, tag, value in events(self.folder / "text") if tag == "samples")
        lines = (self.folder / "text" / "samples" / "step_000000004.txt").read_text().splitlines()
        self.assertEqual((kind, text.split()), ("text", " ".join(lines).split()))
        for split in ("train", "validation"):
            (self.folder / "recordings" / split).mkdir(parents=True)
            with wave.open(str(self.folder / "recordings" / split / "1.wav"), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(b"".join(struct.pack("<h", int(9000 * math.sin(i / 9))) for i in range(16000)))
        self.succeed(0, "convert", "audio", self.folder / "recordings", f"--out={self.folder / 'sound.h5'}", "--frames=0")
        self.train(0, "sound", "--train.steps=4", "--evaluate.every=4", config=self.folder / "sound.h5")
        kind, rate, frames, wav = next(value for _, tag, value in events(self.folder / "sound") if tag == "samples")
        self.assertEqual((kind, rate), ("audio", 8000))
        with wave.open(io.BytesIO(wav)) as file:
            self.assertEqual((file.getnframes(), file.getframerate()), (frames, 8000))

    def validated(self):
        """MNIST's settings with a validation split."""
        return (*self.SETTINGS, "--data.validation_fraction=0.01", "--evaluate.every=2")

    def test_early_stopping_is_one_decision_for_every_number_of_ranks_and_after_a_stop(self):
        settings = (*self.validated(), "--evaluate.patience=2", "--evaluate.min_delta=10", "--checkpoint.every_steps=2")
        whole = self.train(1, "whole", *settings)
        self.assertLess(int(whole.split()[-1]), self.STEPS)
        self.assertEqual(self.train(3, "three", *settings), whole)
        self.train(2, "parts", *settings, "--train.steps=8")
        self.assertEqual(self.train(1, "parts", *settings, "--resume"), whole)
        losses = [line["loss"] for line in self.lines("whole") if line["split"] == "validation"]
        gains, best = [], math.inf
        for loss in losses:
            gains.append(loss < best - 10)
            best = loss if gains[-1] else best
        self.assertEqual(gains[-3:], [True, False, False])
        self.assertNotIn(False, [a or b for a, b in zip(gains[:-1], gains[1:-1])])
        again = self.succeed(0, "train", self.folder / "whole", "--resume")
        self.assertIn("was ended by early stopping", again.stderr)
        self.assertEqual(again.stdout.splitlines()[-1], whole)
        self.assertIn('"how":"early_stopping"', (self.folder / "whole" / "events.jsonl").read_text())

    def test_what_early_stopping_needs_is_said(self):
        for words, message in ((["--evaluate.patience=1"], "needs a validation split"),
                               (["--optimizer.schedule=plateau"], "needs a validation split"),
                               ([*self.validated(), "--evaluate.best=nll"], "needs evaluate.importance_samples"),
                               (["--optimizer.schedule=range"], "needs optimizer.min_lr")):
            result = run(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", *words)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(message, result.stderr)

    def test_the_learning_rate_drops_on_a_plateau(self):
        settings = (*self.validated(), "--optimizer.schedule=plateau", "--optimizer.schedule_patience=1",
                    "--evaluate.min_delta=1000", "--optimizer.gamma=0.5", "--optimizer.min_lr=0.0002")
        whole = self.train(1, "whole", *settings, "--train.steps=10")
        rates = [line["lr"] for line in self.lines("whole") if line["split"] == "train"]
        self.assertEqual(rates, [0.001] * 4 + [0.0005] * 2 + [0.00025] * 4)
        self.train(2, "parts", *settings, "--train.steps=6")
        self.assertEqual(self.train(1, "parts", "--resume", *settings, "--train.steps=10"), whole)

    def test_the_average_of_the_weights_is_the_same_on_every_number_of_ranks_and_is_used(self):
        settings = (*self.validated(), "--optimizer.ema=0.8")
        self.train(1, "whole", *settings, "--train.steps=6")
        self.train(3, "parts", *settings, "--train.steps=3", "--checkpoint.every_steps=3")
        self.train(2, "parts", "--resume", *settings, "--train.steps=6")
        plain = self.train(1, "plain", *self.validated(), "--train.steps=6", "--checkpoint.every_steps=1",
                           "--checkpoint.keep_last=0")
        average, name = None, "encoder.mlp.dense0.weight"
        for step in range(0, 7):
            if step == 0:  # the average begins with the first parameters: those without a step
                self.train(0, "first", *self.validated(), "--train.steps=1", "--optimizer.lr=0")
                path = self.folder / "first" / "checkpoints" / "step_000000001.h5"
            else:
                path = self.folder / "plain" / "checkpoints" / f"step_{step:09}.h5"
            with h5py.File(path) as file:
                value = file["parameters"][name][:]
            average = value if average is None else average + numpy.float32(0.2) * (value - average)
        for run_name in ("whole", "parts"):
            with h5py.File(self.folder / run_name / "checkpoints" / "step_000000006.h5") as file:
                self.assertEqual(file.attrs["fingerprint"], plain.split()[1])
                numpy.testing.assert_array_equal(file["optimizer/model/ema"][name][:], average)
        losses = {}
        for run_name in ("whole", "parts", "plain"):
            self.succeed(0, "evaluate", self.folder / run_name, "--split=validation", "--metrics=none")
            losses[run_name] = json.loads((self.folder / run_name / "evaluation.json").read_text())["loss"]
            self.assertEqual(losses[run_name], self.lines(run_name)[-1]["loss"], "training evaluates the same parameters")
        self.assertEqual(losses["whole"], losses["parts"])
        self.assertNotEqual(losses["whole"], losses["plain"])

    def test_a_run_begins_with_the_parameters_of_another(self):
        self.train(0, "old", *self.SETTINGS, "--train.steps=3")
        still = ("--optimizer.lr=0", "--train.steps=1", "--train.seed=2", f"--train.init_from={self.folder / 'old'}")
        self.train(2, "all", *self.SETTINGS, *still)
        self.train(0, "part", *self.SETTINGS, *still, "--train.init_modules=decoder")
        old, whole, part = ({name: file["parameters"][name][:] for name in file["parameters"].attrs["order"].split()}
                            for file in (h5py.File(next((self.folder / name / "checkpoints").glob("step*")))
                                         for name in ("old", "all", "part")))
        self.assertTrue(any(name.startswith("decoder.") for name in old))
        for name, value in old.items():
            numpy.testing.assert_array_equal(whole[name], value)
            if ".weight" in name:
                self.assertEqual((part[name] == value).all(), name.startswith("decoder."), name)
        for words, message in (("--network.hidden=17", "has the shape"), ("--train.init_modules=tail", "no parameters in tail")):
            result = run(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", *self.SETTINGS, *still,
                         words)
            self.assertEqual(result.returncode, 2, result.stderr)
            self.assertIn(message, result.stderr)

    def test_settings_of_the_optimiser_change_where_a_run_continues(self):
        self.train(0, "run", *self.SETTINGS, "--train.steps=2")
        refused = run(0, "train", self.folder / "run", "--resume", "--train.steps=4", "--run.change=model.latent=4")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("cannot change during a run", refused.stderr)
        self.succeed(2, "train", self.folder / "run", "--resume", "--train.steps=4", "--run.change=optimizer.lr=0.25")
        rates = [line["lr"] for line in self.lines("run") if line["split"] == "train"]
        self.assertEqual(rates, [0.001, 0.001, 0.25, 0.25])
        self.assertIn("lr = 0.25", (self.folder / "run" / "run.ini").read_text())
        self.assertIn('"changes":"optimizer.lr=0.25"', (self.folder / "run" / "events.jsonl").read_text())
        self.succeed(0, "train", self.folder / "run", "--resume", "--train.steps=5")
        self.assertEqual(self.lines("run")[-2]["lr"], 0.25)

    def test_commands_get_what_happened(self):
        log = self.folder / "log"
        hook = f"cat >> '{log}'; echo >> '{log}'"
        result = self.succeed(2, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", *self.SETTINGS,
                              f"--hooks.on_evaluation={hook}", f"--hooks.on_checkpoint={hook}", f"--hooks.on_end={hook}; exit 3",
                              "--train.steps=20")
        said = [json.loads(line) for line in log.read_text().splitlines()]
        self.assertEqual(sorted((line["event"], line["step"]) for line in said),
                         [("checkpoint", 10), ("checkpoint", 20), ("ended", 20), ("evaluation", 20)])
        ended = next(line for line in said if line["event"] == "ended")
        self.assertEqual(f"fingerprint {ended['fingerprint']} step 20", result.stdout.splitlines()[-1])
        self.assertIn("ended with status 3; training continues", result.stderr)

    def test_events_can_be_left_out(self):
        self.train(0, "run", *self.SETTINGS, "--train.steps=2", "--run.tensorboard=false", "--run.samples=0")
        self.assertEqual(list((self.folder / "run").glob("events.out*")), [])
        self.assertFalse((self.folder / "run" / "samples").exists())

    def test_tensorboard_reads_the_events(self):
        try:
            from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
        except ImportError:
            self.skipTest("tensorboard is not installed")
        self.train(0, "run", *self.SETTINGS)
        accumulator = EventAccumulator(str(self.folder / "run"), size_guidance={"scalars": 0, "images": 0})
        accumulator.Reload()
        losses = [(event.step, event.value) for event in accumulator.Scalars("train/loss")]
        self.assertEqual([step for step, _ in losses], list(range(1, self.STEPS + 1)))
        self.assertEqual([event.step for event in accumulator.Images("samples")], [20, 40, 60])


if __name__ == "__main__":
    unittest.main()
