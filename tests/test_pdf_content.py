"""What a notebook holds reaches the page: one test for each thing that is easily lost."""

import re
import sys
from pathlib import Path

import nbformat.v4 as v4
import pandas as pd
import pypdfium2.raw as pdfium
import pytest

from hw1lib.submission.pdf import TypstPDFExporter
from hw1lib.submission.pdf.markdown import to_page
from tests.fixtures.notebooks import (
    SVG,
    Glyph,
    Printed,
    base64_of,
    bundle,
    code,
    export,
    markdown,
    notebook,
    picture,
    rich,
    stream,
)

LONG = "abcdefghij" * 20


# -- formulas -------------------------------------------------------------------------------


def test_a_bare_align_is_a_formula():
    page = export(markdown("Text\n\\begin{align}\na &= b \\\\\nc &= d\n\\end{align}\nmore"))
    assert "begin" not in page.text
    assert page.glyph("𝑎").middle > page.glyph("𝑐").middle + 5
    assert page.glyph("=", 0).left == pytest.approx(page.glyph("=", 1).left, abs=0.5)


@pytest.mark.parametrize("source", ["$ x $", "\\\\(x\\\\)", "\\\\[x\\\\]", "$$x$$", "$x$"])
def test_every_way_to_mark_a_formula_is_understood(source):
    page = export(markdown(f"Before {source} after"))
    assert "𝑥" in page.text
    assert not set("$\\()[]") & set(page.text)


def test_an_undefined_macro_is_shown_as_its_source_and_named_with_its_cell(caplog):
    page = export(markdown("fine"), markdown("Here $x + \\nosuchmacro{y}$ is"))
    assert page.shows("Here x + \\nosuchmacro{y} is")
    (note,) = page.notes
    assert note.cell == "cell 2"
    assert "\\nosuchmacro" in note.reason
    assert str(note) in caplog.text


@pytest.mark.parametrize("tex", ["\\frac{a}", "x^2^3", "\\begin{nope}x\\end{nope}", "a & b"])
def test_a_malformed_formula_is_shown_as_its_source(tex):
    page = export(markdown(f"$${tex}$$"))
    assert page.shows(tex)
    assert [note.cell for note in page.notes] == ["cell 1"]


def test_numbers_and_references_work_also_before_the_formula():
    page = export(
        markdown("By $\\eqref{eq:b}$ and \\eqref{eq:a}:\n$\\require{cancel}$"),
        markdown(
            "\\begin{align}x &= 1 \\label{eq:a}\\\\ y &= 2 \\nonumber\\\\ z &= 3 \\label{eq:b}"
            "\\end{align}\n\\begin{equation*}w = 4\\end{equation*}"
        ),
    )
    assert page.text.count("(1)") == page.text.count("(2)") == 2
    assert "(3)" not in page.text
    number = page.find("(2)", -1)
    assert number.left > 500
    assert number.bottom == pytest.approx(page.find("𝑧=3").bottom, abs=4)
    assert export(markdown("$x \\tag{7}\\label{e}$ see $\\ref{e}$")).shows("see 7")


def test_a_tag_stands_at_the_margin_of_its_line():
    page = export(markdown("\\begin{align}a &= b \\\\ c &= \\frac{d}{e} \\tag{7}\\end{align}"))
    tag = page.find("(7)")  # the date above may have a 7 too
    assert tag.left > 500
    assert abs(tag.middle - page.glyph("=", 1).middle) < 2
    assert page.shows("(1)")


def lines_and_numbers(page: Printed, count: int) -> list[tuple[Glyph, Glyph]]:
    """Of each numbered line with a `=`: the glyphs of that and of its number."""
    lines = [glyph for glyph in page.glyphs if glyph.char == "="]
    assert len(lines) == count
    return [(line, page.find(f"({i})")) for i, line in enumerate(lines, 1)]


@pytest.mark.parametrize("before", range(36, 46))
def test_the_numbers_of_an_align_go_to_the_next_page_with_their_lines(before):
    filler = "\n\n".join(["words"] * before)
    lines = r" \\ ".join([r"x &= \frac{\partial a}{\partial b}"] * 4)
    page = export(markdown(filler), markdown(f"\\begin{{align}}{lines}\\end{{align}}\n\nend"))
    for line, number in lines_and_numbers(page, 4):
        assert line.page == number.page
        assert line.middle == pytest.approx(number.middle, abs=3)
    assert not page.notes


