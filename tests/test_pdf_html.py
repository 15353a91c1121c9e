"""HTML becomes the blocks and inlines that the template typesets, one element at a time."""

import pytest

from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.html import Context, css_color, pixels, to_blocks
from hw1lib.submission.pdf.html import parsed as tree
from hw1lib.submission.pdf.images import POINTS, Images
from hw1lib.submission.pdf.tex import Notation
from tests.fixtures.notebooks import SVG


@pytest.fixture
def blocks(tmp_path):
    """blocks(html): what becomes of it; what was warned of is in blocks.warned."""

    def convert(html):
        convert.warned = []
        images = Images(tmp_path, None)
        return to_blocks(html, Context(Glyphs(), images, Notation(), convert.warned.append))

    return convert


def para(*content):
    return {"t": "para", "c": [*content]}


def styled(*content, **style):
    return {"t": "style", "c": [*content], **style}


STYLED = {
    "bold": "b strong",
    "italic": "i em cite var dfn",
    "underline": "u ins",
    "strike": "s del strike",
    "code": "code kbd samp tt",
    "sub": "sub",
    "super": "sup",
    "small": "small",
}


@pytest.mark.parametrize(
    ("tag", "style"), [(tag, style) for style, tags in STYLED.items() for tag in tags.split()]
)
def test_an_inline_element_has_its_style(blocks, tag, style):
    assert blocks(f"a <{tag}>b</{tag}>") == [para("a ", styled("b", **{style: True}))]


@pytest.mark.parametrize("tag", ["dt", "legend", "summary"])
def test_a_title_among_blocks_is_bold(blocks, tag):
    assert blocks(f"<{tag}>a</{tag}>") == [{"t": "group", "c": [para("a")], "bold": True}]


PARTING = (
    "address article aside body center dialog div dl fieldset footer form header hgroup html "
    "main nav optgroup option p search section"
)


@pytest.mark.parametrize("tag", PARTING.split())
def test_a_block_parts_the_text_around_it(blocks, tag):
    first, middle, last = blocks(f"a<{tag}>b</{tag}>c")
    assert (first, last) == (para("a"), para("c"))
    centred = {"t": "group", "c": [para("b")], "align": "center"}
    assert middle == (centred if tag == "center" else para("b"))


@pytest.mark.parametrize(
    "hidden",
    [
        *(
            f"<{tag}>b</{tag}>"
            for tag in (
                "script",
                "style",
                "head",
                "template",
                "noframes",
                "datalist",
                "colgroup",
            )
        ),
        *("<col>", "<!-- b -->", "<!DOCTYPE html>", "<![CDATA[b]]>"),
    ],
)
def test_what_no_browser_shows_is_left_out(blocks, hidden):
    assert blocks(hidden) == []
    assert blocks(f"a{hidden}c") == [para("a", "c")]


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<h3>A b</h3>", {"t": "heading", "level": 3, "c": ["A b"], "id": "a-b"}),
        ("<hr>", {"t": "rule"}),
        ("<blockquote>a</blockquote>", {"t": "quote", "c": [para("a")]}),
        ("<ul><li>a</li>b</ul>", {"t": "list", "items": [[para("a")], [para("b")]]}),
        ("<menu><li>a</menu>", {"t": "list", "items": [[para("a")]]}),
        ("<ol><li>a</ol>", {"t": "list", "items": [[para("a")]], "start": 1}),
        ("<ol start='7'><li>a</ol>", {"t": "list", "items": [[para("a")]], "start": 7}),
        ("<ol start='x'><li>a</ol>", {"t": "list", "items": [[para("a")]], "start": 1}),
        ("<dd>a</dd>", {"t": "indent", "c": [para("a")]}),
        ("<details>a</details>", {"t": "details", "c": [para("a")]}),
        ("<figure>a</figure>", {"t": "keep", "c": [para("a")]}),
        ("<figcaption>a</figcaption>", {"t": "caption", "c": ["a"]}),
        ("<caption>a</caption>", {"t": "caption", "c": ["a"]}),
        ("<p align='right'>a</p>", {"t": "group", "c": [para("a")], "align": "right"}),
        ("<p dir='x'>שלום</p>", {**para("שלום"), "rtl": True}),
    ],
)
def test_a_block_is_this_for_the_template(blocks, html, expected):
    assert blocks(html) == [expected]


@pytest.mark.parametrize("html", ["<h2> </h2>", "<ul></ul>", "<ol></ol>", "<p> \n </p>", ""])
def test_what_is_empty_leaves_no_block(blocks, html):
    assert blocks(html) == []


def test_preformatted_text_keeps_its_lines(blocks):
    (found,) = blocks("<pre>\na\n  b\n\n</pre>")
    assert found["t"] == "code"
    assert len(found["lines"]) == 2
    plain, python = (blocks(f"<pre {name}>def f</pre>") for name in ("", "class='python'"))
    assert plain != python == blocks("<pre><code class='language-python'>def f</code></pre>")


