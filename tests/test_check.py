"""The check before handing in: what is fine passes; each fault is found, named and placed."""

import json
import os
import shutil
import subprocess
import sys

import pytest
import torch
from matplotlib import rc_context
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hw1lib import report
from hw1lib.datasets.resources import Source
from hw1lib.submission.__main__ import main
from hw1lib.submission.check import collect, inspection, sandbox, weights
from hw1lib.submission.check.collect import Mnist
from hw1lib.submission.check.drawings import read_drawing
from hw1lib.submission.check.findings import BROKEN, Finding, Report, bounded
from hw1lib.submission.check.report import screen
from hw1lib.submission.check.sandbox import check
from hw1lib.submission.executed import note_executed
from tests.fixtures import submissions as samples
from tests.fixtures.pdfs import pdf_of
from tests.fixtures.submissions import NAME, Sample


@pytest.fixture(scope="module")
def mnist(stand_in):
    """The drawn digits, taken for the real ones."""
    return Mnist(stand_in("mnist"))


@pytest.fixture(scope="module")
def accuracy(mnist):
    return weights.accuracy(samples.weights(), mnist.folder)


@pytest.fixture(scope="module")
def fine(tmp_path_factory, accuracy):
    """A submission that is fine; not to be changed."""
    sample = Sample(tmp_path_factory.mktemp("fine"))
    sample.write(samples.run(samples.cells(accuracy)))
    sample.print()
    sample.save(samples.weights())
    return sample


@pytest.fixture
def sample(fine, tmp_path):
    """A copy to spoil, without the PDF, whose check takes the longest."""
    shutil.copy(fine.ipynb, tmp_path)
    shutil.copy(fine.pkl, tmp_path)
    return Sample(tmp_path)


@pytest.fixture
def found(mnist):
    """found(sample, kind): what the steps find of a kind, as text with its level."""

    def inspect(sample: Sample, kind: str) -> list[str]:
        (submission,) = collect.collect([sample.folder])
        steps = inspection.inspect(submission, mnist)
        findings = [finding for _, found, _ in steps for finding in found or ()]
        assert not [finding for finding in findings if finding.kind == BROKEN]
        return [f"{f.level}: {f}" for f in findings if f.kind == kind]

    return inspect


def cell(notebook, source):
    (found,) = [cell for cell in notebook.cells if cell.source == source]
    return found


# What is fine. --------------------------------------------------------------------------------


def test_a_submission_that_is_fine_has_no_findings_and_its_figures(fine, mnist, accuracy):
    (submission,) = collect.collect([fine.folder])
    steps = list(inspection.inspect(submission, mnist))
    assert [str(finding) for _, found, _ in steps for finding in found or ()] == []
    assert steps[-1][2] == {
        "mnist_test_accuracy": accuracy,
        "mnist_test_accuracy_measured": accuracy,
        "cnn_test_accuracy": 0.7,
        "cnn_parameters": 91587,
    }


def test_the_check_changes_nothing(fine, mnist):
    before = {path: (path.read_bytes(), path.stat().st_mtime) for path in fine.folder.iterdir()}
    (submission,) = collect.collect([fine.folder])
    list(inspection.inspect(submission, mnist))
    after = {path: (path.read_bytes(), path.stat().st_mtime) for path in fine.folder.iterdir()}
    assert after == before


# Names and IDs. -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("hw1_123456782_987654324", "is not of the pattern HW1_ID1_ID2"),
        ("HW1_123456782_987654324 (1)", "is not of the pattern HW1_ID1_ID2: ID 2"),
        ("HW1", "0 IDs given"),
        ("HW1_1_2", "ID 1 is '1'"),
        ("HW1_123456782_123456782", "both IDs are"),
        ("HW1_123456782_987654324_111111118", "3 IDs given"),
        ("HW1_ID1_ID2", "has placeholders instead of student IDs"),
    ],
)
def test_a_name_that_is_not_of_the_pattern_is_an_error(sample, found, name, why):
    sample.ipynb.rename(sample.folder / f"{name}.ipynb")
    sample.pkl.rename(sample.folder / f"{name}.pkl")
    (finding,) = found(sample, "names")
    assert why in finding
    assert finding.startswith("error: ")


def test_names_that_do_not_agree_and_files_that_lack_are_errors(sample, found):
    sample.pkl.rename(sample.folder / "HW1_123456782.pkl")
    (finding,) = found(sample, "names")
    assert finding == (
        f"error: the names do not agree: {NAME}.ipynb, HW1_123456782.pkl. "
        "Name all three HW1_ID1_ID2 with your IDs; ./export.sh does."
    )
    (finding,) = found(sample, "files")
    assert "there is no .pdf file" in finding


