"""What can go wrong while an export runs: the message, the exit status, what is on the disk."""

import errno
import fcntl
import os
import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest

from hw1lib.submission import __main__ as command
from hw1lib.submission import build, execute
from hw1lib.submission.pdf import TypstPDFExporter
from hw1lib.submission.publish import publish
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

    def save_weights(notebook, *, env, **others):
        shutil.copy(project.weights, Path(env["HW1_OUTPUT"]) / f"{NAME}.pkl")
        settings.update(others)
        for action in actions:
            action()
        return 0

    actions, settings = [], {}
    monkeypatch.setattr(build, "execute", save_weights)
    project.write()
    return SimpleNamespace(then=actions.append, settings=settings)


def assert_only_kept(project: Project, before: dict[str, bytes], *, executed: int) -> None:
    """Nothing on the disk is new but the notebook as far as it came, and what it saved."""
    after = project.files()
    kept = nbformat.reads(after.pop("build/stopped/HW1.ipynb").decode(), as_version=4)
    assert sum(bool(cell.get("execution_count")) for cell in kept.cells) >= executed
    if executed > 1:
        assert after.pop(f"build/stopped/{NAME}.pkl") == project.weights.read_bytes()
    assert after == before


def assert_finished_and_kept(project: Project, before: dict[str, bytes]) -> None:
    """The executed notebook and the weights are kept, and make a set once the fault is gone."""
    after = project.files()
    assert after.pop(f"build/executed/{NAME}.pkl") == project.weights.read_bytes()
    assert nbformat.reads(after.pop(f"build/executed/{NAME}.ipynb").decode(), as_version=4)
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
    assert project.export("--cell-timeout", "8") == 1
    error = capsys.readouterr().err
    assert "Cell 3 of 4 failed" in error
    assert "# waits for Godot" in error
    assert "took more than the 8 s that --cell-timeout (or HW1_CELL_TIMEOUT) allows" in error
    assert_only_kept(project, before, executed=2)


@pytest.mark.parametrize(
    ("variable", "arguments", "seconds"),
    [("", [], None), ("5", [], 5), ("5", ["--cell-timeout=7"], 7)],
)
def test_the_time_allowed_comes_from_the_option_else_the_environment(
    project, no_kernel, monkeypatch, variable, arguments, seconds
):
    monkeypatch.setenv("HW1_CELL_TIMEOUT", variable)
    assert project.export(*arguments) == 0
    assert no_kernel.settings["cell_timeout"] == seconds


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "nan", "1.5", "9999999"])
def test_a_time_that_is_none_is_refused_before_anything_runs(project, capsys, seconds):
    project.write()
    before = project.files()
    with pytest.raises(SystemExit) as stopped:
        project.export(f"--cell-timeout={seconds}")
    assert stopped.value.code == 2
    assert f"--cell-timeout: '{seconds}' is no number of seconds" in capsys.readouterr().err
    assert project.files() == before


@pytest.mark.slow
def test_outputs_that_come_long_after_a_cell_has_ended_are_kept(project, monkeypatch):
    patience, process_message = 4.0, execute._Client.process_message  # nbclient's, in seconds

    def slow(*arguments):
        time.sleep(patience / 20)
        return process_message(*arguments)

    monkeypatch.setattr(execute._Client, "process_message", slow)
    project.write("for number in range(40): display(number)")
    assert project.export() == 0
    executed = project.folder / "submission" / f"{NAME}.ipynb"
    assert len(nbformat.read(executed, 4).cells[-1].outputs) == 40


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
    broken.write_text(f"#!/bin/sh\necho its own words >&2\n{kernel}\n")
    broken.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(broken))
    monkeypatch.setattr(execute, "START_S", 3)
    assert project.export() == 1
    error = capsys.readouterr().err
    assert error.index("its own words\n") < error.index("did not start")
    assert "Delete the folder .venv" in error
    assert project.files() == before


