"""How a job ends when ranks fail: soon, with one message, the right exit status and no process left running."""
import os
import re
import socket
import subprocess
import time
import unittest

PROGRAM = os.environ["FAILING_JOB"]
HOST = socket.gethostname()


def still_running():
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
        self.assertEqual(still_running(), [])
        self.assertEqual(run.stdout, "")
        return messages[0]

    def test_a_single_failing_rank_is_named_and_aborts_ranks_that_wait_for_it(self):
        for rank in range(3):
            self.assertEqual(self.fails(3, "barrier", "1", str(rank), status=1), f"error: rank {rank} on {HOST}: the sky fell")

    def test_a_single_failing_rank_aborts_ranks_outside_of_mpi(self):
        self.assertEqual(self.fails(3, "asleep", "1", "2", status=1), f"error: rank 2 on {HOST}: the sky fell")

    def test_its_exit_status_is_that_of_the_job(self):
        self.assertEqual(self.fails(3, "barrier", "2", "1", status=2), f"error: rank 1 on {HOST}: the sky fell")

    def test_an_error_of_all_ranks_is_printed_once_without_a_rank(self):
        for ranks in 1, 2, 4:
            self.assertEqual(self.fails(ranks, "barrier", "2", "all", status=2), "error: the sky fell")

    def test_the_lowest_of_several_failing_ranks_reports(self):
        for _ in range(3):
            self.assertEqual(self.fails(4, "barrier", "1", "1,2,3", status=1), f"error: rank 1 on {HOST}: the sky fell")

    def test_one_of_the_ranks_that_fail_in_turn_reports(self):
        for ranks in "1,2,3", "1,3", "1,2", "2,3":
            self.assertRegex(self.fails(4, "in_turn", "1", ranks, status=1), f"^error: rank [{ranks}] on {HOST}: the sky fell$")

    def test_the_lowest_rank_reports_if_all_fail_differently(self):
        self.assertEqual(self.fails(3, "apart", "1", "all", status=1), f"error: rank 0 on {HOST}: the sky fell on 0")

    def test_waiting_for_a_rank_that_never_arrives_times_out(self):
        message = self.fails(3, "absent", "1", "1", "0.5", status=69)
        self.assertRegex(message, "^error: " + re.escape(f"rank 0 on {HOST} waited 0.5 s in barrier; another rank did not arrive"))
        self.assertRegex(message, rf": rank 1 on {HOST} \(process \d+\) [^;]*, after barrier, [\d.]+ s ago$")

    def test_a_rank_that_is_stopped_is_named(self):
        for rank in range(3):
            message = self.fails(3, "stopped", "1", str(rank), "0.5", status=69)
            self.assertRegex(message, rf": rank {rank} on {HOST} \(process \d+\) is stopped, by a signal or a debugger")
            self.assertNotIn(f"rank {(rank + 1) % 3} on {HOST} (process", message)

    def test_a_rank_that_is_stopped_before_mpi_ends_is_named(self):
        for rank in range(2):
            # The launcher continues the stopped rank for a second before it kills it.
            message = self.fails(2, "at_end", "1", str(rank), "3", status=69, within=7)
            self.assertRegex(message, rf"^error: rank {1 - rank} on {HOST}: MPI did not end within 3 s: rank {rank} on {HOST} "
                                      r"\(process \d+\) is stopped, by a signal or a debugger")
            self.assertEqual(message.count("(process"), 1, message)

    def test_a_rank_that_is_stopped_before_mpi_starts_is_named(self):
        program = 'if [ "$OMPI_COMM_WORLD_RANK" = "$0" ]; then kill -STOP $$; fi; exec "$@"'
        for rank in range(2):
            run = subprocess.run([os.environ["MPIRUN"], "--oversubscribe", "--bind-to", "none", "-n", "2", "sh", "-c", program, str(rank),
                                  PROGRAM, "barrier", "0", "none"], timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 env={**os.environ, "ELBO_START_TIMEOUT": "1"})
            self.assertEqual(run.returncode, 69, run.stderr)
            message, = [line for line in run.stderr.splitlines() if "error:" in line]
            self.assertRegex(message, rf"^error: rank {1 - rank} on {HOST}: MPI did not start within 1 s: rank {rank} on {HOST} "
                                      r"\(process \d+\) is stopped, by a signal or a debugger$")

    def run_without_launcher(self, **variables):
        return subprocess.run([PROGRAM, "barrier", "0", "none"], env={"PATH": "/usr/bin", **variables}, timeout=60,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def test_a_process_of_a_batch_script_is_a_job_of_one_rank(self):
        run = self.run_without_launcher(SLURM_JOB_ID="7", SLURM_NTASKS="4", SLURM_PROCID="0")
        self.assertEqual((run.returncode, run.stderr), (0, ""))

    def test_processes_started_without_a_common_mpi_are_rejected(self):
        run = self.run_without_launcher(SLURM_JOB_ID="7", SLURM_STEP_NUM_TASKS="4", SLURM_PROCID="2")
        self.assertEqual(run.returncode, 2)
        self.assertIn("error: the launcher started 4 processes, but the number of MPI ranks is 1: use ", run.stderr)

    def test_an_mpi_that_does_not_start_is_one_sentence(self):
        run = subprocess.run([os.environ["ELBO"], "--version"], timeout=60, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                             env={"PATH": "/usr/bin", "OMPI_COMM_WORLD_RANK": "0", "LD_PRELOAD": os.environ["MPI_STAND_IN"]})
        self.assertEqual(run.returncode, 1)
        self.assertEqual(run.stderr, f"error: rank 0 on {HOST} could not initialise MPI: unknown error\n")


if __name__ == "__main__":
    unittest.main()
