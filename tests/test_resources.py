"""Getting the resources: order of places, verification, faults of the network and the disk."""

import gzip
import hashlib
import http.server
import io
import os
import socket
import subprocess
import sys
import tarfile
import threading
from dataclasses import dataclass, field, replace
from types import SimpleNamespace

import pytest
from PIL import Image

from hw1lib.datasets import download, resources, standins, verify
from hw1lib.datasets.resources import RESOURCES, ResourceError, obtain

CONTENT = bytes(range(256)) * 400  # 102 400 bytes


@dataclass
class Server:
    """A mirror on loopback; `faults` maps a file to what happens on each request in turn."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[object]] = field(default_factory=dict)
    requests: list[tuple[str, str | None]] = field(default_factory=list)


@pytest.fixture
def server():
    state = Server()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            name = self.path.lstrip("/")
            state.requests.append((name, self.headers.get("Range")))
            fault = state.faults[name].pop(0) if state.faults.get(name) else None
            if isinstance(fault, int):
                return self.send_error(fault)
            if name not in state.files:
                return self.send_error(404)
            if fault == "hang":
                return hung.wait(5)
            body = state.files[name]
            if fault == "log-in page":
                return self.answer(200, b"<html>Please log in</html>", kind="text/html")
            start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
            rest = body[start:]
            sent = rest[: len(rest) // 3] if fault == "truncate" else rest
            return self.answer(206 if start else 200, sent, length=len(rest))

        def answer(self, status, body, *, length=None, kind="application/octet-stream"):
            self.send_response(status)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(length or len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_):
            pass

    hung = threading.Event()
    httpd = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    state.url = f"http://127.0.0.1:{httpd.server_port}"
    thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
    thread.start()
    yield state
    hung.set()
    httpd.shutdown()
    thread.join()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _small_table(monkeypatch):
    """Resources of the same shape with small files, upstream refused, and short waits."""
    monkeypatch.setattr(download, "BACKOFF_S", (0.0, 0.0))
    monkeypatch.setattr(download, "TIMEOUT_S", 0.3)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        closed = f"http://127.0.0.1:{free.getsockname()[1]}"
    digits = [a_file(f"digits-{i}.gz", CONTENT + bytes([i]), f"{closed}/{i}") for i in range(2)]
    weights = a_file("vgg16.pth", CONTENT, f"{closed}/vgg16.pth")
    weights = replace(weights, checksum=weights.checksum[: len("sha256:") + 8])
    photos = [
        replace(a_file(f"{kind}.jpg", CONTENT + kind.encode(), f"{closed}/x"), folder=kind)
        for kind in ("birds", "dogs")
    ]
    for name, files in (("mnist", digits), ("vgg16", [weights]), ("photos", photos)):
        monkeypatch.setitem(RESOURCES, name, replace(RESOURCES[name], files=tuple(files)))
    (archive,) = RESOURCES["grocery"].files
    archive = replace(archive, checksum=f"git-tree:{TREE}", urls=(f"{closed}/archive",))
    monkeypatch.setitem(RESOURCES, "grocery", replace(RESOURCES["grocery"], files=(archive,)))
    monkeypatch.setenv("HW1_STANDIN", "never")


def a_file(name, content, *urls):
    digest = hashlib.sha256(content).hexdigest()
    return resources.File(name, len(content), f"sha256:{digest}", urls)


def put(folder, name="vgg16.pth", content=CONTENT):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return folder


def names(folder):
    return [path.name for path in folder.iterdir()]


def left_over(folder):
    return [path for path in folder.rglob("*") if ".tmp-" in path.name]


# The order of places -------------------------------------------------------------------------


def test_resources_module_starts_without_torch_and_pil():
    probe = (
        "import sys, hw1lib.datasets.resources; print({'torch', 'PIL'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True)
    assert done.stdout.strip() == "set()", done.stderr


def test_mirror_folder_is_copied_verified_and_found_in_data_next_time(
    data_folder, tmp_path, monkeypatch
):
    for i in range(2):
        put(tmp_path, f"digits-{i}.gz", CONTENT + bytes([i]))
    monkeypatch.setenv("HW1_MIRROR", str(tmp_path))
    first = obtain("mnist")
    assert (first.origin, first.stand_in) == ("mirror", False)
    assert (first.path / "digits-1.gz").read_bytes() == CONTENT + b"\x01"
    monkeypatch.delenv("HW1_MIRROR")
    assert obtain("mnist").origin == "data"
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


# The network ---------------------------------------------------------------------------------


@pytest.fixture
def mirror(server, monkeypatch):
    server.files["vgg16.pth"] = CONTENT
    monkeypatch.setenv("HW1_MIRROR", server.url + "/")
    return server


def test_mirror_at_an_address_is_downloaded(mirror, data_folder):
    source = obtain("vgg16")
    assert source.origin == "mirror"
    assert source.path.read_bytes() == CONTENT
    assert not left_over(data_folder)


def test_busy_server_is_tried_again(mirror):
    mirror.faults["vgg16.pth"] = [503, 503]
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert len(mirror.requests) == 3


def test_broken_transfer_is_resumed_where_it_ended(mirror):
    mirror.faults["vgg16.pth"] = ["truncate"] * 5  # more than attempts, but each gets further
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.requests[1] == ("vgg16.pth", f"bytes={len(CONTENT) // 3}-")


@pytest.mark.parametrize(
    ("faults", "words", "requests"),
    [
        ([404], "answered 404", 1),
        ([503] * 3, r"answered 503 .*\(3 attempts\)", 3),
        (["hang"] * 3, r"fell silent for 0.3 s \(3 attempts\)", 3),
        (["log-in page"], "a web page instead of the file", 1),
    ],
)
def test_server_that_does_not_help_is_named_with_the_reason(
    mirror, data_folder, faults, words, requests
):
    mirror.faults["vgg16.pth"] = faults
    with pytest.raises(ResourceError, match=words):
        obtain("vgg16")
    assert len(mirror.requests) == requests
    assert not [*data_folder.rglob("vgg16.pth*")]


def test_wrong_bytes_of_the_right_length_never_get_the_name(mirror, data_folder):
    mirror.files["vgg16.pth"] = CONTENT[::-1]
    with pytest.raises(
        ResourceError, match=r"wrong checksum: expected sha256:.*, found sha256:"
    ):
        obtain("vgg16")
    assert not [*data_folder.rglob("vgg16.pth*")]


def test_another_length_is_refused_before_it_is_read(mirror):
    mirror.files["vgg16.pth"] = CONTENT + b"!"
    with pytest.raises(ResourceError, match="offers 102,401 bytes where 102,400 are expected"):
        obtain("vgg16")


def test_name_that_does_not_resolve_is_not_tried_again(monkeypatch):
    lookups = []

    def fail(host, *_, **__):
        lookups.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("HW1_MIRROR", "http://mirror.invalid")
    with pytest.raises(ResourceError, match="its name does not resolve"):
        obtain("vgg16")
    assert lookups.count("mirror.invalid") == 1


# Grocery: an archive verified by its content -------------------------------------------------

LABELS = b"train/a.jpg, 0, 0\n"
PHOTO = b"not really a photo"


def git_hash(kind, body):
    return hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(body), body)).digest()


TRAIN = git_hash("tree", b"100644 a.jpg\0" + git_hash("blob", PHOTO))
# Git sorts a folder as if its name ended in a slash: after "train.txt", for "." < "/".
TREE = git_hash(
    "tree", b"100644 train.txt\0" + git_hash("blob", LABELS) + b"40000 train\0" + TRAIN
).hex()


def archive(members, top="GroceryStoreDataset-fc80ba9"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return stream.getvalue()


GOOD = {"README.md": b"x", "dataset/train.txt": LABELS, "dataset/train/a.jpg": PHOTO}


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


def test_two_starts_at_once_both_find_the_data_set(
    tmp_path, monkeypatch, data_folder, archive_name
):
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, archive_name, archive(GOOD))))
    unpack = resources._unpack
    others = []

    def other_start_finishes_meanwhile(path, folder):
        if not others:
            others.append("started")
            with pytest.MonkeyPatch.context() as other:
                other.setattr(os, "getpid", lambda: -1)
                others.append(obtain("grocery").path)
        unpack(path, folder)

    monkeypatch.setattr(resources, "_unpack", other_start_finishes_meanwhile)
    assert obtain("grocery").path == others[1]
    assert [name for name in names(data_folder) if "Grocery" in name] == ["GroceryStoreDataset"]


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
    assert names(data_folder / "dogs") == ["rex.gif"]
    assert names(data_folder / "birds") == ["birds.jpg"]


def test_folder_without_any_image_gets_the_defaults(default_photos, data_folder):
    put(data_folder / "birds", "notes.txt", b"buy seeds")
    put(data_folder / "dogs", ".DS_Store", b"")
    assert obtain("photos").origin == "mirror"
    assert (data_folder / "birds" / "birds.jpg").exists()


def test_own_dogs_are_kept_beside_stand_in_birds(made, data_folder, monkeypatch):
    monkeypatch.delenv("HW1_STANDIN")
    put_image(data_folder / "dogs", "rex.gif")
    source = obtain("photos")
    assert source.stand_in
    assert names(source.path / "dogs") == ["rex.gif"]
    assert names(source.path / "birds") == ["drawn.png"]


# The disk ------------------------------------------------------------------------------------


def test_too_little_space_is_said_before_downloading(mirror, monkeypatch):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ResourceError, match=r"102,400 bytes are needed and 1,000 are free"):
        obtain("vgg16")


def test_folder_that_cannot_be_made_is_an_error_with_a_way_on(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HW1_DATA", str(tmp_path / "file" / "data"))
    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path, "digits-0.gz", CONTENT + b"\0")))
    with pytest.raises(ResourceError, match=r"Not a directory(.|\n)*HW1_DATA"):
        obtain("mnist")


def test_interrupted_copy_leaves_nothing(tmp_path, monkeypatch, data_folder):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setenv("HW1_MIRROR", str(put(tmp_path)))
    monkeypatch.setattr(verify, "checksum", interrupted)
    with pytest.raises(KeyboardInterrupt):
        obtain("vgg16")
    assert not [*data_folder.rglob("vgg16.pth*")]


def test_what_a_killed_run_left_is_swept_away(data_folder):
    put(data_folder)
    hub = data_folder / "torch" / "hub" / "checkpoints"
    hub.mkdir(parents=True)
    old, young = hub / "vgg16.pth.tmp-1", hub / "vgg16.pth.tmp-2"
    for path in (old, young):
        path.write_bytes(b"half")
    os.utime(old, (0, 0))
    obtain("vgg16")
    assert not old.exists()
    assert young.exists()


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
        assert str(resources.hub_folder()) == torch.hub.get_dir()
