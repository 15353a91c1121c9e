"""What can be seen on the pages of a PDF: its words, formulas and images.

Knows nothing of notebooks. What lies outside of a page, is cut away or painted over counts as
not there. Words come twice: page by page, as any PDF has them, and line by line from the tags
of PDFs by Typst, which say what is a formula, a figure or a running head.
"""

import ctypes
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from ctypes import c_float, c_int, c_uint, c_ulong, c_void_p
from dataclasses import dataclass, field
from itertools import compress
from typing import Literal, NamedTuple

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium

#: Points by which a box may stick out of the page: side bearings and rounding.
SLACK = 1.5
#: Pixels to a point, and the difference in grey between ink and paper, where it is looked
#: whether something is painted over; larger pages, in points, are not painted.
SCALE, CONTRAST, LARGEST = 2, 6, 3000
#: Kinds of tags that stand in a line with what is around them.
INLINE = ("Span", "Link", "Em", "Strong", "Formula", "Figure", "Code", "Quote")
#: Characters of the longest kind of tag or value of an attribute that is looked at.
LONGEST_NAME = 40
#: Both halves of a character, and in the order of text that pdfium has turned around.
HALVES = re.compile("[\ud800-\udbff][\udc00-\udfff]|[\udc00-\udfff][\ud800-\udbff]")

Box = tuple[float, float, float, float]


class PdfError(ValueError):
    """A PDF that cannot be read; the message says why."""


@dataclass(frozen=True)
class Shape:
    """A tagged formula or figure.

    `text` is the source that a formula carries, and of a figure that is one image its size in
    pixels, as `640 x 480`; a drawing has none.
    """

    kind: Literal["formula", "figure"]
    text: str


Line = tuple[str | Shape, ...]


@dataclass(frozen=True)
class Reading:
    """What a PDF shows.

    `text` is that of all pages, with their headers and footers.
    `lines` are the tagged paragraphs, headings, table cells and so on in reading order, without
    the labels of list items; there are none where the PDF is not by Typst. What runs over the
    end of a page is a line on each. `images` counts the
    images by width and height in pixels.
    """

    text: str
    lines: tuple[Line, ...]
    images: Counter[tuple[int, int]]
    title: str
    keywords: str


@dataclass
class _Marks:
    """What is visible of the marked content of a page, by mark.

    `cut` are the marks with words that cannot be seen.
    """

    shown: dict[int, list[str | Shape]] = field(default_factory=lambda: defaultdict(list))
    cut: set[int] = field(default_factory=set)


class Thing(NamedTuple):
    """A thing that is painted, at the top level of a page's content; `raw` is its address."""

    raw: int
    kind: int
    mark: int
    box: Box


class Page(NamedTuple):
    """A page while it is read: its number from 1, what is painted, and the boxes of its words.

    `rects` has a row (left, bottom, right, top) for each piece of a line.
    """

    number: int
    pdf: pypdfium2.PdfPage
    words: pypdfium2.PdfTextPage
    things: list[Thing]
    rects: np.ndarray


