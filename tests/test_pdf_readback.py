"""The read-back check: what is lost is found and named, and nothing else is."""

import re
from dataclasses import replace
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pytest
import typst

from hw1lib.submission.pdf import PrintError, TypstPDFExporter, exporter, readback
from hw1lib.submission.pdf.__main__ import main
from hw1lib.submission.pdf.document import as_data
from hw1lib.submission.pdf.readback import losses, read_pdf
from tests.fixtures.notebooks import (
    SVG,
    base64_of,
    code,
    export,
    markdown,
    notebook,
    picture,
    rich,
    stream,
)


def sample(**changes):
    """Cells with one of each kind of content; a keyword replaces a cell."""
    table = (
        "<table><tr><th>name</th></tr><tr><td>first</td></tr><tr><td>second</td></tr></table>"
    )
    cells = {
        "heading": markdown("# Title\n\n## Results"),
        "text": markdown("A paragraph with $x^2$ and *emphasis*.\n\n- item one\n- item two"),
        "code": code("def f(x):\n    y = x + 1\n    return y\n)", stream("line 1\nline 2\n")),
        "twin": code("def f(x):\n    y = x + 1\n    return y\n)", stream("line 1\nline 2\n")),
        "table": code("df", rich(text_html=table)),
        "plot": code("plot()", rich(png=base64_of(picture(91, 73)))),
        "drawing": code("draw()", rich(svg=SVG)),
        "formula": markdown("$$\\frac{a}{b}$$"),
        "last": markdown("The end."),
    }
    return list((cells | changes).values())


@pytest.fixture
def check(tmp_path):
    """check(shown, whole): what the notebook `whole` has that the PDF of `shown` lacks."""

    def run(shown, whole):
        nbformat.write(notebook(*whole), tmp_path / "n.ipynb")
        (tmp_path / "n.pdf").write_bytes(export(*shown, read_back=False).pdf)
        return [str(loss) for loss in losses(tmp_path / "n.ipynb", tmp_path / "n.pdf")]

    return run


def test_a_complete_pdf_has_no_losses(check):
    assert check(sample(), sample()) == []


def test_no_letter_of_a_last_line_reaches_down_to_where_footers_are_looked_for():
    template = (Path(readback.__file__).parent / "notebook.typ").read_text("utf-8")
    margin = float(re.search(r"bottom: ([\d.]+)mm", template)[1])
    size = float(re.search(r"#set text\(font: serif, size: ([\d.]+)pt", template)[1])
    below_the_baseline = 0.25 * size * 25.4 / 72  # mm
    assert margin - below_the_baseline > readback.MARGIN * 297


@pytest.mark.parametrize(
    ("missing", "named"),
    [
        ({"heading": markdown("# Title")}, "cell 1: a heading is not visible: Results"),
        (
            {"text": markdown("A paragraph with $x^2$ and .\n\n- item one\n- item two")},
            "cell 2",
        ),
        (
            {"text": markdown("A paragraph with $x^2$ and *emphasis*.\n\n- item one")},
            "item two",
        ),
        (
            {"text": markdown("A paragraph with  and *emphasis*.\n\n- item one\n- item two")},
            "x^2",
        ),
        (
            {"code": code("def f(x):\n    return y\n)", stream("line 1\nline 2\n"))},
            "cell 3 (In [1]): a line of code is not visible: y = x + 1",
        ),
        (
            {"code": code("def f(x):\n    y = x + 1\n    return y\n)", stream("line 2\n"))},
            "cell 3 (In [1]): a line of output is not visible: line 1",
        ),
        (
            {"table": code("df", rich(text_html="<table><tr><th>name</th></tr><tr><td>first"))},
            "cell 5 (In [1]): a table cell is not visible: second",
        ),
        ({"plot": code("plot()")}, "cell 6 (In [1]): an image is not visible: 91 x 73 pixels"),
        ({"drawing": code("draw()")}, "cell 7 (In [1]): a figure is not visible"),
        ({"formula": markdown("")}, "cell 8: a formula is not visible: \\frac{a}{b}"),
        ({"last": markdown("")}, "cell 9: text is not visible: The end."),
    ],
)
def test_whatever_is_missing_is_named_with_its_cell(check, missing, named):
    found = check(sample(**missing), sample())
    assert named in "\n".join(found)
    assert len(found) <= 2


def test_a_line_of_one_bracket_is_missed_too(check):
    source = "call(\n    a,\n)"
    assert check([code("call(\n    a,"), code("x = 1")], [code(source), code("x = 1")])


def test_text_that_leaves_the_page_is_lost(tmp_path):
    source = "#set page(width: 100pt, height: 80pt)\nstays #place(dx: 90pt, [leaves the page])"
    pdf = typst.compile(source.encode())
    reading = read_pdf(pdf)
    assert "stays" in reading.text
    assert "thepage" not in reading.text
    assert "thepage" in reading.outside[0].text


