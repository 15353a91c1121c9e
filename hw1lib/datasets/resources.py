"""The four resources HW1 rests on: where each comes from, and how to be sure it is that.

A resource is looked for in `data/`, then in the mirror that HW1_MIRROR names (a folder or an
address that holds the files flat, under their own names), then upstream. What arrives is
verified under a temporary name before it takes its place. What cannot be had gets a stand-in
(`hw1lib.datasets.standins`), unless HW1_STANDIN forbids it. `data/README.md` tells students the
same in their words.
"""

import gzip
import hashlib
import logging
import os
import platform
import shutil
import tarfile
import time
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from hw1lib.datasets.download import DownloadError, download
from hw1lib.datasets.resume import forget, resumable
from hw1lib.datasets.verify import Ledger, WrongContentError, checksum, require
from hw1lib.files import replacing

logger = logging.getLogger(__name__)

PROJECT_ROOT = Path(__file__).resolve().parents[2]
PHOTO_FOLDERS = ("birds", "dogs")

#: Bytes that neither the Grocery archive nor its content exceeds (120 and 121 MB).
_ARCHIVE_LIMIT = 400_000_000

#: Files that Windows puts into folders of photos.
_OF_THE_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini"}


class ResourceError(RuntimeError):
    """A resource cannot be had; lists what was tried at each place and what to do."""

    def __init__(self, title: str, tried: list[str], advice: str, brief: str = "") -> None:
        lines = "".join(f"\n  - {line}" for line in tried)
        super().__init__(f"{title} cannot be had. Tried:{lines}\nWhat to do: {advice}")
        #: The same in one line.
        self.brief = brief or f"{'; '.join(tried)}. To get it: {advice}"


class DataError(ValueError):
    """A file is there, but is not what its format asks for; names file, expected and found."""


@dataclass(frozen=True)
class File:
    """A file of a resource, by the name it has in a mirror.

    `checksum` is "algorithm:hex digest", or the digest's first digits where no more is known.
    `size` is in bytes, None where upstream does not keep it stable.
    """

    name: str
    size: int | None
    checksum: str
    urls: tuple[str, ...]
    folder: str = ""


@dataclass(frozen=True)
class Resource:
    """An entry of the table: what it is, its files, and its folder below `data/`."""

    name: str
    title: str
    about: str
    files: tuple[File, ...]
    folder: str = ""


@dataclass(frozen=True)
class Source:
    """Where a resource was found; one line of the notebook's provenance table.

    `fingerprint` tells what the data are, whichever place they came from: 16 hex digits of a
    digest of their verified checksums (of the contents, for a student's own photos), or
    "stand-in". What is made from the data and kept holds as long as it stays the same.
    """

    name: str
    title: str
    path: Path
    origin: str
    stand_in: bool
    detail: str
    fingerprint: str = ""


def _mnist(name: str, size: int, md5: str) -> File:
    sites = (
        "https://ossci-datasets.s3.amazonaws.com/mnist",
        "https://storage.googleapis.com/cvdf-datasets/mnist",
    )
    return File(name, size, f"md5:{md5}", tuple(f"{site}/{name}" for site in sites))


def _photo(folder: str, name: str, size: int, sha256: str, path: str) -> File:
    url = f"https://raw.githubusercontent.com/{path}"
    return File(name, size, f"sha256:{sha256}", (url,), folder)


_GROCERY_REPOSITORY = "marcusklasson/GroceryStoreDataset"
_GROCERY_COMMIT = "fc80ba90f803d79d0383df52c5a4ac5de99ff6fc"
_CORAL = "google-coral/test_data/104342d2d3480b3e66203073dac24f4e2dbb4c41"

