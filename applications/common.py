"""What the scripts of applications/ share: options, runs of elbo, intervals over seeds, the table and the image of a field.

A script calls start() once, trains and measures with the functions of the Job it gets, adds a line for each method to a Table,
and writes it. Everything is written into the folder of --out, never elsewhere.
"""
import argparse
import hashlib
import json
import os
import pathlib
import shlex
import subprocess
import sys

import numpy

ROOT = pathlib.Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs/applications"
MAX_IMAGE_BYTES = 150_000


def fail(message):
    """Ends the script as elbo ends for a mistake of the user."""
    print(f"error: {message}", file=sys.stderr)
    sys.exit(2)


def start(field, description, data=None, add_options=None):
    """Reads the command line. data: the name of the set that datasets/get.sh makes, the default of --data; none: there are
    several, or no choice."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=pathlib.Path, default=ROOT / "runs/applications" / field,
                        help="folder for runs, table.md, table.json and images; a job that was stopped continues there")
    parser.add_argument("--ranks", type=int, default=2, help="ranks that train and evaluate (results do not depend on them)")
    parser.add_argument("--seeds", type=int, default=3, help="runs of each setting, with train.seed 1, 2, …")
    parser.add_argument("--short", action="store_true", help="seconds on data that the script makes: shows that it works")
    if data:
        parser.add_argument("--data", type=pathlib.Path, default=ROOT / f"datasets/{data}.h5",
                            help=f"HDF5 file of elbo; datasets/get.sh {data} makes the default")
    if add_options:
        add_options(parser)
    return Job(field, parser.parse_args())


class Job:
    """One call of a script: its options, and elbo with them."""

    def __init__(self, field, options):
        self.field, self.options, self.short = field, options, options.short
        if options.ranks < 1 or options.seeds < 1:
            fail("--ranks and --seeds are at least 1")
        self.seeds = range(1, options.seeds + 1)
        self.program = os.environ.get("ELBO", str(ROOT / "build/elbo"))
        if not os.access(self.program, os.X_OK):
            fail(f"{self.program} does not exist; build it with launch/setup.sh --build, or set ELBO=PROGRAM")
        self.out = options.out.resolve()
        self._claim_folder()

    def _claim_folder(self):
        """The folder is new or empty, or that of the same field: nobody else's files are touched."""
        mark = self.out / "application.json"
        mine = {"field": self.field, "short": self.short}
        if mark.exists():
            if json.loads(mark.read_text()) != mine:
                fail(f"{self.out} holds results of another field or form ({mark.read_text().strip()}); choose another --out")
            return
        if self.out.exists() and any(self.out.iterdir()):
            fail(f"{self.out} is not empty and was not made by applications/{self.field}.py; choose another --out")
        self.out.mkdir(parents=True, exist_ok=True)
        mark.write_text(json.dumps(mine) + "\n")

    def data(self):
        """The data set of the long form."""
        return self._existing(self.options.data.resolve())

    def data_named(self, name):
        """One of several data sets, for fields that have no single --data: that of datasets/get.sh."""
        return self._existing(ROOT / f"datasets/{name}.h5")

    def _existing(self, path):
        if not path.exists():
            fail(f"{path} does not exist; datasets/get.sh {path.stem} makes it, or name yours with --data=FILE")
        return path

    def elbo(self, *words, ranks=None, accept=(0,)):
        """Runs a command of elbo from the root of the checkout; its stdout. The script ends with an exit status not in `accept`."""
        ranks = self.options.ranks if ranks is None else ranks
        environment = dict(os.environ)
        if os.geteuid() == 0:  # as in containers, where Open MPI refuses without these
            environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
        launcher = ["mpirun", "--oversubscribe", "--bind-to", "none", "-n", str(ranks)] if ranks > 1 else []
        command = [*launcher, self.program, *map(str, words)]
        result = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        if result.returncode not in accept:
            print(result.stderr, file=sys.stderr)
            print(f"error: {shlex.join(command)} ended with status {result.returncode}; its messages are above", file=sys.stderr)
            sys.exit(1)
        return result.stdout

    def train(self, name, config, *settings, changeable=(), minutes=None):
        """Trains a configuration into OUT/name, or continues the run that is there; its folder.

        config: a file in configs/applications, without .ini, or a path. settings: --section.key=value; changeable: those that may
        be others when the run is continued, such as its length. minutes: training stops after this time, saved."""
        run = self.out / name
        path = CONFIGS / f"{config}.ini" if isinstance(config, str) else config
        settings = [str(word) for word in settings]
        mark = hashlib.sha256((path.read_text() + "\n".join(settings)).encode()).hexdigest()
        marker = run.with_name(run.name + ".settings")
        limit, accept = ([f"--run.time_limit={minutes}"], (0, 75)) if minutes else ([], (0,))
        if (run / "run.ini").exists():
            if not marker.exists() or marker.read_text() != mark:
                fail(f"{run} was trained with other settings; choose another --out, or remove that folder")
            self.elbo("train", run, "--resume", *changeable, *limit, accept=accept)
        else:
            run.parent.mkdir(parents=True, exist_ok=True)
            marker.write_text(mark)
            self.elbo("train", path, f"--run.directory={run}", *settings, *changeable, *limit, accept=accept)
        return run

    def evaluate(self, run, *options):
        """What elbo evaluate measures, as a dictionary (docs/metrics.md)."""
        out = run.with_name(run.name + ".evaluation.json")
        out.unlink(missing_ok=True)
        self.elbo("evaluate", run, f"--out={out}", *options)
        return json.loads(out.read_text())

    def rows(self, command, run, *words):
        """The arrays that a command writes (encode, score, sample, reconstruct, predict, …), by name."""
        out = run.with_name(f"{run.name}.{command}.npz")
        self.elbo(command, run, *words, f"--out={out}", "--force")
        with numpy.load(out) as file:
            return {name: file[name] for name in file.files}

    def command(self):
        """The command that made the table, as a reader types it."""
        return shlex.join(["python3", f"applications/{self.field}.py",
                           *(word for word in sys.argv[1:] if not word.startswith(("--out", "--data")))])