@pytest.mark.parametrize("first", ["x &= 1", "x &= " + "+".join("y" * 100)], ids=len)
def test_an_align_longer_than_a_page_keeps_its_lines_and_numbers(first):
    lines = r" \\ ".join([first, *[r"x &= \frac{\partial a}{\partial b} \sum_j c_j"] * 59])
    page = export(markdown(f"words\n\n\\begin{{align}}{lines}\\end{{align}}\n\nend"))
    for line, number in lines_and_numbers(page, 60):
        assert line.page == number.page
        assert line.middle == pytest.approx(number.middle, abs=3)
        assert number.bottom > 0
        assert number.right < page.width()
    assert not page.notes


def test_the_words_of_a_tag_stand_in_one_line():
    tags = "chain rule", "sum over the labels, which are one-hot"
    lines = rf"a &= b \tag{{{tags[0]}}}\\ c &= d \tag{{{tags[1]}}}"
    page = export(markdown(f"\\begin{{align}}{lines}\\end{{align}}"))
    for start, end, letter in (("(chain", "rule)", "𝑏"), ("(sum", "hot)", "𝑑")):
        first, last, beside = page.find(start), page.find(end), page.glyph(letter)
        assert beside.right < first.left < last.left < page.width()
        assert first.middle == pytest.approx(last.middle, abs=3)
        assert first.middle == pytest.approx(beside.middle, abs=3)


@pytest.mark.parametrize("terms", [16, 20, 24, 28, 60])
def test_a_number_stands_beside_a_wide_formula_and_not_on_it(terms):
    body = "+".join(["x"] * terms)
    page = export(markdown(f"$${body} \\tag{{a rule}}$$"))
    left, right = page.glyph("𝑥").left, page.glyph("𝑥", -1).right
    assert left > 60
    assert right < page.find("(a").left
    assert page.find("rule)").right < page.width() - 40


def test_a_formula_whose_tag_has_math_is_shown_as_its_source():
    page = export(markdown("$$a = b \\tag{$\\ast$}$$"))
    assert page.shows("a = b \\tag{$\\ast$}")
    (note,) = page.notes
    assert "a \\tag holds words only" in note.reason


@pytest.mark.parametrize(
    "source",
    [
        "| f |\n|---|\n| $\\dfrac{a}{b}$ |\n| $\\dfrac{c}{d}$ |",
        "- $\\dfrac{a}{b}$\n- $\\dfrac{c}{d}$",
        "$\\dfrac{a}{b}$<br>$\\dfrac{c}{d}$",
    ],
)
def test_fractions_one_below_the_other_do_not_touch(source):
    page = export(markdown(source))
    assert page.glyph("𝑏").bottom > page.glyph("𝑐").top + 1


def test_a_fraction_in_a_heading_stands_in_its_line_above_its_rule():
    page = export(markdown("# Title\n\n# Of $\\dfrac{a}{b}$ here\n\nwords"))
    paths = [path.get_bounds() for path in page.objects(pdfium.FPDF_PAGEOBJ_PATH)]
    (rule,) = [bounds for bounds in paths if bounds[2] > 500]
    assert page.glyph("𝑏").bottom > rule[3]
    assert page.find("Of").bottom == pytest.approx(page.find("here").bottom, abs=1)


@pytest.mark.parametrize("source", ["$${}$$", "in a line ${}$ of text"])
def test_a_box_holds_its_formula(source):
    page = export(markdown(source.replace("{}", r"\boxed{\frac{a}{b}}")))
    sides = [path.get_bounds() for path in page.objects(pdfium.FPDF_PAGEOBJ_PATH)]
    assert min(side[1] for side in sides) + 2 < page.glyph("𝑏").bottom
    assert page.glyph("𝑎").top < max(side[3] for side in sides) - 2


