# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="WordNet examples"
shape="43,291 + 2,405 + 2,405 phrases, (24): those of 48,224 that have at most 22 words and marks"
application="text"
license="WordNet 3.0 License (permissive, keep the notice)"
origin="Princeton University, WordNet 3.0, 2006"
packages=(debian:wordnet-base=1:3.0-37)
files=('usr/share/wordnet/data.*')
checksum=5d0db547c4817fc84363a4c1905126de9feb0269271ae02671be30cc8e6446ad
prepare() { python3 datasets/prepare/wordnet.py "$unpacked/usr/share/wordnet" "$prepared/examples.txt"; }
inputs=("$prepared/examples.txt")
convert=(text --vocabulary=10000 --length=24 --validation_fraction=0.05 --test_fraction=0.05)
expect=("/train/x (43291, 24)" "/validation/x (2405, 24)" "/test/x (2405, 24)")
