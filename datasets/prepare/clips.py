#!/usr/bin/env python3
"""The frames of videos as OUT/train/NAME/0000.png …; the last fifth of each is in OUT/test: clips.py FOLDER OUT"""
import pathlib
import sys

import av

SIDE = 128  # pixels of the shorter side

folder, out = map(pathlib.Path, sys.argv[1:])
for path in sorted(folder.glob("*.mp4")):
    with av.open(str(path)) as video:
        frames = [frame.to_image() for frame in video.decode(video=0)]
    for number, frame in enumerate(frames):
        target = out / ("train" if number < len(frames) * 4 // 5 else "test") / path.stem / f"{number:04}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        scale = SIDE / min(frame.size)
        frame.resize([round(side * scale) for side in frame.size]).save(target)
    print(f"{path.stem}: {len(frames)} frames")