def test_a_formula_has_the_colour_it_asks_for():
    page = export(markdown("$\\color{red} x$ $\\textcolor{#00c}{y} z$"))
    assert page.colors()["𝑥"] == "#ff0000"
    assert page.colors()["𝑦"] == "#0000cc"
    assert page.colors()["𝑧"] == "#000000"


def test_the_rules_of_an_array_are_drawn():
    def lines(columns, rule):
        body = f"\\begin{{array}}{{{columns}}}a & b \\\\ {rule} c & d\\end{{array}}"
        return len(export(markdown(f"$${body}$$")).objects(pdfium.FPDF_PAGEOBJ_PATH))

    assert lines("c|c", "\\hline") >= lines("cc", "") + 2


def test_left_dot_and_right_bar_are_stretched():
    plain = export(markdown("$$|$$")).glyph("|").height
    page = export(markdown("$$\\left.\\frac{a}{b}\\right|_{x=0}$$"))
    bars = [glyph for glyph in page.glyphs if glyph.char in "|∣⎸\u23d0"]
    assert max(bar.height for bar in bars) > 1.5 * plain


def test_the_columns_of_cases_are_apart():
    page = export(markdown("$$f = \\begin{cases}u & x > 0\\\\ v & \\text{else}\\end{cases}$$"))
    assert page.glyph("𝑥").left - page.glyph("𝑢").right > 6
    assert page.find("else").left == pytest.approx(page.glyph("𝑥").left, abs=1)


def test_limits_of_a_starred_operator_stand_below_it():
    below = export(markdown("$$\\operatorname*{argmax}_{k} f$$"))
    beside = export(markdown("$$\\operatorname{argmax}_{k} f$$"))
    assert below.glyph("x").left > below.glyph("𝑘").right
    assert beside.glyph("x").right <= beside.glyph("𝑘").left + 0.5


def test_macros_hold_for_the_rest_of_the_notebook():
    page = export(
        markdown(
            "$\\newcommand{\\R}[1]{\\mathbb{R}^{#1}}\\DeclareMathOperator*{\\am}{arg\\,min}$"
        ),
        markdown("$\\R{n}$ and $\\am_x$ $\\def\\v{v}\\v$"),
    )
    assert "ℝ" in page.text
    assert page.shows("arg min".replace(" ", "\u2009"))


def test_a_macro_without_end_is_shown_as_its_source_and_is_no_hang():
    assert "without end" in export(markdown("$\\def\\a{\\a\\a}\\a$")).notes[0].reason


def test_a_display_formula_wider_than_the_page_still_fits():
    terms = "+".join(f"x_{{{i}}}" for i in range(40))
    page = export(
        markdown(f"$${terms}$$\n\\begin{{align}}{terms} &= 1\\\\ a &= b\\end{{align}}")
    )
    assert max(glyph.right for glyph in page.glyphs) < page.width()


def test_dollars_in_code_are_no_formulas():
    page = export(markdown("`$x$` and\n\n```\n$y$\n```\n\nand \\$5 or \\$6"))
    assert page.shows("$x$")
    assert page.shows("$y$")
    assert page.shows("$5 or $6")


# -- HTML -----------------------------------------------------------------------------------


def test_a_pandas_table_is_a_table():
    frame = pd.DataFrame({"name": ["ann", "bob"], "score": [1.5, 22.25]})
    page = export(code("df", rich(text_html=frame._repr_html_(), text_plain=str(frame))))
    assert page.text.count("ann") == 1
    assert page.find("0", -1).right == pytest.approx(page.find("5", -1).right, abs=1)


def test_a_styled_pandas_table_keeps_its_colours():
    html = (
        "<style>#T_1_row0_col0 {color: red; background-color: #ffff00;}</style>"
        "<table id='T_1'><thead><tr><th>head</th></tr></thead>"
        "<tbody><tr><td id='T_1_row0_col0'>alarm</td></tr></tbody></table>"
    )
    page = export(code("style", rich(text_html=html)))
    assert page.colors()["alarm"] == "#ff0000"
    assert "head" in page.text


