#!/usr/bin/env bash
# Builds the fuzz targets and searches for inputs that make them fail: tests/fuzz/run.sh SECONDS, for all targets together.
# The last line counts the targets: N passed, N failed. The corpus of a target is kept in build/fuzz/corpus.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../launch/common.sh"

[[ ${1:-} =~ ^[1-9][0-9]*$ ]] || fail 2 "usage: tests/fuzz/run.sh SECONDS"
seconds=$1

launch/setup.sh --tests
step "Fuzzing: building preset 'asan' in build/asan/" "preset 'asan' does not build; the first error above says why"
quietly cmake --preset asan -DELBO_TESTS=ON -DELBO_WERROR=ON
cmake --build --preset asan

# The targets write many small temporary files.
TMPDIR=$(mktemp -d -p /dev/shm elbo_fuzz_XXXXXX)
export TMPDIR
leftovers+=("$TMPDIR")
# LibTorch keeps memory until the process ends: not a leak of this project.
export ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1

step "Fuzzing: writing seeds" "the seeds cannot be written; the error above says why"
build/asan/fuzz_seeds build/fuzz/seeds

advice=
passed=0
failed=0
# fuzz TARGET SECONDS MOST_BYTES: writes inputs that fail to build/fuzz/found_TARGET_….
fuzz() {
  local target=$1 output=build/fuzz/$1.log
  step "Fuzzing: $target for $2 s" ""
  mkdir -p "build/fuzz/corpus/$target" "build/fuzz/seeds/$target" # some begin without seeds
  if "build/asan/fuzz_$target" -max_total_time="$2" -max_len="$3" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found_${target}_" "build/fuzz/corpus/$target" "build/fuzz/seeds/$target" >"$output" 2>&1; then
    passed=$((passed + 1))
    sed -n 's/^stat::number_of_executed_units: */inputs tried: /p' "$output"
  else
    failed=$((failed + 1))
    grep -v '#[0-9]*.NEW\|REDUCE\|NEW_FUNC' "$output" | tail -n 60
    printf 'FAILED: %s; build/asan/fuzz_%s with the file named above shows it again\n' "$target" "$target"
  fi
}

fuzz decode $((seconds / 6 + 1)) 2000
fuzz chunk_index $((seconds / 3 + 1)) 8000
fuzz convert $((seconds / 3 + 1)) 4000
fuzz configuration $((seconds / 12 + 1)) 4000
fuzz checkpoint $((seconds / 12 + 1)) 2000

printf '%s passed, %s failed\n' $passed $failed
[ $failed = 0 ]
