"""Getting the resources: order of places, verification, stand-ins and the student's photos."""

import gzip
import hashlib
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torchvision
from PIL import Image

from hw1lib.datasets import fetch, photos, resources, standins, verify
from hw1lib.datasets.resources import RESOURCES, ResourceError, obtain
from hw1lib.datasets.table import File
from tests.fixtures.mirrors import (
    CONTENT,
    GOOD,
    LABELS,
    PHOTO,
    TREE,
    archive,
    left_over,
    names,
    put,
    set_files,
)

pytest_plugins = ("tests.fixtures.served",)
pytestmark = pytest.mark.usefixtures("small_table")


MNIST = RESOURCES["mnist"]  # before a small table takes its place


def test_mnist_is_the_files_torchvision_gets_from_where_it_gets_them():
    theirs = torchvision.datasets.MNIST
    page = (fetch.PROJECT_ROOT / "data" / "README.md").read_text("utf-8")
    for file, (name, md5) in zip(MNIST.files, theirs.resources, strict=True):
        assert (file.name, file.urls[0]) == (name, theirs.mirrors[0] + name)
        assert f"| `{name}` |" in page
        assert f"MD5 `{md5}`" in page.split(f"| `{name}` |")[1].splitlines()[0]


# The order of places -------------------------------------------------------------------------


def test_resources_module_starts_without_torch():
    probe = "import sys, hw1lib.datasets.resources; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.stdout.strip() == "False", done.stderr


def test_mirror_folder_is_copied_verified_and_found_in_data_next_time(
    data_folder, tmp_path, monkeypatch
):
    for i in range(2):
        put(tmp_path, f"mnist-{i}.gz", CONTENT + bytes([i]))
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path))
    first = obtain("mnist")
    assert (first.origin, first.stand_in) == ("mirror", False)
    assert (first.path / "mnist-1.gz").read_bytes() == CONTENT + b"\x01"
    monkeypatch.delenv("HW1_MIRROR")
    again = obtain("mnist")
    assert again.origin == "data"
    assert not left_over(data_folder)


def test_second_start_does_not_read_the_file_again(data_folder, monkeypatch):
    put(data_folder)
    obtain("vgg16")
    monkeypatch.setattr(verify, "checksum", lambda *_: pytest.fail("hashed again"))
    assert obtain("vgg16").origin == "data"


def test_file_changed_after_verification_is_hashed_again_and_replaced(
    data_folder, tmp_path, monkeypatch, caplog
):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path)))
    path = obtain("vgg16").path
    path.write_bytes(CONTENT[:-1] + b"!")
    assert obtain("vgg16").origin == "mirror"
    assert path.read_bytes() == CONTENT
    assert "wrong checksum" in caplog.text


def test_file_dropped_into_data_by_hand_is_verified_and_used(data_folder):
    put(data_folder)
    source = obtain("vgg16")
    assert source.origin == "data"
    assert source.path == data_folder / "torch" / "hub" / "checkpoints" / "vgg16.pth"


def test_file_already_in_torch_hub_is_used(data_folder):
    hub = data_folder / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    put(hub)
    assert obtain("vgg16").path == hub / "vgg16.pth"


def test_wrong_file_in_the_mirror_is_named_and_upstream_is_tried_next(
    tmp_path, monkeypatch, server, caplog
):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, content=CONTENT[::-1])))
    server.files["vgg16.pth"] = CONTENT
    (weights,) = RESOURCES["vgg16"].files
    weights = replace(weights, urls=(f"{server.url}/vgg16.pth",))
    monkeypatch.setitem(RESOURCES, "vgg16", replace(RESOURCES["vgg16"], files=(weights,)))
    assert obtain("vgg16").origin == "upstream"
    for word in ("vgg16.pth", weights.checksum, hashlib.sha256(CONTENT[::-1]).hexdigest()):
        assert word in caplog.text


def test_error_lists_every_place_and_a_way_on(data_folder, tmp_path, monkeypatch):
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path / "nowhere"))
    with pytest.raises(ResourceError) as error:
        obtain("vgg16")
    message = str(error.value)
    for words in (
        f"data {data_folder / 'vgg16.pth'}: not there",
        "nowhere/vgg16.pth: no such folder",
        "refused the connection",
        "HW1_MIRROR",
        "data/README.md",
    ):
        assert words in message
    assert "\n" not in error.value.brief


def test_mirror_without_the_file_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path))
    with pytest.raises(ResourceError, match=r"vgg16\.pth: not there"):
        obtain("vgg16")


# MNIST: known by its content, in whatever form it lies there ---------------------------------

