"""The photos of birds and dogs for VGG16: the student's own, or the defaults."""

import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image

from hw1lib.datasets.images import read_rgb
from hw1lib.datasets.resources import DataError, image_files


class Photo(NamedTuple):
    """A photo, RGB and upright, and the name of its file without the ending."""

    name: str
    image: Image.Image


def load(folder: Path) -> list[Photo]:
    """Read every image in a folder, in the order of their names.

    What the system keeps there is passed over. A file that is no image, or a damaged one, is
    left out with a warning that names it, as long as another can be read: one bad file should
    not end a run.

    Args:
        folder: holds images in any format PIL reads.

    Raises:
        DataError: there is no image to be read; names what is wrong with each file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; make it and put photos into it")
    photos, faults = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PIL's remarks on odd metadata help nobody here
        for path in image_files(folder):
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
