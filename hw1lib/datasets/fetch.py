"""One file of the table: found in data/ or a mirror or downloaded, verified, put into place."""

import errno
import fcntl
import gzip
import logging
import os
import platform
import shutil
import tarfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

from hw1lib.datasets.download import DownloadError, download
from hw1lib.datasets.table import File, Resource
from hw1lib.datasets.verify import (
    GZIP_ERRORS,
    UNPACKED_LIMIT,
    Ledger,
    WrongContentError,
    is_gzip,
    require,
)
from hw1lib.files import hidden, link_or_copy, replacing

logger = logging.getLogger(__name__)

PROJECT_ROOT = Path(__file__).resolve().parents[2]


class ResourceError(RuntimeError):
    """A resource cannot be had; lists what was tried at each place and what to do."""

    def __init__(self, title: str, tried: list[str], advice: str, brief: str = "") -> None:
        lines = "".join(f"\n  - {line}" for line in tried)
        super().__init__(f"{title} cannot be had. Tried:{lines}\nWhat to do: {advice}")
        #: The same in one line.
        self.brief = brief or f"{'; '.join(tried)}. To get it: {advice}"


def data_folder() -> Path:
    """The folder all data lives in: HW1_DATA, else `data/` of the project."""
    return Path(os.environ.get("HW1_DATA") or PROJECT_ROOT / "data").expanduser().absolute()


def ledger() -> Ledger:
    """The memory of what was verified in the data folder."""
    return Ledger(data_folder())


def hub_folder() -> Path:
    """torch.hub's folder, by the rules torch documents, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or Path(cache) / "torch"
    return Path(home).expanduser().absolute() / "hub"


def target_of(file: File) -> Path:
    """Where a file, or the folder an archive unpacks to, belongs."""
    if not file.folder:
        return hub_folder() / "checkpoints" / file.name
    folder = data_folder() / file.folder
    return folder if file.is_archive else folder / file.name


def content_of(file: File) -> Path:
    """What has the file's checksum once it is in place."""
    return target_of(file) / "dataset" if file.is_archive else target_of(file)


def _places(file: File) -> Iterator[tuple[str, Path | str]]:
    """Where a file may be had: "data", "mirror" or "upstream", with the path or address."""
    yield from (("data", path) for path in _candidates(data_folder(), file))
    mirror = os.environ.get("HW1_MIRROR", "")
    if "://" in mirror:
        yield "mirror", f"{mirror.rstrip('/')}/{file.name}"
    elif mirror:
        folder = Path(mirror).expanduser().absolute()
        yield from (("mirror", path) for path in _candidates(folder, file))
    yield from (("upstream", url) for url in file.urls)


def _candidates(folder: Path, file: File) -> list[Path]:
    """Where in a folder the file should be, and what is there that may be it."""
    named = folder / file.name
    others = {path for pattern in file.patterns for path in folder.glob(pattern)}
    others -= {named, target_of(file)}
    return [named, *sorted(path for path in others if path.is_file())]


def fetch(resource: Resource, file: File) -> str:
    """Make sure that the verified file is where it belongs; returns where it was found."""
    target, tried = target_of(file), []
    with _alone_in(target.parent):
        if target.exists():
            if not (why := ledger().problem(content_of(file), file.checksum)):
                return "data"
            tried.append(("data", target, why))
        for origin, address in _places(file):
            try:
                if isinstance(address, Path):
                    _install(_existing(address, file), file)
                else:
                    _download(address, file)
            except DownloadError as error:
                tried.append((origin, address, str(error)))
                if isinstance(error, WrongContentError):
                    logger.warning("%s %s: %s", origin, address, error)
                continue
            _partial(file).unlink(missing_ok=True)
            ledger().remember_verified(content_of(file), file.checksum)
            return origin
    raise _missing(resource, tried)


