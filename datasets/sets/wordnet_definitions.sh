# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="WordNet definitions"
shape="95,534 + 5,308 + 5,308 definitions, (22): those of 116,706 that have at most 20 words and marks"
application="text"
license="WordNet 3.0 License (permissive, keep the notice)"
origin="Princeton University, WordNet 3.0, 2006"
packages=(debian:wordnet-base=1:3.0-37)
files=('usr/share/wordnet/data.*')
checksum=5d0db547c4817fc84363a4c1905126de9feb0269271ae02671be30cc8e6446ad
prepare() { python3 datasets/prepare/wordnet.py "$unpacked/usr/share/wordnet" "$prepared/definitions.txt" definitions; }
inputs=("$prepared/definitions.txt")
convert=(text --lowercase=true --vocabulary=8000 --length=22 --validation_fraction=0.05 --test_fraction=0.05)
expect=("/train/x (95534, 22)" "/validation/x (5308, 22)" "/test/x (5308, 22)")
