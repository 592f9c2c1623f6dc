# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Open Clip Art"
shape="5,337 + 593 drawings, (3, 64, 64), 22 classes: those of 6,900 with 64 to 4,096 pixels a side"
application="colour images"
license="public domain"
origin="Open Clip Art Library 0.18"
packages=(debian:openclipart-png=1:0.18+dfsg-19)
files=('usr/share/openclipart/png/*.png')
checksum=f9c301614f2aca51c93b698814663f114380668f9cf44bbb205322872261405c
prepare() { python3 datasets/prepare/clipart.py "$unpacked/usr/share/openclipart/png" "$prepared/png"; }
inputs=("$prepared/png")
convert=(images --size=64 --fit=pad --skip_damaged=true --test_fraction=0.1)
expect=("/train/x (5337, 3, 64, 64) uint8" "/test/x (593, 3, 64, 64) uint8" "classes 22")
