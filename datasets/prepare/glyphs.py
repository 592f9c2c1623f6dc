#!/usr/bin/env python3
"""Letters and digits in all typefaces of a folder, as x_train, y_train, x_test, y_test: glyphs.py FOLDER OUT.npz

Faces that lack a character, duplicate another face, or draw other things than letters are left out. All
faces of a family are in one split; related families (the free versions of PostScript's fonts) are in train.
"""
import hashlib
import pathlib
import string
import sys

import numpy
from fontTools.ttLib import TTFont
from PIL import Image, ImageDraw, ImageFont

CHARACTERS = string.ascii_letters + string.digits
SIDE, POINTS = 32, 22
# These draw stars, patterns or faces, or characters too small to read.
NO_LETTERS = {"90stars", "D050000L", "bin01st", "binx01s", "codelife", "fauxsnow", "hdmaker", "lineding", "skullcap",
              "symmetry"}
RELATED = {"urw-base35", "tex-gyre", "freefont", "liberation2"}


def family_of(path):
    """The first word of the family's name, "lato" for Lato Light."""
    with TTFont(path, lazy=True) as font:
        name = (font["name"].getBestFamilyName() or path.stem).lower()
    return name.replace("-", " ").split()[0]


def draw(path):
    """(62, 32, 32) bytes, dark on white; None for a face that lacks a character."""
    with TTFont(path, lazy=True) as font:
        if not all(ord(character) in (font.getBestCmap() or {}) for character in CHARACTERS):
            return None
    face = ImageFont.truetype(str(path), POINTS)
    images = []
    for character in CHARACTERS:
        image = Image.new("L", (SIDE, SIDE), 255)
        ImageDraw.Draw(image).text((SIDE / 2, SIDE / 2), character, font=face, fill=0, anchor="mm")
        images.append(numpy.asarray(image))
    return numpy.stack(images)


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    drawn = {}  # digest of the capitals → drawings and where they come from
    for path in sorted(folder.rglob("*.[ot]tf")):
        images = None if path.stem in NO_LETTERS else draw(path)
        if images is not None:
            drawn.setdefault(hashlib.sha256(images[26:52].tobytes()).digest(), (images, path))
    faces = numpy.stack([images for images, _ in drawn.values()])
    paths = [path for _, path in drawn.values()]
    test = numpy.array([path.parent.name not in RELATED and hashlib.sha256(family_of(path).encode()).digest()[0] < 26
                        for path in paths])
    splits = {}
    for split, chosen in (("train", ~test), ("test", test)):
        splits[f"x_{split}"] = faces[chosen].reshape(-1, 1, SIDE, SIDE)
        splits[f"y_{split}"] = numpy.tile(numpy.arange(len(CHARACTERS), dtype=numpy.int32), chosen.sum())
    print(f"{len(faces)} typefaces, {test.sum()} of them for test")
    numpy.savez(out, **splits)


if __name__ == "__main__":
    main()
