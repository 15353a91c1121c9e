"""Downloads that fail in every way a network can, and those that go on where one ended."""

import errno
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest

from hw1lib.datasets import download, fetch, resources
from hw1lib.datasets.resources import RESOURCES, ResourceError, obtain
from tests.fixtures.mirrors import (
    CONTENT,
    GOOD,
    THIRD,
    Answer,
    a_file,
    archive,
    left_over,
    set_files,
)

pytest_plugins = ("tests.fixtures.served",)
pytestmark = pytest.mark.usefixtures("small_table")

PART = ".vgg16.pth.part"


@pytest.fixture
def checkpoints(data_folder):
    """Where VGG16's weights go."""
    folder = data_folder / "torch" / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    return folder


def meets(mirror, *faults, name="vgg16.pth"):
    mirror.faults[name] = list(faults)


def test_mirror_at_an_address_is_downloaded(mirror, data_folder):
    source = obtain("vgg16")
    assert source.origin == "mirror"
    assert source.path.read_bytes() == CONTENT
    assert not left_over(data_folder)


def test_mirror_below_a_path_in_hebrew_is_downloaded(mirror, monkeypatch):
    monkeypatch.setenv("HW1_MIRROR", f"{mirror.url}/קורס 1")
    mirror.files["%D7%A7%D7%95%D7%A8%D7%A1%201/vgg16.pth"] = CONTENT
    assert obtain("vgg16").path.read_bytes() == CONTENT


def test_what_a_mirror_lacks_comes_from_upstream(mirror, monkeypatch):
    for i, where in enumerate(("", "upstream/")):
        mirror.files[f"{where}mnist-{i}.gz"] = CONTENT + bytes([i])
    files = [
        a_file(name, CONTENT + bytes([i]), f"{mirror.url}/upstream/{name}", folder="mnist")
        for i, name in enumerate(("mnist-0.gz", "mnist-1.gz"))
    ]
    set_files(monkeypatch, "mnist", *files)
    source = obtain("mnist")
    assert source.origin == "mirror + upstream"
    assert [(source.path / file.name).read_bytes()[-1] for file in files] == [0, 1]


# Servers that do not help --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("faults", "words", "requests"),
    [
        ([404], "answered 404 Not Found", 1),
        ([503] * 3, r"answered 503 .*\(3 attempts\)", 3),
        ([Answer.hang_before_headers] * 3, r"fell silent for 0\.3 s \(3 attempts\)", 3),
        ([Answer.hang_in_body, *[Answer.hang_before_headers] * 2], "fell silent", 3),
        ([Answer.cut, 404], "answered 404", 2),
        ([Answer.log_in], "127.0.0.1 sent a web page instead of the file", 2),
        ([Answer.nonsense] * 3, r"the connection broke \(BadStatusLine\)", 3),
    ],
    ids=["404", "503", "hang", "hang in body", "dies at 30 %", "log-in page", "not http"],
)
def test_server_that_does_not_help_is_named_with_the_reason(
    mirror, checkpoints, monkeypatch, faults, words, requests
):
    if "fell silent" in words:
        monkeypatch.setattr(download, "TIMEOUT_S", 0.3)
    meets(mirror, *faults)
    with pytest.raises(ResourceError, match=words):
        obtain("vgg16")
    assert len(mirror.requests) == requests
    assert not (checkpoints / "vgg16.pth").exists()


@pytest.mark.parametrize("busy", [408, 429, 500, 502, 503, 504])
def test_busy_server_is_tried_again(mirror, busy):
    meets(mirror, busy, busy)
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert len(mirror.requests) == 3


def test_wrong_bytes_of_the_right_length_never_get_the_name(mirror, data_folder):
    mirror.files["vgg16.pth"] = CONTENT[::-1]
    with pytest.raises(
        ResourceError, match=r"wrong checksum: expected sha256:.*, found sha256:"
    ):
        obtain("vgg16")
    assert not [*data_folder.rglob("*vgg16.pth*")]


