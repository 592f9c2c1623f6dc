# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="MOSES"
shape="1,584,663 + 176,074 molecules, (56) tokens of SMILES: the train and test split of the benchmark"
application="drug discovery"
license="MIT"
origin="D. Polykovskiy et al., Molecular Sets, 2020"
packages=(pypi:molsets==0.3.1)
files=('moses/dataset/data/train.csv.gz' 'moses/dataset/data/test.csv.gz')
checksum=57ab1a1040f80741f474b31aedab006342df820ab32acd6da4a98c3eaace89f7
inputs=("$unpacked"/moses/dataset/data/{train,test}.csv.gz)
convert=(smiles)
expect=("/train/x (1584663, 56) uint8" "/test/x (176074, 56) uint8")