# Memory and disk of the export itself. --------------------------------------------------------


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (MemoryError, "The memory ran out: close other"),
        (ValueError("of the exporter"), "The PDF could not be made: of the exporter"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk is full"),
    ],
)
def test_a_pdf_that_fails_costs_nothing_and_is_made_again_alone(
    project, capsys, monkeypatch, fault, message
):
    before = project.files()
    with monkeypatch.context() as patch:
        at_each_pdf(patch, lambda exports: raise_(fault) if exports == 2 else None)
        assert project.export() == 1
    printed = capsys.readouterr()
    assert message in printed.err
    assert "./export.sh --pdf-only makes the PDF and publishes all three" in printed.out
    assert_finished_and_kept(project, before)
    monkeypatch.setattr(build, "execute", None)
    assert project.export("--pdf-only") == 0
    assert has_new_set(project)


def at_each_pdf(monkeypatch: pytest.MonkeyPatch, act: Callable[[int], object]) -> None:
    """Before the n-th PDF, act(n): the first is of the bare cells, the second of all."""
    make, exports = TypstPDFExporter.from_notebook_node, count(1)

    def acting(*arguments, **kwargs):
        act(next(exports))
        return make(*arguments, **kwargs)

    monkeypatch.setattr(TypstPDFExporter, "from_notebook_node", acting)


def raise_(error: Exception) -> None:
    raise error


@pytest.mark.usefixtures("no_kernel")
def test_a_pdf_with_notes_is_published_and_said_and_strict_keeps_it_back(
    project, capsys, monkeypatch
):
    make = TypstPDFExporter.from_notebook_node

    def with_note(*arguments, **kwargs):
        pdf, resources = make(*arguments, **kwargs)
        return pdf, {**resources, "notes": ["cell 3: \\foo is shown as its source"]}

    monkeypatch.setattr(TypstPDFExporter, "from_notebook_node", with_note)
    before = project.files()
    assert project.export("--strict") == 1
    printed = capsys.readouterr()
    assert "--strict refuses a PDF with notes" in printed.err
    assert "Data" not in printed.out
    assert project.files() == before

    assert project.export() == 4
    printed = capsys.readouterr().out
    assert has_new_set(project)
    assert printed.count("  note: cell 3: \\foo is shown as its source\n") == 2
    assert printed.index("note: cell 3") < printed.index("Data")
    assert "The PDF has 1 note," in printed


@pytest.mark.usefixtures("no_kernel")
def test_a_cell_that_cannot_be_typeset_is_told_before_anything_runs(
    project, capsys, monkeypatch
):
    at_each_pdf(monkeypatch, lambda n: raise_(ValueError("cell 3")) if n == 1 else None)
    assert project.export() == 0
    printed = capsys.readouterr().out
    assert printed.index("note: The PDF could not be made: cell 3") < printed.index("Data")


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free some space and run again"),
        (errno.EISDIR, "Something else has a name that is needed"),
        (errno.EDQUOT, "free some space and run again"),
        (errno.EACCES, "Make it writable, or move the project"),
        (errno.EIO, "Input/output error."),
    ],
)
def test_an_error_of_the_disk_names_the_file_and_a_way_on(
    project, capsys, monkeypatch, number, advice
):
    def refuse(folder, contents):
        if folder.name == "submission":
            raise OSError(number, os.strerror(number), str(folder / next(iter(contents))))
        return publish(folder, contents)

    before = project.files()
    monkeypatch.setattr(build, "publish", refuse)
    assert project.export() == 1
    error = capsys.readouterr().err
    assert f"{project.folder}/submission/{NAME}.ipynb: {os.strerror(number)}" in error
    assert advice in error
    assert_finished_and_kept(project, before)


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
    handlers = {number: signal.getsignal(number) for number in ENDS}

    # Ignored in a process that a shell started in the background.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["hw1lib.submission", *project.arguments, *arguments])
        return command.command_line()

    streams = sys.stdin, sys.stdout, sys.stderr
    yield run
    sys.stdin, sys.stdout, sys.stderr = streams
    for number, handler in handlers.items():
        signal.signal(number, handler)


STOPPED = "the files of earlier exports are as they were.\n"
ENDS = {
    signal.SIGINT: (130, f"\nInterrupted: {STOPPED}"),
    signal.SIGTERM: (143, f"\nTerminated: {STOPPED}"),
    signal.SIGHUP: (129, f"\nThe terminal was closed: {STOPPED}"),
}


