"""Cases of files: damaged checkpoints, and input that wants to break the program."""
import csv
import io
import os
import resource
import shutil
import struct
import subprocess
import wave
import zlib

import h5py
import numpy

from trial import check
from disturbed import SETTINGS, metrics, seal
from program import ELBO, ENVIRONMENT, ROOT

SETTINGS_OF_DAMAGED = ("--train.steps=60", "--evaluate.every=30", "--checkpoint.every_steps=10", "--checkpoint.keep_last=0")


def flip(dice, content):
    place = dice.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << dice.randrange(8)]) + content[place + 1:]


def overwrite(dice, content):
    """A piece becomes zeros, or random."""
    size = min(len(content), dice.choice((1, 4, 8, 512, 4096)))
    place = dice.randrange(len(content) - size + 1)
    piece = dice.choice((bytes(size), b"\xff" * size, dice.randbytes(size)))
    return content[:place] + piece + content[place + size:]


def truncate(dice, content):
    return content[:dice.randrange(len(content))]


def extend(dice, content):
    return content + dice.randbytes(dice.randrange(1, 5000))


def move(dice, content):
    """A piece is at another place, as after a lost write."""
    size = min(len(content) // 2, 512)
    source, target = (dice.randrange(len(content) - size) for _ in range(2))
    return content[:target] + content[source:source + size] + content[target + size:]


def change_values(dice, path):
    """Other values with checksums that are right."""
    with h5py.File(path, "r+") as file:
        group = file["parameters"]
        name = dice.choice(group.attrs["order"].split("\n"))
        kind = dice.randrange(4)
        if kind == 0:
            values = group[name][...]
            values.flat[dice.randrange(values.size)] += 1
            group[name][...] = values
        elif kind == 1:
            del group[name]
        elif kind == 2:
            file.attrs["fingerprint"] = "0" * 64
        else:
            file.attrs["step"] = dice.randrange(1 << 40)
    seal(path)


def damaged(trial):
    """The newest checkpoints are damaged or exchanged: the one before them is taken. If all are, the run is refused, and they stay."""
    dice, settings = trial.dice, SETTINGS_OF_DAMAGED
    shutil.copytree(trial.references.folder_of(*settings), trial.run_folder, symlinks=True)
    names = sorted((trial.run_folder / "checkpoints").glob("step_*.h5"))
    how = dice.choice((flip, flip, overwrite, truncate, extend, move, change_values, "exchange"))
    originals = [path.read_bytes() for path in names]
    victims = names[-dice.choice((1, 1, 1, 2, 3, len(names))):]
    for path in victims:
        content = path.read_bytes()
        if how == "exchange":
            path.write_bytes(dice.choice([other for other in originals if other != content]))
        elif how == change_values:
            change_values(dice, path)
        else:
            path.write_bytes(how(dice, content))
        if path.read_bytes() == content:
            path.write_bytes(flip(dice, content))
    if len(victims) < len(names):
        trial.check_undisturbed(trial.resume(0, *settings), *settings)
        return
    contents = [path.read_bytes() for path in names]
    code, _, errors = trial.start(0, *settings, "--resume").end()
    check(code == 1 and "none of its checkpoints is valid" in errors, f"all are damaged: exit code {code}\n{errors}")
    check([path.read_bytes() for path in names] == contents, "a damaged checkpoint was changed")


# ---- hostile input ----

def to_hdf5(path, dice):
    with h5py.File(path, "w", libver=dice.choice(("earliest", "latest"))) as file:
        options = dice.choice(({}, {"chunks": (10, 8)}, {"chunks": (10, 8), "compression": "gzip", "shuffle": True}))
        file.create_dataset("train/x", data=numpy.random.default_rng(0).random((100, 8), "f4"), **options)
        file["train/label"] = numpy.arange(100) % 3
        file.attrs["name"] = "hostile"


def to_csv(path, _):
    text = io.StringIO()
    csv.writer(text).writerows([["a", "b", "c"], *([i, i / 7, f"word {i % 3}"] for i in range(50))])
    path.write_text(text.getvalue())


def to_npy(path, _):
    numpy.save(path, numpy.random.default_rng(0).random((50, 8), "f4"))


def to_npz(path, _):
    numpy.savez_compressed(path, x=numpy.random.default_rng(0).random((50, 8), "f4"), label=numpy.arange(50) % 2)


def to_png(path, _):
    def chunk(name, content):
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
    rows = b"".join(b"\0" + bytes(range(8)) for _ in range(8))
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 0, 0, 0, 0)) +
                     chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def to_wav(path, _):
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(8000)
        file.writeframes(bytes(8000))


