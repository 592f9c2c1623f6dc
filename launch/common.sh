# shellcheck shell=bash
# Sourced by the scripts of launch/, tests/ and .ci/: goes to the checkout's root and says what happens.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
mkdir -p deps
log=deps/setup.log

# An old system's cmake is replaced by the one that setup.sh puts here.
PATH=$root/deps/cmake/data/bin:$PATH

# A file that includes LibTorch takes 1.5 GB to compile: more jobs than that make a small machine swap.
memory_jobs=$(awk '/MemAvailable/ {print int($2 / 1500000) + 1}' /proc/meminfo)
cores=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$((memory_jobs < cores ? memory_jobs : cores))}

# Two checkouts of the same files share what ccache holds.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true

# mpirun refuses to start for root, which is who one is in a container.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# step WHAT ADVICE: the line for what comes now, and the one to end with if it fails.
# An empty advice leaves the last word to the command itself.
advice=
step() {
  printf '==> %s\n' "$1"
  advice=$2
}

# What is in leftovers is removed when the script ends, however it ends.
leftovers=()
at_exit() {
  status=$?
  rm -rf -- ${leftovers[@]+"${leftovers[@]}"}
  if [ $status != 0 ] && [ -n "$advice" ]; then printf 'error: %s\n' "$advice" >&2; fi
}
trap at_exit EXIT

# fail STATUS SENTENCE: ends the script with a sentence of its own.
fail() {
  printf 'error: %s\n' "$2" >&2
  advice=
  exit "$1"
}

# quietly COMMAND…: the output goes to the log; its end is shown if the command fails.
quietly() {
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 || { status=$?; tail -n 15 "$log" >&2; return $status; }
}
