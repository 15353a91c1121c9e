"""Image files as they come: whatever format and colour mode, they become upright RGB."""

from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

from hw1lib.datasets.resources import DataError


def read_rgb(path: Path) -> Image.Image:
    """An image as a viewer shows it: turned as its camera noted, white where transparent.

    None of the Grocery Store's photos asks to be turned, so these are its pixels as published.

    Args:
        path: of an image in any format PIL reads.

    Raises:
        DataError: no image, a damaged one, or one too large to be decoded.
    """
    try:
        with Image.open(path) as image:
            with suppress(Exception):  # odd notes of a camera do not make a photo unreadable
                ImageOps.exif_transpose(image, in_place=True)
            return _rgb(image)
    except UnidentifiedImageError as error:
        raise DataError(f"{path}: not an image PIL can read; save it as JPEG or PNG") from error
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large; scale it down: {error}") from error
    except Exception as error:  # PIL's decoders raise whatever damaged bytes lead them to
        raise DataError(f"{path}: damaged image: {error}") from error


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):  # PIL would cut off what is brighter than 255 of 65535
        return image.convert("I").point(lambda value: value / 257).convert("L").convert("RGB")
    if image.mode in ("I", "F"):
        raise ValueError("32 bits a channel, of unknown range; save it as JPEG or PNG")
    if image.mode == "P" or image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