def to_idx(path, _):
    path.write_bytes(struct.pack(">IIII", 0x803, 20, 4, 4) + bytes(320))


def to_ini(path, _):
    path.write_text("[data]\npath = datasets/mnist.h5\n[train]\nsteps = 1\n[network]\nhidden = 8\n")


def to_text(path, _):
    path.write_text("the first line\nthe second line, with more words\n" * 20)


# Name of the file, what writes it, and the commands that read it; OUT is replaced.
KINDS = (
    ("data.h5", to_hdf5, (("inspect",), ("train", "--train.steps=2", "--run.directory=OUT"), ("verify",))),
    ("table.csv", to_csv, (("convert", "csv", "--out=OUT.h5"),)),
    ("rows.npy", to_npy, (("convert", "npy", "--out=OUT.h5"),)),
    ("rows.npz", to_npz, (("convert", "npz", "--out=OUT.h5"),)),
    ("images/image.png", to_png, (("convert", "images", "--out=OUT.h5"),)),
    ("sounds/sound.wav", to_wav, (("convert", "audio", "--out=OUT.h5"),)),
    ("images-idx3-ubyte", to_idx, (("convert", "idx", "--out=OUT.h5"),)),
    ("config.ini", to_ini, (("train", "--check"),)),
    ("lines.txt", to_text, (("convert", "text", "--out=OUT.h5"),)),
    ("run", None, (("inspect",), ("verify",), ("evaluate",), ("report", "--out=OUT.html"), ("train", "--resume"))),
)


MOST_KILOBYTES = 2 << 20  # of resident memory


def largest_child():
    """Kilobytes that the largest child process so far had in memory."""
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss


def hostile(trial):
    """A file with wrong sizes, cut or at random: an exit code of an error or none, one sentence, little memory, no hang."""
    dice = trial.dice
    name, write, commands = KINDS[trial.number % len(KINDS)]
    path = trial.folder / name
    path.parent.mkdir(exist_ok=True)
    if write is None:
        shutil.copytree(trial.references.folder_of(*SETTINGS_OF_DAMAGED), path, symlinks=True)
        victim = dice.choice([path / "run.ini", path / "metrics.jsonl", path / "events.jsonl", path / "description.h5",
                              max((path / "checkpoints").glob("step_*.h5"))])
    else:
        write(path, dice)
        victim = path
    content = victim.read_bytes()
    for _ in range(dice.randrange(1, 4)):
        content = dice.choice((flip, overwrite, overwrite, truncate, extend, move))(dice, content) or b"\0"
    victim.write_bytes(content)
    if write is None and victim.name.startswith("step_"):
        seal(victim)
    command, *more = dice.choice(commands)
    given = path.parent if path.parent != trial.folder else path
    place = 1 if command == "convert" else 0
    words = [command, *more[:place], given, *(word.replace("OUT", str(trial.folder / "out")) for word in more[place:])]
    before = largest_child()
    result = subprocess.run([ELBO, *map(str, words)], cwd=ROOT, env=ENVIRONMENT, capture_output=True, stdin=subprocess.DEVNULL, timeout=60)
    errors = result.stderr.decode(errors="replace")
    what = f"{words}, {victim.name}: exit code {result.returncode}\n{errors[-2000:]}"
    found = [line for line in errors.splitlines() if line.startswith("error: ")]
    check(result.returncode in (0, 1, 2), what)
    check(largest_child() == before or largest_child() < MOST_KILOBYTES, f"{largest_child()} KiB of memory: {what}")
    check(len(found) == (1 if result.returncode else 0) or (command == "verify" and not found), what)
    check(write is None or victim.read_bytes() == content, f"the file was changed: {what}")
    for text in (result.stdout, result.stderr):
        check(not any(byte < 32 and byte not in b"\n\r\t" or byte == 127 for byte in text), f"control characters: {what}")
    check(max(map(len, found), default=0) < 2000, f"a long message: {what}")
