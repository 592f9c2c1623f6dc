# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Fashion-MNIST"
shape="60,000 + 10,000 images of clothes, (1, 28, 28), 10 classes"
application="images, augmentation"
license="MIT"
origin="H. Xiao, K. Rasul, R. Vollgraf, Fashion-MNIST, 2017"
packages=(debian:dataset-fashion-mnist=0.0~git20200523.55506a9-1)
files=('usr/share/datasets/fashion-mnist/*-ubyte.gz')
checksum=976d15f3432da0172aeec643ebe96320102dbfd4d0d00a3f736785188593605b
folder=$unpacked/usr/share/datasets/fashion-mnist
inputs=("$folder"/{train,t10k}-{images-idx3,labels-idx1}-ubyte.gz)
convert=(idx)
expect=("/train/x (60000, 1, 28, 28) uint8" "/test/x (10000, 1, 28, 28) uint8" "classes 10")
