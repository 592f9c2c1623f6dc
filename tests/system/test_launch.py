#!/usr/bin/env python3
"""launch/elbo.sbatch without a Slurm: stand-ins take the place of its programs; launch/run.sh on this machine."""
import os
import signal
import subprocess
import time
import unittest

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest, processes_left


class Launch(ProgramTest):
    def elbo_sbatch(self, *words, name="elbo"):
        """The script in the folder work, with stand-ins for Slurm's programs."""
        programs, work = self.folder / "bin", self.folder / "work"
        programs.mkdir(exist_ok=True)
        work.mkdir(exist_ok=True)
        for program in ("scontrol", "srun"):
            (programs / program).write_text("#!/bin/sh\n")
            (programs / program).chmod(0o755)
        job = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": name, "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_NUM_NODES": "1",
               "SLURM_CPUS_ON_NODE": "1", "SLURM_NTASKS": "1", "SLURM_TASKS_PER_NODE": "1", "ELBO": ELBO,
               "PATH": f"{programs}:{os.environ['PATH']}"}
        return subprocess.run([ROOT / "launch/elbo.sbatch", "train", "nothing.h5", *words], cwd=work, env={**ENVIRONMENT, **job},
                              capture_output=True, text=True, timeout=300)

    def test_the_name_of_a_job_is_one_folder_in_runs(self):
        for name, folder in (("vae-2.1_b", "vae-2.1_b"), ("../../x y", "_.._x_y"), ("-a\nelbo.sbatch: b", "a_elbo.sbatch__b")):
            said = self.elbo_sbatch(name=name).stderr.splitlines()
            self.assertEqual([line for line in said if "the run is in" in line], [f"elbo.sbatch: the run is in runs/{folder}-17"])

    def test_every_signal_ends_training_after_its_step(self):
        for number in (signal.SIGUSR2, signal.SIGXCPU):
            folder = self.folder / number.name
            process = subprocess.Popen([ROOT / "launch/run.sh", "--ranks_per_node=1", "--bind=none", "train", "configs/mnist_vae.ini",
                                        "--train.steps=1000000", "--evaluate.every=never", f"--run.directory={folder}"], cwd=ROOT,
                                       env={**ENVIRONMENT, "ELBO": ELBO}, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
            end = time.monotonic() + 60
            while time.monotonic() < end and (not (folder / "metrics.jsonl").exists() or not (folder / "metrics.jsonl").read_text()):
                time.sleep(0.05)
            process.send_signal(number)
            output, errors = process.communicate(timeout=300)
            self.assertEqual(process.returncode, 75, output + errors)
            self.assertEqual(processes_left(str(folder)), [])
            self.assertEqual(len(list((folder / "checkpoints").glob("step_*.h5"))), 1)

    def test_a_run_directory_that_looks_like_an_option_of_find_deletes_nothing(self):
        work = self.folder / "work"
        work.mkdir()
        for name in ("-delete", "-fls=x"):
            (work / "precious").write_text("data")
            self.assertIn("nothing.h5", self.elbo_sbatch(f"--run.directory={name}").stderr)
            self.assertEqual([path.name for path in work.iterdir()], ["precious"], name)


if __name__ == "__main__":
    unittest.main()
