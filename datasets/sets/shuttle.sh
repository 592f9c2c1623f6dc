# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Statlog Shuttle, as anomalies"
shape="49,097 rows, (9), 3,511 of them anomalies (class 1)"
application="anomalies"
license="GPL-2 (package)"
origin="UCI, Statlog (Shuttle), in mlbench; the rows and anomalies that ODDS takes"
packages=(debian:r-cran-mlbench=2.1-3-1)
files=('usr/lib/R/site-library/mlbench/data/Shuttle.rda')
checksum=5b1db218b76a47c83f575f1ff38d7a7d36e569b0e27d8bf4aa92eae6c0bcb826
modules=(rdata)
prepare() {
  python3 datasets/prepare/rda.py "$unpacked/${files[0]}" "$prepared" --label=Class --leave_out=High --normal=Rad.Flow \
    --expect=3511
}
inputs=("$prepared/table.csv")
convert=(csv --label=label --standardize=true)
expect=("/train/x (49097, 9)" "classes 2")
