#!/usr/bin/env bash
# Runs the checks of a kit that tests/gpu/pack.sh made: check.sh [--device=auto|cpu|cuda] [--out=FOLDER], check.sh --help.
# In the kit's own folder, or from the checkout, where the kit is build/gpu/kit. PYTHON names the Python that has PyTorch.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ -x "$here/bin/elbo" ]; then kit=$here; else kit=$here/../../build/gpu/kit; fi
exec "${PYTHON:-python3}" "$here/check.py" --kit="$kit" "$@"
