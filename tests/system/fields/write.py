#!/usr/bin/env python3
"""Writes the files of the table: FOLDER/NUMBER/NAME, the rows and labels that belong to it as FOLDER/NUMBER/expected.npz, and
FOLDER/NUMBER/missing.txt where a library is missing.

    write.py FOLDER old|new
"""
import pathlib
import sys
import warnings

import numpy

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from families import FILES  # noqa: E402


def write(file, folder):
    folder.mkdir()
    try:
        returned = file.write(folder / file.name)
    except ImportError as error:
        (folder / "missing.txt").write_text(str(error))
        return
    if returned is None:
        return
    x, label = returned if isinstance(returned, tuple) else (returned, None)
    numpy.savez(folder / "expected.npz", x=x, **({} if label is None else {"label": label}))


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    for number, file in enumerate(FILES):
        if file.new == (sys.argv[2] == "new"):
            write(file, pathlib.Path(sys.argv[1], str(number)))