def sends(number: int) -> Callable[..., None]:
    return lambda *_: os.kill(os.getpid(), number)


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_before_the_notebook_starts_leaves_everything_as_it_was(
    project, run_command, capfd, monkeypatch, number
):
    monkeypatch.setattr(build, "obtain", sends(number))
    before = project.files()
    assert (run_command(), capfd.readouterr().err) == ENDS[number]
    assert project.files() == before
    assert {path.name for path in (project.folder / "build").iterdir()} == {"lock", "tmp"}


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_after_the_notebook_ran_keeps_what_it_left(
    project, run_command, capfd, monkeypatch, number
):
    at_each_pdf(monkeypatch, lambda exports: sends(number)() if exports == 2 else None)
    before = project.files()
    assert (run_command(), capfd.readouterr().err) == ENDS[number]
    assert_finished_and_kept(project, before)


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("number", ENDS)
def test_a_signal_while_files_are_published_comes_too_late(
    project, run_command, capfd, monkeypatch, number
):
    def interrupted(folder, contents):
        if folder.name != "submission":
            return publish(folder, contents)
        os.kill(os.getpid(), number)
        files = publish(folder, contents)
        os.kill(os.getpid(), number)
        return files

    monkeypatch.setattr(build, "publish", interrupted)
    assert run_command("--in-place") == 0
    assert capfd.readouterr().err == ""
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
    "number",
    [
        signal.SIGINT,
        signal.SIGHUP,
        pytest.param(signal.SIGTERM, marks=pytest.mark.slow),
    ],
)
def test_a_signal_from_outside_stops_the_kernel_too(project, started, number):
    process, kernel, _ = started
    before = project.files()
    process.send_signal(number)
    printed, errors = process.communicate(timeout=HANG_S)
    assert (process.returncode, errors) == ENDS[number]
    assert not is_alive(kernel)
    assert "The run came to cell 3 of 3" in printed
    assert "What was trained is kept too: the next run goes on from there." in printed
    before = {name: data for name, data in before.items() if "/run/" not in name}
    assert_only_kept(project, before, executed=2)


def test_after_a_kill_the_kernel_ends_by_itself_and_the_next_run_succeeds(project, started):
    process, kernel, go = started
    process.kill()
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert not has_new_set(project)
    assert (project.folder / "build" / "run").exists()
    go.touch()
    assert project.export() == 0
    assert has_new_set(project)
    assert not (project.folder / "build" / "run").exists()
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
    no_kernel.then(lambda: project.notebook.write_text("edited meanwhile"))
    assert project.export(*["--in-place"] * in_place) == int(in_place)
    assert project.notebook.read_text() == "edited meanwhile"
    assert has_new_set(project)
    printed = capsys.readouterr()
    said = f"{project.notebook} was saved by someone else while the export ran"
    assert said in (printed.err if in_place else printed.out)


def test_a_notebook_that_is_deleted_during_the_export_does_not_come_back(project, no_kernel):
    no_kernel.then(project.notebook.unlink)
    assert project.export("--in-place") == 1
    assert not project.notebook.exists()
    assert has_new_set(project)


# What takes the words of an export. -----------------------------------------------------------


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_nothing_takes_costs_no_file(project):
    project.write("print('words')")
    with Path("/dev/full").open("w") as full:
        process = project.start(stdout=full, stderr=full)
        assert process.wait(HANG_S) == 0
    assert has_new_set(project)


def test_a_reader_that_leaves_after_a_line_costs_no_file(project):
    project.write("print('words')")
    process = project.start()
    process.stdout.readline()
    process.stdout.close()
    assert (process.stderr.read(), process.wait(HANG_S)) == ("", 0)
    assert has_new_set(project)


@pytest.mark.parametrize("closed", [(1,), (0, 1, 2)])
def test_streams_that_are_closed_cost_no_file(project, closed):
    project.write("print('words')")
    process = project.start(preexec_fn=lambda: [os.close(number) for number in closed])
    process.communicate(timeout=HANG_S)
    assert process.returncode == 0
    assert has_new_set(project)


