"""The exporter's parts by themselves: markdown, tables, lines of text, images."""

import base64
import io
import itertools
import types
from pathlib import Path

import pytest
from fontTools import ttLib
from ipython_pygments_lexers import IPythonLexer
from PIL import Image
from pygments.token import Token as Kind
from selectolax.lexbor import LexborHTMLParser

from hw1lib.submission.pdf import glyphs, html, images, markdown, styled, tables
from hw1lib.submission.pdf.cells import document_of, student_ids
from hw1lib.submission.pdf.document import (
    Figure,
    Look,
    Note,
    Styled,
    TableCell,
    TerminalText,
    text_of,
    walk,
)
from hw1lib.submission.pdf.images import ImageError, Images
from hw1lib.submission.pdf.markdown import Math, Page
from tests.fixtures.notebooks import (
    SVG,
    code,
    export,
    notebook,
    picture,
    rich,
    stream,
)
from tests.fixtures.notebooks import markdown as markdown_cell

NAMESPACE = "<svg xmlns='http://www.w3.org/2000/svg'"

# Markdown. -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "words", "formulas"),
    [
        ("a $x$ b", "a M0e b", [("x", False)]),
        ("$$x$$ and $y$", "M0e and M1e", [("x", True), ("y", False)]),
        ("\\\\(x\\\\) \\\\[y\\\\]", "M0e M1e", [("x", False), ("y", True)]),
        (
            "\\begin{align*}x\\end{align*}!",
            "M0e!",
            [("\\begin{align*}x\\end{align*}", True)],
        ),
        ("see \\eqref{a}", "see M0e", [("\\eqref{a}", False)]),
        ("$\\text{a $ b}$", "M0e", [("\\text{a $ b}", False)]),
        ("$a\\$b$", "M0e", [("a\\$b", False)]),
        ("$a\r\nb$", "M0e", [("a\nb", False)]),
        ("costs $5", "costs $5", []),
        ("$ $ empty", "$ $ empty", []),
        ("$a\n \nb$", "$a\n \nb$", []),
        ("\\$5 and `$x$`", "\\$5 and `$x$`", []),
        ("```\n$x$\n```\n$y$", "```\n$x$\n```\nM0e", [("y", False)]),
    ],
)
def test_formulas_are_taken_out_as_jupyterlab_does(text, words, formulas):
    page = markdown.to_page(text)
    assert page.formulas == [Math(*formula) for formula in formulas]
    numbered = (f"M{i}e" for i in itertools.count())
    pieces = markdown.math_in(text.replace("\r\n", "\n"), markdown.IN_MARKDOWN)
    assert words == "".join(next(numbered) if isinstance(p, Math) else p for p in pieces)


def test_a_formula_s_place_cannot_be_forged():
    assert markdown.unused_word("a") == "formula0n"
    assert markdown.unused_word("formula1n formula0n") == "formula2n"


def test_a_page_gives_its_formulas_back_where_they_stood():
    page = Page("", "M", [Math("x", False), Math("y", True)])
    assert list(page.split("aM1eM0e")) == ["a", Math("y", True), Math("x", False)]
    assert page.plain("aM1e b") == "a$y$ b"


@pytest.mark.parametrize(
    ("text", "table"),
    [
        ("words\n| a | b |\n|---|---|\n| 1 | 2 |", ["a", "b", "1", "2"]),
        ("words\na | b\n--- | ---\n1 | 2", ["a", "b", "1", "2"]),
        ("| a | b |\n|:-:|--:|\n| `x\\|y` |", ["a", "b", "x|y", ""]),
        ("| a |\n|---|\n| 1 | too much |", ["a", "1"]),
        ("> | a |\n> |---|\n> | 1 |", ["a", "1"]),
        ("- | a |\n  |---|\n  | 1 |", ["a", "1"]),
    ],
)
def test_a_table_of_markdown_is_one_by_github_s_rules(text, table):
    tree = LexborHTMLParser(markdown.to_page(text).html)
    assert [cell.text() for cell in tree.css("th, td")] == table


