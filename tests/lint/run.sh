#!/usr/bin/env bash
# Runs the lints, after tests/run.sh has built the code. The last line counts them.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../launch/common.sh"

passed=0
failed=0
check() {
  local name=$1
  shift
  printf '==> Check: %s\n' "$name"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)) && printf 'failed: %s\n' "$name"; fi
}

ours() { git ls-files --cached --others --exclude-standard -- "$@"; }
mapfile -t code < <(ours 'src/*.h' 'src/*.cpp' 'tests/*.h' 'tests/*.cpp' 'docs/*.cpp')
mapfile -t scripts < <(ours '*.sh' '*.sbatch' .ci/run)

check "format (deps/clang_format/data/bin/clang-format -i FILE mends it)" \
  deps/clang_format/data/bin/clang-format --dry-run -Werror "${code[@]}"
check "includes follow the order of dependence" tests/lint/include_direction.py
check "the check of includes finds violations" tests/lint/include_direction.py --self-test
check "no draw from the global generator" tests/lint/global_generator.py
check "the check of draws finds violations" tests/lint/global_generator.py --self-test
check "plain words" tests/lint/words.py
check "the check of words finds violations" tests/lint/words.py --self-test
check "shell scripts" shellcheck -x "${scripts[@]}"
check "recipes name the version and the libraries of CMakeLists.txt" tests/lint/packaging.py
check "headers compile alone" tests/lint/headers_alone.py
check "clang-tidy" tests/lint/tidy.py

printf '%s passed, %s failed\n' $passed $failed
[ $failed = 0 ]
