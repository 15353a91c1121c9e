"""What can go wrong while an export runs: the message, the exit status, what is on the disk."""

import errno
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from itertools import count
from pathlib import Path

import nbformat
import pytest

from hw1lib.submission import __main__ as command
from hw1lib.submission import build, execute
from tests.fixtures.projects import HANG_S, PROJECT_ROOT, Project, wait_for

NAME = "HW1_ID1_ID2"
LATEST = {f"{NAME}.{kind}" for kind in ("ipynb", "pdf", "pkl")}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with an earlier set of files in submission/."""
    folder = tmp_path / "project"
    submission = folder / "submission"
    submission.mkdir(parents=True)
    project = Project(folder, monkeypatch)
    for name in LATEST:
        (submission / name).write_text("last week's")
    return project


@pytest.fixture
def no_kernel(project, monkeypatch):
    """Stand in for the kernel where what comes before or after it is tried."""

    def save_weights(notebook, *, env, **_):
        shutil.copy(project.weights, Path(env["HW1_OUTPUT"]) / f"{NAME}.pkl")
        for action in actions:
            action()
        return 0

    actions = []
    monkeypatch.setattr(build, "execute", save_weights)
    project.write()
    return actions.append


def assert_only_kept(project: Project, before: dict[str, bytes], *, executed: int) -> None:
    """Nothing on the disk is new but the notebook as far as it came."""
    after = project.files()
    kept = nbformat.reads(after.pop("build/HW1-failed.ipynb").decode(), as_version=4)
    assert sum(bool(cell.get("execution_count")) for cell in kept.cells) >= executed
    assert after == before


def has_new_set(project: Project) -> bool:
    files = {path.name: path.read_bytes() for path in (project.folder / "submission").iterdir()}
    assert files.keys() == LATEST
    old = [content == b"last week's" for content in files.values()]
    assert all(old) or not any(old)
    return not any(old)


# Cells and the kernel. ------------------------------------------------------------------------


def test_a_cell_that_hangs_is_named_after_the_time_allowed(project, capsys):
    project.write("# waits for Godot\nwhile True: pass", "never = 'reached'")
    before = project.files()
    assert project.export("--cell-timeout", "1") == 1
    error = capsys.readouterr().err
    assert "Cell 3 of 4 failed" in error
    assert "# waits for Godot" in error
    assert "took more than the 1 s that --cell-timeout (or HW1_CELL_TIMEOUT) allows" in error
    assert_only_kept(project, before, executed=2)


@pytest.mark.parametrize(
    ("variable", "arguments", "seconds"),
    [("", [], None), ("5", [], 5), ("5", ["--cell-timeout=7"], 7)],
)
def test_the_time_allowed_comes_from_the_option_else_the_environment(
    monkeypatch, variable, arguments, seconds
):
    monkeypatch.setenv("HW1_CELL_TIMEOUT", variable)
    assert command._parser().parse_args(arguments).cell_timeout == seconds


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "1.5", "9999999"])
def test_a_time_that_is_none_is_refused_before_anything_runs(project, capsys, seconds):
    project.write()
    before = project.files()
    with pytest.raises(SystemExit) as stopped:
        project.export(f"--cell-timeout={seconds}")
    assert stopped.value.code == 2
    assert f"'{seconds}' is no number of seconds" in capsys.readouterr().err
    assert project.files() == before


DEATHS = {
    "os._exit(3)": "The cell ended the kernel, with exit status 3",
    "import ctypes; ctypes.string_at(0)": "The kernel crashed (Segmentation fault",
}


@pytest.mark.parametrize("source", DEATHS)
def test_a_kernel_that_dies_is_told_from_a_failing_cell(project, capsys, source):
    project.write(source)
    before = project.files()
    assert project.export() == 1
    error = capsys.readouterr().err
    assert "Cell 3 of 3 failed" in error
    assert DEATHS[source] in error
    assert_only_kept(project, before, executed=2)


def test_a_kernel_killed_from_outside_is_told_so(project, capsys):
    pid = project.folder.parent / "pid"
    project.write(f"Path({str(pid)!r}).write_text(f'{{os.getpid()}}\\n')\nwhile True: pass")
    killer = threading.Thread(target=lambda: os.kill(int(wait_for(pid)), signal.SIGKILL))
    killer.start()
    assert project.export() == 1
    killer.join()
    assert "The kernel was killed. Most often the memory ran out" in capsys.readouterr().err
    assert not has_new_set(project)


SHORT_OF_MEMORY = """\
import resource
resource.setrlimit(resource.RLIMIT_AS, (8 << 30, 8 << 30))
"""


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS sets no limit to memory")
@pytest.mark.parametrize(
    "cell",
    [
        "bytearray(1 << 34)",
        pytest.param("import numpy; numpy.ones(1 << 34)", marks=pytest.mark.slow),
        pytest.param("import torch; torch.empty(1 << 34)", marks=pytest.mark.slow),
    ],
)
def test_memory_that_runs_out_in_a_cell_is_called_that(project, capsys, cell):
    project.write(f"{SHORT_OF_MEMORY}{cell}")
    before = project.files()
    assert project.export() == 1
    error = capsys.readouterr().err
    assert "Cell 3 of 3 failed" in error
    assert error.rstrip().endswith(
        "The memory ran out: close other programs and run the export again."
    )
    assert_only_kept(project, before, executed=3)


@pytest.mark.parametrize(
    "kernel", ["exit 1", pytest.param("exec sleep 1000", marks=pytest.mark.slow)]
)
def test_a_kernel_that_does_not_start_is_told_with_a_way_on(
    project, capsys, monkeypatch, kernel
):
    project.write()
    before = project.files()
    broken = project.folder.parent / "python"
    broken.write_text(f"#!/bin/sh\n{kernel}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(execute, "_START_S", 3)
    assert project.export() == 1
    error = capsys.readouterr().err
    assert "did not start" in error
    assert "Delete the folder .venv" in error
    assert_only_kept(project, before, executed=0)


# Memory and disk of the export itself. --------------------------------------------------------


@pytest.mark.usefixtures("no_kernel")
def test_memory_that_runs_out_in_the_export_itself_is_called_that(project, capsys, monkeypatch):
    def too_much(*_):
        return bytearray(1 << 60)

    before = project.files()
    monkeypatch.setattr(build, "_pdf", too_much)
    assert project.export() == 1
    assert capsys.readouterr().err.strip().startswith("The memory ran out: close other")
    assert_only_kept(project, before, executed=0)


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space and run again"),
        (errno.EDQUOT, "free some space and run again"),
        (errno.EACCES, "Make it writable, or move the project"),
        (errno.EIO, "Input/output error."),
    ],
)
def test_an_error_of_the_disk_names_the_file_and_a_way_on(
    project, capsys, monkeypatch, number, advice
):
    def refuse(folder, contents):
        raise OSError(number, os.strerror(number), str(folder / next(iter(contents))))

    before = project.files()
    monkeypatch.setattr(build, "publish", refuse)
    assert project.export() == 1
    error = capsys.readouterr().err
    assert f"{project.folder}/submission/{NAME}.ipynb: {os.strerror(number)}" in error
    assert advice in error
    assert_only_kept(project, before, executed=0)


def test_too_little_space_is_told_before_anything_runs(project, capsys, monkeypatch):
    project.write()
    before = project.files()
    monkeypatch.setattr(build, "SPACE_NEEDED", 1 << 60)
    assert project.export() == 1
    printed = capsys.readouterr()
    assert "MB are free where an export needs" in printed.err
    assert "Data" not in printed.out
    assert project.files() == before


# Signals. -------------------------------------------------------------------------------------


@pytest.fixture
def run_command(project, monkeypatch):
    """Run the export as the command line does, signals included."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    # Ignored in a process that a shell started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["hw1lib.submission", *project.arguments, *arguments])
        return command._command()

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