@pytest.mark.parametrize("text", ["a | b\n---", "| a | b |\n|---|", "a\n| x |"])
def test_what_lacks_a_table_s_dashes_is_none(text):
    assert "<table>" not in markdown.to_page(text).html


# Tables. -------------------------------------------------------------------------------------


def rows(html):
    return tables.own_rows(LexborHTMLParser(f"<table>{html}</table>").css_first("table"))


def cell_of(tag):
    """A cell of a document with the tag's text."""
    return TableCell((tag.text(),), 0, 0)


def lines(*cells, kind="td"):
    """A row of such cells."""
    return f"<tr>{''.join(f'<{kind}>{cell}</{kind}>' for cell in cells)}</tr>"


def grid(html):
    return tables.on_grid(rows(html), cell_of)


def laid_out(html, max_rows):
    return tables.lay_out(rows(html), cell_of, max_rows, lambda reason, advice: None)


@pytest.mark.parametrize(
    ("html", "count"),
    [
        (f"<thead>{lines('a')}{lines('b')}</thead>{lines('c')}", 2),
        (lines("a", "b", kind="th") + lines("c", "d"), 1),
        (lines("a", kind="th") + lines("b", kind="th") + lines("c"), 1),
        (lines("a", kind="th"), 0),
        (lines("a") + lines("b"), 0),
        ("<tr><th>a</th><td>b</td></tr>" + lines("c", "d"), 0),
        ("<tr></tr>" + lines("c"), 0),
        ("", 0),
    ],
)
def test_header_is_thead_or_a_first_row_of_th_unless_nothing_else_is_there(html, count):
    assert tables.header_rows(rows(html)) == count


@pytest.mark.parametrize(("body", "kept"), [(10, 10), (11, 10)])
def test_a_long_table_keeps_its_first_and_last_rows_and_says_how_many_are_cut(body, kept):
    html = lines("head", kind="th") + "".join(lines(f"r{i}") for i in range(body))
    found = [row.text() for row in tables.kept_rows(rows(html), 10)]
    first, last = [f"r{i}" for i in range(8)], [f"r{body - 2}", f"r{body - 1}"]
    assert found == ["head", *first, *last][: kept + 1]
    table, *notes = laid_out(html, 10)
    assert table.rows == kept + 1
    assert notes == [Note("1 of 11 rows are cut; the notebook has all.")] * (body - kept)


@pytest.mark.parametrize(
    ("written", "meant"),
    [("3", 3), (" 2 ", 2), ("0", 1), ("-1", 1), ("x", 1), ("99999", 500), ("100000", 1)],
)
def test_a_span_is_between_one_and_the_limit(written, meant):
    (row,) = rows(f"<tr><td colspan='{written}'>a</td></tr>")
    (cell,) = tables.row_cells(row)
    assert tables.span(cell, "colspan", 1000) == meant
    assert tables.span(cell, "colspan", 2) == min(meant, 2)
    assert tables.span(cell, "rowspan", 9) == 1


def test_cells_find_their_place_beside_those_that_span_rows_and_columns():
    cells, width, index = grid(
        "<tr><td rowspan=2>a</td><td colspan=2>b</td></tr>"
        "<tr><td>c</td><td rowspan=9>d</td></tr>"
        "<tr><td colspan=3>e</td></tr>"
    )
    places = {
        text_of(cell): (cell.column, cell.row, cell.column_span, cell.row_span)
        for cell in cells
    }
    assert places == {
        "a": (0, 0, 1, 2),
        "b": (1, 0, 2, 1),
        "c": (1, 1, 1, 1),
        "d": (2, 1, 1, 2),
        "e": (0, 2, 2, 1),  # d is in the way
    }
    assert (width, index) == (3, 0)


@pytest.mark.parametrize(
    ("html", "index"),
    [
        ("<tr><th>a</th><th>b</th><td>c</td></tr><tr><th>d</th><td>e</td><td>f</td></tr>", 1),
        ("<tr><th>a</th><td>b</td><th>c</th></tr>", 1),
        ("<thead><tr><th>a</th><th>b</th></tr></thead><tr><th>c</th><td>d</td></tr>", 1),
        ("<tr><th>a</th><th>b</th></tr>", 0),
        ("<tr><td>a</td><th>b</th></tr>", 0),
        ("", 0),
    ],
)
def test_index_columns_are_those_of_th_at_the_left_of_every_row(html, index):
    assert grid(html)[2] == index


