#!/usr/bin/env python3
"""launch/elbo.sbatch without a Slurm: stand-ins take the place of its programs."""
import os
import subprocess
import unittest

from program import ELBO, ENVIRONMENT, ROOT, ProgramTest


class Launch(ProgramTest):
    def test_a_run_directory_that_looks_like_an_option_of_find_deletes_nothing(self):
        programs, work = self.folder / "bin", self.folder / "work"
        programs.mkdir()
        work.mkdir()
        for name in ("scontrol", "srun"):
            (programs / name).write_text("#!/bin/sh\n")
            (programs / name).chmod(0o755)
        for name in ("-delete", "-fls=x"):
            (work / "precious").write_text("data")
            job = {"SLURM_JOB_ID": "17", "SLURM_JOB_NAME": "elbo", "SLURM_JOB_NODELIST": "localhost", "SLURM_JOB_NUM_NODES": "1",
                   "SLURM_CPUS_ON_NODE": "1", "SLURM_NTASKS": "1", "SLURM_TASKS_PER_NODE": "1", "ELBO": ELBO,
                   "PATH": f"{programs}:{os.environ['PATH']}"}
            result = subprocess.run([ROOT / "launch/elbo.sbatch", "train", "nothing.h5", f"--run.directory={name}"], cwd=work,
                                    env={**ENVIRONMENT, **job}, capture_output=True, text=True, timeout=300)
            self.assertIn("nothing.h5", result.stderr)
            self.assertEqual([path.name for path in work.iterdir()], ["precious"], name)


if __name__ == "__main__":
    unittest.main()
