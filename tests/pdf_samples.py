"""Small notebooks for the PDF tests, and a reader of what is on their pages."""

import base64
import ctypes
import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import nbformat.v4 as v4
import pypdfium2
import pypdfium2.raw as pdfium
from nbformat import NotebookNode
from PIL import Image

from hw1lib.submission.pdf import TypstPDFExporter
from hw1lib.submission.pdf.readback import normal

markdown = v4.new_markdown_cell
SVG = (
    '<svg xmlns="http://www.w3.org/2000/svg" width="200" height="100" viewBox="0 0 200 100">'
    '<rect x="5" y="5" width="190" height="90" fill="none" stroke="black"/></svg>'
)


def code(source: str, *outputs: NotebookNode, tags: tuple[str, ...] = ()) -> NotebookNode:
    """A code cell that ran first."""
    return v4.new_code_cell(
        source, execution_count=1, outputs=list(outputs), metadata={"tags": list(tags)}
    )


def stream(text: str, name: str = "stdout") -> NotebookNode:
    return v4.new_output("stream", name=name, text=text)


def rich(**data: object) -> NotebookNode:
    """A displayed output; `text_html="..."` stands for the MIME type text/html."""
    names = {"svg": "image/svg+xml", "png": "image/png", "jpeg": "image/jpeg"}
    mimes = {names.get(name, name.replace("_", "/", 1)): value for name, value in data.items()}
    return v4.new_output("display_data", data=mimes)


def bundle(data: dict[str, object]) -> NotebookNode:
    """A displayed output by its MIME types."""
    return v4.new_output("display_data", data=data)


def picture(width: int = 60, height: int = 40, kind: str = "PNG", color: str = "teal") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), color).save(buffer, kind)
    return buffer.getvalue()


def base64_of(data: bytes) -> str:
    return base64.b64encode(data).decode()


def notebook(*cells: NotebookNode, **metadata: object) -> NotebookNode:
    return v4.new_notebook(cells=list(cells), metadata=metadata)


@dataclass
class Glyph:
    """A character on a page and its box in points, from the lower left corner."""

    char: str
    page: int
    left: float
    bottom: float
    right: float
    top: float

    @property
    def height(self) -> float:
        return self.top - self.bottom

    @property
    def middle(self) -> float:
        return (self.top + self.bottom) / 2


class Printed:
    """A PDF and what can be read on its pages."""

    def __init__(self, pdf: bytes):
        self.pdf = pdf
        self.document = pypdfium2.PdfDocument(pdf)

    @cached_property
    def pages(self) -> list[str]:
        return [page.get_textpage().get_text_range() for page in self.document]

    @property
    def text(self) -> str:
        return "\n".join(self.pages)

    def shows(self, text: str) -> bool:
        """Whether a text is there, wrapped or not."""
        return normal(text) in normal(self.text)

    @cached_property
    def glyphs(self) -> list[Glyph]:
        found = []
        for number, page in enumerate(self.document):
            words = page.get_textpage()
            found += [
                Glyph(char, number, *words.get_charbox(i)) for i, char in characters(words)
            ]
        return found

    def glyph(self, char: str, which: int = 0) -> Glyph:
        return [glyph for glyph in self.glyphs if glyph.char == char][which]

    def find(self, word: str, which: int = 0) -> Glyph:
        """The first character of a word."""
        seen = [glyph for glyph in self.glyphs if not glyph.char.isspace()]
        text = "".join(glyph.char for glyph in seen)
        starts = [i for i in range(len(text)) if text.startswith(word, i)]
        return seen[starts[which]]

    def width(self) -> float:
        return self.document[0].get_width()

    def objects(self, kind: int, depth: int = 3) -> list:
        return [
            o
            for page in self.document
            for o in page.get_objects(max_depth=depth)
            if o.type == kind
        ]

    def images(self) -> list[tuple[int, int]]:
        """Size in pixels of each image made of pixels."""
        return [image.get_px_size() for image in self.objects(pdfium.FPDF_PAGEOBJ_IMAGE)]

    def colors(self) -> dict[str, str]:
        """The colour of each word set in one colour, by the word."""
        found = {}
        for page in self.document:
            words = page.get_textpage()
            text, color = "", None
            for i, char in characters(words):
                rgb = fill(words, i)
                if char.isspace() or rgb != color:
                    found.setdefault(text, color)
                    text = ""
                if not char.isspace():
                    text, color = text + char, rgb
            found.setdefault(text, color)
        return found


def characters(words: pypdfium2.PdfTextPage) -> Iterator[tuple[int, str]]:
    """Index and character of a page's text; pdfium counts UTF-16 units."""
    high = ""
    for i in range(words.count_chars()):
        unit = chr(pdfium.FPDFText_GetUnicode(words, i))
        if "\ud800" <= unit < "\udc00":
            high = unit
        else:
            yield i, (high + unit).encode("utf-16", "surrogatepass").decode("utf-16")
            high = ""


def fill(words: pypdfium2.PdfTextPage, index: int) -> str:
    r, g, b, a = (ctypes.c_uint() for _ in range(4))
    pdfium.FPDFText_GetFillColor(words, index, r, g, b, a)
    return f"#{r.value:02x}{g.value:02x}{b.value:02x}"


def export(*cells: NotebookNode, folder: Path | None = None, **traits: object) -> Printed:
    """Print cells as one notebook that lies in a folder."""
    metadata = {"name": "sample"} | ({"path": str(folder)} if folder else {})
    exporter = TypstPDFExporter(**traits)
    pdf, _ = exporter.from_notebook_node(notebook(*cells), {"metadata": metadata})
    return Printed(pdf)
