#!/usr/bin/env bash
# Packs a kit and runs its checks on the CPU: the kit starts, and the source builds with another LibTorch than the default.
# The last line counts: N passed, N failed, N skipped.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../launch/common.sh"

tests/gpu/pack.sh build/gpu/kit
advice=
build/gpu/kit/check.sh --device=cpu --torch=deps/torch-2.11.0 --out=build/gpu --minutes=6