@pytest.mark.parametrize(
    "html",
    [
        "<table><tr><td style='color: red'>draft</td></tr></table>",
        "<table><tr style='color:red'><td>draft</td></tr></table>",
        "<span style='color: #f00'>draft</span>",
        "<b style='color:rgb(255, 0, 0)'>draft</b>",
        "<p><font color='red'>draft</font></p>",
        "<div style='color:red'><p>draft</p></div>",
    ],
)
def test_red_text_of_html_is_red(html):
    assert export(code("x", rich(text_html=html))).colors()["draft"] == "#ff0000"


def test_a_long_table_repeats_its_header_on_each_page():
    frame = pd.DataFrame({"quantity": range(120)})
    with pd.option_context("display.max_rows", None):
        page = export(code("df", rich(text_html=frame._repr_html_())))
    assert len(page.pages) > 1
    assert all("quantity" in text for text in page.pages)


ANSWER = "The filter answers to an edge that is bright and dark, and rests elsewhere. " * 16


def test_a_table_of_few_rows_that_is_taller_than_a_page_goes_on_over_it():
    rows = "".join(f"<tr><td>{i}</td><td>{ANSWER}end{i}.</td></tr>" for i in range(12))
    html = f"<table>{rows}</table>"
    shown = v4.new_output("execute_result", data={"text/html": html}, execution_count=3)
    page = export(markdown(html), code("df", shown))
    assert not page.notes
    assert [page.text.count(f"end{i}.") for i in range(12)] == [2] * 12
    assert sum("Out[3]" in text for text in page.pages) == 1


def test_a_table_of_few_pictures_shows_them_all():
    cell = markdown("| a |\n|---|\n" + "".join(f"| ![](attachment:{i}) |\n" for i in range(6)))
    cell.attachments = {
        str(i): {"image/png": base64_of(picture(300 + i, 300))} for i in range(6)
    }
    page = export(cell)
    assert page.images() == [(300 + i, 300) for i in range(6)]
    assert all(o.get_bounds()[1] > 0 for o in page.objects(pdfium.FPDF_PAGEOBJ_IMAGE))
    assert not page.notes


def test_a_table_of_200_columns_is_shown_in_full_with_its_index():
    frame = pd.DataFrame([[f"v{i}" for i in range(200)]], index=["row"])
    frame.columns = [f"c{i}" for i in range(200)]
    with pd.option_context("display.max_columns", None):
        page = export(code("df", rich(text_html=frame._repr_html_())))
    words = set(page.text.split())
    assert {f"c{i}" for i in range(200)} | {f"v{i}" for i in range(200)} <= words
    assert page.text.count("row") > 5
    assert "of 200" in page.text


def test_spans_of_a_table_are_kept():
    columns = pd.MultiIndex.from_product([["left", "right"], ["x", "y"]])
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=columns)
    page = export(code("df", rich(text_html=frame._repr_html_())))
    assert page.text.count("left") == page.text.count("right") == 1
    assert page.find("left").left < page.find("y").left < page.find("right").left


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        (
            "<details><summary>Hint</summary>\n\nhidden *words*\n\n</details>",
            "Hint hidden words",
        ),
        ("<div align='center'><b>middle</b></div>", "middle"),
        ("H<sub>2</sub>O and <kbd>Ctrl</kbd>", "H2O and Ctrl"),
        ("<table><tr><td>\n\n**strong**\n\n</td></tr></table>", "strong"),
        ("<dl><dt>term</dt><dd>meaning</dd></dl>", "term meaning"),
        ("<button>press</button> <select><option>one</option></select>", "press one"),
        ("<article><header>top</header>body</article>", "top body"),
        ("unclosed <b>bold <i>both", "unclosed bold both"),
        ("a <custom-tag>strange</custom-tag> tag", "a strange tag"),
        ("- [ ] open\n- [x] done", "☐ open"),
    ],
)
def test_html_in_markdown_keeps_its_text(source, shown):
    assert export(markdown(source)).shows(shown)


def test_a_frame_or_player_leaves_a_note():
    page = export(
        code("v", rich(text_html="<iframe src='https://example.org/v'></iframe>text"))
    )
    assert page.shows("iframe element (https://example.org/v) lives in the notebook only")
    assert page.shows("text")


# -- images ---------------------------------------------------------------------------------