RESOURCES: dict[str, Resource] = {
    resource.name: resource
    for resource in (
        Resource(
            "mnist",
            "MNIST",
            "handwritten digits of LeCun, Cortes and Burges, torchvision's MD5s",
            (
                _mnist(
                    "train-images-idx3-ubyte.gz", 9912422, "f68b3c2dcbeaaa9fbdd348bbdeb94873"
                ),
                _mnist("train-labels-idx1-ubyte.gz", 28881, "d53e105ee54ea40749a09fcbcd1e9432"),
                _mnist(
                    "t10k-images-idx3-ubyte.gz", 1648877, "9fb629c4189551a2d022fa330f9573f3"
                ),
                _mnist("t10k-labels-idx1-ubyte.gz", 4542, "ec29112dd5afa0611ce80d1b7f02629c"),
            ),
            folder="mnist",
        ),
        Resource(
            "grocery",
            "Grocery Store",
            f"github.com/{_GROCERY_REPOSITORY} at {_GROCERY_COMMIT[:7]}",
            (
                File(
                    f"GroceryStoreDataset-{_GROCERY_COMMIT}.tar.gz",
                    None,  # GitHub packs its archives anew now and then
                    "git-tree:e7756d505f53e3eef89ae1ee97f3a799a9885475",
                    (
                        f"https://codeload.github.com/{_GROCERY_REPOSITORY}/tar.gz/{_GROCERY_COMMIT}",
                        f"https://github.com/{_GROCERY_REPOSITORY}/archive/{_GROCERY_COMMIT}.tar.gz",
                    ),
                ),
            ),
            folder="GroceryStoreDataset",
        ),
        Resource(
            "photos",
            "Bird and dog photos",
            "photos of google-coral, IBM MAX and cameratrapai on GitHub",
            (
                _photo(
                    "birds",
                    "owl.jpg",
                    155944,
                    "ea9a0e3943bbd0acaeb472a6e66e777d13cf76646f9e42e84cafa931cc8a5bf7",
                    f"{_CORAL}/owl.jpg",
                ),
                _photo(
                    "birds",
                    "parrot.jpg",
                    596977,
                    "a8fba9e7e29439fa414c13129aad661f2289ff891231920a7c33641b076f1833",
                    f"{_CORAL}/parrot.jpg",
                ),
                _photo(
                    "dogs",
                    "beagle.jpg",
                    63177,
                    "51660791ec008b9496584b8dd49fd4529eb7ee0c58d8b200a508bccdcb0f30b4",
                    "IBM/MAX-Inception-ResNet-v2/a23c1f6ee543feefc0df1959c02f07cc44fd0999/samples/dog.jpg",
                ),
                _photo(
                    "dogs",
                    "shepherd.jpg",
                    660058,
                    "888e03f2ba87a759d07e770b1485ce8a45f849d2981e3a877ecd01d88674b258",
                    "google/cameratrapai/6520b8368750604257c87e59284c6c735d95b006/test_data/domestic_dog.jpg",
                ),
            ),
        ),
        Resource(
            "vgg16",
            "VGG16 weights",
            "torchvision's VGG16_Weights.IMAGENET1K_V1",
            (
                File(
                    "vgg16-397923af.pth",
                    553433881,
                    "sha256:397923af",
                    ("https://download.pytorch.org/models/vgg16-397923af.pth",),
                ),
            ),
        ),
    )
}


def data_folder() -> Path:
    """The folder all data lives in: HW1_DATA, else `data/` of the project."""
    return Path(os.environ.get("HW1_DATA") or PROJECT_ROOT / "data").expanduser().absolute()


def _ledger() -> Ledger:
    return Ledger(data_folder())


def hub_folder() -> Path:
    """torch.hub's folder, by the rules torch documents, without importing torch."""
    cache = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    home = os.environ.get("TORCH_HOME") or Path(cache) / "torch"
    return Path(home).expanduser().absolute() / "hub"


def obtain_all() -> dict[str, Source]:
    """Every resource of the table; see `obtain`."""
    return {name: obtain(name) for name in RESOURCES}


