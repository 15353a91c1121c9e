# Sourced by export.sh and test.sh: finds a Python, makes .venv and keeps it up to date.
# Written for the bash 3.2 that macOS has.

unset CDPATH # cd would go elsewhere, and say so
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
venv=$root/.venv
stamp=$venv/hw1-made-from # "unfinished", or all that this .venv was made from
test_pins=$root/tests/requirements.txt
test_stamp=$venv/hw1-tests-from # the pins of the tests that are in it
cpu_index=${HW1_TORCH_INDEX:-https://download.pytorch.org/whl/cpu}
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
  [ "$(ulimit -n)" = unlimited ] || [ "$(ulimit -n)" -ge 256 ] ||
    ulimit -S -n "$(ulimit -H -n)" 2>/dev/null || true
  require_limit n 64 "open files"
  require_limit v 4000000 "kB of memory"
}

require_limit() { # option of ulimit, least value, what it counts
  local limit
  limit=$(ulimit "-$1")
  [ "$limit" = unlimited ] || [ "$limit" -ge "$2" ] ||
    stop "This shell allows $limit $3 (ulimit -$1), and a run needs $2. Open another shell, or" \
      "ask whoever set the limit, and run again."
}

# Prints the newest Python that fits.
find_python() {
  local candidates candidate
  candidates=(python3.14 python3.13 python3.12 python3.11 python3.10 python3 python)
  [ -z "${PYTHON:-}" ] || candidates=("$PYTHON")
  for candidate in "${candidates[@]}"; do
    if fits "$candidate"; then
      printf '%s' "$candidate"
      return
    fi
  done
  stop "No Python from 3.10 to 3.14 with its module venv was found; tried ${candidates[*]}." \
    "On Debian and Ubuntu 'sudo apt install python3-venv' adds it. Or install a Python from" \
    "python.org, conda or pyenv, or name the one you have: PYTHON=/path/to/python3 $0"
}

# Whether a Python can make .venv, and the pinned packages have builds for it. It is tried by
# running it: a pyenv shim is there for versions that are not.
fits() {
  "$1" -I -c 'import ensurepip, sys, venv; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' \
    >/dev/null 2>&1
}

# Makes .venv when there is none, when it is unfinished or broken or was made elsewhere; brings it
# up to date when requirements.txt or pyproject.toml changed; otherwise does nothing. For the
# tests (`prepare_venv tests`) it also gets what only they need.
prepare_venv() {
  local wanted purpose=${1:-}
  case ${HW1_TORCH:-auto} in
    auto | cpu | cuda) ;;
    *) stop "HW1_TORCH is '$HW1_TORCH'; it can be auto, cpu or cuda." ;;
  esac
  require_limits
  wanted=$(printf '%s\n' "$root" && cat "$root/requirements.txt" "$root/pyproject.toml")
  if ! is_ready || ! has_test_packages; then
    {
      await_turn
      is_ready || make_venv
      has_test_packages || add_test_packages
    } 9<"$root/requirements.txt"
  fi
  if [ -z "${HW1_TORCH:-}" ] && [ "$(installed_torch)" = cpu ] && has_nvidia_driver; then
    echo "This machine has an NVIDIA driver, but .venv has torch for the CPU alone." \
      "HW1_TORCH=cuda $0 changes that once and for all; HW1_TORCH=cpu $0 says no more of it."
  fi
}

# Running it also finds what a stamp cannot know: a Python that an upgrade of the system took
# away, one of another machine, packages that were deleted.
is_ready() {
  [ "$(cat "$stamp" 2>/dev/null)" = "$wanted" ] &&
    "$venv/bin/python" -I -B -c 'import hw1lib' >/dev/null 2>&1 && ! wants_other_torch
}

has_test_packages() {
  [ "$purpose" != tests ] || [ "$(cat "$test_stamp" 2>/dev/null)" = "$(cat "$test_pins")" ]
}

# Waits while another run makes .venv. The lock is the operating system's, on the open file 9: it
# is free when the last process that has the file open is gone, be it a pip whose script was
# killed. macOS has no command for it, so Python takes the lock and leaves it with this shell.
await_turn() {
  local python=$venv/bin/python
  fits "$python" || python=$(find_python)
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
  local made python torch packages
  made=$(cat "$stamp" 2>/dev/null || true)
  SECONDS=0
  if is_usable "$made"; then
    choose_torch
    echo "Bringing .venv up to date with requirements.txt; it gets $torch"
  else
    made=unfinished
    python=$(find_python)
    { rm -rf "$venv" && mkdir "$venv" && echo unfinished >"$stamp"; } ||
      stop "$venv cannot be written: move the project to a folder of yours and run again."
    with_progress "$python" -I -m venv --prompt HW1 "$venv" ||
      stop "$python could not make $venv; its own words are above."
    choose_torch
    echo "Making .venv with $("$python" --version) ($python) and $torch"
  fi
  echo unfinished >"$stamp"
  if wants_other_torch; then
    made=unfinished
    remove_torch
  fi
  if ! advised install "${packages[@]}"; then
    printf '%s\n' "$made" >"$stamp" # pip that fails leaves what was there
    exit 1
  fi
  printf '%s\n' "$wanted" >"$stamp"
  say_ready
}

