"""The PDF as a document: title block, metadata, layout; and how people reach the exporter."""

import asyncio
import datetime
import json
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import nbformat
import nbformat.v4 as v4
import pypdfium2.raw as pdfium
import pytest
from jupyter_server.serverapp import ServerApp
from nbconvert.exporters import get_export_names, get_exporter
from tornado.httpclient import AsyncHTTPClient
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from traitlets.config import Config

from hw1lib.submission.pdf import PrintError, TypstPDFExporter
from tests.fixtures.notebooks import (
    Printed,
    base64_of,
    code,
    export,
    markdown,
    notebook,
    picture,
    rich,
    stream,
)

ROOT = Path(__file__).parents[1]


def printed(node, **resources) -> Printed:
    return Printed(TypstPDFExporter().from_notebook_node(node, resources)[0])


def test_the_title_block_has_title_authors_ids_date_and_provenance():
    ids = v4.new_code_cell('STUDENT_IDS = ["111", "222"]', metadata={"tags": ["ids"]})
    node = notebook(
        markdown("# The *Title* with $x^2$\n\ntext"),
        ids,
        authors=[{"name": "Ann"}, "Bob"],
        provenance="All data real.",
    )
    page = printed(node)
    today = datetime.date.today()
    head = page.text[: page.text.index("text\r\n")]
    for words in (
        "The Title with",
        "Ann",
        "Bob",
        "IDs 111, 222",
        "All data real.",
        f"{today:%B %Y}",
    ):
        assert words in head
    assert page.text.count("The Title") == 1
    metadata = page.document.get_metadata_dict()
    assert metadata["Title"] == "The Title with x^2"
    assert "Ann" in metadata["Author"]
    assert "Bob" in metadata["Author"]


@pytest.mark.parametrize(
    ("node", "title"),
    [
        (notebook(markdown("text"), title="From metadata"), "From metadata"),
        (notebook(markdown("text")), "file name"),
        (notebook(markdown("## Second level\n\n# Later")), "file name"),
    ],
)
def test_a_notebook_without_a_first_heading_takes_its_title_from_elsewhere(node, title):
    page = printed(node, metadata={"name": "file name"})
    assert page.document.get_metadata_dict()["Title"] == title
    assert page.text.startswith(title)


def test_headings_are_bookmarks_in_their_order_and_level():
    cells = markdown("# T"), markdown("## One\n\n### Sub"), code("x"), markdown("## Two")
    page = export(*cells)
    marks = [(mark.level, mark.get_title()) for mark in page.document.get_toc()]
    assert [title for _, title in marks] == ["One", "Sub", "Two"]
    assert marks[1][0] == marks[0][0] + 1


def test_the_pdf_is_tagged_and_says_its_language():
    page = export(markdown("# T\n\ntext"), code("x", rich(png=base64_of(picture()))))
    assert pdfium.FPDFCatalog_IsTagged(page.document)
    assert b"/Lang" in page.pdf


def test_the_pdf_claims_the_accessibility_standard_when_it_keeps_it():
    image = rich(png=base64_of(picture()))
    good = export(markdown("# T\n\n## Part\n\n$$x$$\n\n[a](https://a.org)"), code("x", image))
    skipping = export(markdown("# T\n\n## Part\n\n##### Far below"))
    assert b"pdfuaid" in good.pdf
    assert b"pdfuaid" not in skipping.pdf
    assert skipping.shows("Far below")


def test_pages_are_numbered_and_carry_the_title():
    page = export(markdown("# My Title"), code("\n".join(f"x = {i}" for i in range(200))))
    count = len(page.pages)
    for number, text in enumerate(page.pages, 1):
        assert text.rstrip().endswith(f"{number} / {count}")
        assert "My Title" in text


def test_a_heading_is_never_the_last_line_of_a_page():
    for lines in range(40, 64, 3):
        page = export(
            code("\n".join(["x"] * lines)), markdown("## Heading"), code("after = 1\n" * 8)
        )
        on = next(i for i, text in enumerate(page.pages) if "Heading" in text)
        assert "after" in page.pages[on]


def test_a_prompt_is_never_apart_from_its_code():
    for lines in range(40, 64, 3):
        cells = (
            code("\n".join(["x"] * lines)),
            v4.new_code_cell("tail = 1\n" * 9, execution_count=7),
        )
        page = export(*cells)
        on = next(i for i, text in enumerate(page.pages) if "In [7]" in text)
        assert page.pages[on].count("tail") >= 3


METHODS = "class Net:\n" + "\n".join(
    f"    def method{i}(self):\n" + f"        step{i:02}()\n" * 9 for i in range(16)
)


