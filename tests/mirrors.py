"""A mirror on loopback that can fail in every way, and small resources to get from it."""

import gzip
import hashlib
import http.server
import io
import tarfile
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from email.message import Message

from hw1lib.datasets import resources
from hw1lib.datasets.resources import RESOURCES

CONTENT = bytes(range(256)) * 400  # 102 400 bytes
THIRD = len(CONTENT) // 3
LOG_IN = b"<html>Please log in</html>"


class Answer(http.server.BaseHTTPRequestHandler):
    """Serves files by name, with ranges and ETags; each request may meet a fault instead."""

    server: "Server"

    def do_GET(self):
        mirror, name = self.server.mirror, self.path.lstrip("/")
        mirror.requests.append((name, self.headers))
        fault = mirror.faults[name].pop(0) if mirror.faults.get(name) else Answer.whole
        if isinstance(fault, int):
            self.send_error(fault)
        elif name not in mirror.files:
            self.send_error(404)
        else:
            fault(self, mirror.files[name])

    def whole(self, body: bytes):
        self.wfile.write(self._asked_for(body))

    def cut(self, body: bytes):
        rest = self._asked_for(body)
        self.wfile.write(rest[: len(rest) // 3])

    def hang_before_headers(self, body: bytes):
        self.server.closing.wait(20)

    def hang_in_body(self, body: bytes):
        self.cut(body)
        self.server.closing.wait(20)

    def trickle_headers(self, body: bytes):
        self._trickle(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 60_000)

    def trickle(self, body: bytes):
        self._trickle(self._asked_for(body))

    def log_in(self, body: bytes):
        if self.path.startswith("/log-in/"):
            self._start(200, len(LOG_IN), kind="text/html; charset=utf-8")
            self.wfile.write(LOG_IN)
        else:
            self.server.mirror.files["log-in/"] = LOG_IN
            self.server.mirror.faults["log-in/"] = [Answer.log_in]
            self._start(302, 0, Location=f"{self.server.mirror.url}/log-in/")

    def without_ranges(self, body: bytes):
        self._start(200, len(body))
        self.wfile.write(body)

    def another_range(self, body: bytes):
        self._start(206, THIRD, **{"Content-Range": f"bytes 7-{THIRD + 6}/{len(body)}"})
        self.wfile.write(body[7 : THIRD + 7])

    def another_version(self, body: bytes):
        """The end of another file of the same length, with its ETag."""
        done = self._offset()
        span = {"Content-Range": f"bytes {done}-{len(body) - 1}/{len(body)}"}
        self._start(206, len(body) - done, ETag='"other"', **span)
        self.wfile.write(body[::-1][done:])

    def chunked_cut(self, body: bytes):
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.wfile.write(b"%x\r\n%s" % (len(body), body[:THIRD]))

    def cut_without_length(self, body: bytes):
        self._start(200, None)
        self.wfile.write(body[:THIRD])

    def nonsense(self, body: bytes):
        self.wfile.write(b"\0\xff not http at all\r\n\r\n")

    def _asked_for(self, body: bytes) -> bytes:
        """Send the headers; returns what is to follow."""
        etag = f'"{hashlib.md5(body).hexdigest()}"'
        done = self._offset() if self.headers.get("If-Range", etag) == etag else 0
        span = {"Content-Range": f"bytes {done}-{len(body) - 1}/{len(body)}"} if done else {}
        self._start(206 if done else 200, len(body) - done, ETag=etag, **span)
        return body[done:]

    def _offset(self) -> int:
        return int(self.headers.get("Range", "bytes=0-")[6:-1])

    def _trickle(self, content: bytes):
        for i in range(len(content)):
            if self.server.closing.wait(0.02):
                break
            self.wfile.write(content[i : i + 1])

    def _start(self, status: int, length: int | None, *, kind: str = "", **headers: str):
        self.send_response(status)
        self.send_header("Content-Type", kind or "application/octet-stream")
        if length is not None:
            self.send_header("Content-Length", str(length))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def handle(self):
        with suppress(ConnectionError):  # the client had heard enough
            super().handle()

    def log_message(self, *_):
        pass


@dataclass
class Mirror:
    """`faults` maps a file to what each request meets in turn: a status or a way to answer."""

    url: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    faults: dict[str, list[int | Callable]] = field(default_factory=dict)
    requests: list[tuple[str, Message]] = field(default_factory=list)

    def ranges(self) -> list[str | None]:
        """What part each request asked for."""
        return [headers.get("Range") for _, headers in self.requests]


class Server(http.server.ThreadingHTTPServer):
    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.mirror = Mirror(f"http://127.0.0.1:{self.server_port}")
        self.closing = threading.Event()


def set_files(monkeypatch, name, *files):
    monkeypatch.setitem(RESOURCES, name, replace(RESOURCES[name], files=files))


def a_file(name, content, *urls):
    digest = hashlib.sha256(content).hexdigest()
    return resources.File(name, len(content), f"sha256:{digest}", urls)


def put(folder, name="vgg16.pth", content=CONTENT):
    folder.mkdir(exist_ok=True, parents=True)
    (folder / name).write_bytes(content)
    return folder


def names(folder):
    return [path.name for path in folder.iterdir()]


def left_over(folder):
    """Temporary files and unfinished downloads, by name."""
    return [p.name for p in folder.rglob(".*") if ".tmp-" in p.name or p.suffix == ".part"]


# A data set in an archive, known by the tree git would make of it. ---------------------------

LABELS = b"train/a.jpg, 0, 0\n"
PHOTO = b"not really a photo"


def git_hash(kind, body):
    return hashlib.sha1(b"%s %d\0%s" % (kind.encode(), len(body), body)).digest()


def git_tree(photo):
    """Of train.txt and train/a.jpg."""
    train = git_hash("tree", b"100644 a.jpg\0" + git_hash("blob", photo))
    # Git sorts a folder as if its name ended in a slash: after "train.txt", for "." < "/".
    lists = b"100644 train.txt\0" + git_hash("blob", LABELS)
    return git_hash("tree", lists + b"40000 train\0" + train).hex()


TREE = git_tree(PHOTO)
GOOD = {"README.md": b"x", "dataset/train.txt": LABELS, "dataset/train/a.jpg": PHOTO}


def archive(members, top="GroceryStoreDataset-fc80ba9"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(f"{top}/{name}")
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return gzip.compress(stream.getvalue(), mtime=0)
