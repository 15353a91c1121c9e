"""The set-up that export.sh and test.sh share, tried with a Python that takes no time."""

import functools
import http.server
import os
import platform
import pty
import re
import shutil
import signal
import subprocess
import sys
import threading
import time
import venv
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fixtures.disks import read_only

PROJECT_ROOT = Path(__file__).resolve().parents[1]
HANG_S = 120  # no measure of speed: it only ends what hangs
TOOLS = ("bash", "env", "dirname", "cat", "rm", "mkdir", "cp", "ln", "sleep")
TOOLS += ("du", "grep", "timeout", "tr", "xargs")
NOBODY = "http://127.0.0.1:9"  # a port at which no program listens

# Answers as Python would to what the scripts ask, and writes down what it was asked to do. A
# virtual environment $STUB/real is one that a real pip works on.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *fcntl* | *" index versions "*) exec "$REAL_PYTHON" "$@" ;;
  *version_info*)
    [ ! -e "$STUB/no-venv-module" ] || exit 1
    version=3.11
    [ ! -e "$STUB/${0##*/}" ] || version=$(cat "$STUB/${0##*/}")
    exec "$REAL_PYTHON" -I -c "import sys; sys.version_info = (${version/./, },); ${!#}" ;;
  --version) echo Python 3.11.7 ;;
  "-I -m venv "*)
    echo venv >>"$STUB/log"
    mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python"
    [ ! -e "$STUB/real" ] || ln -s "$STUB/real/lib" "${!#}/lib" ;;
  "-I -m pip --version") ;;
  "-I -m pip "*)
    echo "pip $*" >>"$STUB/log"
    [ ! -e "$STUB/pip-warns" ] || cat "$STUB/pip-warns" >&2
    while [ -e "$STUB/pip-hangs" ]; do sleep 0.1; done
    if [ -e "$STUB/pip-fails" ]; then cat "$STUB/pip-fails" >&2; exit 1; fi
    rm -f "$STUB/no-hw1lib"
    case "$*" in
      *" -e "* | *tests/requirements.txt*) ;;
      *)
        [ ! -e "$STUB/real" ] ||
          exec "$REAL_PYTHON" -I -m pip --python "$STUB/real" "${@:4}" ;;
    esac ;;
  "-I -m ipykernel "*) echo "${!#}" >"$STUB/kernel" ;;
  *"import hw1lib"*) [ ! -e "$STUB/no-hw1lib" ] ;;
  *) echo "$PWD: $*" ;;