def test_what_lies_beside_the_three_files_of_a_student_is_a_warning_that_names_it(
    sample, found
):
    student = Sample(sample.folder / "student")
    for kind in ("ipynb", "pdf", "pkl"):
        (student.folder / f"{NAME}.{kind}").touch()
    for number in range(7):
        (student.folder / f"try {number}.ipynb").touch()
    sample.ipynb.unlink()
    sample.pkl.unlink()
    warning = [text for text in found(sample, "files") if text.startswith("warning")]
    assert warning == [
        "warning: files beside the three were not checked: try 0.ipynb, try 1.ipynb, "
        "try 2.ipynb, try 3.ipynb, try 4.ipynb and 2 more. Hand in the three files alone."
    ]


@pytest.mark.parametrize(
    ("ids", "why"),
    [
        ('["123456782"]', "the notebook's IDs make HW1_123456782, its file is " + NAME),
        ('["ID1", "ID2"]', "the notebook's IDs make HW1_ID1_ID2"),
        ('["12", "34"]', "ID 1 is '12'"),
        ("[]", "0 IDs given"),
    ],
)
def test_ids_in_the_notebook_that_are_not_those_of_the_name_are_an_error(
    sample, found, ids, why
):
    sample.change(lambda notebook: notebook.cells[2].update(source=f"STUDENT_IDS = {ids}"))
    (finding,) = found(sample, "ids")
    assert why in finding


def test_an_id_without_its_check_digit_is_a_warning(sample, found):
    ids = 'STUDENT_IDS = ["123456789", "987654324"]'
    sample.change(lambda notebook: notebook.cells[2].update(source=ids))
    sample.ipynb.rename(sample.folder / "HW1_123456789_987654324.ipynb")
    (finding,) = found(sample, "ids")
    assert finding.startswith(
        "warning: STUDENT_IDS in the notebook: 123456789 does not end in the check digit"
    )


# The run. -------------------------------------------------------------------------------------


def test_a_cell_that_was_not_run_is_an_error(sample, found):
    sample.change(lambda notebook: cell(notebook, "c").update(execution_count=None))
    (finding,) = found(sample, "run")
    assert finding.startswith("error: cell 11: was not run. Run ./export.sh again")
    sample.change(lambda notebook: cell(notebook, "d").update(execution_count=None))
    (finding,) = found(sample, "run")
    assert finding.startswith("error: cell 11: was not run, like 1 more. Run")


def test_a_notebook_without_code_is_an_error(sample, found):
    sample.change(lambda notebook: notebook.update(cells=[new_markdown_cell("# HW1")]))
    (finding,) = found(sample, "run")
    assert finding.startswith("error: the notebook holds no code. Run ./export.sh again")


def test_cells_out_of_order_are_an_error_that_names_the_first(sample, found):
    sample.change(lambda notebook: cell(notebook, "c").update(execution_count=17))
    first, second = found(sample, "run")
    assert "cell 11 (In [17]): ran as number 17, where 5 is its turn" in first
    assert "cell 12 (In [6]): ran as number 6, where 18 is its turn" in second


def test_a_cell_that_raised_is_an_error_and_stderr_a_warning(sample, found):
    def spoil(notebook):
        error = new_output("error", ename="ValueError", evalue="no good", traceback=[])
        cell(notebook, "c").outputs.append(error)
        cell(notebook, "d").outputs.append(new_output("stream", name="stderr", text="careful"))

    sample.change(spoil)
    error, warning = found(sample, "run")
    assert error.startswith("error: cell 11 (In [5]): raised ValueError: no good. Fix")
    assert warning.startswith("warning: cell 12 (In [6]): wrote to stderr: careful. Check")


def test_a_cell_edited_after_the_run_is_an_error(sample, found):
    sample.change(lambda notebook: cell(notebook, "c").update(source="better"))
    (finding,) = found(sample, "code")
    assert finding.startswith("error: cell 11 (In [5]): its code was changed after the run.")


def test_cells_added_and_removed_after_the_run_are_errors(sample, found):
    def spoil(notebook):
        notebook.cells.remove(cell(notebook, "c"))
        notebook.cells.append(new_code_cell("more", execution_count=99))

    sample.change(spoil)
    gone, added = found(sample, "code")
    assert "1 cells that ran are gone or were moved" in gone
    assert "cell 27 (In [99]): its code was added or moved after the run" in added


