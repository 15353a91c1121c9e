"""The read-back check: what is lost is found and named, and nothing else is."""

import re
import time
from collections import Counter
from dataclasses import replace

import nbformat
import nbformat.v4 as v4
import pytest
import typst
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from hw1lib.submission.pdf import PrintError, TypstPDFExporter, exporter
from hw1lib.submission.pdf.__main__ import main
from hw1lib.submission.pdf.cells import document_of
from hw1lib.submission.pdf.compare import ADDED, compare, losses
from hw1lib.submission.pdf.document import Paragraph, as_data
from hw1lib.submission.pdf.exporter import compiled
from hw1lib.submission.pdf.reader import Reading, Shape, read_pdf
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
        ({"drawing": code("draw()")}, "cell 7 (In [1]): an image is not visible"),
        ({"formula": markdown("")}, "cell 8: a formula is not visible: \\frac{a}{b}"),
        ({"last": markdown("")}, "cell 9: text is not visible: The end."),
    ],
)
def test_whatever_is_missing_is_named_with_its_cell(check, missing, named):
    found = check(sample(**missing), sample())
    assert named in "\n".join(found)
    assert len(found) <= 2


def test_long_lines_that_are_missing_between_thousands_of_short_ones_are_named_in_time():
    lines = [f"s{i}" if i % 2 else f"a long line with number {i}" for i in range(3000)]
    document = document_of(notebook(code("\n".join(lines))), title="T")
    shown = [("T",), ("In [1]:",), *((line,) for line in lines[1::2])]
    for read in (shown, []):  # by this exporter, and by another tool
        text = "\n".join(part for line in shown for part in line)
        reading = Reading(text, tuple(read), Counter(), "T", "all cells visible")
        started = time.process_time()
        assert [loss.text for loss in compare(document, reading)] == lines[::2]
        assert time.process_time() - started < 60  # it took the square of their number


def test_a_line_of_one_bracket_is_missed_too(check):
    source = "call(\n    a,\n)"
    assert check([code("call(\n    a,"), code("x = 1")], [code(source), code("x = 1")])


@pytest.mark.parametrize(
    "hidden",
    [
        "#place(dx: 70pt, [leaves the page])",
        "#place(dy: -20pt, box(clip: true, width: 0.1pt, height: 0.1pt, [leaves the page]))",
        "#box[leaves the page#place(dx: -2pt, dy: -9pt, rect(fill: white, width: 90pt))]",
    ],
    ids=["off the page", "clipped", "covered"],
)
@pytest.mark.parametrize("tags", [True, False])
def test_text_that_cannot_be_seen_is_not_read(hidden, tags):
    source = f"#set page(width: 120pt, height: 80pt)\nstays\n\n{hidden}\n\nstays too"
    reading = read_pdf(typst.compile(source.encode(), pdf_tags=tags))
    words = reading.text + " ".join(part for line in reading.lines for part in line)
    assert bool(reading.lines) == tags
    assert "stays too" in words
    assert "page" not in words


def test_text_on_a_coloured_ground_and_beside_a_box_is_read():
    source = "#rect(fill: yellow)[in the box]\nbelow #box(fill: black, width: 5pt, height: 5pt)"
    reading = read_pdf(typst.compile(source.encode()))
    assert reading.lines == (("in the box",), ("below ",))


def test_an_image_that_leaves_the_page_is_not_read(tmp_path):
    (tmp_path / "a.png").write_bytes(picture())
    (tmp_path / "a.typ").write_text(
        '#set page(width: 100pt, height: 80pt)\n#place(dx: 60pt, image("a.png", width: 50pt))'
    )
    reading = read_pdf(typst.compile(str(tmp_path / "a.typ")))
    assert not reading.images
    assert not reading.lines


def test_the_lines_of_a_pdf_hold_its_formulas_and_figures_in_their_places():
    page = export(
        markdown("# T\n\nwith $\\hat b$ in it"), code("x", rich(png=base64_of(picture())))
    )
    lines = read_pdf(page.pdf).lines
    assert ("with ", Shape("formula", "\\hat b"), " in it") in lines
    assert (Shape("figure", "60 x 40"),) in lines


def test_headers_and_footers_are_not_among_the_lines():
    lines = "\n".join(f"x{i} = {i}" for i in range(300))
    page = export(markdown("# A Title"), code(lines))
    assert len(page.pages) > 3
    read = ["".join(line) for line in read_pdf(page.pdf).lines]
    assert read.count("A Title") == 1
    assert read[-1].replace(" ", "") == "x299=299"
    assert not page.notes


def test_figures_that_change_places_are_missed(check):
    plots = [code("plot()", rich(png=base64_of(picture(width, 73)))) for width in (91, 64)]
    assert check(plots, plots) == []
    images = [plots[1].outputs, plots[0].outputs]
    turned = [code("plot()", *outputs) for outputs in images]
    assert any("an image is not visible" in loss for loss in check(turned, plots))


