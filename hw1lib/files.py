"""Files that are whole or absent: written under a temporary name, then renamed."""

import glob
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_ABANDONED_S = 3600.0


def hidden(target: Path, ending: str) -> Path:
    """A name beside `target` for what is not finished; no list of photos or files shows it."""
    return target.with_name(f".{target.name}.{ending}")


def link_or_copy(source: Path | str, target: Path | str) -> None:
    """Give a file a second name, which takes no space; copy it where files have only one."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """A temporary name that becomes `target` when the block ends, and goes when it raises.

    So `target` is whole or absent at every moment. A folder does not replace one that appeared
    meanwhile: another process made the same and was faster.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    _sweep(target)
    temporary = hidden(target, f"tmp-{os.getpid()}")
    remove(temporary)
    try:
        yield temporary
        if not (temporary.is_dir() and target.is_dir()):
            temporary.replace(target)
    finally:
        remove(temporary)


def _sweep(target: Path) -> None:
    """Remove what killed processes left.

    A process of another machine, in a shared folder, is known by touching its file more often
    than hourly; one of this machine, whose clock may jump, by being there.
    """
    for leftover in target.parent.glob(glob.escape(f".{target.name}.tmp-") + "*"):
        with suppress(OSError):  # another process may sweep too
            old = time.time() - leftover.stat().st_mtime > _ABANDONED_S
            if old and not is_being_written(leftover):
                remove(leftover)


def is_being_written(temporary: Path) -> bool:
    """Whether the process that writes under a name of `replacing` runs on this machine."""
    try:
        os.kill(int(temporary.name.rpartition("-")[2]), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:
        pass
    return True


def remove(path: Path) -> None:
    """Remove a file, or a folder with all in it, as far as that can be done."""
    if path.is_dir():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
