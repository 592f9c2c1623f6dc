#!/usr/bin/env bash
# Packs all that tests/gpu/check.sh needs on a machine with an NVIDIA driver and PyTorch 2.11, and nothing else.
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../launch/common.sh"

usage="usage: tests/gpu/pack.sh [FOLDER]

builds elbo and libelbo_cuda.so against LibTorch 2.11.0 in build/gpu, and puts them, the libraries that they need besides
LibTorch's and CUDA's, small data sets, configs/ and the scripts of tests/gpu into FOLDER (build/gpu/kit)"
kit=${1:-build/gpu/kit}
case $kit in
  -h | --help) printf '%s\n' "$usage"; exit ;;
  -*) fail 2 "unknown option '$kit'; tests/gpu/pack.sh --help shows the usage" ;;
esac
if [ -e "$kit" ] && [ ! -e "$kit/check.py" ]; then fail 2 "$kit is there and is not a kit; name another folder, or delete it"; fi

torch=deps/torch-2.11.0
limit_mib=50

advice= # wheels.py says what is wrong
python3 launch/wheels.py --torch=2.11.0 --into=$torch cpu headers
step "Kit: building against LibTorch 2.11.0 in build/gpu/" \
  "the build against LibTorch 2.11.0 fails; the first error above (or the end of $log) says why"
quietly cmake --preset gpu
cmake --build --preset gpu

step "Kit: collecting into $kit/" "the kit cannot be put together; the line above says what is missing"
rm -rf "$kit"
mkdir -p "$kit/bin" "$kit/lib"
cp build/gpu/elbo "$(command -v h5dump)" "$kit/bin" # h5dump: that machine's Python has no h5py
cp build/gpu/libelbo_cuda.so "$kit/lib"

# Open MPI finds its plugins and messages below OPAL_PREFIX. Those of other networks than shared memory and TCP need
# libraries that one machine has no use for.
mpi_folder() { ompi_info --path "$1" --parsable | cut -d: -f3; }
prefix=$(mpi_folder prefix)
plugins=$kit/mpi${prefix:+/$(realpath --relative-to="$prefix" "$(mpi_folder pkglibdir)")}
messages=$kit/mpi/$(realpath --relative-to="$prefix" "$(mpi_folder pkgdatadir)")
mkdir -p "$kit/mpi/bin" "$plugins" "$messages"
cp -L "$(command -v mpirun)" "$(command -v orted)" "$kit/mpi/bin"
for plugin in "$(mpi_folder pkglibdir)"/mca_*.so; do
  case $plugin in
    *_ofi.so | *_ucx.so | *_psm.so | *_psm2.so | *_openib.so | *_netlink.so) ;;
    *) cp -L "$plugin" "$plugins" ;;
  esac
done
cp "$(mpi_folder pkgdatadir)"/*.txt "$messages"

# The target's glibc and compiler libraries are at least as new as ours, or elbo does not start there, and says so.
find "$kit" -type f \( -name '*.so' -o -path '*/bin/*' \) -print0 |
  LD_LIBRARY_PATH=$(find $torch/torch/lib $torch/nvidia/*/lib -maxdepth 0 -exec realpath {} + | paste -sd:) xargs -0 ldd |
  awk '/not found/ {print "error: " $1 " is not found" >"/dev/stderr"; lost = 1} $2 == "=>" {print $3} END {exit lost}' |
  sort -u | grep -v -e "^$(realpath $torch)/" \
    -e '/lib\(c\|m\|dl\|rt\|pthread\|util\|resolv\|stdc++\|gcc_s\)\.so' | xargs -d '\n' cp -L -t "$kit/lib"
find "$kit" -type f \( -name '*.so*' -o -path '*/bin/*' \) -exec strip --strip-unneeded {} +

/usr/bin/python3 tests/gpu/small_data.py datasets/mnist.h5 "$kit/datasets"
mkdir "$kit/configs"
cp configs/*.ini "$kit/configs"
cp tests/gpu/{check.sh,check.py,checks.py,kit.py,peers.py} "$kit"
{ git describe --always --dirty || echo unknown; } >"$kit/commit" 2>/dev/null

size=$(du -sm --apparent-size "$kit" | cut -f1)
[ "$size" -lt $limit_mib ] || fail 1 "$kit has $size MiB, more than the $limit_mib that it may have; du -a $kit shows of what"
echo "$kit: $size MiB"
