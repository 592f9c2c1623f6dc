# shellcheck shell=bash
# Sourced by the scripts of launch/, tests/ and .ci/: changes to the root of the checkout and reports steps and errors.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root"
mkdir -p deps
log=deps/setup.log

# On systems with an old cmake, setup.sh installs a newer one here.
PATH=$root/deps/cmake/data/bin:$PATH

# A file that includes LibTorch takes 1.5 GB to compile: with more jobs, a small machine would swap.
memory_jobs=$(awk '/MemAvailable/ {print int($2 / 1500000) + 1}' /proc/meminfo)
cores=$(nproc)
export CMAKE_BUILD_PARALLEL_LEVEL=${CMAKE_BUILD_PARALLEL_LEVEL:-$((memory_jobs < cores ? memory_jobs : cores))}

# Checkouts share their ccache entries.
export CCACHE_BASEDIR=$root CCACHE_NOHASHDIR=true

# mpirun refuses to start for root, the usual user in a container.
if [ "$(id -u)" = 0 ]; then
  export OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1
fi

# step WHAT ADVICE: prints what comes next, and sets the error message for a failure. With an empty ADVICE, the command
# reports its own errors.
advice=
step() {
  printf '==> %s\n' "$1"
  advice=$2
}

# The files in `leftovers` are removed at every exit of the script.
leftovers=()
at_exit() {
  status=$?
  rm -rf -- ${leftovers[@]+"${leftovers[@]}"}
  if [ $status != 0 ] && [ -n "$advice" ]; then printf 'error: %s\n' "$advice" >&2; fi
}
trap at_exit EXIT

# fail STATUS MESSAGE: ends the script with this error message.
fail() {
  printf 'error: %s\n' "$2" >&2
  advice=
  exit "$1"
}

# quietly COMMAND…: writes the output to the log, and prints its last lines if the command fails.
quietly() {
  printf '\n$ %s\n' "$*" >>"$log"
  "$@" >>"$log" 2>&1 || { status=$?; tail -n 15 "$log" >&2; return $status; }
}
