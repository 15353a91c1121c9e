"""A notebook is untrusted: it reads no files, runs no code, injects no Typst, goes nowhere."""

import base64
from dataclasses import replace

import nbformat.v4 as v4
import pypdfium2.raw as pdfium
import pytest
from nbformat import NotebookNode

from hw1lib.submission.pdf import TypstPDFExporter
from hw1lib.submission.pdf.tex import Notation
from tests.fixtures.notebooks import (
    Printed,
    bundle,
    code,
    export,
    markdown,
    notebook,
    picture,
    rich,
    stream,
)
from tests.fixtures.pngs import png

# Each would stop the compiler with "panicked" or print a file, were it read as Typst.
INJECTIONS = [
    '#panic("injected")',
    '#read("/etc/passwd")',
    "$#panic()$",
    '"); panic("injected',
    "\\u{23}panic()",
    "]#panic()[",
    "*/ #panic() /*",
    "= heading\n- list\n+ enum\n/ term: x",
    "<label> @reference ~ -- --- ... `raw` ```typ #panic()```",
    "//comment that swallows the line",
]


@pytest.fixture
def secret(tmp_path):
    """A picture beside the notebook's folder, and that folder."""
    (tmp_path / "secret.png").write_bytes(picture(77, 66))
    folder = tmp_path / "notebook"
    folder.mkdir()
    return tmp_path / "secret.png", folder


@pytest.mark.parametrize("text", INJECTIONS)
def test_typst_in_code_outputs_and_tables_is_text(text):
    html = f"<table><tr><td>{text.replace('<', '&lt;')}</td></tr></table>"
    page = export(code(text, stream(text), rich(text_html=html)))
    for line in text.splitlines():
        assert page.shows(line)


@pytest.mark.parametrize("text", [text for text in INJECTIONS if "$" not in text])
def test_typst_in_markdown_is_text(text):
    page = export(markdown(text), markdown(f"# {text}\n\n`{text}`\n\n[{text}](#a)\n\n> {text}"))
    assert page.shows("panic") == ("panic" in text)
    assert "root:" not in page.text


@pytest.mark.parametrize(
    "tex",
    [
        "\\text{\"#panic(\\\"x\\\")\"}",
        "\\text{\\\\\"#panic()}",
        "\\operatorname{\")#panic(}",
        "\\mathrm{a\")}",
        "x \\tag{\") + read(\"/etc/passwd\")}",
        "\\label{\"#panic()} x",
        "\\eqref{a\", panic())#}",
        "\\begin{array}{c#panic()} a \\end{array}",
        "read(\"/etc/passwd\") \\quad panic()",
        "\\text{$\"$}",
    ],
)  # fmt: skip
def test_typst_in_formulas_is_text_or_an_error_of_the_formula(tex):
    page = export(markdown(f"$${tex}$$"))
    shown = page.text + "".join(map(str, page.notes))
    assert "panicked" not in shown
    assert "root:" not in shown


@pytest.mark.parametrize("name", ["#panic()", '"; panic("', '[#read("/etc/passwd")]'])
def test_typst_in_metadata_is_text(name):
    node = notebook(markdown("text"), title=name, authors=[{"name": name}], provenance=name)
    pdf, _ = TypstPDFExporter().from_notebook_node(node)
    assert Printed(pdf).text.count(name) == 3


@pytest.mark.parametrize(
    "source",
    [
        "![]({secret})",
        "![](../secret.png)",
        "![](..%2fsecret.png)",
        "![](file://{secret})",
        "![](link.png)",
        "![](deep/../../secret.png)",
        "<img src='{secret}'>",
        "<img src='../secret.png'>",
        "![](attachment:../secret.png)",
        "<object data='../secret.png'></object><embed src='../secret.png'>",
    ],
)
def test_an_image_outside_of_the_notebooks_folder_is_not_read(source, secret):
    path, folder = secret
    (folder / "link.png").symlink_to(path)
    page = export(markdown(source.replace("{secret}", str(path))), folder=folder)
    assert page.images() == []
    assert "not" in page.text


def test_without_a_known_folder_no_file_is_read(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_bytes(picture())
    monkeypatch.chdir(tmp_path)
    assert export(markdown("![](x.png)")).images() == []


@pytest.mark.parametrize(
    "target", ["{secret}", "file://{secret}", "../secret.png", "secret.png"]
)
def test_an_svg_cannot_pull_in_files(target, secret):
    path, folder = secret
    link = target.replace("{secret}", str(path))
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'width="90" height="90"><image xlink:href="{link}" href="{link}" width="9"/>'
        "</svg>"
    )
    assert export(code("plot", rich(svg=svg)), folder=folder).images() == []


LAUGHS = [f"<!ENTITY {b} '{f'&{a};' * 10}'>" for a, b in zip("abcd", "bcde", strict=True)]


@pytest.mark.parametrize(
    "declaration",
    [
        '<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]>',
        f"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'>{''.join(LAUGHS)}]>",
    ],
    ids=["external", "exponential"],
)
def test_entities_of_an_svg_read_no_file_and_fill_no_memory(declaration):
    svg = f'{declaration}<svg xmlns="http://www.w3.org/2000/svg"><text y="9">&e;</text></svg>'
    page = export(code("plot", rich(svg=svg)))
    assert page.shows("An image (image/svg+xml) is not shown")
    assert "root:" not in page.text