@pytest.mark.parametrize(
    ("text", "numeric"),
    [("1,234.5", True), ("−3e-05", True), ("12 %", True), ("nan", True), ("1a", False)],
)
def test_a_column_of_such_text_is_one_of_numbers(text, numeric):
    cells, width, _ = grid(lines(text))
    assert tables.numeric_columns(cells, width, 0) == (numeric,)


def test_a_column_is_numeric_if_more_than_two_thirds_of_its_body_are_numbers():
    html = lines("head", "head", "head", kind="th") + "".join(
        lines(*row) for row in [("1", "1", "1"), ("2", "2", ""), ("3", "x", "x"), ("x", "", "")]
    )
    cells, width, _ = grid(html)
    assert tables.numeric_columns(cells, width, 1) == (True, False, False)


def table_of(columns, text, *, index=False):
    first = f"<th>{text}</th>" if index else f"<td>{text}</td>"
    others = f"<td>{text}</td>" * (columns - 1)
    return grid(f"<tr>{first}{others}</tr>")


@pytest.mark.parametrize(
    ("columns", "text", "index", "parts"),
    [
        (8, "x" * 10, False, [(0, 8)]),  # 10 characters and a gap of 2.4 each, of 104
        (9, "x" * 10, False, [(0, 8), (8, 9)]),
        (12, "x" * 7, False, [(0, 11), (11, 12)]),  # eleven leave room for half a letter
        (9, "x y " * 20, False, [(0, 6), (6, 9)]),  # text wraps at 14
        (3, "x" * 80, False, [(0, 2), (2, 3)]),  # a long word at 44
        (16, "x" * 10, True, [(0, 8), (8, 15), (15, 16)]),  # each part repeats the index
        (1, "x" * 200, False, [(0, 1)]),
    ],
)
def test_columns_are_parted_where_the_page_ends(columns, text, index, parts):
    cells, width, depth = table_of(columns, text, index=index)
    assert depth == index
    assert tables.split_columns(cells, width, depth) == parts


def test_an_index_wider_than_half_the_page_is_not_reckoned_with():
    heads = f"<th>{'x' * 44}</th>" * 2
    cells, width, index = grid(f"<tr>{heads}{'<td>1234567890</td>' * 9}</tr>")
    assert index == 2
    assert tables.split_columns(cells, width, index) == [(0, 3), (3, 11)]


def test_a_part_shows_the_index_and_its_columns_side_by_side():
    html = "<tr><th>i</th><td>a</td><td colspan=2>b</td></tr>"
    cells, _, index = grid(html + "<tr><th>j</th><td>c</td><td>d</td><td>e</td></tr>")
    first, second = (
        [
            (text_of(cell), cell.column, cell.column_span)
            for cell in tables.clip(cells, index, *part)
        ]
        for part in ((0, 3), (3, 4))
    )
    assert first == [
        ("i", 0, 1),
        ("a", 1, 1),
        ("b", 2, 1),
        ("j", 0, 1),
        ("c", 1, 1),
        ("d", 2, 1),
    ]
    assert second == [("i", 0, 1), ("b", 1, 1), ("j", 0, 1), ("e", 1, 1)]


def test_a_wide_table_says_which_columns_each_part_shows():
    cells = f"<th>row</th>{'<td>1234567890</td>' * 9}"
    blocks = laid_out(f"<tr>{cells}</tr>", 10)
    notes = [block.text for block in blocks[::2]]
    assert notes == ["Columns 1 to 7 of 9:", "Columns 8 to 9 of 9:"]
    assert [block.columns for block in blocks[1::2]] == [8, 3]
    assert blocks[3].numeric == (False, True, True)


