"""The photos of birds and dogs for VGG16: the student's own, or the defaults."""

import warnings
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageOps, UnidentifiedImageError

from hw1lib.datasets.resources import DataError


class Photo(NamedTuple):
    """A photo, RGB and upright, and the name of its file without the ending."""

    name: str
    image: Image.Image


def load(folder: Path) -> list[Photo]:
    """Read every image in a folder, in the order of their names.

    Hidden files are passed over. A file that is no image, or a damaged one, is left out with a
    warning that names it, as long as another can be read: one bad file should not end a run.

    Args:
        folder: holds images in any format PIL reads.

    Raises:
        DataError: there is no image to be read; names what is wrong with each file.
    """
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; make it and put photos into it")
    photos, faults = [], []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file():
            continue
        try:
            photos.append(Photo(path.stem, _upright(path)))
        except DataError as error:
            faults.append(str(error))
    if not photos:
        found = "; ".join(faults) or "the folder is empty"
        raise DataError(f"{folder}: expected photos (JPEG, PNG, ...), found none: {found}")
    for fault in faults:
        warnings.warn(f"left out {fault}", stacklevel=2)
    return photos


def _upright(path: Path) -> Image.Image:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # PIL's remarks on odd metadata help nobody here
            with Image.open(path) as image:
                return _flatten(ImageOps.exif_transpose(image))
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not an image PIL can read; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large; scale it down: {error}") from error
    except Exception as error:  # PIL's decoders raise whatever damaged bytes lead them to
        raise DataError(f"{path}: damaged image: {error}") from error


def _flatten(image: Image.Image) -> Image.Image:
    """RGB; what is transparent becomes white, as a viewer shows it."""
    if image.mode == "P" or image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert(
            "RGB"
        )
    return image.convert("RGB")
