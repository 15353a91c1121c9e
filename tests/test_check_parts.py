"""The check's parts by themselves: findings as they are shown, sections, curves."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hw1lib.assignment import Question
from hw1lib.submission import executed
from hw1lib.submission.check import answers, findings
from hw1lib.submission.check.answers import Section
from hw1lib.submission.check.collect import NothingToCheckError, collect
from hw1lib.submission.check.drawings import Drawing, Panel, read_drawing
from hw1lib.submission.check.findings import Finding, Report
from hw1lib.submission.check.forbidden import Offence, names_bound, offences, offences_in_cell

# Findings. -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("finding", "text"),
    [
        (
            Finding("error", "run", "it is so", "cell 1", "Fix it"),
            "cell 1: it is so. Fix it.",
        ),
        (Finding("note", "run", "it is so."), "it is so."),
        (Finding("note", "run", " two\n\tlines "), "two lines."),
    ],
)
def test_a_finding_is_a_place_and_one_or_two_sentences(finding, text):
    assert str(finding) == text


@pytest.mark.parametrize(("length", "shown"), [(400, "a" * 400), (401, "a" * 399 + "…")])
def test_a_long_text_is_cut(length, shown):
    assert findings.printable("a" * length) == shown


@pytest.mark.parametrize(("count", "more"), [(50, []), (51, ["and 1 more like these"])])
def test_fifty_findings_of_each_level_are_kept_and_the_others_counted(count, more):
    given = [Finding("note", "a", "x")] * 2 + [Finding("error", "b", "y")] * count
    kept = findings.bounded(given)
    assert kept[:50] == [Finding("error", "b", "y")] * 50
    assert [f.what for f in kept[50:]] == [*more, "x", "x"]
    assert [f.level for f in kept if f.kind == "more"] == ["error"] * len(more)


def test_half_a_character_in_the_code_is_noted_as_any_other():
    cell = new_code_cell("print('\ud800')")
    notebook = new_notebook(cells=[cell])
    executed.note_executed(notebook, cell)
    assert list(executed.changes(notebook)) == []
    cell.source += " "
    assert list(executed.changes(notebook)) == [(1, "was changed")]


def test_the_gravest_findings_come_first_in_the_order_they_were_found():
    given = [
        Finding(level, kind, "x") for kind in "ab" for level in ("note", "error", "warning")
    ]
    report = Report("x", [], given)
    report.settle()
    assert [(f.level, f.kind) for f in report.findings] == [
        (level, kind) for level in ("error", "warning", "note") for kind in "ab"
    ]


FACTS = {
    "mnist_test_accuracy": 0.87,
    "mnist_test_accuracy_measured": 0.8701,
    "cnn_test_accuracy": 0.7,
    "cnn_parameters": 91587,
}


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ([], "HW1: fine to hand in; checked in 1.3 s"),
        (
            [("error", "stand-in")],
            "HW1: a DRAFT, not for handing in (1 error); checked in 1.3 s",
        ),
        (
            [("error", "run"), ("error", "run"), ("note", "run")],
            "HW1: NOT fine to hand in (2 errors, 1 note); checked in 1.3 s",
        ),
    ],
)
def test_headline_is_the_verdict_and_the_counts(given, line):
    report = Report("HW1", [], [Finding(*f, "x") for f in given], seconds=1.26)
    assert findings.headline(report) == line


def test_screen_shows_verdict_figures_and_findings():
    report = Report("HW1", [], [Finding("error", "run", "word " * 20, "cell 1")], dict(FACTS))
    assert list(findings.screen(report, width=50)) == [
        "HW1: NOT fine to hand in (1 error); checked in 0.0 s",
        "  MNIST 87.00% stated, 87.01% with the .pkl, CNN 70.00%, 91,587 parameters",
        "  error    cell 1: word word word word word word",
        "           word word word word word word word word",
        "           word word word word word word.",
    ]
    del report.facts["mnist_test_accuracy_measured"]
    assert "87.00% stated, not measured with" in list(findings.screen(report))[1]


@pytest.mark.parametrize(
    ("lines", "shown"),
    [(3, 3), (2, 2), (1, 1), (0, 1)],  # the first is shown whatever its length
)
def test_screen_says_how_many_findings_it_leaves_out(monkeypatch, lines, shown):
    monkeypatch.setattr(findings, "_SCREEN", lines)
    report = Report("x", [], [Finding("error", "run", f"number {n}") for n in range(3)])
    _, *found = findings.screen(report)
    more = [f"  and {3 - shown} more: --json shows all"] * (shown < 3)
    assert found == [*(f"  error    number {n}." for n in range(shown)), *more]


def test_table_has_a_line_a_submission_and_the_sums():
    fine = Report("HW1_1", [], [Finding("note", "run", "n")], FACTS)
    long = Report("N" * 50, [], [Finding("warning", "run", "w"), Finding("error", "run", "e")])
    draft = Report("d", [], [Finding("error", findings.STAND_IN, "s")])
    assert list(findings.table([fine, long, draft], width=200)) == [
        f"{'submission':40}  verdict  MNIST   CNN     parameters  first finding",
        f"{'HW1_1':40}  fine     87.00%  70.00%  91,587",
        f"{'N' * 40}  errors   {'':6}  {'':6}  {'':10}  e.",
        f"{'d':40}  draft    {'':6}  {'':6}  {'':10}  s.",
        "3 submissions: 1 fine, 1 draft, 1 errors",
    ]
    narrow = list(findings.table([long], width=1))
    assert max(map(len, narrow)) == 60


def test_json_is_everything():
    report = Report("HW1", ["a.pdf"], [Finding("error", "run", "w")], {"cnn_parameters": 3})
    assert json.loads(json.dumps(report.as_json())) == {
        "verdict": "errors",
        "name": "HW1",
        "files": ["a.pdf"],
        "findings": [
            {"level": "error", "kind": "run", "what": "w", "where": "", "fix": ""},
        ],
        "facts": {"cnn_parameters": 3},
        "seconds": 0.0,
    }


# Sections. -----------------------------------------------------------------------------------


def parted(*sources):
    cells = [new_markdown_cell(source) for source in sources]
    return [
        (name, "".join(section.prose).split(), [text for _, text in section.shown])
        for name, section in answers.sections(new_notebook(cells=cells))
    ]


@pytest.mark.parametrize(
    ("heading", "name"),
    [
        ("# Q1.I Softmax", "Q1.I"),
        ("###### Q3.II.6. Filters", "Q3.II.6"),
        ("##\tQuestion 2: Backpropagation", "Question 2"),
    ],
)
def test_a_heading_of_a_question_begins_a_section(heading, name):
    assert parted(f"before\n{heading}\nafter") == [("", ["before"], []), (name, ["after"], [])]


@pytest.mark.parametrize(
    "heading", ["####### Q1.I", "#Q1.I", "Q1.I", "# About Q1.I", "# Query"]
)
def test_other_lines_begin_none(heading):
    assert [name for name, *_ in parted(heading)] == [""]


def test_the_restated_question_is_no_answer():
    text = (
        "**Question.** Derive\nit.\n\nAn answer. **Question** within.\n\n**Question** Again.\n"
    )
    assert parted(text) == [("", ["An", "answer.", "**Question**", "within."], [])]


@pytest.mark.parametrize("language", ["python", "py"])
@pytest.mark.parametrize("fence", ["```", "~~~~"])
def test_a_block_of_python_is_shown_source_and_no_prose(fence, language):
    block = f"{fence}{language}\n# Q1.I\n``\nx = 1\n{fence}{fence}\nend"
    assert parted(f"start\n{block}") == [("", ["start", "end"], ["\n# Q1.I\n``\nx = 1\n\n"])]


def test_a_block_of_another_language_is_neither():
    assert parted("```sh\nls\n~~~\n```\nend") == [("", ["end"], [])]


def test_code_counts_if_it_was_run_and_its_markdown_is_prose():
    shown = new_output("display_data", data={"text/markdown": "told\n```py\nx\n```"})
    pixels = new_output("display_data", data={"image/png": "x"})
    broken = new_output("display_data", data={"image/svg+xml": "<svg", "image/png": "x"})
    cells = [
        new_code_cell("a = 1", execution_count=1, outputs=[shown, pixels, broken]),
        new_code_cell("", execution_count=None),
    ]
    ((_, section),) = answers.sections(new_notebook(cells=cells))
    assert [source for _, source in section.code] == ["a = 1"]
    assert "".join(section.prose).split() == ["told"]
    assert [text for _, text in section.shown] == ["\nx\n\n"]
    assert (section.pictures, section.drawings) == (2, [])


# Curves. -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "split", "named"),
    [
        ("train", "train", True),
        ("lr 1, Training", "train", True),
        ("validation", "val", True),
        ("val accuracy", "val", True),
        ("value", "val", False),
        ("constrain", "train", False),
        ("test", "train", False),
    ],
)
def test_a_legend_names_a_split_by_a_word_of_its_own(text, split, named):
    assert answers._names(text, split) == named


def panel(lines, *legend, labels=("epoch", "loss")):
    return Panel(labels=list(labels), lines=lines, legend=list(legend))


@pytest.mark.parametrize(
    ("panels", "count"),
    [
        ([panel(2, "train", "test")], 1),
        ([panel(1, "train", "test")], 0),  # the one line may be the other's
        ([panel(3, "a train", "b train", "a test")], 2),
        ([panel(2, "a train", "b train", "kept epoch")], 2),
        ([panel(2), panel(2, "train", "test", labels=("epoch", "accuracy"))], 1),
        ([panel(2, "train", "test", labels=("Epochs", "Loss (nats)"))], 1),
        ([panel(2, "train", "test", labels=("steps", "loss"))], 0),
        ([panel(2, "train", "test", labels=("epoch", "accuracy"))], 0),
        ([panel(2, "train", "test"), panel(4, "a train", "b train", "a test")], 2),
        ([], 0),
    ],
)
def test_curves_are_counted_in_the_panel_that_has_most(panels, count):
    drawing = Drawing(panels={str(i): panel for i, panel in enumerate(panels)})
    assert answers._curves([drawing, Drawing()], "loss", "train") == count


def test_every_figure_that_lacks_is_named():
    asked = Question(curves=("val",), trainings=2, figures=("filters",), photos=True)
    assert list(answers._lacking(asked, Section("cell 1"))) == [
        "loss on val of 2 runs against epochs",
        "accuracy on val of 2 runs against epochs",
        "the filters",
        "a photo",
    ]
    shown = Section("cell 1", drawings=[Drawing(texts=["The", "Filters"], photos=1)])
    assert list(answers._lacking(Question(figures=("filters",), photos=True), shown)) == []


def test_pixels_that_may_show_it_make_a_warning_of_the_error():
    asked = Question(photos=True)
    (error,) = answers._plots(asked, Section("cell 1"), "Q, cell 1")
    assert (error.level, error.kind) == ("error", "plots")
    (warning,) = answers._plots(asked, Section("cell 1", pictures=3), "Q, cell 1")
    assert (warning.level, warning.kind) == ("warning", "plots")
    assert str(warning) == (
        "Q, cell 1: of its figures 3 cannot be read; look whether they show a photo. "
        "Figures of hw1lib.plots can be read."
    )


@pytest.mark.parametrize(
    ("asked", "section", "whats"),
    [
        (Question(words=3), Section("c", prose=["one two", "three"]), []),
        (Question(words=4), Section("c", prose=["one two", "three"]), ["in words has only 3"]),
        (Question(), Section("c", prose=[" \n"]), ["there is no answer"]),
        (Question(), Section("c", code=[("c", "x")]), []),
        (Question(formula=True), Section("c", prose=["$x$"]), ["has no formula"]),
        (Question(formula=True), Section("c", prose=["\\begin{align}"]), []),
        (Question(formula=True), Section("c", prose=["\\[x\\]"]), []),
        (Question(defines=("f",)), Section("c", code=[("c", "  def f(x): ...")]), []),
        (Question(defines=("f",)), Section("c", prose=["x"], shown=[("c", "class f:")]), []),
        (
            Question(defines=("f",)),
            Section("c", code=[("c", "def fg(): f()")]),
            ["code of f is not"],
        ),
    ],
)
def test_an_answer_lacks_what_was_asked_for_and_is_not_there(asked, section, whats):
    found = [str(finding) for finding in answers._answer("Q1.I", asked, section)]
    assert len(found) == len(whats)
    for finding, what in zip(found, whats, strict=True):
        assert what in finding
        assert finding.startswith("Q1.I, c: ")


def test_the_question_that_is_answered_by_its_parts_may_be_empty():
    assert list(answers._answer("Q3.II", Question(), Section("c"))) == []


# Drawings. ------------------------------------------------------------------------------------


def test_a_figure_has_panels_with_lines_labels_and_a_legend():
    assert read_drawing(
        """<svg><!--outside--><g id="figure_1"><g id="axes_1">
        <g id="line2d_1"><path d="M 0 0 L 1 0 "/></g>
        <g id="line2d_2"><path d="M 0 0 L 0 5 "/></g>
        <g id="patch_1"><path d="M 0 0 L 1 0 "/></g>
        <g id="matplotlib.axis_1"><g id="text_1"><!--epoch--></g>
        <g id="xtick_1"><g id="text_2"><!--5--></g></g></g>
        <g id="text_3"><text>Title</text></g>
        <g id="legend_1"><g id="text_4"><!-- train --></g><g id="line2d_3">
        <path d="M 0 0 L 1 0 "/></g></g></g></g></svg>"""
    ) == Drawing(
        {"axes_1": Panel(["epoch"], 1, ["train"])}, ["epoch", "5", "Title", "train"], photos=0
    )
    assert read_drawing("<svg><image/><g><image/></g></svg>") == Drawing(photos=2)


# Files. --------------------------------------------------------------------------------------


def test_folders_are_looked_into_eight_deep_and_the_next_is_named(tmp_path):
    folder = tmp_path
    for depth in range(1, 10):
        folder /= f"f{depth}"
        folder.mkdir()
        (folder / "x.pkl").touch()
    *seen, closed = collect([tmp_path])
    names = ["/".join(f"f{n}" for n in range(1, depth + 1)) for depth in range(1, 10)]
    assert [found.name for found in seen] == names[:8]
    assert (closed.name, closed.files, closed.closed) == (names[8], (), (folder,))


def test_a_folder_that_cannot_be_opened_is_named_by_its_path(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr("os.scandir", refuse)
    (found,) = collect([tmp_path])
    assert (found.name, found.files, found.closed) == (str(tmp_path), (), (tmp_path,))


def test_what_is_not_there_or_none_of_ours_is_an_error(tmp_path):
    for path, why in [
        (tmp_path, "holds no"),
        (tmp_path / "x.pkl", "there is no file"),
        (tmp_path / "x.txt", "is no .ipynb"),
    ]:
        with pytest.raises(NothingToCheckError, match=why):
            collect([path])


# What question 2 may not use. ----------------------------------------------------------------


def test_offences_come_by_line_and_say_what_they_are_sure_of():
    source = "x = eval('1')\ny = torch.nn\nz = a.getattr\nw = 1"
    assert offences(source) == [
        Offence(1, "eval", False),
        Offence(2, "nn"),
        Offence(3, "getattr", False),
    ]
    assert str(Offence(3, "nn")) == "3: nn"


@pytest.mark.parametrize(
    ("source", "named"),
    [
        ("from . import x", ["a relative import"]),
        ("import numpy", ["numpy"]),
        ("from torch import Tensor, nn", ["torch.nn"]),
        ("from torch import *", ["torch.*"]),
        ("from numpy import array", ["numpy"]),
        ("import torch, math, hw1lib.vgg", ["hw1lib.vgg"]),
    ],
)
def test_a_module_on_the_path_imports_little_else_than_torch(source, named):
    assert [offence.name for offence in offences(source)] == named


@pytest.mark.parametrize(
    ("call", "found"),
    [
        ("loss.backward()", 1),
        ("loss.backward(g)", 1),
        ("loss.backward(retain_graph=True)", 1),
        ("net.backward(x, y)", 0),
        ("net.backward(x, y_hat=y)", 0),
        ("net.backward(**batch)", 0),
        ("backward()", 0),
    ],
)
def test_backward_is_autograd_s_unless_it_is_given_what_ours_takes(call, found):
    assert [offence.name for offence in offences_in_cell(call)] == ["backward()"] * found


def test_names_are_followed_under_the_name_they_are_bound_to():
    assert names_bound("import numpy as np, torch.nn, torch.nn as layers, sklearn") == {
        "layers",
        "sklearn",
    }
    assert names_bound("from torch import nn as n, Tensor\nfrom . import y") == {"n", "y"}
