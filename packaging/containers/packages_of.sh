#!/usr/bin/env bash
# packages_of.sh TREE: prints the Debian packages that the installed tree needs at run time, one per line: those of
# mpirun, and those of the libraries that it loads and does not include.
set -euo pipefail
tree=$(realpath "$1")

# dpkg lists a file by its path in the package, with or without /usr.
package_of() {
  local name
  for name in "$1" "/usr$1" "${1#/usr}"; do
    dpkg-query -S "$name" 2>/dev/null | cut -d: -f1 && return
  done
  printf 'error: %s belongs to no package\n' "$1" >&2
  return 1
}

mapfile -t libraries < <(ldd "$tree/bin/elbo" | awk '$3 ~ /^\// {print $3}' | grep -v "^$tree/" | sort -u)
{
  printf '%s\n' openmpi-bin openssh-client
  for library in "${libraries[@]}"; do package_of "$library"; done
} | sort -u