#: What one cell or another of people's notebooks holds, and is easily called lost.
CONTENTS = [
    *map(markdown, [
        "Here $\\hat{b}$, the estimate.", "with eigenvectors\n$$\\hat{r}_1 = 1$$",
        "The step $\\dot y$ (with $y = f(x)$)", "Here $\\bar{x}$: a", "Here $\\check{x}$ is",
        "The mean x̄ and θ̂, typed.", "# The mean x̄ (bar)", "where $\\hat{t}$ is the time",
        "$\\widehat{i}$ and $\\widetilde{l}$ t", "ñ é Ångström ´ ¨ ~ ^ `",
        "שלום עולם 😊", "שלום $x$ עולם $y^2$ סוף", "# כותרת $x$", "- א\n- ב $x$\n- c",
        "مرحبا بالعالم 😊 $x$ و $y$", "नमस्ते दुनिया", "ภาษาไทย ที่นี่", "漢字 한국어",
        "Text\n\n<!-- hidden $x^2$ note -->\n\nmore", "![by $\\theta$](http://example.com/a.svg)",
        '[text](http://a.b "title $x$") and more', "<style>.a {top: $x$}</style>words",
        "run\n\n    $ python --version\n    $ pip list\n\nDone.",
        "<details><summary>more $q$</summary>\n\ninside $z$\n\n</details>",
        "* $a$,\n* $b$.\n\nWords that follow.\n\nnumbers $1, 2, \\ldots, n$ and more",
        "words <audio controls src='a.mp3'>fallback</audio> around it",
        "| a | $b$ |\n|---|---|\n| 1 | `c` |", "> quote $x$\n>\n> more", "a<br>b  \nc",
        "<div style='background-color:#ffeeaa'>Box: **hand in** $x$</div>",
        "\\begin{align}a&=b\\\\c&=d\\tag{7}\\end{align}",
        "$x \\nosuch y$", "$$\\phantom{x}$$ blank",
        "long " + "word " * 700,
    ]),
    *(code("print()", stream(text)) for text in [
        "....||||\n" * 4, "│···│\n" * 4, "\x1b[31mred\x1b[0m\nplain", "a\rb", "│ א │",
        "\n".join(map(str, range(1500))), "⠀⠀x⠀", "█▓▒░ ▁▂▃",
    ]),
    *(code("df", rich(text_html=html)) for html in [
        f"<table><tr>{'<th>column</th>' * 30}</tr><tr>{'<td>0.25</td>' * 30}</tr></table>",
        "<table><tr><th>h</th></tr>" + "<tr><td>v</td></tr>" * 130 + "</table>",
        "<b>$E=mc^2$</b> and <table><tr><td>$\\frac{1}{2}$</td></tr></table>",
        f"<p>p<img src='data:image/png;base64,{base64_of(picture(31, 13))}'>after</p>",
    ]),
    code("draw()", rich(svg=SVG.replace("<rect", "<text y='9'>label</text>" * 700 + "<rect"))),
    code("plot()", rich(png=base64_of(picture(91, 73)))),
    code("def f(x):\n    return x  # שלום\n\n\n)"), code("x = 1"), code("x = 10"),
]  # fmt: skip


@pytest.mark.parametrize("cell", CONTENTS, ids=range(len(CONTENTS)))
def test_nothing_of_a_faithful_pdf_is_called_lost_or_added(cell):
    document = document_of(notebook(markdown("# Title"), cell, markdown("the end")))
    assert compare(document, read_pdf(compiled(document))) == []


@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(st.sampled_from(CONTENTS), min_size=2, max_size=8, unique_by=id), st.data())
def test_in_any_notebook_exactly_the_cell_that_is_left_out_is_missed(cells, data):
    document = document_of(notebook(*cells), title="A title")
    assert compare(document, read_pdf(compiled(document))) == []
    left_out = data.draw(st.sampled_from(range(len(cells))))
    name = document.cells[left_out].name
    shown = [cell if cell.name != name else replace(cell, blocks=()) for cell in document.cells]
    lost = compare(document, read_pdf(compiled(replace(document, cells=tuple(shown)))))
    assert {loss.cell for loss in lost} <= {name}
    assert lost or "example.com" in cells[left_out].source  # that is a note of the exporter


@pytest.mark.parametrize("cells", [2, 0], ids=["in a cell", "before the first"])
def test_text_that_only_the_pdf_has_is_named(cells):
    contents = [markdown("# Title"), markdown("one"), code("x = 1", stream("two"))]
    document = document_of(notebook(*contents))
    more = replace(
        document.cells[cells], blocks=(Paragraph(("#ffeeaa",)), *document.cells[cells].blocks)
    )
    shown = [more if i == cells else cell for i, cell in enumerate(document.cells)]
    found = compare(document, read_pdf(compiled(replace(document, cells=tuple(shown)))))
    assert [(loss.kind, loss.text) for loss in found] == [(ADDED, "#ffeeaa")]
    assert "text that the notebook does not have: #ffeeaa" in str(found[0])