esac
"""


class Machine:
    """A computer with bash, a Python of sorts, and the project in a folder with spaces."""

    def __init__(self, folder: Path) -> None:
        self.stub = folder / "stub"
        self.bin = folder / "bin"
        self.project = folder / "my home work"
        for path in (self.stub, self.bin, self.project / "hw1lib", self.project / "tests"):
            path.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for name in ("export.sh", "test.sh", "hw1lib/setup.sh"):
            shutil.copy(PROJECT_ROOT / name, self.project / name)
        (self.project / "requirements.txt").write_text("torch==2.14.0\n")
        (self.project / "pyproject.toml").write_text("[project]\n")
        (self.project / "tests/requirements.txt").write_text("hypothesis==6\n")
        self.env = {"PATH": str(self.bin), "STUB": str(self.stub)}
        self.env["REAL_PYTHON"] = sys.executable
        self.env["HW1_TORCH_INDEX"] = NOBODY
        self.add_python("python3")
        self.set("log")
        self.read = 0

    @property
    def stamp(self) -> Path:
        return self.project / ".venv" / "hw1-made-from"

    def add_python(self, name: str, text: str = PYTHON) -> Path:
        path = self.bin / name
        path.write_text(text)
        path.chmod(0o755)
        return path

    def set(self, fact: str, text: str = "") -> None:
        (self.stub / fact).write_text(text)

    def asked(self) -> list[str]:
        """What Python was asked to make or install since the last call."""
        lines = (self.stub / "log").read_text().splitlines()
        new, self.read = lines[self.read :], len(lines)
        return new

    def run(self, *command: str, **kwargs) -> subprocess.CompletedProcess:
        script, *arguments = command
        return subprocess.run(
            [self.project / script, *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=HANG_S,
            **kwargs,
        )

    def start_hanging(self) -> subprocess.Popen:
        """A set-up in a process group of its own whose pip hangs until that fact is gone."""
        self.set("pip-hangs")
        process = subprocess.Popen(
            [self.project / "test.sh"],
            env=self.env,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self.wait_until(lambda: "pip" in "".join(self.asked()))
        return process

    def let_pip_end(self) -> None:
        (self.stub / "pip-hangs").unlink()

    @staticmethod
    def wait_until(condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + HANG_S
        while not condition():
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def machine(tmp_path):
    return Machine(tmp_path)


def test_first_run_makes_the_environment_and_the_second_goes_straight_on(machine):
    first = machine.run("export.sh", "123456789", "--strict")
    assert first.returncode == 0, first.stderr
    made, requirements, project = machine.asked()
    assert made == "venv"
    assert requirements.endswith(f"-r {machine.project}/requirements.txt")
    assert project.endswith(f"-e {machine.project}")
    said = first.stdout.splitlines()
    assert "Making .venv with Python 3.11.7 (python3) and torch" in said[0]
    assert " GB of disk" in said[0]
    assert re.fullmatch(r".venv is ready after \d+ s: \d+ MB", said[-2])
    assert (machine.stub / "kernel").read_text() == "HW1\n"

    second = machine.run("export.sh", "123456789", "--strict")
    assert machine.asked() == []
    assert second.stdout.endswith(": -I -B -m hw1lib.submission 123456789 --strict\n")
    assert len(second.stdout.splitlines()) == 1


def test_both_scripts_share_one_environment(machine):
    machine.run("export.sh")
    machine.asked()
    done = machine.run("test.sh", "-k", "two words")
    assert "venv" not in machine.asked()
    assert done.stdout.endswith("-m pytest -k two words\n")


def test_what_only_the_tests_need_is_added_by_them_alone_and_once(machine):
    machine.run("export.sh")
    pins = machine.project / "tests/requirements.txt"
    assert not any(str(pins) in line for line in machine.asked())
    machine.run("test.sh")
    (added,) = machine.asked()
    assert added.endswith(f"-r {pins} -c {machine.project}/requirements.txt")
    machine.run("test.sh")
    assert machine.asked() == []
    pins.write_text("hypothesis==7\n")
    machine.run("export.sh")
    assert machine.asked() == []
    machine.run("test.sh")
    assert len(machine.asked()) == 1


def test_scripts_work_from_any_folder(machine, tmp_path):
    machine.run("test.sh")
    assert machine.run("test.sh", cwd=tmp_path).stdout.startswith(f"{machine.project}: ")
    assert machine.run("export.sh", cwd=tmp_path).stdout.startswith(f"{tmp_path}: ")


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml"])
def test_a_changed_requirement_is_installed_into_the_same_environment(machine, name):
    machine.run("test.sh")
    machine.asked()
    with (machine.project / name).open("a") as file:
        file.write("# changed\n")
    assert machine.run("test.sh").returncode == 0
    asked = machine.asked()
    assert len(asked) == 2
    assert "venv" not in asked


def test_an_installation_that_was_killed_is_made_afresh(machine):
    process = machine.start_hanging()
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    machine.let_pip_end()
    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_a_second_set_up_waits_for_the_first_and_says_so(machine):
    first = machine.start_hanging()
    second = subprocess.Popen(
        [machine.project / "export.sh"], env=machine.env, stdout=subprocess.PIPE, text=True
    )
    assert "Another run is making .venv" in second.stdout.readline()
    assert machine.asked() == []
    machine.let_pip_end()
    assert ".venv is ready" in first.communicate(timeout=HANG_S)[0]
    assert second.communicate(timeout=HANG_S)[0].endswith("-m hw1lib.submission\n")
    assert second.returncode == 0
    project, tests = machine.asked()  # the rest of the first
    assert project.endswith(f"-e {machine.project}")
    assert "tests/requirements.txt" in tests


def test_a_set_up_waits_for_the_pip_of_one_that_was_killed_and_then_starts_afresh(machine):
    first = machine.start_hanging()
    first.kill()
    second = subprocess.Popen(
        [machine.project / "export.sh"], env=machine.env, stdout=subprocess.PIPE, text=True
    )
    assert "Another run is making .venv" in second.stdout.readline()
    machine.let_pip_end()
    assert second.communicate(timeout=HANG_S)[0].endswith("-m hw1lib.submission\n")
    first.communicate()
    assert machine.asked()[0] == "venv"


def test_an_interruption_ends_the_wait_and_starts_nothing(machine):
    first = machine.start_hanging()
    second = subprocess.Popen(
        [machine.project / "export.sh"],
        env=machine.env,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert "Another run is making .venv" in second.stdout.readline()
    os.killpg(second.pid, signal.SIGINT)
    assert second.communicate(timeout=HANG_S) == ("", "")
    assert second.returncode == -signal.SIGINT
    machine.let_pip_end()
    first.communicate(timeout=HANG_S)


def test_an_environment_that_came_from_another_folder_is_made_afresh(machine, tmp_path):
    machine.run("test.sh")
    machine.asked()
    machine.project = machine.project.rename(tmp_path / "elsewhere")
    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        lambda python: python.unlink() or python.symlink_to("/another/machine/python3"),
        lambda python: python.write_bytes(b"\x7fELF of another machine"),
    ],
    ids=["gone", "another machine's link", "another machine's program"],
)
def test_an_environment_whose_python_does_not_run_is_made_afresh(machine, spoil):
    machine.run("test.sh")
    machine.asked()
    spoil(machine.project / ".venv/bin/python")
    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_an_environment_without_its_packages_gets_them_again(machine):
    machine.run("test.sh")
    machine.asked()
    machine.set("no-hw1lib")
    assert machine.run("test.sh").returncode == 0
    requirements, _ = machine.asked()
    assert requirements.endswith(f"-r {machine.project}/requirements.txt")


def test_an_environment_that_a_student_made_is_added_to(machine):
    machine.run("test.sh")
    machine.asked()
    machine.stamp.unlink()
    own = machine.project / ".venv" / "own package"
    own.touch()
    assert machine.run("test.sh").returncode == 0
    assert own.exists()
    assert "venv" not in machine.asked()


def test_a_failed_installation_says_why_and_what_to_do(machine):
    words = "ERROR: No matching distribution found for torch==2.14.0\n"
    machine.set("pip-fails", words)
    failed = machine.run("export.sh")
    assert failed.returncode != 0
    assert failed.stderr.startswith(words)
    for advice in ("Free some", "check the network", "has no build of that package"):
        assert advice in failed.stderr
    assert "hw1lib.submission" not in failed.stdout

    (machine.stub / "pip-fails").unlink()
    machine.asked()
    assert machine.run("export.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_what_pip_warns_of_is_shown_at_once(machine):
    machine.set("pip-warns", "WARNING: this machine's clock is slow\n")
    machine.set("pip-hangs")
    with subprocess.Popen(
        [machine.project / "export.sh"], env=machine.env, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stderr.readline() == "WARNING: this machine's clock is slow\n"
        machine.let_pip_end()
        process.communicate(timeout=HANG_S)
    assert process.returncode == 0


def test_on_a_terminal_pip_s_silence_is_filled(machine):
    """It unpacks for minutes without a word."""
    machine.set("pip-hangs")
    ours, its = pty.openpty()
    process = subprocess.Popen(
        [machine.project / "export.sh"], env=machine.env, stdout=its, stderr=its
    )
    os.close(its)
    shown = b""
    while not re.search(rb"\d+ s: .venv has \d+ MB", shown):
        shown += os.read(ours, 1000)
    machine.let_pip_end()
    assert process.wait(timeout=HANG_S) == 0
    os.close(ours)


def test_a_failed_update_keeps_the_environment_and_is_tried_again(machine):
    machine.run("test.sh")
    (machine.project / "requirements.txt").write_text("torch==99\n")
    machine.set("pip-fails", "No matching distribution")
    assert machine.run("test.sh").returncode != 0
    machine.asked()
    (machine.stub / "pip-fails").unlink()
    assert machine.run("test.sh").returncode == 0
    asked = machine.asked()
    assert len(asked) == 2
    assert "venv" not in asked


@pytest.mark.parametrize(
    ("limit", "sentence"),
    [
        ("-n 40", "allows 40 open files (ulimit -n), and a run needs 64"),
        ("-v 1000000", "allows 1000000 kB of memory (ulimit -v), and a run needs 4000000"),
    ],
)
def test_limits_of_the_shell_in_which_nothing_can_run_are_said_as_such(
    machine, limit, sentence
):
    machine.run("export.sh")
    machine.asked()
    command = f'ulimit {limit} && exec "$0"'
    failed = subprocess.run(
        ["bash", "-c", command, machine.project / "export.sh"],
        env=machine.env,
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert machine.asked() == []


def test_few_open_files_are_made_more_where_the_system_allows_it(machine):
    machine.add_python("python3", PYTHON.replace('*) echo "$PWD: $*"', "*) ulimit -n"))
    command = 'ulimit -S -n 40 && exec "$0"'
    done = subprocess.run(
        ["bash", "-c", command, machine.project / "export.sh"],
        env=machine.env,
        capture_output=True,
        text=True,
    )
    assert int(done.stdout.splitlines()[-1]) > 64, done.stderr


def test_a_search_path_of_cd_leads_nowhere_else(machine, tmp_path):
    (tmp_path / "elsewhere" / "hw1lib").mkdir(parents=True)
    machine.env["CDPATH"] = str(tmp_path / "elsewhere")
    done = subprocess.run(
        ["bash", "export.sh"],
        cwd=machine.project,
        env=machine.env,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"-e {machine.project}" in machine.asked()[-1]


def test_a_python_that_does_not_run_is_passed_over(machine):
    machine.add_python("python3", "#!/usr/bin/env bash\necho not installed >&2; exit 127\n")
    machine.add_python("python3.11")
    done = machine.run("test.sh")
    assert done.returncode == 0
    assert "(python3.11)" in done.stdout


def test_the_newest_python_that_fits_is_taken_though_a_newer_one_comes_first(machine):
    for name in ("python3.10", "python3.12", "python3.13"):
        machine.add_python(name)
    machine.set("python3", "3.15")
    machine.set("python3.13", "3.15")
    assert "(python3.12)" in machine.run("export.sh").stdout.splitlines()[0]


def test_the_python_named_is_the_one_used(machine, tmp_path):
    machine.add_python("python3", "#!/usr/bin/env bash\nexit 1\n")
    machine.env["PYTHON"] = str(machine.add_python("my python"))
    assert f"({tmp_path}/bin/my python)" in machine.run("test.sh").stdout


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        (("python3", "3.9"), "its module venv was found; tried python3.14 "),
        (("python3", "3.15"), "its module venv was found; tried python3.14 "),
        (("no-venv-module", ""), "'sudo apt install python3-venv' adds it"),
    ],
)
def test_an_unfit_python_is_named_with_a_way_on(machine, fact, sentence):
    machine.set(*fact)
    failed = machine.run("export.sh")
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert "PYTHON=/path/to/python3" in failed.stderr
    assert not (machine.project / ".venv").exists()


def test_a_project_folder_that_cannot_be_written_is_named(machine):
    machine.env["PATH"] += f":{os.environ['PATH']}"
    command = read_only(machine.project, machine.project / "export.sh")
    failed = subprocess.run(command, env=machine.env, capture_output=True, text=True)
    assert failed.returncode == 1
    assert failed.stderr.endswith(
        f"{machine.project}/.venv cannot be written: move the project to a folder of yours and "
        "run again.\n"
    )
    assert machine.asked() == []


# One that a file of the current folder leads astray must not be believed to be unfit.
PASSES_ON = """#!/usr/bin/env bash
case "$*" in
  "-I -m venv "*) mkdir -p "${!#}/bin" && cp "$0" "${!#}/bin/python" ;;
  "-I -m pip "* | "-I -m ipykernel "* | "-I -B -m hw1lib.submission" | *"import hw1lib"*)
    exec "$REAL_PYTHON" -I -c "import typing, random, pip" ;;
  *) exec "$REAL_PYTHON" "$@" ;;
