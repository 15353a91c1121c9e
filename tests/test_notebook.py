"""The committed HW1.ipynb: every question in order, run top to bottom, true to the code."""

import re
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from hw1lib import activations, losses, network, report, training, vgg
from hw1lib.cnn import augment, learner, model, optimizer
from hw1lib.submission.check.forbidden import is_forbidden
from hw1lib.submission.names import parse_ids

NOTEBOOK = Path(__file__).parents[1] / "HW1.ipynb"
QUESTIONS = [
    *("Q1.I", "Q1.II", "Q2.I", "Q2.II", "Q2.II.a", "Q2.II.b", "Q3.I", "Q3.II"),
    *(f"Q3.II.{number}" for number in range(1, 7)),
]


@pytest.fixture(scope="module")
def cells():
    return nbformat.read(NOTEBOOK, as_version=4).cells


@pytest.fixture(scope="module")
def code(cells):
    return [cell for cell in cells if cell.cell_type == "code"]


def outputs(cell, mime):
    return [o.data[mime] for o in cell.outputs if mime in o.get("data", {})]


def test_notebook_is_valid_and_answers_every_question_in_order(cells):
    nbformat.validate(nbformat.read(NOTEBOOK, as_version=4))
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    assert re.findall(r"^#+ (Q\d[\w.]*)", text, re.MULTILINE) == QUESTIONS


def test_notebook_was_run_from_the_first_cell_to_the_last_without_error(code):
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell.outputs if o.output_type == "error"]
    assert not [o for cell in code for o in cell.outputs if o.get("name") == "stderr"]


def test_first_cell_finds_hw1lib_from_a_folder_below_and_says_what_a_wrong_kernel_lacks(
    code, tmp_path
):
    source = code[0].source.replace("    !git", "    pass  # git")
    (tmp_path / "hw1lib").mkdir()
    (tmp_path / "submission").mkdir()
    # -S: a Python without any package, as a kernel of another environment is
    tell = (
        f"import sys\ntry:\n    exec({source!r})\n"
        "except ImportError as error:\n    print(error)\n"
        "print(sys.path[-1])"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", tell],
        cwd=tmp_path / "submission",
        capture_output=True,
        text=True,
        check=True,
    )
    sentence, found = done.stdout.splitlines()
    assert found == str(tmp_path)
    assert sentence.startswith("This kernel, ")
    assert "lacks torch, torchvision, seaborn." in sentence
    assert "choose the kernel HW1" in sentence


def test_one_cell_sets_the_ids_and_the_committed_one_holds_placeholders(code):
    (cell,) = [cell for cell in code if "ids" in cell.metadata.get("tags", [])]
    namespace: dict = {}
    exec(cell.source, namespace)
    assert parse_ids(namespace["STUDENT_IDS"]) == ("ID1", "ID2")


def test_provenance_comes_first_and_stand_ins_are_marked_wherever_they_are_used(code):
    (table,) = [html for cell in code[:2] for html in outputs(cell, "text/html")]
    assert "MNIST" in table
    for cell in code:
        if 'sources["vgg16"]' in cell.source and cell.outputs and ">STAND-IN<" in table:
            assert re.search("STAND-IN|random weights", str(cell.outputs)), cell.source


def test_shown_source_is_the_source_as_it_is_now(code):
    """If this fails, the library changed: `./export.sh --in-place` runs the notebook anew."""
    known = {"augment": augment, "learner": learner, "model": model, "optimizer": optimizer}
    known |= {"activations": activations, "training": training, "vgg": vgg}
    for module in (activations, losses, network, training):
        known |= vars(module)
    shown = [cell for cell in code if "\nshow_source(" in f"\n{cell.source}"]
    assert len(shown) >= 5
    for cell in shown:
        now: list = []
        tell = {"show_source": lambda *o, **how: now.append(report.show_source(*o, **how).data)}  # noqa: B023
        exec(cell.source, {**known, **tell})
        assert outputs(cell, "text/markdown") == now


def test_no_sentence_is_printed_by_a_cell_and_none_stands_twice(cells):
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    prose = re.sub(r"\$[^$]*\$|^\*\*Question\.\*\*.*$", "", text, flags=re.MULTILINE)
    sentences = [s.strip() for s in re.split(r"(?<=[.?!])\s", prose) if len(s.split()) > 5]
    assert len(sentences) > 100
    assert len(sentences) == len(set(sentences))


def test_question_2_uses_nothing_forbidden_in_the_notebook_either(cells):
    headings = [cell.source.split("\n")[0] for cell in cells]
    first = headings.index("## Question 2: Backpropagation by Hand")
    last = headings.index("## Question 3: Convolutional Networks")
    source = "\n".join(c.source for c in cells[first:last] if c.cell_type == "code")
    assert len(source) > 1000
    assert [*filter(is_forbidden, re.findall(r"\.(\w+)", source))] == []
    assert not re.findall(r"\.backward\(\)|import.*\b(?:nn|optim)\b", source)


def test_code_is_short(code):
    lines = [cell.source.count("\n") + 1 for cell in code]
    assert max(lines) <= 15
    assert sum(lines) <= 450
