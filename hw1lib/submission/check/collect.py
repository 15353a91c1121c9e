"""Which files make up which submission, and how a stranger's file is read."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Kinds of file, by their extension, and the bytes that none of them exceeds. A real set has
#: 4 MB, 3 MB and 0.4 MB.
LIMITS = {".ipynb": 64_000_000, ".pdf": 64_000_000, ".pkl": 16_000_000}

_DEEPEST = 8  # folders below the one that is named


class RefusedError(ValueError):
    """A file that is not read; the message names it and says why."""


class NothingToCheckError(ValueError):
    """A path that is not there, or a folder without any submission."""


@dataclass(frozen=True)
class Submission:
    """Files that belong together.

    Attributes:
        name: of the folder, or of the files without their extension.
        files: paths; the extension of each is one of LIMITS.
        closed: folders not looked into: links, those too deep, and those that are locked.
    """

    name: str
    files: tuple[Path, ...]
    closed: tuple[Path, ...] = ()

    def of(self, kind: str) -> list[Path]:
        """The files with an extension, in lower case."""
        return [path for path in self.files if _kind(path) == kind]


def collect(paths: Sequence[Path]) -> list[Submission]:
    """Sort files, and what is in folders, into submissions.

    Files that are named together, or lie in one folder, are one submission if there is at most
    one of each kind; else those with the same name are. Links to folders are not followed.

    Raises:
        NothingToCheckError: a path is not there, or there is nothing of ours in it.
    """
    found: list[Submission] = []
    named: list[Path] = []
    for path in paths:
        if path.is_dir() and path.is_symlink():
            found.append(Submission(str(path), (), (path,)))
        elif path.is_dir():
            inside = list(_below(path))
            if not inside:
                raise NothingToCheckError(
                    f"{path} holds no .ipynb, .pdf or .pkl file: name the three files, or "
                    "the folder they are in"
                )
            found += inside
        elif _kind(path) not in LIMITS:
            raise NothingToCheckError(f"{path} is no .ipynb, .pdf or .pkl file")
        elif not os.path.lexists(path):
            raise NothingToCheckError(f"there is no file {path}")
        else:
            named.append(path)
    return [*_grouped(dict.fromkeys(named)), *found]


def _below(top: Path) -> Iterator[Submission]:
    todo = [top]
    while todo:
        folder = todo.pop()
        name = str(folder.relative_to(top)) if folder != top else ""
        try:
            entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
        except OSError:
            entries = None
        if entries is None or len(folder.parts) - len(top.parts) > _DEEPEST:
            yield Submission(name or str(top), (), (folder,))
            continue
        entries = [e for e in entries if e.name[0] != "." and e.name != "__MACOSX"]
        yield from _grouped([Path(e.path) for e in entries if _kind(e.path) in LIMITS], name)
        for entry in reversed(entries):
            path = Path(entry.path)
            if entry.is_dir(follow_symlinks=False):
                todo.append(path)
            elif entry.is_symlink() and path.is_dir() and _kind(path) not in LIMITS:
                yield Submission(str(path.relative_to(top)), (), (path,))


def _kind(path: str | Path) -> str:
    return Path(path).suffix.lower()


def _grouped(files: Iterable[Path], name: str = "") -> list[Submission]:
    files = list(files)
    if not files:
        return []
    files.sort(key=lambda path: [*LIMITS].index(_kind(path)))
    kinds = [_kind(path) for path in files]
    if len(set(kinds)) == len(kinds):
        return [Submission(name or files[0].stem, tuple(files))]
    by_stem: dict[Path, list[Path]] = defaultdict(list)
    for path in files:
        by_stem[path.with_suffix("")].append(path)
    return [
        Submission(f"{name}/{stem.name}" if name else stem.name, tuple(group))
        for stem, group in by_stem.items()
    ]


def read(path: Path) -> bytes:
    """The bytes of a file, which has to be an ordinary one of bearable size.

    Raises:
        RefusedError: it is a link, a pipe or a device, too large, empty, or cannot be read.
    """
    limit = LIMITS[_kind(path)]
    try:
        # Without waiting, for a pipe that no one writes to would keep us for ever.
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        linked = error.errno in (errno.ELOOP, errno.EMLINK)
        why = "is a symbolic link, which is not followed" if linked else error.strerror
        raise RefusedError(f"{path.name}: {why}") from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError(f"{path.name} is no ordinary file")
        if status.st_size > limit:
            raise RefusedError(
                f"{path.name} has {status.st_size / 1e6:,.0f} MB, more than the "
                f"{limit / 1e6:,.0f} MB that such a file may have"
            )
        data = file.read(limit)
    if not data:
        raise RefusedError(f"{path.name} is empty")
    return data
