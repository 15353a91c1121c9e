#!/usr/bin/env bash
# Runs the tests, and makes .venv first where needed. Arguments go to pytest:
#   ./test.sh tests/test_network.py -k gradient
#   ./test.sh -m slow          those left out by default, an export on stand-ins among them
#   ./test.sh -m browser       the notebook in JupyterLab, where Debian's Chromium is installed
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/hw1lib/setup.sh"

prepare_venv tests
cd "$root"
exec "$venv/bin/python" -I -m pytest "$@"