def test_one_cell_put_before_many_that_are_the_same_is_the_only_one_found(sample, found):
    def repeat(notebook):
        for _ in range(300):
            notebook.cells.append(samples.code("count += 1"))
            note_executed(notebook, notebook.cells[-1])
        notebook.cells.insert(-300, new_code_cell("more", execution_count=99))

    sample.change(repeat)
    (added,) = found(sample, "code")
    assert "cell 28 (In [99]): its code was added or moved after the run" in added


def test_text_may_be_edited_after_the_run(sample, found):
    sample.change(
        lambda notebook: notebook.cells[3].update(source=notebook.cells[3].source + "!")
    )
    assert found(sample, "code") == []


def test_a_notebook_without_a_note_of_its_run_is_a_warning(sample, found):
    sample.change(lambda notebook: notebook.metadata.clear())
    (finding,) = found(sample, "code")
    assert finding.startswith("warning: the notebook does not say which code was run")


# Answers and plots. ---------------------------------------------------------------------------


@pytest.mark.parametrize("question", [q for q in inspection.answers.QUESTIONS if q != "Q3.II"])
def test_a_question_without_its_heading_is_an_error(sample, found, question):
    def spoil(notebook):
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = cell.source.replace(f"# {question} ", "# Another ")

    sample.change(spoil)
    missing = [text for text in found(sample, "answers") if "no heading" in text]
    assert len(missing) == 1
    assert missing[0].startswith(f"error: {question}: there is no heading for it. Answer it")


@pytest.mark.parametrize(
    ("question", "emptied", "why"),
    [
        ("Q1.I", "## Question 1\n\n### Q1.I Softmax\n\n**Question.** Derive\nit.", "no answer"),
        ("Q1.II", "### Q1.II Entropy\n\nIt is plain. $$x$$", "has only 4"),
        ("Q1.II", f"### Q1.II Entropy\n\n{samples.WORDS}", "has no formula"),
        ("Q2.II.b", "#### Q2.II.b Learning Rates", "has only 0"),
        ("Q3.I", "## Question 3\n\n### Q3.I Products", "in words has only"),
        ("Q3.II.3", "#### Q3.II.3 Steps", "no answer"),
    ],
)
def test_a_question_without_an_answer_is_an_error(sample, found, question, emptied, why):
    def spoil(notebook):
        (old,) = [c for c in notebook.cells if f"# {question} " in c.source]
        old.source = emptied

    sample.change(spoil)
    (finding,) = found(sample, "answers")
    assert finding.startswith(f"error: {question}, cell")
    assert why in finding


@pytest.mark.parametrize("question", [q for q in inspection.answers.QUESTIONS if q != "Q3.II"])
def test_a_heading_with_nothing_below_it_is_an_error(sample, found, question):
    def spoil(notebook):
        headings = [c.cell_type == "markdown" and "# Q" in c.source for c in notebook.cells]
        first = next(i for i, c in enumerate(notebook.cells) if f"# {question} " in c.source)
        last = headings.index(True, first + 1) if any(headings[first + 1 :]) else None
        notebook.cells[first].source = f"### {question} Alone"
        del notebook.cells[first + 1 : last]

    sample.change(spoil)
    assert any(text.startswith(f"error: {question}, cell") for text in found(sample, "answers"))


def test_a_heading_in_a_block_of_code_is_none(sample, found):
    def spoil(notebook):
        notebook.cells[4].source = f"```\n### Q1.II Entropy\n```\n{samples.WORDS}"

    sample.change(spoil)
    assert "Q1.II: there is no heading" in found(sample, "answers")[0]


def test_questions_out_of_order_and_twice_are_warnings(sample, found):
    sample.change(lambda notebook: notebook.cells.append(new_markdown_cell("### Q1.I Again")))
    assert "warning: cell 28: Q1.I has a second heading" in found(sample, "answers")[0]
    sample.change(lambda notebook: notebook.cells.insert(3, notebook.cells.pop(4)))
    assert "not in the assignment's order" in found(sample, "answers")[0]


@pytest.mark.parametrize(
    ("source", "name"),
    [("a", "d_softmax"), ("b", "FullyConnectedNetwork")],
)
def test_code_that_is_not_shown_is_an_error(sample, found, source, name):
    sample.change(lambda notebook: cell(notebook, source).update(outputs=[]))
    assert any(f"the code of {name} is not shown" in text for text in found(sample, "answers"))


def test_code_in_a_cell_counts_as_shown(sample, found):
    def spoil(notebook):
        defined = "\n".join(
            f"def {name}(y): ..." for name in ("d_sigmoid", "d_tanh", "d_softmax")
        )
        cell(notebook, "a").update(outputs=[], source=defined)

    sample.change(spoil)
    assert found(sample, "answers") == []


