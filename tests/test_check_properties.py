"""Whatever a submission holds: findings come out, or our own error; no other one, no write."""

import json
import shutil
from pathlib import Path

import nbformat
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from hw1lib.submission.check import answers, notebook
from hw1lib.submission.check.collect import Mnist, collect
from hw1lib.submission.check.drawings import DrawingError, read_drawing
from hw1lib.submission.check.findings import BROKEN, Finding, Report
from hw1lib.submission.check.forbidden import Reader, UnreadableError
from hw1lib.submission.check.inspection import inspect
from hw1lib.submission.check.report import screen, table
from tests.fixtures import submissions as samples
from tests.fixtures.submissions import Sample

few = settings(max_examples=30)
scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=20)
)
values = st.recursive(
    scalars | st.just("STAND-IN") | st.just(10**400),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=8,
)
texts = st.text(max_size=60) | st.sampled_from(
    [
        "### Q2.I",
        "```python\nx = (",
        "$$",
        "<td>x</td><td>STAND-IN</td>",
        "<svg>",
        "\ud800",
        "\0",
    ]
)


@pytest.fixture(scope="module")
def fine(tmp_path_factory):
    """A submission that is fine, and the JSON of its notebook."""
    sample = Sample(tmp_path_factory.mktemp("fine"))
    sample.write(samples.run(samples.cells(0.5)))
    sample.print()
    sample.save(samples.weights())
    return sample


@pytest.fixture(scope="module")
def survives(tmp_path_factory):
    """survives(kind, content, *others): what the check finds; it has to end well."""

    def check(kind: str, content: bytes, *others: Path) -> list[Finding]:
        folder = tmp_path_factory.mktemp("files")
        path = Sample(folder).folder / f"{samples.NAME}.{kind}"
        path.write_bytes(content)
        for other in others:
            shutil.copy(other, folder)
        (submission,) = collect([folder])
        found = [f for _, some, _ in inspect(submission, Mnist(None)) for f in some or ()]
        assert [str(finding) for finding in found if finding.kind == BROKEN] == []
        assert sorted(folder.iterdir()) == sorted([path, *(folder / o.name for o in others)])
        assert path.read_bytes() == content
        shutil.rmtree(folder)
        return found

    return check


# Any bytes. -----------------------------------------------------------------------------------


@given(content=st.binary(max_size=200))
@example(b"\x80\x04\x95")
@example(b"PK\x03\x04")
@few
def test_any_bytes_for_weights(survives, content):
    assert any(finding.kind in ("weights", "files") for finding in survives("pkl", content))


@given(content=st.binary(max_size=200))
def test_any_bytes_for_a_notebook(content):
    with pytest.raises(notebook.NotebookError):
        notebook.parse(content)


@given(content=st.binary(max_size=200))
@example(b"%PDF-1.7\n")
@few
def test_any_bytes_for_a_pdf(survives, fine, content):
    found = survives("pdf", content, fine.ipynb)
    assert any(finding.kind in ("pdf", "files") for finding in found)


def damaged(content: bytes, data: st.DataObject) -> bytes:
    """The content cut short, or with some bytes changed."""
    if data.draw(st.booleans(), "cut"):
        return content[: data.draw(st.integers(1, len(content) - 1), "at")]
    changed = bytearray(content)
    places = st.lists(
        st.tuples(st.integers(0, len(content) - 1), st.integers(0, 255)), min_size=1
    )
    for place, byte in data.draw(places, "bytes"):
        changed[place] = byte
    return bytes(changed)


@given(data=st.data())
@settings(max_examples=15)
def test_a_damaged_pdf(survives, fine, data):
    survives("pdf", damaged(fine.pdf.read_bytes(), data), fine.ipynb)


@given(data=st.data())
@few
def test_a_damaged_weights_file(survives, fine, data):
    survives("pkl", damaged(fine.pkl.read_bytes(), data))


# Any JSON, and notebooks with anything in them. -----------------------------------------------


@given(value=values)
def test_any_json_for_a_notebook(value):
    with pytest.raises(notebook.NotebookError):
        notebook.parse(json.dumps(value).encode())


