#!/usr/bin/env bash
# Installs what elbo needs to build and run, on a machine with a shell and a package manager. Installed software is used.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/common.sh"

usage="usage: launch/setup.sh [--cuda|--no-cuda] [--cuda-headers] [--arrow] [--tests] [--build]

  --cuda          LibTorch with CUDA, even if this machine has no GPU (--no-cuda: without CUDA, even if it has one)
  --cuda-headers  what libelbo_cuda and its kernels are compiled with, even if this machine has no GPU
  --arrow         Arrow's C++ library, with which elbo convert csv reads Parquet and Feather
  --tests         also everything that tests and checks need
  --build         configure and build build/elbo

An existing LibTorch is used if LibTorch_ROOT or CMAKE_PREFIX_PATH names it. MPI, HDF5 and Boost from environment modules
are used. Everything else comes from packages of Debian or Ubuntu and from PyPI's wheels, which are unpacked in deps/."

cuda=
cuda_headers=
arrow=
tests=
build=
if nvidia-smi -L >/dev/null 2>&1 || [ -e /dev/nvidia0 ]; then cuda=yes; fi
for option in "$@"; do
  case $option in
    --cuda) cuda=yes ;;
    --no-cuda) cuda= ;;
    --cuda-headers) cuda_headers=yes ;;
    --arrow) arrow=yes ;;
    --tests) tests=yes arrow=yes ;;
    --build) build=yes ;;
    --help) printf '%s\n' "$usage"; exit ;;
    *) fail 2 "unknown option '$option'; launch/setup.sh --help lists them" ;;
  esac
done

# ---- Missing packages ---------------------------------------------------------------------------------------------
program() { command -v "$1" >/dev/null; }
daemon() { program "$1" || [ -x "/usr/sbin/$1" ]; }
header() { printf '#include <%s>' "$1" | c++ -E -x c++ - >/dev/null 2>&1; }
python_module() { python3 -c "import $1" 2>/dev/null; }
# Tests run with the system's Python, where there is one (tests/CMakeLists.txt).
test_module() { PATH=/usr/bin:$PATH python3 -c "import $1" 2>/dev/null; }
fuzzer_runtime() { program clang++ && compgen -G "$(clang++ -print-resource-dir)/lib/*/libclang_rt.fuzzer*.a" >/dev/null; }
recent_cmake() {
  program cmake && printf '3.24\n%s\n' "$(cmake --version | grep -o '[0-9][0-9.]*' | head -n 1)" | sort -VC
}
own_hdf5() { [ -n "${HDF5_ROOT:-}${HDF5_DIR:-}" ] || program h5cc; }
own_boost() { [ -n "${BOOST_ROOT:-}${Boost_ROOT:-}" ] || header boost/program_options/version.hpp; }

# A LibTorch named by the user: the folder of a libtorch archive, a site-packages, or PyTorch's cmake_prefix_path.
own_torch() {
  local folder
  while IFS= read -r folder; do
    folder=${folder%/share/cmake*}
    if [ -d "$folder/include/torch" ] || [ -d "$folder/torch/include/torch" ]; then
      export LibTorch_ROOT=$folder
      return 0
    fi
  done < <(printf '%s\n' "${LibTorch_ROOT:-}" "${CMAKE_PREFIX_PATH:-}" | tr ':;' '\n' | sed '/^$/d')
  return 1
}

# want PACKAGE PROBE…: adds the package to `missing` unless it is installed or the probe succeeds.
installed=$(dpkg-query -W -f '${Package} ${Status}\n' 2>/dev/null | sed -n 's/ install ok installed$//p' || true)
missing=()
want() {
  local package=$1
  shift
  grep -qx "$package" <<<"$installed" || "$@" || missing+=("$package")
}

