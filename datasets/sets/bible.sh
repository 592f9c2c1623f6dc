# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Bible, King James Version"
shape="27,591 + 1,533 + 1,534 verses, (64): those of 31,102 that have at most 62 words and marks"
application="text"
license="text: public domain"
origin="Authorized Version of 1611"
packages=(debian:bible-kjv-text=4.38 debian:bible-kjv=4.38 debian:libreadline8=8.2-1.3)
files=('usr/lib/bible.data*')
tools=('usr/bin/bible' '*/libreadline.so.8*')
checksum=b8a1b6759e81551f66db4b5d3d9ad45d2c09eaa7cba4abbd0dec707396f190f0
prepare() {
  local libraries
  libraries=$(dirname "$(find "$unpacked" -name 'libreadline.so.8*')")
  ln -s "$(basename "$libraries"/libreadline.so.8*)" "$libraries/libreadline.so.8"
  chmod +x "$unpacked/usr/bin/bible"
  LD_LIBRARY_PATH=$libraries "$unpacked/usr/bin/bible" -p "$unpacked/usr/lib" Gen1:1-Rev22:21 </dev/null |
    python3 datasets/prepare/bible.py "$prepared/verses.txt"
}
inputs=("$prepared/verses.txt")
convert=(text --vocabulary=7000 --length=64 --validation_fraction=0.05 --test_fraction=0.05)
expect=("/train/x (27591, 64)" "/validation/x (1533, 64)" "/test/x (1534, 64)")
