"""Read a PDF back and say what of the notebook is not visible in it.

Works on any pair of notebook and PDF. Text is compared without white space and hyphens, so that
wrapping and fonts do not matter; text outside of a page counts as lost. Formulas are compared
by the TeX source that tagged PDFs carry, images by their size in pixels.
"""

import io
import re
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path

import nbformat
import pypdfium2
import pypdfium2.raw as pdfium
from nbformat import NotebookNode
from pypdf import PdfReader
from pypdf.generic import DictionaryObject, IndirectObject

from hw1lib.submission.pdf.cells import document_of
from hw1lib.submission.pdf.document import (
    Caption,
    CodeBlock,
    Document,
    Figure,
    Formula,
    Heading,
    LineBreak,
    Node,
    Note,
    Paragraph,
    PrintedCell,
    Table,
    TerminalText,
    UnsetFormula,
    inside,
    text_of,
    walk,
)
from hw1lib.submission.pdf.html import shortened
from hw1lib.submission.pdf.tex import shows_nothing

# Not compared: hyphens, which pdfium marks at line ends, format characters, which no one sees,
# and the arrows by which LaTeX marks a line that it wrapped.
UNSEEN = re.compile(
    "[\\s\x00-\x1f\x7f\xad\u200b-\u200f\u2010\u2011\u202a-\u202e\u2060-\u206f"
    "\ufe00-\ufe0f\ufeff\ufffe␣↪-]+"
)
# The brackets are mirrored in text that is written from right to left.
CODE_POINT = re.compile("[⟨⟩]U\\+([0-9A-F]{4,6})[⟨⟩]")
ONE_WAY = str.maketrans(")]}>", "([{<")
#: How far ahead of the last match a text is looked for, in characters.
REACH = 20_000
#: The same for a short text, which may be there again: room for a formula or a figure's labels.
NEAR = 3000
#: Share of a page's height in which headers and footers are looked for.
MARGIN = 0.04
#: Kinds of text in which formulas and figures may stand between the pieces.
RUNNING = ("text", "a heading", "a note")
#: Points by which a box may stick out of the page: side bearings and rounding.
SLACK = 1.5


@dataclass(frozen=True)
class Loss:
    """Something of the notebook that the PDF does not show."""

    cell: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.cell}: {self.kind} is not visible: {shortened(self.text, 100)}"


@dataclass
class Reading:
    """What a PDF shows: its text, its formulas' sources, the pixel sizes of its images.

    `text` is without headers and footers; those are in `running`.
    """

    text: str
    formulas: Counter[str]
    figures: int
    rasters: Counter[tuple[int, int]]
    outside: list[Loss]
    tagged: bool
    by_typst: bool
    running: set[str]

    @property
    def sees_formulas(self) -> bool:
        """Whether the PDF is of a kind that says what its formulas are."""
        return self.tagged and (self.by_typst or bool(self.formulas))

    def shows_in_margin(self, text: str) -> bool:
        """Whether a text was taken for a header or footer."""
        return any(normal(text) in words for words in self.running)


def normal(text: str) -> str:
    """Text as it is compared: compatibility forms unified, nothing invisible in it.

    Which way a bracket opens is not compared: pdfium mirrors those near Hebrew as they look.
    """
    return unified(text).translate(ONE_WAY)


def unified(text: str) -> str:
    """The same with brackets as they are."""
    text = CODE_POINT.sub(character, UNSEEN.sub("", text))
    return UNSEEN.sub("", unicodedata.normalize("NFKC", text))


def character(match: re.Match) -> str:
    """The character that a printed code point stands for."""
    number = int(match[1], 16)
    return chr(number) if number < 0x110000 else match[0]


class PdfError(ValueError):
    """A PDF that cannot be read; the message says why."""


def losses(notebook: Path, pdf: Path, max_lines: int = 1000) -> list[Loss]:
    """What of a notebook file is not visible in a PDF file; [] when all of it is.

    Raises:
        PdfError: as `missing` does.
    """
    nb = nbformat.read(notebook, as_version=4)
    return missing(nb, pdf.read_bytes(), notebook.parent, max_lines)