IDX = b"what the four files hold, unpacked" * 100
NAME = "train-images-idx3-ubyte.gz"
OTHER_FORMS = {
    "train-images-idx3-ubyte": IDX,
    "train-images.idx3-ubyte": IDX,
    "mnist/train-images-idx3-ubyte": IDX,
    "MNIST/raw/train-images-idx3-ubyte": IDX,
    "MNIST/raw/train-images-idx3-ubyte.gz": gzip.compress(IDX),
    "train-images-idx3-ubyte (1).gz": gzip.compress(IDX),
    "train-images-idx3-ubyte.gz": gzip.compress(IDX, 1, mtime=7),
}


@pytest.fixture
def known_by_content(monkeypatch, closed_port):
    digest = hashlib.sha256(IDX).hexdigest()
    url = f"http://{closed_port}/gone"
    file = File(NAME, 1, f"content-sha256:{digest}", (url,), "mnist")
    set_files(monkeypatch, "mnist", file)


@pytest.mark.parametrize("where", ["data", "mirror"])
@pytest.mark.parametrize("path", OTHER_FORMS)
def test_mnist_in_another_form_is_taken_by_its_content(
    known_by_content, tmp_path, data_folder, monkeypatch, where, path
):
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path))
    lying = (data_folder if where == "data" else tmp_path) / path
    put(lying.parent, lying.name, OTHER_FORMS[path])
    source = obtain("mnist")
    assert source.origin == where
    assert gzip.decompress((source.path / NAME).read_bytes()) == IDX
    assert lying.read_bytes() == OTHER_FORMS[path], "what a person put there stays"
    assert obtain("mnist").origin == "data"


def test_mnist_packed_anew_is_taken_from_an_address(known_by_content, mirror):
    mirror.files[NAME] = gzip.compress(IDX, 1)
    assert gzip.decompress((obtain("mnist").path / NAME).read_bytes()) == IDX


def test_unpacked_mnist_at_an_address_under_the_packed_name_is_packed(known_by_content, mirror):
    mirror.files[NAME] = IDX
    source = obtain("mnist")
    assert gzip.decompress((source.path / NAME).read_bytes()) == IDX
    assert not left_over(source.path)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (IDX[:-1], r"has a wrong checksum: expected content-sha256:"),
        (gzip.compress(IDX)[:-9], "is damaged"),
        (gzip.compress(IDX[:-1]), "has a wrong checksum"),
        (None, "has 10,000,000,000 bytes, more than 400,000,000"),
    ],
    ids=["cut", "damaged", "packed cut", "huge"],
)
def test_near_miss_of_mnist_is_named_with_what_is_wrong(
    known_by_content, data_folder, content, words
):
    path = data_folder / "train-images.idx3-ubyte"
    path.write_bytes(content or b"")
    if content is None:
        os.truncate(path, 10**10)
    with pytest.raises(ResourceError, match=rf"train-images\.idx3-ubyte {words}") as error:
        obtain("mnist")
    assert "data/README.md" in str(error.value)
    assert {path.name for path in data_folder.rglob("*") if path.is_file()} == {
        *(path.name, ".lock")
    }


def test_little_gzip_that_unpacks_to_very_much_is_read_no_further_than_the_bound(
    known_by_content, data_folder, monkeypatch
):
    monkeypatch.setattr(verify, "UNPACKED_LIMIT", 10_000_000)
    put(data_folder, NAME, gzip.compress(bytes(30_000_000), 1))
    with pytest.raises(ResourceError, match="holds more than 10,000,000 bytes"):
        obtain("mnist")


@pytest.mark.parametrize("name", ["vgg16 (1).pth", "vgg16-2.pth"])
def test_second_name_of_a_browser_does_for_any_file(data_folder, name):
    put(data_folder, name)
    assert obtain("vgg16").path.read_bytes() == CONTENT


# Grocery: an archive verified by its content -------------------------------------------------


@pytest.fixture
def archive_name():
    return RESOURCES["grocery"].files[0].name