ENDS = {
    signal.SIGINT: (130, "\nInterrupted: nothing was changed.\n"),
    signal.SIGTERM: (143, "\nTerminated: nothing was changed.\n"),
}


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("number", ENDS)
@pytest.mark.parametrize("step", ["_obtain_all", "_checked_weights", "_pdf"])
def test_a_signal_ends_the_export_and_leaves_everything_as_it_was(
    project, run_command, capsys, monkeypatch, step, number
):
    take = getattr(build, step)

    def interrupted(*arguments):
        os.kill(os.getpid(), number)
        return take(*arguments)

    monkeypatch.setattr(build, step, interrupted)
    before = project.files()
    assert (run_command(), capsys.readouterr().err) == ENDS[number]
    assert project.files() == before
    assert [path.name for path in (project.folder / "build").iterdir()] == ["lock"]


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_while_files_are_published_comes_too_late(
    project, run_command, capsys, monkeypatch, number
):
    def interrupted(*arguments):
        os.kill(os.getpid(), number)
        files = publish(*arguments)
        os.kill(os.getpid(), number)
        return files

    publish = build.publish
    monkeypatch.setattr(build, "publish", interrupted)
    assert run_command("--in-place") == 0
    assert capsys.readouterr().err == ""
    assert has_new_set(project)
    executed = (project.folder / "submission" / f"{NAME}.ipynb").read_bytes()
    assert project.notebook.read_bytes() == executed


WAITS = """\
Path({pid!r}).write_text(f"{{os.getpid()}}\\n")
import time
while not Path({go!r}).exists(): time.sleep(0.05)
"""


@pytest.fixture
def started(project):
    """An export in a process of its own whose last cell waits; that, its kernel, and the go."""
    pid, go = project.folder.parent / "pid", project.folder.parent / "go"
    project.write(WAITS.format(pid=str(pid), go=str(go)))
    process = project.start()
    yield process, int(wait_for(pid)), go
    process.kill()
    process.communicate()