EACH = [f"{what} on {split} ag" for split in ("train", "test") for what in ("loss", "accuracy")]


@pytest.mark.parametrize(
    ("source", "figure", "lacking"),
    [
        ("c", None, EACH),
        ("c", ("train", "val"), ["loss on test", "accuracy on test"]),
        ("f", ("train", "test"), ["loss on val", "accuracy on val"]),
        ("e", ("train", "test", "lr 1", "lr 2"), [f"{what[:-2]}of 3 runs" for what in EACH]),
        ("h", None, ["a photo"]),
        ("i", None, ["a photo"]),
        ("j", None, ["the filters"]),
        ("k", None, ["the responses"]),
    ],
)
def test_a_plot_that_is_missing_is_an_error(sample, found, source, figure, lacking):
    outputs = [samples.displayed(samples.curves(figure[:2], *figure[2:]))] if figure else []
    # Something else is shown instead, so that the question is not left without any output.
    outputs.append(samples.displayed("Done."))
    sample.change(lambda notebook: cell(notebook, source).update(outputs=outputs))
    findings = found(sample, "plots")
    assert len(findings) == len(lacking)
    for finding, what in zip(findings, lacking, strict=True):
        assert finding.startswith("error: Q")
        assert f"there is no plot of {what}" in finding


def test_curves_of_one_quantity_alone_are_not_enough(sample, found):
    figure = samples.curves(("train", "test"))
    figure.delaxes(figure.axes[0])
    figure.axes[0].legend()
    outputs = [samples.displayed(figure)]
    sample.change(lambda notebook: cell(notebook, "c").update(outputs=outputs))
    assert [text.split("no plot of ")[1][:8] for text in found(sample, "plots")] == [
        "loss on "
    ] * 2


@pytest.mark.parametrize("kind", ["path", "none"])
def test_curves_are_read_whether_their_text_is_drawn_or_written(kind):
    with rc_context({"svg.fonttype": kind}):
        figure = samples.displayed(samples.curves(("train", "test"), "lr 1", "lr 2"))
    loss, accuracy = read_drawing(figure.data["image/svg+xml"]).panels.values()
    assert loss.labels == ["epoch", "loss (nats)"]
    assert accuracy.labels == ["epoch", "accuracy"]
    assert accuracy.legend == ["lr 1, train", "lr 1, test", "lr 2, train", "lr 2, test"]
    assert (loss.lines, accuracy.lines) == (4, 4)


def test_a_legend_without_its_curve_does_not_count(sample, found):
    figure = samples.curves(("train", "test"))
    for axis in figure.axes:
        axis.lines[1].set_data([], [])
    outputs = [samples.displayed(figure)]
    sample.change(lambda notebook: cell(notebook, "c").update(outputs=outputs))
    assert found(sample, "plots")


def test_a_figure_of_pixels_is_for_a_person_to_look_at(sample, found):
    picture = new_output("display_data", data={"image/png": "iVBORw0KGgo="})
    sample.change(lambda notebook: cell(notebook, "c").update(outputs=[picture]))
    (finding,) = found(sample, "plots")
    assert finding.startswith(
        "warning: Q2.II.a, cell 10: of its figures 1 cannot be read; look"
    )


# What question 2 may not use. -----------------------------------------------------------------


def test_forbidden_api_in_a_cell_of_question_2_is_an_error(sample, found):
    sample.change(
        lambda notebook: cell(notebook, "c").update(source="x = 1\ny = torch.relu(x)")
    )
    (finding,) = found(sample, "forbidden")
    assert finding.startswith(
        "error: cell 11 (In [5]): line 2 uses torch.relu, which question 2 forbids"
    )


def test_forbidden_api_in_the_source_that_is_shown_is_an_error(sample, found):
    shown = {"text/markdown": "```python\ndef f(x):\n    return torch.nn.Linear(2, 3)(x)\n```"}
    output = new_output("display_data", data=shown)
    sample.change(lambda notebook: cell(notebook, "b").outputs.append(output))
    (finding,) = found(sample, "forbidden")
    assert "error: source shown by cell 9 (In [4]): line 3 uses torch.nn.Linear" in finding


def test_a_layer_that_was_imported_before_question_2_is_found(sample, found):
    def spoil(notebook):
        notebook.cells[1].source = "from torch import nn as layers"
        cell(notebook, "d").source = "layers.Linear(2, 3)"

    sample.change(spoil)
    (finding,) = found(sample, "forbidden")
    assert "cell 12 (In [6]): line 1 uses torch.nn.Linear" in finding