outputs = st.fixed_dictionaries(
    {
        "output_type": st.just("display_data"),
        "metadata": st.dictionaries(st.sampled_from(["hw1", "image/png", "x"]), values)
        | st.fixed_dictionaries(
            {"hw1": st.dictionaries(st.sampled_from([*notebook.STATED]), values)}
        ),
        "data": st.dictionaries(
            st.sampled_from(
                ["text/plain", "text/html", "text/markdown", "image/svg+xml", "image/png"]
            ),
            texts | st.lists(texts, max_size=3),
        ),
    }
) | st.fixed_dictionaries(
    {
        "output_type": st.just("stream"),
        "name": st.sampled_from(["stdout", "stderr", "STAND-IN"]),
        "text": texts,
    }
)
metadata = st.dictionaries(
    st.sampled_from(["tags", "provenance", "executed_sha256", "caption", "title"]), values
) | st.just({"tags": ["ids"]})
cells = st.lists(
    st.fixed_dictionaries(
        {"cell_type": st.just("markdown"), "metadata": metadata, "source": texts},
        optional={"attachments": st.dictionaries(texts, st.dictionaries(texts, texts))},
    )
    | st.fixed_dictionaries(
        {
            "cell_type": st.just("code"),
            "metadata": metadata,
            "source": texts | st.lists(texts, max_size=3),
            "execution_count": st.none() | st.integers(min_value=0),
            "outputs": st.lists(outputs, max_size=3),
        }
    ),
    max_size=5,
)
notebooks = st.fixed_dictionaries(
    {
        "nbformat": st.just(4),
        "nbformat_minor": st.integers(0, 6),
        "metadata": metadata,
        "cells": cells,
    }
)


@given(content=notebooks)
@settings(max_examples=80)
def test_anything_like_a_notebook(survives, content):
    assert survives("ipynb", json.dumps(content).encode())


@given(content=notebooks)
@settings(max_examples=15)
def test_anything_like_a_notebook_against_a_pdf(survives, fine, content):
    assert survives("ipynb", json.dumps(content).encode(), fine.pdf)


def places(value: object, path: tuple = ()) -> list[tuple]:
    """The way to each value in a JSON document."""
    inner = (
        value.items() if isinstance(value, dict)
        else enumerate(value) if isinstance(value, list)
        else ()
    )  # fmt: skip
    return [path, *(place for key, item in inner for place in places(item, (*path, key)))]


@given(data=st.data())
@settings(max_examples=50)
def test_a_fine_notebook_with_one_value_replaced(survives, fine, data):
    content = {"": json.loads(fine.ipynb.read_text())}
    *way, last = ("", *data.draw(st.sampled_from(places(content[""]))))
    holder = content
    for key in way:
        holder = holder[key]
    holder[last] = data.draw(values)
    assert survives("ipynb", json.dumps(content[""]).encode())


# The readers. ---------------------------------------------------------------------------------

tags = st.sampled_from(
    [f'<g id="{name}_1">' for name in ("axes", "line2d", "text", "legend", "matplotlib.axis")]
    + ["</g>", "<!-- loss -->", '<path d="M 1 2 L 3"/>', "<image/>"]
)
svgs = st.lists(tags).map("".join)


@given(svg=st.text() | svgs | svgs.map(lambda tags: f"<svg>{tags}</svg>"))
def test_any_svg(svg):
    try:
        drawing = read_drawing(svg)
    except DrawingError:
        return
    assert drawing.photos >= 0


@given(source=texts | st.lists(st.sampled_from("import torch.nn as x\n()=.1[]'%")).map("".join))
def test_any_source(source):
    try:
        reader = Reader()
        reader.learn(source)
        reader.read(source)
    except UnreadableError:
        return
    if set("%!?").isdisjoint(source):  # else IPython has rewritten it
        compile(source, "it is Python", "exec", dont_inherit=True)


@given(markdown=st.lists(texts | st.sampled_from(["\n", "#", "`", "~~~", " "])).map("".join))
def test_any_markdown_has_one_section_for_each_heading(markdown):
    found = answers.sections(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(markdown)])
    )
    assert found[0][0] == ""
    assert sum(len("".join(section.prose)) for _, section in found) <= len(markdown)


names = st.text(st.characters(exclude_characters="/\0", exclude_categories=["Cs"]), min_size=1)


kinds = st.sampled_from(["ipynb", "pdf", "pkl", "txt", "folder"])


@given(tree=st.dictionaries(names.filter(lambda n: n not in (".", "..")), kinds, max_size=6))
def test_any_names_in_a_folder_make_submissions_with_every_file_once(tmp_path_factory, tree):
    top = tmp_path_factory.mktemp("any")
    made = []
    for name, kind in tree.items():
        path = top / (name[:20] if kind == "folder" else f"{name[:20]}.{kind}")
        try:
            path.mkdir() if kind == "folder" else path.touch()
        except OSError:
            continue  # too long for the disk, or there already
        if kind not in ("folder", "txt") and not path.name.startswith("."):
            made.append(path)
    submissions = collect([top])
    assert sorted(path for s in submissions for path in s.files) == sorted(set(made))
    shutil.rmtree(top)


@given(
    text=st.text(),
    level=st.sampled_from(["error", "warning", "note"]),
    width=st.integers(1, 300),
)
def test_any_finding_is_printed_line_by_line(text, level, width):
    report = Report(
        text, [text], [Finding(level, "run", text, text, text)], {"cnn_parameters": 3}
    )
    for line in (*screen(report, width), *table([report, report], width)):
        assert line.isprintable()
    assert json.loads(json.dumps(report.as_json()))["verdict"] == report.verdict
