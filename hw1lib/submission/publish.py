"""Replaces files of a folder as a set: at every moment it holds all the old or all the new."""

import ctypes
import errno
import glob
import os
import shutil
import sys
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from pathlib import Path

from hw1lib.files import hidden, link_or_copy


def publish(folder: Path, files: Mapping[str, bytes]) -> list[Path]:
    """Put files into a folder in one step, beside whatever else is in it.

    The new set is completed in a folder beside; everything else gets a second name there; then
    the two folders exchange their names, which is a single operation of the file system. Three
    files that are renamed one after the other would not be one, and a link that is switched to
    another folder is lost on a student's way: Google Drive does not follow it, Finder packs the
    link into a zip, and the folder that is there already could not become a link in one step.

    Args:
        folder: made if need be; where it is a link, to a synchronised folder say, it stays one.
        files: content by name.

    Returns:
        Paths of the files.

    Raises:
        OSError: the folder cannot be written; then it is as it was.
    """
    target = folder.resolve()
    fresh = hidden(target, f"tmp-{os.getpid()}")
    try:
        fresh.mkdir(parents=True)
        for name, content in files.items():
            write_synced(fresh / name, content)
        if target.exists():
            _add_rest(target, fresh, files)
            _sync(fresh)
            _exchange(fresh, target)
        else:
            _sync(fresh)
            fresh.rename(target)
        _sync(target.parent)
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
    return [folder / name for name in files]


def recover(folder: Path) -> None:
    """Put right what a killed `publish` left; only for one who is alone with the folder."""
    target = folder.resolve()
    aside = hidden(target, "earlier")
    if aside.exists() and not target.exists():
        aside.rename(target)
    temporary = glob.escape(hidden(target, "tmp-").name)
    for leftover in (aside, *target.parent.glob(f"{temporary}*")):
        shutil.rmtree(leftover, ignore_errors=True)


def require_publishable(folder: Path, names: Iterable[str]) -> None:
    """Try what `publish` would do, and leave everything as it is.

    Raises:
        OSError: the folder cannot be written beside, or a folder has the name of a file.
    """
    target = folder.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=hidden(target, "tmp-").name, dir=target.parent):
        pass
    if target.exists() and not target.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "This is no folder", str(target))
    for name in names:
        if (target / name).is_dir():
            raise IsADirectoryError(errno.EISDIR, "This is a folder", str(target / name))


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk, so that a rename never overtakes it."""
    try:
        with path.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename = error.filename or str(path)  # writing names none
        raise


def _sync(folder: Path) -> None:
    with suppress(OSError):  # some file systems do not synchronise folders
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def _add_rest(old: Path, new: Path, files: Mapping[str, bytes]) -> None:
    """Give all of `old` but these files a second name in `new`."""

    def ours(at: str, names: list[str]) -> set[str]:
        return set(files) if Path(at) == old else set()

    shutil.copytree(
        old, new, symlinks=True, ignore=ours, copy_function=link_or_copy, dirs_exist_ok=True
    )


def _exchange(fresh: Path, folder: Path) -> None:
    try:
        _swap(os.fsencode(fresh), os.fsencode(folder))
    except (AttributeError, OSError):
        # NFS, exFAT and a Windows drive under WSL cannot. Two renames can: a kill between them
        # leaves no folder, never a mixed one, and `recover` gives the old one its name back.
        aside = hidden(folder, "earlier")
        folder.rename(aside)
        try:
            fresh.rename(folder)
        except OSError:
            aside.rename(folder)
            raise
        aside.rename(fresh)


def _swap(one: bytes, other: bytes) -> None:
    """Exchange two names; the system call has no wrapper in `os`."""
    libc = ctypes.CDLL(None, use_errno=True)
    if sys.platform == "darwin":
        failed = libc.renamex_np(one, other, ctypes.c_uint(2))  # RENAME_SWAP
    else:
        here = -100  # AT_FDCWD
        failed = libc.renameat2(here, one, here, other, ctypes.c_uint(2))  # RENAME_EXCHANGE
    if failed:
        raise OSError(ctypes.get_errno(), "cannot exchange", os.fsdecode(one))
