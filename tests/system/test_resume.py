#!/usr/bin/env python3
"""A run that was killed, stopped or damaged continues with the same bits."""
import fcntl
import hashlib
import json
import os
import random
import select
import signal
import subprocess
import termios
import time
import unittest

import h5py

from program import ENVIRONMENT, ROOT, ProgramTest, command, processes_left, processes_with, run, start


class Resume(ProgramTest):
    SETTINGS = ("--train.steps=240", "--train.microbatch=16", "--checkpoint.every_steps=16", "--evaluate.every=never")

    def metrics(self, name):
        return (self.folder / name / "metrics.jsonl").read_text().splitlines()

    def assert_every_step_once(self, name, steps=240):
        self.assertEqual([json.loads(line)["step"] for line in self.metrics(name)], list(range(1, steps + 1)))

    def start_and_wait_for_steps(self, ranks, name, more):
        """Starts or resumes, and waits for `more` steps."""
        process = start(ranks, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / name}", "--resume",
                        *self.SETTINGS)
        self.wait_for_steps(process, name, more)
        return process

    def wait_for_steps(self, process, name, more, terminal=None):
        """terminal: a descriptor that is read at the same time, so that the process can write to it."""
        file = self.folder / name / "metrics.jsonl"
        # Step numbers, because resuming truncates the file first.
        before = None
        end = time.monotonic() + 60
        while time.monotonic() < end and process.poll() is None:
            lines = file.read_text().splitlines() if file.exists() else []
            step = json.loads(lines[-1])["step"] if lines and lines[-1].endswith("}") else 0
            before = step if before is None else min(before, step)
            if step >= before + more:
                break
            if terminal is not None and select.select([terminal], [], [], 0)[0]:
                os.read(terminal, 1 << 16)
            time.sleep(0.005)

    def test_a_cosine_schedule_whose_end_moves_says_so(self):
        settings = "--optimizer.schedule=cosine", "--evaluate.every=never"
        self.train(0, "run", "--train.steps=10", *settings)
        more = ("train", self.folder / "run", "--resume")
        self.assertNotIn("cosine", self.succeed(0, *more).stderr)
        warning = self.succeed(0, *more, "--train.steps=20").stderr
        self.assertEqual(warning.count("warning: optimizer.schedule=cosine"), 1, warning)
        self.assertIn("from 10 to 20", warning)

    def test_killed_five_times_and_resumed_on_other_worlds(self):
        whole = self.train(2, "whole", *self.SETTINGS)
        dice = random.Random(os.getpid())
        for ranks in (2, 3, 1, 4, 2):
            process = self.start_and_wait_for_steps(ranks, "killed", dice.randrange(5, 40))
            victims = processes_with(str(self.folder / "killed"))
            self.assertTrue(victims, "the run was over before it could be killed")
            os.kill(dice.choice(victims), signal.SIGKILL)
            process.communicate(timeout=150)
            self.assertNotEqual(process.returncode, 0)
            self.assertEqual(processes_left(str(self.folder / "killed")), [], "a rank was left behind")
        self.assertEqual(self.train(3, "killed", "--resume", *self.SETTINGS), whole)
        self.assert_every_step_once("killed")
        self.assertEqual([name for name in os.listdir(self.folder / "killed" / "checkpoints") if "partial" in name], [])

    def test_the_folder_of_a_run_names_it(self):
        whole = self.train(1, "whole", "--train.steps", "4", "--evaluate.every=never")
        self.train(1, "first", "--train.steps=2", "--evaluate.every", "never")
        moved = (self.folder / "first").rename(self.folder / "moved")
        refused = run(0, "train", moved)
        self.assertEqual(refused.returncode, 2)
        self.assertIn("add --resume to continue it", refused.stderr)
        resumed = self.succeed(0, "train", moved, "--resume", "--train.steps", "4")
        self.assertEqual(resumed.stdout.splitlines()[-1], whole)
        self.assertFalse((self.folder / "first").exists())
        (self.folder / "empty").mkdir()
        refused = run(0, "train", self.folder / "empty", "--resume")
        self.assertEqual(refused.returncode, 2)
        self.assertIn("is a folder without run.ini", refused.stderr)

    def test_stopped_on_request_it_saves_itself_and_exits_with_75(self):
        whole = self.train(1, "whole", *self.SETTINGS)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU):
            name = number.name
            process = self.start_and_wait_for_steps(0, name, 20)
            process.send_signal(number)
            output, _ = process.communicate(timeout=150)
            self.assertEqual(process.returncode, 75, name)
            step = int(output.split()[-1])
            self.assertTrue((self.folder / name / "checkpoints" / f"step_{step:09}.h5").exists())
        self.assertEqual(self.train(2, name, "--resume", *self.SETTINGS), whole)
        self.assert_every_step_once(name)

    def test_a_signal_that_the_process_ignores_does_not_stop_it(self):
        process = subprocess.Popen(command(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}",
                                           "--train.steps=60", "--evaluate.every=never"),
                                   cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                   preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_IGN))
        self.wait_for_steps(process, "run", 20)
        process.send_signal(signal.SIGHUP)
        output, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0)
        self.assertTrue(output.endswith("step 60\n"), output)

    def test_a_log_and_results_that_nobody_reads_end_nothing(self):
        read, write = os.pipe()
        os.close(read)
        process = subprocess.run(command(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}",
                                         "--train.steps=20", "--evaluate.every=10"), cwd=ROOT, env=ENVIRONMENT, stdout=write, stderr=write, timeout=300)
        os.close(write)
        self.assertEqual(process.returncode, 0)
        self.assertTrue((self.folder / "run" / "checkpoints" / "step_000000020.h5").exists())

    def test_a_run_whose_terminal_is_closed_saves_itself(self):
        here, terminal = os.openpty()
        process = subprocess.Popen(command(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", *self.SETTINGS),
                                   cwd=ROOT, env=ENVIRONMENT, stdin=terminal, stdout=terminal, stderr=terminal, start_new_session=True,
                                   preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(terminal)
        self.wait_for_steps(process, "run", 20, terminal=here)
        os.close(here)
        process.wait(timeout=150)
        self.assertEqual(process.returncode, 75)
        step = json.loads(self.metrics("run")[-1])["step"]
        self.assertTrue((self.folder / "run" / "checkpoints" / f"step_{step:09}.h5").exists())

    def test_a_leftover_that_cannot_be_removed_is_a_warning(self):
        settings = ("--train.steps=20", "--evaluate.every=never")
        self.train(1, "run", "--train.steps=10", "--evaluate.every=never")
        (self.folder / "run" / "checkpoints" / "step_000000012.h5.partial-1" / "inside").mkdir(parents=True)
        result = self.succeed(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", "--resume", *settings)
        self.assertRegex(result.stderr, "warning: .*step_000000012.h5.partial-1: cannot be removed")

    def test_a_checkpoint_with_other_parameters_than_it_records_is_damaged(self):
        self.train(1, "run", "--train.steps=20", "--checkpoint.every_steps=10", "--evaluate.every=never")
        file = self.folder / "run" / "checkpoints" / "step_000000020.h5"
        with h5py.File(file, "r+") as checkpoint:  # with checksums that are right
            parameter = checkpoint["parameters"][checkpoint["parameters"].attrs["order"].split("\n")[0]]
            values = parameter[...] + 1
            parameter[...] = values
            parameter.attrs["sha256"] = hashlib.sha256(values.tobytes()).hexdigest()
        seal = f"elbo checkpoint\nsha256 {hashlib.sha256(file.read_bytes()[512:]).hexdigest()}\n"
        with open(file, "r+b") as stream:
            stream.write(seal.encode())
        result = run(0, "verify", self.folder / "run")
        self.assertEqual(result.returncode, 1)
        self.assertIn("do not match the fingerprint", result.stdout)
        self.assertRegex(result.stdout, r"step_000000010.h5: fingerprint [0-9a-f]{64} step 10")

    def test_the_window_that_a_run_began_with_stays(self):
        window = "--data.shuffle_buffer_bytes=2097152"
        whole = self.train(1, "whole", *self.SETTINGS, "--train.steps=60", window)
        self.assertNotEqual(self.train(1, "all_at_once", *self.SETTINGS, "--train.steps=60"), whole)
        self.train(2, "resumed", *self.SETTINGS, "--train.steps=40", window)
        self.assertEqual(self.train(3, "resumed", "--resume", *self.SETTINGS, "--train.steps=60"), whole)
        self.assertIn("shuffle_buffer_bytes = 2097152", (self.folder / "resumed" / "run.ini").read_text())

    def test_a_damaged_checkpoint_is_named_and_the_one_before_it_taken(self):
        whole = self.train(1, "run", *self.SETTINGS)
        newest = self.folder / "run" / "checkpoints" / "step_000000240.h5"
        content = bytearray(newest.read_bytes())
        content[len(content) // 2] ^= 1
        newest.write_bytes(content)
        verified = run(0, "verify", self.folder / "run")
        self.assertEqual(verified.returncode, 1)
        self.assertIn("step_000000240.h5", verified.stdout)
        result = self.succeed(2, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", "--resume",
                              *self.SETTINGS)
        self.assertEqual(len([line for line in result.stderr.splitlines()
                              if "step_000000240.h5: does not match its checksum" in line]), 1, result.stderr)
        self.assertEqual(result.stdout.splitlines()[-1], whole)
        self.succeed(0, "verify", self.folder / "run")
        self.assert_every_step_once("run")

    def test_a_damaged_checkpoint_is_set_aside_and_sound_ones_stay(self):
        self.train(1, "run", "--train.steps=40", "--checkpoint.every_steps=10", "--checkpoint.keep_last=2",
                   "--evaluate.every=never")
        folder = self.folder / "run" / "checkpoints"
        newest = folder / "step_000000040.h5"
        newest.write_bytes(newest.read_bytes()[:-10])
        self.train(1, "run", "--resume", "--train.steps=39", "--checkpoint.every_steps=3", "--checkpoint.keep_last=1",
                   "--evaluate.every=never")
        self.assertEqual(sorted(os.listdir(folder)), ["step_000000039.h5", "step_000000040.h5.damaged"])

    def test_a_run_that_was_moved_goes_on_where_it_is(self):
        settings = ("--train.steps=30", *self.SETTINGS[1:])
        whole = self.train(1, "whole", *settings)
        self.train(1, "before", "--train.steps=20", *self.SETTINGS[1:])
        os.rename(self.folder / "before", self.folder / "after")
        result = self.succeed(2, "train", self.folder / "after" / "run.ini", "--resume", "--train.steps=30")
        self.assertEqual(result.stdout.splitlines()[-1], whole)
        self.assertFalse((self.folder / "before").exists())

    def test_an_evaluation_is_broken_off_by_a_request_and_made_up_for(self):
        settings = ("--train.steps=20", "--train.microbatch=16", "--evaluate.every=10", "--evaluate.importance_samples=40")
        whole = self.train(2, "whole", *settings)
        folder = self.folder / "stopped"
        process = start(0, "train", "configs/mnist_vae.ini", f"--run.directory={folder}", *settings)
        end = time.monotonic() + 60
        while time.monotonic() < end and (not (folder / "metrics.jsonl").exists() or
                                          len(self.metrics("stopped")) < 10):
            time.sleep(0.005)
        time.sleep(0.3)  # the evaluation takes many seconds
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=150)
        self.assertEqual(process.returncode, 75)
        self.assertEqual(len(self.metrics("stopped")), 10)
        self.assertEqual(self.train(2, "stopped", "--resume", *settings), whole)
        evaluations = [[json.loads(line)["nll"] for line in self.metrics(name) if '"nll"' in line]
                       for name in ("whole", "stopped")]
        self.assertEqual(*evaluations)
        self.assertEqual(len(evaluations[0]), 2)

    def test_two_cannot_train_in_one_folder(self):
        process = self.start_and_wait_for_steps(0, "run", 5)
        other = run(0, "train", "configs/mnist_vae.ini", f"--run.directory={self.folder / 'run'}", "--resume", *self.SETTINGS)
        self.assertEqual(other.returncode, 2, other.stderr)
        self.assertIn("another elbo trains there", other.stderr)
        process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0)

    def test_a_finished_run_says_its_fingerprint_again_and_a_longer_one_goes_on(self):
        whole = self.train(1, "whole", *self.SETTINGS)
        short = ("--train.steps=100", *self.SETTINGS[1:])
        self.train(3, "grown", *short)
        again = self.train(2, "grown", "--resume", *short)
        self.assertTrue(again.endswith("step 100"))
        self.assertEqual(self.train(2, "grown", "--resume", *self.SETTINGS), whole)
        self.assert_every_step_once("grown")

    def test_the_resolved_configuration_starts_the_same_run_again(self):
        first = self.train(1, "first", "--train.steps=10", "--evaluate.every=never")
        second = self.train(2, "second", config=self.folder / "first" / "run.ini")
        self.assertEqual(first, second)

    def test_old_checkpoints_go_and_milestones_stay(self):
        self.train(1, "run", "--train.steps=100", "--checkpoint.every_steps=10", "--checkpoint.keep_last=2",
                   "--checkpoint.keep_every=40", "--evaluate.every=never")
        names = sorted(os.listdir(self.folder / "run" / "checkpoints"))
        self.assertEqual(names, [f"step_{step:09}.h5" for step in (40, 80, 90, 100)])


if __name__ == "__main__":
    unittest.main()
