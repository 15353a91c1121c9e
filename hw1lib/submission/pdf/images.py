"""Images of a notebook in forms that Typst can read, with the size they are printed at."""

import base64
import binascii
import hashlib
import io
import tempfile
import warnings
from dataclasses import replace
from pathlib import Path
from urllib.parse import unquote, urlsplit
from urllib.request import urlopen

import pypdfium2
import typst
from PIL import Image, ImageOps
from selectolax.lexbor import LexborHTMLParser

from hw1lib.submission.pdf.document import Figure
from hw1lib.submission.pdf.glyphs import fonts

#: CSS pixels to points. 0.75 is life size; the text of code is printed at 8 pt where JupyterLab
#: has 13 px, and images shrink with it.
POINTS = 0.62
#: The longest side that is embedded: 600 dots an inch over the width of the text.
MAX_PIXELS = 4000
MAX_BYTES = 200_000_000
#: EXIF tag that says which side of a photo is up.
ORIENTATION = 0x0112
#: What Pillow opens. For some of its other formats it starts programs of the machine.
RASTERS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF")
SUFFIXES = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp"}


class ImageError(ValueError):
    """An image that cannot be shown; the message says why, and `advice` what to do."""

    advice = "Save it as a PNG file beside the notebook and name that file."


class NoFolderError(ImageError):
    """An image beside a notebook of which it is not known where it lies."""

    advice = "Drag the picture into the cell: then the notebook holds it."


class Images:
    """The images of a notebook, each once, and where markdown and HTML find them."""

    def __init__(self, notebook_folder: Path | None):
        self.notebook_folder = notebook_folder
        self.files: dict[str, bytes] = {}
        self.undrawn: dict[str, str] = {}
        self._seen: dict[bytes, Figure] = {}

    def place(self, data: bytes, mime: str = "", width: float | None = None) -> Figure:
        """The figure of an image; `width` in CSS pixels overrides its own.

        Raises:
            ImageError: the data is no image that can be read.
        """
        if not data:
            raise ImageError("it is empty")
        key = hashlib.sha256(data).digest()
        if key not in self._seen:
            self._seen[key] = self.read(data, mime)
        found = self._seen[key]
        scale = POINTS * (width / found.width if width else 1)
        return replace(found, width=found.width * scale, height=found.height * scale)

    def read(self, data: bytes, mime: str) -> Figure:
        """An image that is seen for the first time; its size in CSS pixels."""
        if len(data) > MAX_BYTES:
            raise ImageError(f"it is larger than {MAX_BYTES // 1_000_000} MB")
        if mime == "application/pdf" or data.startswith(b"%PDF-"):
            return self.keep(data, "pdf", *drawing_size("a.pdf", data))
        if mime.startswith("image/svg") or b"<svg" in data[:2000].lower():
            drawn, undrawn = svg_words(data)
            figure = self.keep(data, "svg", *drawing_size("a.svg", data))
            self.undrawn[figure.file] = undrawn
            return replace(figure, words=drawn)
        return self.raster(data)

    def raster(self, data: bytes) -> Figure:
        """An image of pixels, as it is where Typst can read it and it is not too large."""
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", Image.DecompressionBombWarning)
                image = Image.open(io.BytesIO(data), formats=RASTERS)
                turned = image.getexif().get(ORIENTATION, 1) != 1
                kind = image.format
                image = ImageOps.exif_transpose(image) if turned else image
                image.load()
        except Exception as error:  # Pillow's plugins raise anything on broken data
            raise ImageError(f"it cannot be decoded ({error})") from None
        size = image.size
        plain = image.mode in ("1", "L", "LA", "P", "RGB", "RGBA") and not turned
        if kind in SUFFIXES and plain and max(image.size) <= MAX_PIXELS:
            return replace(self.keep(data, SUFFIXES[kind], *size), pixels=size)
        if max(image.size) > MAX_PIXELS:
            image.thumbnail((MAX_PIXELS, MAX_PIXELS))
        if image.mode not in ("L", "LA", "RGB", "RGBA"):
            image = image.convert("RGBA" if "transparency" in image.info else "RGB")
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        return replace(self.keep(buffer.getvalue(), "png", *size), pixels=image.size)

    def keep(self, data: bytes, suffix: str, width: float, height: float) -> Figure:
        """Keep a file under a name made from its content; sizes in CSS pixels."""
        name = f"{hashlib.sha256(data).hexdigest()[:24]}.{suffix}"
        self.files[name] = data
        return Figure(name, width, height)

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
            raise NoFolderError(f"the folder of {path} is not known")
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


def typeset(files: dict[str, bytes], font_paths: typst.Fonts, **options: object) -> bytes:
    """The PDF of `main.typ` among files that see each other and no others.

    Raises:
        typst.TypstError: it has an error.
    """
    with tempfile.TemporaryDirectory(prefix="notebook-pdf-") as folder:
        for name, content in files.items():
            Path(folder, name).write_bytes(content)
        main = str(Path(folder, "main.typ"))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", typst.TypstWarning)
            return typst.compile(main, root=folder, font_paths=font_paths, **options)


def drawing_size(name: str, data: bytes) -> tuple[float, float]:
    """Width and height of a drawing in CSS pixels, as Typst sets it alone.

    Raises:
        ImageError: Typst cannot read it; so it fails no more than itself.
    """
    source = f'#set page(width: auto, height: auto, margin: 0pt)\n#image("{name}")'
    try:
        pdf = typeset({"main.typ": source.encode(), name: data}, fonts())
    except typst.TypstError as error:
        raise ImageError(f"it cannot be read ({error})") from None
    with pypdfium2.PdfDocument(pdf) as document:
        width, height = document[0].get_size()
    return width * 96 / 72, height * 96 / 72


def svg_words(data: bytes) -> tuple[str, str]:
    """The words that an SVG draws, and those in HTML inside of it, which only browsers draw."""
    if b"<text" not in data and b"<foreignObject" not in data:
        return "", ""
    tree = LexborHTMLParser(data.decode("utf-8", "replace"))
    drawn = " ".join(" ".join(node.text().split()) for node in tree.css("text"))
    undrawn = (" ".join(node.text(separator=" ").split()) for node in tree.css("foreignObject"))
    return drawn, " · ".join(words for words in undrawn if words and words not in drawn)


def data_url(url: str) -> tuple[bytes, str]:
    """Bytes and MIME type of a `data:` URL."""
    try:
        with urlopen(url) as answer:
            return answer.read(), answer.headers.get_content_type()
    except (binascii.Error, ValueError, OSError):
        raise ImageError("its data: address cannot be decoded") from None


def decoded(data: str | list[str], mime: str) -> bytes:
    """The bytes of an image as a notebook holds it: SVG as text, all else as base64.

    Raises:
        ImageError: it is no base64.
    """
    text = "".join(data)
    if mime.startswith("image/svg") and "<svg" in text:
        return text.encode("utf-8", "replace")
    try:
        return base64.b64decode(text)
    except (binascii.Error, ValueError):
        raise ImageError("its data cannot be decoded") from None


def attachment(name: str, attachments: dict[str, dict[str, str]]) -> tuple[bytes, str]:
    """Bytes and MIME type of a file attached to a markdown cell."""
    for mime, data in attachments.get(name, {}).items():
        return decoded(data, mime), mime
    raise ImageError(f"the cell has no attachment {name}")
