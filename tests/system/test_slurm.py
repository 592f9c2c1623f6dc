#!/usr/bin/env python3
"""launch/elbo.sbatch and launch/sweep.sh --slurm in a real Slurm, of four nodes on this machine."""
import functools
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py

from program import ELBO, ENVIRONMENT, ROOT, run

CLUSTER = ROOT / "tests/slurm/cluster.sh"
SBATCH = ROOT / "launch/elbo.sbatch"
CONFIG = "configs/mnist_vae.ini"
# All checkpoints in these tests were written at a stop request or at the end.
SETTINGS = ("--network.hidden=32", "--train.batch=64", "--train.microbatch=16", "--train.threads=1", "--evaluate.every=never",
            "--checkpoint.every_steps=0", "--evaluate.metrics=none")
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "NODE_FAIL", "PREEMPTED", "BOOT_FAIL", "OUT_OF_MEMORY")
SHORT, LONG = "--train.steps=200", "--train.steps=4000"

folder = None  # of the cluster
environment = None


def cluster(action, *words):
    subprocess.run([CLUSTER, action, folder, *words], check=True, timeout=120)


def setUpModule():
    global folder, environment
    folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_slurm_"))
    unittest.addModuleCleanup(shutil.rmtree, folder, ignore_errors=True)
    unittest.addModuleCleanup(cluster, "down")
    # The nodes are one machine: ranks must not share memory across nodes, busy-wait, or use other networks.
    environment = {**ENVIRONMENT, "SLURM_CONF": str(folder / "slurm.conf"), "ELBO": ELBO, "OMPI_MCA_btl": "tcp,self",
                   "OMPI_MCA_btl_tcp_if_include": "lo", "OMPI_MCA_oob_tcp_if_include": "lo",
                   "OMPI_MCA_mpi_yield_when_idle": "1", "OMPI_MCA_odls_base_sigkill_timeout": "2"}
    cluster("up", str(os.getpid()))


@functools.lru_cache
def undisturbed(*settings):
    """The last line of a run with one rank."""
    with tempfile.TemporaryDirectory() as directory:
        result = run(0, "train", CONFIG, *SETTINGS, *settings, "--train.threads=2", f"--run.directory={directory}/run", seconds=900)
    assert result.returncode == 0, result.stderr
    return result.stdout.splitlines()[-1]


def slurm_processes():
    """Command lines of the processes that jobs of the cluster have on any of its nodes."""
    found = []
    for process in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            variables = (process / "environ").read_bytes().split(b"\0")
            line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
        except OSError:
            continue
        if f"SLURM_CONF={folder}/slurm.conf".encode() in variables and any(v.startswith(b"SLURM_JOB_ID=") for v in variables):
            found.append((int(process.name), line))
    return found


def state_of(process):
    """The letter of a process's state in /proc; "" if it has ended."""
    try:
        return pathlib.Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except OSError:
        return ""


