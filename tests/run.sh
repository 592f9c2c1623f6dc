#!/usr/bin/env bash
# Builds the program and its tests, runs all tests, and then the unit tests with sanitizers.
# The last line counts: N passed, N failed.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../launch/common.sh"

launch/setup.sh --tests --cuda-headers

results=()
# run PRESET FOLDER [CTEST OPTION…]
run() {
  local preset=$1 folder=$2
  shift 2
  step "Tests: building preset '$preset' in $folder/" "preset '$preset' does not build; the first error above says why"
  quietly cmake --preset "$preset" -DELBO_TESTS=ON -DELBO_WERROR=ON
  cmake --build --preset "$preset"
  step "Tests: running preset '$preset'" "ctest could not run the tests of preset '$preset'"
  results+=("$folder/tests.xml")
  rm -rf "$folder/tests.xml" "$folder/unit"
  # Failures are counted below, from ctest's output. Two more than the cores of CI: tests of clusters mostly wait.
  ctest --preset "$preset" --parallel 4 --output-junit "$root/$folder/tests.xml" "$@" || true
}

run release build
# LibTorch and Open MPI keep memory until the process ends: not a leak of this project. Learns: a hundred steps of code that
# other tests run, too, and three quarters of the time.
ASAN_OPTIONS=detect_leaks=0 GTEST_FILTER='-*EveryModel.Learns/*' run asan build/asan --label-regex unit

advice=
python3 - "${results[@]}" <<'PYTHON'
import pathlib
import sys
import xml.etree.ElementTree

passed = failed = skipped = 0
for path in sys.argv[1:]:
    for case in xml.etree.ElementTree.parse(path).getroot().iter("testcase"):
        reason = case.find("skipped")
        # A program that ran to its end reported each of its tests.
        account = pathlib.Path(path).parent / "unit" / f"{case.get('name')}.xml"
        if case.get("status") == "run" and account.exists():
            results = [test.get("result") for test in xml.etree.ElementTree.parse(account).getroot().iter("testcase")]
            passed += len(results) - results.count("skipped")
            skipped += results.count("skipped")
            continue
        if case.get("status") == "run":
            passed += 1
        elif reason is not None and reason.get("message", "").startswith("SKIP_"):
            skipped += 1
        else:  # failed, or did not start
            failed += 1
            output = (case.findtext("system-out") or "").splitlines()
            print(*output[-40:], f"failed: {case.get('name')} of {path} after {case.get('time')} s", sep="\n")
print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
sys.exit(failed > 0 or passed == 0)
PYTHON
