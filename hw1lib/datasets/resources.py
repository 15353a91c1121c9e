"""Getting the four resources of the table: found, verified, fetched or stood in for.

A resource is looked for in `data/`, then in the mirror that HW1_MIRROR names (a folder or an
address that holds the files flat, under their own names), then upstream. What arrives is
verified under a temporary name before it takes its place. What cannot be had gets a stand-in
(`hw1lib.datasets.standins`), unless HW1_STANDIN forbids it. `data/README.md` tells students
this in their words.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from hw1lib.datasets import standins
from hw1lib.datasets.fetch import (
    ResourceError,
    content_of,
    data_folder,
    fetch,
    ledger,
    target_of,
)
from hw1lib.datasets.photos import OwnPhotos, find_own
from hw1lib.datasets.table import RESOURCES, Resource
from hw1lib.files import replacing

PHOTO_FOLDERS = ("birds", "dogs")


@dataclass(frozen=True)
class Source:
    """Where a resource was found; one line of the notebook's provenance table."""

    name: str
    title: str
    path: Path
    origin: str
    stand_in: bool
    detail: str


def obtain_all() -> dict[str, Source]:
    """Every resource of the table; see `obtain`."""
    return {name: obtain(name) for name in RESOURCES}


def refuse_stand_ins() -> None:
    """Let `obtain` stand in for nothing unasked, here and in processes started from here.

    For commands whose results would otherwise pass for those of real data.
    """
    os.environ["HW1_STANDIN"] = os.environ.get("HW1_STANDIN") or "never"


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
        return _stand_in(resource, ledger().recall(f"missing {name}") or on_request)
    try:
        with _unwritable(resource):
            return _find(resource)
    except ResourceError as error:
        if asked == "never":
            raise
        ledger().remember(f"missing {name}", error.brief)
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
    with _unwritable(resource):
        path = standins.make(resource.name, data_folder() / "stand-in")
        own = _own_photos(resource) if keep_own else {}
        if any(photos.images for photos in own.values()):
            path = _beside_own_photos(path, own)
    detail = "; ".join([reason, *_remarks(own)])
    return Source(resource.name, resource.title, path, "stand-in", True, detail)


def _beside_own_photos(drawn: Path, own: dict[str, OwnPhotos]) -> Path:
    """The drawn photos, save that a folder the student filled is the student's."""
    target = drawn.with_name("photos-and-your-own")
    shutil.rmtree(target, ignore_errors=True)
    with replacing(target) as temporary:
        for kind, photos in own.items():
            (temporary / kind).mkdir(parents=True)
            for photo in photos.images or sorted((drawn / kind).iterdir()):
                shutil.copy2(photo, temporary / kind)
    return target


def _find(resource: Resource) -> Source:
    """Fetch the files of a resource, but for folders that a student filled."""
    own = _own_photos(resource)
    filled = [kind for kind, photos in own.items() if photos.images]
    files = [file for file in resource.files if file.folder not in filled]
    origins = [fetch(resource, file) for file in files]
    details = _remarks(own)
    if files:
        sums = [file.checksum for file in files]
        checksum_shown = sums[0] if len(sums) == 1 else sums[0].partition(":")[0]
        details.insert(0, f"{resource.about}; {checksum_shown} verified")
    if filled:
        origins.append("your own photos")
    return Source(
        resource.name,
        resource.title,
        _path(resource),
        origin=" + ".join(dict.fromkeys(origins)),
        stand_in=False,
        detail="; ".join(details),
    )


def _path(resource: Resource) -> Path:
    """What the loader of a resource takes: a folder, or the file of the weights."""
    if resource.name == "photos":
        return data_folder()
    content = content_of(resource.files[0])
    return content.parent if resource.name == "mnist" else content


def _own_photos(resource: Resource) -> dict[str, OwnPhotos]:
    """What a student put into each folder of photos."""
    if resource.name != "photos":
        return {}
    published = {
        path
        for file in resource.files
        if (path := target_of(file)).exists() and not ledger().problem(path, file.checksum)
    }
    return {kind: find_own(data_folder() / kind, published) for kind in PHOTO_FOLDERS}


def _remarks(own: dict[str, OwnPhotos]) -> list[str]:
    remarks = []
    for kind, photos in own.items():
        if photos.images:
            remarks.append(f"{kind}: {len(photos.images)} of your own, in data/{kind}/")
        elif names := ", ".join(path.name for path in photos.unreadable):
            remarks.append(
                f"{kind}: data/{kind}/ holds no image that can be read ({names}: save as JPEG)"
            )
    return remarks


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