def test_png_and_jpeg_outputs_are_there_and_no_wider_than_the_text():
    page = export(
        code(
            "plot",
            rich(png=base64_of(picture(3000, 300)), text_plain="<Figure>"),
            rich(jpeg=base64_of(picture(64, 48, "JPEG"))),
        )
    )
    assert sorted(page.images()) == [(64, 48), (3000, 300)]
    for image in page.objects(pdfium.FPDF_PAGEOBJ_IMAGE):
        left, _, right, _ = image.get_bounds()
        assert left > 60
        assert right < page.width() - 40
    assert "<Figure>" not in page.text


def test_an_svg_output_stays_a_drawing():
    page = export(code("plot", rich(svg=SVG, png=base64_of(picture()))))
    assert page.images() == []
    assert page.objects(pdfium.FPDF_PAGEOBJ_FORM) or page.objects(pdfium.FPDF_PAGEOBJ_PATH)


def test_a_pdf_output_stays_a_drawing():
    drawing = export(markdown("inside of the figure")).pdf
    page = export(code("plot", bundle({"application/pdf": base64_of(drawing)})))
    assert page.images() == []
    assert page.shows("inside of the figure")


def test_an_attachment_is_shown():
    cell = markdown("![dog](attachment:my%20dog.png)")
    cell.attachments = {"my dog.png": {"image/png": base64_of(picture(33, 22))}}
    assert export(cell).images() == [(33, 22)]


def test_an_image_file_beside_the_notebook_is_shown(tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "a b.png").write_bytes(picture(31, 21))
    cells = markdown("![](figures/a%20b.png)"), markdown("<img src='figures/a b.png' width=20>")
    page = export(*cells, folder=tmp_path)
    assert page.images() == [(31, 21), (31, 21)]


def test_an_image_that_is_missing_or_broken_is_named_on_the_page(caplog, tmp_path):
    broken = rich(png=base64_of(b"\x89PNG no image"))
    page = export(markdown("![my chart](gone.png)"), code("plot", broken), folder=tmp_path)
    assert page.shows("The image “my chart” is not shown: there is no file gone.png")
    assert page.shows("An image (image/png) is not shown")
    assert "cell 1" in caplog.text
    assert "cell 2" in caplog.text


def test_an_image_beside_a_notebook_whose_folder_is_not_known_has_other_advice():
    page = export(markdown("![my chart](chart.png)"))
    assert page.shows("The image “my chart” is not shown: the folder of chart.png is not known")
    (note,) = page.notes
    assert note.advice.startswith("Drag the picture into the cell")


def test_an_image_of_10_000_pixels_is_made_smaller_and_shown():
    page = export(code("plot", rich(png=base64_of(picture(10_000, 50)))))
    assert page.images() == [(4000, 20)]


def test_a_very_tall_image_fits_on_a_page():
    page = export(code("plot", rich(png=base64_of(picture(50, 3000)))))
    _, bottom, _, top = page.objects(pdfium.FPDF_PAGEOBJ_IMAGE)[0].get_bounds()
    assert 0 < bottom < top < 842


@pytest.mark.parametrize("kind", ["GIF", "BMP", "WEBP", "TIFF"])
def test_other_image_formats_are_shown(kind, tmp_path):
    (tmp_path / "x").write_bytes(picture(30, 20, kind))
    assert export(markdown("![](x)"), folder=tmp_path).images() == [(30, 20)]


def test_a_caption_stands_under_its_figure():
    cell = code("#| fig-cap: Loss against epochs\nplot()", rich(png=base64_of(picture())))
    page = export(cell)
    _, bottom, _, _ = page.objects(pdfium.FPDF_PAGEOBJ_IMAGE)[0].get_bounds()
    captions = [g for g in page.glyphs if g.char == "L"]
    assert captions[-1].top < bottom


# -- text that does not fit -----------------------------------------------------------------


