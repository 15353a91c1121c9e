"""Images of a notebook as files that Typst can read, with the size they are printed at."""

import base64
import binascii
import hashlib
import io
import re
import warnings
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote, unquote_to_bytes, urlsplit

import typst
from PIL import Image, ImageOps

from hw1lib.submission.pdf.glyphs import bundled_fonts

#: CSS pixels to points. 0.75 is life size; the text of code is printed at 8 pt where JupyterLab
#: has 13 px, and images shrink with it.
POINTS = 0.62
#: The longest side that is embedded: 600 dots an inch over the width of the text.
MAX_PIXELS = 4000
MAX_BYTES = 200_000_000
#: EXIF tag that says which side of a photo is up.
ORIENTATION = 0x0112
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}
SVG_UNITS = {
    "": 1,
    "px": 1,
    "pt": 96 / 72,
    "in": 96,
    "cm": 96 / 2.54,
    "mm": 96 / 25.4,
    "pc": 16,
}
SVG_ROOT = re.compile(r"<svg\b[^>]*>", re.S | re.I)


class ImageError(ValueError):
    """An image that cannot be shown; the message says why."""


@dataclass(frozen=True)
class Placed:
    """An image file in the working folder and its natural size in points."""

    file: str
    width: float
    height: float


class Images:
    """Writes images into a folder, each once, and finds the ones that markdown names."""

    def __init__(self, folder: Path, notebook_folder: Path | None):
        self.folder = folder
        self.notebook_folder = notebook_folder
        self.placed: dict[bytes, Placed | ImageError] = {}

    def place(self, data: bytes | None, mime: str = "", width: float | None = None) -> Placed:
        """Write an image; `width` in CSS pixels overrides its own.

        Raises:
            ImageError: the data is no image that can be read.
        """
        if not data:
            raise ImageError("its data cannot be decoded")
        key = hashlib.sha256(data).digest()
        if key not in self.placed:
            try:
                self.placed[key] = self.stored(data, mime)
            except ImageError as error:
                self.placed[key] = error
        found = self.placed[key]
        if isinstance(found, ImageError):
            raise found
        scale = POINTS * (width / found.width if width else 1)
        return Placed(found.file, found.width * scale, found.height * scale)

    def stored(self, data: bytes, mime: str) -> Placed:
        """Write an image that is seen for the first time; its size in CSS pixels."""
        if len(data) > MAX_BYTES:
            raise ImageError(f"it is larger than {MAX_BYTES // 1_000_000} MB")
        if mime == "application/pdf" or data.startswith(b"%PDF-"):
            return self.write(data, "pdf", *pdf_size(data))
        if mime.startswith("image/svg") or b"<svg" in data[:2000].lower():
            return self.write(data, "svg", *svg_size(data))
        return self.raster(data)

    def raster(self, data: bytes) -> Placed:
        """Write pixels, as they are where Typst can read them and they are not too many."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data))
                turned = image.getexif().get(ORIENTATION, 1) != 1
                kind = image.format
                image = ImageOps.exif_transpose(image) if turned else image
                image.load()
        except Exception as error:  # Pillow's plugins raise anything on broken data
            raise ImageError(f"it cannot be decoded ({error})") from None
        size = image.size
        plain = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") and not turned
        if kind in SUFFIXES and plain and max(image.size) <= MAX_PIXELS:
            return self.write(data, SUFFIXES[kind], *size)
        if max(image.size) > MAX_PIXELS:
            image.thumbnail((MAX_PIXELS, MAX_PIXELS))
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return self.write(buffer.getvalue(), "png", *size)

    def write(self, data: bytes, suffix: str, width: float, height: float) -> Placed:
        """Write a file under a name made from its content; sizes in CSS pixels."""
        name = f"{hashlib.sha256(data).hexdigest()[:24]}.{suffix}"
        (self.folder / name).write_bytes(data)
        if suffix in ("svg", "pdf"):
            self.probe(name)
        return Placed(name, width, height)

    def probe(self, name: str) -> None:
        """Let Typst read a drawing alone, so that a broken one fails no more than itself."""
        source = f'#set page(width: auto, height: auto)\n#image("{name}")'
        try:
            typst.compile(source.encode(), root=str(self.folder), font_paths=bundled_fonts())
        except typst.TypstError as error:
            raise ImageError(f"it cannot be read ({error})") from None

    def find(self, url: str, attachments: dict[str, dict[str, str]]) -> tuple[bytes, str]:
        """Bytes and MIME type of an image that markdown or HTML names.

        Raises:
            ImageError: not there, on the network, or outside of the notebook's folder.
        """
        if url.startswith("data:"):
            return data_url(url)
        if url.startswith("attachment:"):
            return attachment(unquote(url[len("attachment:") :]), attachments)
        parts = urlsplit(url)
        if parts.scheme or parts.netloc or url.startswith("//"):
            raise ImageError(f"it is not in the notebook but at {url}")
        return self.beside_notebook(unquote(parts.path))

    def beside_notebook(self, path: str) -> tuple[bytes, str]:
        """A file in the notebook's folder or below; nothing else on the machine is read."""
        if self.notebook_folder is None:
            raise ImageError(f"the folder of {path} is not known")
        root = self.notebook_folder.resolve()
        try:
            file = (root / path).resolve()
            inside = file.is_relative_to(root) and file.is_file()
        except (OSError, ValueError, RuntimeError):
            inside = False
        if not inside:
            raise ImageError(f"there is no file {path} in the notebook's folder")
        if file.stat().st_size > MAX_BYTES:
            raise ImageError(f"{path} is larger than {MAX_BYTES // 1_000_000} MB")
        return file.read_bytes(), "image/svg+xml" if file.suffix.lower() == ".svg" else ""


