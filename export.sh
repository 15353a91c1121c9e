#!/usr/bin/env bash
# Makes the three files to hand in, and whatever that needs first: ./export.sh --help
set -euo pipefail
export HW1_COMMAND=$0 # what --help calls it
. "$(dirname "${BASH_SOURCE[0]}")/hw1lib/setup.sh"

for argument in "$@"; do
  case $argument in
    -h | --help) # needs no package, so installs none
      python=$(find_python)
      exec "$python" -I -c 'import runpy, sys; sys.path.append(sys.argv.pop(1))
runpy.run_module("hw1lib.submission", run_name="__main__")' "$root" "$@"
      ;;
  esac
done
prepare_venv
# -B: on a full disk Python would write half a .pyc, which the next run could not load.
exec "$venv/bin/python" -I -B -m hw1lib.submission "$@"