def length(job):
    """--steps as a setting, for scripts that have this option."""
    return [f"--train.steps={job.options.steps}"] if job.options.steps else []


def metrics(run):
    """The lines of RUN/metrics.jsonl."""
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def interval(values, samples=10_000):
    """The mean of `values`, one of each seed, and its 95 % bootstrap interval (None for one value; Efron & Tibshirani 1993)."""
    values = numpy.asarray(values, float)
    if len(values) < 2:
        return float(values.mean()), None, None
    chosen = numpy.random.default_rng(0).integers(0, len(values), (samples, len(values)))
    low, high = numpy.percentile(values[chosen].mean(1), [2.5, 97.5])
    return float(values.mean()), float(low), float(high)


class Table:
    """Methods × measures of a field. `measures` has the names of the columns, {name: format} such as {"AUROC": ".4f"}."""

    def __init__(self, job, title, measures):
        self.job, self.title, self.measures, self.lines, self.notes = job, title, measures, [], []

    def add(self, method, values, kind="baseline"):
        """values: {measure: a number, or a list with one of each seed}. kind: elbo, baseline or quoted (from a paper)."""
        unknown = set(values) - set(self.measures)
        assert not unknown, f"{unknown} are not columns of the table"
        entry = {}
        for name, value in values.items():
            value = numpy.atleast_1d(value).astype(float)
            mean, low, high = interval(value)
            entry[name] = {"mean": mean, "low": low, "high": high, "values": value.tolist()}
        self.lines.append({"method": method, "kind": kind, "measures": entry})
        print(self._line(self.lines[-1]), flush=True)

    def note(self, text):
        self.notes.append(text)
        print(text, flush=True)

    def _cell(self, name, entry):
        if name not in entry:
            return "–"
        form, value = self.measures[name], entry[name]
        text = format(value["mean"], form)
        if value["low"] is None:
            return text
        return f"{text} [{value['low']:{form}}, {value['high']:{form}}]"

    def _line(self, line):
        quoted = " (quoted)" if line["kind"] == "quoted" else ""
        method = f"**{line['method']}**" if line["kind"] == "elbo" else line["method"] + quoted
        return "| " + " | ".join([method, *(self._cell(name, line["measures"]) for name in self.measures)]) + " |"

    def markdown(self):
        head = ["| " + " | ".join(["method", *self.measures]) + " |", "|---" * (1 + len(self.measures)) + "|"]
        return "\n".join([f"# {self.title}", "", f"`{self.job.command()}`", "", *head, *map(self._line, self.lines),
                          *(f"\n{note}" for note in self.notes)]) + "\n"

    def write(self, name="table"):
        """OUT/name.md and OUT/name.json."""
        (self.job.out / f"{name}.md").write_text(self.markdown())
        result = {"field": self.job.field, "title": self.title, "command": self.job.command(), "seeds": len(self.job.seeds),
                  "measures": list(self.measures), "methods": self.lines, "notes": self.notes}
        (self.job.out / f"{name}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n")
        print(self.job.out / f"{name}.md")