def test_the_last_words_of_the_kernel_are_not_the_users(project):
    project.write(
        "import atexit, os\natexit.register(os.write, 2, b'last words')",
        "left_open = (output / 'notes.txt').open('w')\nleft_open.write('last lines')",
    )
    process = project.start()
    assert (process.communicate(timeout=HANG_S)[1], process.returncode) == ("", 0)
    assert has_new_set(project)
    kept = project.folder / "build" / "executed" / "notes.txt"
    assert kept.read_text() == "last lines", "a file that a cell left open"


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
    (build_folder / "run" / "output").mkdir(parents=True)
    (build_folder / "run" / "output" / "cnn.pt").touch()
    (build_folder / "cnn.pt").write_text("of an earlier run")
    names = ("trained/kept.pt", "trained/.half.pt.tmp-99999999", "tmp/pymp-4711")
    being_written = f".more.pt.tmp-{os.getpid()}"  # as by a notebook in Jupyter
    for name in (*names, f"trained/{being_written}"):
        (build_folder / name).parent.mkdir(exist_ok=True)
        (build_folder / name).touch()
    (project.folder / ".submission.tmp-4711").mkdir()
    assert project.export() == 0
    assert {path.name for path in build_folder.iterdir()} == {
        *("lock", "executed", "tmp", "trained", "cnn.pt")
    }
    assert not list(project.folder.glob(".submission*"))
    assert (build_folder / "cnn.pt").read_text() == "of an earlier run"
    assert {path.name for path in (build_folder / "trained").iterdir()} == {
        *("kept.pt", being_written)
    }
    assert not list((build_folder / "tmp").iterdir())


@pytest.mark.parametrize(
    "place", ["build", "build/lock", "build/executed", f"submission/{NAME}.pdf"]
)
def test_something_else_with_a_name_of_ours_is_said_before_anything_runs(
    project, capsys, place
):
    project.write()
    path = project.folder / place
    path.unlink(missing_ok=True)
    path.parent.mkdir(exist_ok=True)
    if place in ("build", "build/executed"):
        path.write_text("a student's own")
    else:
        path.mkdir()
    assert project.export() == 1
    printed = capsys.readouterr()
    assert str(path) in printed.err
    assert "Something else has a name that is needed" in printed.err
    assert "Data" not in printed.out


def test_temporary_files_are_in_the_project_and_its_folders_are_named(project, monkeypatch):
    monkeypatch.setenv("TMPDIR", "/nowhere")
    project.write(
        "import tempfile\nprint(tempfile.gettempdir(), os.environ['HW1_BUILD'], sep='\\n')\n"
    )
    assert project.export() == 0
    executed = nbformat.read(project.folder / "submission" / f"{NAME}.ipynb", as_version=4)
    temporary, build_folder = executed.cells[-1].outputs[0].text.splitlines()
    assert Path(build_folder) == project.folder / "build"
    if len(os.fsencode(build_folder)) < 50:  # a socket in it could else have no name
        assert Path(temporary) == project.folder / "build" / "tmp"
    assert os.environ["TMPDIR"] == "/nowhere"


TRAIN = """\
import torch
from hw1lib.checkpoint import Training, trained_folder
from hw1lib.training import Batches, set_seed


class Drawn:
    lr, value = 1.0, torch.zeros(2)

    def train_batch(self, x, y):
        self.value = self.value + torch.randn(2) * x
        return self.value.sum().item(), 0, 1

    eval_batch = train_batch

    def state_dict(self):
        return {{"value": self.value}}

    def load_state_dict(self, state):
        self.value = state["value"]


def fail(record):
    if record.epoch == 2 and not Path({go!r}).exists():
        raise RuntimeError("half way")


set_seed(1)
drawn, batches = Drawn(), Batches(torch.ones(3), torch.zeros(3), 1)
training = Training("drawn", trained_folder())
training.fit(drawn, batches, num_epochs=4, splits={{}}, watchers=[fail])
print(drawn.value, torch.rand(2))
"""


def last_output(project):
    executed = nbformat.read(project.folder / "submission" / f"{NAME}.ipynb", as_version=4)
    line, values = executed.cells[-1].outputs
    return line["data"]["text/plain"].rpartition(" · ")[2], values["text"]


