# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Noto Color Emoji"
shape="3,532 + 384 images, (3, 32, 32): no variant of a test image is in train"
application="colour images"
license="SIL OFL 1.1 (images), Apache-2.0 (tools)"
origin="Google, Noto Color Emoji 2.042"
packages=(debian:fonts-noto-color-emoji=2.042-0+deb12u1)
files=('usr/share/fonts/truetype/noto/NotoColorEmoji.ttf')
checksum=e5899ed38b8ed83e08bd3ac5de09791e9d19d288333a796de1d35ad17396f1ec
modules=(numpy pillow fonttools)
prepare() { python3 datasets/prepare/emoji.py "$unpacked/${files[0]}" "$prepared/emoji.npz"; }
inputs=("$prepared/emoji.npz")
convert=(npz --kind=image --channels_last=true)
expect=("/train/x (3532, 3, 32, 32) uint8" "/test/x (384, 3, 32, 32) uint8")
