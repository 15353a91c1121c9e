"""The check's parts by themselves: findings as they are shown, sections, curves."""

import csv
import io
import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hw1lib.submission import executed
from hw1lib.submission.check import answers, findings, notebook, report
from hw1lib.submission.check.collect import NothingToCheckError, collect
from hw1lib.submission.check.drawings import Drawing, Panel, read_drawing
from hw1lib.submission.check.findings import Finding, Report

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
    assert [(f.level, f.kind) for f in findings.by_gravity(given)] == [
        (level, kind) for level in ("error", "warning", "note") for kind in "ab"
    ]


NAME = "HW1_123456782_987654324"
WHY = "there is no .pdf file; beside it lies HW1.zip, which has to be unpacked"
METRICS = {
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
    given_report = Report("HW1", [], [Finding(*f, "x") for f in given], seconds=1.26)
    assert report.headline(given_report) == line


def test_screen_shows_verdict_figures_and_findings():
    given = Report("HW1", [], [Finding("error", "run", "word " * 20, "cell 1")], dict(METRICS))
    assert list(report.screen(given, width=50)) == [
        "HW1: NOT fine to hand in (1 error); checked in 0.0 s",
        "  MNIST 87.00% stated, 87.01% with the .pkl, CNN 70.00%, 91,587 parameters",
        "  error    cell 1: word word word word word word",
        "           word word word word word word word word",
        "           word word word word word word.",
    ]
    del given.metrics["mnist_test_accuracy_measured"]
    assert "87.00% stated, not measured with" in list(report.screen(given))[1]


def test_a_table_shows_each_reason_within_the_screen_or_whole_on_its_line():
    fine = Report("HW1_1", [], [Finding("note", "run", "n")], METRICS)
    long = Report("N" * 50, [], [Finding("warning", "run", "w"), Finding("error", "run", WHY)])
    narrow = list(report.table([fine, long], width=80))
    assert max(map(len, narrow)) <= 80
    assert WHY in " ".join(line[51:].strip() for line in narrow)
    head, first, second, sums = report.table([fine, long], width=None)
    assert head.split() == ["submission", "verdict", "MNIST", "CNN", "reason"]
    assert first.split() == ["HW1_1", "fine", "87.00%", "70.00%"]
    assert second.split(maxsplit=2) == ["N" * 50, "errors", WHY]
    assert sums == "2 submissions: 1 fine, 1 errors"


def test_below_a_table_stand_the_findings_that_many_share():
    def lacking(number):
        what = f"line {number} uses torch.nn, which question 2 forbids"
        return Report(f"s{number}", [], [Finding("error", "forbidden", what)])

    lines = list(report.table([lacking(n) for n in range(3)] + [Report("x", [])]))
    assert lines[-2:] == [
        "Most frequent:",
        "     3 x error    line 0 uses torch.nn, which question 2 forbids",
    ]


def test_findings_that_differ_in_their_place_alone_are_one():
    found = [Finding("error", "run", "was not run", f"cell {n}", "Run it") for n in (1, 2)]
    assert [str(f) for f in report.grouped([*found, Finding("note", "a", "b")])] == [
        "cell 1, cell 2: was not run. Run it.",
        "b.",
    ]


def test_a_spreadsheet_has_a_row_each_and_no_formula():
    given = [
        Report(
            "=cmd()", ["a/HW1_123456782_987654324.pdf"], [Finding("error", "x", "=1")], METRICS
        ),
        Report("b", []),
    ]
    head, first, second = csv.reader(io.StringIO(report.as_csv(given)))
    row = dict(zip(head, first, strict=True))
    assert (row["submission"], row["reason"]) == ("'=cmd()", "'=1")
    assert (row["id1"], row["id2"]) == ("123456782", "987654324")
    assert (row["verdict"], row["errors"], row["warnings"]) == ("errors", "1", "0")
    assert (row["mnist_stated"], row["mnist_measured"]) == ("0.87", "0.8701")
    assert (row["cnn_stated"], row["cnn_parameters"]) == ("0.7", "91587")
    assert second[:4] == ["b", "", "", "fine"]


def test_json_is_everything():
    given = Report("HW1", ["a.pdf"], [Finding("error", "run", "w")], {"cnn_parameters": 3})
    assert json.loads(json.dumps(given.as_json())) == {
        "verdict": "errors",
        "name": "HW1",
        "files": ["a.pdf"],
        "findings": [
            {"level": "error", "kind": "run", "what": "w", "where": "", "fix": ""},
        ],
        "metrics": {"cnn_parameters": 3},
        "seconds": 0.0,
    }


# The run. -------------------------------------------------------------------------------------

BAR = "100%|██████████| 100/100 [00:02<00:00, 49.11it/s]"
WARNING = "/usr/lib/x.py:5: UserWarning: careful\n  warn()"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{BAR}\n", None),
        ("\r  0%|          | 0/9 [00:00<?, ?it/s]\r 50%|##5  | 5/9 [00:01<", None),
        ("Epoch 1: 100%|█| 170M/170M [00:02<00:00, 60MB/s, loss=0.3]\r      \r", None),
        ("7it [00:02, 3.50it/s]\r8 photos [1:00:02, 3.50 photos/s]", None),
        ("\x1b[31m 45%|███\x1b[0m\n\x1b[A 50%|███| 00:12\n\x1b[A", None),
        ("", None),
        ("careful", "wrote to stderr: careful. Check whether it tells of a fault."),
        ("3 %|", "wrote to stderr: 3 %|. Check whether it tells of a fault."),
        (f"{BAR}\ncareful", "wrote to stderr: careful. Check whether it tells of a fault."),
        (WARNING, "printed a warning: /usr/lib/x.py:5: UserWarning: careful warn(). Fix"),
        (f"  0%|     | 0/9 [00:00<?, ?it/s]{WARNING}\r{BAR}", "printed a warning: /usr/lib/x."),
    ],
)
def test_stderr_is_told_as_what_it_is_and_progress_bars_are_not(text, said):
    outputs = [new_output("stream", name="stderr", text=text)]
    cells = [new_code_cell("1", execution_count=1, outputs=outputs)]
    found = [*map(str, notebook.run_in_order(new_notebook(cells=cells)))]
    assert len(found) == (said is not None)
    assert all(text.startswith(f"cell 1 (In [1]): {said}") for text in found)


