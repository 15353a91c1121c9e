"""Whether files are what they should be, and a memory of it.

A checksum is written "algorithm:hex digest", or with the digest's first digits alone. The
algorithm is one of hashlib's, of a file as it is; "content-sha256", of a file once unpacked,
whether or not gzip has packed it; or "git-tree", Git's own, of a folder.
"""

import gzip
import hashlib
import json
import logging
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from hw1lib.datasets.download import DownloadError
from hw1lib.files import replacing

logger = logging.getLogger(__name__)

#: Bytes that no honest file of ours exceeds unpacked, MNIST (47 MB) and Grocery Store (121 MB).
UNPACKED_LIMIT = 400_000_000
#: What reading a damaged gz file raises.
GZIP_ERRORS = (gzip.BadGzipFile, zlib.error, EOFError)


class DataError(ValueError):
    """A file is there, but is not what its format asks for; names file, expected and found."""


class WrongContentError(DownloadError):
    """What arrived is not what was expected."""


@contextmanager
def advice_to_replace(folder: Path) -> Iterator[None]:
    """Have a DataError say what to do; moved away, not deleted: it may be a student's own."""
    try:
        yield
    except DataError as error:
        error.args = (f"{error}; move {folder} elsewhere and run again to fetch it anew",)
        raise


def require(path: Path, expected: str, name: str) -> None:
    """Raise WrongContentError, naming expected and found, unless `path` has the checksum."""
    algorithm, _, digest = expected.partition(":")
    try:
        found = checksum(path, algorithm) if path.exists() else "nothing"
    except GZIP_ERRORS as error:
        raise WrongContentError(f"{name} is damaged: {error}") from error
    if not found.startswith(digest):
        raise WrongContentError(
            f"{name} has a wrong checksum: expected {expected}, found {algorithm}:{found}"
        )


def checksum(path: Path, algorithm: str) -> str:
    """Hex digest of a file or folder, by an algorithm as this module names them.

    Raises:
        WrongContentError: the content is larger than any that is expected.
        OSError, EOFError, zlib.error: the file cannot be read or unpacked.
    """
    if algorithm == "git-tree":
        return _git_tree(path).hex()
    unpacked = algorithm.startswith("content-")
    digest = hashlib.new(algorithm.removeprefix("content-"), usedforsecurity=False)
    size = 0
    with gzip.open(path) if unpacked and is_gzip(path) else path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
            size += len(chunk)
            if unpacked and size > UNPACKED_LIMIT:
                raise WrongContentError(f"{path.name} holds more than {UNPACKED_LIMIT:,} bytes")
    return digest.hexdigest()


def is_gzip(path: Path) -> bool:
    """Whether a file begins as gzip's do."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def snapshot(path: Path) -> str:
    """Cheap sign that a file or folder is unchanged: names, sizes and times of change."""
    status = path.stat()
    if not path.is_dir():
        return f"{status.st_size} {status.st_mtime_ns}"
    digest = hashlib.sha256()
    for name, file in sorted(_walk(str(path), "")):
        digest.update(f"{name}\0{file.st_size} {file.st_mtime_ns}\n".encode("utf-8", "replace"))
    return digest.hexdigest()


def _walk(folder: str, prefix: str) -> Iterator[tuple[str, os.stat_result]]:
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(entry.path, f"{prefix}{entry.name}/")
        else:
            yield prefix + entry.name, entry.stat(follow_symlinks=False)


@dataclass(frozen=True)
class Ledger:
    """Remembers, in verified.json of a data folder, what need not be read again."""

    folder: Path

    def problem(self, path: Path, expected: str) -> str | None:
        """Why what is in place already cannot be used; None if it can."""
        if not path.exists():
            return "not there"
        if self.recall(self._key(path)) == _note(path, expected):
            return None
        try:
            require(path, expected, path.name)
        except WrongContentError as error:
            logger.warning("%s: %s", path, error)
            return str(error)
        self.remember_verified(path, expected)
        return None

    def remember_verified(self, path: Path, expected: str) -> None:
        """Note that `path`, as it is now, has the checksum."""
        self.remember(self._key(path), _note(path, expected))

    def recall(self, key: str) -> str | None:
        """What was remembered under a key."""
        return self._read().get(key)

    def remember(self, key: str, note: str) -> None:
        """Keep a note; one that cannot be written costs another verification, no more."""
        with suppress(OSError), replacing(self.folder / "verified.json") as temporary:
            temporary.write_text(json.dumps(self._read() | {key: note}, indent=1), "utf-8")

    def _read(self) -> dict[str, str]:
        try:
            notes = json.loads((self.folder / "verified.json").read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return notes if isinstance(notes, dict) else {}

    def _key(self, path: Path) -> str:
        inside = path.is_relative_to(self.folder)
        return path.relative_to(self.folder).as_posix() if inside else str(path)


def _note(path: Path, expected: str) -> str:
    return f"{expected} {snapshot(path)}"


def _git_tree(folder: Path) -> bytes:
    """Git's id of a folder of plain files: SHA-1 over its entries, sorted as git sorts them."""
    entries = []
    for entry in os.scandir(folder):
        if entry.is_dir(follow_symlinks=False):
            entries.append((entry.name + "/", "40000", entry.name, _git_tree(Path(entry.path))))
        else:
            blob = Path(entry.path).read_bytes()
            entries.append((entry.name, "100644", entry.name, _git_object("blob", blob)))
    entries.sort(key=lambda entry: os.fsencode(entry[0]))
    body = b"".join(f"{mode} {name}\0".encode() + sha for _, mode, name, sha in entries)
    return _git_object("tree", body)


def _git_object(kind: str, body: bytes) -> bytes:
    header = f"{kind} {len(body)}\0".encode()
    return hashlib.sha1(header + body, usedforsecurity=False).digest()
