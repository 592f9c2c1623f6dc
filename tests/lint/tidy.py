#!/usr/bin/env python3
"""Runs clang-tidy on src/, as many files at a time as the unity build has together: reading LibTorch's headers takes
longer than all else.

    tidy.py [FILE…]        looks only at the groups of these files
"""
import json
import os
import pathlib
import re
import sys

from compilation import BUILD, ROOT, flags, run_all

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
    database = []
    table = flags()
    wanted = {pathlib.Path(name).resolve() for name in sys.argv[1:]}
    if unknown := wanted - set(table):
        sys.exit(f"{min(unknown)}: is not a source file of build/compile_commands.json")
    looked_at = 0
    for name, files in batches(table):
        if wanted and not wanted & set(files):
            continue
        looked_at += len(files)
        batch = FOLDER / f"tidy_{name}.cpp"
        batch.write_text("".join(f'#include "{file}"\n' for file in files), encoding="utf-8")
        database.append({"directory": str(BUILD), "file": str(batch), "arguments": ["c++", *table[files[0]], "-c", str(batch)]})
    (FOLDER / "compile_commands.json").write_text(json.dumps(database), encoding="utf-8")
    # The compiler reports deprecated functions in this code; clang-tidy would also report the standard library's. In one file,
    # another's constant looks as if a parameter shadowed it.
    command = [CLANG_TIDY, "--quiet", "--config-file", ROOT / ".clang-tidy", "--checks=-bugprone-suspicious-include",
               "--extra-arg=-Wno-deprecated-declarations", "--extra-arg=-Wno-shadow", "-p", FOLDER]
    failed = [output for _, output, succeeded in run_all((os.path.basename(entry["file"]), [*command, entry["file"]])
                                                         for entry in database) if not succeeded]
    print("\n".join(failed), end="")
    print(f"clang-tidy: {looked_at} files looked at, {len(failed)} of {len(database)} groups with findings")
    return 1 if failed else 0


sys.exit(main())