def test_a_table_inside_of_a_cell_keeps_its_rows_to_itself():
    assert len(rows(f"<tr><td><table>{lines('a')}{lines('b')}</table></td></tr>")) == 1


def test_a_table_without_cells_leaves_nothing():
    assert laid_out("<tr></tr>", 10) == []


# Lines of text. ------------------------------------------------------------------------------

PLAIN = types.SimpleNamespace(shown=lambda text: text)  # of fonts that show everything


@pytest.mark.parametrize("name", ["python", "python3", "ipython", "ipython3", "py", " PY "])
def test_python_is_highlighted_as_ipython(name):
    assert isinstance(styled.lexer(name), IPythonLexer)


def test_other_languages_have_their_lexer_or_none():
    assert styled.lexer("bash").name == "Bash"
    assert styled.lexer("no such language") is None
    assert styled.lexer("") is None


def test_code_looks_like_its_nearest_relative():
    assert styled.look_of_token(Kind.Literal.Number.Integer) == Look("#008800")
    assert styled.look_of_token(Kind.Name.Builtin.Pseudo) == Look("#0055aa")
    assert styled.look_of_token(Kind.Comment.Single) == Look("#408080", italic=True)
    assert styled.look_of_token(Kind.Text) == Look()


def test_source_keeps_its_lines_and_is_highlighted():
    found = styled.source_lines("def f():\r\n\treturn 1\n\n", "python", PLAIN)
    keyword, name = Look("#008000", bold=True), Look("#0000ff")
    assert found[0][:3] == (Styled(("def",), keyword), " ", Styled(("f",), name))
    assert text_of(found[1]) == "    return 1"
    assert len(found) == 2
    assert styled.source_lines("a\nb", "no such language", PLAIN) == (("a",), ("b",))


def test_a_line_longer_than_the_longest_is_set_as_several():
    longest = "a " * (styled.LONGEST_LINE // 2)
    assert len(styled.terminal_lines(longest, PLAIN)) == 1
    assert styled.terminal_lines(longest + "b", PLAIN) == ((longest,), ("b",))
    assert styled.terminal_lines("a\tb", PLAIN) == (("a       b",),)


def test_only_words_longer_than_the_longest_may_break():
    word = "a" * styled.LONGEST_WORD
    assert styled.breakable(f"{word} {word}") == f"{word} {word}"
    assert styled.breakable(f"{word}a b") == "\u200b".join(word + "a") + " b"
    red = Look("#ff0000")
    (line,) = styled.to_lines([(Look(), word + "a"), (red, "if"), (Look(), " ")], PLAIN)
    assert line[1:] == (Styled(("\u200bi\u200bf",), red), " ")


@pytest.mark.parametrize(
    ("codes", "style"),
    [
        ("1;4", {"bold": True, "underline": True}),
        ("1;4;22", {"underline": True}),
        ("1;4;24", {"bold": True}),
        ("1;0", {}),
        ("1;", {}),
        ("30", {"color": "#3e424d"}),
        ("37", {"color": "#c5c1b4"}),
        ("1;31", {"color": "#b22b31", "bold": True}),
        ("90", {"color": "#282c36"}),
        ("97", {"color": "#a1a6b2"}),
        ("40;31", {"background": "#3e424d", "color": "#e75c58"}),
        ("47", {"background": "#c5c1b4"}),
        ("100", {"background": "#282c36"}),
        ("107", {"background": "#a1a6b2"}),
        ("7", {"background": "#000000", "color": "#ffffff"}),
        ("31;41;39", {"background": "#e75c58"}),
        ("31;41;49", {"color": "#e75c58"}),
        ("38;5;1", {"color": "#e75c58"}),
        ("38;5;15", {"color": "#a1a6b2"}),
        ("38;5;16", {"color": "#000000"}),
        ("38;5;110", {"color": "#87afd7"}),
        ("48;2;1;2;255;1", {"background": "#0102ff", "bold": True}),
        ("38;5;999", {}),
        ("38;5", {}),
        ("38", {}),
        *((str(code), {}) for code in (3, 29, 50, 89, 98, 99, 108)),
    ],
)
def test_escape_sequences_become_styles(codes, style):
    look = Look(**style)
    shown = "x" if look == Look() else Styled(("x",), look)
    assert styled.terminal_lines(f"\x1b[{codes}mx", PLAIN) == ((shown,),)


def test_a_style_holds_until_the_next_escape_sequence():
    (found,) = styled.terminal_lines("a\x1b[32mb <&\x1b[4mc\x1b[0md", PLAIN)
    green, line = Look(color="#00a250"), Look(color="#00a250", underline=True)
    assert found == ("a", Styled(("b <&",), green), Styled(("c",), line), "d")


# Images. -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("attributes", "size"),
    [
        ("width='200' height='50'", (200, 50)),
        ("width='72pt' height='1in'", (96, 96)),
        ("width='25.4mm' height='2.54cm'", (96, 96)),
        ('viewBox="0 0 40 20"', (40, 20)),
        ("width='80' height='40' viewBox='0,0,40,20'", (80, 40)),
        ("width='100%' viewBox='0 0 40 20'", (40, 20)),
    ],
)
def test_a_drawing_has_the_size_of_its_attributes_or_view_box(attributes, size):
    drawing = SVG.replace(SVG.partition(">")[0], f"{NAMESPACE} {attributes}")
    placed = Images(None).place(drawing.encode())
    expected = [length * images.POINTS for length in size]
    assert (placed.width, placed.height) == pytest.approx(expected, rel=0.01)


