#!/usr/bin/env python3
"""The example phrases of WordNet without repetitions, one per line: wordnet.py FOLDER OUT.txt"""
import pathlib
import re
import sys

folder, out = map(pathlib.Path, sys.argv[1:])
phrases = {}  # in the order of the files
for part in ("noun", "verb", "adj", "adv"):
    for line in (folder / f"data.{part}").read_text(encoding="latin1").splitlines():
        if not line.startswith("  "):  # these lines are the licence
            phrases.update(dict.fromkeys(re.findall(r'"([^"]+)"', line.partition("|")[2])))
out.write_text("".join(" ".join(phrase.split()) + "\n" for phrase in phrases if phrase.strip()), encoding="utf-8")
