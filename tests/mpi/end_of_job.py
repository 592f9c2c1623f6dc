"""How a job ends when ranks fail: soon, with one message, the right exit status, and no process left behind."""
import os
import re
import socket
import subprocess
import time
import unittest

PROGRAM = os.environ["FAILING_JOB"]
HOST = socket.gethostname()


def left_behind():
    found = []
    for process in filter(str.isdigit, os.listdir("/proc")):
        try:
            if os.path.realpath(f"/proc/{process}/exe") == os.path.realpath(PROGRAM):
                found.append(process)
        except OSError:
            pass
    return found


class EndOfJob(unittest.TestCase):
    def fails(self, ranks, *arguments, status, within=5):
        """Runs the job and returns its one message."""
        begin = time.monotonic()
        run = subprocess.run(
            [os.environ["MPIRUN"], "--oversubscribe", "--bind-to", "none", "-n", str(ranks), PROGRAM, *arguments],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=60)
        self.assertLess(time.monotonic() - begin, within + 1, "seconds, one of them for the launcher")
        self.assertEqual(run.returncode, status, run.stderr)
        messages = [line for line in run.stderr.splitlines() if "error:" in line]
        self.assertEqual(len(messages), 1, run.stderr)
        self.assertEqual(left_behind(), [])
        self.assertEqual(run.stdout, "")
        return messages[0]

    def test_a_rank_that_fails_alone_is_named_and_takes_those_along_that_wait_for_it(self):
        for rank in range(3):
            self.assertEqual(self.fails(3, "barrier", "1", str(rank), status=1), f"error: rank {rank} on {HOST}: the sky fell")

    def test_a_rank_that_fails_alone_takes_those_along_that_do_something_else(self):
        self.assertEqual(self.fails(3, "asleep", "1", "2", status=1), f"error: rank 2 on {HOST}: the sky fell")

    def test_its_exit_status_is_the_jobs(self):
        self.assertEqual(self.fails(3, "barrier", "2", "1", status=2), f"error: rank 1 on {HOST}: the sky fell")

    def test_a_mistake_that_all_ranks_meet_is_told_once_and_of_no_rank(self):
        for ranks in 1, 2, 4:
            self.assertEqual(self.fails(ranks, "barrier", "2", "all", status=2), "error: the sky fell")

    def test_of_some_ranks_that_fail_the_lowest_speaks(self):
        for _ in range(3):
            self.assertEqual(self.fails(4, "barrier", "1", "1,2,3", status=1), f"error: rank 1 on {HOST}: the sky fell")

    def test_of_ranks_that_fail_in_turn_one_speaks(self):
        for ranks in "1,2,3", "1,3", "1,2", "2,3":
            self.assertRegex(self.fails(4, "in_turn", "1", ranks, status=1), f"^error: rank [{ranks}] on {HOST}: the sky fell$")

    def test_of_ranks_that_all_fail_differently_the_lowest_speaks(self):
        self.assertEqual(self.fails(3, "apart", "1", "all", status=1), f"error: rank 0 on {HOST}: the sky fell on 0")

    def test_a_rank_that_never_comes_ends_the_wait_of_the_others(self):
        message = self.fails(3, "absent", "1", "1", "0.5", status=1)
        self.assertRegex(message, "^error: " + re.escape(f"rank 0 on {HOST} waited 0.5 s in barrier; another rank did not arrive"))

    def run_plainly(self, **variables):
        return subprocess.run([PROGRAM, "barrier", "0", "none"], env={"PATH": "/usr/bin", **variables}, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_process_of_a_batch_script_is_a_world_of_one(self):
        run = self.run_plainly(SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_PROCID="0")
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_processes_that_do_not_know_of_one_another_are_no_job(self):
        run = self.run_plainly(SLURM_JOB_ID="7", SLURM_STEP_NUM_TASKS="4", SLURM_PROCID="2")
        self.assertEqual(run.returncode, 2)
        self.assertIn("error: the launcher started 4 processes, but MPI knows of 1: use ", run.stderr)

    def test_an_mpi_that_does_not_start_is_one_sentence(self):
        run = subprocess.run([os.environ["ELBO"], "--version"], timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"PATH": "/usr/bin", "OMPI_COMM_WORLD_RANK": "0", "LD_PRELOAD": os.environ["MPI_STAND_IN"]})
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stderr, f"error: rank 0 on {HOST} could not start MPI: unknown error\n")


if __name__ == "__main__":
    unittest.main()