@contextmanager
def _alone_in(folder: Path) -> Iterator[None]:
    """Wait while another process brings files into the folder: they may be those wanted."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        lock = (folder / ".lock").open("a")
    except OSError:  # nothing can be written there, but what is there may do
        yield
        return
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.warning("Another process brings files into %s: waiting for it", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        except OSError:  # a network drive without locks: as if alone
            pass
        yield


def _partial(file: File) -> Path:
    """Where a download grows; what it holds when a run ends, the next one goes on with."""
    return hidden(target_of(file).with_name(file.name), "part")


def _download(url: str, file: File) -> None:
    """Download and install; what turns out wrong is fetched anew if it was resumed."""
    partial, size = _partial(file), file.exact_size
    resumed = partial.exists()
    while True:
        try:
            download(url, partial, size=size, limit=size or UNPACKED_LIMIT)
            return _install(partial, file, downloaded=True)
        except WrongContentError:
            partial.unlink()
            if not resumed:
                raise
            resumed = False
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):  # the space is needed more
                partial.unlink(missing_ok=True)
            raise


def _existing(path: Path, file: File) -> Path:
    if not path.is_file():
        raise DownloadError("not there" if path.parent.is_dir() else "no such folder")
    if not os.access(path, os.R_OK):
        raise DownloadError("may not be read")
    if (found := path.stat().st_size) > (limit := file.exact_size or UNPACKED_LIMIT):
        raise WrongContentError(f"{path.name} has {found:,} bytes, more than {limit:,}")
    return path


def _install(path: Path, file: File, *, downloaded: bool = False) -> None:
    """Put what `path` holds, verified, where it belongs; `path` stays."""
    target = target_of(file)
    with replacing(target) as temporary:
        if file.is_archive:
            _unpack(path, temporary)
        elif file.is_known_by_content and not is_gzip(path):
            _pack(path, temporary)
        else:  # what a person put there has to be copied, for they may change it
            (link_or_copy if downloaded else shutil.copyfile)(path, temporary)
        content = temporary / "dataset" if file.is_archive else temporary
        require(content, file.checksum, file.name if downloaded else path.name)
        if file.is_archive and target.exists():
            _set_aside(target)


def _pack(path: Path, packed: Path) -> None:
    with path.open("rb") as plain, gzip.open(packed, "wb", compresslevel=1) as file:
        shutil.copyfileobj(plain, file)


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack `dataset/` and the licence, without the folder GitHub puts around them."""
    if not hasattr(tarfile, "data_filter"):
        raise DownloadError(
            f"Python {platform.python_version()} has no tarfile.data_filter to unpack with; "
            "use 3.10.12, 3.11.4 or newer"
        )
    unpacked = 0

    def keep(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo | None:
        nonlocal unpacked
        name = member.name.partition("/")[2]
        if name != "LICENSE" and name.split("/")[0] != "dataset":
            return None
        unpacked += member.size
        if unpacked > UNPACKED_LIMIT:
            raise WrongContentError(f"unpacks to more than {UNPACKED_LIMIT:,} bytes")
        return tarfile.data_filter(member.replace(name=name, deep=False), destination)

    try:
        with tarfile.open(archive, "r:gz" if is_gzip(archive) else "r:") as tar:
            tar.extractall(folder, filter=keep)
    except (tarfile.TarError, *GZIP_ERRORS, ValueError) as error:
        raise WrongContentError(f"{archive.name} is damaged or no archive: {error}") from error


def _set_aside(target: Path) -> None:
    """Move what a student has under this name out of the way, for it is theirs."""
    aside = target.with_name(f"{target.name}.set-aside-{time.strftime('%Y%m%d-%H%M%S')}")
    target.rename(aside)
    logger.warning("%s was not what it should be; it is now %s", target, aside.name)


def _missing(resource: Resource, tried: list[tuple[str, Path | str, str]]) -> ResourceError:
    names = ", ".join(file.name for file in resource.files)
    brief = "; ".join(
        f"{urlsplit(str(address)).hostname if origin == 'upstream' else origin}: {why}"
        for origin, address, why in tried
    )
    return ResourceError(
        resource.title,
        [f"{origin} {address}: {why}" for origin, address, why in tried],
        f"connect to the internet and run again; or put {names} into {data_folder()} by hand "
        "(see data/README.md); or set HW1_MIRROR to a folder or address that holds them",
        f"{brief}. To get it: connect to the internet and run again, or see data/README.md",
    )