@pytest.mark.parametrize(
    ("html", "expected"),
    [
        ("<br>b", {"t": "br"}),
        ("<wbr>b", "\u200b"),
        ("<q>a</q>b", "“"),
        ("<mark>a</mark>b", styled("a", background="#fff59d")),
        ("<a href='#A_b'>a</a>b", {"t": "link", "to": "a-b", "c": ["a"]}),
        ("<a href='http://x.y'>a</a>b", {"t": "link", "url": "http://x.y", "c": ["a"]}),
        ("<a href='MAILTO:x'>a</a>b", {"t": "link", "url": "MAILTO:x", "c": ["a"]}),
        ("<a href='ftp://x'>a</a>b", {"t": "link", "url": "ftp://x", "c": ["a"]}),
        ("<a href='file:x'>a</a>b", "a"),
        ("<a>a</a>b", "a"),
        ("<a name='N'></a>b", {"t": "anchor", "id": "n"}),
        ("<span id='N'>a</span>b", {"t": "anchor", "id": "n"}),
        ("<input type='checkbox'>b", "☐ "),
        ("<input type='Radio' checked>b", "☑ "),
        ("<input value='a'>b", "a"),
        ("<input type='hidden' value='a'>b", "b"),
        ("<font color='red'>a</font>b", styled("a", color="#ff0000")),
    ],
)
def test_an_inline_element_is_this_for_the_template(blocks, html, expected):
    (found,) = blocks(html)
    assert found["c"][0] == expected
    assert found["c"][-1] == "b"


def test_an_anchor_is_given_once(blocks):
    first, second = blocks("<h1>Same</h1><h1>Same</h1>")
    assert (first["id"], second["id"]) == ("same", None)


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
    def group(*content):
        return [{"t": "group", "c": [*content], **style}] if style else [*content]

    assert blocks(f"<p style='{css}'>a</p>") == group(para("a"))
    assert blocks(f"<style>.x {{{css}}}</style><p class='x'>a</p>") == group(para("a"))
    anchor = {"t": "anchor", "id": "x"}
    assert blocks(f"<style>#x, #y {{{css}}}</style><p id='x'>a</p>") == group(anchor, para("a"))
    style = {name: value for name, value in style.items() if name != "align"}
    assert blocks(f"<span style='{css}'>a</span>") == [
        para(styled("a", **style) if style else "a")
    ]


@pytest.mark.parametrize(
    ("written", "color"),
    [
        *(
            (word, None)
            for word in ("transparent", "inherit", "initial", "none", "currentcolor")
        ),
        ("rgba(255, 0, 0, 0.04)", None),
        ("rgba(255, 0, 0, 0.05)", "#ff0000"),
        ("rgb(1, 2, 3)", "#010203"),
        ("", None),
    ],
)
def test_a_colour_of_css_is_written_in_hexadecimal(written, color):
    assert css_color(written) == color


@pytest.mark.parametrize(
    "tag", ["iframe", "video", "audio", "embed", "object", "canvas", "applet"]
)
def test_a_player_leaves_a_note_of_where_it_leads(blocks, tag):
    def note(text):
        return {"t": "note", "c": [text]}

    lives = "lives in the notebook only."
    assert blocks(f"<{tag} src='f.x'></{tag}>") == [note(f"A {tag} element (f.x) {lives}")]
    assert blocks(f"<{tag} data='f.x'></{tag}>") == [note(f"A {tag} element (f.x) {lives}")]
    assert blocks(f"<{tag} src='data:,x'></{tag}>") == [note(f"A {tag} element {lives}")]
    if tag != "embed":  # the only one without content
        inner = blocks(f"<{tag}><source src='f.x'>words</{tag}>")
        assert inner == [para("words"), note(f"A {tag} element (f.x) {lives}")]


def test_an_image_has_its_size_text_and_title(blocks):
    data = f"data:image/svg+xml,{SVG.replace('#', '%23')}"
    (image,) = blocks(f"<img src='{data}' width='100px' alt='A' title='T'>")
    assert (image["t"], image["alt"], image["caption"]) == ("figure", "A", "T")
    assert image["w"] == 2 * image["h"] == 100 * POINTS
    (drawing,) = blocks(SVG)
    assert (drawing["t"], drawing["w"], drawing["h"]) == ("figure", 200 * POINTS, 100 * POINTS)
    (note,) = blocks("<img src='gone.png' alt='A'>")
    assert note["t"] == "note"
    assert note["c"][0].startswith("The image “A” is not shown: ")
    assert blocks.warned == [
        note["c"][0].removesuffix(".").replace("The image “A”", "an image")
    ]


def test_a_drawing_among_html_keeps_its_names(blocks, tmp_path):
    drawing = "<svg viewBox='0 0 80 40'><linearGradient gradientUnits='userSpaceOnUse'/></svg>"
    (image,) = blocks(drawing)
    assert (image["w"], image["h"]) == (80 * POINTS, 40 * POINTS)
    written = (tmp_path / image["file"]).read_text()
    assert "<linearGradient gradientUnits" in written
    assert 'xmlns="http://www.w3.org/2000/svg"' in written
    assert blocks("<svg viewBox='0 0 0 0'><text>words</text></svg>") == [para("words")]


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
    assert pixels(tree(f"<img {attributes}>").img) == width