def missing(
    nb: NotebookNode, pdf: bytes, folder: Path | None = None, max_lines: int = 1000
) -> list[Loss]:
    """What of a notebook is not visible in a PDF; [] when all of it is.

    Args:
        nb: the notebook.
        pdf: the bytes of the PDF.
        folder: where images lie that the notebook names; without it no file is read.
        max_lines: of text that are expected; longer ones may be cut.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    document = document_of(nb, folder=folder, max_lines=max_lines)
    return compare(document, read_pdf(pdf))


# -- the PDF --------------------------------------------------------------------------------


def read_pdf(data: bytes) -> Reading:
    """Everything visible in a PDF.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    reading = Reading("", Counter(), 0, Counter(), [], False, False, set())
    texts = []
    try:
        with pypdfium2.PdfDocument(data) as document:
            reading.by_typst = document.get_metadata_value("Creator").startswith("Typst")
            for number, page in enumerate(document, 1):
                texts.append((normal(page_text(page, number, reading)), *margins(page)))
                read_images(page, number, reading)
    except pypdfium2.PdfiumError as error:
        raise PdfError(f"the PDF cannot be read ({error})") from None
    reading.text = body(texts, reading)
    read_tags(data, reading)
    return reading


def page_text(page: pypdfium2.PdfPage, number: int, reading: Reading) -> str:
    """Text inside of a page; what lies outside is noted as lost."""
    words = page.get_textpage()
    box = page.get_bbox()
    rects = [words.get_rect(i) for i in range(words.count_rects())]
    text = words.get_text_range()
    if all(is_inside(rect, box) for rect in rects):
        return text
    inside, outside = [], []
    for i in range(words.count_chars()):
        char = chr(pdfium.FPDFText_GetUnicode(words, i))
        seen = char.isspace() or is_inside(words.get_charbox(i), box)
        (inside if seen else outside).append(char)
    if lost := joined(outside).strip():
        reading.outside.append(Loss(f"page {number}", "text outside of the page", lost))
    return joined(inside)


def joined(units: list[str]) -> str:
    """Text of UTF-16 units, of which characters beyond the first plane have two."""
    return "".join(units).encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def margins(page: pypdfium2.PdfPage) -> tuple[str, str]:
    """Text in the upper and in the lower margin, where headers and footers are."""
    words, (_, bottom, _, top) = page.get_textpage(), page.get_bbox()
    band = MARGIN * (top - bottom)
    return (
        normal(words.get_text_bounded(bottom=top - band)),
        normal(words.get_text_bounded(top=bottom + band)),
    )


def is_inside(rect: tuple[float, ...], box: tuple[float, ...]) -> bool:
    """Whether (left, bottom, right, top) lies in the page's box."""
    return (
        rect[0] >= box[0] - SLACK
        and rect[1] >= box[1] - SLACK
        and rect[2] <= box[2] + SLACK
        and rect[3] <= box[3] + SLACK
    )


def body(pages: list[tuple[str, str, str]], reading: Reading) -> str:
    """Text of all pages without the headers and footers that most of them share.

    The page's own number and the number of pages count as shared. The first page may do
    without a header.
    """

    def shapes(words: str, number: int) -> set[str]:
        """As it stands and without numbers, for a title may hold the page's number too."""
        numbers = rf"(?<!\d)(?:{number}|{len(pages)})(?!\d)"
        return {words, re.sub(numbers, "#", words)} - {""}

    heads = [shapes(head, number) for number, (_, head, _) in enumerate(pages, 1)]
    feet = [shapes(foot, number) for number, (_, _, foot) in enumerate(pages, 1)]
    counts = Counter(shape for own in heads + feet for shape in own)
    most = {shape for shape, n in counts.items() if 2 * n >= len(pages) - 1}
    bodies = []
    for (text, head, foot), above, below in zip(pages, heads, feet, strict=True):
        if above & most and len(pages) > 1:
            text = text.removeprefix(head)
            reading.running.add(head)
        if below & most:
            text = text.removesuffix(foot)
            reading.running.add(foot)
        bodies.append(text)
    return "".join(bodies)