@pytest.mark.parametrize(
    ("data", "mime"),
    [(SVG.encode(), ""), (f"<!--{' ' * 2000}-->{SVG}".encode(), "image/svg+xml")],
    ids=["beginning", "type"],
)
def test_a_drawing_is_known_by_its_type_or_its_beginning(data, mime):
    assert Images(None).place(data, mime).file.endswith(".svg")


@pytest.mark.parametrize("drawing", ["<p>", f"{NAMESPACE} width='0' height='1'/>"])
def test_what_cannot_be_drawn_is_refused(drawing):
    with pytest.raises(ImageError, match="cannot be read"):
        Images(None).place(drawing.encode(), "image/svg+xml")


def test_data_addresses_and_attachments_are_decoded():
    assert images.data_url("data:image/png;base64,YWI%3D") == (b"ab", "image/png")
    assert images.data_url("data:,a%20b") == (b"a b", "text/plain")
    held = {"a": {"image/png": "YWI="}, "b": {"image/svg+xml": ["<svg", ">"]}}
    assert images.attachment("a", held) == (b"ab", "image/png")
    assert images.attachment("b", held) == (b"<svg>", "image/svg+xml")
    with pytest.raises(ImageError, match="address cannot be decoded"):
        images.data_url("data:image/png;base64,a")
    with pytest.raises(ImageError, match="its data cannot be decoded"):
        images.attachment("a", {"a": {"image/png": "a"}})
    with pytest.raises(ImageError, match="no attachment c"):
        images.attachment("c", held)


def test_an_image_is_kept_once_and_placed_at_the_size_asked_for():
    found = Images(None)
    whole = found.place(picture(60, 40))
    assert whole == Figure(whole.file, 60 * images.POINTS, 40 * images.POINTS, (60, 40))
    half = found.place(picture(60, 40), width=30)
    assert half == Figure(whole.file, 30 * images.POINTS, 20 * images.POINTS, (60, 40))
    assert found.files == {whole.file: picture(60, 40)}


@pytest.mark.parametrize(
    ("data", "words"),
    [(b"", "it is empty"), (b"no image", "cannot be decoded \\(")],
)
def test_what_is_no_image_is_refused_each_time(data, words):
    found = Images(None)
    for _ in range(2):
        with pytest.raises(ImageError, match=words):
            found.place(data)