@pytest.mark.parametrize("before", range(2, 14, 3))
def test_a_page_ends_between_the_methods_of_a_class(before):
    listing = rich(text_markdown=f"```python\n{METHODS}```")
    page = export(code("\n".join(["x"] * before)), code("show", listing))
    assert len(page.pages) > 2
    for i in range(16):
        assert 9 in [text.count(f"step{i:02}") for text in page.pages]


def test_a_long_part_of_code_fills_the_page():
    source = "\n".join(["y"] * 30 + [""] + ["z"] * 90)
    page = export(code(source))
    assert page.pages[0].count("y") == 30
    assert page.pages[0].count("z") > 20


def test_the_head_of_a_class_stays_with_its_first_method():
    head = 'class Net:\n    """What it is."""\n    # more\n\n'
    for lines in range(54, 66, 2):
        source = head + "    first = 1\n" * 9
        page = export(code("\n".join(["x"] * lines)), code(source))
        (where,) = [text for text in page.pages if "class Net" in text]
        assert where.count("first") == 9


def test_a_caption_stays_on_the_page_of_its_figure():
    for lines in range(20, 64, 6):
        cell = code("#| fig-cap: The caption\nplot()", rich(png=base64_of(picture(500, 400))))
        page = export(code("\n".join(["x"] * lines)), cell)
        where = [
            i for i, p in enumerate(page.document) if any(o.type == 3 for o in p.get_objects())
        ]
        assert "\nThe caption" in page.pages[where[0]].split("plot()")[-1]


@pytest.mark.parametrize("rows", [3, 40])
def test_prompt_and_caption_of_a_table_stay_on_the_page_where_it_begins(rows):
    body = "".join(f"<tr><td>cell {i}</td></tr>" for i in range(rows))
    head = "<caption>The caption</caption><thead><tr><th>top</th></tr></thead>"
    html = f"<table>{head}{body}</table>"
    for lines in range(62, 75, 2):
        data = {"text/html": html}
        result = v4.new_output("execute_result", data=data, execution_count=3)
        page = export(code("\n".join(["x"] * lines), result))
        (where,) = [text for text in page.pages if "The caption" in text]
        assert "cell 0" in where, f"after {lines} lines"
        assert "Out[3]" in where, f"after {lines} lines"


def test_two_exports_of_a_day_are_the_same_bytes():
    cells = [markdown("# T"), code("x = 1", stream("out"))]
    assert export(*cells).pdf == export(*cells).pdf


def test_the_notebook_that_is_exported_is_not_changed():
    node = notebook(markdown("# T\n\n<b>x</b>"), code("x", stream("10%\r20%\n")))
    before = nbformat.writes(node)
    TypstPDFExporter().from_notebook_node(node)
    assert nbformat.writes(node) == before


def test_options_come_from_nbconverts_configuration():
    config = Config(TypstPDFExporter={"max_lines": 5, "title": "Configured"})
    exporter = TypstPDFExporter(config=config)
    cells = markdown("# Own heading"), code("x", stream("\n".join("abcdefgh")))
    pdf, _ = exporter.from_notebook_node(notebook(*cells))
    assert Printed(pdf).text.startswith("Configured")
    assert Printed(pdf).shows("Own heading")
    assert "3 of 8 lines are cut" in Printed(pdf).text


def test_nbconverts_own_tag_options_work():
    config = Config(TagRemovePreprocessor={"enabled": True, "remove_cell_tags": ["drop"]})
    exporter = TypstPDFExporter(config=config)
    pdf, _ = exporter.from_notebook_node(notebook(code("gone", tags=("drop",)), code("kept")))
    assert Printed(pdf).shows("kept")
    assert not Printed(pdf).shows("gone")


def test_images_beside_a_notebook_file_are_found(tmp_path):
    (tmp_path / "figure.png").write_bytes(picture(17, 19))
    nbformat.write(notebook(markdown("![](figure.png)")), tmp_path / "n.ipynb")
    pdf, resources = TypstPDFExporter().from_filename(str(tmp_path / "n.ipynb"))
    assert Printed(pdf).images() == [(17, 19)]
    assert resources["output_extension"] == ".pdf"


@pytest.mark.slow
def test_jupyter_nbconvert_takes_the_class_by_name(tmp_path):
    nbformat.write(notebook(markdown("# T\n\nwords")), tmp_path / "n.ipynb")
    command = [
        sys.executable,
        "-m",
        "nbconvert",
        "--to",
        "hw1lib.submission.pdf.TypstPDFExporter",
    ]
    subprocess.run([*command, str(tmp_path / "n.ipynb")], check=True, cwd=ROOT)
    assert Printed((tmp_path / "n.pdf").read_bytes()).shows("words")


installed = pytest.mark.skipif(
    not any(e.name == "typstpdf" for e in entry_points(group="nbconvert.exporters")),
    reason="hw1lib is not installed; run `pip install --no-deps -e .`",
)


