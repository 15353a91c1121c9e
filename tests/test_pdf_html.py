"""HTML becomes the blocks and spans of a document, one element at a time."""

import pytest
from selectolax.lexbor import LexborHTMLParser

from hw1lib.submission.pdf.document import (
    Anchor,
    Caption,
    CodeBlock,
    Figure,
    Formula,
    Group,
    Heading,
    LineBreak,
    Link,
    ListBlock,
    Look,
    Note,
    Paragraph,
    Rule,
    Styled,
    Table,
    css_color,
    text_of,
)
from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.html import Context, pixels, to_blocks
from hw1lib.submission.pdf.images import POINTS, Images
from hw1lib.submission.pdf.tex import Notation
from tests.fixtures.notebooks import SVG


@pytest.fixture
def blocks():
    """blocks(html): what becomes of it; what was noted is in blocks.noted."""

    def convert(html):
        convert.noted = []
        convert.images = Images(None)
        note = lambda reason, advice: convert.noted.append(reason)  # noqa: E731
        context = Context(Glyphs(), convert.images, Notation(), note, {}, 1000)
        return list(to_blocks(html, context))

    return convert


def para(*spans):
    return Paragraph(spans)


def styled(*spans, **look):
    return Styled(spans, Look(**look))


def group(*blocks, align="", frame="", **look):
    return Group(blocks, Look(**look), align, frame)


STYLED = {
    "bold": "b strong",
    "italic": "i em cite var dfn",
    "underline": "u ins",
    "strike": "s del strike",
    "code": "code kbd samp tt",
    "subscript": "sub",
    "superscript": "sup",
    "small": "small",
}


@pytest.mark.parametrize(
    ("tag", "style"), [(tag, style) for style, tags in STYLED.items() for tag in tags.split()]
)
def test_an_inline_element_has_its_style(blocks, tag, style):
    assert blocks(f"a <{tag}>b</{tag}>") == [para("a ", styled("b", **{style: True}))]


@pytest.mark.parametrize("tag", ["dt", "legend", "summary"])
def test_a_title_among_blocks_is_bold(blocks, tag):
    assert blocks(f"<{tag}>a</{tag}>") == [group(para("a"), bold=True)]


PARTING = (
    "address article aside center dialog div dl fieldset footer form header hgroup main nav p "
    "search section"
)


@pytest.mark.parametrize("tag", PARTING.split())
def test_a_block_parts_the_text_around_it(blocks, tag):
    first, middle, last = blocks(f"a<{tag}>b</{tag}>c")
    assert (first, last) == (para("a"), para("c"))
    centred = group(para("b"), align="center")
    assert middle == (centred if tag == "center" else para("b"))


@pytest.mark.parametrize(
    "hidden",
    [
        *(
            f"<{tag}>b</{tag}>"
            for tag in (
                "script",
                "style",
                "template",
                "noframes",
                "datalist",
                "title",
            )
        ),
        *("<!-- b -->", "<!DOCTYPE html>", "<b hidden>b</b>", "<i style='display: none'>b</i>"),
        "<style>.x {display:none}</style><u class='x'>b</u>",
    ],
)
def test_what_no_browser_shows_is_left_out(blocks, hidden):
    assert blocks(hidden) == []
    (found,) = blocks(f"a{hidden}c")
    assert text_of(found) == "ac"


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h3>A b</h3>", Heading(("A b",), 3, "a-b")),
        ("<hr>", Rule()),
        ("<blockquote>a</blockquote>", group(para("a"), frame="quote")),
        ("<ul><li>a</li>b</ul>", ListBlock(((para("a"),), (para("b"),)))),
        ("<ul><li>a<li>b</ul>", ListBlock(((para("a"),), (para("b"),)))),
        ("<menu><li>a</menu>", ListBlock(((para("a"),),))),
        ("<ol><li>a</ol>", ListBlock(((para("a"),),), 1)),
        ("<ol start='7'><li>a</ol>", ListBlock(((para("a"),),), 7)),
        ("<ol start='x'><li>a</ol>", ListBlock(((para("a"),),), 1)),
        ("<dd>a</dd>", group(para("a"), frame="indented")),
        ("<details>a</details>", group(para("a"), frame="details")),
        ("<figure>a</figure>", group(para("a"), frame="together")),
        ("<figcaption>a</figcaption>", Caption(("a",))),
        ("<p align='right'>a</p>", group(para("a"), align="right")),
        ("<p>שלום</p>", Paragraph(("שלום",), right_to_left=True)),
        (
            "<ul><li>שלום</ul>",
            ListBlock(((Paragraph(("שלום",), True),),), right_to_left=True),
        ),
        ("<p>$x$</p>", para(Formula("x", ("x",), (None,)))),
        ("<p class='tex2jax_ignore'>$x$</p>", para("$x$")),
    ],
)
def test_a_block_is_this_for_the_template(blocks, html, expected):
    assert blocks(html) == [expected]


