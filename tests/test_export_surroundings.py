"""The real ./export.sh of a copy of the project, in surroundings that a student may have."""

import os
import py_compile
import signal
import sys
from pathlib import Path

import pytest

from hw1lib.submission.build import SPACE_NEEDED
from tests.fixtures.disks import on_small_disk, read_only
from tests.fixtures.projects import HANG_S, Clone
from tests.tools.two_hundred_kills import run

IDS = ("123456782", "987654324")
SET = {f"HW1_123456782_987654324.{kind}" for kind in ("ipynb", "pdf", "pkl")}
OLD = b"last week's"
WRONG = "raise SystemExit('the wrong file was imported')"

pytestmark = pytest.mark.slow


@pytest.fixture
def clone(tmp_path):
    """A project in a folder with spaces and Hebrew letters, and a set in submission/."""
    clone = Clone(tmp_path / "למידה עמוקה" / "my HW 1")
    (clone.folder / "submission").mkdir()
    for name in SET:
        (clone.folder / "submission" / name).write_bytes(OLD)
    return clone


def published(clone: Clone) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (clone.folder / "submission").iterdir()}


def has_old_set(clone: Clone) -> bool:
    return published(clone) == dict.fromkeys(SET, OLD)


def has_new_set(clone: Clone) -> bool:
    files = published(clone)
    return files.keys() == SET and OLD not in files.values()


def test_other_packages_and_settings_do_not_get_in_the_way(clone, tmp_path):
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    user_site = home / ".local" / "lib" / version / "site-packages"
    for folder in (user_site, elsewhere):
        folder.mkdir(parents=True)
        for name in (
            "torch",
            "hw1lib",
            "usercustomize",
            "sitecustomize",
            "nbclient",
            "IPython",
        ):
            (folder / f"{name}.py").write_text(WRONG)
    for folder in (clone.folder, elsewhere):
        for name in ("typing", "random", "argparse", "runpy", "asyncio", "code"):
            (folder / f"{name}.py").write_text(WRONG)
    startup = home / ".ipython" / "profile_default" / "startup" / "start.py"
    startup.parent.mkdir(parents=True)
    startup.write_text(WRONG)
    (home / "pythonrc.py").write_text(WRONG)
    clone.env |= {
        "HOME": str(home),
        "PYTHONPATH": str(elsewhere),
        "PYTHONHOME": str(elsewhere),
        "PYTHONSTARTUP": str(home / "pythonrc.py"),
        "PYTHONUSERBASE": str(home / ".local"),
    }
    clone.write("import code, random, typing, torch, hw1lib")
    done = clone.export(*IDS, cwd=elsewhere)
    assert (done.returncode, done.stderr) == (0, "")
    assert has_new_set(clone)


@pytest.mark.parametrize("package", ["nbclient", "torch", "pypdfium2"])
def test_a_package_that_is_damaged_is_named_with_a_way_on(clone, package):
    (clone.site_packages / f"{package}.py").write_text("raise ImportError('half of a file')")
    clone.write()
    failed = clone.export(*IDS)
    assert failed.returncode == 1
    assert "A package is missing or damaged: half of a file" in failed.stderr
    assert "Delete the folder .venv" in failed.stderr
    assert "Traceback" not in failed.stderr
    assert has_old_set(clone)


def test_a_module_that_a_full_disk_left_half_compiled_is_told_with_a_way_on(clone):
    clone.write()
    assert clone.export(*IDS).returncode == 0
    module = clone.folder / "hw1lib" / "submission" / "names.py"
    compiled = Path(py_compile.compile(str(module)))
    compiled.write_bytes(compiled.read_bytes()[:100])
    failed = clone.export(*IDS)
    assert failed.returncode == 1
    assert "Traceback" not in failed.stderr
    assert "the folders __pycache__ in hw1lib, and run again" in failed.stderr


def test_a_kernel_without_its_package_is_told_with_a_way_on(clone):
    (clone.site_packages / "ipykernel_launcher.py").write_text("import no_such_module")
    clone.write()
    failed = clone.export(*IDS)
    assert failed.returncode == 1
    assert "No module named 'no_such_module'" in failed.stderr
    assert failed.stderr.rstrip().endswith("talk to itself (127.0.0.1).")
    assert has_old_set(clone)


def test_a_folder_that_cannot_be_written_is_named_before_anything_runs(clone, tmp_path):
    clone.write()
    clone.env["HW1_DATA"] = str(tmp_path / "data")
    failed = clone.export(*IDS, within=read_only(clone.folder))
    assert failed.returncode == 1
    assert f"{clone.folder}/build: " in failed.stderr
    assert "move the project to a folder of yours" in failed.stderr
    assert "Data" not in failed.stdout
    assert has_old_set(clone)


FILL = """\
try:
    with open("filler", "wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))
except OSError:
    {then}
"""


SMALL = f"{SPACE_NEEDED // 1_000_000 + 20}m"


def test_a_disk_that_a_cell_has_filled_still_takes_the_files(clone):
    clone.write(FILL.format(then="pass"))
    done = clone.export(*IDS, within=on_small_disk(clone.folder, SMALL))
    assert (done.returncode, done.stderr) == (0, "")
    assert has_new_set(clone)


def test_a_disk_that_fills_up_in_a_cell_costs_no_file_and_the_next_run_succeeds(clone):
    clone.write(FILL.format(then="raise"))
    failed = clone.export(*IDS, within=on_small_disk(clone.folder, SMALL))
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "OSError: [Errno 28] No space left on device" in failed.stderr
    assert "The notebook as far as it came is kept in" in failed.stdout
    stopped = {path.name for path in (clone.folder / "build" / "stopped").iterdir()}
    assert stopped == {"HW1.ipynb", f"HW1_{'_'.join(IDS)}.pkl"}
    assert has_old_set(clone)

    (clone.folder / "filler").unlink()
    clone.write()
    done = clone.export(*IDS, within=on_small_disk(clone.folder, SMALL))
    assert (done.returncode, done.stderr) == (0, "")
    assert has_new_set(clone)
    assert {path.name for path in (clone.folder / "build").iterdir()} >= {"lock"}
    assert not (clone.folder / "build" / "run").exists()


@pytest.mark.parametrize("times", [1, 2])
@pytest.mark.parametrize("stage", ["  VGG16 weights ", "Notebook\n", "Q2.II  Training"])
def test_control_c_in_a_terminal_ends_all_that_runs(clone, stage, times):
    """As a terminal does it: to the export and all it started, but for the kernel's session."""
    clone.write("import time; time.sleep(1)")
    process = clone.start(
        *IDS,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    assert any(stage in line for line in process.stdout)  # reads no further than this line
    for _ in range(times):
        os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=HANG_S)
    kept = "\nInterrupted: the files of earlier exports are as they were.\n"
    assert (process.returncode, errors) == (130, kept)
    assert has_old_set(clone)


def test_ten_kills_at_random_moments_lose_nothing(tmp_path: Path):
    found = run(10, seed=1, folder=tmp_path)
    assert sum(row["old"] + row["new"] for row in found["stages"].values()) == 10
    assert found["next runs that succeeded"] == 2