def test_another_length_is_refused_before_it_is_read(mirror, data_folder):
    mirror.files["vgg16.pth"] = CONTENT + b"!"
    with pytest.raises(ResourceError, match="offers 102,401 bytes where 102,400 are expected"):
        obtain("vgg16")
    assert not [*data_folder.rglob("*vgg16.pth*")]


def test_more_bytes_than_announced_are_not_read(mirror, monkeypatch, tmp_path):
    meets(mirror, Answer.cut_without_length)
    with pytest.raises(download.DownloadError, match="sends more than the 100 bytes expected"):
        download.download(f"{mirror.url}/vgg16.pth", tmp_path / "x", limit=100)


@pytest.mark.parametrize(
    ("error", "words", "tries"),
    [
        (ConnectionResetError(), r"the connection broke \(ConnectionResetError\)", 3),
        (TimeoutError(), "did not answer within", 1),
        (OSError(errno.EHOSTUNREACH, "No route"), "cannot be reached: .*No route", 1),
        (socket.gaierror(socket.EAI_NONAME, "Name not known"), "its name does not resolve", 1),
    ],
)
def test_connection_that_cannot_be_made_is_told_and_only_a_broken_one_tried_again(
    monkeypatch, error, words, tries
):
    lookups = []

    def fail(host, *_, **__):
        lookups.append(host)
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fail)
    monkeypatch.setenv("HW1_MIRROR", "http://mirror.invalid")
    with pytest.raises(ResourceError, match=words):
        obtain("vgg16")
    assert lookups.count("mirror.invalid") == tries


@pytest.mark.parametrize(
    "address", ["http://[::bad", "http://a b/", "http://:x/", "gopher://a"]
)
def test_address_that_is_none_is_an_error_with_a_way_on(monkeypatch, address):
    monkeypatch.setenv("HW1_MIRROR", address)
    with pytest.raises(ResourceError, match=r"mirror (.|\n)*What to do"):
        obtain("vgg16")


@pytest.fixture
def set_proxy(monkeypatch):
    """Set the variable http_proxy, as before the program's start."""
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(urllib.request, "_opener", None)  # keeps the proxies it began with
    return lambda proxy: monkeypatch.setenv("http_proxy", proxy)


def test_proxy_that_points_nowhere_is_named_without_its_password(
    mirror, set_proxy, closed_port
):
    set_proxy(f"http://me:secret@{closed_port}")
    with pytest.raises(ResourceError) as error:
        obtain("vgg16")
    proxy = f"refused the connection by way of the proxy {closed_port} (set by http_proxy)"
    assert proxy in str(error.value)
    assert "secret" not in str(error.value)
    assert mirror.requests == []


@pytest.mark.parametrize("proxy", ["http://", "http:///nowhere", "[::bad"])
def test_proxy_that_is_no_address_is_an_error_with_a_way_on(mirror, set_proxy, proxy):
    set_proxy(proxy)
    with pytest.raises(ResourceError, match="What to do"):
        obtain("vgg16")


def test_strict_export_without_a_network_ends_with_status_3_and_no_files(tmp_path, closed_port):
    nowhere = {f"{scheme}_proxy": f"http://{closed_port}" for scheme in ("http", "https")}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "hw1lib.submission",
            "--strict",
            "--output",
            tmp_path,
            "123456782",
        ],
        cwd=fetch.PROJECT_ROOT,
        env={**os.environ, **nowhere, "no_proxy": "", "NO_PROXY": "", "HW1_STANDIN": ""},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 3, done.stdout + done.stderr
    for resource in RESOURCES.values():
        assert f"{resource.title} cannot be had" in done.stderr
    assert f"by way of the proxy {closed_port}" in done.stderr
    assert "What to do: connect to the internet" in done.stderr
    assert not {"submission", "draft"} & {path.name for path in tmp_path.iterdir()}


