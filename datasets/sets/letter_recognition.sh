# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Letter Recognition"
shape="16,000 + 4,000 rows, (16), 26 classes"
application="tables, features"
license="GPL-2 (package)"
origin="UCI, Letter Recognition (P. W. Frey, D. J. Slate 1991), in mlbench"
packages=(debian:r-cran-mlbench=2.1-3-1)
files=('usr/lib/R/site-library/mlbench/data/LetterRecognition.rda')
checksum=967a1a3e10b548d7269cbe50182bcecd6365cc58ea07638bbc34c51f17f34f1d
modules=(rdata)
prepare() { python3 datasets/prepare/rda.py "$unpacked/${files[0]}" "$prepared" --label=lettr --train_rows=16000; }
inputs=("$prepared"/{train,test}.csv)
convert=(csv --label=label --standardize=true)
expect=("/train/x (16000, 16)" "/test/x (4000, 16)" "classes 26")
