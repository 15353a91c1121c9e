"""What belongs to which submission, and how a stranger's file is read."""

import errno
import os
import stat
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from hw1lib.assignment import ID

#: Kinds of file, by their extension, and the bytes that none of them exceeds. A real set has
#: 4 MB, 3 MB and 0.4 MB.
LIMITS = {".ipynb": 64_000_000, ".pdf": 64_000_000, ".pkl": 16_000_000}

#: What students hand in by mistake: it is named wherever it lies.
PACKED = (".zip", ".rar", ".7z", ".tar", ".tgz", ".docx", ".doc", ".odt")

_DEEPEST = 8  # folders below the one that is named


class RefusedError(ValueError):
    """A file that is not read; the message says why."""


class NothingToCheckError(ValueError):
    """A path that is not there."""


@dataclass(frozen=True)
class Mnist:
    """Folder of the real MNIST, or None and why it is not there."""

    folder: Path | None
    why_not: str = ""


@dataclass(frozen=True)
class Submission:
    """Files that belong together.

    Attributes:
        name: of the folder, or of the files without their extension.
        files: paths; the extension of each is one of LIMITS.
        others: names of what lies beside them and is no file of ours.
        spare: names of further notebooks, PDFs and weights beside the three files.
        closed: the folder that was not looked into: a link, too deep, or locked.
    """

    name: str
    files: tuple[Path, ...] = ()
    others: tuple[str, ...] = ()
    spare: tuple[str, ...] = ()
    closed: Path | None = None

    @property
    def packed(self) -> list[str]:
        """Archives and documents among the others."""
        return [name for name in self.others if name.lower().endswith(PACKED)]

    def of(self, kind: str) -> list[Path]:
        """The files with an extension, which may be written in capitals."""
        return [path for path in self.files if _kind(path) == kind]


def collect(paths: Sequence[Path]) -> list[Submission]:
    """Sort files, and what is in folders, into submissions; nothing is left out.

    Files that are named together, or lie in one folder, are one submission if there is at most
    one of each kind; else those with the same name are. In a folder below a path that is given,
    files beside the one complete set are spare, unless a name tells that they may be someone
    else's. A folder without any file of ours is a submission too, and so is each other file
    that lies beside such folders: what a student handed in wrongly has its row. Links to
    folders are not followed.

    Raises:
        NothingToCheckError: a path is not there.
    """
    found: list[Submission] = []
    files: list[Path] = []
    for path in paths:
        if not os.path.lexists(path):
            raise NothingToCheckError(f"there is no file or folder {path}")
        if path.is_dir():
            found += _in_folder(path, path)
        elif _kind(path) in LIMITS:
            files.append(path)
        else:
            found.append(Submission(path.name, (), (path.name,)))
    return [*_grouped(dict.fromkeys(files)), *found]


def _in_folder(folder: Path, top: Path) -> list[Submission]:
    name = str(folder.relative_to(top)) if folder != top else ""
    depth = len(folder.parts) - len(top.parts)
    try:
        entries = None if folder.is_symlink() or depth > _DEEPEST else [*os.scandir(folder)]
    except OSError:
        entries = None
    if entries is None:
        return [Submission(name or str(top), closed=folder)]
    entries = [e for e in entries if e.name[0] != "." and e.name != "__MACOSX"]
    paths = [Path(e.path) for e in sorted(entries, key=lambda entry: entry.name)]
    ours = [path for path in paths if _kind(path) in LIMITS and not _is_real_folder(path)]
    folders = [path for path in paths if path.is_dir() and path not in ours]
    others = [path.name for path in paths if path not in ours and path not in folders]
    inside = [found for path in folders for found in _in_folder(path, top)]
    place = f"{name}/" if name else ""
    loose = [Submission(place + other, (), (other,)) for other in others]
    if ours:  # a folder of data beside them is no student's
        used = [found for found in inside if found.files or found.closed or found.packed]
        groups = _one_set(ours, name, others) or _grouped(ours, name, others)
        return [*groups, *(row for row in loose if row.packed and groups[1:]), *used]
    if any(found.files or found.closed for found in inside) or (folder == top and folders):
        return [*loose, *inside]
    if folder == top and len(others) > 1:
        return loose
    return [Submission(name or top.name or str(top), (), tuple(path.name for path in paths))]


def _is_real_folder(path: Path) -> bool:
    return path.is_dir() and not path.is_symlink()


def _kind(path: str | Path) -> str:
    return Path(path).suffix.lower()


def _one_set(paths: Sequence[Path], name: str, others: Sequence[str]) -> list[Submission]:
    """The one complete set in a student's folder with what is spare there; else nothing."""
    groups = _by_stem(paths).values()
    complete = [group for group in groups if sorted(map(_kind, group)) == sorted(LIMITS)]
    if not name or len(complete) != 1:
        return []
    (files,) = complete
    spare = [path for path in paths if path not in files]
    owners = _ids(files[0])
    if not owners or any(_ids(path) - owners for path in spare):
        return []  # a folder with the files of several students
    names = tuple(path.name for path in spare)
    return [Submission(name, tuple(files), tuple(others), names)]


def _ids(path: Path) -> set[str]:
    """What may be student IDs in a name, whatever it looks like; leading zeros do not count."""
    return {found[0].lstrip("0") for found in ID.finditer(path.stem)}


def _by_stem(paths: Iterable[Path]) -> dict[Path, list[Path]]:
    by_stem: dict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        by_stem[path.with_suffix("")].append(path)
    return by_stem


def _grouped(
    paths: Iterable[Path], name: str = "", others: Sequence[str] = ()
) -> list[Submission]:
    files = sorted(paths, key=lambda path: [*LIMITS].index(_kind(path)))
    kinds = [_kind(path) for path in files]
    if len(set(kinds)) == len(kinds):
        return [Submission(name or files[0].stem, tuple(files), tuple(others))] if files else []
    return [
        Submission(f"{name}/{stem.name}" if name else stem.name, tuple(group))
        for stem, group in _by_stem(files).items()
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
        raise RefusedError(why) from None
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(handle)
        if not stat.S_ISREG(status.st_mode):
            raise RefusedError("is no ordinary file")
        if status.st_size > limit:
            size, most = (f"{number / 1e6:,.0f} MB" for number in (status.st_size, limit))
            raise RefusedError(f"has {size}, more than the {most} that such a file may have")
        data = file.read(limit)
    if not data:
        raise RefusedError("is empty")
    return data