# Reading. -------------------------------------------------------------------------------------


def written(minor, ids):
    """A notebook of format 4.minor whose cells have these IDs, None for none."""
    cells = [{"cell_type": "markdown", "metadata": {}, "source": text} for text in "ab"]
    cells = [cell | ({"id": id_} if id_ else {}) for cell, id_ in zip(cells, ids, strict=True)]
    plain = {"nbformat": 4, "nbformat_minor": minor, "metadata": {}, "cells": cells}
    return json.dumps(plain).encode()


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("ids", [(None, None), ("x", None), ("x", "y"), ("x", "x")], ids=str)
@pytest.mark.parametrize("minor", [0, 4, 5, 6])
def test_a_notebook_is_read_whichever_of_its_cells_have_an_id(minor, ids):
    read = notebook.parse(written(minor, ids))
    assert [cell.source for cell in read.cells] == ["a", "b"]


@pytest.mark.filterwarnings("error")
def test_a_metric_is_read_from_a_notebook_without_ids():
    data, metadata = {"text/plain": "0.90"}, {"hw1": {"mnist_test_accuracy": 2}}
    shown = new_output("display_data", data=data, metadata=metadata)
    cell = new_code_cell("1", execution_count=1, outputs=[shown])
    del cell["id"]
    plain = {"nbformat": 4, "nbformat_minor": 4, "metadata": {}, "cells": [cell]}
    _, found = notebook.stated(notebook.parse(json.dumps(plain).encode()))
    assert "mnist_test_accuracy is stated as 2" in str(found[0])


@pytest.mark.parametrize(
    ("cell", "why"),
    [
        ({"cell_type": "code"}, "'metadata' is a required property"),
        (
            {"cell_type": "markdown", "metadata": {}, "source": 1},
            "source is of no form that is",
        ),
        (
            {"cell_type": "text", "metadata": {}, "source": ""},
            "is no cell of code, markdown or",
        ),
        ({"cell_type": ["code"]}, "is no cell of code, markdown or raw text"),
        (["code"], "is no cell of code, markdown or raw text"),
        ({"cell_type": "raw", "metadata": {}, "source": "", "id": "a b"}, "id 'a b' does not"),
        ({"cell_type": "raw", "metadata": {}, "source": "", "id": {}}, "id {} is not of type"),
    ],
)
def test_a_damaged_cell_is_refused_in_words_that_name_it_and_its_fault(cell, why):
    good = {"cell_type": "markdown", "metadata": {}, "source": "a"}
    plain = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": [good, cell]}
    with pytest.raises(notebook.NotebookError, match=r"no valid notebook \(cell 2") as refused:
        notebook.parse(json.dumps(plain).encode())
    assert why in str(refused.value)


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
    assert (closed.name, closed.files, closed.closed) == (names[8], (), folder)