def data_url(url: str) -> tuple[bytes, str]:
    """Bytes and MIME type of a `data:` URL."""
    head, _, body = url[len("data:") :].partition(",")
    mime, *options = head.split(";")
    try:
        return (
            base64.b64decode(unquote(body)) if "base64" in options else unquote_to_bytes(body)
        ), mime
    except (binascii.Error, ValueError):
        raise ImageError("its data: address cannot be decoded") from None


def attachment(name: str, attachments: dict[str, dict[str, str]]) -> tuple[bytes, str]:
    """Bytes and MIME type of a file attached to a markdown cell."""
    for mime, data in attachments.get(name, {}).items():
        text = "".join(data) if isinstance(data, list) else str(data)
        if mime.startswith("image/svg") and "<svg" in text:
            return text.encode("utf-8", "replace"), mime
        try:
            return base64.b64decode(text), mime
        except (binascii.Error, ValueError):
            raise ImageError(f"the attachment {name} cannot be decoded") from None
    raise ImageError(f"the cell has no attachment {name}")


def svg_size(data: bytes) -> tuple[float, float]:
    """Width and height of an SVG in CSS pixels, from its attributes or its view box."""
    root = SVG_ROOT.search(data.decode("utf-8", "replace"))
    if not root:
        raise ImageError("it is no SVG")
    box = attribute(root[0], "viewBox").replace(",", " ").split()
    try:
        natural = [float(value) for value in box[2:4]]
    except ValueError:
        natural = []
    width = length(attribute(root[0], "width"))
    height = length(attribute(root[0], "height"))
    ratio = natural[1] / natural[0] if len(natural) == 2 and natural[0] > 0 else 0.75
    if not width:
        width = height / ratio if height and ratio else natural[0] if natural else 300.0
    height = height or width * ratio
    if not width > 0 or not height > 0:
        raise ImageError("it has no size")
    return width, height


def attribute(tag: str, name: str) -> str:
    """Value of an attribute of a start tag, "" if it is missing."""
    match = re.search(rf"\s{name}\s*=\s*(['\"])(.*?)\1", tag, re.S)
    return match[2] if match else ""


def length(text: str) -> float:
    """An SVG length in CSS pixels; 0 for percentages and what cannot be read."""
    match = re.fullmatch(r"\s*(\d*\.?\d+(?:[eE][-+]?\d+)?)\s*([a-z]*)\s*", text)
    return float(match[1]) * SVG_UNITS.get(match[2], 0) if match else 0.0


def pdf_size(data: bytes) -> tuple[float, float]:
    """Width and height of a PDF's first page in CSS pixels."""
    import pypdfium2

    try:
        with pypdfium2.PdfDocument(data) as document:
            width, height = document[0].get_size()
    except pypdfium2.PdfiumError as error:
        raise ImageError(f"it is a PDF that cannot be read ({error})") from None
    return width * 96 / 72, height * 96 / 72
