"""Text of a PDF that no one sees, whatever hides it.

Each page is painted twice, once as it is and once without its text: text that makes no
difference is not there for a reader. That holds for every way to hide it: a clip, a hidden
layer, an annotation or a rectangle above it, the colour of the paper, the invisible mode.
"""

import ctypes
import io
from collections.abc import Iterable, Iterator

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from pypdf import PdfReader

from hw1lib.submission.pdf.reader import (
    Box,
    Page,
    Reading,
    Thing,
    address,
    as_object,
    read_pdf,
)

_CONTRAST = 16  # of 255 shades of grey, by which ink differs from what is behind it
_INK = 0.05  # share of a letter's square that is ink; most have 0.1 and more
_SMALLEST = 1.2  # points of a text's height: letters of a font of 2.5 points
_PIXELS = 16_000_000  # of a page; larger ones are painted smaller
_DEEPEST = 8  # drawings within drawings
_NEAR = 3  # points between a thing and the text that it cannot touch
_TEXT, _FORM = pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_FORM
_BOXED = (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE)
_SILENT = (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP)  # annotations that show nothing


def read_both(data: bytes) -> tuple[Reading, list[str]]:
    """What a PDF shows; and what it hides, or may hide, in a sentence each.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    hidden = ["it has layers, which may be hidden or shown"] if _has_layers(data) else []

    def look(page: Page) -> None:
        hidden.extend(f"page {page.number}: {what}" for what in _unseen(page))

    return read_pdf(data, look), hidden


def _has_layers(data: bytes) -> bool:
    try:  # pdfium does not tell
        return "/OCProperties" in PdfReader(io.BytesIO(data)).trailer["/Root"]
    except Exception:  # pypdf raises anything on broken data
        return False


def _unseen(page: Page) -> Iterator[str]:
    """What an open page hides; its text is gone after that."""
    if covers := [*_annotations(page.pdf)]:
        yield "annotations or form fields lie on it, which can cover what it shows"
    if not len(page.rects):
        return
    for thing in _far_from_text(page):
        _deactivate(thing)
    shown = _painted(page.pdf)
    for text in _texts(page.things):
        _deactivate(text)
    ink = np.abs(shown - _painted(page.pdf)) >= _CONTRAST
    reasons: dict[str, list[str]] = {}
    for box, inked in zip(page.rects.tolist(), _inked(page, ink), strict=True):
        narrow, wide = sorted((box[2] - box[0], box[3] - box[1]))
        if narrow >= _SMALLEST and inked >= _INK * narrow * wide:
            continue
        text = " ".join(page.words.get_text_bounded(*box).split())
        letters = sum(map(str.isalnum, text))
        if narrow < _SMALLEST and letters > 2:  # an l is narrow at any size
            reasons.setdefault("is too small to be read", []).append(text)
        elif narrow >= _SMALLEST and inked < _INK * letters * narrow**2:
            reasons.setdefault(_why(page.pdf, page.words, box, covers), []).append(text)
    for why, texts in reasons.items():
        more = f", and {len(texts) - 1} more like it" if texts[1:] else ""
        yield f"text that {why}: {texts[0][:60]!r}{more}"


def _annotations(page: pypdfium2.PdfPage) -> Iterator[Box]:
    """The boxes of those that show something, as plain links do not."""
    for i in range(pdfium.FPDFPage_GetAnnotCount(page)):
        annotation, box = pdfium.FPDFPage_GetAnnot(page, i), pdfium.FS_RECTF()
        plain = pdfium.FPDFAnnot_GetSubtype(annotation) in _SILENT
        drawn = pdfium.FPDFAnnot_GetAP(
            annotation, pdfium.FPDF_ANNOT_APPEARANCEMODE_NORMAL, None, 0
        )
        pdfium.FPDFAnnot_GetRect(annotation, box)
        pdfium.FPDFPage_CloseAnnot(annotation)
        if not plain or drawn > 2:  # bytes, of which the end takes 2
            yield box.left, box.bottom, box.right, box.top


def _far_from_text(page: Page) -> Iterator[int]:
    """Drawings and images that touch no text: to paint them takes most of the time."""
    things = [thing for thing in page.things if thing.kind in _BOXED]
    boxes = np.array([thing.box for thing in things]).reshape(-1, 4, 1)
    left, bottom, right, top = page.rects.T
    apart = (boxes[:, 0] > right + _NEAR) | (boxes[:, 2] < left - _NEAR)
    apart |= (boxes[:, 1] > top + _NEAR) | (boxes[:, 3] < bottom - _NEAR)
    yield from (things[i].raw for i in np.flatnonzero(apart.all(1)))


def _deactivate(raw: int) -> None:
    pdfium.FPDFPageObj_SetIsActive(as_object(raw), False)


def _painted(page: pypdfium2.PdfPage) -> np.ndarray:
    """Shades of grey, (height, width), int16."""
    scale = min(1.0, (_PIXELS / max(page.get_width() * page.get_height(), 1)) ** 0.5)
    bitmap = page.render(scale=scale, grayscale=True).to_numpy()
    return bitmap.reshape(bitmap.shape[:2]).astype(np.int16)


def _texts(things: Iterable[Thing]) -> Iterator[int]:
    """Every text that is painted, on a page or in a drawing on it."""
    for thing in things:
        if thing.kind == _TEXT:
            yield thing.raw
        elif thing.kind == _FORM:
            yield from _texts_in(as_object(thing.raw), _DEEPEST)


def _texts_in(drawing: ctypes._Pointer, depth: int) -> Iterator[int]:
    for i in range(pdfium.FPDFFormObj_CountObjects(drawing)):
        inner = pdfium.FPDFFormObj_GetObject(drawing, i)
        kind = pdfium.FPDFPageObj_GetType(inner)
        if kind == _TEXT:
            yield address(inner)
        elif kind == _FORM and depth:
            yield from _texts_in(inner, depth - 1)


def _inked(page: Page, ink: np.ndarray) -> Iterator[float]:
    """The area of each piece of text that is ink, in square points."""
    # From points to pixels, whichever way the page is turned and cropped.
    origin, right, up = (
        _pixel(page.pdf, ink.shape, *at) for at in ((0, 0), (1000, 0), (0, 1000))
    )
    matrix = np.array([right - origin, up - origin]) / 1000
    corners = page.rects.reshape(-1, 2, 2) @ matrix + origin
    low = np.floor(corners.min(1)).clip(0).astype(int).tolist()
    high = np.ceil(corners.max(1)).clip(0).astype(int).tolist()
    area = abs(np.linalg.det(matrix))
    for (x0, y0), (x1, y1) in zip(low, high, strict=True):
        yield np.count_nonzero(ink[y0:y1, x0:x1]) / area


def _pixel(page: pypdfium2.PdfPage, shape: tuple[int, int], x: float, y: float) -> np.ndarray:
    """Where a point of the page is in its picture, in hundredths that pdfium rounds to."""
    h, w = (100 * side for side in shape)
    across, down = ctypes.c_int(), ctypes.c_int()
    pdfium.FPDF_PageToDevice(page, 0, 0, w, h, 0, x, y, across, down)
    return np.array([across.value, down.value]) / 100


def _why(
    page: pypdfium2.PdfPage, words: pypdfium2.PdfTextPage, box: Box, covers: list[Box]
) -> str:
    """What hides a text, as far as it can be told."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2

    def lies_in(area: Box) -> bool:
        return area[0] < x < area[2] and area[1] < y < area[3]

    if not lies_in(page.get_bbox()):
        return "lies off the page"
    if any(map(lies_in, covers)):
        return "lies under an annotation"
    index = pdfium.FPDFText_GetCharIndexAtPos(words, x, y, box[2] - box[0], box[3] - box[1])
    if index < 0 or not (thing := pdfium.FPDFText_GetTextObject(words, index)):
        return "no one sees"
    if pdfium.FPDFTextObj_GetTextRenderMode(thing) == pdfium.FPDF_TEXTRENDERMODE_INVISIBLE:
        return "is set in the invisible mode"
    colour = [ctypes.c_uint() for _ in range(4)]
    pdfium.FPDFPageObj_GetFillColor(thing, *colour)
    *shades, opacity = (part.value for part in colour)
    if min(shades) > 255 - _CONTRAST or opacity < _CONTRAST:
        return "has the colour of the paper"
    return "is painted over, cut off, in a hidden layer or of the colour behind it"