def test_git_tree_is_the_one_git_computes(tmp_path):
    put(tmp_path, "train.txt", LABELS)
    put(tmp_path / "train", "a.jpg", PHOTO)
    assert verify.checksum(tmp_path, "git-tree") == TREE
    git = dict(os.environ, GIT_DIR=str(tmp_path / ".git"), GIT_WORK_TREE=str(tmp_path))
    try:
        for command in ("init -q", "add train.txt train"):
            subprocess.run(["git", *command.split()], env=git, cwd=tmp_path, check=True)
    except FileNotFoundError:
        pytest.skip("git is not installed")
    written = subprocess.run(
        ["git", "write-tree"], env=git, cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert written.stdout.strip() == TREE


@pytest.mark.parametrize("at_an_address", [False, True])
def test_archive_is_unpacked_whatever_its_top_folder_is_called(
    at_an_address, server, tmp_path, monkeypatch, data_folder, archive_name
):
    content = archive(GOOD, top="another-name")
    server.files[archive_name] = content
    mirror = server.url if at_an_address else put(tmp_path, archive_name, content)
    monkeypatch.setenv("HW1_MIRROR", str(mirror))
    source = obtain("grocery")
    assert (source.path / "train" / "a.jpg").read_bytes() == PHOTO
    assert not (source.path.parent / "README.md").exists()
    assert obtain("grocery").origin == "data"
    assert not [*data_folder.glob("*.tar.gz*")]
    assert at_an_address or (tmp_path / archive_name).read_bytes() == content


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (
            archive({**GOOD, "dataset/train/a.jpg": b"another"}),
            "wrong checksum: expected git-tree",
        ),
        (archive({**GOOD, "dataset/more.txt": b""}), "wrong checksum"),
        (archive({"elsewhere/train.txt": LABELS}), "found git-tree:nothing"),
        (archive({**GOOD, "dataset/../../../evil": b"!"}), "damaged or no archive"),
        (archive(GOOD)[:-40], "damaged or no archive"),
        (gzip.compress(b"no tar"), "damaged or no archive"),
        (b"<html>", "damaged or no archive"),
        (b"", "damaged or no archive"),
    ],
)
def test_bad_archive_is_refused_and_leaves_nothing(
    content, words, tmp_path, monkeypatch, data_folder, archive_name
):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, archive_name, content)))
    with pytest.raises(ResourceError, match=words):
        obtain("grocery")
    assert names(data_folder) == []


def test_folder_that_is_not_the_data_set_is_set_aside_not_deleted(
    tmp_path, monkeypatch, data_folder, archive_name
):
    put(data_folder / "GroceryStoreDataset", "thesis.txt", b"mine")
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, archive_name, archive(GOOD))))
    obtain("grocery")
    (aside,) = data_folder.glob("GroceryStoreDataset.set-aside-*")
    assert (aside / "thesis.txt").read_bytes() == b"mine"


def test_photo_edited_after_unpacking_is_noticed(
    tmp_path, monkeypatch, data_folder, archive_name
):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, archive_name, archive(GOOD))))
    path = obtain("grocery").path
    (path / "train" / "a.jpg").write_bytes(b"edited")
    assert obtain("grocery").origin == "mirror"
    assert (path / "train" / "a.jpg").read_bytes() == PHOTO


def test_broken_link_in_a_folder_counts_as_the_link_it_is(tmp_path):
    (tmp_path / "photo").symlink_to("nowhere")
    before = verify.snapshot(tmp_path)
    (tmp_path / "photo").unlink()
    (tmp_path / "photo").symlink_to("elsewhere")
    assert verify.snapshot(tmp_path) != before


# Stand-ins -----------------------------------------------------------------------------------


@pytest.fixture
def made(monkeypatch):
    """Calls of the stand-in maker, which writes one small file."""
    calls = []

    def make(name, folder):
        calls.append(name)
        for kind in resources.PHOTO_FOLDERS:
            (folder / name / kind).mkdir(parents=True, exist_ok=True)
            (folder / name / kind / "drawn.png").write_bytes(b"drawn")
        return folder / name

    monkeypatch.setattr(standins, "make", make)
    return calls


def test_what_cannot_be_had_gets_a_stand_in_that_says_why(made, monkeypatch, data_folder):
    monkeypatch.delenv("HW1_STANDIN")
    source = obtain("vgg16")
    assert (source.stand_in, source.origin) == (True, "stand-in")
    assert source.path == data_folder / "stand-in" / "vgg16"
    assert "refused the connection" in source.detail
    assert "data/README.md" in source.detail


def test_always_makes_stand_ins_of_all_without_looking(made, monkeypatch, mirror):
    monkeypatch.setenv("HW1_STANDIN", "always")
    assert all(source.stand_in for source in resources.obtain_all().values())
    assert made == list(RESOURCES)
    assert mirror.requests == []


def test_listed_resource_is_a_stand_in_without_looking_and_keeps_its_reason(
    made, monkeypatch, mirror
):
    monkeypatch.setenv("HW1_STANDIN", "")
    mirror.faults["vgg16.pth"] = [404]
    automatic = obtain("vgg16")
    monkeypatch.setenv("HW1_STANDIN", "mnist, vgg16")
    mirror.requests.clear()
    assert obtain("vgg16") == automatic
    assert mirror.requests == []


def test_unlisted_resource_is_automatic(made, monkeypatch, mirror):
    monkeypatch.setenv("HW1_STANDIN", "mnist")
    assert obtain("vgg16").origin == "mirror"


def test_misspelt_stand_in_is_an_error(monkeypatch):
    monkeypatch.setenv("HW1_STANDIN", "minst")
    with pytest.raises(ResourceError, match=r"there is no minst(.|\n)*mnist, grocery"):
        obtain("mnist")


# Photos: the student's own win ---------------------------------------------------------------