def test_an_image_that_leaves_the_page_is_lost(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "a.typ").write_text(
        '#set page(width: 100pt, height: 80pt)\n#place(dx: 60pt, image("a.png", width: 50pt))'
    )
    reading = read_pdf(typst.compile(str(tmp_path / "a.typ")))
    assert not reading.rasters
    assert reading.outside


def test_headers_and_footers_are_not_taken_for_content():
    lines = "\n".join(f"x{i} = {i}" for i in range(300))
    page = export(markdown("# A Title"), code(lines))
    assert len(page.pages) > 3
    reading = read_pdf(page.pdf)
    assert reading.text.count("ATitle") == 1
    assert reading.text.endswith("x299=299")


def test_a_title_that_holds_the_number_of_a_page_is_a_header_on_that_page_too():
    lines = "\n".join(f"x{i} = {i}" for i in range(300))
    page = export(markdown("# What VGG3 Sees"), code(lines))
    assert len(page.pages) > 3
    assert read_pdf(page.pdf).text.count("WhatVGG3Sees") == 1


def test_what_an_export_loses_is_a_note_and_stands_on_a_last_page(monkeypatch):
    whole = exporter.document_of

    def lossy(*args, **options):
        document = whole(*args, **options)
        source = document.cells[1].blocks[0]
        shown = replace(source, lines=(*source.lines[:1], *source.lines[2:]))
        missing = {source: shown}
        monkeypatch.setattr(exporter, "as_data", lambda value: as_data(swapped(value, missing)))
        return document

    monkeypatch.setattr(exporter, "document_of", lossy)
    cells = code("x = 0"), code("a = 1\nb = 2\nc = 3")
    page = export(*cells)
    note = page.notes[0]
    assert note.cell == "cell 2 (In [1])"
    assert "a line of code is not visible: b = 2" in note.reason
    assert page.pages[-1].startswith("sample")
    assert "Not verified" in page.pages[-1]
    assert page.shows("b = 2")
    with pytest.raises(PrintError, match=r"cell 2 \(In \[1\]\): a line of code.*b = 2"):
        export(*cells, strict=True)


def swapped(document, missing):
    """The document with other blocks in place of some."""
    cells = [
        replace(cell, blocks=tuple(missing.get(block, block) for block in cell.blocks))
        for cell in document.cells
    ]
    return replace(document, cells=tuple(cells))


def test_a_formula_that_cannot_fit_is_listed_as_not_verified():
    page = export(markdown("fine"), markdown(f"$ {'x' * 300} $"))
    assert page.notes
    assert "Not verified" in page.pages[-1]


def test_the_check_can_be_switched_off():
    assert export(markdown(f"$ {'x' * 300} $"), read_back=False).pdf


def test_the_command_says_what_is_missing(tmp_path, capsys):
    nbformat.write(notebook(*sample()), tmp_path / "n.ipynb")
    (tmp_path / "n.pdf").write_bytes(export(*sample()).pdf)
    assert main([str(tmp_path / "n.ipynb"), str(tmp_path / "n.pdf")]) == 0
    assert "Everything in n.ipynb is visible in n.pdf." in capsys.readouterr().out
    (tmp_path / "n.pdf").write_bytes(export(*sample(last=markdown("Other."))).pdf)
    assert main([str(tmp_path / "n.ipynb"), str(tmp_path / "n.pdf")]) == 1
    assert re.search(r"^cell 9: text .*The end\.$", capsys.readouterr().out, re.M)


def test_the_command_names_a_file_that_is_not_there(tmp_path, capsys):
    with pytest.raises(SystemExit):
        main([str(tmp_path / "no.ipynb"), str(tmp_path / "no.pdf")])
    assert "there is no file" in capsys.readouterr().err


def test_a_pdf_of_another_tool_is_read_as_well(tmp_path):
    nbformat.write(notebook(markdown("one paragraph"), code("a = 1")), tmp_path / "n.ipynb")
    (tmp_path / "n.pdf").write_bytes(
        typst.compile(b"one para-\n#linebreak()graph", pdf_tags=False)
    )
    found = losses(tmp_path / "n.ipynb", tmp_path / "n.pdf")
    assert [loss.text for loss in found] == ["a = 1"]


def test_hidden_cells_are_not_expected(check):
    cells = [code("kept"), v4.new_code_cell("gone", metadata={"tags": ["remove-cell"]})]
    assert check([code("kept")], cells) == []


def test_what_the_exporter_cut_is_not_expected(check):
    cells = [code("x", stream("\n".join(map(str, range(3000)))))]
    assert check(cells, cells) == []
    assert TypstPDFExporter().max_lines == 1000
