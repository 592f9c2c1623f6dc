#!/usr/bin/env python3
"""Runs clang-tidy on src/, two dozen files of a library at a time: reading LibTorch's headers takes longer than all else."""
import json
import os
import sys

from compilation import BUILD, ROOT, flags, run_all

CLANG_TIDY = ROOT / "deps/clang_tidy/data/bin/clang-tidy"
FOLDER = BUILD / "lint"
TOGETHER = 24


def batches(table):
    """Source files with equal flags and of one folder, whose names are unique among them as in a unity build."""
    folders = {}
    for file, options in sorted(table.items()):
        folders.setdefault((file.parent, tuple(options)), []).append(file)
    for (folder, options), files in folders.items():
        for start in range(0, len(files), TOGETHER):
            yield folder, start // TOGETHER, options, files[start:start + TOGETHER]


def main():
    FOLDER.mkdir(parents=True, exist_ok=True)
    database = []
    for folder, index, options, files in batches(flags()):
        batch = FOLDER / f"tidy_{folder.relative_to(ROOT / 'src').as_posix().replace('/', '_')}_{index}.cpp"
        batch.write_text("".join(f'#include "{file}"\n' for file in files), encoding="utf-8")
        database.append({"directory": str(BUILD), "file": str(batch), "arguments": ["c++", *options, "-c", str(batch)]})
    (FOLDER / "compile_commands.json").write_text(json.dumps(database), encoding="utf-8")
    # The compiler reports deprecated functions in this code; clang-tidy would also report the standard library's. In one file,
    # another's constant looks as if a parameter shadowed it.
    command = [CLANG_TIDY, "--quiet", "--config-file", ROOT / ".clang-tidy", "--checks=-bugprone-suspicious-include",
               "--extra-arg=-Wno-deprecated-declarations", "--extra-arg=-Wno-shadow", "-p", FOLDER]
    failed = [output for _, output, succeeded in run_all((os.path.basename(entry["file"]), [*command, entry["file"]])
                                                         for entry in database) if not succeeded]
    print("\n".join(failed), end="")
    print(f"clang-tidy: {len(flags())} files looked at, {len(failed)} of {len(database)} groups with findings")
    return 1 if failed else 0


sys.exit(main())