esac
"""


def test_no_file_of_the_current_folder_stands_in_for_a_module(machine, tmp_path):
    machine.add_python("python3", PASSES_ON)
    hostile = tmp_path / "hostile"
    hostile.mkdir()
    for name in ("typing", "random", "venv", "ensurepip", "fcntl", "argparse", "hw1lib"):
        (hostile / f"{name}.py").write_text("raise SystemExit('the wrong file was imported')")
    machine.env["PYTHONPATH"] = str(hostile)
    done = machine.run("export.sh", cwd=hostile)
    assert (done.returncode, done.stderr) == (0, "")
    assert ".venv is ready" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["--strict", "--help"], "Make the three files"),
        (["check", "-h"], "export.sh check"),
    ],
)
def test_help_installs_nothing_and_needs_no_package(machine, tmp_path, arguments, shown):
    machine.env["PYTHON"] = sys.executable
    (tmp_path / "argparse.py").write_text("raise SystemExit('the wrong file was imported')")
    shutil.copytree(PROJECT_ROOT / "hw1lib", machine.project / "hw1lib", dirs_exist_ok=True)
    done = machine.run("export.sh", *arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert shown in done.stdout
    assert not (machine.project / ".venv").exists()


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux has two builds")
TAG = "cp{0}{1}-cp{0}{1}".format(*sys.version_info)


class Indices(http.server.SimpleHTTPRequestHandler):
    """PyPI, and PyTorch's index of CPU builds as `cpu`, or what answers in its stead."""

    cpu = "there"
    asked_cpu = 0

    def do_GET(self):
        if self.path.startswith("/cpu/"):
            type(self).asked_cpu += 1
            if self.cpu == "a login page":
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b"<html><a href='/login'>Log in to this network</a></html>")
                return
            if self.cpu == "hanging":
                self.closed.wait(HANG_S)
                return
        super().do_GET()

    def log_message(self, *arguments):
        pass