@installed
def test_the_short_name_finds_the_exporter():
    assert "typstpdf" in get_export_names()
    assert get_exporter("typstpdf") is TypstPDFExporter


@installed
def test_jupyter_server_hands_out_the_pdf_of_a_notebook(tmp_path, monkeypatch):
    """What JupyterLab's File > Save and Export Notebook As asks for."""
    for name in ("JUPYTER_CONFIG_DIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    (tmp_path / "root").mkdir()
    (tmp_path / "root" / "figure.png").write_bytes(picture(15, 14))
    cells = markdown("# Title\n\n![](figure.png)"), code("x = 1")
    nbformat.write(notebook(*cells), tmp_path / "root" / "n.ipynb")
    response = asyncio.run(
        ask_server(tmp_path / "root", "nbconvert/typstpdf/n.ipynb?download=true")
    )
    assert response.headers["Content-Type"].startswith("application/pdf")
    assert "filename*=utf-8''n.pdf" in response.headers["Content-Disposition"]
    page = Printed(response.body)
    assert page.shows("x = 1")
    assert page.images() == [(15, 14)]
    formats = json.loads(asyncio.run(ask_server(tmp_path / "root", "api/nbconvert")).body)
    assert formats["typstpdf"]["output_mimetype"] == "application/pdf"


async def ask_server(root: Path, address: str):
    """The response of a Jupyter Server for a folder."""
    ServerApp.clear_instance()
    app = ServerApp.instance(
        root_dir=str(root),
        token="secret",
        open_browser=False,
        jpserver_extensions={},
        log_level=50,
    )
    app.initialize(argv=[], new_httpserver=False)
    server = HTTPServer(app.web_app)
    socket, *_ = bind_sockets(0, "127.0.0.1")
    server.add_socket(socket)
    try:
        port = socket.getsockname()[1]
        url = f"http://127.0.0.1:{port}/{address}"
        headers = {"Authorization": "token secret"}
        return await AsyncHTTPClient().fetch(url, headers=headers, request_timeout=60)
    finally:
        server.stop()
        ServerApp.clear_instance()


@pytest.mark.parametrize("printed", [[], [stream("as printed\n" * 2)]])
def test_a_figure_stays_on_the_page_of_its_code_and_of_what_that_printed(printed):
    for lines in range(36, 60, 6):
        plot = rich(png=base64_of(picture(500, 300)))
        more = code("first\n" * 15 + "plot()", *printed, plot)
        page = export(code("\n".join(["x"] * lines)), more)
        (where,) = [
            i for i, p in enumerate(page.document) if any(o.type == 3 for o in p.get_objects())
        ]
        assert page.pages[where].count("first") == 15
        assert page.pages[where].count("as printed") == 2 * len(printed)


def test_prose_between_outputs_has_space_of_its_own():
    page = export(code("x", stream("above")), markdown("prose"), code("y", stream("below")))
    above, prose, below = (page.find(word) for word in ("above", "prose", "y"))
    assert above.bottom - prose.top > 5
    assert prose.bottom - below.top > 5


def test_a_file_name_without_spaces_as_title_breaks_at_its_underscores():
    page = printed(notebook(markdown("text")), metadata={"name": "a_very_long_name_" * 6 + "z"})
    title = [glyph for glyph in page.glyphs if glyph.char == "v" and glyph.page == 0]
    assert len({round(glyph.bottom) for glyph in title}) > 1
    assert page.find("z").right < page.width()
    ends = [line for line in page.pages[0].splitlines() if line.startswith("a_very")]
    assert all(line.rstrip()[-1] in "_z" for line in ends)


def test_what_stands_for_a_formula_on_its_own_line_is_in_the_middle():
    page = export(markdown("words\n\n$$\\nosuch$$\n\nmore"))
    box = page.find("\\nosuch")
    assert 200 < box.left < page.width() / 2


def test_strict_refuses_with_cell_reason_and_what_to_do():
    with pytest.raises(PrintError, match=r"(?s)cell 1: the formula .*nosuch.*without --Typst"):
        export(markdown("$\\nosuch$"), strict=True)


@pytest.mark.slow
def test_the_command_line_refuses_in_strict_mode_without_a_traceback(tmp_path):
    nbformat.write(notebook(markdown("$\\nosuch$")), tmp_path / "n.ipynb")
    target = ["--to", "hw1lib.submission.pdf.TypstPDFExporter"]
    command = [sys.executable, "-m", "nbconvert", *target, "--TypstPDFExporter.strict=True"]
    done = subprocess.run(
        [*command, str(tmp_path / "n.ipynb")], cwd=ROOT, capture_output=True, check=False
    )
    assert done.returncode == 1
    assert b"nosuch" in done.stderr
    assert b"Traceback" not in done.stderr