def read_images(page: pypdfium2.PdfPage, number: int, reading: Reading) -> None:
    """Count the images of a page that lie inside of it."""
    box = page.get_bbox()
    for item in page.get_objects(filter=(pdfium.FPDF_PAGEOBJ_IMAGE,), max_depth=1):
        if is_inside(item.get_bounds(), box):
            reading.rasters[item.get_px_size()] += 1
        else:
            reading.outside.append(Loss(f"page {number}", "an image", "it leaves the page"))


def read_tags(data: bytes, reading: Reading) -> None:
    """Collect figures and the sources of formulas from the structure tree.

    Done in one go by pypdf: pdfium reads the whole tree again for every page.
    """
    try:
        root = PdfReader(io.BytesIO(data)).trailer["/Root"]
        todo: list[object] = [root["/StructTreeRoot"]] if "/StructTreeRoot" in root else []
        reading.tagged = bool(todo)
        seen: set[int] = set()
        while todo:
            item = todo.pop()
            if isinstance(item, IndirectObject):
                if item.idnum in seen:
                    continue
                seen.add(item.idnum)
                item = item.get_object()
            if isinstance(item, list):
                todo += item
            elif isinstance(item, dict):
                read_tag(item, reading)
                todo.append(item.raw_get("/K") if "/K" in item else None)
    except Exception:  # pypdf raises anything on broken data
        reading.tagged = False


def read_tag(element: DictionaryObject, reading: Reading) -> None:
    """Note a structure element that is a formula or a figure."""
    kind = element.get("/S")
    if kind == "/Formula":
        reading.formulas[unified(str(element.get("/Alt", "")))] += 1
    elif kind == "/Figure":
        reading.figures += 1


# -- the notebook ---------------------------------------------------------------------------


def compare(document: Document, reading: Reading) -> list[Loss]:
    """What of a document its PDF does not show."""
    found = list(reading.outside)
    at = 0
    figures = 0
    formulas: Counter[str] = Counter()
    rasters: Counter[tuple[int, int]] = Counter()
    for cell in document.cells:
        for kind, pieces in expected(cell):
            at, lost = seek(reading.text, pieces, at, kind)
            lost = [text for text in lost if not reading.shows_in_margin(text)]
            found += [Loss(cell.name, kind, text) for text in lost]
        for node in walk(cell):
            if isinstance(node, Figure):
                figures += 1
                if node.pixels:
                    rasters[node.pixels] += 1
                    if rasters[node.pixels] > reading.rasters[node.pixels]:
                        text = f"{node.pixels[0]} x {node.pixels[1]} pixels"
                        found.append(Loss(cell.name, "an image", text))
            elif isinstance(node, Formula) and not shows_nothing(node.tex):
                tex = unified(node.tex)
                formulas[tex] += 1
                if reading.sees_formulas and formulas[tex] > reading.formulas[tex]:
                    found.append(Loss(cell.name, "a formula", tex))
        if reading.tagged and figures > reading.figures:
            found.append(
                Loss(cell.name, "a figure", "the PDF has fewer figures than the notebook")
            )
            figures = reading.figures
    return found


def seek(text: str, pieces: list[str], at: int, kind: str) -> tuple[int, list[str]]:
    """Look for pieces after `at`; give the place after them and the pieces that are missing."""
    normals = [normal(piece) for piece in pieces]
    whole = "".join(normals)
    place = text.find(whole, at, at + (REACH if len(whole) > 40 else NEAR) + len(whole))
    skipped = text[at:place] if place >= 0 else ""
    # What is skipped may be these very pieces with a gap, and the match their twin.
    if place >= 0 and not any(len(wanted) > 3 and wanted in skipped for wanted in normals):
        return place + len(whole), []
    if kind == "a table cell":
        return seek_any(text, pieces, normals, at)
    if kind in RUNNING or len(whole) > REACH / 4:
        return seek_each(text, pieces, normals, at)
    return seek_aligned(text, pieces, normals, at)


def seek_each(
    text: str, pieces: list[str], normals: list[str], at: int
) -> tuple[int, list[str]]:
    """The same one by one, with room for formulas and figures between the pieces."""
    lost = []
    for piece, wanted in zip(pieces, normals, strict=True):
        place = text.find(wanted, at, at + NEAR + len(wanted))
        if place >= 0:
            at = place + len(wanted)
        elif not any_order(text, wanted, at):
            lost.append(piece)
    return at, lost