@pytest.mark.parametrize(
    ("width", "mode", "kind", "kept"),
    [
        (4000, "L", "PNG", True),
        (4001, "L", "PNG", False),
        (8, "L", "JPEG", True),
        (8, "P", "PNG", True),
        (8, "RGBA", "WEBP", True),
        (8, "L", "GIF", False),
        (8, "CMYK", "JPEG", False),
        (8, "I;16", "PNG", False),
    ],
)
def test_pixels_are_embedded_as_they_are_where_typst_can_read_them(width, mode, kind, kept):
    stream = io.BytesIO()
    Image.new(mode, (width, 8)).save(stream, kind)
    found = Images(None)
    placed = found.raster(stream.getvalue())
    assert (placed.width, placed.height) == (width, 8)
    content = found.files[placed.file]
    assert (content == stream.getvalue()) == kept
    with Image.open(io.BytesIO(content)) as image:
        assert image.size == placed.pixels
        assert image.width == min(width, 4000)
        assert placed.file.endswith(
            {"JPEG": ".jpg"}.get(image.format, f".{image.format.lower()}")
        )


def test_a_transparent_palette_stays_transparent_where_it_is_made_anew():
    stream = io.BytesIO()
    Image.new("P", (8, 8)).save(stream, "GIF", transparency=0)
    found = Images(None)
    placed = found.raster(stream.getvalue())
    with Image.open(io.BytesIO(found.files[placed.file])) as image:
        assert image.convert("RGBA").getpixel((0, 0))[3] == 0


def test_a_photo_taken_sideways_is_turned():
    exif = Image.Exif()
    exif[images.ORIENTATION] = 6
    stream = io.BytesIO()
    Image.new("RGB", (40, 20)).save(stream, "JPEG", exif=exif)
    placed = Images(None).raster(stream.getvalue())
    assert (placed.width, placed.height) == (20, 40)
    assert placed.file.endswith(".png")


def test_only_files_below_the_notebook_s_folder_are_read(tmp_path, monkeypatch):
    inside = tmp_path / "inside"
    inside.mkdir()
    (tmp_path / "secret.png").write_bytes(b"x")
    (inside / "a b.svg").write_text(SVG)
    (inside / "c.png").write_bytes(picture())
    found = Images(inside)
    assert found.find("a%20b.svg?x=1", {}) == (SVG.encode(), "image/svg+xml")
    assert found.find("c.png", {}) == (picture(), "")
    assert found.find("data:,x", {}) == (b"x", "text/plain")
    encoded = base64.b64encode(b"y").decode()
    assert found.find("attachment:a%20b", {"a b": {"m": encoded}}) == (b"y", "m")
    for path in ("../secret.png", str(tmp_path / "secret.png"), ".", "gone.png", "a\0b"):
        with pytest.raises(ImageError, match="there is no file"):
            found.find(path, {})
    for url in ("https://example.org/c.png", "//example.org/c.png", "file:c.png"):
        with pytest.raises(ImageError, match=f"not in the notebook but at {url}"):
            found.find(url, {})
    with pytest.raises(ImageError, match=r"folder of c\.png is not known"):
        Images(None).find("c.png", {})
    monkeypatch.setattr(images, "MAX_BYTES", len(picture()))
    assert found.find("c.png", {})
    assert found.place(picture())
    monkeypatch.setattr(images, "MAX_BYTES", len(picture()) - 1)
    with pytest.raises(ImageError, match=r"c\.png is larger than 0 MB"):
        found.find("c.png", {})
    with pytest.raises(ImageError, match="it is larger than 0 MB"):
        Images(None).place(picture())


# Cells. --------------------------------------------------------------------------------------


def printed(cell, kind):
    """The blocks of a kind that a cell shows."""
    return [
        node for node in walk(document_of(notebook(cell)).cells[0]) if isinstance(node, kind)
    ]


def test_pieces_of_one_stream_are_joined_until_another_comes_between():
    given = [stream("a"), stream("b"), stream("c", "stderr"), stream("d"), stream("e")]

    def texts(*tags):
        found = printed(code("x", *given, tags=tags), TerminalText)
        return [(text_of(text), text.error) for text in found]

    assert texts() == [("ab", False), ("c", True), ("de", False)]
    assert texts("remove-stderr") == [("abde", False)]


