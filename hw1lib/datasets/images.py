"""Image files as they come: whatever format and colour mode, they become upright RGB."""

import io
from contextlib import suppress
from pathlib import Path

from PIL import Image, ImageCms, ImageOps, UnidentifiedImageError

from hw1lib.datasets.verify import DataError

#: Pixels only: a format that holds a program, as EPS does, would have Pillow start Ghostscript.
FORMATS = ("JPEG", "PNG", "GIF", "WEBP", "AVIF", "TIFF", "BMP", "DIB", "PPM", "JPEG2000", "ICO")

_SRGB = ImageCms.createProfile("sRGB")
_WHITE_IS_ZERO, _BITS = 262, 258  # tags of TIFF: what 0 means, and bits a sample


def read_rgb(path: Path) -> Image.Image:
    """An image as a viewer shows it: in sRGB, turned upright, white where transparent.

    None of the Grocery Store's photos has a colour profile or asks to be turned, so these are
    its pixels as published.

    Args:
        path: of an image in one of FORMATS, whatever its name ends in.

    Raises:
        DataError: no image, a damaged one, or one too large to be decoded; says which.
    """
    try:
        with _open(path) as image:
            upright = image
            with suppress(Exception):  # odd notes of a camera do not make a photo unreadable
                upright = ImageOps.exif_transpose(image)
            return _rgb(upright, _grey_levels(image))
    except DataError:
        raise
    except Image.DecompressionBombError as error:
        raise DataError(f"{path}: too large; scale it down: {error}") from error
    except Exception as error:  # PIL's decoders raise whatever damaged bytes lead them to
        raise DataError(f"{path}: damaged image: {error}") from error


def is_image(path: Path) -> bool:
    """Whether a file begins as an image in one of FORMATS does."""
    try:
        _open(path).close()
    except Exception:  # whatever PIL makes of bytes that are no image
        return False
    return True


def _open(path: Path) -> Image.Image:
    if not path.is_file():
        raise DataError(f"{path}: no file, or a link to none")
    try:
        return Image.open(path, formats=FORMATS)
    except UnidentifiedImageError as error:
        raise DataError(
            f"{path}: not an image that can be read (a HEIC photo, a film, PostScript and PDF "
            "are none); save it as JPEG or PNG"
        ) from error


def _grey_levels(image: Image.Image) -> tuple[int, int] | None:
    """The values of black and of white, where grey has more than 8 bits."""
    if image.mode.startswith("I;16"):
        tags = getattr(image, "tag_v2", {})
        white = 2 ** tags.get(_BITS, (16,))[0] - 1
        return (white, 0) if tags.get(_WHITE_IS_ZERO) == 0 else (0, white)
    if image.mode == "I" and image.format == "PPM":
        return (0, 65535)
    if image.mode in ("I", "F"):
        raise DataError(
            f"{image.filename}: grey of unknown range (mode {image.mode}): it may reach to "
            "any number; save it as JPEG or PNG"
        )
    return None


def _rgb(image: Image.Image, grey_levels: tuple[int, int] | None) -> Image.Image:
    profile = image.info.get("icc_profile")
    if grey_levels:
        black, white = grey_levels
        scale = 255 / (white - black)
        image = image.convert("I").point(lambda value: (value - black) * scale).convert("L")
    elif image.mode in ("P", "PA") or image.has_transparency_data:
        image = image.convert("LA" if image.mode in ("L", "LA", "La", "1") else "RGBA")
    if image.mode not in ("LA", "RGBA"):
        return _srgb(image, profile)
    colours = _srgb(image.convert(image.mode.removesuffix("A")), profile)
    white = Image.new("RGB", image.size, "white")
    white.paste(colours, mask=image.getchannel("A"))
    return white


def _srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB as the profile means it; as it stands where the profile does not fit."""
    if image.mode == "LAB":
        return ImageCms.profileToProfile(
            image, ImageCms.createProfile("LAB"), _SRGB, outputMode="RGB"
        )
    if profile:
        with suppress(ImageCms.PyCMSError, OSError, ValueError, TypeError):
            ours = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, ours, _SRGB, outputMode="RGB")
    return image.convert("RGB")
