#!/usr/bin/env bash
# Makes the three files to hand in, and whatever that needs first: ./export.sh --help
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/hw1lib/setup.sh"

for argument in "$@"; do
  case $argument in
    -h | --help) # needs no package, so installs none
      python=$(find_python)
      PYTHONPATH=$root exec "$python" -m hw1lib.submission --help
      ;;
  esac
done
prepare_venv
exec "$venv/bin/python" -I -m hw1lib.submission "$@"