@pytest.mark.parametrize("html", ["<h2> </h2>", "<ul></ul>", "<ol></ol>", "<p> \n </p>", ""])
def test_what_is_empty_leaves_no_block(blocks, html):
    assert blocks(html) == []


def test_preformatted_text_keeps_its_lines(blocks):
    (found,) = blocks("<pre>\na\n  b\n\n</pre>")
    assert isinstance(found, CodeBlock)
    assert len(found.lines) == 2
    plain, python = (blocks(f"<pre {name}>def f</pre>") for name in ("", "class='python'"))
    assert plain != python == blocks("<pre><code class='language-python'>def f</code></pre>")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("a<br> b", "a"),
        ("<wbr>b", "\u200b"),
        ("<q>a</q>b", "“"),
        ("<mark>a</mark>b", styled("a", background="#fff59d")),
        ("<a href='#A_b'>a</a>b", Link(("a",), target="a-b")),
        ("<a href='http://x.y'>a</a>b", Link(("a",), "http://x.y")),
        ("<a href='MAILTO:x'>a</a>b", Link(("a",), "MAILTO:x")),
        ("<a href='ftp://x'>a</a>b", Link(("a",), "ftp://x")),
        ("<a href='file:x'>a</a>b", "a"),
        ("<a>a</a>b", "a"),
        ("<a name='N'></a>b", Anchor("n")),
        ("<span id='N'>a</span>b", Anchor("n")),
        ("<input type='checkbox'>b", "☐ "),
        ("<input type='Radio' checked>b", "☑ "),
        ("<input value='a'>b", "a"),
        ("<input type='hidden' value='a'>b", "b"),
        ("<font color='red'>a</font>b", styled("a", color="#ff0000")),
    ],
)
def test_an_inline_element_is_this_for_the_template(blocks, html, expected):
    (found,) = blocks(html)
    assert found.spans[0] == expected
    assert found.spans[-1] == "b"


def test_no_space_stands_at_a_line_break(blocks):
    assert blocks("<p>a <br> b</p>") == [para("a", LineBreak(), "b")]


def test_an_anchor_is_given_once(blocks):
    first, second = blocks("<h1>Same</h1><h1>Same</h1>")
    assert (first.anchor, second.anchor) == ("same", "")


@pytest.mark.parametrize(
    ("css", "style"),
    [
        ("color: red", {"color": "#ff0000"}),
        ("COLOR: #0F0 !important", {"color": "#00ff00"}),
        ("color: nonsense", {}),
        ("background: blue", {"background": "#0000ff"}),
        ("background-color: blue", {"background": "#0000ff"}),
        *(
            (f"font-weight: {w}", {"bold": True})
            for w in ("bold", "bolder", 600, 700, 800, 900)
        ),
        ("font-weight: 400", {}),
        *((f"font-style: {s}", {"italic": True}) for s in ("italic", "oblique")),
        *((f"text-align: {a}", {"align": a}) for a in ("left", "right", "center")),
        ("text-align: justify", {}),
        ("text-decoration: underline", {"underline": True}),
        ("text-decoration-line: line-through", {"strike": True}),
        ("font-weight: bold; color: blue", {"bold": True, "color": "#0000ff"}),
    ],
)
def test_a_declaration_of_css_is_this_style(blocks, css, style):
    def grouped(*content):
        return [group(*content, **style)] if style else [*content]

    assert blocks(f"<p style='{css}'>a</p>") == grouped(para("a"))
    assert blocks(f"<style>.x {{{css}}}</style><p class='x'>a</p>") == grouped(para("a"))
    sheet = f"<style>#x, #y {{{css}}} @media print {{ p {{color: blue}} }}</style>"
    assert blocks(f"{sheet}<p id='x'>a</p>") == [Anchor("x"), *grouped(para("a"))]
    style = {name: value for name, value in style.items() if name != "align"}
    assert blocks(f"<span style='{css}'>a</span>") == [
        para(styled("a", **style) if style else "a")
    ]


