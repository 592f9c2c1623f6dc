"""The compiler flags of the files of src/, from build/compile_commands.json, and a function that runs commands in parallel.

A command without findings is remembered under ~/.cache/elbo/lint by a digest of all it read: ccache does the same for compilers."""
import concurrent.futures
import functools
import hashlib
import json
import os
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"
SOURCES = ROOT / "src"
REMEMBERED = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "elbo/lint"


def flags():
    """Source file → compiler flags, without the files named and without the precompiled header, which hides omissions.

    All files of a library have its flags: in a unity build, the commands do not name files of src/."""
    table = {}
    for entry in json.loads((BUILD / "compile_commands.json").read_text(encoding="utf-8")):
        library = re.search(r"-o src/CMakeFiles/elbo_(\w+)\.dir/", entry["command"])
        if not library:
            continue
        words = iter(shlex.split(entry["command"]))
        kept = []
        for word in words:
            if word in {"-o", "-c", "-include"}:
                next(words)
            elif word not in {"-Winvalid-pch", "-Wno-subobject-linkage"}:  # the latter is GCC's alone
                kept.append(word)
        compiler = next(i for i, word in enumerate(kept) if word.startswith("-"))  # after ccache and its settings
        folders = {"main": [""], "cuda": ["comm/cuda", "kernels/cuda"], "arrow": ["convert/arrow"]}.get(library[1], [library[1]])
        for folder in folders:
            for file in (ROOT / "src/elbo" / folder).glob("*.cpp"):
                table[file] = kept[compiler:]
    return table


@functools.cache
def tools():
    """Versions of all packages of this system and of deps/, so of tools and of headers that are not ours; None where unknown."""
    try:
        system = subprocess.run(["dpkg-query", "--show"], check=True, stdout=subprocess.PIPE).stdout
    except (OSError, subprocess.CalledProcessError):
        return None
    return system + repr(sorted(folder.name for folder in ROOT.glob("deps/**/*.dist-info"))).encode()


@functools.cache
def reached(file):
    """The file and what it includes of src/, directly or through other files."""
    found = {file}
    for name in re.findall(r'^#include "([^"]+)"', file.read_text(encoding="utf-8"), re.MULTILINE):
        included = SOURCES / name  # an absolute name stays as it is
        if included.exists():
            found |= reached(included)
    return frozenset(found)


def digest(command, source):
    """Of all that decides about the output of the command, wherever the checkout is; None where that is not known."""
    if tools() is None:
        return None
    content = hashlib.sha256(tools())
    content.update(repr([str(word).replace(str(ROOT), "") for word in command]).encode())
    for file in (ROOT / ".clang-tidy", *sorted(reached(source))):
        text = file.read_text(encoding="utf-8").replace(str(ROOT), "")
        content.update(f"{file.relative_to(ROOT)} {len(text)} {text}".encode())
    return content.hexdigest()


def is_remembered(key):
    """Whether the command with this digest had no findings before."""
    return key is not None and (REMEMBERED / key).exists()


def run_all(commands):
    """Runs (name, command, digest) triples on all cores; yields (name, output, succeeded)."""
    def run(triple):
        name, command, key = triple
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        if key is not None and result.returncode == 0:
            REMEMBERED.mkdir(parents=True, exist_ok=True)
            (REMEMBERED / key).touch()
        return name, result.stdout, result.returncode == 0

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from pool.map(run, commands)