@pytest.mark.parametrize("fault", [Answer.trickle, Answer.trickle_headers])
def test_trickle_is_given_up_at_the_deadline_and_the_next_run_goes_on(
    mirror, checkpoints, monkeypatch, fault
):
    monkeypatch.setenv("HW1_DOWNLOAD_MINUTES", "0.03")
    meets(mirror, fault)
    started = time.monotonic()
    with pytest.raises(ResourceError, match=r"not done after 0\.03 min.*HW1_DOWNLOAD_MINUTES"):
        obtain("vgg16")
    assert time.monotonic() - started < 60, "it would trickle for ever"
    came = sum(path.stat().st_size for path in checkpoints.glob(PART))
    assert came or fault is Answer.trickle_headers
    monkeypatch.delenv("HW1_DOWNLOAD_MINUTES")
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges()[1] == (f"bytes={came}-" if came else None)


@pytest.mark.parametrize("minutes", ["soon", "0", "-1", "nan", "inf"])
def test_time_that_is_none_is_an_error(mirror, monkeypatch, minutes):
    monkeypatch.setenv("HW1_DOWNLOAD_MINUTES", minutes)
    with pytest.raises(
        ResourceError, match=f"HW1_DOWNLOAD_MINUTES={minutes}: expected a number"
    ):
        obtain("vgg16")


# Going on where a transfer ended -------------------------------------------------------------


def test_broken_transfer_is_resumed_where_it_ended(mirror):
    meets(mirror, *[Answer.cut] * 5)  # more than attempts, but each gets further
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges()[:2] == [None, f"bytes={THIRD}-"]


@pytest.mark.parametrize("fault", [Answer.chunked_cut, Answer.cut_without_length])
def test_transfer_of_unannounced_length_is_resumed_too(mirror, fault):
    meets(mirror, fault)
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges()[1].startswith("bytes=")


@pytest.fixture
def half(mirror, checkpoints):
    """What a run whose server died at a third has left; the server is well again."""
    meets(mirror, Answer.cut, 404)
    with pytest.raises(ResourceError, match="answered 404"):
        obtain("vgg16")
    assert (checkpoints / PART).read_bytes() == CONTENT[:THIRD]
    mirror.requests.clear()
    return checkpoints / PART


def test_half_download_is_finished_by_the_next_run(half, mirror):
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges() == [f"bytes={THIRD}-"]
    assert not half.exists()


def test_download_of_a_killed_run_is_finished_by_the_next(mirror, checkpoints):
    meets(mirror, Answer.hang_in_body)
    code = (
        "import sys, pathlib; from hw1lib.datasets.download import download\n"
        "download(sys.argv[1], pathlib.Path(sys.argv[2]))"
    )
    arguments = [f"{mirror.url}/vgg16.pth", checkpoints / PART]
    with subprocess.Popen([sys.executable, "-c", code, *arguments]) as run:
        while not (checkpoints / PART).exists() or not (checkpoints / PART).stat().st_size:
            assert run.poll() is None
            time.sleep(0.01)
        run.kill()
    assert run.returncode == -signal.SIGKILL
    came = (checkpoints / PART).stat().st_size
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges() == [None, f"bytes={came}-"]
    assert not left_over(checkpoints)


@pytest.mark.parametrize(
    "fault", [Answer.without_ranges, Answer.another_range, 416], ids=lambda f: str(f)
)
def test_server_that_disagrees_about_the_range_sends_the_whole(half, mirror, fault):
    meets(mirror, fault)
    assert obtain("vgg16").path.read_bytes() == CONTENT


def test_file_that_changed_during_the_transfer_is_fetched_anew(mirror):
    meets(mirror, Answer.cut, Answer.another_version)
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.requests[1][1]["If-Range"] == f'"{hashlib.md5(CONTENT).hexdigest()}"'
    assert mirror.ranges() == [None, f"bytes={THIRD}-", None]