def test_a_token_of_200_characters_wraps_wherever_it_stands():
    page = export(
        markdown(f"Prose {LONG} and `{LONG}` and https://example.org/{LONG}"),
        code(f"x = '{LONG}'\n{'name.' * 40}", stream(LONG), rich(text_html=f"<td>{LONG}</td>")),
        markdown(f"| a |\n|---|\n| {LONG} |\n\n# {LONG}\n\n> - {LONG}"),
    )
    assert max(glyph.right for glyph in page.glyphs) < page.width() - 40
    assert page.text.replace("\r\n", "").replace(" ", "").count(LONG) == 9


def test_wrapping_adds_nothing_to_the_text_that_is_copied():
    page = export(code("x = " + LONG))
    assert "\u200b" not in page.text


def test_output_of_10_000_lines_is_cut_with_a_line_that_says_so():
    text = "\n".join(f"line {i}" for i in range(10_000))
    page = export(code("loop", stream(text)))
    assert page.shows("line 799")
    assert page.shows("9000 of 10000 lines are cut; cell 1 of the notebook has all.")
    assert page.shows("line 9999")
    assert not page.shows("line 805")


def test_the_limit_of_lines_is_an_option():
    page = export(code("loop", stream("\n".join(map(str, range(30))))), max_lines=10)
    assert page.shows("20 of 30 lines are cut")


def test_a_long_table_is_cut_with_a_line_that_says_so():
    rows = "".join(f"<tr><td>row{i}end</td></tr>" for i in range(60))
    page = export(code("t", rich(text_html=f"<table>{rows}</table>")), max_lines=20)
    assert page.shows("40 of 60 rows are cut")
    assert page.shows("row0end")
    assert page.shows("row59end")


# -- outputs --------------------------------------------------------------------------------


def test_a_widget_shows_its_text():
    view = {"application/vnd.jupyter.widget-view+json": {"model_id": "m"}}
    page = export(code("w", bundle(view | {"text/plain": "IntSlider(value=3)"})))
    assert page.shows("IntSlider(value=3)")
    assert "model_id" not in page.text


def test_plotly_shows_its_picture_or_a_note():
    data = {
        "application/vnd.plotly.v1+json": {"data": [1]},
        "text/html": "<script>x()</script>",
    }
    page = export(code("a", bundle(data | {"image/png": base64_of(picture(44, 33))})))
    assert page.images() == [(44, 33)]
    page = export(code("a", bundle(data)))
    assert page.shows("interactive output (application/vnd.plotly.v1+json)")
    assert "x()" not in page.text


def test_html_that_is_one_picture_shows_it_and_not_its_name():
    html = f'<img src="data:image/png;base64,{base64_of(picture(44, 33))}">'
    page = export(code("p", bundle({"text/html": html, "text/plain": "<Picture>"})))
    assert page.images() == [(44, 33)]
    assert not page.shows("<Picture>")


def test_a_script_leaves_a_note():
    page = export(
        code("js", bundle({"application/javascript": "alert(1)", "text/plain": "<JS>"}))
    )
    assert page.shows("<JS>")
    assert export(code("js", bundle({"application/javascript": "alert(1)"}))).shows(
        "interactive"
    )


def test_progress_lines_show_their_last_state_only():
    page = export(code("bar", stream("10%\r 50%\r100%\nabc\b\bX\n")))
    assert page.shows("100%")
    assert "50%" not in page.text
    assert page.shows("aXc")


def test_ansi_colours_are_kept():
    text = (
        "\x1b[31mred\x1b[0m \x1b[38;5;196mpalette\x1b[39m \x1b[38;2;0;0;255mtrue\x1b[0m plain"
    )
    colors = export(code("c", stream(text))).colors()
    assert colors["red"] == "#e75c58"
    assert colors["palette"] == "#ff0000"
    assert colors["true"] == "#0000ff"
    assert colors["plain"] == "#000000"


def test_the_sixteen_ansi_colours_are_those_of_nbconverts_html():
    style = Path(sys.prefix, "share/jupyter/nbconvert/templates/classic/static/style.css")
    names = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")
    names = [*names, *(f"{name}-intense" for name in names)]
    found = dict(re.findall(r"\.ansi-(\S+)-fg\s*{\s*color:\s*(#\w+)", style.read_text("utf-8")))
    codes = (*range(30, 38), *range(90, 98))
    words = {
        f"word{code}x": found[name].lower() for code, name in zip(codes, names, strict=True)
    }
    text = "".join(f"\x1b[{word[4:6]}m{word}\x1b[0m\n" for word in words)
    colors = export(code("c", stream(text))).colors()
    assert {word: colors[word] for word in words} == words


