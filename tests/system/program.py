"""Runs elbo as users do, with mpirun and files. ELBO is the path of the program (set by ctest)."""
import os
import pathlib
import shutil
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
ELBO = os.environ.get("ELBO", str(ROOT / "build/elbo"))
ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "COLUMNS": "10000"}  # help with a line for each option


def command(ranks, *words, wrapper=()):
    launcher = [] if ranks == 0 else ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)]
    return [*launcher, *wrapper, ELBO, *map(str, words)]


def run(ranks, *words, seconds=600, wrapper=()):
    """ranks 0: without mpirun. seconds: after which it counts as hanging, also on a slow, busy machine. wrapper: a command that
    starts each rank."""
    return subprocess.run(command(ranks, *words, wrapper=wrapper), cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True,
                          timeout=seconds, stdin=subprocess.DEVNULL)


def start(ranks, *words):
    return subprocess.Popen(command(ranks, *words), cwd=ROOT, env=ENVIRONMENT, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, stdin=subprocess.DEVNULL)


def processes_with(text):
    """Ids of the processes of elbo whose command line contains `text`."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            line = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if line and line[0].decode() == ELBO and any(text in word.decode() for word in line):
            found.append(int(folder.name))
    return found


def processes_left(text, seconds=5):
    """Processes that still exist after a moment: mpirun does not wait until the kernel has freed the memory of killed ranks."""
    end = time.monotonic() + seconds
    while (found := processes_with(text)) and time.monotonic() < end:
        time.sleep(0.05)
    return found


class ProgramTest(unittest.TestCase):
    """A temporary folder for each test, and checks of outputs."""

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="elbo_test_"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def succeed(self, ranks, *words, **options):
        result = run(ranks, *words, **options)
        self.assertEqual(result.returncode, 0, f"{words}\n{result.stdout}{result.stderr}")
        self.assertNotIn("HDF5-DIAG", result.stderr)
        return result

    def train(self, ranks, name, *settings, config="configs/mnist_vae.ini"):
        """The fingerprint line of a training run into the folder `name`."""
        result = self.succeed(ranks, "train", config, f"--run.directory={self.folder / name}", *settings)
        line = result.stdout.splitlines()[-1]
        self.assertRegex(line, r"^fingerprint [0-9a-f]{64} step \d+$")
        return line
