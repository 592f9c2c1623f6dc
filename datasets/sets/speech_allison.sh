# shellcheck shell=bash disable=SC2034,SC2154 # read by datasets/get.sh
title="Allison Smith"
shape="1,454 + 63 + 152 log-mel spectra of a second, (64, 40): prompts of one speaker, 8 kHz"
application="speech"
license="CC BY-SA 3.0"
origin="Allison Smith for Digium, Asterisk core sounds 1.6.1, English"
packages=(debian:asterisk-core-sounds-en-wav=1.6.1-1)
files=('usr/share/asterisk/sounds/en_US_f_Allison/*.wav' '!*/silence/*')
checksum=d371704a9c1948bcc01881be7f7994c44ae54fd658d7758e23d2e195521255fb
inputs=("$unpacked/usr/share/asterisk/sounds/en_US_f_Allison")
convert=(audio --form=log_mel --frames=64 --validation_fraction=0.05 --test_fraction=0.1)
expect=("/train/x (1454, 64, 40) float32" "/validation/x (63, 64, 40)" "/test/x (152, 64, 40)")