def test_a_traceback_is_shown_without_escape_codes():
    trace = ["\x1b[31mZeroDivisionError\x1b[39m  Traceback", "\x1b[32m----> 1\x1b[39m 1/0"]
    error = v4.new_output("error", ename="ZeroDivisionError", evalue="no", traceback=trace)
    page = export(code("1/0", error))
    assert page.shows("----> 1 1/0")
    assert "[31m" not in page.text


def test_a_latex_output_is_a_formula():
    page = export(code("s", rich(text_latex="\\frac{a}{b}"), rich(text_latex="$\\pi$")))
    assert "𝑎" in page.text
    assert "𝜋" in page.text


def test_a_fenced_block_of_a_markdown_output_is_highlighted():
    page = export(code("show", rich(text_markdown="Text\n\n```python\ndef f(): pass\n```")))
    assert page.colors()["def"] == "#008000"


# -- scripts and symbols --------------------------------------------------------------------


def test_hebrew_and_arabic_are_set_from_right_to_left():
    page = export(markdown("שלום world\n\nمرحبا"), code("s = 'שלום'", stream("שלום")))
    shin = page.glyph("ש")
    assert shin.left > page.glyph("ם").left
    assert shin.left > page.glyph("w").left
    assert shin.left > 400
    assert "U+" not in page.text


@pytest.mark.parametrize(
    "html",
    [
        "<p dir='rtl'>ReLU היא</p>",
        "<div dir='rtl'><section><p>ReLU היא</p></section></div>",
        "<div style='direction: rtl'><ul><li>ReLU היא</li></ul></div>",
        "<div dir='ltr'><h3 dir='RTL'>ReLU היא</h3></div>",
        "<style>p {direction: rtl}</style><p>ReLU היא</p>",
    ],
)
def test_a_direction_that_html_gives_overrides_the_first_letter(html):
    page = export(code("x", rich(text_html=html)))
    assert page.find("ReLU").left > page.glyph("ה").right
    assert page.find("ReLU").left > 450


def test_the_nearest_direction_counts_and_ends_with_its_tag():
    page = export(
        markdown(
            '<div dir="rtl">\n\nCNN היא\n\n<p dir="ltr">שלום first</p>\n\n'
            "<p dir='auto'>second</p>\n\n</div>\n\nthird"
        )
    )
    assert page.find("CNN").left > 500
    assert page.glyph("ש").right < page.find("first").left < 200
    assert page.find("second").left < 100
    assert page.find("third").left < 100


def test_a_table_that_html_gives_a_direction_runs_in_it():
    html = "<table dir='rtl'><tr><td>first</td><td>second</td></tr></table>"
    page = export(code("x", rich(text_html=html)))
    assert page.find("first").left > page.find("second").left > 400


def test_a_hebrew_table_of_markdown_stands_right_and_runs_from_right_to_left():
    page = export(markdown("| שם | ציון |\n|---|---|\n| דנה | 95 |"))
    name, mark, right = page.glyph("ש"), page.find("95"), page.width() - 23 * 72 / 25.4
    assert mark.right < name.left
    assert name.right > right - 20
    html = "<table><tr><th>שם</th><th>ציון</th></tr><tr><td>דנה</td><td>95</td></tr></table>"
    shown = export(code("df", rich(text_html=html)))  # as a browser shows it
    assert shown.glyph("ש").right < shown.find("95").left


def test_box_drawing_and_symbols_have_glyphs():
    page = export(code("t", stream("┌─┐│└┘█░ ✓ → ∑ λ é ё")), markdown("┌─┐ ✓ → ∑ λ"))
    assert "U+" not in page.text
    assert page.shows("┌─┐│└┘█░ ✓ → ∑ λ é ё")


