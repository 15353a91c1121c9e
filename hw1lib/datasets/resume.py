"""A download as far as it came, kept under a hidden name from one run to the next."""

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from hw1lib.files import hidden, scratch

_DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


@contextmanager
def resumable(target: Path) -> Iterator[Path]:
    """A name beside `target` to download to; what it holds when the block raises is kept.

    It goes when the block ends well, and when the disk is full, for then the space is needed
    more. A process that finds another at the same file gets a name of its own instead, as
    `scratch` gives it.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = hidden(target, "part")
    with partial.open("ab") as file:
        if not _alone(file, partial):
            with scratch(target) as temporary:
                yield temporary
            return
        try:
            yield partial
        except BaseException as error:
            full = isinstance(error, OSError) and error.errno in _DISK_FULL
            if full or not os.fstat(file.fileno()).st_size:
                _remove(file, partial)
            raise
        _remove(file, partial)


def forget(target: Path) -> None:
    """Remove what an earlier download left of `target`, which was had elsewhere."""
    if hidden(target, "part").exists():
        with suppress(OSError), resumable(target):
            pass


def _alone(file: BinaryIO, path: Path) -> bool:
    """Whether no other process writes to `file`, and it still is the one at `path`."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # another process has it, or the file system has no locks
        return False
    return _is_at(file, path)


def _is_at(file: BinaryIO, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _remove(file: BinaryIO, path: Path) -> None:
    """Unless the name is free, or by now another process's file has it."""
    if _is_at(file, path):
        path.unlink()