want g++ program c++
want cmake recent_cmake
want ninja-build program ninja
want ccache program ccache
want libopenmpi-dev program mpicc
want openmpi-bin program mpirun
want libhdf5-dev own_hdf5
want libboost-program-options-dev own_boost
want libfmt-dev header fmt/format.h
want nlohmann-json3-dev header nlohmann/json.hpp
want libpng-dev header png.h
want libjemalloc-dev header jemalloc/jemalloc.h
want libssl-dev header openssl/evp.h
want zlib1g-dev header zlib.h
want libdeflate-dev header libdeflate.h
want libzstd-dev header zstd.h
want liblz4-dev header lz4.h
want libblosc-dev header blosc.h
want libzip-dev header zip.h
want libturbojpeg0-dev header turbojpeg.h
want libsndfile1-dev header sndfile.h
want python3 program python3
want python3-pip python_module pip
want ca-certificates test -e /etc/ssl/certs/ca-certificates.crt
if [ -n "$tests" ]; then
  want libgtest-dev header gtest/gtest.h
  want libgmock-dev header gmock/gmock.h
  want shellcheck program shellcheck
  want python3-h5py test_module h5py
  want python3-hdf5plugin test_module hdf5plugin
  want hdf5-filter-plugin test_module hdf5plugin
  want hdf5-filter-plugin-blosc-serial test_module hdf5plugin
  want hdf5-tools program h5repack
  want python3-anndata test_module anndata
  want python3-netcdf4 test_module netCDF4
  want python3-pandas test_module pandas
  want python3-pil test_module PIL
  want python3-scipy test_module scipy
  want python3-tables test_module tables
  want python3-xarray test_module xarray
  want munge daemon munged
  want slurmctld daemon slurmctld
  want slurmd daemon slurmd
  want slurm-client program sbatch
  want clang program clang++
  want libclang-rt-dev fuzzer_runtime
  want iproute2 program ip
  want util-linux program nsenter
fi

# ---- System packages ----------------------------------------------------------------------------------------------
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
if [ ${#missing[@]} != 0 ]; then
  if ! program apt-get; then
    fail 2 "this machine has no apt-get; install, or load as modules, the equivalents of these Debian packages: ${missing[*]}"
  elif [ "$(id -u)" != 0 ] && ! program sudo; then
    fail 2 "packages are missing, and only root can install them; ask an administrator for: apt-get install ${missing[*]}"
  fi
  export DEBIAN_FRONTEND=noninteractive
  step "Packages: reading the package lists" \
    "the package lists cannot be read (see $log); check the network and /etc/apt/sources.list, then start again"
  quietly "${as_root[@]}" apt-get update
  # On older systems this is part of clang.
  if ! apt-cache show libclang-rt-dev >/dev/null 2>&1; then
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | grep -vx libclang-rt-dev)
  fi
  size=$(LC_ALL=C apt-get install --no-install-recommends --assume-no "${missing[@]}" 2>/dev/null |
    sed -n 's/^Need to get \(.*\) of archives.*/\1/p') || true
  step "Packages: installing ${missing[*]} (${size:-size unknown})" \
    "a package cannot be installed (see $log); try by hand: apt-get install ${missing[*]}"
  quietly "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

# ---- Wheels -------------------------------------------------------------------------------------------------------
parts=()
recent_cmake || parts+=(cmake)
if [ -n "$tests" ]; then parts+=(lint fields); fi
if [ -n "$arrow" ]; then parts+=(arrow); fi
if ! own_torch; then
  if [ -n "$cuda" ]; then parts+=(cuda headers); fi
  if [ -n "$cuda_headers" ]; then parts+=(headers); fi
  parts+=(cpu)
fi
advice= # wheels.py reports its own errors
python3 launch/wheels.py "${parts[@]}"

# ---- The program --------------------------------------------------------------------------------------------------
# The whole program takes 8 minutes of one core, twice as long on a slow or busy one.
compile_estimate() {
  local jobs=$CMAKE_BUILD_PARALLEL_LEVEL
  if [ -e build/elbo ]; then echo "only what changed"; else echo "$(((8 + jobs - 1) / jobs)) to $(((16 + jobs - 1) / jobs)) minutes"; fi
}

if [ -n "$build" ]; then
  # ninja configures again when a CMakeLists.txt has changed, but not when a library was installed.
  if [ ! -f build/build.ninja ] || [ deps/.installed -nt build/build.ninja ] || [ ${#missing[@]} != 0 ]; then
    step "Build: configuring build/" "CMake did not find a dependency (see $log); its last message says which"
    quietly cmake --preset release
  fi
  step "Build: compiling build/elbo with $CMAKE_BUILD_PARALLEL_LEVEL jobs, $(compile_estimate)" \
    "the build failed (see $log); if the compiler was killed, set CMAKE_BUILD_PARALLEL_LEVEL=1 and start again"
  quietly cmake --build --preset release --target elbo
fi
