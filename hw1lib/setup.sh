# Sourced by export.sh and test.sh: finds a Python, makes .venv and keeps it up to date.
# Written for the bash 3.2 that macOS has.

unset CDPATH # cd would go elsewhere, and say so
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
stamp=$venv/hw1-made-from # "unfinished", or all that this .venv was made from
# Neither these nor files of the current folder (hence python -I) may stand in for a package.
unset PYTHONPATH PYTHONHOME

explain() { printf '\n%s\n' "$*" >&2; }

stop() {
  explain "$@"
  exit 1
}

# Stops where this shell allows less than any run needs: what failed first would look like a
# damaged .venv. torch alone takes 4 GB of addresses to load.
require_limits() {
  local memory files
  memory=$(ulimit -v) files=$(ulimit -n)
  if [ "$files" != unlimited ] && [ "$files" -lt 256 ]; then
    ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
    files=$(ulimit -n)
    [ "$files" = unlimited ] || [ "$files" -ge 64 ] ||
      stop "This shell allows $files open files (ulimit -n), and a run needs 64. Open another" \
        "shell, or ask whoever set the limit, and run again."
  fi
  [ "$memory" = unlimited ] || [ "$memory" -ge 4000000 ] ||
    stop "This shell allows $((memory / 1000)) MB of memory (ulimit -v), and a run needs 4000." \
      "Open another shell, or ask whoever set the limit, and run again."
}

# Prints the first Python of 3.10 or newer that can make a virtual environment. Each is tried by
# running it: a pyenv shim is there for versions that are not.
find_python() {
  local candidates candidate bare=
  candidates=(python3 python3.14 python3.13 python3.12 python3.11 python3.10 python)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    "$candidate" -I -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1 ||
      continue
    if "$candidate" -I -c 'import ensurepip, venv' >/dev/null 2>&1; then
      printf '%s' "$candidate"
      return
    fi
    bare=$candidate
  done
  [ -z "$bare" ] || stop "$bare has no venv module, which makes .venv. On Debian and Ubuntu" \
    "'sudo apt install python3-venv' adds it; or name another Python: PYTHON=/path/to/python3 $0"
  stop "No Python 3.10 or newer was found; tried ${candidates[*]}. Install one from python.org," \
    "conda or pyenv, or name the one you have: PYTHON=/path/to/python3 $0"
}

# Makes .venv when there is none, when it is unfinished or broken or was made elsewhere; brings it
# up to date when requirements.txt or pyproject.toml changed; otherwise does nothing.
prepare_venv() {
  local wanted
  require_limits
  wanted=$(printf '%s\n' "$root" && cat "$root/requirements.txt" "$root/pyproject.toml")
  if is_ready; then return; fi
  exec 9<"$root/requirements.txt"
  await_turn
  is_ready || make_venv
  exec 9<&-
}

# Running it also finds what a stamp cannot know: a Python that an upgrade of the system took
# away, one of another machine, packages that were deleted.
is_ready() {
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
    "$venv/bin/python" -I -B -c 'import hw1lib' >/dev/null 2>&1
}

# Waits while another run makes .venv. The lock is the operating system's, on the open file 9: it
# is free when the last process that has the file open is gone, be it a pip whose script was
# killed. macOS has no command for it, so Python takes the lock and leaves it with this shell.
await_turn() {
  local python=$venv/bin/python
  "$python" -I -c '' >/dev/null 2>&1 || python=$(find_python)
  "$python" -I -c '
import fcntl, signal
signal.signal(signal.SIGINT, signal.SIG_DFL)
try:
    fcntl.flock(9, fcntl.LOCK_EX | fcntl.LOCK_NB)
except BlockingIOError:
    print("Another run is making .venv at this moment: waiting for it", flush=True)
    fcntl.flock(9, fcntl.LOCK_EX)
except OSError:
    pass  # a network drive without locks: as if alone
'
}

make_venv() {
  local made python
  made=$(cat "$stamp" 2>/dev/null || true)
  SECONDS=0
  if is_usable "$made"; then
    echo "Bringing .venv up to date with requirements.txt"
  else
    python=$(find_python)
    echo "Making .venv with $("$python" --version) ($python)." \
      "The first time this downloads some 3 GB, fills 6 GB and takes about 90 s."
    made=unfinished
    { rm -rf "$venv" && mkdir "$venv" && echo unfinished >"$stamp"; } ||
      stop "$venv cannot be written: move the project to a folder of yours and run again."
    "$python" -I -m venv "$venv" || stop "$python could not make $venv; its own words are above."
  fi
  echo unfinished >"$stamp"
  if ! install; then
    printf '%s\n' "$made" >"$stamp" # pip that fails leaves what was there
    exit 1
  fi
  printf '%s\n' "$wanted" >"$stamp"
  echo ".venv is ready after $SECONDS s"
}

# Whether .venv, with this content of its stamp (none where a student made it), can be added to.
is_usable() {
  case $1 in
    '' | "$root" | "$root"$'\n'*) ;;
    *) return 1 ;;
  esac
  "$venv/bin/python" -I -c 'import pip, sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1
}

install() {
  local errors status=0
  { errors=$(pip_install -r "$root/requirements.txt" 2>&1 >&3 &&
    pip_install --no-deps --no-build-isolation -e "$root" 2>&1 >&3) || status=$?; } 3>&1
  [ -z "$errors" ] || printf '%s\n' "$errors" >&2
  [ $status -ne 0 ] || return 0
  case $errors in
    *'No space left'* | *'Disk quota'*)
      explain "The disk is full: .venv takes 6 GB and pip's cache 3 GB. Free some, then run again." ;;
    *onnection* | *'timed out'* | *'name resolution'* | *Retrying*)
      explain "The packages could not be downloaded. Check the network, or a proxy's settings" \
        "(HTTPS_PROXY, PIP_INDEX_URL), then run again: what has arrived is not fetched twice." ;;
    *'No matching distribution'*)
      explain "This Python or machine has no build of the package named above. Linux, or a Mac" \
        "with Apple's chip, with Python 3.10 to 3.13 has: PYTHON=/path/to/python3 $0" ;;
    *)
      explain "pip failed; its own words are above. Run again, or delete .venv to start afresh." ;;
  esac
  return $status
}

pip_install() {
  local quiet=--quiet
  [ ! -t 3 ] || quiet= # its progress bars are for a person
  PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 "$venv/bin/python" -I -m pip install $quiet "$@"
}