def test_a_module_that_only_the_student_has_is_a_warning_where_question_2_uses_it(
    sample, found
):
    def spoil(notebook):
        notebook.cells[1].source = "from hw1lib import helpers"
        cell(notebook, "c").source = "x = 1\nhelpers.train_with_adam(x)\nhelpers.show(x)"
        cell(notebook, "f").source = "helpers.show(x)"  # question 3 may

    sample.change(spoil)
    (finding,) = found(sample, "forbidden")
    assert finding == (
        "warning: cell 11 (In [5]): line 2 uses hw1lib.helpers, whose source is not among what "
        "is handed in; look what hides behind it. Write it out."
    )


def test_question_3_may_use_everything(sample, found):
    source = "from torch import nn\nloss.backward()"
    sample.change(lambda notebook: cell(notebook, "f").update(source=source))
    assert found(sample, "forbidden") == []


# What it states. ------------------------------------------------------------------------------


def restate(source, text, **figures):
    output = new_output("display_data", {"text/markdown": text}, metadata={"hw1": figures})
    return lambda notebook: cell(notebook, source).update(outputs=[output])


@pytest.mark.parametrize(
    ("source", "text", "figures", "why"),
    [
        ("d", "", {}, "does not state, for programs to read, mnist_test_accuracy"),
        ("d", "99.00%", {"mnist_test_accuracy": 0.9}, "is 90.00%, but the text says otherwise"),
        ("d", "x", {"mnist_test_accuracy": "x"}, "mnist_test_accuracy is stated as 'x'"),
        ("d", "101.00%", {"mnist_test_accuracy": 1.01}, "is stated as 1.01"),
        ("g", "70.00%, 9", {"cnn_test_accuracy": 0.7}, "to read, cnn_parameters"),
        ("g", "70.00%", {"cnn_test_accuracy": 0.7, "cnn_parameters": True}, "stated as True"),
    ],
)
def test_a_figure_that_is_not_stated_as_it_is_shown_is_an_error(
    sample, found, source, text, figures, why
):
    sample.change(restate(source, text, **figures))
    finding, *_ = found(sample, "figures")
    assert finding.startswith("error: ")
    assert why in finding


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({"text/markdown": "98.50% <!-- 90.00% -->"}, "but the text says otherwise"),
        ({"text/markdown": "98.50% <b hidden>90.00%</b>"}, "but the text says otherwise"),
        (
            {"text/html": "98.50% <p style='display: none'>90.00%</p>"},
            "but the text says otherwise",
        ),
        ({"text/html": "98.50%", "text/plain": "90.00%"}, "but the text says otherwise"),
        ({"text/markdown": "98.50%", "text/x-note": "90.00%"}, "but the text says otherwise"),
        ({"text/markdown": "190.00%"}, "but the text says otherwise"),
        ({"text/markdown": "3.90.00%, 90.001%"}, "but the text says otherwise"),
        (
            {"text/markdown": "Accuracy **98.50%**, once 90.00%"},
            "98.50% stands beside the accuracy",
        ),
    ],
    ids=["comment", "hidden", "style", "plain", "unknown", "longer", "parts", "beside"],
)
def test_an_accuracy_that_no_reader_sees_is_not_stated(sample, found, data, why):
    carried = {"hw1": {"mnist_test_accuracy": 0.9}}
    output = new_output("display_data", data=data, metadata=carried)
    sample.change(lambda notebook: cell(notebook, "d").update(outputs=[output]))
    assert any(why in text for text in found(sample, "figures"))


def test_words_that_no_reader_sees_are_no_answer(sample, found):
    hidden = f"<!-- {samples.WORDS}\n\n$$x$$ -->\n\n<div hidden>{samples.WORDS}</div>"

    def spoil(notebook):
        (old,) = [c for c in notebook.cells if "# Q1.II " in c.source]
        old.source = f"### Q1.II Entropy\n\n{hidden}"

    sample.change(spoil)
    (finding,) = found(sample, "answers")
    assert finding.startswith("error: Q1.II, cell 5: there is no answer")


def test_a_cnn_that_is_not_good_enough_is_an_error_and_a_large_one_a_note(sample, found):
    text = "64.00% with 100,000"
    sample.change(restate("g", text, cnn_test_accuracy=0.64, cnn_parameters=100_000))
    error, note = found(sample, "cnn")
    assert error.startswith("error: Q3.I: the CNN has 64.00% test accuracy, and 65% are asked")
    assert note.startswith("note: Q3.I: the CNN has 100,000 parameters; the bonus is for fewer")


