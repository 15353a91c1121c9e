"""Text that a PDF holds and no reader sees is found; what is seen is left alone."""

import pytest

from hw1lib.submission.check.ink import read_both
from tests.fixtures.pdfs import pdf_of

WORDS = b"(The answer in words) Tj"
TEXT = b"BT /F 12 Tf 20 100 Td " + WORDS + b" ET\n"
BOX = b"10 90 180 30 re"
LAYERS = b"/OCProperties<</OCGs[5 0 R]/D<</OFF[5 0 R]>>>>"
HIDDEN = "is painted over, cut off, in a hidden layer or of the colour behind it"
LAYER = b"<</Type/OCG/Name(layer)>>"


def unseen(pdf: bytes) -> list[str]:
    return read_both(pdf)[1]


def annotated(subtype: bytes, paint: bytes = b"1 1 0 rg 0 0 180 30 re f") -> bytes:
    appearance = b"<</Subtype/Form/BBox[0 0 180 30]/Length %d>>stream\n%s\nendstream"
    annotation = b"<</Type/Annot/Subtype/%s/Rect[10 90 190 120]/AP<</N 5 0 R>>/F 4>>" % subtype
    form = appearance % (len(paint), paint)
    return pdf_of(TEXT, form, annotation, page=b"/Annots[6 0 R]")


@pytest.mark.parametrize(
    ("pdf", "why"),
    [
        (pdf_of(b"20 100 1 1 re W n " + TEXT), HIDDEN),
        (pdf_of(TEXT + b"1 g " + BOX + b" f"), HIDDEN),
        (
            pdf_of(b"/OC /L BDC " + TEXT + b"EMC", LAYER, catalog=LAYERS),
            HIDDEN,
        ),
        (pdf_of(b"0 g " + BOX + b" f " + TEXT), HIDDEN),
        (annotated(b"Square"), "lies under an annotation"),
        (pdf_of(TEXT.replace(b"Td", b"Td 3 Tr")), "is set in the invisible mode"),
        (pdf_of(b"1 g " + TEXT), "has the colour of the paper"),
        (pdf_of(b".96 g " + TEXT), "has the colour of the paper"),
        (pdf_of(TEXT.replace(b"100 Td", b"-40 Td")), "lies off the page"),
        (pdf_of(TEXT, page=b"/CropBox[150 0 200 50]"), "lies off the page"),
        (pdf_of(TEXT.replace(b" 12 ", b" 1 ")), "is too small to be read"),
        (pdf_of(b".002 0 0 .002 10 10 cm " + TEXT), "is too small to be read"),
        (pdf_of(b"1 g " + TEXT, page=b"/Rotate 90"), "has the colour of the paper"),
    ],
    ids=[
        *(
            "clip",
            "rectangle",
            "layer",
            "black on black",
            "annotation",
            "mode",
            "white",
            "nearly white",
            "off",
        ),
        *("crop", "1 pt", "shrunk", "turned"),
    ],
)
def test_text_that_no_one_sees_is_found_with_its_page_and_what_hides_it(pdf, why):
    found = unseen(pdf)
    assert any(text.startswith(f"page 1: text that {why}: ") for text in found), found


def test_what_can_cover_a_page_is_named_whether_it_covers_it_or_not():
    layers = pdf_of(
        b"/OC /L BDC " + TEXT + b"EMC", LAYER, catalog=LAYERS.replace(b"OFF", b"ON")
    )
    assert unseen(layers) == ["it has layers, which may be hidden or shown"]
    for kind in (b"Widget", b"FreeText", b"Link"):
        (found, *_) = unseen(annotated(kind, b"0 0 5 5 re f"))
        assert found.startswith("page 1: annotations or form fields lie on it")


@pytest.mark.parametrize(
    ("content", "page"),
    [
        (TEXT, b""),
        (TEXT.replace(b" 12 ", b" 4 "), b""),
        (b"1 1 0 rg " + TEXT, b""),
        (b".75 g " + TEXT, b""),
        (b"0 g " + BOX + b" f 1 g " + TEXT, b""),
        (b"q .5 g " + BOX + b" W f 0 g " + TEXT + b"Q", b""),
        (TEXT.replace(b"20 100 Td", b"0 1 -1 0 100 20 Tm"), b""),
        (TEXT, b"/Rotate 270"),
        (TEXT, b"/CropBox[10 80 190 190]"),
        (TEXT.replace(b"The answer", b". . . . 0 . . . ."), b""),
        (b"3 Tr " + TEXT.replace(WORDS, b"( . , ) Tj"), b""),
    ],
    ids=[
        *("plain", "small", "yellow", "grey", "white on black", "on a box", "upright"),
        *("turned", "cropped", "dots", "no letters"),
    ],
)
def test_text_that_is_seen_is_left_alone(content, page):
    assert unseen(pdf_of(content, page=page)) == []


def test_text_on_a_long_page_is_seen_and_found_where_it_is_white():
    tall = pdf_of(TEXT + b"1 g 0 3000 Td " + TEXT.replace(b"100 Td", b"9000 Td"), side=9500)
    (found,) = unseen(tall)
    assert found.startswith("page 1: text that has the colour of the paper")