def put_image(folder, name):
    folder.mkdir(exist_ok=True)
    Image.new("RGB", (8, 8)).save(folder / name)


@pytest.fixture
def default_photos(tmp_path, monkeypatch):
    for kind in ("birds", "dogs"):
        put(tmp_path, f"{kind}.jpg", CONTENT + kind.encode())
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path))


def test_default_photos_go_to_their_folders(default_photos, data_folder):
    source = obtain("photos")
    assert (source.path, source.origin) == (data_folder, "mirror")
    assert (data_folder / "birds" / "birds.jpg").exists()
    assert (data_folder / "dogs" / "dogs.jpg").exists()
    assert obtain("photos").origin == "data"


def test_own_dogs_win_and_birds_still_default(default_photos, data_folder):
    put_image(data_folder / "dogs", "rex.gif")
    source = obtain("photos")
    assert source.origin == "mirror + your own photos"
    assert source.detail.startswith("github.com/google-coral")
    assert source.detail.endswith("; dogs: 1 of your own, in data/dogs/")
    assert names(data_folder / "dogs") == ["rex.gif"]
    assert names(data_folder / "birds") == ["birds.jpg"]


def test_folder_without_any_image_gets_the_defaults(default_photos, data_folder):
    put(data_folder / "birds", "notes.txt", b"buy seeds")
    put_image(data_folder / "dogs", "._rex.jpg.tmp-1.png")
    put(data_folder / "dogs", "Thumbs.db", b"")
    (data_folder / "dogs" / "x.jpg").mkdir()
    assert obtain("photos").origin == "mirror"
    assert (data_folder / "birds" / "birds.jpg").exists()
    assert (data_folder / "dogs" / "dogs.jpg").exists()


def test_defaults_beside_photos_that_cannot_be_read_say_so(
    default_photos, made, data_folder, monkeypatch
):
    put(data_folder / "birds", "IMG_1.HEIC", b"\0\0\0\x20ftypheic\0\0\0\0")
    words = "data/birds/ holds no image that can be read (IMG_1.HEIC: save as JPEG)"
    assert words in obtain("photos").detail
    monkeypatch.setenv("HW1_STANDIN", "photos")
    assert words in obtain("photos").detail


def test_file_that_is_no_image_beside_own_photos_is_left_out_with_a_warning(
    default_photos, data_folder
):
    put_image(data_folder / "dogs", "rex.gif")
    put(data_folder / "dogs", "notes.txt", b"feed at six")
    put(data_folder / "dogs", "cut.png", (data_folder / "dogs" / "rex.gif").read_bytes()[:20])
    source = obtain("photos")
    assert not (data_folder / "dogs" / "dogs.jpg").exists()
    with pytest.warns(UserWarning, match="left out") as warned:
        assert [photo.name for photo in photos.load(source.path / "dogs")] == ["rex"]
    left_out = " ".join(str(warning.message) for warning in warned)
    assert "notes.txt: not an image" in left_out
    assert "cut.png" in left_out


def test_own_dogs_are_kept_beside_stand_in_birds(made, data_folder, monkeypatch):
    monkeypatch.delenv("HW1_STANDIN")
    put_image(data_folder / "dogs", "rex.gif")
    source = obtain("photos")
    assert source.stand_in
    assert names(source.path / "dogs") == ["rex.gif"]
    assert names(source.path / "birds") == ["drawn.png"]


def test_interrupted_copy_leaves_nothing(tmp_path, monkeypatch, data_folder):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path)))
    monkeypatch.setattr(verify, "checksum", interrupted)
    with pytest.raises(KeyboardInterrupt):
        obtain("vgg16")
    assert not [*data_folder.rglob("*vgg16.pth*")]


def test_what_a_killed_run_left_is_swept_away(data_folder):
    put(data_folder)
    hub = data_folder / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    suffixes = (f"tmp-{ended.pid}", "tmp-x", f"tmp-{os.getppid()}", "tmp-young")
    old, odd, live, young = (hub / f".vgg16.pth.{name}" for name in suffixes)
    for path in (old, odd, live, young):
        path.write_bytes(b"half")
        os.utime(path, (0, 0))
    os.utime(young)
    obtain("vgg16")
    left = [path for path in (old, odd, live, young) if path.exists()]
    assert left == [live, young], "a jump of the clock takes nothing from a process that runs"


def test_hub_folder_follows_torch(monkeypatch):
    import torch

    for settings in (
        {"TORCH_HOME": "~/t", "XDG_CACHE_HOME": "/x"},
        {"XDG_CACHE_HOME": "/x/y"},
        {},
    ):
        for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
            monkeypatch.delenv(name, raising=False)
        for name, value in settings.items():
            monkeypatch.setenv(name, value)
        assert str(fetch.hub_folder()) == torch.hub.get_dir()