def assert_ends(pid: int) -> None:
    deadline = time.monotonic() + HANG_S
    while is_alive(pid):
        assert time.monotonic() < deadline
        time.sleep(0.05)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.mark.parametrize(
    "number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)]
)
def test_a_signal_from_outside_stops_the_kernel_too(project, started, number):
    process, kernel, _ = started
    before = project.files()
    process.send_signal(number)
    errors = process.communicate(timeout=HANG_S)[1]
    assert (process.returncode, errors) == ENDS[number]
    assert not is_alive(kernel)
    assert {n: c for n, c in before.items() if "/run-" not in n} == project.files()


def test_after_a_kill_the_kernel_ends_by_itself_and_the_next_run_succeeds(project, started):
    process, kernel, go = started
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not has_new_set(project)
    assert list((project.folder / "build").glob("run-*"))
    go.touch()
    assert project.export() == 0
    assert has_new_set(project)
    assert not list((project.folder / "build").glob("run-*"))
    assert_ends(kernel)


# Others at work in the same folder. -----------------------------------------------------------


def test_a_second_export_says_that_one_is_at_work_and_disturbs_it_not(project, started, capsys):
    process, _, go = started
    before = project.files()
    assert project.export() == 1
    error = capsys.readouterr().err
    assert f"Another export is at work in {project.folder} (process {process.pid})" in error
    assert "Wait until it has ended, or stop it" in error
    assert project.files() == before
    go.touch()
    errors = process.communicate(timeout=HANG_S)[1]
    assert (process.returncode, errors) == (0, "")
    assert has_new_set(project)


@pytest.mark.usefixtures("no_kernel")
def test_a_folder_without_locks_is_exported_to_all_the_same(project, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert project.export() == 0
    assert has_new_set(project)


@pytest.mark.parametrize("in_place", [False, True])
def test_a_notebook_that_is_saved_during_the_export_is_not_written_over(
    project, no_kernel, capsys, in_place
):
    no_kernel(lambda: project.notebook.write_text("edited meanwhile"))
    assert project.export(*["--in-place"] * in_place) == int(in_place)
    assert project.notebook.read_text() == "edited meanwhile"
    assert has_new_set(project)
    printed = capsys.readouterr()
    said = f"{project.notebook} was saved by someone else while the export ran"
    assert said in (printed.err if in_place else printed.out)


def test_a_notebook_that_is_deleted_during_the_export_does_not_come_back(project, no_kernel):
    no_kernel(project.notebook.unlink)
    assert project.export("--in-place") == 1
    assert not project.notebook.exists()
    assert has_new_set(project)


# The surroundings. ----------------------------------------------------------------------------


@pytest.mark.parametrize("step_s", [1e6, pytest.param(-1e6, marks=pytest.mark.slow)])
def test_a_clock_that_jumps_changes_nothing(project, monkeypatch, step_s):
    clock = count(2.5e9, step_s)
    monkeypatch.setattr(time, "time", lambda: next(clock))
    slow_to_start = project.folder.parent / "python"
    slow_to_start.write_text(f'#!/bin/sh\nsleep 1.5\nexec "{sys.executable}" "$@"\n')
    slow_to_start.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(slow_to_start))
    project.write("import time\ntime.time = lambda: 0.0", "[time.time() for _ in range(3)]")
    assert project.export() == 0
    assert has_new_set(project)


def test_a_users_own_python_settings_do_not_reach_the_kernel(project, monkeypatch):
    hostile = project.folder.parent / "hostile"
    hostile.mkdir()
    for module in ("torch", "hw1lib", "typing", "random", "IPython", "sitecustomize"):
        (hostile / f"{module}.py").write_text("raise SystemExit('the wrong file was imported')")
    (hostile / "startup.py").write_text("raise SystemExit('the wrong file was run')")
    monkeypatch.setenv("PYTHONPATH", str(hostile))
    monkeypatch.setenv("PYTHONSTARTUP", str(hostile / "startup.py"))
    monkeypatch.setenv("PYTHONHOME", "/nowhere")
    project.write("import sys, hw1lib\n(hw1lib.__file__, sorted(sys.flags))")
    assert project.export() == 0
    executed = nbformat.read(project.folder / "submission" / f"{NAME}.ipynb", as_version=4)
    shown = executed.cells[-1].outputs[0].data["text/plain"]
    assert str(PROJECT_ROOT / "hw1lib") in shown


@pytest.mark.usefixtures("no_kernel")
def test_what_a_killed_run_left_goes_and_other_things_in_build_stay(project):
    build_folder = project.folder / "build"
    (build_folder / "run-abandoned" / "output").mkdir(parents=True)
    (build_folder / "run-abandoned" / "output" / "cnn.pt").touch()
    (build_folder / "cnn.pt").write_text("of an earlier run")
    (project.folder / ".submission.tmp-4711").mkdir()
    assert project.export() == 0
    assert {path.name for path in build_folder.iterdir()} == {"lock", "cnn.pt", f"{NAME}.pkl"}
    assert not list(project.folder.glob(".submission*"))
    assert Path(build_folder / "cnn.pt").read_text() == "of an earlier run"
