"""Cases that disturb a run while it trains."""
import errno
import functools
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import time

from trial import EVALUATED, MODELS, PHASES, RUN, STEPS, WORLDS, Lost, Missed, check, reach
from disturbed import DisturbedRun, flip_bit, last_step, ranks_of
from program import run as run_program

HOST = socket.gethostname()
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU, "closed pipe")


def model_of(trial):
    return f"--model.name={trial.dice.choice(MODELS)}"


def kills(trial):
    """SIGKILL of a rank, of all ranks or of mpirun, at any moment."""
    settings = (*RUN, model_of(trial))
    ranks = trial.dice.choice(WORLDS)
    run = trial.start(ranks, *settings)
    if trial.dice.random() < 0.3:
        reach(trial, run, trial.dice.choice(PHASES[:3]), lambda: ranks_of(run.folder).get(max(ranks, 1) - 1))
    else:
        step = trial.dice.randrange(1, STEPS)
        if not run.wait_for_step(step):
            raise Missed
    victims = list(ranks_of(run.folder).values())
    victims = trial.dice.choice([[process] for process in victims] + [victims, [run.process.pid]])
    for process in victims:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            pass
    code, _, _ = run.end()
    if code == 0:
        raise Missed
    trial.check_all_gone()
    trial.resume_elsewhere(ranks, *settings)


