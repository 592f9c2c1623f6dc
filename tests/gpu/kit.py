"""A kit on a machine: where LibTorch and GPUs are, how elbo is run there, and what its runs left."""
import contextlib
import ctypes
import functools
import importlib.util
import json
import math
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent


class Failed(Exception):
    """The check's verdict, in a sentence."""


class NotRun(Exception):
    """Why a check says nothing about elbo here."""


def require(condition, sentence):
    if not condition:
        raise Failed(sentence)


def count_gpus():
    """By the driver itself, which needs no program."""
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    return count.value if cuda.cuInit(0) == 0 and cuda.cuDeviceGetCount(ctypes.byref(count)) == 0 else 0


def nvidia_smi():
    fields = ["name", "driver_version", "memory.total", "memory.used", "compute_mode"]
    try:
        output = subprocess.run(["nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"], capture_output=True,
                                text=True, timeout=30, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    return [dict(zip(fields, map(str.strip, line.split(",")))) for line in output.splitlines()]


def torch_folder(given):
    """The folder that holds torch/ and, beside it, the libraries of NVIDIA's wheels."""
    if given:
        return pathlib.Path(given).resolve()
    found = importlib.util.find_spec("torch")
    if found is None:
        sys.exit(f"error: {sys.executable} has no PyTorch; name a Python that has by PYTHON=…, or a folder with torch/ by --torch=…")
    return pathlib.Path(found.submodule_search_locations[0]).parent


def has_torch():
    return importlib.util.find_spec("torch") is not None


class Finished:
    def __init__(self, code, out, err, seconds, peak_mib):
        self.code, self.out, self.err, self.seconds, self.peak_mib = code, out, err, seconds, peak_mib

    def error(self):
        """The last line that says what was wrong."""
        lines = [line for line in (self.err + self.out).splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("error:")]
        return (errors or lines or [f"exit status {self.code} without a word"])[-1][:400]


class Kit:
    def __init__(self, folder, torch, device, work):
        self.folder, self.device, self.work = folder.resolve(), device, work
        libraries = [self.folder / "lib", torch / "torch/lib", *sorted(torch.glob("nvidia/*/lib"))]
        mpi = self.folder / "mpi"
        self.environment = {
            **os.environ,
            "LD_LIBRARY_PATH": os.pathsep.join([*map(str, libraries), *filter(None, [os.environ.get("LD_LIBRARY_PATH")])]),
            "PATH": f"{mpi / 'bin'}{os.pathsep}{os.environ['PATH']}",
            "OPAL_PREFIX": str(mpi), "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
            # One machine, without ssh; some sandboxes forbid reading another process's memory.
            "OMPI_MCA_plm": "isolated", "OMPI_MCA_pml": "ob1", "OMPI_MCA_btl": "self,vader",
            "OMPI_MCA_btl_vader_single_copy_mechanism": "none", "PMIX_MCA_pcompress_base_silence_warning": "1",
        }

    def check_folder(self):
        if not os.access(self.folder / "bin/elbo", os.X_OK):
            sys.exit(f"error: {self.folder} is not a kit; make one by tests/gpu/pack.sh")


class Job:
    """What a check works with: elbo, within the check's time."""

    def __init__(self, kit, name, limit):
        self.kit, self.device = kit, kit.device
        self.folder = kit.work / re.sub(r"\W+", "_", name)
        self.folder.mkdir(parents=True)
        self.end = time.monotonic() + limit
        self.calls = 0

    def left(self):
        return max(0.0, self.end - time.monotonic())

    def elbo(self, *words, ranks=0, **environment):
        launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks else []
        return self.run([*launcher, str(self.kit.folder / "bin/elbo"), *map(str, words)],
                        {**self.kit.environment, **environment})

    def run(self, command, environment):
        self.calls += 1
        begin = time.monotonic()
        with open(self.folder / f"{self.calls}.out", "w+b") as out, open(self.folder / f"{self.calls}.err", "w+b") as err:
            process = subprocess.Popen(command, cwd=self.kit.folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err,
                                       start_new_session=True)
            timer = threading.Timer(self.left(), os.killpg, (process.pid, signal.SIGKILL))
            timer.start()
            _, status, usage = os.wait4(process.pid, 0)
            late = timer.finished.is_set()
            timer.cancel()
            process.returncode = os.waitstatus_to_exitcode(status)
            texts = [file.seek(0) or file.read().decode(errors="replace") for file in (out, err)]
        require(not late, f"not done in time: {' '.join(command[-3:])}; {''.join(texts)[-300:]}")
        return Finished(process.returncode, *texts, time.monotonic() - begin, usage.ru_maxrss / 1024)

    def succeed(self, *words, **options):
        result = self.elbo(*words, **options)
        require(result.code == 0, f"exit status {result.code}: {result.error()}")
        return result

    def train(self, name, config, *settings, device=None, steps=None, ranks=0, **environment):
        """Trains into the folder `name`; the run that it made."""
        words = ["train", f"configs/{config}.ini", f"--run.directory={self.folder / name}", "--evaluate.every=never",
                 f"--train.device={device or self.device}", *settings]
        if steps:
            words.append(f"--train.steps={steps}")
        return Run(self.folder / name, self.succeed(*words, ranks=ranks, **environment))


class Run:
    def __init__(self, folder, result):
        self.folder, self.result = folder, result
        line = re.search(r"^fingerprint ([0-9a-f]{64}) step (\d+)$", result.out, re.MULTILINE)
        require(line, f"no fingerprint in: {result.out[-200:]}")
        self.fingerprint, self.step = line[1], int(line[2])

    @functools.cached_property
    def steps(self):
        lines = (self.folder / "metrics.jsonl").read_text().splitlines()
        return [line for line in map(json.loads, lines) if line["split"] == "train"]

    def loss(self, last):
        """The mean of the last steps."""
        losses = [line["loss"] for line in self.steps[-last:]]
        require(all(loss is not None and math.isfinite(loss) for loss in losses), "a loss is not finite")
        return statistics.fmean(losses)

    def samples_per_s(self, batch):
        """Of the run's second half."""
        first, last = self.steps[len(self.steps) // 2 - 1], self.steps[-1]
        return (last["step"] - first["step"]) * batch / (last["seconds"] - first["seconds"])

    def milliseconds(self):
        """Of a step, where they go: medians of the second half, and the mean of the wait for data."""
        half = self.steps[len(self.steps) // 2:]
        parts = {name: [line["step_seconds"].get(name, 0) for line in half] for name in ("compute", "exchange", "update", "publish")}
        spent = {name: round(1e3 * statistics.median(values), 3) for name, values in parts.items()}
        waited = half[-1]["data_wait_seconds"] - half[0]["data_wait_seconds"]  # since the start, summed over workers
        return {**spent, "data": round(1e3 * waited / max(1, half[-1]["step"] - half[0]["step"]), 3)}

    def device_mib(self):
        """Peak and total; none on a CPU."""
        memory = self.steps[-1].get("device_memory")
        return {name: round(memory[name] / 2**20) for name in ("peak", "total")} if memory else {}


def close(a, b, share):
    return abs(a - b) <= share * max(abs(a), abs(b))


def expect_sentence(result, code, *words):
    """The program ended with this status and one clear sentence that has the words; returns it."""
    text = result.err + result.out
    errors = [line for line in result.err.splitlines() if line.startswith("error:")]
    require(result.code == code, f"exit status {result.code}, expected {code}: {result.error()}")
    require(len(errors) == 1, f"{len(errors)} lines begin with 'error:', expected 1: {text[-300:]}")
    require(not re.search(r"frame #|c10::|Exception raised from|Traceback|\.cpp:\d", text), f"a trace of the code: {text[-400:]}")
    require(len(errors[0]) < 400, f"{len(errors[0])} characters are no sentence: {errors[0]}")
    for word in words:
        require(word.lower() in errors[0].lower(), f"the sentence lacks '{word}': {errors[0]}")
    return errors[0].removeprefix("error: ")


class Peer:
    """A process of peers.py. Whatever is waited for has the job's time, after which the process is killed."""

    def __init__(self, job, *words):
        if not has_torch():
            raise NotRun(f"{sys.executable} has no PyTorch")
        self.words = " ".join(map(str, words))
        self.errors = job.folder / f"peer_{words[0]}_{words[1].lstrip('-')}.err"
        with open(self.errors, "w", encoding="utf-8") as errors:
            self.process = subprocess.Popen([sys.executable, HERE / "peers.py", *map(str, words)], stdin=subprocess.PIPE,
                                            stdout=subprocess.PIPE, stderr=errors, text=True, start_new_session=True)
        if self.line(job) != "ready":
            self.close()
            raise NotRun(f"peers.py {self.words} did not become ready: {self.errors.read_text()[-300:]}")

    def line(self, job):
        timer = threading.Timer(job.left(), self.process.kill)
        timer.start()
        text = self.process.stdout.readline().strip()
        timer.cancel()
        return text

    def measure(self, job):
        print("go", file=self.process.stdin, flush=True)
        answer = self.line(job)
        if not answer:
            raise NotRun(f"peers.py {self.words} ended without an answer: {self.errors.read_text()[-300:]}")
        return json.loads(answer)

    def close(self):
        with contextlib.suppress(OSError):
            self.process.stdin.close()
        self.process.kill()
        self.process.wait()