class SlurmTest(unittest.TestCase):
    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_test_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        for name in ("configs", "datasets"):
            (self.folder / name).symlink_to(ROOT / name)
        self.addCleanup(self.leave_an_idle_cluster)

    def leave_an_idle_cluster(self):
        self.slurm("scancel", "--user", str(os.getuid()))
        self.wait_until(lambda: not self.slurm("squeue", "--noheader"), "every job ends")
        self.assertEqual(slurm_processes(), [], "a job left processes behind")
        self.wait_until(lambda: len(self.slurm("sinfo", "-hN", "-pmain", "-tidle", "-o%N").split()) == 4, "every node is idle")

    def slurm(self, *words, **variables):
        result = subprocess.run(words, cwd=self.folder, env={**environment, **variables}, capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, f"{words}\n{result.stdout}{result.stderr}")
        return result.stdout.strip()

    def wait_until(self, condition, what, seconds=400):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                logs = "".join(f"--- {path.name}\n{path.read_text()}" for path in sorted(self.folder.glob("*.out")))
                self.fail(f"within {seconds} s it did not happen that {what}\n{self.slurm('squeue')}\n{logs}")
            time.sleep(0.1)

    # ---- Jobs ----
    def submit(self, *words, options=(), **variables):
        return self.slurm("sbatch", "--parsable", *options, str(SBATCH), *words, **variables)

    def train(self, *settings, options=(), **variables):
        return self.submit("train", CONFIG, *SETTINGS, *settings, options=options, **variables)

    def about(self, job):
        text = self.slurm("scontrol", "--oneliner", "show", "job", job)
        return dict(re.findall(r"(\w+)=(\S*)", text))

    def log(self, job):
        path = self.folder / f"elbo-{job}.out"
        return path.read_text() if path.exists() else ""

    def wait_for_end(self, job, state="COMPLETED"):
        self.wait_until(lambda: self.about(job)["JobState"] in ENDED, f"job {job} ends")
        self.assertEqual(self.about(job)["JobState"], state, self.log(job))

    def wait_for_training(self, job, steps=100):
        """Waits until the job's run has taken `steps` steps."""
        metrics = self.folder / f"runs/elbo-{job}/metrics.jsonl"
        before = None

        def reached():
            nonlocal before
            lines = metrics.read_text().splitlines() if metrics.exists() else []
            step = json.loads(lines[-1])["step"] if lines and lines[-1].endswith("}") else 0
            self.assertNotIn(self.about(job)["JobState"], ENDED, self.log(job))
            before = step if before is None else min(before, step)
            return step >= before + steps

        self.wait_until(reached, f"job {job} trains")
        self.assertEqual(self.about(job)["JobState"], "RUNNING", "the job was over before it could be disturbed")

    def assert_undisturbed(self, job, *settings):
        self.wait_for_end(job)
        # Standard output and error reach the log in any order.
        self.assertIn(undisturbed(*settings), self.log(job).splitlines()[-2:], self.log(job))
        self.assert_every_step_once(f"runs/elbo-{job}")

    def assert_every_step_once(self, directory):
        steps = [json.loads(line)["step"] for line in (self.folder / directory / "metrics.jsonl").read_text().splitlines()]
        self.assertEqual(steps, list(range(1, len(steps) + 1)))

    def checkpoints(self, job):
        return sorted(path.name for path in (self.folder / f"runs/elbo-{job}/checkpoints").glob("step_*.h5"))


