#!/usr/bin/env python3
"""Runs clang-tidy on src/, as many files at a time as the unity build has together: reading LibTorch's headers takes
longer than all else.

    tidy.py [FILE…]        looks only at the groups of these files
"""
import pathlib
import re
import sys

from compilation import BUILD, ROOT, digest, flags, is_remembered, run_all

CLANG_TIDY = ROOT / "deps/clang_tidy/data/bin/clang-tidy"
FOLDER = BUILD / "lint"


def batches(table):
    """The files of each source of the unity build, whose names do not collide, and the others one by one."""
    rest = set(table)
    for unity in sorted((BUILD / "src").glob("CMakeFiles/elbo_*.dir/Unity/*.cxx")):
        files = [pathlib.Path(name) for name in re.findall(r'#include "(.*)"', unity.read_text(encoding="utf-8"))]
        files = [file for file in files if file in rest]
        if files:
            rest -= set(files)
            yield f"{unity.parts[-3].removesuffix('.dir')}_{unity.stem}", files
    for file in sorted(rest):
        yield "_".join(file.relative_to(ROOT / "src").with_suffix("").parts), [file]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    table = flags()
    wanted = {pathlib.Path(name).resolve() for name in sys.argv[1:]}
    if unknown := wanted - set(table):
        sys.exit(f"{min(unknown)}: is not a source file of build/compile_commands.json")
    commands, files_of_all, groups = [], 0, 0
    for name, files in batches(table):
        if wanted and not wanted & set(files):
            continue
        files_of_all += len(files)
        groups += 1
        batch = FOLDER / f"tidy_{name}.cpp"
        batch.write_text("".join(f'#include "{file}"\n' for file in files), encoding="utf-8")
        # The compiler reports deprecated functions in this code; clang-tidy would also report the standard library's. In one
        # file, another's constant looks as if a parameter shadowed it.
        command = [CLANG_TIDY, "--quiet", "--config-file", ROOT / ".clang-tidy", "--checks=-bugprone-suspicious-include", batch, "--",
                   *table[files[0]], "-Wno-deprecated-declarations", "-Wno-shadow"]
        key = digest(command, batch)
        if not is_remembered(key):
            commands.append((batch.name, command, key))
    failed = [output for _, output, succeeded in run_all(commands) if not succeeded]
    print("\n".join(failed), end="")
    print(f"clang-tidy: {files_of_all} files; {groups - len(commands)} of {groups} groups have not changed since they had no findings; "
          f"{len(failed)} have findings")
    return 1 if failed else 0


sys.exit(main())