def seek_aligned(
    text: str, pieces: list[str], normals: list[str], at: int
) -> tuple[int, list[str]]:
    """The same for lines that stand together: the best alignment with what is there."""
    whole = "".join(normals)
    found = [
        (text.find(wanted, at, at + NEAR), wanted) for wanted in normals if len(wanted) > 3
    ]
    place, anchor = min((pair for pair in found if pair[0] >= 0), default=(at, ""))
    start = max(at, place - whole.find(anchor))
    # Room for a header or footer in between, but none for a twin that follows.
    region = text[start : start + len(whole) + min(200, len(whole) // 8)]
    blocks = SequenceMatcher(None, whole, region, autojunk=False).get_matching_blocks()
    lost, begin, end = [], 0, start
    for piece, wanted in zip(pieces, normals, strict=True):
        stop = begin + len(wanted)
        held = [b for b in blocks if b.a <= begin and stop <= b.a + b.size]
        if held:
            end = max(end, start + held[0].b + stop - held[0].a)
        elif wanted and not any_order(text, wanted, at):
            lost.append(piece)
        begin = stop
    return end, lost


def seek_any(
    text: str, pieces: list[str], normals: list[str], at: int
) -> tuple[int, list[str]]:
    """The same for cells of a table that was split, whose order is not known."""
    window = text[at : at + REACH + 20 * sum(map(len, normals))]
    wanted, lost, end = Counter(filter(None, normals)), [], 0
    for piece, key in zip(pieces, normals, strict=True):
        count = wanted.pop(key, 0)
        if count and window.count(key) < count and not any_order(text, key, at):
            lost.append(piece)
        elif count:
            end = max(end, window.find(key) + len(key))
    return at if lost else at + end, lost


def any_order(text: str, wanted: str, at: int) -> bool:
    """Whether text written from right to left is there, whichever way the PDF has it."""
    if not any(unicodedata.bidirectional(char) in ("R", "AL") for char in wanted):
        return False
    near = Counter(text[max(0, at - REACH) : at + REACH])
    printed = "".join(char if char in near else f"U+{ord(char):04X}" for char in wanted)
    return not Counter(printed) - near


def expected(cell: PrintedCell) -> Iterator[tuple[str, list[str]]]:
    """What a cell shows: pieces of text in order, each list with what its pieces are."""
    todo: list[Node] = [*cell.blocks]
    while todo:
        node = todo.pop(0)
        if isinstance(node, CodeBlock | TerminalText):
            kind = "code" if isinstance(node, CodeBlock) else "output"
            yield f"a line of {kind}", text_of(node).split("\n")
        elif isinstance(node, Table):
            yield "a table cell", [piece for part in node.cells for piece in word_pieces(part)]
        elif isinstance(node, Note):
            yield "a note", [node.text]
        elif isinstance(node, Heading):
            yield "a heading", word_pieces(node)
        elif isinstance(node, Paragraph | Caption | Figure | UnsetFormula):
            yield "text", word_pieces(node)
        else:
            todo = [*inside(node), *todo]


def word_pieces(node: Node) -> list[str]:
    """The text in a node between formulas, figures, and the borders of blocks."""
    pieces = [""]

    def gather(part: Node) -> None:
        if isinstance(part, str):
            pieces[-1] += part
        elif isinstance(part, Formula | LineBreak | Figure | Note | UnsetFormula):
            pieces.extend([text_of(part) if not isinstance(part, Formula) else "", ""])
        else:
            is_block = hasattr(part, "blocks") or isinstance(part, Paragraph | CodeBlock)
            pieces.extend([""] if is_block else [])
            if isinstance(part, CodeBlock):
                pieces[-1] += text_of(part)
            elif hasattr(part, "text"):
                pieces[-1] += part.text
            for inner in () if isinstance(part, CodeBlock) else inside(part):
                gather(inner)
            pieces.extend([""] if is_block else [])

    gather(node)
    return [piece for piece in pieces if normal(piece)]