class Jobs(SlurmTest):
    def test_every_number_of_nodes_and_every_launcher_ends_with_the_same_bits(self):
        jobs = [self.train(SHORT, options=(f"--nodes={nodes}", "--ntasks-per-node=1"), ELBO_LAUNCHER=launcher)
                for nodes, launcher in ((1, ""), (2, ""), (4, ""), (1, "srun"), (3, "srun:pmix"))]
        jobs.append(self.train(SHORT, options=("--nodes=2", "--ntasks-per-node=2"), ELBO_LAUNCHER="srun"))
        for job in jobs:
            self.assert_undisturbed(job, SHORT)
        self.assertIn("launcher mpirun, because", self.log(jobs[0]))
        self.assertIn("launcher srun:pmix, because ELBO_LAUNCHER says so", self.log(jobs[3]))

    def test_ranks_may_be_more_than_slurms_tasks(self):
        jobs = [self.train(SHORT, options=("--nodes=2",), ELBO_LAUNCHER=launcher, SLURM_GPUS_ON_NODE="3") for launcher in ("mpirun", "srun")]
        for job in jobs:
            self.assert_undisturbed(job, SHORT)
            self.assertIn("(nodes: 2, ranks on them: 3)", self.log(job))
            with h5py.File(self.folder / f"runs/elbo-{job}/checkpoints" / self.checkpoints(job)[-1]) as file:
                self.assertEqual(file.attrs["world_size"], 6)

    def test_without_mpirun_it_takes_srun(self):
        programs = self.folder / "bin"
        programs.mkdir()
        for program in pathlib.Path("/usr/bin").iterdir():
            if program.name not in ("mpirun", "mpiexec", "orterun"):
                (programs / program.name).symlink_to(program)
        job = self.train(SHORT, options=("--nodes=2", "--ntasks-per-node=1"), PATH=str(programs))
        self.assert_undisturbed(job, SHORT)
        self.assertIn("launcher srun:pmix, because there is no mpirun in PATH", self.log(job))

    def test_a_rank_that_crashes_as_it_starts_is_started_once_more(self):
        crashing = self.folder / "crashing"
        for launcher, times, state in (("srun", 1, "COMPLETED"), ("mpirun", 2, "FAILED")):
            with self.subTest(launcher=launcher):
                marks = self.folder / launcher
                marks.mkdir()
                crashing.write_text(f'''#!/bin/bash
if [ "$SLURMD_NODENAME" = node2 ]; then
  for time in $(seq {times}); do if mkdir {marks}/$time 2>/dev/null; then kill -SEGV $$; fi; done
fi
exec {ELBO} "$@"
''')
                crashing.chmod(0o755)
                job = self.train(SHORT, options=("--nodes=2", "--ntasks-per-node=1"), ELBO_LAUNCHER=launcher, ELBO=str(crashing))
                self.wait_for_end(job, state)
                self.assertEqual(len(list(marks.iterdir())), times)
                self.assertEqual(self.log(job).count("the ranks are started once more"), 1, self.log(job))
                if state == "COMPLETED":
                    self.assert_undisturbed(job, SHORT)

    def test_a_mistake_of_the_user_ends_the_job_in_one_sentence(self):
        unknown = self.train("--train.stepz=1", options=("--nodes=2", "--ntasks-per-node=1"))
        launcher = self.train(SHORT, ELBO_LAUNCHER="srun:pmix_v9")
        program = self.train(SHORT, ELBO="/nowhere/elbo")
        other_mpi = self.train(SHORT, options=("--ntasks=2",), ELBO_LAUNCHER="srun:none")
        alike = self.train(SHORT, options=("--array=1-2",))
        for job, sentence in ((unknown, "train.stepz"), (launcher, "ELBO_LAUNCHER=srun:pmix_v9: "), (program, "ELBO=/nowhere/elbo: "),
                              (other_mpi, "the launcher started 2 processes, but the number of MPI ranks is 1"),
                              (alike, "write {task} where they differ")):
            self.wait_for_end(job, "FAILED")
            about = self.about(job)
            self.assertEqual((about["ExitCode"], about["Restarts"]), ("2:0", "0"))
            # Ranks that are not connected each print the error.
            lines = {line for line in self.log(job).splitlines() if line.startswith("error: ")}
            self.assertEqual(len(lines), 1, self.log(job))
            self.assertIn(sentence, lines.pop())

    def test_a_rank_that_is_killed_ends_the_job_and_all_its_processes(self):
        for launcher, end in (("mpirun", signal.SIGKILL), ("srun", signal.SIGSEGV)):
            with self.subTest(launcher=launcher):
                job = self.train(LONG, options=("--nodes=2", "--ntasks-per-node=1"), ELBO_LAUNCHER=launcher)
                self.wait_for_training(job)
                ranks = [process for process, line in slurm_processes() if line.startswith(ELBO)]
                os.kill(ranks[0], end)
                self.wait_for_end(job, "FAILED")
                self.assertNotIn("once more", self.log(job))
                self.wait_until(lambda: not slurm_processes(), "its processes end")
                self.assertEqual(self.about(job)["Restarts"], "0")

    def test_scancel_leaves_a_checkpoint_and_no_process(self):
        for launcher in ("mpirun", "srun"):
            with self.subTest(launcher=launcher):
                job = self.train(LONG, options=("--nodes=2", "--ntasks-per-node=1"), ELBO_LAUNCHER=launcher)
                self.wait_for_training(job)
                self.slurm("scancel", job)
                self.wait_for_end(job, "CANCELLED")
                self.wait_until(lambda: not slurm_processes(), "its processes end")
                self.assertEqual(self.about(job)["Restarts"], "0")
                self.assertEqual(len(self.checkpoints(job)), 1)
                self.assertEqual(run(0, "verify", self.folder / f"runs/elbo-{job}").returncode, 0)
        again = self.train(LONG, f"--run.directory=runs/elbo-{job}")
        self.wait_for_end(again)
        self.assertIn(undisturbed(LONG), self.log(again).splitlines()[-2:])
        self.assert_every_step_once(f"runs/elbo-{job}")

    def test_tasks_of_an_array_train_each_their_own(self):
        array = self.train(SHORT, "--train.seed={task}", options=("--array=1-2",))
        for task in (1, 2):
            self.wait_for_end(f"{array}_{task}")
            job = self.about(f"{array}_{task}")["JobId"]
            self.assertIn(undisturbed(SHORT, f"--train.seed={task}"), self.log(job).splitlines()[-2:])
            self.assert_every_step_once(f"runs/elbo-{array}_{task}")


