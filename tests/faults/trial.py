"""One try of a case: a folder, random numbers, and what a run must end with."""
import dataclasses
import os
import pathlib
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "system"))
from disturbed import DisturbedRun, last_step, metrics, write_table  # noqa: E402 (the path is known from here on)
from program import processes_left, processes_with  # noqa: E402

STEPS, EVALUATED = 200, 100
RUN = (f"--train.steps={STEPS}", f"--evaluate.every={EVALUATED}", "--checkpoint.every_steps=20")
WORLDS = (0, 1, 2, 3)  # numbers of ranks; 0: without mpirun
MODELS = ("vae", "iwae", "aae", "factor_vae", "vamp_vae", "wae_mmd", "dip_vae", "iaf_vae")


class Lost(Exception):
    """Something was lost, or is not as it must be."""


class Missed(Exception):
    """The run was over before it was disturbed."""


def check(condition, text):
    if not condition:
        raise Lost(text)


@dataclasses.dataclass
class Undisturbed:
    fingerprint: str  # the last line of the output
    metrics: list


class References:
    """Runs that nobody disturbs, each made once."""

    def __init__(self, folder):
        self.folder = folder
        self.data = folder / "table.h5"
        self.results = {}
        write_table(self.data)

    def result(self, *settings):
        if settings not in self.results:
            folder = self.folder / f"undisturbed_{len(self.results)}"
            code, output, errors = DisturbedRun(0, self.data, folder, *settings).end(seconds=1800)
            check(code == 0, f"undisturbed: exit code {code}\n{errors}")
            self.results[settings] = Undisturbed(output.splitlines()[-1], metrics(folder)), folder
        return self.results[settings][0]

    def folder_of(self, *settings):
        self.result(*settings)
        return self.results[settings][1]


class Trial:
    def __init__(self, references, case, number, seed):
        self.references = references
        self.number = number
        self.dice = random.Random(f"{case} {number} {seed}")
        self.folder = references.folder / f"{case}_{number}"
        self.run_folder = self.folder / "run"
        self.folder.mkdir()

    def start(self, ranks, *settings, **options):
        return DisturbedRun(ranks, self.references.data, self.run_folder, *settings, **options)

    def check_undisturbed(self, output, *settings):
        """The run in the folder has come to its end with these settings, as if nothing had happened."""
        expected = self.references.result(*settings)
        check(output.splitlines()[-1:] == [expected.fingerprint], f"ends with {output.splitlines()[-1:]}, not {expected.fingerprint}")
        found = metrics(self.run_folder)
        check(len(found) == len(expected.metrics), f"{len(found)} lines of metrics, not {len(expected.metrics)}")
        for line, other in zip(found, expected.metrics):
            check(line == other, f"metrics: {line}, not {other}")

    def check_all_gone(self):
        left = processes_left(str(self.folder), seconds=20)
        check(not left, f"processes {left} were left")

    def resume(self, ranks, *settings):
        """The output of the run that continues, up to its end, without an error."""
        code, output, errors = self.start(ranks, *settings, "--resume").end()
        check(code == 0, f"resumed on {ranks} ranks: exit code {code}\n{errors}")
        return output

    def resume_elsewhere(self, ranks, *settings):
        other = self.dice.choice([world for world in WORLDS if world != ranks])
        self.check_undisturbed(self.resume(other, *settings), *settings)

    def pause(self, seconds):
        time.sleep(self.dice.uniform(0, seconds))

    def clean_up(self):
        for process in processes_with(str(self.folder)):
            os.kill(process, signal.SIGKILL)
        processes_left(str(self.folder))
        shutil.rmtree(self.folder, ignore_errors=True)


# ---- moments of a run ----

def handles(process, number):
    """Whether the process has a handler for a signal."""
    try:
        status = pathlib.Path(f"/proc/{process}/status").read_text()
    except OSError:
        return False
    caught = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("SigCgt:")), 0)
    return bool(caught >> (number - 1) & 1)


def writes_a_checkpoint(folder):
    try:
        return any(".partial-" in name for name in os.listdir(folder / "checkpoints"))
    except OSError:
        return False


PHASES = ("loading", "start", "checks", "training", "evaluation", "checkpoint", "end")


def reach(trial, run, phase, victim):
    """Waits for a random moment of the phase. victim(): a process of the run, or None as long as there is none."""
    def wait(condition):
        if not run.wait_until(condition):
            raise Missed
    wait(lambda: victim() is not None)
    if phase == "loading":
        trial.pause(0.1)
    elif phase == "start":
        wait(lambda: handles(victim(), signal.SIGTERM))
        trial.pause(0.1)
    elif phase == "checks":
        wait((run.folder / "checkpoints").exists)
        trial.pause(0.02)
    elif phase == "training":
        step = trial.dice.randrange(1, EVALUATED)
        wait(lambda: last_step(run.folder) >= step)
    elif phase == "evaluation":
        wait(lambda: last_step(run.folder) >= EVALUATED)
        trial.pause(0.05)
    elif phase == "checkpoint":
        step = trial.dice.randrange(1, STEPS - 40)
        wait(lambda: last_step(run.folder) >= step)
        wait(lambda: writes_a_checkpoint(run.folder))
    elif phase == "end":
        wait(lambda: last_step(run.folder) >= STEPS)
        trial.pause(0.05)
    if run.is_over():
        raise Missed
