"""Fixtures of the tests that download: see tests/mirrors.py."""

import socket
import threading
from dataclasses import replace

import pytest

from hw1lib.datasets import download
from hw1lib.datasets.resources import PHOTO_FOLDERS, RESOURCES
from tests.mirrors import CONTENT, GOOD, TREE, Server, a_file, archive, set_files


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
def small_table(monkeypatch, closed_port) -> dict[str, bytes]:
    """Resources of the same shape with small files, upstream refused, and no waits.

    Returns the files by name, as a mirror may hold them.
    """
    monkeypatch.setattr(download, "BACKOFF_S", (0.0, 0.0))
    monkeypatch.setenv("HW1_STANDIN", "never")
    table = {
        name: {f"{name}-{i}.gz": CONTENT + bytes([i]) for i in range(2)} for name in RESOURCES
    }
    table["vgg16"] = {"vgg16.pth": CONTENT}
    table["photos"] = {f"{kind}.jpg": CONTENT + kind.encode() for kind in PHOTO_FOLDERS}
    table["grocery"] = {RESOURCES["grocery"].files[0].name: archive(GOOD)}
    for name, contents in table.items():
        files = [a_file(*item, f"http://{closed_port}/gone") for item in contents.items()]
        if name == "vgg16":
            files = [replace(f, checksum=f.checksum[: len("sha256:") + 8]) for f in files]
        elif name == "photos":
            files = [replace(f, folder=f.name.removesuffix(".jpg")) for f in files]
        elif name == "grocery":
            files = [replace(f, size=None, checksum=f"git-tree:{TREE}") for f in files]
        set_files(monkeypatch, name, *files)
    return {file: content for files in table.values() for file, content in files.items()}
