"""The photos of birds and dogs for VGG16: the student's own, or the defaults."""

import warnings
from collections.abc import Container
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from hw1lib.datasets.images import is_image, read_rgb
from hw1lib.datasets.verify import DataError

#: Files that Windows puts into folders of photos.
_OF_THE_SYSTEM = {"thumbs.db", "ehthumbs.db", "desktop.ini"}


@dataclass(frozen=True)
class Photo:
    """A photo, RGB and upright, and the name of its file without the ending."""

    name: str
    image: Image.Image


@dataclass(frozen=True)
class OwnPhotos:
    """What a student put into a folder: images, and what cannot be read as one."""

    images: list[Path]
    unreadable: list[Path]


def load(folder: Path) -> list[Photo]:
    """Read every image in a folder, in the order of their names.

    What the system keeps there is passed over. A file that is no image, or a damaged one, is
    left out with a warning that names it, as long as another can be read: one bad file should
    not end a run.

    Args:
        folder: holds images in the formats of `hw1lib.datasets.images.FORMATS`.

    Raises:
        DataError: there is no image to be read; names what is wrong with each file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; make it and put photos into it")
    photos, faults = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on odd metadata help nobody here
        for path in _listed(folder):
            try:
                photos.append(Photo(path.stem, read_rgb(path)))
            except DataError as error:
                faults.append(str(error))
    if not photos:
        found = "; ".join(faults) or "the folder is empty"
        raise DataError(f"{folder}: expected photos (JPEG, PNG, ...), found none: {found}")
    for fault in faults:
        warnings.warn(f"left out {fault}", stacklevel=2)
    return photos


def find_own(folder: Path, defaults: Container[Path]) -> OwnPhotos:
    """What a student put into a folder of photos.

    Args:
        folder: need not be there.
        defaults: paths of photos in it that are not the student's.
    """
    own = OwnPhotos([], [])
    for path in _listed(folder) if folder.is_dir() else ():
        if path not in defaults:
            (own.images if is_image(path) else own.unreadable).append(path)
    return own


def _listed(folder: Path) -> list[Path]:
    """What a person put into the folder, by name: nothing hidden, no plain folders.

    A folder that is named like a file is listed, for whoever reads it to complain of.
    """
    return [
        path
        for path in sorted(folder.iterdir())
        if not (path.name.startswith(".") or path.name.lower() in _OF_THE_SYSTEM)
        and (path.is_file() or not path.exists() or (path.is_dir() and path.suffix))
    ]