def test_a_character_without_a_glyph_is_a_visible_code_point_and_a_warning(caplog):
    char = "\U00012000"  # a cuneiform sign
    page = export(markdown(f"a{char}b ${char}$"), code(f"'{char}'", stream(char)))
    assert page.text.count("U+12000") == 4
    assert "U+12000" in caplog.text


def test_control_characters_and_lone_surrogates_are_visible():
    page = export(code("x", stream("a\x0cb\x07c\ud83d")), markdown("d\x0ce\udc00"))
    assert page.shows("a⟨U+000C⟩b⟨U+0007⟩c") or "U+000C" in page.text
    assert "U+D83D" in page.text


# -- cells ----------------------------------------------------------------------------------


def test_raw_cells_are_shown_as_they_are_or_named_when_for_another_format():
    page = export(
        v4.new_raw_cell("as *it* is"),
        v4.new_raw_cell("\\LaTeX", metadata={"raw_mimetype": "text/latex"}),
    )
    assert page.shows("as *it* is")
    assert "LaTeX" not in page.text
    assert page.shows("A raw cell for text/latex only is not printed.")


@pytest.mark.parametrize("spelling", ["remove-cell", "remove_cell"])
def test_remove_cell_removes_source_and_output(spelling):
    page = export(code("secret", stream("output"), tags=(spelling,)), markdown("rest"))
    assert "secret" not in page.text
    assert "output" not in page.text


def test_remove_input_and_remove_output_remove_what_they_name():
    page = export(
        code("source1", stream("printed1"), tags=("remove-input",)),
        code("source2", stream("printed2"), tags=("remove-output",)),
    )
    assert "source1" not in page.text
    assert "printed1" in page.text
    assert "source2" in page.text
    assert "printed2" not in page.text


def test_remove_stderr_removes_one_stream():
    outputs = stream("warned", "stderr"), stream("printed")
    page = export(code("x", *outputs, tags=("remove-stderr",)))
    assert "warned" not in page.text
    assert "printed" in page.text


def test_what_hide_tags_fold_on_a_screen_is_on_paper():
    page = export(code("folded", stream("away"), tags=("hide-input", "hide-output")))
    assert "folded" in page.text
    assert "away" in page.text


def test_prompts_stand_beside_their_cells():
    result = v4.new_output("execute_result", data={"text/plain": "42"}, execution_count=1)
    page = export(code("6 * 7", result), v4.new_code_cell("never_ran"))
    assert page.text.index("In [1]:") < page.text.index("6 * 7") < page.text.index("Out[1]:")
    assert "In [ ]:" in page.text
    assert page.glyph("I").left < page.find("6*7").left - 20


def test_text_that_looks_like_markdown_numbers_or_metadata_stays():
    page = export(
        markdown("---\ntitle: kept\n---\n\n: colon :smile: [^1] ~a~ {.class} \\alpha")
    )
    assert page.shows("title: kept")
    assert page.shows(":smile: [^1]")
    assert page.shows("{.class}")


def test_an_empty_notebook_is_a_pdf():
    assert len(export().pages) == 1


def test_a_link_to_a_missing_place_is_plain_text_and_others_work():
    page = export(
        markdown(
            "# First Part\n\n[gone](#nowhere) [back](#First-Part) [web](https://example.org)"
        ),
        markdown("## Sub\n\n## Sub\n\n[sub](#Sub)"),
    )
    links = sum(
        page.document.raw is not None and pdfium.FPDFPage_GetAnnotCount(p)
        for p in page.document
    )
    assert page.shows("gone back web")
    assert links == 3


def test_highlighting_keeps_every_character_of_any_language():
    sources = {"python": "%%time\n!ls {x} ?\nx = f'{a!r:>{w}}'", "c++": "int *p = &a[0];  //"}
    for language, source in sources.items():
        cell = v4.new_code_cell(source)
        pdf, _ = TypstPDFExporter().from_notebook_node(
            notebook(cell, language_info={"name": language})
        )
        assert Printed(pdf).shows(source)


def test_a_table_at_the_end_of_a_cell_keeps_its_last_row():
    page = to_page("| a | b |\n|---|---|\n| 1 | 2 |\n| 3 | 4 |")
    assert page.html.count("<tr>") == 3
    assert "|" not in page.html