def test_rules_by_position_colour_the_rows_they_name(blocks):
    rows = "".join(f"<tr><td>{i}</td></tr>" for i in range(3))
    sheet = "<style>#T tbody tr:nth-child(even) {background-color: yellow}</style>"
    (_, table) = blocks(f"{sheet}<table id='T'>{rows}</table>")
    assert isinstance(table, Table)
    assert [cell.look.background for cell in table.cells] == ["", "#ffff00", ""]


@pytest.mark.parametrize(
    ("written", "color"),
    [
        *((word, "") for word in ("transparent", "inherit", "initial", "none", "currentcolor")),
        ("rgba(255, 0, 0, 0.04)", ""),
        ("rgba(255, 0, 0, 0.05)", "#ff0000"),
        ("rgb(1, 2, 3)", "#010203"),
        ("", ""),
    ],
)
def test_a_colour_of_css_is_written_in_hexadecimal(written, color):
    assert css_color(written) == color


@pytest.mark.parametrize(
    "tag", ["iframe", "video", "audio", "embed", "object", "canvas", "applet"]
)
def test_a_player_leaves_a_note_of_where_it_leads(blocks, tag):
    lives = "lives in the notebook only."
    assert blocks(f"<{tag} src='f.x'></{tag}>") == [Note(f"The {tag} element (f.x) {lives}")]
    assert blocks(f"<{tag} data='f.x'></{tag}>") == [Note(f"The {tag} element (f.x) {lives}")]
    assert len(blocks.noted) == 1
    assert blocks(f"<{tag} src='data:,x'></{tag}>") == [Note(f"The {tag} element {lives}")]
    if tag not in ("embed", "iframe"):  # in these a browser has no content
        inner = blocks(f"<{tag}><source src='f.x'>words</{tag}>")
        assert inner == [para("words"), Note(f"The {tag} element (f.x) {lives}")]


def test_an_image_has_its_size_text_and_title(blocks):
    data = f"data:image/svg+xml,{SVG.replace('#', '%23')}"
    (image,) = blocks(f"<img src='{data}' width='100px' alt='A' title='T'>")
    assert isinstance(image, Figure)
    assert (image.description, image.caption) == ("A", "T")
    assert image.width == 2 * image.height == 100 * POINTS
    (drawing,) = blocks(SVG)
    assert (drawing.width, drawing.height) == (200 * POINTS, 100 * POINTS)
    (note,) = blocks("<img src='gone.png' alt='A'>")
    assert note.text.startswith("The image “A” is not shown: ")
    assert blocks.noted == [note.text.replace("The", "the", 1)]


def test_a_drawing_among_html_keeps_its_names(blocks):
    drawing = "<svg viewBox='0 0 80 40'><linearGradient gradientUnits='userSpaceOnUse'/></svg>"
    (image,) = blocks(drawing)
    assert (image.width, image.height) == (80 * POINTS, 40 * POINTS)
    written = blocks.images.files[image.file].decode()
    assert "<linearGradient gradientUnits" in written
    assert 'xmlns="http://www.w3.org/2000/svg"' in written
    assert blocks("<svg width='0' height='1'><text>words</text></svg>") == [para("words")]


def test_words_of_a_drawing_that_only_browsers_draw_stand_below_it(blocks):
    words = "<text y='9'>drawn</text><foreignObject><p>a label</p></foreignObject>"
    image, note = blocks(f"<svg viewBox='0 0 80 80'>{words}</svg>")
    assert image.words == "drawn"
    assert note.text == "Words of the drawing: a label"
    assert len(blocks.noted) == 1


def test_a_formula_that_cannot_be_set_is_its_source(blocks):
    (found,) = blocks("<p>a $\\nosuch$ b</p>")
    assert text_of(found) == "a \\nosuch b"
    assert "nosuch" in blocks.noted[0]


@pytest.mark.parametrize(
    ("attributes", "width"),
    [
        ("width='30'", 30),
        ("width='30.5px'", 30.5),
        ("style='height: 1px; width: 40px' width='30'", 40),
        ("width='0'", None),
        ("width='50%'", None),
        ("width='100000'", None),
        ("", None),
    ],
)
def test_the_width_of_an_image_is_what_its_style_or_attribute_asks_for(attributes, width):
    assert pixels(LexborHTMLParser(f"<img {attributes}>").css_first("img")) == width