def pyplot():
    """matplotlib.pyplot without a display, or None where matplotlib is missing."""
    try:
        import matplotlib
    except ImportError:
        print("no image is drawn: matplotlib is not installed (pip install -r applications/requirements.txt)", flush=True)
        return None
    matplotlib.use("Agg")
    import matplotlib.pyplot
    return matplotlib.pyplot


def save_figure(job, figure, name=None):
    """OUT/NAME.png, of at most 150 kB."""
    path = job.out / f"{name or job.field}.png"
    for dpi in (110, 90, 70, 50):
        figure.savefig(path, dpi=dpi, bbox_inches="tight", metadata={"Software": None})
        if path.stat().st_size <= MAX_IMAGE_BYTES:
            break
    else:  # noise, as in spectrograms: a palette takes a quarter
        from PIL import Image
        Image.open(path).convert("P", palette=Image.Palette.ADAPTIVE, colors=32).save(path, optimize=True)
    print(path)


def save_grid(job, images, columns, name=None, scale=2):
    """OUT/NAME.png: grey images (n, height, width) in [0, 1], in rows of `columns`."""
    from PIL import Image
    images = numpy.clip(numpy.asarray(images, float), 0, 1)
    lines = -(-len(images) // columns)
    padded = numpy.ones((lines * columns, images.shape[1] + 1, images.shape[2] + 1))
    padded[:len(images), :-1, :-1] = images
    sheet = padded.reshape(lines, columns, *padded.shape[1:]).swapaxes(1, 2).reshape(lines * padded.shape[1], -1)
    image = Image.fromarray((sheet * 255).round().astype("u1"))
    path = job.out / f"{name or job.field}.png"
    image.resize((image.width * scale, image.height * scale), Image.NEAREST).save(path, optimize=True)
    print(path)


def scikit_learn():
    """The package, or None in the short form where it is missing; the long form ends with a sentence."""
    try:
        import sklearn
        return sklearn
    except ImportError:
        if "--short" not in sys.argv:
            fail("scikit-learn is not installed; pip install -r applications/requirements.txt")
        print("baselines of scikit-learn are left out: it is not installed", flush=True)
        return None


def assert_disjoint(train, test, what):
    """Ends the script if a row (or a name) of `test` is among those of `train`."""
    def keys(rows):
        return {row.tobytes() if isinstance(row, numpy.ndarray) else row for row in rows}
    both = keys(train) & keys(test)
    if both:
        fail(f"{len(both)} {what} are in training and in test, such as {min(map(str, both))[:60]}")