add_test_packages() {
  SECONDS=0
  echo "Adding to .venv what only the tests need, some 0.2 GB"
  advised pip_install -r "$test_pins" -c "$root/requirements.txt" || exit 1
  cp "$test_pins" "$test_stamp"
  say_ready
}

say_ready() { echo ".venv is ready after $SECONDS s: $(megabytes) MB"; }

megabytes() {
  local size
  size=$(du -sm "$venv" 2>/dev/null) || true
  printf '%s' "${size%%[!0-9]*}"
}

# Whether .venv, with this content of its stamp (none where a student made it), can be added to.
is_usable() {
  case $1 in
    '' | "$root" | "$root"$'\n'*) fits "$venv/bin/python" && pip --version >/dev/null 2>&1 ;;
    *) return 1 ;;
  esac
}

# Sets `torch`, in words, and `packages`, pip's arguments. Linux has two builds of one version:
# PyPI's with CUDA, and a CPU build in an index of its own, which pip prefers when it is given.
choose_torch() {
  local build=${HW1_TORCH:-auto}
  packages=(-r "$root/requirements.txt")
  torch="torch: a download of some 0.3 GB, 1 GB of disk"
  case $OSTYPE in linux*) ;; *) return ;; esac
  [ "$build" != auto ] || build=$(installed_torch)
  [ -n "$build" ] || { has_nvidia_driver && build=cuda || build=cpu; }
  torch="torch with CUDA: a download of some 3 GB, 6 GB of disk"
  [ "$build" = cpu ] || return 0
  if lists_cpu_builds; then
    packages+=(--extra-index-url "$cpu_index")
    torch="torch for the CPU: a download of some 0.4 GB, 1.3 GB of disk"
  else
    torch="$torch (the smaller CPU build is not to be had from $cpu_index)"
  fi
}

has_nvidia_driver() {
  command -v nvidia-smi >/dev/null || [ -e /proc/driver/nvidia/version ] ||
    [ -e /usr/lib/wsl/lib/nvidia-smi ]
}

# Whether HW1_TORCH asks for the build that .venv does not have.
wants_other_torch() {
  case ${HW1_TORCH:-auto}-$(installed_torch) in
    cuda-cpu) ;;
    cpu-cuda) lists_cpu_builds ;;
    *) return 1 ;;
  esac
}

installed_torch() {
  local info
  for info in "$venv"/lib/python3.*/site-packages/torch-*.dist-info; do
    case $info in
      *+cpu.dist-info) echo cpu ;;
      *'*.dist-info') ;; # no such file
      *) echo cuda ;;
    esac
  done
}

# Whether the index of CPU builds lists the pinned ones for this Python and machine, found within
# seconds: it may be out of reach, or a page that asks for a login answer in its stead.
lists_cpu_builds() {
  local pin
  for pin in $(grep -oE '^torch(vision)?==[0-9.]+' "$root/requirements.txt"); do
    case $(timeout 10 "$venv/bin/python" -I -m pip --timeout 4 --retries 0 index versions \
      --index-url "$cpu_index" "${pin%==*}" 2>/dev/null) in
      *" ${pin#*==}+cpu"*) ;;
      *) return 1 ;;
    esac
  done
}

# pip would keep the build that is there, since both have one version; and with it goes what only
# the other one needs.
remove_torch() {
  pip list --format freeze |
    grep -oE '^(torch|torchvision|triton|(nvidia|cuda)-[^=]*)==' | tr -d = |
    xargs "$venv/bin/python" -I -m pip uninstall --quiet --yes
}

# All that requirements.txt names, this project, and a name for the kernel, so that a launcher
# that lists several shows which one is ours.
install() { # pip's arguments
  pip_install "$@" &&
    pip_install --no-deps --no-build-isolation -e "$root" &&
    "$venv/bin/python" -I -m ipykernel install --prefix "$venv" --display-name HW1 >/dev/null
}

pip_install() {
  local quiet=--quiet
  [ ! -t 1 ] || quiet= # its progress bars are for a person
  PIP_USER=0 PIP_DISABLE_PIP_VERSION_CHECK=1 pip install $quiet "$@"
}

pip() { "$venv/bin/python" -I -m pip "$@"; }

# Runs a command that installs; where it fails, says what to do about what it said.
advised() {
  with_progress "$@" || {
    explain "pip failed; its own words are above. If they speak of
  space or a quota: the first line says how much is needed, and pip's cache takes as much as is
    downloaded. Free some.
  a connection, a time-out or a name: check the network, or a proxy's settings (HTTPS_PROXY,
    PIP_INDEX_URL). What has arrived is not fetched twice.
  no matching distribution: this Python or machine has no build of that package. Linux, or a Mac
    with Apple's chip, with Python 3.10 to 3.14 has: PYTHON=/path/to/python3 $0
Then run again; or delete .venv to start afresh."
    return 1
  }
}

# Runs a command. On a terminal it also says, every few seconds, how far .venv has grown: pip is
# silent for minutes while it unpacks.
with_progress() {
  local status=0 reporter=
  if [ -t 1 ]; then
    while sleep 4 && kill -0 $$; do
      echo "  $SECONDS s: .venv has $(megabytes) MB"
    done 2>/dev/null 9<&- &
    reporter=$!
    disown
  fi
  "$@" || status=$?
  [ -z "$reporter" ] || kill "$reporter" 2>/dev/null || true
  return $status
}