def write_wheel(folder: Path, name: str, version: str, *needs: str, tag: str = "py3-none-any"):
    """A package without content, as pip installs it."""
    (folder / name).mkdir(parents=True, exist_ok=True)
    info = f"{name.replace('-', '_')}-{version}.dist-info"
    metadata = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}"]
    metadata += [f"Requires-Dist: {need}" for need in needs]
    path = folder / name / f"{name.replace('-', '_')}-{version}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{info}/METADATA", "\n".join(metadata) + "\n")
        wheel.writestr(
            f"{info}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: {tag}\n"
        )
        wheel.writestr(f"{info}/RECORD", "")


@pytest.fixture
def online(machine, tmp_path):
    """The machine with a real pip, and packages without content in indices of its own."""
    site = tmp_path / "site"
    cpu_tag = f"{TAG}-linux_{platform.machine()}"
    write_wheel(site / "pypi", "torch", "2.14.0", "nvidia-cublas")
    write_wheel(site / "pypi", "nvidia-cublas", "13.1")
    write_wheel(site / "pypi", "torchvision", "0.29.0")
    write_wheel(site / "cpu", "torch", "2.14.0+cpu", tag=cpu_tag)
    write_wheel(site / "cpu", "torchvision", "0.29.0+cpu", tag=cpu_tag)
    write_wheel(site / "none for this Python", "torch", "2.14.0+cpu", tag="cp27-cp27m-any")
    requirements = machine.project / "requirements.txt"
    requirements.write_text("torch==2.14.0\ntorchvision==0.29.0\n")
    handler = type("Handler", (Indices,), {"closed": threading.Event()})
    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(handler, directory=str(site))
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    venv.create(machine.stub / "real", symlinks=True)
    machine.handler = handler
    machine.url = f"http://127.0.0.1:{server.server_port}"
    machine.env |= {
        "HW1_TORCH_INDEX": f"{machine.url}/cpu",
        "PIP_INDEX_URL": f"{machine.url}/pypi",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_NO_CACHE_DIR": "1",
    }
    yield machine
    handler.closed.set()
    server.shutdown()
    thread.join()
    server.server_close()


