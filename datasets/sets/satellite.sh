# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Statlog Satellite, as anomalies"
shape="6,435 rows, (36), 2,036 of them anomalies (class 1)"
application="anomalies"
license="GPL-2 (package)"
origin="UCI, Statlog (Landsat Satellite), in mlbench; the anomalies that ODDS takes"
packages=(debian:r-cran-mlbench=2.1-3-1)
files=('usr/lib/R/site-library/mlbench/data/Satellite.rda')
checksum=29f8cf9bb1bc51b769d694c9caf740fd1c36ed6a7c87603edf5985962e330f64
modules=(rdata)
prepare() {
  python3 datasets/prepare/rda.py "$unpacked/${files[0]}" "$prepared" --label=classes \
    --anomaly="cotton crop,damp grey soil,vegetation stubble" --expect=2036
}
inputs=("$prepared/table.csv")
convert=(csv --label=label --standardize=true)
expect=("/train/x (6435, 36)" "classes 2")
