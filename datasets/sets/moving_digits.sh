# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Moving digits"
shape="10,000 + 1,000 rows of 20 images, (20, 1, 64, 64), two digits in each"
application="video"
license="CC BY-SA 3.0 (MNIST)"
origin="made by elbo convert moving_digits of MNIST, after N. Srivastava et al. 2015"
inputs=(datasets/mnist.h5)
convert=(moving_digits)
expect=("/train/x (10000, 20, 1, 64, 64) uint8" "/test/x (1000, 20, 1, 64, 64) uint8")
