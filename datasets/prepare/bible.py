#!/usr/bin/env python3
"""The verses printed by the program bible, one per line: bible … | bible.py OUT.txt

"Name N" opens a chapter, "  N text" opens a verse, every other line that is not empty continues the verse.
"""
import pathlib
import re
import sys

verses, chapters, books, last_was_empty = [], 0, set(), True
for line in sys.stdin:
    if opened := re.match(r"  \d+ (.*)", line):
        verses.append(opened[1])
    elif last_was_empty and (chapter := re.match(r"(\S.*) \d+$", line)):
        chapters += 1
        books.add(chapter[1])
    elif line.strip():
        verses[-1] += " " + line.strip()
    last_was_empty = not line.strip()
if (found := (len(verses), chapters, len(books))) != (31102, 1189, 66):
    sys.exit("error: the text has %d verses in %d chapters of %d books; expected 31102, 1189 and 66" % found)
pathlib.Path(sys.argv[1]).write_text("".join(verse + "\n" for verse in verses), encoding="utf-8")