def test_no_address_is_fetched(monkeypatch):
    """The tests' own guard fails on any connection; the page names the address instead."""
    address = "https://example.org/a.png"
    page = export(
        markdown(f"![chart]({address}) <iframe src='{address}'></iframe>"),
        code(
            "x", rich(text_html=f"<img src='{address}'><link rel=stylesheet href='{address}'>")
        ),
    )
    assert page.images() == []
    assert page.shows(f"it is not in the notebook but at {address}")


@pytest.mark.parametrize(
    "url", ["javascript:alert(1)", "file:///etc/passwd", "data:text/html,x"]
)
def test_only_harmless_links_are_links(url):
    page = export(markdown(f"[text](<{url}>) <a href='{url}'>more</a>"))
    assert page.shows("text more")
    assert sum(pdfium.FPDFPage_GetAnnotCount(p) for p in page.document) == 0


def test_raw_blocks_and_latex_commands_are_not_obeyed():
    page = export(
        markdown("```{=typst}\n#panic()\n```\n\n`#panic()`{=typst} \\input{/etc/passwd}"),
        markdown("::: {include=/etc/passwd}\n:::\n\n.. include:: /etc/passwd"),
    )
    assert page.text.count("#panic()") == 2
    assert "root:" not in page.text


def test_a_name_in_an_attachment_cannot_leave_the_working_folder(tmp_path):
    cell = markdown("![](attachment:../../evil.png)")
    cell.attachments = {
        "../../evil.png": {"image/png": base64.b64encode(picture(12, 13)).decode()}
    }
    assert export(cell, folder=tmp_path).images() == [(12, 13)]
    assert list(tmp_path.iterdir()) == []


def test_an_image_that_unpacks_to_gigabytes_is_refused():
    bomb = png(100_000, 100_000, 8, 2, b"0" * 999)
    page = export(code("x", bundle({"image/png": base64.b64encode(bomb).decode()})))
    assert page.shows("is not shown")


@pytest.mark.parametrize(
    "opening", ["<div>", "<b>", "<ul><li>", "<table><tr><td>", "<a href=x>"]
)
def test_deep_nesting_of_html_is_flattened(opening):
    assert export(code("x", rich(text_html=opening * 1500 + "deep"))).shows("deep")


@pytest.mark.parametrize("opening", ["<div>", "<ul><li>"])
def test_html_nested_beyond_all_measure_is_shown_as_its_words(opening):
    assert export(code("x", rich(text_html=opening * 50_000 + "deep"))).shows("deep")


@pytest.mark.parametrize("opening", ["> ", "- ", "[", "**", "<div>"])
def test_deep_nesting_of_markdown_is_flattened(opening):
    assert export(markdown(opening * 700 + "deep")).shows("deep")


def test_deep_nesting_in_a_formula_is_an_error_of_the_formula():
    page = export(markdown("$" + "{" * 200 + "x" + "}" * 200 + "$"))
    assert "nested too deeply" in page.notes[0].reason


def test_a_formula_mark_cannot_be_forged():
    page = export(markdown("formula0n0e formula0n1e $x$ formula1n0e"))
    assert page.shows("formula0n0e formula0n1e")
    assert page.text.count("𝑥") == 1


def test_a_notebook_of_another_language_or_with_odd_fields_is_printed():
    cell = v4.new_code_cell("x", execution_count=None, metadata={"tags": [], "caption": 3})
    node = notebook(cell, language_info={"name": "#panic()"}, title="t", authors=[])
    assert TypstPDFExporter().from_notebook_node(node)[0].startswith(b"%PDF")


def test_postscript_that_is_called_png_starts_no_program(tmp_path, monkeypatch):
    program = tmp_path / "gs"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    script = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n"
    page = export(code("x", rich(png=base64.b64encode(script).decode())))
    assert page.shows("is not shown")
    assert not (tmp_path / "started").exists()


@pytest.mark.parametrize("fields", [{}, {"outputs": []}, {"execution_count": None}])
def test_a_code_cell_that_lacks_fields_is_printed(fields):
    cell = v4.new_code_cell("x = 1")
    for name in ("outputs", "execution_count"):
        del cell[name]
    node = notebook()
    node.cells = [NotebookNode(cell | fields)]
    pdf, resources = TypstPDFExporter().from_notebook_node(node)
    assert Printed(pdf).shows("x = 1")
    assert resources["notes"] == []


def test_a_formula_that_typst_refuses_is_shown_as_its_source_and_its_cell_stays(monkeypatch):
    convert = Notation.convert

    def faulty(notation, tex):
        found = convert(notation, tex)
        return replace(found, rows=["no such name"]) if tex in ("bad", "worse") else found

    monkeypatch.setattr(Notation, "convert", faulty)
    page = export(
        markdown("# Title"), markdown("## Part\n\n$good$ and $bad$, $$worse$$ *end*"), code("x")
    )
    assert [note.cell for note in page.notes] == ["cell 2", "cell 2"]
    assert all("is shown as its source" in note.reason for note in page.notes)
    assert page.shows("𝑔𝑜𝑜𝑑 and bad,")
    assert page.shows("worse")
    assert page.find("Part").height > page.find("end").height


def test_a_cell_that_cannot_be_read_or_set_is_plain_text_and_the_others_stay():
    odd = code("before(1)", rich(png=base64.b64encode(picture()).decode()))
    odd.outputs[0].metadata = ["no", "mapping"]
    node = notebook()
    node.cells = [markdown("# Title\n\n*first*"), odd, markdown("$$x$$ last")]
    page = Printed(*TypstPDFExporter().from_notebook_node(node))
    assert page.shows("before(1)")
    assert page.shows("last")
    assert [note.cell for note in page.notes] == ["cell 2 (In [1])"]
