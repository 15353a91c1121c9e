"""The set-up that export.sh and test.sh share, tried with a Python that takes no time."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

PROJECT_ROOT = Path(__file__).resolve().parents[1]
TOOLS = ("bash", "env", "dirname", "cat", "rm", "mkdir", "cp", "sleep")

# Answers as Python would to what the scripts ask, and writes down what it was asked to do.
PYTHON = """#!/usr/bin/env bash
case "$*" in
  *version_info*) [ ! -e "$STUB/too-old" ] ;;
  *ensurepip*) [ ! -e "$STUB/no-venv-module" ] ;;
  --version) echo Python 3.11.7 ;;
  "-m venv "*) echo venv >>"$STUB/log"; mkdir -p "$3/bin" && cp "$0" "$3/bin/python" ;;
  "-m pip install "*)
    echo "pip $*" >>"$STUB/log"
    if [ -e "$STUB/pip-hangs" ]; then sleep 60; fi
    if [ -e "$STUB/pip-fails" ]; then cat "$STUB/pip-fails" >&2; exit 1; fi ;;
  *) echo "$PWD: $*" ;;
esac
"""


class Machine:
    """A computer with bash, a Python of sorts, and the project in a folder with spaces."""

    def __init__(self, folder: Path) -> None:
        self.stub = folder / "stub"
        self.bin = folder / "bin"
        self.project = folder / "my home work"
        for path in (self.stub, self.bin, self.project / "hw1lib"):
            path.mkdir(parents=True)
        for tool in TOOLS:
            (self.bin / tool).symlink_to(shutil.which(tool))
        for name in ("export.sh", "test.sh", "hw1lib/setup.sh"):
            shutil.copy(PROJECT_ROOT / name, self.project / name)
        (self.project / "requirements.txt").write_text("torch==2.14.0\n")
        (self.project / "pyproject.toml").write_text("[project]\n")
        self.env = {"PATH": str(self.bin), "STUB": str(self.stub)}
        self.add_python("python3")

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
        log = self.stub / "log"
        lines = log.read_text().splitlines() if log.exists() else []
        log.unlink(missing_ok=True)
        return lines

    def run(self, *command: str, **kwargs) -> subprocess.CompletedProcess:
        script, *arguments = command
        return subprocess.run(
            [self.project / script, *arguments],
            env=self.env,
            capture_output=True,
            text=True,
            timeout=30,
            **kwargs,
        )


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
    assert "90 s" in first.stdout

    second = machine.run("export.sh", "123456789", "--strict")
    assert machine.asked() == []
    assert second.stdout.endswith(": -I -m hw1lib.submission 123456789 --strict\n")
    assert len(second.stdout.splitlines()) == 1


def test_both_scripts_share_one_environment(machine):
    machine.run("export.sh")
    machine.asked()
    done = machine.run("test.sh", "-k", "two words")
    assert machine.asked() == []
    assert done.stdout.endswith("-m pytest -k two words\n")


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
    machine.set("pip-hangs")
    process = subprocess.Popen(
        [machine.project / "test.sh"],
        env=machine.env,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    deadline = time.monotonic() + 20
    while "pip" not in "".join(machine.asked()) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    (machine.stub / "pip-hangs").unlink()

    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_an_environment_that_came_from_another_folder_is_made_afresh(machine, tmp_path):
    machine.run("test.sh")
    machine.asked()
    machine.project = machine.project.rename(tmp_path / "elsewhere")
    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_an_environment_whose_python_is_gone_is_made_afresh(machine):
    machine.run("test.sh")
    machine.asked()
    (machine.project / ".venv/bin/python").unlink()
    assert machine.run("test.sh").returncode == 0
    assert machine.asked()[0] == "venv"


def test_an_environment_that_a_student_made_is_added_to(machine):
    machine.run("test.sh")
    machine.asked()
    machine.stamp.unlink()
    own = machine.project / ".venv" / "own package"
    own.touch()
    assert machine.run("test.sh").returncode == 0
    assert own.exists()
    assert "venv" not in machine.asked()


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("Failed to establish a new connection: [Errno 101]", "could not be downloaded"),
        ("Temporary failure in name resolution", "could not be downloaded"),
        ("ERROR: No matching distribution found for torch==2.14.0", "no build"),
        ("something else", "its own words are above"),
    ],
)
def test_a_failed_installation_says_why_and_what_to_do(machine, words, sentence):
    machine.set("pip-fails", words)
    failed = machine.run("export.sh")
    assert failed.returncode != 0
    assert failed.stderr.startswith(words)
    assert sentence in failed.stderr
    assert "hw1lib.submission" not in failed.stdout

    (machine.stub / "pip-fails").unlink()
    machine.asked()
    assert machine.run("export.sh").returncode == 0
    assert machine.asked()[0] == "venv"


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


def test_a_python_that_does_not_run_is_passed_over(machine):
    machine.add_python("python3", "#!/usr/bin/env bash\necho not installed >&2; exit 127\n")
    machine.add_python("python3.11")
    done = machine.run("test.sh")
    assert done.returncode == 0
    assert "(python3.11)" in done.stdout


def test_the_python_named_is_the_one_used(machine, tmp_path):
    machine.add_python("python3", "#!/usr/bin/env bash\nexit 1\n")
    machine.env["PYTHON"] = str(machine.add_python("my python"))
    assert f"({tmp_path}/bin/my python)" in machine.run("test.sh").stdout


@pytest.mark.parametrize(
    ("fact", "sentence"),
    [
        ("too-old", "No Python 3.10 or newer was found; tried python3 "),
        ("no-venv-module", "python3 has no venv module"),
    ],
)
def test_an_unfit_python_is_named_with_a_way_on(machine, fact, sentence):
    machine.set(fact)
    failed = machine.run("export.sh")
    assert failed.returncode == 1
    assert sentence in failed.stderr
    assert "PYTHON=/path/to/python3" in failed.stderr
    assert not (machine.project / ".venv").exists()


def test_help_installs_nothing(machine):
    done = machine.run("export.sh", "--strict", "--help")
    assert done.stdout.endswith("-m hw1lib.submission --help\n")
    assert machine.asked() == []
    assert not (machine.project / ".venv").exists()