def obtain(name: str) -> Source:
    """Find a resource, fetch it, or stand in for it.

    Args:
        name: a key of RESOURCES.

    Returns:
        The source; its path holds verified files, or a stand-in's.

    Raises:
        ResourceError: the resource cannot be had and HW1_STANDIN is "never"; or HW1_STANDIN
            is not understood; or there is no way to write the data folder.
    """
    resource = RESOURCES[name]
    asked = os.environ.get("HW1_STANDIN", "").strip()
    on_request = f"HW1_STANDIN={asked} asks for it. To get the real one: unset HW1_STANDIN"
    if asked == "always":
        return _stand_in(resource, on_request, keep_own=False)
    if name in _listed(asked):
        return _stand_in(resource, _ledger().recall(f"missing {name}") or on_request)
    try:
        with _unwritable(resource):
            return _FINDERS.get(name, _find_files)(resource)
    except ResourceError as error:
        if asked == "never":
            raise
        _ledger().remember(f"missing {name}", error.brief)
        return _stand_in(resource, error.brief)


def _listed(asked: str) -> set[str]:
    """Resources that HW1_STANDIN lists by name."""
    names = {name.strip() for name in asked.split(",")} - {"", "always", "never"}
    if unknown := names - RESOURCES.keys():
        known = ", ".join(RESOURCES)
        raise ResourceError(
            "A stand-in",
            [f"HW1_STANDIN={asked}: there is no {', '.join(sorted(unknown))}"],
            f'set HW1_STANDIN to "always", "never" or some of {known}',
        )
    return names


def _stand_in(resource: Resource, reason: str, *, keep_own: bool = True) -> Source:
    from hw1lib.datasets import standins  # needs PIL, and only a draft needs it

    folder = data_folder() / "stand-in"
    with _unwritable(resource):
        path = standins.make(resource.name, folder)
        if resource.name == "photos" and keep_own:
            path = _beside_own_photos(resource, path)
    return Source(resource.name, resource.title, path, "stand-in", True, reason, "stand-in")


# Finding the real thing: plain files in a folder, and those that are found otherwise. ---------


def _find_files(resource: Resource) -> Source:
    folder = data_folder() / resource.folder
    origins = [_fetch(resource, file, folder / file.name) for file in resource.files]
    return _found(resource, folder, origins)


def _find_vgg16(resource: Resource) -> Source:
    (file,) = resource.files
    path = hub_folder() / "checkpoints" / file.name
    return _found(resource, path, [_fetch(resource, file, path)])


def _find_grocery(resource: Resource) -> Source:
    (archive,) = resource.files
    target = data_folder() / resource.folder
    tried: list[_Failure] = []
    if target.exists():
        if not (why := _ledger().problem(target / "dataset", archive.checksum)):
            return _found(resource, target / "dataset", ["data"])
        tried.append(_Failure(_Place("data", target), why))
    if not hasattr(tarfile, "data_filter"):
        raise ResourceError(
            resource.title,
            [f"Python {platform.python_version()} has no tarfile.data_filter to unpack with"],
            "use Python 3.10.12, 3.11.4 or newer",
        )

    def unpack(path: Path) -> None:
        with replacing(target) as temporary:
            _unpack(path, temporary)
            require(temporary / "dataset", archive.checksum, archive.name)
            if target.exists() and _ledger().problem(target / "dataset", archive.checksum):
                _set_aside(target)

    for place in _places(archive):
        with _attempting(place, tried):
            if isinstance(place.address, Path):
                unpack(_existing(place.address))
            else:
                _download(place.address, archive, data_folder() / archive.name, unpack)
            forget(data_folder() / archive.name)
            _ledger().remember_verified(target / "dataset", archive.checksum)
            return _found(resource, target / "dataset", [place.origin])
    raise _missing(resource, tried)


def _find_photos(resource: Resource) -> Source:
    origins = []
    for kind in PHOTO_FOLDERS:
        if _own_photos(resource, kind):
            origins.append("your own photos")
            continue
        for file in resource.files:
            if file.folder == kind:
                origins.append(_fetch(resource, file, data_folder() / kind / file.name))
    return _found(resource, data_folder(), origins)


