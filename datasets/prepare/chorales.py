#!/usr/bin/env python3
"""Chorales of four parts from MusicXML, as the pitches that sound at each eighth note: chorales.py FOLDER OUT.json

Repeats and pick-up bars are taken as written. A hash of its notes assigns a piece to train, valid or test, so that repeated
pieces are in one split.
"""
import hashlib
import json
import pathlib
import sys
import xml.etree.ElementTree
import zipfile

SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}
STEPS_A_QUARTER = 2
SPLITS = ["train"] * 8 + ["valid", "test"]


def midi_pitch(pitch):
    alter = round(float(pitch.findtext("alter", "0")))
    return 12 * (int(pitch.findtext("octave")) + 1) + SEMITONES[pitch.findtext("step")] + alter


def notes_of(part):
    """([(onset, length, MIDI pitch)], length of the part), in quarter notes."""
    divisions, measure_start, notes = 1, 0, []
    for measure in part.findall("measure"):
        now = end = last_onset = measure_start
        for element in measure:
            if element.tag == "attributes":
                divisions = int(element.findtext("divisions", str(divisions)))
            elif element.tag in ("backup", "forward"):
                sign = 1 if element.tag == "forward" else -1
                now += sign * float(element.findtext("duration")) / divisions
            elif element.tag == "note" and element.find("grace") is None:
                length = float(element.findtext("duration")) / divisions
                in_chord = element.find("chord") is not None
                onset = last_onset if in_chord else now
                if (pitch := element.find("pitch")) is not None:
                    notes.append((onset, length, midi_pitch(pitch)))
                if not in_chord:
                    last_onset, now = now, now + length
            end = max(end, now)
        measure_start = end
    return notes, measure_start


def parts_of(path):
    with zipfile.ZipFile(path) as archive:
        name = next(name for name in archive.namelist()
                    if name.endswith((".xml", ".musicxml")) and not name.startswith("META-INF"))
        root = xml.etree.ElementTree.fromstring(archive.read(name))
    return [(notes, length) for notes, length in map(notes_of, root.findall("part")) if notes]


def roll_of(parts):
    steps = round(STEPS_A_QUARTER * max(length for _, length in parts))
    roll = [set() for _ in range(steps)]
    for notes, _ in parts:
        for onset, length, pitch in notes:
            for step in range(steps):
                if onset <= step / STEPS_A_QUARTER < onset + length:
                    roll[step].add(pitch)
    return [sorted(pitches) for pitches in roll]


def main():
    folder, out = map(pathlib.Path, sys.argv[1:])
    rolls = {split: [] for split in SPLITS}
    for path in sorted(folder.glob("*.mxl")):
        parts = parts_of(path)
        if len(parts) != 4:
            continue
        roll = roll_of(parts)
        digest = hashlib.sha256(json.dumps(roll).encode()).digest()
        rolls[SPLITS[digest[0] % len(SPLITS)]].append(roll)
    steps = [step for pieces in rolls.values() for roll in pieces for step in roll]
    print(f"{sum(map(len, rolls.values()))} pieces, {len(steps)} steps, {sum(map(len, steps)) / len(steps):.2f} notes a step")
    out.write_text(json.dumps(rolls))


if __name__ == "__main__":
    main()
