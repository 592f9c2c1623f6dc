#!/usr/bin/env python3
"""Compares every #include of src/elbo/ with the libraries of src/CMakeLists.txt: a folder may include the folders that its
library links to, directly or not. Only comm/ may include MPI and NCCL, only hdf5/ the HDF5 library.

    include_direction.py               checks the checkout; exits 1 if an include goes the wrong way
    include_direction.py --self-test   checks that the check finds what it is for
"""
import pathlib
import re
import sys
import tempfile

# library header → the files that may include it
RESERVED = {
    r"mpi\w*\.h": r"comm/",
    r"nccl\w*\.h": r"comm/",
    r"(hdf5\w*|H5\w*)\.h": r"hdf5/",
}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
LIBRARY = re.compile(r"^\s*elbo_library\((\w+)(?: ELBO ([\w ]*?))?(?= LIBRARIES|\)|$)", re.MULTILINE)


def known_to(cmake_lists):
    """Folder → the folders that it may include: itself and all that its library links to, directly or not."""
    table = {}
    for folder, direct in LIBRARY.findall(cmake_lists):
        table[folder] = {folder}.union(*(table[other] for other in direct.split()))
    table[""] = set(table)  # main.cpp
    return table


def violations(source):
    table, src = known_to((source / "CMakeLists.txt").read_text(encoding="utf-8")), source / "elbo"
    for file in sorted(p for p in src.rglob("*") if p.suffix in {".h", ".cpp"}):
        name = file.relative_to(src).as_posix()
        folder = name.split("/")[0] if "/" in name else ""
        if folder not in table:
            yield f"{name}: the folder {folder}/ has no library in src/CMakeLists.txt"
            continue
        for quote, target in INCLUDE.findall(file.read_text(encoding="utf-8")):
            for header, allowed in RESERVED.items():
                if re.fullmatch(header, target) and not re.match(allowed, name):
                    yield f"{name}: includes <{target}>, which only {allowed.replace('|', ' and ')}* may"
            if quote == "<":
                continue
            parts = target.split("/")
            if not target.startswith("elbo/") or not (source / target).is_file():
                yield f'{name}: "{target}" is not a path from src/, as in "elbo/base/error.h"'
            elif len(parts) > 2 and parts[1] not in table[folder]:
                yield f'{name}: includes "{target}", but {folder}/ must not include {parts[1]}/'


def self_test():
    libraries = "elbo_library(base LIBRARIES Boost)\nelbo_library(comm ELBO base)\nelbo_library(nn ELBO base)\nelbo_library(train ELBO comm\n  LIBRARIES x)\n"
    cases = {  # file: (contents, words of the message, or None if it is allowed)
        "base/error.h": ("#include <string>\n", None),
        "base/up.h": ('#include "elbo/nn/layers.h"\n', "base/ must not include nn/"),
        "nn/layers.h": ('#include "elbo/base/error.h"\n', None),
        "nn/side.cpp": ('  #  include "elbo/comm/world.h"\n', "nn/ must not include comm/"),
        "comm/world.h": ("#include <mpi.h>\n#include <nccl.h>\n", None),
        "nn/mpi.cpp": ("#include <mpi.h>\n", "includes <mpi.h>"),
        "train/trainer.cpp": ("#include <hdf5.h>\n", "includes <hdf5.h>"),
        "train/over.cpp": ('#include "elbo/base/error.h"\n', None),
        "train/short.cpp": ('#include "base/error.h"\n', "not a path from src/"),
        "train/relative.cpp": ('#include "../base/missing.h"\n', "not a path from src/"),
        "main.cpp": ('#include "elbo/train/over.cpp"\n', None),
        "extra/new.h": ("", "no library"),
    }
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder)
        (source / "CMakeLists.txt").write_text(libraries, encoding="utf-8")
        for name, (text, _) in cases.items():
            (source / "elbo" / name).parent.mkdir(exist_ok=True, parents=True)
            (source / "elbo" / name).write_text(text, encoding="utf-8")
        found = list(violations(source))
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
