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
# search TARGET SECONDS MOST_BYTES: writes inputs that fail to build/fuzz/found_TARGET_….
search() {
  mkdir -p "build/fuzz/corpus/$1" "build/fuzz/seeds/$1" # some begin without seeds
  "build/asan/fuzz_$1" -max_total_time="$2" -max_len="$3" -timeout=20 -rss_limit_mb=3000 -print_final_stats=1 \
    -artifact_prefix="build/fuzz/found_$1_" "build/fuzz/corpus/$1" "build/fuzz/seeds/$1" >"build/fuzz/$1.log" 2>&1
}

targets=(chunk_index convert decode configuration checkpoint) # two at a time
shares=(3 3 6 12 12)
sizes=(8000 4000 2000 4000 2000)
step "Fuzzing: ${targets[*]} for $seconds s together" ""
processes=()
for i in "${!targets[@]}"; do
  [ "$i" -lt 2 ] || wait "${processes[i - 2]}" || true
  search "${targets[i]}" $((seconds / shares[i] + 1)) "${sizes[i]}" &
  processes+=($!)
done

passed=0
failed=0
for i in "${!targets[@]}"; do
  log=build/fuzz/${targets[i]}.log
  if wait "${processes[i]}"; then
    passed=$((passed + 1))
    sed -n "s/^stat::number_of_executed_units: */${targets[i]}: inputs tried: /p" "$log"
  else
    failed=$((failed + 1))
    grep -v '#[0-9]*.NEW\|REDUCE\|NEW_FUNC' "$log" | tail -n 60
    printf 'failed: fuzz_%s; build/asan/fuzz_%s with the file named above shows it again\n' "${targets[i]}" "${targets[i]}"
  fi
done

printf '%s passed, %s failed\n' $passed $failed
[ $failed = 0 ]