def test_what_an_export_has_trained_the_next_one_takes_wherever_its_cell_stands(
    project, capsys
):
    go = project.folder / "go"
    train = TRAIN.format(go=str(go))
    project.write(train)
    assert project.export() == 1
    printed = capsys.readouterr()
    assert "RuntimeError: half way" in printed.err
    assert "the next run goes on from there" in printed.out

    go.touch()
    assert project.export() == 0
    origin, values = last_output(project)
    assert origin.startswith("taken up from ")
    assert origin in capsys.readouterr().out

    project.write("1", "2", "\n\n# moved\n" + train)
    assert project.export() == 0
    origin, kept = last_output(project)
    assert origin.startswith("kept from ")
    assert kept == values, "other weights, or other numbers drawn afterwards"

    assert project.export("--fresh") == 0
    origin, anew = last_output(project)
    assert origin.startswith("trained in this run")
    assert anew == values

    project.write(train.replace("* x", "* x * 2"))
    assert project.export() == 0
    assert last_output(project)[0].startswith("trained in this run")


@pytest.mark.parametrize("option", ["--fresh", "--in-place"])
def test_what_needs_a_run_does_not_go_with_pdf_only(project, capsys, option):
    with pytest.raises(SystemExit) as ended:
        project.export("--pdf-only", option)
    assert ended.value.code == 2
    assert f"{option}" in capsys.readouterr().err


def test_the_users_own_settings_change_nothing_in_the_notebook(project, monkeypatch):
    drawn = (
        "import matplotlib.pyplot as plt, torch\n"
        "plt.plot([1, 2])\nplt.title('x'); print(plt.rcParams['text.usetex'])"
    )
    project.write(drawn)
    assert project.export() == 0
    plain = project.files()[f"submission/{NAME}.ipynb"]

    home = project.folder.parent / "home"
    for path, text in {
        ".config/matplotlib/matplotlibrc": "text.usetex: True\nbackend: TkAgg\n",
        ".ipython/profile_default/startup/a.py": "raise SystemExit('startup')",
        ".ipython/profile_default/ipython_kernel_config.py": "raise SystemExit('config')",
        ".jupyter/jupyter_config.py": "raise SystemExit('jupyter')",
        ".jupyter/jupyter_nbconvert_config.py": "raise SystemExit('nbconvert')",
    }.items():
        (home / path).parent.mkdir(parents=True, exist_ok=True)
        (home / path).write_text(text)
    for name, value in {
        "HOME": str(home),
        "MATPLOTLIBRC": str(home / ".config/matplotlib"),
        "MPLBACKEND": "TkAgg",
        "IPYTHONDIR": str(home / ".ipython"),
        "JUPYTER_CONFIG_DIR": str(home / ".jupyter"),
        "OMP_NUM_THREADS": "0",
        "FORCE_COLOR": "1",
    }.items():
        monkeypatch.setenv(name, value)
    home.chmod(0o500)
    assert project.export() == 0
    assert project.files()[f"submission/{NAME}.ipynb"] == plain


def test_pdf_only_publishes_the_last_executed_notebook_and_says_what_it_is(project, capsys):
    project.write("print('then')")
    assert project.export("--pdf-only") == 1
    assert "no run with these IDs has come to its end" in capsys.readouterr().err
    assert project.export() == 0
    for path in (project.folder / "submission").iterdir():
        path.unlink()
    project.write("print('now')")
    assert project.export("--pdf-only") == 0
    assert has_new_set(project)
    assert "The notebook has been edited since" in capsys.readouterr().out
    executed = (project.folder / "submission" / f"{NAME}.ipynb").read_text()
    assert "then" in executed
    assert "now" not in executed


@pytest.mark.usefixtures("no_kernel")
@pytest.mark.parametrize("asked", ["", "never"])
def test_pdf_only_is_no_draft_where_the_data_are_gone_since(
    project, monkeypatch, capsys, asked
):
    assert project.export() == 0
    project.stand_ins.add("mnist")
    monkeypatch.setenv("HW1_STANDIN", asked)
    capsys.readouterr()
    assert project.export("--pdf-only") == 0
    assert has_new_set(project)
    assert "DRAFT" not in capsys.readouterr().out


def test_pdf_only_runs_nothing_and_says_so(project, capsys):
    project.write()
    with pytest.raises(SystemExit) as stopped:
        project.export("--pdf-only", "--in-place")
    assert stopped.value.code == 2
    assert "--pdf-only runs no cell" in capsys.readouterr().err