# The weights. ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"W1": torch.ones(9, 8), "b1": torch.ones(8), "W2": torch.ones(8, 10)}, "(784, 128)"),
        ({name: tensor.double() for name, tensor in samples.weights().items()}, "float64"),
        ({"W2": torch.full((128, 10), float("nan"))}, "not finite"),
        ({"extra": torch.zeros(1)}, "leave out extra"),
        ({"b1": torch.zeros(5)}, "shape"),
    ],
    ids=["shapes", "float64", "nan", "extra", "misfit"],
)  # fmt: skip
def test_weights_that_are_not_as_asked_are_an_error(sample, found, change, why):
    sample.save(samples.weights() | change)
    findings = found(sample, "weights")
    assert why in findings[0]
    assert all(text.startswith("error: ") and f"{NAME}.pkl" in text for text in findings)


def test_weights_that_do_not_reach_the_stated_accuracy_are_an_error(sample, found, accuracy):
    sample.save({name: -tensor for name, tensor in samples.weights().items()})
    (finding,) = found(sample, "weights")
    assert f"the notebook states {accuracy:.2%} on MNIST, these weights reach" in finding


def test_weights_too_large_to_compute_with_are_an_error(sample, found):
    sample.save(samples.weights() | {"W2": torch.full((128, 10), 3e38)})
    (finding,) = found(sample, "weights")
    assert finding.startswith(f"error: {NAME}.pkl: the loss over")


def test_without_mnist_the_accuracy_is_not_checked_and_that_is_said(sample, found, monkeypatch):
    monkeypatch.setattr(Mnist, "folder", property(lambda _: None), raising=False)
    monkeypatch.setattr(Mnist, "why_not", property(lambda _: "no way"), raising=False)
    (finding,) = found(sample, "unchecked")
    assert finding.startswith(
        f"note: {NAME}.pkl: accuracy is not checked, for want of MNIST: no way"
    )


# What was hidden, and what is not so. ---------------------------------------------------------


def marked(source, **metadata):
    return lambda notebook: cell(notebook, source).metadata.update(metadata)


@pytest.mark.parametrize(
    ("metadata", "said"),
    [
        ({"tags": ["remove_cell"]}, "error: cell 11 (In [5]): is marked remove-cell, which"),
        ({"tags": ["remove-output"]}, "error: cell 11 (In [5]): is marked remove-output,"),
        ({"tags": ["hide-input"]}, "warning: cell 11 (In [5]): is marked hide-input, which"),
        (
            {"jupyter": {"source_hidden": True}},
            "warning: cell 11 (In [5]): is marked source_hi",
        ),
    ],
)
def test_a_cell_that_is_kept_from_a_reader_is_named(sample, found, metadata, said):
    sample.change(marked("c", **metadata))
    (finding,) = found(sample, "hidden")
    assert finding.startswith(said)


def test_a_claim_that_is_not_so_in_this_run_is_a_warning(sample, found):
    stated = report.claims([("It learns", True, "1"), ("It is fast", False, "9 s")])
    sample.change(
        lambda notebook: cell(notebook, "d").outputs.append(samples.displayed(stated))
    )
    (finding,) = found(sample, "claims")
    assert finding.startswith(
        "warning: cell 12 (In [6]): what the text claims is not so in this run: It is fast. Ch"
    )


def test_what_the_exporter_could_not_find_in_its_pdf_is_a_warning(fine, tmp_path, found):
    sample = Sample(tmp_path)
    shutil.copy(fine.ipynb, tmp_path)
    note = (
        "(Not verified) Tj 0 -12 Td (The PDF was read back: look at these places.) Tj 0 -12 Td "
    )
    text = f"BT /F 8 Tf 9 99 Td {note}(cell 7: text) Tj ET"
    sample.pdf.write_bytes(pdf_of(text.encode()))
    warning = next(text for text in found(sample, "pdf") if text.startswith("warning"))
    assert "its exporter did not find all of the notebook in it: cell 7: text" in warning


def test_of_another_notebook_the_steps_that_were_left_out_are_named(
    mnist, accuracy, tmp_path, found
):
    sample = Sample(tmp_path)
    cells = [new_markdown_cell("# Mine"), new_code_cell("1", execution_count=1)]
    sample.write(new_notebook(cells=cells))
    sample.print()
    sample.save(samples.weights())
    (report,) = check([sample.folder], mnist=mnist)
    assert report.verdict == "partly"
    assert [f.kind for f in report.findings] == ["left out", "unchecked"]
    assert "its IDs, whether its code is the code that ran, answers" in str(report.findings[0])
    assert report.metrics["mnist_test_accuracy_measured"] == accuracy
    sample.change(lambda notebook: notebook.cells[1].update(execution_count=None))
    (finding,) = found(sample, "run")
    assert "was not run" in finding


