# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Twenty shares of the S&P 500"
shape="1,243 + 97 + 298 windows of log returns, (20, 20): days × shares, 1990–2014, 2015–2016, 2017–2022"
application="finance"
license="BSD-3-Clause (package; no word on the prices)"
origin="daily prices 1990 to 2022 in skfolio"
packages=(pypi:skfolio==1.12.2)
files=('skfolio/datasets/data/sp500_dataset.csv.gz')
checksum=ee21cac28befb1d0a739a9ceb22184f995394726aa0cfde9a21941d1ac04ac0d
prepare() { python3 datasets/prepare/shares.py "$unpacked/skfolio/datasets/data/sp500_dataset.csv.gz" "$prepared"; }
inputs=("$prepared"/{train,validation,test}.csv)
convert=(csv --drop=Date --transform=log_returns --window=20 --stride=5 --standardize=true)
expect=("/train/x (1243, 20, 20) float32" "/validation/x (97, 20, 20)" "/test/x (298, 20, 20)")
