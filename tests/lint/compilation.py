"""The compiler flags of the files of src/, from build/compile_commands.json, and a function that runs commands in parallel."""
import concurrent.futures
import json
import os
import pathlib
import re
import shlex
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = ROOT / "build"


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


def run_all(commands, keep_going=lambda: True):
    """Runs (name, command) pairs on all cores; yields (name, output, succeeded). Starts no more once keep_going() is false."""
    def run(pair):
        name, command = pair
        if not keep_going():
            return None
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        return name, result.stdout, result.returncode == 0

    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        yield from filter(None, pool.map(run, commands))