def test_one_line_of_a_million_characters_is_cut():
    (text, rest) = printed(code("x", stream("a" * 1_000_000)), TerminalText)
    assert len(text_of(text) + text_of(rest)) < 300_000


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("a\nb", ["a", "b"]),
        ("a\r\nb", ["a", "b"]),
        ("10%\r 9", [" 9%"]),
        ("ab\bc", ["ac"]),
        ("a\b\b\bcd", ["cd"]),
        ("a\x1b[2Kb", ["ab"]),
        ("a\r\x1b[31mb\r", ["\x1b[31mb"]),
    ],
)
def test_lines_are_what_a_terminal_leaves_of_them(text, lines):
    assert styled.on_screen(text) == lines


@pytest.mark.parametrize(
    ("asked", "width"), [(30, 30), (0.5, 0.5), (0, None), (-1, None), ("30", None)]
)
def test_a_picture_has_the_width_that_its_output_asks_for(asked, width):
    output = rich(png=base64.b64encode(picture()).decode())
    output.metadata = {"image/png": {"width": asked, "alt": "A"}, "caption": "C"}
    (found,) = printed(code("x", output), Figure)
    assert found.width == pytest.approx((width or 60) * images.POINTS)
    assert (found.description, found.caption) == ("A", "C")


@pytest.mark.parametrize(
    ("source", "ids"),
    [
        ("n = 1\nIDS = ['012', 345]", ["012", "345"]),
        ("IDS = ('012', other)", ["012"]),
        ("print('IDS')", []),
        ("IDS = [", []),
    ],
)
def test_ids_are_the_constants_of_the_first_list_in_the_cell_that_is_tagged(source, ids):
    assert student_ids(notebook(code("x = ['1']"), code(source, tags=("ids",)))) == ids


# Letters. ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", glyphs.COVERAGE)
def test_a_bundled_font_is_there_and_its_characters_are_known(name):
    assert ord("a") in glyphs.characters(glyphs.font_folder() / name)


def test_of_a_family_of_fonts_the_regular_and_the_bold_file_are_taken():
    names = [
        "Ab-Black",
        "Ab-Bold",
        "Ab-BoldItalic",
        "Ab-Regular",
        "Zz Sans Light",
        "Cd",
        "Cd Bold",
    ]
    families = glyphs.by_family(Path(f"{name}.ttf") for name in names)
    taken = [[Path(file).stem for file in family] for family in families]
    assert taken == [["Zz Sans Light"], ["Ab-Regular", "Ab-Bold"], ["Cd", "Cd Bold"]]


@pytest.fixture
def own_font(tmp_path, monkeypatch):
    """A font with a letter that no bundled one has, as the only one of the machine."""
    source = ttLib.TTFont(glyphs.font_folder() / "DejaVuSans.ttf")
    for table in source["cmap"].tables:
        if ord("a") in table.cmap:
            table.cmap[ord("漢")] = table.cmap[ord("a")]
    (tmp_path / "fonts").mkdir()
    source.save(tmp_path / "fonts" / "Own.ttf")
    found = [str(tmp_path / "fonts" / "Own.ttf")]
    monkeypatch.setattr("matplotlib.font_manager.findSystemFonts", lambda: found)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    glyphs.system_fonts.cache_clear()
    yield tmp_path / "fonts" / "Own.ttf"
    glyphs.system_fonts.cache_clear()


def test_a_font_of_the_machine_is_read_once_and_taken_where_the_bundled_ones_end(
    own_font, monkeypatch
):
    page = export(markdown_cell("one 漢"))
    assert page.shows("one 漢")
    assert not page.notes
    assert glyphs.system_fonts() == {ord("漢"): (str(own_font),)}
    glyphs.system_fonts.cache_clear()
    monkeypatch.setattr(glyphs, "characters", None)  # what was read is in the cache
    assert glyphs.system_fonts() == {ord("漢"): (str(own_font),)}


@pytest.mark.parametrize(
    ("text", "found"),
    [("1. שלום", True), ("سلام a", True), ("a שלום", False), ("12", False)],
)
def test_text_runs_the_way_of_its_first_letter(text, found):
    assert html.right_to_left((text,)) == found