class Interruptions(SlurmTest):
    ANY_NODES = ("--nodes=1-4", "--exclusive")

    def nodes_of_starts(self, job):
        return re.findall(r"start \d+, on \S+ \(nodes: (\d)", self.log(job))

    def test_preempted_it_goes_on_where_there_is_room(self):
        for launcher in ("mpirun", "srun"):
            with self.subTest(launcher=launcher):
                job = self.train(LONG, options=self.ANY_NODES, ELBO_LAUNCHER=launcher)
                self.wait_for_training(job)
                self.slurm("sbatch", "--parsable", "--partition=urgent", "--nodes=3", "--exclusive", "--output=/dev/null",
                           "--wrap=sleep 100")
                self.assert_undisturbed(job, LONG)
                self.assertEqual(self.nodes_of_starts(job), ["4", "1"])
                self.leave_an_idle_cluster()

    def test_requeued_it_goes_on_without_a_drained_node(self):
        job = self.train(LONG, options=self.ANY_NODES)
        self.wait_for_training(job)
        self.addCleanup(self.slurm, "scontrol", "update", "nodename=node2", "state=resume")
        self.slurm("scontrol", "update", "nodename=node2", "state=drain", "reason=test")
        self.slurm("scontrol", "requeue", job)
        self.assert_undisturbed(job, LONG)
        self.assertEqual(self.nodes_of_starts(job), ["4", "3"])

    def test_ahead_of_the_time_limit_it_saves_itself_and_is_queued_again(self):
        # Slurm looks at the limits each half minute, counted from when it was started, and sends the signal half a minute early.
        # So the job is due ten seconds after its start, when Slurm checks the limits.
        starts = 1
        for seconds in (24, 80, 250):  # where the machine is faster than a moment ago, the job ends before its limit
            if starts > 1:
                break
            steps = f"--train.steps={self.steps_in(seconds)}"
            time.sleep((18 - (time.time() - (folder / "slurmctld.pid").stat().st_mtime)) % 30)
            job = self.train(steps, options=("--time=1", "--signal=B:USR1@20"))
            self.assert_undisturbed(job, steps)
            starts = len(self.nodes_of_starts(job))
        self.assertGreater(starts, 1)
        self.assertEqual(int(self.about(job)["Restarts"]), starts - 1)
        self.assertEqual(self.log(job).count("stopped before the time limit, with a checkpoint"), starts - 1)

    def steps_in(self, seconds):
        with tempfile.TemporaryDirectory() as directory:
            result = run(0, "train", CONFIG, *SETTINGS, "--train.steps=500", f"--run.directory={directory}/run")
            self.assertEqual(result.returncode, 0, result.stderr)
            lines = (pathlib.Path(directory) / "run/metrics.jsonl").read_text().splitlines()
        return int(500 / json.loads(lines[-1])["seconds"] * seconds)

    def test_a_node_that_is_lost_is_replaced(self):
        for which, position in (("the first", 0), ("another", -1)):
            with self.subTest(which=which):
                job = self.train(LONG, "--checkpoint.every_steps=50", options=("--nodes=2-3", "--exclusive"))
                self.wait_for_training(job)
                nodes = self.slurm("scontrol", "show", "hostnames", self.about(job)["NodeList"]).split()
                self.addCleanup(cluster, "node_back", nodes[position])
                cluster("node_lost", nodes[position])
                self.assert_undisturbed(job, LONG)
                self.assertEqual(self.about(job)["Restarts"], "1")
                last_nodes = self.slurm("scontrol", "show", "hostnames", self.about(job)["NodeList"]).split()
                self.assertNotIn(nodes[position], last_nodes)

    def test_a_node_that_hangs_is_replaced(self):
        job = self.train(LONG, "--checkpoint.every_steps=50", "--run.timeout=2", options=("--nodes=2-3", "--exclusive"))
        self.wait_for_training(job)
        node = self.slurm("scontrol", "show", "hostnames", self.about(job)["NodeList"]).split()[-1]
        self.addCleanup(self.wait_until, lambda: not slurm_processes(), "the processes of the node end")
        self.addCleanup(cluster, "node_back", node)
        cluster("node_hangs", node)
        self.assert_undisturbed(job, LONG)
        self.assertEqual(self.about(job)["Restarts"], "1")
        self.assertNotIn(node, self.slurm("scontrol", "show", "hostnames", self.about(job)["NodeList"]).split())
        self.assertRegex(self.log(job), r"error: rank \d on \S+ waited 2 s in \w+")

    def test_a_suspended_job_continues(self):
        job = self.train(LONG, "--run.timeout=2", options=("--nodes=2", "--ntasks-per-node=1"))
        self.wait_for_training(job)
        self.slurm("scontrol", "suspend", job)
        self.wait_until(lambda: all(state_of(process) == "T" for process, line in slurm_processes() if line.startswith(ELBO)), "its ranks stop")
        time.sleep(3)  # longer than run.timeout
        self.slurm("scontrol", "resume", job)
        self.assert_undisturbed(job, LONG)
        self.assertEqual(self.about(job)["Restarts"], "0")


