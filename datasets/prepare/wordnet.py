#!/usr/bin/env python3
"""The example phrases of WordNet, or its definitions, without repetitions, one per line:
wordnet.py FOLDER OUT.txt [examples|definitions]"""
import pathlib
import re
import sys

folder, out, which = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), (sys.argv[3:] or ["examples"])[0]


def texts_of(gloss):
    """A gloss is a definition, then examples in quotation marks, with semicolons between."""
    quoted = r'"([^"]+)"'
    return re.findall(quoted, gloss) if which == "examples" else [re.sub(quoted, "", gloss).strip(" ;:")]


texts = {}  # in the order of the files
for part in ("noun", "verb", "adj", "adv"):
    for line in (folder / f"data.{part}").read_text(encoding="latin1").splitlines():
        if not line.startswith("  "):  # these lines are the licence
            texts.update(dict.fromkeys(texts_of(line.partition("|")[2])))
out.write_text("".join(" ".join(text.split()) + "\n" for text in texts if text.strip()), encoding="utf-8")
