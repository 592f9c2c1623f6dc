#!/usr/bin/env python3
"""The pictures of videos, OUT/train/NAME/0000.png …, the last fifth of each in OUT/test: clips.py FOLDER OUT"""
import pathlib
import sys

import av

SIDE = 128  # pixels of the shorter side

folder, out = map(pathlib.Path, sys.argv[1:])
for path in sorted(folder.glob("*.mp4")):
    with av.open(str(path)) as video:
        pictures = [frame.to_image() for frame in video.decode(video=0)]
    for number, picture in enumerate(pictures):
        target = out / ("train" if number < len(pictures) * 4 // 5 else "test") / path.stem / f"{number:04}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        scale = SIDE / min(picture.size)
        picture.resize([round(side * scale) for side in picture.size]).save(target)
    print(f"{path.stem}: {len(pictures)} pictures")