class Sweeps(SlurmTest):
    def test_a_sweep_is_an_array_and_its_table_comes_at_the_end(self):
        sweep = [str(ROOT / "launch/sweep.sh"), CONFIG, *SETTINGS, SHORT, "--model.beta=1,4", "--train.seed=1..2", "--name=beta", "--slurm"]
        self.slurm(*sweep)
        self.wait_until(lambda: (self.folder / "runs/beta/report.html").exists(), "the report is written")
        rows = [line.split("\t") for line in (self.folder / "runs/beta/table.tsv").read_text().splitlines()]
        self.assertEqual(rows[0][:5], ["model.beta", "train.seed", "state", "step", "loss"])
        self.assertEqual(len(rows), 5)
        self.assertEqual([float(row[4]) for row in rows[1:]], sorted(float(row[4]) for row in rows[1:]))
        for row in rows[1:]:
            expected = undisturbed(SHORT, f"--model.beta={row[0]}", f"--train.seed={row[1]}")
            self.assertEqual(expected, f"fingerprint {row[-1]} step {row[3]}")
        again = self.slurm(*sweep)
        self.assertEqual(again.count("is finished"), 4, again)
        self.assertEqual(self.slurm("squeue", "--noheader", "--name=beta"), "")

    def test_the_trials_of_a_search_are_tasks_and_its_table_comes_with_the_last(self):
        settings = (*SETTINGS, SHORT, "--data.validation_fraction=0.01")
        array = self.submit("tune", CONFIG, *settings, "--model.beta=1..16:log", "--method=random", "--trials=3", "--trial={task}",
                            options=("--array=1-3",))
        for task in (1, 2, 3):
            self.wait_for_end(f"{array}_{task}")
        rows = [line.split("\t") for line in (self.folder / "runs/mnist_vae_tune/table.tsv").read_text().splitlines()]
        self.assertEqual(len(rows), 4, rows)
        found = {row["run"]: row for row in (dict(zip(rows[0], row)) for row in rows[1:])}
        self.assertEqual(sorted(found), ["trial_001", "trial_002", "trial_003"])
        bests = [re.findall(r"(?m)^best: (\w+) with", self.log(self.about(f"{array}_{task}")["JobId"])) for task in (1, 2, 3)]
        self.assertIn([min(found, key=lambda name: float(found[name]["loss"]))], bests)
        # An evaluation does not change the parameters.
        row = found["trial_002"]
        self.assertIn(undisturbed(*settings[len(SETTINGS):], f"--model.beta={row['model.beta']}"),
                      f"fingerprint {row['fingerprint']} step {row['step']}")


if __name__ == "__main__":
    unittest.main()