def test_the_day_of_export_below_a_title_with_a_picture_is_not_called_added():
    source = f"<img src='data:image/png;base64,{base64_of(picture(50, 50))}'>"
    title = markdown(f"# {source} The title\n\nwords")
    assert not export(title).notes
    named = notebook(title, authors=[{"name": "A. Student"}])
    document = document_of(named)
    assert compare(document, read_pdf(compiled(document))) == []


def test_the_day_of_export_and_the_page_of_what_is_not_verified_are_not_called_added(tmp_path):
    nb = notebook(markdown("fine"), markdown(f"$ {'x' * 300} $"))
    nbformat.write(nb, tmp_path / "n.ipynb")
    page = export(*nb.cells)
    assert "Not verified" in page.pages[-1]
    (tmp_path / "n.pdf").write_bytes(page.pdf)
    assert [loss.kind for loss in losses(tmp_path / "n.ipynb", tmp_path / "n.pdf")] == [
        "a formula"
    ]


@pytest.mark.parametrize("words", ["", "# Its heading"])
def test_a_title_of_ones_own_is_neither_lost_nor_added(tmp_path, words):
    cells = [markdown(words), code("x = 1")]
    nbformat.write(notebook(*cells), tmp_path / "n.ipynb")
    (tmp_path / "n.pdf").write_bytes(export(*cells, title="Another title").pdf)
    assert losses(tmp_path / "n.ipynb", tmp_path / "n.pdf") == []


def test_a_missing_formula_is_named_in_its_own_cell(check):
    cells = [markdown("a $x$"), markdown("b $x$"), markdown("c $x$")]
    assert check([cells[0], markdown("b"), cells[2]], cells) == [
        "cell 2: a formula is not visible: x"
    ]


@pytest.mark.parametrize("left_out", [0, 1, 2])
def test_of_cells_that_begin_alike_the_one_that_is_left_out_is_named(left_out):
    document = document_of(notebook(*[code("print()", stream(word)) for word in "abc"]))
    shown = list(document.cells)
    shown[left_out] = replace(shown[left_out], blocks=())
    lost = compare(document, read_pdf(compiled(replace(document, cells=tuple(shown)))))
    assert [loss.text for loss in lost] == ["print()", "abc"[left_out]]
    assert {loss.cell for loss in lost} == {document.cells[left_out].name}


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


@pytest.fixture
def elsewhere(tmp_path):
    """elsewhere(cells, source): what the PDF of Typst source, of another tool, lacks."""

    def run(cells, source):
        nbformat.write(notebook(*cells), tmp_path / "n.ipynb")
        (tmp_path / "n.pdf").write_bytes(typst.compile(source.encode(), pdf_tags=False))
        return [loss.text for loss in losses(tmp_path / "n.ipynb", tmp_path / "n.pdf")]

    return run


def test_a_pdf_of_another_tool_is_read_as_well(elsewhere):
    cells = [markdown("one paragraph"), code("a = 1")]
    assert elsewhere(cells, "one para-\n#linebreak()graph") == ["a = 1"]


def test_in_a_pdf_of_another_tool_other_layout_is_no_loss(elsewhere):
    table = (
        "<table><tr><th>name</th><th>size</th></tr><tr><td>first</td><td>0.25</td></tr></table>"
    )
    cells = [
        markdown("# Heading\n\nWith $x^2$, a formula, and **more** words."),
        code("y = 2", rich(text_html=table)),
        markdown("A line that is broken where the page ends, with words after it."),
        markdown("שלום עולם"),
    ]
    source = (
        "#set page(header: [running head], height: 90pt)\nHeading\n\n"
        "With $x^2$, a formula, and more words.\n\n`y = 2`\n\nname first size 0.25 added\n\n"
        "A line that is broken where the page #pagebreak() ends, with words after it.\n\n"
        "#text(dir: rtl)[שלום עולם]"
    )
    assert elsewhere(cells, source) == []
    assert elsewhere(cells, source.replace("0.25", "").replace("broken", "")) == [
        "0.25",
        "A line that is broken where the page ends, with words after it.",
    ]


def test_hidden_cells_are_not_expected(check):
    cells = [code("kept"), v4.new_code_cell("gone", metadata={"tags": ["remove-cell"]})]
    assert check([code("kept")], cells) == []


def test_what_the_exporter_cut_is_not_expected(check):
    cells = [code("x", stream("\n".join(map(str, range(3000)))))]
    assert check(cells, cells) == []
    assert TypstPDFExporter().max_lines == 1000
