"""Fixtures of the tests that download: see tests/mirrors.py."""

import socket
import threading
from dataclasses import replace

import pytest

from hw1lib.datasets import download
from hw1lib.datasets.resources import RESOURCES
from tests.mirrors import CONTENT, TREE, Server, a_file, set_files


@pytest.fixture
def server():
    with Server() as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.01,))
        thread.start()
        yield httpd.mirror
        httpd.closing.set()
        httpd.shutdown()
        thread.join()


@pytest.fixture
def mirror(server, monkeypatch):
    """The server as HW1_MIRROR, with VGG16's weights."""
    server.files["vgg16.pth"] = CONTENT
    monkeypatch.setenv("HW1_MIRROR", server.url + "/")
    return server


@pytest.fixture
def closed_port():
    """A port that refuses: bound, so that nobody else gets it, and not listening."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield f"127.0.0.1:{bound.getsockname()[1]}"


@pytest.fixture
def small_table(monkeypatch, closed_port):
    """Resources of the same shape with small files, upstream refused, and no waits."""
    monkeypatch.setattr(download, "BACKOFF_S", (0.0, 0.0))
    closed = f"http://{closed_port}"
    digits = [a_file(f"digits-{i}.gz", CONTENT + bytes([i]), f"{closed}/{i}") for i in range(2)]
    weights = a_file("vgg16.pth", CONTENT, f"{closed}/vgg16.pth")
    weights = replace(weights, checksum=weights.checksum[: len("sha256:") + 8])
    photos = [
        replace(a_file(f"{kind}.jpg", CONTENT + kind.encode(), f"{closed}/x"), folder=kind)
        for kind in ("birds", "dogs")
    ]
    (archive,) = RESOURCES["grocery"].files
    archive = replace(archive, checksum=f"git-tree:{TREE}", urls=(f"{closed}/archive",))
    for name, files in (
        ("mnist", digits),
        ("vgg16", [weights]),
        ("photos", photos),
        ("grocery", [archive]),
    ):
        set_files(monkeypatch, name, *files)
    monkeypatch.setenv("HW1_STANDIN", "never")
