#!/usr/bin/env python3
"""Holds every #include of src/ against the order of dependence:

    base ← {comm, data, nn} ← {parallel, objectives, convert} ← models ← eval ← train ← commands ← main

Folders in braces do not know each other. MPI and NCCL stay behind comm/, HDF5 behind data/ and the checkpoint.

    include_direction.py               checks the checkout; exits 1 if an include goes the wrong way
    include_direction.py --self-test   checks that the check finds what it is for
"""
import pathlib
import re
import sys
import tempfile

LAYERS = [["base"], ["comm", "data", "nn"], ["parallel", "objectives", "convert"], ["models"], ["eval"], ["train"], ["commands"]]
# library header → the files that may include it
RESERVED = {
    r"mpi\w*\.h": r"comm/",
    r"nccl\w*\.h": r"comm/",
    r"(hdf5\w*|H5\w*)\.h": r"data/|train/checkpoint",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def known_to():
    """Folder → the folders that it may include: itself and all layers below its own."""
    below, table = set(), {}
    for layer in LAYERS:
        for folder in layer:
            table[folder] = below | {folder}
        below |= set(layer)
    table[""] = below  # main.cpp and the precompiled header
    return table


def violations(src):
    table = known_to()
    for file in sorted(p for p in src.rglob("*") if p.suffix in {".h", ".cpp"}):
        name = file.relative_to(src).as_posix()
        folder = name.split("/")[0] if "/" in name else ""
        if folder not in table:
            yield f"{name}: the folder {folder}/ has no place in the order of dependence (tests/lint/include_direction.py)"
            continue
        for quote, target in INCLUDE.findall(file.read_text(encoding="utf-8")):
            for header, allowed in RESERVED.items():
                if re.fullmatch(header, target) and not re.match(allowed, name):
                    yield f"{name}: includes <{target}>, which only {allowed.replace('|', ' and ')}* may"
            if quote == "<":
                continue
            first = target.split("/")[0]
            if not (src / target).is_file():
                yield f'{name}: "{target}" is not a path from src/, as in "base/error.h"'
            elif "/" in target and first not in table[folder]:
                yield f'{name}: includes "{target}", but {folder}/ must not know {first}/'


def self_test():
    cases = {  # file: (contents, words of the message, or None where it is allowed)
        "base/error.h": ("#include <string>\n", None),
        "base/up.h": ('#include "nn/layers.h"\n', "base/ must not know nn/"),
        "nn/layers.h": ('#include "base/error.h"\n', None),
        "nn/side.cpp": ('  #  include "comm/world.h"\n', "nn/ must not know comm/"),
        "comm/world.h": ("#include <mpi.h>\n#include <nccl.h>\n", None),
        "nn/mpi.cpp": ("#include <mpi.h>\n", "includes <mpi.h>"),
        "data/hdf5.h": ("#include <hdf5.h>\n", None),
        "train/checkpoint_read.cpp": ("#include <hdf5.h>\n", None),
        "train/trainer.cpp": ("#include <hdf5.h>\n", "includes <hdf5.h>"),
        "train/relative.cpp": ('#include "../base/missing.h"\n', "not a path from src/"),
        "main.cpp": ('#include "train/checkpoint_read.cpp"\n', None),
        "extra/new.h": ("", "no place in the order"),
    }
    with tempfile.TemporaryDirectory() as folder:
        src = pathlib.Path(folder)
        for name, (text, _) in cases.items():
            (src / name).parent.mkdir(exist_ok=True)
            (src / name).write_text(text, encoding="utf-8")
        found = list(violations(src))
    expected = {name: words for name, (_, words) in cases.items() if words}
    missed = [name for name, words in expected.items() if not any(v.startswith(name) and words in v for v in found)]
    wrong = [v for v in found if v.split(":")[0] not in expected]
    return [f"self-test: {name} was not found" for name in missed] + [f"self-test: wrongly found {v}" for v in wrong]


if sys.argv[1:] == ["--self-test"]:
    messages = self_test()
else:
    messages = list(violations(pathlib.Path(__file__).resolve().parents[2] / "src"))
print("\n".join(messages), end="\n" if messages else "")
sys.exit(1 if messages else 0)