def installed(machine) -> set[str]:
    """Names and versions in .venv, without pip and the like."""
    site_packages = next((machine.project / ".venv/lib").glob("python3*/site-packages"))
    return {
        path.name.removesuffix(".dist-info") for path in site_packages.glob("*-*.dist-info")
    }


CPU = {"torch-2.14.0+cpu", "torchvision-0.29.0+cpu"}
CUDA = {"torch-2.14.0", "torchvision-0.29.0", "nvidia_cublas-13.1"}
NO_DRIVER = pytest.mark.skipif(
    any(map(os.path.exists, ("/proc/driver/nvidia/version", "/usr/lib/wsl/lib/nvidia-smi"))),
    reason="this machine has an NVIDIA driver",
)


@ON_LINUX
@NO_DRIVER
def test_without_an_nvidia_driver_torch_is_the_cpu_build(online):
    done = online.run("export.sh")
    assert done.returncode == 0, done.stderr
    assert "torch for the CPU: a download of some 0.4 GB, 1.3 GB of disk" in done.stdout
    assert installed(online) == CPU
    looked = online.handler.asked_cpu
    assert len(online.run("export.sh").stdout.splitlines()) == 1
    assert online.handler.asked_cpu == looked  # the second call starts at once


@pytest.mark.slow
@ON_LINUX
@NO_DRIVER
@pytest.mark.parametrize("cpu", ["absent", "hanging", "a login page", "none for this Python"])
def test_where_the_cpu_builds_are_not_to_be_had_torch_is_as_pip_finds_it(online, cpu):
    online.handler.cpu = cpu
    if cpu == "absent":
        online.env["HW1_TORCH_INDEX"] = NOBODY
    elif cpu == "none for this Python":
        online.env["HW1_TORCH_INDEX"] = f"{online.url}/{cpu.replace(' ', '%20')}"
    done = online.run("export.sh")
    assert done.returncode == 0, done.stderr
    first = done.stdout.splitlines()[0]
    assert "torch with CUDA: a download of some 3 GB, 6 GB of disk" in first
    assert f"not to be had from {online.env['HW1_TORCH_INDEX']}" in first
    assert installed(online) == CUDA


