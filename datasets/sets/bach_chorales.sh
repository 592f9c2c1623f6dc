# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Bach chorales"
shape="364 pieces of four parts as 366 + 40 + 31 rows, (128, 88): eighth notes × keys"
application="music"
license="music21: BSD-3-Clause; each encoding has its own terms, some not for commercial use"
origin="J. S. Bach, in the corpus of music21"
packages=(pypi:music21==10.5.1)
files=('music21/corpus/bach/*.mxl')
checksum=8bda27ef6035f704743b27e4a823258b7a06a5c0d3aa28c3f67bf9e6927e3f01
prepare() { python3 datasets/prepare/chorales.py "$unpacked/music21/corpus/bach" "$prepared/chorales.json"; }
inputs=("$prepared/chorales.json")
convert=(piano_rolls --frames=128)
expect=("/train/x (366, 128, 88) uint8" "/validation/x (40, 128, 88)" "/test/x (31, 128, 88)")
