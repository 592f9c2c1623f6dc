#!/usr/bin/env python3
"""What a run shows while it trains and afterwards: TensorBoard, samples."""
import io
import json
import math
import os
import signal
import struct
import unittest
import wave

from event_files import events
from program import ProgramTest, processes_with, start


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
                        "--train.steps=100000", "--evaluate.every=never")
        file = self.folder / "run" / "checkpoints" / "step_000000010.h5"
        while not file.exists():
            self.assertIsNone(process.poll())
        for victim in processes_with(str(self.folder / "run")):
            os.kill(victim, signal.SIGKILL)
        process.communicate(timeout=30)
        self.train(2, "run", "--resume", *self.SETTINGS, f"--train.steps={self.lines('run')[-1]['step'] + 100}",
                   "--evaluate.every=never")
        self.assertEqual(self.assert_events_match_metrics("run"), {})
        self.assertGreater(len(list((self.folder / "run").glob("events.out.tfevents.*"))), 1)

    def test_text_and_sound_are_shown(self):
        self.train(0, "text", "--train.steps=4", "--evaluate.every=4", config="configs/wordnet_sequence_vae.ini")
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

    def test_events_can_be_left_out(self):
        self.train(0, "run", *self.SETTINGS, "--train.steps=2", "--run.tensorboard=false", "--run.samples=0")
        self.assertEqual(list((self.folder / "run").glob("events*")), [])
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
