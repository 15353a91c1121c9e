"""Disks that are full or read-only, for real: small file systems that these tests mount.

Mounting takes root's rights; for an ordinary user the last test runs this file once more in a
namespace of its own, where the user has them.
"""

import os
import shutil
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from hw1lib.datasets import grocery, mnist, photos, resources
from hw1lib.datasets.resources import RESOURCES, ResourceError, obtain
from hw1lib.submission.weights import WeightsFileError, load_weights, save_weights
from tests.fixtures.disks import read_only
from tests.fixtures.mirrors import (
    CONTENT,
    GOOD,
    THIRD,
    archive,
    git_tree,
    left_over,
    names,
    put,
    set_files,
)

pytest_plugins = ("tests.fixtures.served",)
pytestmark = pytest.mark.usefixtures("small_table")

PROJECT_ROOT = Path(__file__).resolve().parents[1]
PAGE = 4096
WAY_ON = r"(.|\n)*What to do: free some space or make the folder writable, or name another"
LARGE = {**GOOD, "dataset/train/a.jpg": bytes(1_200_000)}  # packs to less than 2 kB


def mount(*arguments):
    if os.geteuid() or not sys.platform.startswith("linux"):
        pytest.skip("mounting takes Linux and root's rights; see the last test of this file")
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


class Disk:
    """A file system of 1 MB in memory, which can be filled up and made read-only."""

    def __init__(self, path):
        self.path = path
        mount("-t", "tmpfs", "-o", "size=1m,nr_inodes=100", "tmpfs", path)

    def fill(self, *, leave=0):
        """Leave `leave` bytes, in whole pages."""
        (self.path / "filler").unlink(missing_ok=True)
        with (self.path / "filler").open("wb") as file:
            file.write(bytes(shutil.disk_usage(self.path).free - leave))

    def relieve(self):
        (self.path / "filler").unlink()

    def make_read_only(self):
        mount("-o", "remount,ro", self.path)


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """Holds data/ and torch.hub's folder."""
    path = tmp_path / "disk"
    path.mkdir()
    disk = Disk(path)
    monkeypatch.setenv("HW1_DATA", str(path / "data"))
    monkeypatch.setenv("TORCH_HOME", str(path / "torch"))
    yield disk
    subprocess.run(["umount", "--lazy", path], check=True)


@pytest.fixture
def large_archive(monkeypatch):
    """Name of an archive that unpacks to more than the disk holds."""
    (file,) = RESOURCES["grocery"].files
    tree = git_tree(LARGE["dataset/train/a.jpg"])
    set_files(monkeypatch, "grocery", replace(file, checksum=f"git-tree:{tree}"))
    return file.name


# Full ----------------------------------------------------------------------------------------


def test_disk_that_fills_up_during_a_download_is_an_error_and_gets_its_space_back(disk, mirror):
    def fill_up_meanwhile(handler, body):
        handler.wfile.write(handler._asked_for(body)[:THIRD])
        while not any(path.stat().st_size for path in disk.path.rglob("*.part")):
            time.sleep(0.01)
        disk.fill(leave=PAGE)
        handler.wfile.write(body[THIRD:])

    mirror.faults["vgg16.pth"] = [fill_up_meanwhile]
    with pytest.raises(ResourceError, match=f"No space left on device{WAY_ON}"):
        obtain("vgg16")
    assert not [*disk.path.rglob("*vgg16.pth*")]
    disk.relieve()
    assert obtain("vgg16").path.read_bytes() == CONTENT


def test_disk_full_before_a_download_is_said_with_the_sizes(disk, mirror):
    disk.fill(leave=20 * PAGE)
    with pytest.raises(
        ResourceError, match=f"102,400 bytes are needed and 81,920 are free{WAY_ON}"
    ):
        obtain("vgg16")
    assert not [*disk.path.rglob("*vgg16.pth*")]


def test_disk_full_while_a_mirror_is_copied_is_an_error(disk, tmp_path, monkeypatch):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path / "mirror")))
    disk.fill(leave=20 * PAGE)
    with pytest.raises(ResourceError, match=f"No space left on device{WAY_ON}"):
        obtain("vgg16")
    assert not [*disk.path.rglob("*vgg16.pth*")]
    disk.relieve()
    assert obtain("vgg16").path.read_bytes() == CONTENT


@pytest.mark.parametrize("at_an_address", [False, True])
def test_disk_full_while_unpacking_is_an_error_and_leaves_nothing(
    disk, large_archive, server, tmp_path, monkeypatch, at_an_address
):
    server.files[large_archive] = archive(LARGE)
    folder = put(tmp_path / "mirror", large_archive, archive(LARGE))
    monkeypatch.setenv("HW1_MIRROR", server.url if at_an_address else str(folder))
    with pytest.raises(ResourceError, match=f"No space left on device{WAY_ON}"):
        obtain("grocery")
    assert names(disk.path / "data") == []
    mount("-o", "remount,size=2m", disk.path)
    assert (obtain("grocery").path / "train" / "a.jpg").stat().st_size == 1_200_000


def test_disk_without_room_for_one_more_name_is_an_error(disk, mirror):
    held = disk.path / "held"
    held.mkdir()
    with suppress(OSError):
        for i in range(1000):
            (held / str(i)).touch()
    with pytest.raises(ResourceError, match=f"No space left on device{WAY_ON}"):
        obtain("vgg16")
    shutil.rmtree(held)
    assert obtain("vgg16").path.read_bytes() == CONTENT


