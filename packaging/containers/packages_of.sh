#!/usr/bin/env bash
# packages_of.sh TREE: the Debian packages without which the installed tree does not run: those that hold the libraries
# which it loads and does not bring itself, and those of mpirun. One a line.
set -euo pipefail
tree=$(realpath "$1")

# dpkg knows a file by the name that it had in the package, with or without /usr in front.
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
