#!/usr/bin/env python3
"""Compiles every header of src/ as the only include of a file: a header must include what it uses."""
import os
import shutil
import sys

from compilation import BUILD, ROOT, flags, run_all


def commands():
    by_folder = {}
    for file, options in flags().items():
        by_folder.setdefault(file.parent, options)
    ccache = [shutil.which("ccache")] if shutil.which("ccache") else []
    for header in sorted((ROOT / "src/elbo").rglob("*.h")):
        name = header.relative_to(ROOT / "src")
        options = by_folder.get(header.parent)
        if options is None:
            print(f"{name}: not checked, because no file beside it is compiled on this machine")
            continue
        source = BUILD / "lint" / f"{name}.cpp"
        source.parent.mkdir(parents=True, exist_ok=True)
        text = f'#include "{name}"\n'
        if not source.exists() or source.read_text() != text:
            source.write_text(text)
        yield name, [*ccache, os.environ.get("CXX", "c++"), *options, "-O0", "-c", str(source), "-o", f"{source}.o"]


failed = [(name, output) for name, output, succeeded in run_all(commands()) if not succeeded]
for name, output in failed:
    print(f"{name} does not compile alone:\n{output}")
sys.exit(1 if failed else 0)
