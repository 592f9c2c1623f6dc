# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Four speakers"
shape="5,670 + 268 + 693 log-mel spectra of a second, (64, 40), 4 classes: prompts in English, French, Italian, Russian"
application="speech, voices"
license="en and fr: CC BY-SA 3.0; it and ru: CC BY 3.0"
origin="Allison Smith, June Wallack, Carlo Flora and Maxim, Asterisk core sounds 1.6.1"
packages=(debian:asterisk-core-sounds-{en,fr,it,ru}-wav=1.6.1-1)
files=('usr/share/asterisk/sounds/*_*_*_*/*.wav' '!*/silence/*' '!*/ru_*/is.wav') # which is empty
checksum=6efc4710e4514c904dc3ed9490bd0dfb1d7e26bcb2a9d11d589d82a980924385
inputs=("$unpacked/usr/share/asterisk/sounds")
convert=(audio --form=log_mel --frames=64 --label=folder --validation_fraction=0.05 --test_fraction=0.1)
expect=("/train/x (5670, 64, 40) float32" "/validation/x (268, 64, 40)" "/test/x (693, 64, 40)" "classes 4")