def read_pdf(data: bytes, look: Callable[[Page], object] = lambda page: None) -> Reading:
    """Everything visible in a PDF.

    Args:
        data: the bytes of the file.
        look: called with each page after it was read, while it is open; may change it.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    images, texts, lines = Counter(), [], []
    try:
        with pypdfium2.PdfDocument(data) as document:
            about = document.get_metadata_dict()
            by_typst = about.get("Creator", "").startswith("Typst")
            for number, pdf in enumerate(document, 1):
                words = pdf.get_textpage()
                rects = [words.get_rect(i) for i in range(words.count_rects())]
                page = Page(number, pdf, words, [*things(pdf)], np.array(rects).reshape(-1, 4))
                marks = _Marks()
                texts.append(read_page(page, marks, images, by_typst))
                lines += tagged_lines(pdf, marks) if by_typst else ()
                look(page)
    except pypdfium2.PdfiumError as error:
        raise PdfError(f"the PDF cannot be read ({error})") from None
    title, keywords = about.get("Title", ""), about.get("Keywords", "")
    return Reading("\n".join(texts), tuple(lines), images, title, keywords)


# -- pages ----------------------------------------------------------------------------------


def quick(function: Callable, result: type, *arguments: type) -> Callable:
    """A function of pdfium with addresses as plain numbers, which is three times as quick."""
    return ctypes.CFUNCTYPE(result, *arguments)(ctypes.cast(function, c_void_p).value)


object_at = quick(pdfium.FPDFPage_GetObject, c_void_p, c_void_p, c_int)
kind_of = quick(pdfium.FPDFPageObj_GetType, c_int, c_void_p)
mark_of = quick(pdfium.FPDFPageObj_GetMarkedContentID, c_int, c_void_p)
bounds_of = quick(pdfium.FPDFPageObj_GetBounds, c_int, *[c_void_p] * 5)
clip_of = quick(pdfium.FPDFPageObj_GetClipPath, c_void_p, c_void_p)
clip_paths = quick(pdfium.FPDFClipPath_CountPaths, c_int, c_void_p)
unicode_at = quick(pdfium.FPDFText_GetUnicode, c_uint, c_void_p, c_int)
text_object_at = quick(pdfium.FPDFText_GetTextObject, c_void_p, c_void_p, c_int)


def address(raw: ctypes._Pointer) -> int:
    """Where a thing of pdfium is."""
    return ctypes.cast(raw, c_void_p).value


def read_page(
    page: Page, marks: _Marks, images: Counter[tuple[int, int]], by_mark: bool
) -> str:
    """Text of a page that can be seen; images are noted, and if asked for what is marked."""
    sees, always = sight(page)
    marked = {}
    for thing in page.things:
        if thing.kind == pdfium.FPDF_PAGEOBJ_TEXT:
            marked[thing.raw] = thing.mark
        elif not sees(thing.box):
            continue
        elif thing.kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            width, height = c_uint(), c_uint()
            pdfium.FPDFImageObj_GetImagePixelSize(as_object(thing.raw), width, height)
            images[width.value, height.value] += 1
            size = f"{width.value} x {height.value}"
            marks.shown[thing.mark].append(Shape("figure", size))
        else:
            marks.shown[thing.mark].append("")
    raw, chars = address(page.words.raw), range(page.words.count_chars())
    units = [chr(unicode_at(raw, i)) for i in chars]
    seen = [always or units[i].isspace() or sees(page.words.get_charbox(i)) for i in chars]
    text: dict[int, list[str]] = defaultdict(list)
    for i in chars if by_mark else ():
        # Text inside of drawings is not at the top level, and has no mark of the page.
        mark = marked.get(text_object_at(raw, i), -1)
        if seen[i]:
            text[mark].append(units[i])
        else:
            marks.cut.add(mark)
    for mark, part in text.items():
        marks.shown[mark].append(joined(part))
    return joined([*compress(units, seen)])


def as_object(raw: int) -> ctypes._Pointer:
    """The thing at an address, as the functions of pypdfium2 take it."""
    return ctypes.cast(raw, pdfium.FPDF_PAGEOBJECT)


def things(page: pypdfium2.PdfPage) -> Iterator[Thing]:
    """What is painted on a page, in the order of painting."""
    holder, sides = address(page.raw), (c_float * 4)()
    places = [ctypes.addressof(sides) + i * ctypes.sizeof(c_float) for i in range(4)]
    for i in range(pdfium.FPDFPage_CountObjects(page)):
        raw = object_at(holder, i)
        bounds_of(raw, *places)
        yield Thing(raw, kind_of(raw), mark_of(raw), tuple(sides))


def sight(page: Page) -> tuple[Callable[[Box], bool], bool]:
    """What tells whether a box (left, bottom, right, top) can be seen; whether all text can.

    Only where something may lie over text, or cut it off, the page is painted to see whether
    there is ink in the box.
    """
    pdf, paper = page.pdf, page.pdf.get_bbox()
    if not hides(page.things) or pdf.get_rotation() or max(pdf.get_size()) > LARGEST:
        rects = page.rects if len(page.rects) else np.array([paper])
        low, high = rects.min(0)[:2], rects.max(0)[2:]
        return lambda box: inside(box, paper), inside((*low, *high), paper)
    bitmap = pdf.render(scale=SCALE, grayscale=True).to_numpy().astype(np.int16)
    gray = bitmap.reshape(bitmap.shape[:2])
    edges = np.abs(np.diff(gray, axis=1))[1:] + np.abs(np.diff(gray, axis=0))[:, 1:] > CONTRAST

    def sees(box: Box) -> bool:
        if not inside(box, paper):  # nor is a box of NaN, as a damaged file may have one
            return False
        if box[0] >= box[2] or box[1] >= box[3]:  # it shares the box of another character
            return True
        left, right = ((x - paper[0]) * SCALE for x in (box[0], box[2]))
        top, bottom = ((paper[3] - y) * SCALE for y in (box[3], box[1]))
        area = edges[
            max(int(top) - 1, 0) : int(bottom) + 1, max(int(left) - 1, 0) : int(right) + 1
        ]
        return bool(area.any())

    return sees, False


def inside(box: Box, paper: Box) -> bool:
    """Whether a box lies on the page."""
    low = all(side >= edge - SLACK for side, edge in zip(box[:2], paper[:2], strict=True))
    return low and all(
        side <= edge + SLACK for side, edge in zip(box[2:], paper[2:], strict=True)
    )


def hides(things: list[Thing]) -> bool:
    """Whether text is clipped, or something is painted over the middle of it."""
    texts, covers = [], []
    for order, thing in enumerate(things):
        if thing.kind == pdfium.FPDF_PAGEOBJ_TEXT:
            clip = clip_of(thing.raw)
            if clip and clip_paths(clip) > 0:
                return True
            left, bottom, right, top = thing.box
            texts.append((order, (left + right) / 2, (bottom + top) / 2))
        elif thing.kind != pdfium.FPDF_PAGEOBJ_PATH or filled(thing):
            covers.append((order, *thing.box))
    if not texts or not covers:
        return False
    order, x, y = np.array(texts).T
    later, left, bottom, right, top = np.array(covers).T[:, :, None]
    over = (later > order) & (left < x) & (x < right) & (bottom < y) & (y < top)
    return bool(over.any())


def filled(path: Thing) -> bool:
    """Whether a path is filled, not only drawn along."""
    mode, stroke = c_int(), c_int()
    pdfium.FPDFPath_GetDrawMode(as_object(path.raw), mode, stroke)
    return mode.value != pdfium.FPDF_FILLMODE_NONE


def joined(units: list[str]) -> str:
    """Text of UTF-16 units, of which characters beyond the first plane have two."""
    text = HALVES.sub(lambda pair: "".join(sorted(pair[0])), "".join(units))
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


# -- tags -----------------------------------------------------------------------------------

#: Between the contents of a structure tree: a line ends, or words cannot be seen.
_END, _CUT = Shape("figure", "end of a line"), Shape("figure", "words that are cut")

kind_into = quick(pdfium.FPDF_StructElement_GetType, c_ulong, c_void_p, c_void_p, c_ulong)
children_of = quick(pdfium.FPDF_StructElement_CountChildren, c_int, c_void_p)
child_at = quick(pdfium.FPDF_StructElement_GetChildAtIndex, c_void_p, c_void_p, c_int)
child_mark = quick(pdfium.FPDF_StructElement_GetChildMarkedContentID, c_int, c_void_p, c_int)
attributes_of = quick(pdfium.FPDF_StructElement_GetAttributeCount, c_int, c_void_p)


def tagged_lines(page: pypdfium2.PdfPage, marks: _Marks) -> list[Line]:
    """The tagged lines of a page; none where it has no tags or broken ones."""
    lines: list[list[str | Shape]] = [[]]
    tree = pdfium.FPDF_StructTree_GetForPage(page)
    if not tree:
        return []
    for i in range(pdfium.FPDF_StructTree_CountChildren(tree)):
        if element := pdfium.FPDF_StructTree_GetChildAtIndex(tree, i):
            for content in element_content(address(element), marks):
                if content is _END:
                    lines.append([])
                elif content is not _CUT:
                    lines[-1].append(content)
    pdfium.FPDF_StructTree_Close(tree)
    return [tuple(filter(None, line)) for line in lines if any(line)]


def element_content(element: int, marks: _Marks) -> Iterator[str | Shape]:
    """What is visible of an element of the tree; a formula or figure is one shape."""
    kind = string(kind_into, element, LONGEST_NAME)
    if kind == "Lbl":
        return
    content = inner_content(element, marks)
    if kind == "Formula":
        parts = [*content]
        text_into = pdfium.FPDF_StructElement_GetAltText
        size = text_into(as_element(element), None, 0)
        source = Shape("formula", string(text_into, as_element(element), size // 2))
        content = [source] if parts and _CUT not in parts else []
    elif kind == "Figure":
        parts = [part for part in content if part is not _CUT]
        one_image = len(parts) == 1 and isinstance(parts[0], Shape)
        content = parts if one_image or not parts else [Shape("figure", "")]
    if kind in INLINE and not is_block(element):
        yield from content
    else:
        yield _END
        yield from content
        yield _END


def as_element(raw: int) -> ctypes._Pointer:
    """The element at an address, as the functions of pypdfium2 take it."""
    return ctypes.cast(raw, pdfium.FPDF_STRUCTELEMENT)


def inner_content(element: int, marks: _Marks) -> Iterator[str | Shape]:
    """What is visible of an element's children: other elements, or marks of the page."""
    for i in range(children_of(element)):
        if child := child_at(element, i):
            yield from element_content(child, marks)
            continue
        mark = child_mark(element, i)
        if mark in marks.cut:
            yield _CUT
        if mark >= 0:
            yield from marks.shown.get(mark, ())


def is_block(element: int) -> bool:
    """Whether an element that is inline by its kind is placed as a block."""
    for i in range(attributes_of(element)):
        buffer, size = ctypes.create_string_buffer(2 * LONGEST_NAME), c_ulong()
        attributes = pdfium.FPDF_StructElement_GetAttributeAtIndex(as_element(element), i)
        value = pdfium.FPDF_StructElement_Attr_GetValue(attributes, b"Placement")
        read = pdfium.FPDF_StructElement_Attr_GetStringValue
        if value and read(value, buffer, len(buffer), size):
            return buffer.raw[: size.value].decode("utf-16-le", "replace") == "Block\0"
    return False


def string(read: Callable, element: int | ctypes._Pointer, length: int) -> str:
    """A text of at most so many characters that pdfium writes with a null at its end."""
    buffer = ctypes.create_string_buffer(2 * length)
    size = read(element, buffer, len(buffer))
    return buffer.raw[: max(size - 2, 0)].decode("utf-16-le", "replace")