def test_full_disk_costs_the_ledger_only_its_newest_note(disk, mirror, small_table):
    mirror.files |= small_table
    obtain("mnist")
    ledger = disk.path / "data" / "verified.json"
    before = ledger.read_bytes()
    disk.fill(leave=len(CONTENT))
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert ledger.read_bytes() == before
    assert not left_over(disk.path)
    assert obtain("vgg16").origin == "data"


def test_full_disk_costs_the_cache_of_photos_and_no_more(disk, stand_in, caplog):
    disk.fill(leave=2 * PAGE)
    images = grocery.load(stand_in("grocery"), 4).test.images
    assert "decoded again next time" in caplog.text
    assert not [*disk.path.rglob("*.pt*")]
    disk.relieve()
    assert torch.equal(grocery.load(stand_in("grocery"), 4).test.images, images)
    assert [*disk.path.rglob("*.pt")]


@pytest.mark.parametrize("name", RESOURCES)
def test_no_room_even_for_a_stand_in_is_an_error_with_a_way_on(disk, name, monkeypatch):
    monkeypatch.setenv("HW1_STANDIN", "")
    disk.fill(leave=PAGE)
    with pytest.raises(ResourceError, match=f"No space left on device{WAY_ON}"):
        obtain(name)
    assert not left_over(disk.path)


def test_full_disk_leaves_the_weights_file_that_was_there(disk):
    weights = {
        "W1": torch.ones(200, 50),
        "b1": torch.ones(50),
        "W2": torch.ones(50, 10),
        "b2": torch.ones(10),
    }
    path = save_weights(weights, disk.path / "HW1.pkl")
    for room in range(0, path.stat().st_size, PAGE):
        disk.fill(leave=room)
        with pytest.raises(WeightsFileError, match=r"HW1\.pkl: cannot be written"):
            save_weights({name: 2 * tensor for name, tensor in weights.items()}, path)
    assert torch.equal(load_weights(path)["W1"], weights["W1"])
    assert not left_over(disk.path)


# Read-only -----------------------------------------------------------------------------------


def test_read_only_data_that_is_complete_is_used(disk, mirror, small_table):
    mirror.files |= small_table
    resources.obtain_all()
    (disk.path / "data" / "verified.json").unlink()
    disk.make_read_only()
    mirror.files.clear()
    found = resources.obtain_all()
    assert {source.origin for source in found.values()} == {"data"}


@pytest.mark.parametrize("stand_in_allowed", [False, True])
@pytest.mark.parametrize("name", RESOURCES)
def test_read_only_data_that_lacks_something_is_an_error_with_a_way_on(
    disk, mirror, monkeypatch, name, stand_in_allowed
):
    monkeypatch.setenv("HW1_STANDIN", "" if stand_in_allowed else "never")
    disk.make_read_only()
    with pytest.raises(ResourceError, match=f"Read-only file system{WAY_ON}"):
        obtain(name)


@pytest.mark.parametrize(
    ("data", "words"),
    [("", "project/data: Read-only file system\nWhat to do"), ("elsewhere", "2 birds")],
)
def test_read_only_project_gets_its_data_elsewhere(tmp_path, data, words):
    project = tmp_path / "project"
    shutil.copytree(PROJECT_ROOT / "hw1lib", project / "hw1lib")
    code = (
        "from hw1lib.datasets import photos, resources\n"
        "source = resources.obtain('photos')\n"
        "print(len(photos.load(source.path / 'birds')), 'birds')"
    )
    done = subprocess.run(
        read_only(project, sys.executable, "-c", code),
        cwd=project,
        env={
            **os.environ,
            "HW1_STANDIN": "photos",
            "HW1_DATA": data and str(tmp_path / data),
        },
        capture_output=True,
        text=True,
    )
    assert words in done.stdout + done.stderr


# Names ---------------------------------------------------------------------------------------


def test_folders_with_spaces_and_hebrew_letters_hold_all(
    tmp_path, monkeypatch, stand_in, small_table
):
    folder = tmp_path / "שיעורי בית 1 (סופי)"
    for name, content in small_table.items():
        put(folder / "ה mirror", name, content)
    monkeypatch.setenv("HW1_MIRROR", str(folder / "ה mirror"))
    monkeypatch.setenv("HW1_DATA", str(folder / "נתונים"))
    monkeypatch.setenv("TORCH_HOME", str(folder / "לפיד"))
    for origin in ("mirror", "data"):
        assert {source.origin for source in resources.obtain_all().values()} == {origin}
    for name, load in {
        "mnist": mnist.load,
        "grocery": lambda path: grocery.load(path, 4),
        "photos": lambda path: photos.load(path / "birds"),
    }.items():
        shutil.copytree(stand_in(name), folder / name)
        assert load(folder / name)
    Image.new("RGB", (8, 8)).save(folder / "ינשוף קטן.png")
    assert [photo.name for photo in photos.load(folder)] == ["ינשוף קטן"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root mounts without a namespace")
def test_all_this_holds_for_an_ordinary_user():
    if not shutil.which("unshare"):
        pytest.skip("there is no unshare to make a namespace with")
    namespace = ["unshare", "--map-root-user", "--mount"]
    if subprocess.run([*namespace, "true"], capture_output=True).returncode:
        pytest.skip("this system does not let an ordinary user make a namespace")
    done = subprocess.run(
        [*namespace, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", __file__],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout
