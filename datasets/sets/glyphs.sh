# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Glyphs"
shape="42,966 + 2,914 letters and digits of 740 typefaces, (1, 32, 32), 62 classes: no family is in both"
application="style transfer"
license="by package: OFL-1.1, GPL and AGPL-3 with font exception, GUST, Apache-2.0, others; do not pass them on"
origin="28 packages of fonts of Debian 12"
packages=(debian:fonts-{aenigma,dustin,georgewilliams,urw-base35,texgyre,lato,open-sans,freefont-ttf,averia-gwf,okolaks}
  debian:fonts-adf-{accanthis,baskervald,gillius,libris} debian:fonts-{dejavu-core,dejavu-extra,liberation2,sjfonts}
  debian:fonts-{sil-gentiumplus,ecolier-court,lobster,comfortaa,dancingscript,kristi,ebgaramond,junicode,cabin,quicksand})
files=('usr/share/*.ttf' 'usr/share/*.otf')
checksum=5b4ea3fae8aff419412eda72a38cc4f62a53b2cbc70199bbb825e725b55d4906
modules=(numpy pillow fonttools)
prepare() { python3 datasets/prepare/glyphs.py "$unpacked" "$prepared/glyphs.npz"; }
inputs=("$prepared/glyphs.npz")
convert=(npz --kind=image)
expect=("/train/x (42966, 1, 32, 32) uint8" "/test/x (2914, 1, 32, 32) uint8" "classes 62")