_FINDERS = {"grocery": _find_grocery, "photos": _find_photos, "vgg16": _find_vgg16}


def _found(resource: Resource, path: Path, origins: list[str]) -> Source:
    unique = list(dict.fromkeys(origins))
    if unique == ["your own photos"]:
        detail = "the images in data/birds/ and data/dogs/"
    else:
        algorithms = {file.checksum.split(":")[0] for file in resource.files}
        sums = resource.files[0].checksum if len(resource.files) == 1 else "/".join(algorithms)
        detail = f"{resource.about}; {sums} verified"
    sums = [file.checksum for file in resource.files]
    if resource.name == "photos":
        sums = [
            checksum(photo, "sha256")
            for kind in PHOTO_FOLDERS
            for photo in image_files(path / kind)
            if photo.is_file()
        ]
    fingerprint = hashlib.sha256(" ".join(sums).encode()).hexdigest()[:16]
    origin = " + ".join(unique)
    return Source(resource.name, resource.title, path, origin, False, detail, fingerprint)


# Photos of the student's own. ----------------------------------------------------------------


def _own_photos(resource: Resource, kind: str) -> list[Path]:
    """Images a student put into the folder `kind`: all that are not the defaults."""
    defaults = {file.name: file for file in resource.files if file.folder == kind}
    folder = data_folder() / kind
    if not folder.is_dir():
        return []
    return [
        path
        for path in image_files(folder)
        if not (
            path.name in defaults and not _ledger().problem(path, defaults[path.name].checksum)
        )
        and _is_image(path)
    ]


def image_files(folder: Path) -> list[Path]:
    """What a person put into a folder of photos, by name: nothing hidden, no plain folders.

    A folder that is named like a file is listed, for whoever reads it to complain of.
    """
    return [
        path
        for path in sorted(folder.iterdir())
        if not (path.name.startswith(".") or path.name.lower() in _OF_THE_SYSTEM)
        and (path.is_file() or not path.exists() or (path.is_dir() and path.suffix))
    ]


def _is_image(path: Path) -> bool:
    from PIL import Image  # only where a student's files are to be judged

    try:
        with Image.open(path):
            return True
    except Exception:  # whatever PIL makes of bytes that are no image
        return False


def _beside_own_photos(resource: Resource, drawn: Path) -> Path:
    """The drawn photos, save that a folder the student filled is the student's."""
    own = {kind: _own_photos(resource, kind) for kind in PHOTO_FOLDERS}
    if not any(own.values()):
        return drawn
    target = drawn.with_name("photos-and-your-own")
    shutil.rmtree(target, ignore_errors=True)
    with replacing(target) as temporary:
        for kind in PHOTO_FOLDERS:
            (temporary / kind).mkdir(parents=True)
            for photo in own[kind] or sorted((drawn / kind).iterdir()):
                shutil.copy2(photo, temporary / kind)
    return target


# Places, and bringing a file from one. -------------------------------------------------------


class _Place(NamedTuple):
    origin: str  # "data", "mirror" or "upstream"
    address: str | Path

    def __str__(self) -> str:
        return f"{self.origin} {self.address}"

    @property
    def brief(self) -> str:
        return urlsplit(self.address).hostname if self.origin == "upstream" else self.origin


class _Failure(NamedTuple):
    place: _Place
    why: str


def _places(file: File) -> Iterator[_Place]:
    yield _Place("data", data_folder() / file.name)
    mirror = os.environ.get("HW1_MIRROR", "")
    if "://" in mirror:
        yield _Place("mirror", f"{mirror.rstrip('/')}/{file.name}")
    elif mirror:
        yield _Place("mirror", Path(mirror).expanduser().absolute() / file.name)
    for url in file.urls:
        yield _Place("upstream", url)


