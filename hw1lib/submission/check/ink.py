"""Text of a PDF that no one sees, whatever hides it.

Each page is painted twice, once as it is and once without its text: text that makes no
difference is not there for a reader. That holds for every way to hide it: a clip, a hidden
layer, an annotation or a rectangle above it, the colour of the paper, the invisible mode.
"""

import ctypes
import io
from collections.abc import Iterator

import numpy as np
import pypdfium2
import pypdfium2.raw as pdfium
from pypdf import PdfReader

Box = tuple[float, float, float, float]  # left, bottom, right, top, in points

_CONTRAST = 16  # of 255 shades of grey, by which ink differs from what is behind it
_INK = 0.05  # share of a letter's square that is ink; most have 0.1 and more
_SMALLEST = 1.2  # points of a text's height: letters of a font of 2.5 points
_PIXELS = 16_000_000  # of a page; larger ones are painted smaller
_DEEPEST = 8  # drawings within drawings
_TEXT, _FORM = pdfium.FPDF_PAGEOBJ_TEXT, pdfium.FPDF_PAGEOBJ_FORM
_SILENT = (pdfium.FPDF_ANNOT_LINK, pdfium.FPDF_ANNOT_POPUP)  # annotations that show nothing


def unseen(data: bytes) -> Iterator[str]:
    """What a PDF hides, or may hide, in a sentence each that names the page.

    Raises:
        pypdfium2.PdfiumError: it is no PDF, or a broken or locked one.
    """
    if _has_layers(data):
        yield "it has layers, which may be hidden or shown"
    with pypdfium2.PdfDocument(data) as document:
        for number, page in enumerate(document, 1):
            yield from (f"page {number}: {what}" for what in _on(page))


def _has_layers(data: bytes) -> bool:
    try:
        return "/OCProperties" in PdfReader(io.BytesIO(data)).trailer["/Root"]
    except Exception:  # pypdf raises anything on broken data
        return False


def _on(page: pypdfium2.PdfPage) -> Iterator[str]:
    scale = min(1.0, (_PIXELS / max(page.get_width() * page.get_height(), 1)) ** 0.5)
    shown = _painted(page, scale)
    if covers := [*_annotations(page)]:
        yield "annotations or form fields lie on it, which can cover what it shows"
    words = page.get_textpage()
    pieces = [words.get_rect(i) for i in range(words.count_rects())]
    if not pieces:
        return
    things = [*_texts(page.raw, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject)]
    for thing in things:
        pdfium.FPDFPageObj_SetIsActive(thing, False)
    ink = np.abs(shown - _painted(page, scale)) >= _CONTRAST
    reasons: dict[str, list[str]] = {}
    for box, inked in zip(pieces, _inked(page, ink, np.array(pieces)), strict=True):
        narrow, wide = sorted((box[2] - box[0], box[3] - box[1]))
        if narrow >= _SMALLEST and inked >= _INK * narrow * wide:
            continue
        text = " ".join(words.get_text_bounded(*box).split())
        letters = sum(map(str.isalnum, text))
        if narrow < _SMALLEST and letters > 2:  # an l is narrow at any size
            reasons.setdefault("is too small to be read", []).append(text)
        elif narrow >= _SMALLEST and inked < _INK * letters * narrow**2:
            reasons.setdefault(_why(page, words, box, covers), []).append(text)
    for why, texts in reasons.items():
        more = f", and {len(texts) - 1} more like it" if texts[1:] else ""
        yield f"text that {why}: {texts[0][:60]!r}{more}"


def _painted(page: pypdfium2.PdfPage, scale: float) -> np.ndarray:
    """Shades of grey, (height, width), int16."""
    bitmap = page.render(scale=scale, grayscale=True).to_numpy()
    return bitmap.reshape(bitmap.shape[:2]).astype(np.int16)


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


def _texts(holder, count, get, depth: int = 0) -> Iterator[ctypes._Pointer]:
    """Every text that is painted, on a page or in a drawing on it."""
    for i in range(count(holder)):
        thing = get(holder, i)
        kind = pdfium.FPDFPageObj_GetType(thing)
        if kind == _TEXT:
            yield thing
        elif kind == _FORM and depth < _DEEPEST:
            inside = pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject
            yield from _texts(thing, *inside, depth + 1)


def _inked(page: pypdfium2.PdfPage, ink: np.ndarray, boxes: np.ndarray) -> np.ndarray:
    """The area of each box (left, bottom, right, top) that is ink, in square points."""
    height, width = ink.shape
    # From points to pixels, whichever way the page is turned and cropped.
    origin, right, up = (_pixel(page, ink.shape, *at) for at in ((0, 0), (1000, 0), (0, 1000)))
    matrix = np.array([right - origin, up - origin]) / 1000
    corners = np.stack([boxes[:, [0, 1]], boxes[:, [2, 3]]]) @ matrix + origin
    low, high = np.floor(corners.min(0)), np.ceil(corners.max(0))
    sums = np.pad(ink.cumsum(0, dtype=np.int32).cumsum(1, dtype=np.int32), ((1, 0), (1, 0)))
    (x0, y0), (x1, y1) = (np.clip(at, 0, (width, height)).astype(int).T for at in (low, high))
    inside = sums[y1, x1] - sums[y0, x1] - sums[y1, x0] + sums[y0, x0]
    return inside / abs(np.linalg.det(matrix))


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
