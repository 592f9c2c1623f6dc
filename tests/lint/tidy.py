#!/usr/bin/env python3
"""Runs clang-tidy on src/, last changed files first, with a time limit: LibTorch's headers take 10 s per file.

    tidy.py [SECONDS]   the limit, by default 300; prints how many files were not checked
"""
import json
import os
import subprocess
import sys
import time

from compilation import BUILD, ROOT, flags, run_all

CLANG_TIDY = ROOT / "deps/clang_tidy/data/bin/clang-tidy"


def git(*arguments):
    return subprocess.run(["git", "-C", ROOT, *arguments], stdout=subprocess.PIPE, text=True, check=True).stdout


def newest_first(files):
    dirty = set(git("ls-files", "--modified", "--others", "--exclude-standard").splitlines())
    times = {}  # the first entry in the log is the last change
    for block in git("log", "--format=%x00%ct", "--name-only").split("\0")[1:]:
        when, *names = block.split()
        for name in names:
            times.setdefault(name, int(when))

    def age(file):
        name = os.path.relpath(file, ROOT)
        return (name not in dirty, -times.get(name, 0), name)
    return sorted(files, key=age)


def main(limit):
    database = BUILD / "lint"
    database.mkdir(parents=True, exist_ok=True)
    table = flags()
    (database / "compile_commands.json").write_text(json.dumps(
        [{"directory": str(BUILD), "file": str(file), "arguments": ["c++", *options, "-c", str(file)]}
         for file, options in table.items()]))
    files = newest_first(table)
    end = time.monotonic() + limit
    results = list(run_all(
        # The compiler reports deprecated functions in this code; clang-tidy would also report the standard library's.
        ((file, [CLANG_TIDY, "--quiet", "--extra-arg=-Wno-deprecated-declarations", "-p", database, file]) for file in files), lambda: time.monotonic() < end))
    failed = [output for _, output, succeeded in results if not succeeded]
    print("\n".join(failed), end="")
    rest = f"; {len(files) - len(results)} left out after {limit} s, whose last change is oldest" if len(results) < len(files) else ""
    print(f"clang-tidy: {len(results)} of {len(files)} files looked at, {len(failed)} with findings{rest}")
    return 1 if failed or not results else 0


sys.exit(main(int(sys.argv[1]) if sys.argv[1:] else 300))