# Drafts. --------------------------------------------------------------------------------------


def test_a_stand_in_is_an_error_of_its_own_kind_and_makes_a_draft(sample, found, accuracy):
    stand_ins = ("mnist", "grocery")
    sample.write(samples.run(samples.cells(accuracy, stand_ins)))
    (finding,) = found(sample, "stand-in")
    assert finding.startswith(
        "error: made with stand-ins for Grocery Store, MNIST. data/README.md"
    )
    (finding,) = found(sample, "unchecked")
    assert "accuracy is not checked: the weights were trained on a stand-in" in finding
    sample.change(restate("g", "9.00%, 1", cnn_test_accuracy=0.09, cnn_parameters=1))
    assert found(sample, "cnn") == [], "what a stand-in gives is not judged"


def test_a_stand_in_that_only_a_title_tells_of_is_found(sample, found):
    output = samples.displayed("STAND-IN \N{MIDDLE DOT} The birds")
    sample.change(lambda notebook: cell(notebook, "h").outputs.append(output))
    (finding,) = found(sample, "stand-in")
    assert "made with stand-ins for something" in finding


def test_data_of_unknown_origin_is_a_warning(sample, found):
    sample.change(lambda notebook: notebook.cells[1].update(outputs=[]))
    (finding,) = found(sample, "data")
    assert finding.startswith(
        "warning: the notebook does not say where its data came from: MNIST,"
    )


@pytest.mark.parametrize(
    ("findings", "verdict"),
    [
        ([], "fine"),
        ([Finding("warning", "run", "x"), Finding("note", "cnn", "x")], "fine"),
        ([Finding("error", "stand-in", "x"), Finding("warning", "run", "x")], "draft"),
        ([Finding("error", "stand-in", "x"), Finding("error", "run", "x")], "errors"),
    ],
)
def test_a_draft_is_a_submission_whose_only_error_is_a_stand_in(findings, verdict):
    assert Report("x", [], findings).verdict == verdict


# The command. ---------------------------------------------------------------------------------


@pytest.fixture
def real_mnist(mnist, monkeypatch):
    """What the search for MNIST finds, in place of the network."""
    source = Source("mnist", "MNIST", mnist.folder, "data", False, "")
    monkeypatch.setattr(sandbox, "obtain", lambda name: source)


def test_the_command_says_that_all_is_fine_in_two_lines(fine, real_mnist, capsys):
    assert main(["check", str(fine.folder)]) == 0
    verdict, figures = capsys.readouterr().out.splitlines()
    assert verdict.startswith(f"{NAME}: fine to hand in; checked in ")
    assert "CNN 70.00%, 91,587 parameters" in figures


def test_the_three_files_may_be_named_one_by_one(fine, real_mnist, capsys):
    assert main(["check", str(fine.pkl), str(fine.ipynb), str(fine.pdf)]) == 0
    assert capsys.readouterr().out.startswith(NAME)


def test_a_pdf_that_lacks_a_cell_is_an_error_that_names_it(fine, real_mnist, tmp_path, capsys):
    sample = Sample(tmp_path / "new")
    for path in fine.folder.iterdir():
        shutil.copy(path, sample.folder)
    sample.change(lambda notebook: notebook.cells.append(new_markdown_cell("The very end.")))
    assert main(["check", str(sample.folder)]) == 1
    verdict, _, *lines = capsys.readouterr().out.splitlines()
    assert verdict.startswith(f"{NAME}: NOT fine to hand in (1 error); checked in ")
    said = " ".join(" ".join(lines).split())
    assert f"error {NAME}.pdf: cell 28: text is not visible: The very end. Run" in said


def test_json_holds_every_finding_and_figure(fine, real_mnist, tmp_path, capsys, accuracy):
    (tmp_path / "a").mkdir()
    shutil.copy(fine.ipynb, tmp_path / "a")
    assert main(["check", "--json", str(tmp_path)]) == 1
    (report,) = json.loads(capsys.readouterr().out)
    assert (report["name"], report["verdict"]) == ("a", "errors")
    assert report["files"] == [str(tmp_path / "a" / fine.ipynb.name)]
    assert report["metrics"]["mnist_test_accuracy"] == accuracy
    assert [finding["what"] for finding in report["findings"]] == [
        "there is no .pdf file",
        "there is no .pkl file",
    ]
    assert report["findings"][0].keys() == {"level", "kind", "what", "where", "fix"}


