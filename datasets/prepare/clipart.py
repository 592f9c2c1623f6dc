#!/usr/bin/env python3
"""Links to the PNG files of a folder that have from 64 to 4096 pixels a side: clipart.py FOLDER OUT"""
import os
import pathlib
import struct
import sys

SMALLEST, LARGEST = 64, 4096

folder, out = map(pathlib.Path, sys.argv[1:])
for path in sorted(folder.rglob("*.png")):
    with open(path, "rb") as file:
        start = file.read(24)
    if len(start) < 24 or start[12:16] != b"IHDR":
        continue
    if all(SMALLEST <= side <= LARGEST for side in struct.unpack(">II", start[16:24])):
        target = out / path.relative_to(folder)
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
