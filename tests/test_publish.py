"""Publishing as a set, tried with kills between any two lines and on poor file systems."""

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from hw1lib.submission.publish import publish, recover
from tests.fixtures.disks import on_small_disk

OLD = dict.fromkeys(("HW1_1.ipynb", "HW1_1.pdf", "HW1_1.pkl"), b"old " * 1000)
NEW = dict.fromkeys(OLD, b"new " * 2000)


@pytest.fixture
def folder(tmp_path) -> Path:
    """A published set, and things of the student's own beside it."""
    folder = tmp_path / "submission"
    publish(folder, OLD)
    (folder / "HW1_2.pdf").write_text("of another pair")
    (folder / "earlier").mkdir()
    (folder / "earlier" / "HW1_1.pdf").write_text("kept by hand")
    (folder / "link").symlink_to("earlier/HW1_1.pdf")
    return folder


def content(folder: Path) -> dict[str, bytes]:
    paths = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def test_a_set_replaces_the_old_one_and_all_else_stays(folder):
    before = content(folder)
    own = (folder / "HW1_2.pdf").stat()
    assert publish(folder, NEW) == [folder / name for name in NEW]
    assert content(folder) == before | NEW
    assert (folder / "link").is_symlink()
    assert os.path.samestat(own, (folder / "HW1_2.pdf").stat())  # a second name, not a copy
    assert [path.name for path in folder.parent.iterdir()] == ["submission"]


def test_a_link_to_a_folder_elsewhere_stays_a_link(folder, tmp_path):
    link = tmp_path / "project" / "submission"
    link.parent.mkdir()
    link.symlink_to(folder)
    publish(link, NEW)
    assert link.is_symlink()
    assert (folder / "HW1_1.pdf").read_bytes() == NEW["HW1_1.pdf"]
    assert [path.name for path in link.parent.iterdir()] == ["submission"]


@pytest.fixture
def no_exchange(monkeypatch):
    """A C library that cannot exchange two names, as NFS and exFAT cannot."""
    monkeypatch.setattr(ctypes, "CDLL", lambda *_, **__: object())


@pytest.mark.usefixtures("no_exchange")
def test_two_renames_do_where_names_cannot_be_exchanged(folder):
    before = content(folder)
    publish(folder, NEW)
    assert content(folder) == before | NEW
    assert [path.name for path in folder.parent.iterdir()] == ["submission"]


@pytest.mark.usefixtures("no_exchange")
def test_the_old_set_comes_back_where_the_new_one_cannot_take_its_place(folder, monkeypatch):
    before = content(folder)
    rename = Path.rename

    def held(path, target):  # as by a program on Windows that has one of the files open
        if ".tmp-" in path.name:
            raise PermissionError(13, "in use", str(path))
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", held)
    with pytest.raises(PermissionError):
        publish(folder, NEW)
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["submission"]


def test_files_are_copied_where_there_are_no_hard_links(folder, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    before = content(folder)
    publish(folder, NEW)
    assert content(folder) == before | NEW


def test_a_file_that_may_not_grow_leaves_everything_as_it_was(folder):
    """A quota, or FAT's limit: the operating system itself refuses the write."""
    before = content(folder)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, hard))
    try:
        with pytest.raises(OSError, match="File too large"):
            publish(folder, NEW)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["submission"]


def test_a_full_disk_leaves_everything_as_it_was(folder):
    before = content(folder)
    code = (
        "import sys; from pathlib import Path; from hw1lib.submission.publish import publish\n"
        "publish(Path(sys.argv[1]), {'HW1_1.ipynb': bytes(1000), 'HW1_1.pdf': bytes(10**6)})"
    )
    failed = subprocess.run(
        on_small_disk(folder.parent, "200k", sys.executable, "-c", code, folder),
        capture_output=True,
        text=True,
    )
    assert failed.returncode == 1
    assert "No space left on device" in failed.stderr
    assert content(folder) == before
    assert [path.name for path in folder.parent.iterdir()] == ["submission"]


# Publishes in a child that is killed before its n-th line, for every n there is; after each,
# looks at what a next run would find, and make of it. Lines of Python's own library count
# where asked.
KILLS = """\
import ctypes, os, signal, sys
from pathlib import Path
from hw1lib.submission import publish as module

folder, way, lines = Path(sys.argv[1]) / "submission", *sys.argv[2:]
exchange = way == "exchange"
names = ("HW1_1.ipynb", "HW1_1.pdf", "HW1_1.pkl")
own = {"HW1_2.pdf": b"of another pair", "earlier/HW1_1.pdf": b"kept by hand"}

if not exchange:
    ctypes.CDLL = lambda *_, **__: object()

def new_set(number):
    return {name: f"{number} of {name}".encode() * 500 for name in names}

def holds(files):
    found = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): path.read_bytes() for path in found} == files | own

def killed_before(line, publish, *arguments):
    child = os.fork()
    if child == 0:
        left = line
        def count(frame, event, argument):
            nonlocal left
            counts = lines == "all" or frame.f_code.co_filename == module.__file__
            left -= event == "line" and counts
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return count
        sys.settrace(count)
        publish(*arguments)
        sys.settrace(None)
        os._exit(0)
    return os.waitpid(child, 0)[1] == signal.SIGKILL

module.publish(folder, new_set(0))
for name, content in own.items():
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
now, counts = 0, {"old": 0, "new": 0, "away": 0}
for line in range(10_000):
    if not killed_before(line, module.publish, folder, new_set(line + 1)):
        break
    away = not folder.exists()
    if away:  # only where names cannot be exchanged; a next run gives it back
        assert not exchange
        counts["away"] += 1
        module.recover(folder)
    old, new = holds(new_set(now)), holds(new_set(line + 1))
    assert old != new, f"before line {line} the folder holds neither set, or no longer the rest"
    counts["new" if new else "old"] += not away
    if new:
        now = line + 1
    module.recover(folder)
    assert os.listdir(folder.parent) == ["submission"]
assert holds(new_set(line + 1))
print(line, counts["old"], counts["new"], counts["away"])
"""


@pytest.mark.parametrize("lines", ["own", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("way", ["exchange", "renames"])
def test_a_kill_before_any_line_leaves_the_old_set_or_the_new_one(tmp_path, way, lines):
    done = subprocess.run(
        [sys.executable, "-c", KILLS, tmp_path, way, lines], capture_output=True, text=True
    )
    assert done.stderr == ""
    kills, old, new, away = map(int, done.stdout.split())
    assert kills == old + new + away > (1000 if lines == "all" else 40)
    assert min(old, new) > 0
    assert (away > 0) == (way == "renames")


def test_recovery_removes_nothing_of_the_students(folder):
    (folder.parent / ".submission.tmp-4711").mkdir()
    (folder.parent / ".submission.earlier").mkdir()
    (folder.parent / "submission.tmp-mine").touch()
    before = content(folder)
    recover(folder)
    assert content(folder) == before
    assert {path.name for path in folder.parent.iterdir()} == {
        "submission",
        "submission.tmp-mine",
    }