def _fetch(resource: Resource, file: File, target: Path) -> str:
    """Make sure that `target` is the verified file; returns where it was found."""
    tried: list[_Failure] = []
    if target.exists():
        if not (why := _ledger().problem(target, file.checksum)):
            return "data"
        tried.append(_Failure(_Place("data", target), why))

    def take(path: Path) -> None:
        require(path, file.checksum, file.name)
        path.replace(target)

    for place in _places(file):
        with _attempting(place, tried):
            if isinstance(place.address, Path):
                with replacing(target) as temporary:
                    shutil.copyfile(_existing(place.address), temporary)
                    require(temporary, file.checksum, file.name)
            else:
                _download(place.address, file, target, take)
            forget(target)
            _ledger().remember_verified(target, file.checksum)
            return place.origin
    raise _missing(resource, tried)


@contextmanager
def _attempting(place: _Place, tried: list[_Failure]) -> Iterator[None]:
    """Note why a place failed, and go on to the next."""
    try:
        yield
    except DownloadError as error:
        tried.append(_Failure(place, str(error)))
        if isinstance(error, WrongContentError):
            logger.warning("%s: %s", place, error)


def _download(url: str, file: File, beside: Path, take: Callable[[Path], None]) -> None:
    """Hand a downloaded file to `take`; one it refuses is fetched anew if it was resumed."""
    with resumable(beside) as partial:
        resumed = partial.exists() and partial.stat().st_size > 0
        while True:
            download(url, partial, size=file.size, limit=file.size or _ARCHIVE_LIMIT)
            try:
                take(partial)
                break
            except WrongContentError:
                os.truncate(partial, 0)
                if not resumed:
                    raise
                resumed = False


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise DownloadError("not there" if path.parent.is_dir() else "no such folder")
    if not os.access(path, os.R_OK):
        raise DownloadError("may not be read")
    return path


def _unpack(archive: Path, folder: Path) -> None:
    """Unpack `dataset/` and the licence, without the folder GitHub puts around them."""
    unpacked = 0

    def keep(member: tarfile.TarInfo, destination: str) -> tarfile.TarInfo | None:
        nonlocal unpacked
        name = member.name.partition("/")[2]
        if name != "LICENSE" and name.split("/")[0] != "dataset":
            return None
        unpacked += member.size
        if unpacked > _ARCHIVE_LIMIT:
            raise WrongContentError(f"unpacks to more than {_ARCHIVE_LIMIT:,} bytes")
        return tarfile.data_filter(member.replace(name=name, deep=False), destination)

    try:
        with tarfile.open(archive, "r:gz") as tar:
            tar.extractall(folder, filter=keep)
    except (tarfile.TarError, gzip.BadGzipFile, zlib.error, EOFError, ValueError) as error:
        raise WrongContentError(f"{archive.name} is damaged or no archive: {error}") from error


def _set_aside(target: Path) -> None:
    """Move what a student has under this name out of the way, for it is theirs."""
    aside = target.with_name(f"{target.name}.set-aside-{time.strftime('%Y%m%d-%H%M%S')}")
    target.rename(aside)
    logger.warning("%s was not what it should be; it is now %s", target, aside.name)


@contextmanager
def _unwritable(resource: Resource) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ResourceError(
            resource.title,
            [f"{error.filename or data_folder()}: {error.strerror or error}"],
            "free some space or make the folder writable, or name another by HW1_DATA "
            "(for the weights: TORCH_HOME)",
        ) from error


def _missing(resource: Resource, tried: list[_Failure]) -> ResourceError:
    names = ", ".join(file.name for file in resource.files)
    brief = "; ".join(f"{place.brief}: {why}" for place, why in tried)
    return ResourceError(
        resource.title,
        [f"{place}: {why}" for place, why in tried],
        f"connect to the internet and run again; or put {names} into {data_folder()} by hand "
        "(see data/README.md); or set HW1_MIRROR to a folder or address that holds them",
        f"{brief}. To get it: connect to the internet and run again, or see data/README.md",
    )