@pytest.mark.parametrize(
    "beginning",
    [b"x" * 50_000, b"x" * len(CONTENT), b"x" * 200_000],
    ids=["shorter", "as long", "longer"],
)
def test_beginning_of_another_file_is_found_out_and_fetched_anew(
    mirror, checkpoints, beginning
):
    (checkpoints / PART).write_bytes(beginning)
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.ranges()[-1] is None
    assert not left_over(checkpoints)


def test_whole_file_under_the_unfinished_name_needs_no_request(mirror, checkpoints):
    (checkpoints / PART).write_bytes(CONTENT)
    assert obtain("vgg16").path.read_bytes() == CONTENT
    assert mirror.requests == []


def test_log_in_page_does_not_harm_the_half_that_is_there(half, mirror):
    meets(mirror, Answer.log_in)
    with pytest.raises(ResourceError, match="web page"):
        obtain("vgg16")
    assert half.read_bytes() == CONTENT[:THIRD]


def test_half_download_goes_when_the_file_is_had_otherwise(half, data_folder):
    (data_folder / "vgg16.pth").write_bytes(CONTENT)
    assert obtain("vgg16").origin == "data"
    assert not half.exists()


def test_second_run_waits_for_the_first_and_takes_what_it_brought(mirror, checkpoints, caplog):
    begun, go = threading.Event(), threading.Event()

    def cut_later(answer, body):
        begun.set()
        go.wait()
        answer.cut(body)

    meets(mirror, cut_later)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(obtain, "vgg16")
        begun.wait()
        second = pool.submit(obtain, "vgg16")
        while "Another process brings files" not in caplog.text:
            assert not second.done()
            time.sleep(0.01)
        go.set()
        assert (first.result().origin, second.result().origin) == ("mirror", "data")
    assert mirror.ranges() == [None, f"bytes={THIRD}-"]
    assert not left_over(checkpoints)


def test_folder_without_locks_is_downloaded_to_all_the_same(mirror, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    assert obtain("vgg16").path.read_bytes() == CONTENT


def test_download_is_copied_where_files_have_only_one_name(mirror, monkeypatch):
    def refuse(*_):
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    path = obtain("vgg16").path
    assert path.read_bytes() == CONTENT
    assert not left_over(path.parent)


def test_server_that_never_goes_on_with_what_it_sent_is_given_up(half, mirror):
    meets(mirror, *[Answer.another_range, Answer.cut] * 5)
    with pytest.raises(ResourceError, match=r"the connection ended.*\(3 attempts\)"):
        obtain("vgg16")
    assert len(mirror.requests) < 8


def test_archive_is_resumed_and_one_mixed_of_two_is_fetched_anew(mirror, data_folder):
    (file,) = RESOURCES["grocery"].files
    content = mirror.files[file.name] = archive(GOOD)
    meets(mirror, Answer.cut, 404, name=file.name)
    with pytest.raises(ResourceError):
        obtain("grocery")
    (data_folder / f".{file.name}.part").write_bytes(content[: len(content) // 2][::-1])
    source = obtain("grocery")
    assert (source.path / "train.txt").exists()
    assert mirror.ranges()[2:] == [f"bytes={len(content) // 2}-", None]
    assert not left_over(data_folder)


def test_half_a_photo_is_no_photo_of_the_student(mirror, data_folder):
    for kind in resources.PHOTO_FOLDERS:
        mirror.files[f"{kind}.jpg"] = CONTENT + kind.encode()
    meets(mirror, Answer.cut, 404, name="birds.jpg")
    with pytest.raises(ResourceError, match="answered 404"):
        obtain("photos")
    assert left_over(data_folder) == [".birds.jpg.part"]
    assert obtain("photos").origin == "mirror"
    assert not left_over(data_folder)


def test_too_little_space_is_said_before_downloading(mirror, monkeypatch, data_folder):
    monkeypatch.setattr(download.shutil, "disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(ResourceError, match=r"102,400 bytes are needed and 1,000 are free"):
        obtain("vgg16")
    assert not left_over(data_folder)
