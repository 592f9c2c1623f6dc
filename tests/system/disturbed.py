"""A small run that is disturbed from outside while it trains, and how to compare it with one that was not."""
import hashlib
import json
import os
import pathlib
import subprocess
import time

import h5py
import numpy

from program import ENVIRONMENT, ROOT, command, processes_with

SETTINGS = ("--train.batch=32", "--train.microbatch=8", "--network.hidden=32", "--model.latent=4")
# Fields of metrics.jsonl that measure time.
MEASURED = ("seconds", "samples_per_s", "data_wait_seconds", "step_seconds")


def write_table(path):
    """1000 rows of 20 columns; the weights of column 0 never change, as it is 0."""
    x = numpy.random.default_rng(0).normal(size=(1000, 20)).astype("f4")
    x[:, 0] = 0
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "tabular"
        file["train/x"] = x
        file["validation/x"] = x[:100]


def seal(path):
    """The checksum of a checkpoint that was changed."""
    content = path.read_bytes()
    with open(path, "r+b") as file:
        file.write(f"elbo checkpoint\nsha256 {hashlib.sha256(content[512:]).hexdigest()}\n".encode())


def last_step(folder):
    """The last step in the metrics of the run in `folder`, 0 without one."""
    try:
        with open(folder / "metrics.jsonl", "rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - 4096))
            return json.loads(file.read().splitlines()[-1])["step"]
    except (OSError, IndexError, ValueError):
        return 0


def metrics(folder):
    """The lines of the run's metrics, without what depends on the machine."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in line.items() if key not in MEASURED} for line in lines]


def variable_of(process, name):
    """An environment variable of another process, or None."""
    try:
        variables = pathlib.Path(f"/proc/{process}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    return next((variable.decode()[len(name) + 1:] for variable in variables if variable.startswith(name.encode() + b"=")), None)


def ranks_of(folder):
    """Process ids by rank; a run without mpirun has rank 0 only."""
    return {int(variable_of(process, "OMPI_COMM_WORLD_RANK") or 0): process for process in processes_with(str(folder))}


class DisturbedRun:
    """A run in progress. Its output goes to pipes, or to `output`."""

    def __init__(self, ranks, data, folder, *settings, wrapper=(), **options):
        words = ("train", data, f"--run.directory={folder}", *SETTINGS, *settings)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL}
        self.folder = folder
        self.process = subprocess.Popen(command(ranks, *words, wrapper=wrapper), cwd=ROOT, text=True,
                                        **{"env": ENVIRONMENT, **pipes, **options})

    def is_over(self):
        return self.process.poll() is not None

    def wait_until(self, condition, seconds=300):
        """Whether the condition held before the run was over."""
        end = time.monotonic() + seconds
        while not condition():
            if self.is_over() or time.monotonic() > end:
                return False
            time.sleep(0.001)
        return True

    def wait_for_step(self, step):
        return self.wait_until(lambda: last_step(self.folder) >= step)

    def end(self, seconds=600):
        """Exit code, output and errors."""
        output, errors = self.process.communicate(timeout=seconds)
        return self.process.returncode, output, errors


def flip_bit(process, checkpoint, row=5, column=10, bit=23):
    """Flips a bit of a weight of the first layer in the memory of a process that is stopped; how many copies of it were found. They
    are found by the weight of column 0 in the checkpoint, which never changes."""
    with h5py.File(checkpoint) as file:
        names = file["parameters"].attrs["order"].split("\n")
        weights = file[f"parameters/{names[0]}"][...]
    key, size, found = weights[row, 0].tobytes(), 4 * weights.shape[1], 0
    with open(f"/proc/{process}/mem", "r+b", 0) as memory:
        for line in pathlib.Path(f"/proc/{process}/maps").read_text().splitlines():
            span, mode = line.split()[:2]
            first, end = (int(word, 16) for word in span.split("-"))
            if not mode.startswith("rw") or end - first > 1 << 31:
                continue
            try:
                memory.seek(first)
                content = memory.read(end - first)
            except OSError:
                continue
            at = content.find(key)
            while at >= 0:
                values = numpy.frombuffer(content[at:at + size].ljust(size, b"\0"), "f4")
                if numpy.all(numpy.isfinite(values)) and numpy.corrcoef(values, weights[row])[0, 1] > 0.9:
                    place = first + at + 4 * column
                    memory.seek(place)
                    value = int.from_bytes(memory.read(4), "little") ^ 1 << bit
                    memory.seek(place)
                    memory.write(value.to_bytes(4, "little"))
                    found += 1
                at = content.find(key, at + 1)
    return found
