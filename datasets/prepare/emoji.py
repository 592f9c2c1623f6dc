#!/usr/bin/env python3
"""The images of NotoColorEmoji.ttf on white, 32 × 32 pixels, as x_train and x_test: emoji.py FONT.ttf OUT.npz

Variants of an image (skin, hair, gender, direction) are in one split. All images of people are in train, because they are
very similar.
"""
import hashlib
import io
import pathlib
import sys

import numpy
from fontTools.ttLib import TTFont
from PIL import Image

SIDE = 32
PEOPLE = {0x1F468, 0x1F469, 0x1F9D1, 0x1F466, 0x1F467}  # man, woman, person, boy, girl
FIRST_LETTER, LAST_LETTER = 0x1F1E6, 0x1F1FF  # of flags, which are pairs of letters


def sequences_of(font):
    """Glyph → its characters."""
    characters = {glyph: (code,) for code, glyph in font.getBestCmap().items()}
    sequences = dict(characters)
    for lookup in font["GSUB"].table.LookupList.Lookup:
        for table in lookup.SubTable:
            table = getattr(table, "ExtSubTable", table)
            for first, ligatures in getattr(table, "ligatures", {}).items():
                for ligature in ligatures:
                    parts = [first, *ligature.Component]
                    if all(part in characters for part in parts):
                        sequences[ligature.LigGlyph] = sum((characters[part] for part in parts), ())
    return sequences


def group_of(sequence):
    """The common part of variants: the first character, or both for flags."""
    if sequence[0] in PEOPLE:
        return "people"
    return str(sequence[:2] if FIRST_LETTER <= sequence[0] <= LAST_LETTER else sequence[:1])


def image_of(data):
    image = Image.open(io.BytesIO(data)).convert("RGBA").crop((4, 0, 132, 128)).resize((SIDE, SIDE), Image.LANCZOS)
    ground = Image.new("RGBA", image.size, "white")
    ground.alpha_composite(image)
    return numpy.asarray(ground.convert("RGB"))


def main():
    path, out = map(pathlib.Path, sys.argv[1:])
    font = TTFont(path)
    sequences = sequences_of(font)
    splits, seen, unknown = {"x_train": [], "x_test": []}, set(), 0
    for strike in font["CBDT"].strikeData:
        for glyph, bitmap in strike.items():
            data = getattr(bitmap, "imageData", None)
            if data is None or data in seen:
                continue
            seen.add(data)
            unknown += glyph not in sequences
            group = group_of(sequences[glyph]) if glyph in sequences else "people"
            test = group != "people" and hashlib.sha256(group.encode()).digest()[0] < 40
            splits["x_test" if test else "x_train"].append(image_of(data))
    print(f"{len(seen)} different images, {len(splits['x_test'])} of them for test; "
          f"{unknown} of glyphs that stand for no characters, in train")
    numpy.savez(out, **{name: numpy.stack(images) for name, images in splits.items()})


if __name__ == "__main__":
    main()