def test_a_folder_that_cannot_be_opened_is_named_by_its_path(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(path)

    monkeypatch.setattr("os.scandir", refuse)
    (found,) = collect([tmp_path])
    assert (found.name, found.files, found.closed) == (str(tmp_path), (), tmp_path)


def test_a_path_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(NothingToCheckError, match="there is no file or folder"):
        collect([tmp_path / "x.pkl"])


def test_every_folder_and_loose_file_has_a_row(tmp_path):
    for name in ("a/HW1_1.ipynb", "a/data/x.npy", "b/HW1.zip", "c/deep/HW1.docx", "d/x.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    (tmp_path / "HW1_2.zip").touch()
    found = {each.name: (len(each.files), each.others) for each in collect([tmp_path])}
    assert found == {
        "HW1_2.zip": (0, ("HW1_2.zip",)),
        "a": (1, ()),
        "b": (0, ("HW1.zip",)),
        "c": (0, ("deep",)),
        "d": (0, ("x.txt",)),
        "empty": (0, ()),
    }
    assert [each.name for each in collect([tmp_path / "b", tmp_path / "a"])] == ["b", "HW1_1"]


STUDENT = [f"{NAME}.{kind}" for kind in ("ipynb", "pdf", "pkl")]
OTHER = "HW1_111111118"


def rows(top, names):
    """What is collected from a folder with these files: each row's files and spare names."""
    for name in names:
        (top / name).parent.mkdir(parents=True, exist_ok=True)
        (top / name).touch()
    found = collect([top])
    return {each.name: ([path.name for path in each.files], each.spare) for each in found}


@pytest.mark.parametrize(
    "spare",
    [
        ["HW1.ipynb", "old.pdf"],
        ["HW1.ipynb", "HW1.pdf"],
        [f"{NAME} (1).pkl"],
        ["HW1_123456782.ipynb", "HW1_ID1_ID2.pdf"],
        [],
    ],
    ids=str,
)
def test_other_files_beside_the_three_of_a_student_are_spare_and_make_no_row(tmp_path, spare):
    names = [f"a/{name}" for name in STUDENT + spare]
    assert rows(tmp_path, names) == {"a": (STUDENT, tuple(spare))}


@pytest.mark.parametrize(
    "others",
    [
        [f"{OTHER}.ipynb"],
        [f"{OTHER}.ipynb", "old.pdf"],
        ["hw1 111111118 (1).pdf"],
        ["HW1_123456782_111111118.pdf"],
        [f"{OTHER}.{kind}" for kind in ("ipynb", "pdf", "pkl")],
    ],
    ids=str,
)
def test_files_that_may_be_another_students_keep_their_rows(tmp_path, others):
    names = [f"a/{name}" for name in STUDENT + others]
    found = rows(tmp_path, names)
    assert found.pop(f"a/{NAME}") == (STUDENT, ())
    assert sorted(name for files, _ in found.values() for name in files) == sorted(others)


@pytest.mark.parametrize(
    "names",
    [
        [*STUDENT, "HW1.ipynb", "old.pdf"],  # in the folder that is named
        ["a/x.ipynb", "a/x.pdf", "a/x.pkl", "a/y.pdf"],  # whose is which, no name tells
        [*(f"a/{name}" for name in STUDENT[:2]), "a/HW1.ipynb"],  # no set is complete
        [*(f"a/{name}" for name in STUDENT), f"a/{NAME}.PDF", "a/old.pdf"],
    ],
    ids=["top", "nameless", "incomplete", "twice"],
)
def test_elsewhere_each_name_has_a_row(tmp_path, names):
    found = rows(tmp_path, names)
    stems = {name.rpartition(".")[0] for name in names}
    assert found.keys() == stems
    assert sum(len(files) for files, _ in found.values()) == len(names)


def test_an_id_with_and_without_its_leading_zero_is_of_one_student(tmp_path):
    ours = [f"HW1_012345674.{kind}" for kind in ("ipynb", "pdf", "pkl")]
    names = [f"a/{name}" for name in [*ours, "HW1_12345674.pdf"]]
    assert rows(tmp_path, names) == {"a": (ours, ("HW1_12345674.pdf",))}


def test_an_archive_beside_the_three_files_and_spare_ones_makes_no_row(tmp_path):
    names = [f"a/{name}" for name in [*STUDENT, "old.pdf", "HW1.zip"]]
    assert rows(tmp_path, names) == {"a": (STUDENT, ("old.pdf",))}
