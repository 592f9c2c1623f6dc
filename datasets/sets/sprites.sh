# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Sprites"
shape="737,280 drawings, (1, 64, 64), on the whole grid of 5 known factors"
application="disentangling"
license="made by the program"
origin="drawn by elbo convert sprites, after the grid of dSprites (L. Matthey et al. 2017)"
convert=(sprites)
expect=("/train/x (737280, 1, 64, 64) uint8")