@pytest.mark.slow
@ON_LINUX
@pytest.mark.parametrize("how", ["a driver", "HW1_TORCH=cuda"])
def test_with_a_driver_or_on_demand_torch_has_cuda(online, how):
    if how == "a driver":
        online.add_python("nvidia-smi")
    else:
        online.env["HW1_TORCH"] = "cuda"
    done = online.run("export.sh")
    assert done.returncode == 0, done.stderr
    assert "torch with CUDA" in done.stdout.splitlines()[0]
    assert installed(online) == CUDA
    assert online.handler.asked_cpu == 0


@pytest.mark.slow
@ON_LINUX
def test_the_build_of_torch_changes_on_demand_and_all_else_stays(online):
    online.env["HW1_TORCH"] = "cpu"
    online.run("export.sh")
    own = online.project / ".venv/own"
    own.touch()
    online.asked()

    online.add_python("nvidia-smi")  # a GPU is added
    del online.env["HW1_TORCH"]
    hint = online.run("export.sh").stdout.splitlines()[0]
    assert f"HW1_TORCH=cuda {online.project}/export.sh changes that" in hint
    assert online.asked() == []

    for build, packages in (("cuda", CUDA), ("cpu", CPU)):
        online.env["HW1_TORCH"] = build
        done = online.run("export.sh")
        assert done.returncode == 0, done.stderr
        assert installed(online) == packages
        assert own.exists()
        online.asked()
        assert len(online.run("export.sh").stdout.splitlines()) == 1
        assert online.asked() == []


def test_another_word_for_the_build_of_torch_is_refused(machine):
    machine.env["HW1_TORCH"] = "gpu"
    failed = machine.run("export.sh")
    assert failed.returncode == 1
    assert "HW1_TORCH is 'gpu'; it can be auto, cpu or cuda." in failed.stderr
    assert machine.asked() == []