def signals(trial):
    """A request to stop, in each phase; or nobody reads the output any more."""
    phase, number = PHASES[trial.number % len(PHASES)], SIGNALS[trial.number // len(PHASES) % len(SIGNALS)]
    settings = (*RUN, model_of(trial))
    ranks = trial.dice.choice((0, 0, 2, 3))
    output = open(trial.folder / "output", "w+", encoding="utf-8")  # a pipe would be closed by its reader
    files = {} if number == "closed pipe" else {"stdout": output, "stderr": subprocess.STDOUT}
    run = trial.start(ranks, *settings, **files)
    rank = trial.dice.randrange(max(ranks, 1))
    reach(trial, run, phase, lambda: ranks_of(run.folder).get(rank))
    if number == "closed pipe":
        run.process.stdout.close()
        run.process.stderr.close()
        check(run.process.wait(timeout=60) == 0, f"{phase}, nobody reads: exit code {run.process.returncode}")
        trial.check_undisturbed(trial.resume(ranks, *settings), *settings)
        return
    process = ranks_of(run.folder).get(rank)
    if process is None:
        raise Missed
    complete = (run.folder / f"checkpoints/step_{STEPS:09}.h5").exists()
    steps = last_step(run.folder)
    os.kill(process, number)
    code = run.process.wait(timeout=60)
    output.seek(0)
    text = output.read()
    what = f"{number.name} in phase {phase} to rank {rank} of {ranks}: exit code {code}\n{text[-2000:]}"
    if code == 0:
        check(steps >= STEPS - 1, what)
    elif phase == "loading" and not run.folder.exists():
        pass  # ended by the signal, as the program had not begun yet
    else:
        check(code == 75 and not complete, what)
        saved = int(re.search(r"(?m)^fingerprint \w+ step (\d+)$", text)[1])
        check((run.folder / f"checkpoints/step_{saved:09}.h5").exists(), what)
    trial.check_all_gone()
    trial.resume_elsewhere(ranks, *settings)


TIMEOUT = 3  # of the runs with ranks that hang


def stops(trial):
    """SIGSTOP of one rank, in each phase: the rank is named, and everything is gone soon."""
    phase = PHASES[trial.number % len(PHASES)]
    ranks = trial.dice.choice((2, 3))
    run = trial.start(ranks, *RUN, f"--run.timeout={TIMEOUT}", wrapper=("env", f"ELBO_START_TIMEOUT={TIMEOUT}"))
    culprit = trial.dice.randrange(ranks)
    reach(trial, run, phase, lambda: ranks_of(run.folder).get(culprit))
    process = ranks_of(run.folder).get(culprit)
    if process is None:
        raise Missed
    os.kill(process, signal.SIGSTOP)
    start = time.monotonic()
    try:
        code, _, errors = run.end(seconds=30)
    except subprocess.TimeoutExpired:
        if list(ranks_of(run.folder)) == [culprit]:  # all ranks had left MPI, and only the launcher waits
            raise Missed from None
        raise
    seconds = time.monotonic() - start
    what = f"rank {culprit} of {ranks} (process {process}) stopped in phase {phase}; exit code {code} after {seconds:.1f} s\n{errors[-2000:]}"
    if code == 0:
        raise Missed  # its work was done
    found = [line for line in errors.splitlines() if line.startswith("error: ")]
    check(code == 69 and len(found) == 1, what)
    check(f"rank {culprit} on {HOST} (process {process}) is stopped" in found[0], what)
    # The limit of MPI's start begins when the other ranks have loaded their libraries.
    check(seconds < TIMEOUT + (4 if phase in ("loading", "start") else 2), what)
    trial.check_all_gone()


LONG = ("--train.steps=1500", "--evaluate.every=500", "--checkpoint.every_steps=100")


def suspensions(trial):
    """SIGSTOP of all ranks for longer than run.timeout, then SIGCONT: the run goes through, and waits for nobody."""
    ranks = trial.dice.choice((2, 3))
    run = trial.start(ranks, *LONG, f"--run.timeout={TIMEOUT}")
    if not run.wait_for_step(trial.dice.randrange(1, 1200)):
        raise Missed
    processes = list(ranks_of(run.folder).values())
    for number, seconds in ((signal.SIGSTOP, TIMEOUT + 1), (signal.SIGCONT, 0)):
        for process in processes:
            os.kill(process, number)
        time.sleep(seconds)
    code, output, errors = run.end()
    check(code == 0, f"exit code {code}\n{errors[-2000:]}")
    trial.check_undisturbed(output, *LONG)


def flips(trial):
    """A bit of a weight flips in the memory of a rank: it is found, nothing of it is saved, and the run ends as if undisturbed."""
    settings = ("--train.steps=1500", "--evaluate.every=never", "--checkpoint.every_steps=200")
    ranks = trial.dice.choice((0, 0, 2))
    run = trial.start(ranks, *settings)
    if not run.wait_for_step(220 + trial.dice.randrange(1000)):
        raise Missed
    rank, process = trial.dice.choice(sorted(ranks_of(run.folder).items()))
    os.kill(process, signal.SIGSTOP)
    newest = max((run.folder / "checkpoints").glob("step_*.h5"))
    row, column, bit = trial.dice.randrange(32), trial.dice.randrange(20), trial.dice.randrange(32)
    stopped_at = last_step(run.folder)
    copies = flip_bit(process, newest, row, column, bit)
    os.kill(process, signal.SIGCONT)
    code, output, errors = run.end()
    what = f"bit {bit} of weight {row}, {column} of rank {rank} of {ranks}, {copies} copies, after step {stopped_at}: exit code {code}\n{errors[-2000:]}"
    check(copies > 0 and code == 0, what)
    try:
        trial.check_undisturbed(output, *settings)
    except Lost as error:
        raise Lost(f"{error}: {what}") from None
    if "goes back from step" not in errors:
        raise Missed  # its owner's value replaced it before a gradient was computed with it: the bits are the undisturbed ones
    check(f"rank {rank} " in errors, what)


# ---- disks ----

class Disk:
    """The files below a folder, which disk.c makes fail."""

    def __init__(self, references, folder):
        self.library = references.folder / "disk.so"
        if not self.library.exists():
            source = pathlib.Path(__file__).with_name("disk.c")
            subprocess.run(["cc", "-shared", "-fPIC", "-O1", "-o", self.library, source, "-ldl"], check=True)
        self.control = folder.with_name(f"{folder.name}.control")
        self.control.write_bytes(bytes(12))
        self.wrapper = ("env", f"LD_PRELOAD={self.library}", f"FAULT_FOLDER={folder}", f"FAULT_CONTROL={self.control}")

    def write(self, place, value):
        with open(self.control, "r+b") as file:
            file.seek(4 * place)
            file.write(struct.pack("i", value))

    def fail_with(self, error):
        self.write(0, error)

    def kill_in_call(self, number):
        self.write(1, number)

    def calls(self):
        return struct.unpack("3i", self.control.read_bytes())[2]


ERRORS = ("ENOSPC", "EIO", "EROFS", "ESTALE", "EDQUOT", "removed")


def disk_faults(trial):
    """No file of the run can be written for a while, or its folder is removed: the run reaches its end without a restart."""
    what = ERRORS[trial.number % len(ERRORS)]
    ranks = trial.dice.choice((0, 0, 2))
    disk = Disk(trial.references, trial.run_folder)
    run = trial.start(ranks, *LONG, wrapper=disk.wrapper)
    if not run.wait_for_step(trial.dice.randrange(20, 1400)):
        raise Missed
    calls = disk.calls()
    if what == "removed":
        shutil.rmtree(run.folder, ignore_errors=True)
    else:
        disk.fail_with(getattr(errno, what))
        time.sleep(trial.dice.uniform(0.1, 2))
        disk.fail_with(0)
    code, output, errors = run.end()
    check(code == 0, f"{what}: exit code {code}\n{errors[-2000:]}")
    if what != "removed" and disk.calls() == calls:
        raise Missed
    trial.check_undisturbed(output, *LONG)
    verified = run_program(0, "verify", run.folder)
    check(verified.returncode == 0, f"{what}: {verified.stdout}{verified.stderr}")


@functools.cache
def calls_of_a_run(references, settings):
    folder = references.folder / "counted"
    disk = Disk(references, folder)
    code, _, errors = DisturbedRun(0, references.data, folder, *settings, wrapper=disk.wrapper).end()
    check(code == 0, errors)
    return disk.calls()


def crash_points(trial):
    """The process is killed in each call by which checkpoints, links and their removal reach the disk."""
    settings = ("--train.steps=60", "--evaluate.every=30", "--checkpoint.every_steps=10", "--checkpoint.keep_last=2")
    disk = Disk(trial.references, trial.run_folder)
    disk.kill_in_call(trial.number * calls_of_a_run(trial.references, settings) // trial.count + 1)
    code, _, errors = trial.start(0, *settings, wrapper=disk.wrapper).end()
    check(code == -signal.SIGKILL, f"exit code {code} after {disk.calls()} calls\n{errors}")
    trial.resume_elsewhere(0, *settings)
    partial = [name for name in os.listdir(trial.run_folder / "checkpoints") if "partial" in name]
    check(not partial, f"left: {partial}")


# ---- long ----

def memory_of(process):
    """Resident bytes of this process alone and open descriptors."""
    rollup = pathlib.Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    kilobytes = sum(int(line.split()[1]) for line in rollup if line.startswith(("Private_Clean", "Private_Dirty")))
    return kilobytes << 10, len(os.listdir(f"/proc/{process}/fd"))


def soak(trial):
    """20,000 steps with checkpoints, evaluations and kills: neither memory nor descriptors grow."""
    total = 20000
    settings = (f"--train.steps={total}", "--evaluate.every=500", "--checkpoint.every_steps=100")
    for ranks, until in ((2, 9000), (0, 12000), (3, 13000), (0, total)):
        run = trial.start(ranks, *settings, "--resume")
        begin = last_step(run.folder)
        seen = []  # step, bytes, descriptors of rank 0
        while last_step(run.folder) < until and not run.is_over():
            processes = ranks_of(run.folder)
            step = last_step(run.folder)
            try:
                if step > begin + 1000 and 0 in processes:
                    seen.append((step, *memory_of(processes[0])))
            except (OSError, ValueError):
                pass
            time.sleep(0.2)
        if until < total:
            process = trial.dice.choice(list(ranks_of(run.folder).values()))
            os.kill(process, signal.SIGKILL)
        code, output, errors = run.end()
        check((code == 0) == (until == total), f"exit code {code} at step {last_step(run.folder)}\n{errors[-2000:]}")
        trial.check_all_gone()
        third = len(seen) // 3
        if until - begin < 5000 or third < 3:
            continue
        for index, (name, allowed) in enumerate((("bytes", 2 << 20), ("descriptors", 3)), start=1):
            early, late = (max(entry[index] for entry in part) for part in (seen[:third], seen[-third:]))
            print(f"soak: steps {seen[0][0]} to {seen[-1][0]} on {ranks} ranks: {name} at most {early} in the first third, {late} in the last")
            check(late <= early + allowed, f"{name} grow from {early} to {late} between steps {seen[0][0]} and {seen[-1][0]}")
    trial.check_undisturbed(output, *settings)
