#!/usr/bin/env python3
"""Compiles every header of src/ as the only include of a file: a header must include what it uses.

LibTorch's headers take most of ten seconds, so each of the few that our headers include is compiled once: a header that reaches
one of them, directly or through another of ours, is compiled after it. A header that reaches none sees nothing of LibTorch.
"""
import functools
import re
import subprocess
import sys

from compilation import BUILD, ROOT, SOURCES, digest, flags, is_remembered, run_all

FOLDER = BUILD / "lint"
LIBTORCH = re.compile(r"(torch|ATen|c10)/")
COMPILER = ["clang++", "-O0"]  # as for the sanitized build; GCC takes half as long again


@functools.cache
def libtorch_of(header):
    """The headers of LibTorch that a header of ours includes, directly or through others of ours."""
    found = set()
    for bracket, name in re.findall(r'^#include ([<"])([^>"]+)[>"]', (SOURCES / header).read_text(encoding="utf-8"), re.MULTILINE):
        if bracket == '"':
            found |= libtorch_of(name)
        elif LIBTORCH.match(name):
            found.add(name)
    return frozenset(found)


def joined(words):
    """Options with their values in one word: -isystem FOLDER is -isystemFOLDER."""
    result = []
    for word in words:
        if word.startswith("-"):
            result.append(word)
        else:
            result[-1] += word
    return result


def precompile(headers, options, index):
    """Compiles LibTorch's headers named; returns the options that put them before a source."""
    file = FOLDER / f"libtorch_{index}.h"
    file.write_text("".join(f"#include <{name}>\n" for name in sorted(headers)), encoding="utf-8")
    # Templates are instantiated here, not once more at the end of every source.
    subprocess.run([*COMPILER, *options, "-fpch-instantiate-templates", "-x", "c++-header", file, "-o", f"{file}.pch"],
                   cwd=ROOT, check=True)
    return ["-include-pch", f"{file}.pch"]


def commands():
    table = flags()
    compiled = {file.parent for file in table}
    # One set for all: what a folder may include is the subject of include_direction.py.
    options = list(dict.fromkeys(option for words in table.values() for option in joined(words)))
    before = {frozenset(): []}
    for header in sorted(SOURCES.glob("elbo/**/*.h")):
        name = str(header.relative_to(SOURCES))
        if header.parent not in compiled:
            print(f"{name}: not checked, because no file beside it is compiled on this machine")
            continue
        source = FOLDER / f"{name}.cpp"
        source.parent.mkdir(parents=True, exist_ok=True)
        source.write_text(f'#include "{name}"\n', encoding="utf-8")
        command = [*COMPILER, *options, "-fsyntax-only", source]
        key = digest(command, source)
        if is_remembered(key):
            continue
        libtorch = libtorch_of(name)
        if libtorch not in before:
            before[libtorch] = precompile(libtorch, options, len(before))
        yield name, [*command, *before[libtorch]], key


FOLDER.mkdir(parents=True, exist_ok=True)
failed = [(name, output) for name, output, succeeded in run_all(commands()) if not succeeded]
for name, output in failed:
    print(f"{name} does not compile alone:\n{output}")
sys.exit(1 if failed else 0)