def test_a_folder_of_many_gets_a_table_with_a_line_each(fine, real_mnist, tmp_path, capsys):
    for name in ("one", "two"):
        shutil.copytree(fine.folder, tmp_path / name)
    (tmp_path / "two" / fine.pkl.name).write_bytes(b"no weights")
    for kind in ("ipynb", "pkl"):  # and two that lie there without a folder of their own
        (tmp_path / f"HW1_111111118.{kind}").write_bytes(b"x")
        (tmp_path / f"HW1_222222226.{kind}").write_bytes(b"y")
    before = sorted(tmp_path.rglob("*"))
    assert main(["check", "--jobs", "2", str(tmp_path)]) == 1
    head, *rows = capsys.readouterr().out.splitlines()
    rows, sums = rows[:4], rows[4]
    assert " ".join(head.split()) == "submission verdict MNIST CNN reason"
    assert [row.split()[:2] for row in rows] == [
        ["HW1_111111118", "errors"],
        ["HW1_222222226", "errors"],
        ["one", "fine"],
        ["two", "errors"],
    ]
    assert sums == "4 submissions: 1 fine, 3 errors"
    assert sorted(tmp_path.rglob("*")) == before


def test_without_mnist_the_check_goes_on_and_says_so(fine, monkeypatch, capsys, data_folder):
    monkeypatch.setenv("HW1_STANDIN", "always")
    assert main(["check", str(fine.folder)]) == 0
    assert "accuracy is not checked, for want of MNIST: HW1_STANDIN=always" in " ".join(
        capsys.readouterr().out.split()
    )
    assert os.environ["HW1_STANDIN"] == "always"


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["none.ipynb"], "there is no file or folder none.ipynb"),
        ([], "the following arguments are required"),
        (["--jobs", "0", "empty"], "argument --jobs: '0' is no whole number from 1"),
        (["--seconds", "x", "empty"], "argument --seconds: 'x' is no whole number"),
    ],
)
def test_wrong_arguments_end_with_status_2_and_a_sentence(
    arguments, why, tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "README.md").touch()
    try:
        status = main(["check", *arguments])
    except SystemExit as error:
        status = error.code
    assert status == 2
    assert why in capsys.readouterr().err


@pytest.mark.parametrize("name", [None, "../HW1/export.sh"])
def test_help_names_the_command_as_it_was_called(name, monkeypatch, capsys):
    monkeypatch.delenv("HW1_COMMAND", raising=False)
    if name:
        monkeypatch.setenv("HW1_COMMAND", name)
    with pytest.raises(SystemExit):
        main(["check", "--help"])
    shown, called = capsys.readouterr().out, name or "python -m hw1lib.submission"
    assert shown.startswith(f"usage: {called} check [-h]")
    assert f"\n  {called} check submission/\n" in shown


def test_a_spreadsheet_that_cannot_be_written_costs_no_finding(fine, real_mnist, capsys):
    assert main(["check", "--csv", "/no/such/folder/x.csv", str(fine.folder)]) == 2
    shown = capsys.readouterr()
    assert "fine to hand in" in shown.out
    assert shown.err.endswith("/x.csv cannot be written: No such file or directory\n")


def test_help_of_the_command_tells_the_exit_status_without_loading_torch():
    code = (
        "import sys; from hw1lib.submission.__main__ import main\n"
        "try: main(['check', '--help'])\n"
        "except SystemExit as end: print('status', end.code, 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "exit status:" in done.stdout
    assert done.stdout.endswith("status 0 False\n")


def test_however_much_is_found_it_fits_on_a_screen():
    findings = [
        Finding("error", "run", f"{n} " + "word " * 50, "cell 1", "Fix it") for n in range(500)
    ]
    report = Report("HW1", [], bounded(findings))
    assert len(report.findings) == 51
    assert report.findings[-1].what == "and 450 more like these"
    lines = list(screen(report, width=80))
    assert len(lines) <= 24
    assert max(map(len, lines)) <= 80
    assert lines[-1].endswith("more: --json shows all")


def test_what_a_stranger_writes_cannot_steer_the_terminal():
    finding = Finding("error", "run", "a\x1b[2J\nb\u202ec\x07", "w\x1b]0;x\x07")
    assert str(finding) == "w\ufffd]0;x\ufffd: a\ufffd[2J b\ufffdc\ufffd."
