"""The export command, run for real on notebooks of a few cells."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from types import SimpleNamespace

import nbformat
import pytest
import torch
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from hw1lib.datasets.resources import RESOURCES
from hw1lib.submission import build
from hw1lib.submission.names import decide_ids
from hw1lib.submission.pdf import TypstPDFExporter
from tests.fixtures.notebooks import Printed, picture
from tests.fixtures.projects import IDS, PROJECT_ROOT, WEIGHTS, Project

FIELDS = ("cells", "cell_type", "source", "metadata", "tags", "outputs", "nbformat", "id")
EPOCHS = """\
from IPython.display import display, update_display
for epoch in range(1, 4):
    show = display if epoch == 1 else update_display
    show({"text/plain": f"epoch {epoch}/3"}, raw=True, display_id="epochs",
         metadata={"hw1_progress": True})
print("first"); print("second")
"""
LONG = "CNN · epoch 9/160 · train loss 1, accuracy 2% · val loss 3, accuracy 4% · 95 s left"


class Terminal(StringIO):
    def isatty(self):
        return True


@pytest.fixture
def project(tmp_path, monkeypatch):
    return Project(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A finished export with IDs from the command line, and what it printed."""
    with pytest.MonkeyPatch.context() as monkeypatch:
        project = Project(tmp_path_factory.mktemp("finished"), monkeypatch)
        project.write(EPOCHS, "import sys; print(os.getcwd(), sys.executable, sep='\\n')", "1")
        before = project.notebook.read_bytes()
        with redirect_stdout(StringIO()) as printed:
            status = project.export("123456782", "987654324")
    stem = project.folder / "submission" / "HW1_123456782_987654324"
    return SimpleNamespace(
        status=status, project=project, before=before, stem=stem, printed=printed.getvalue()
    )


def test_an_export_leaves_the_three_files_and_nothing_half_done(finished):
    assert finished.status == 0
    names = {path.name for path in finished.stem.parent.iterdir()}
    assert names == {f"{finished.stem.name}.{kind}" for kind in ("ipynb", "pdf", "pkl")}
    assert finished.stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF-")
    weights = torch.load(finished.stem.with_suffix(".pkl"), weights_only=True)
    torch.testing.assert_close(weights, WEIGHTS)
    left = {path.name for path in (finished.project.folder / "build").iterdir()}
    assert left == {"executed", "lock", "tmp"}


def test_the_command_lines_ids_win_and_the_executed_copy_holds_them(finished):
    executed = nbformat.read(finished.stem.with_suffix(".ipynb"), as_version=4)
    assert executed.cells[0].source == 'STUDENT_IDS = ["123456782", "987654324"]  # שלי'
    assert finished.project.notebook.read_bytes() == finished.before


def test_cells_run_in_order_in_the_project_with_this_python_whatever_the_kernelspec(finished):
    executed = nbformat.read(finished.stem.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in executed.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == [1, 2, 3, 4, 5]
    assert code[3].outputs[0].text == f"{PROJECT_ROOT}\n{sys.executable}\n"


def test_each_section_and_file_has_its_line_and_the_verdict_comes_last(finished):
    lines = finished.printed.splitlines()
    said = [line for line in lines if re.match(r" *\d+:\d\d  ", line)]
    assert [line[9:] for line in said] == [
        "The first cells",
        "Q2.II  Training",
        "All cells have run",
    ]
    assert [line.strip() for line in lines if "epoch" in line] == ["epoch 3/3"]
    for resource in RESOURCES.values():
        assert any(line.split("  ")[1:2] == [resource.title] for line in lines)
    assert any(f"{finished.stem.name}.pdf" in line and " MB" in line for line in lines)
    assert any("GB of memory" in line for line in lines)
    assert lines.index("Check") > lines.index(said[-1])
    assert lines[-1].startswith("Next: ")


def test_a_terminal_shows_each_cell_and_epoch_in_one_line_and_keeps_the_last_epoch(
    project, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "60")
    project.write(EPOCHS, "'a title that is far longer than the terminal has columns'")
    with redirect_stdout(Terminal()) as printed:
        assert project.export() == 0
    rewritten = [text.split("\n")[0] for text in printed.getvalue().split("\r\x1b[K")[1:]]
    epochs = [text.strip() for text in rewritten if "/" in text]
    assert epochs == ["epoch 1/3", "epoch 2/3", "epoch 3/3", "epoch 3/3"]
    assert any("cell 3 of 4: from IPython" in text for text in rewritten)
    assert max(map(len, rewritten)) < 60
    final = re.sub(r"(?m)^.*\r\x1b\[K", "", printed.getvalue())
    assert final.count("epoch") == 1
    assert "cell " not in final.partition("Check")[0]


@pytest.mark.parametrize(
    ("columns", "shown"),
    [
        (100, LONG),
        (70, "CNN · epoch 9/160 · val loss 3, accuracy 4% · 95 s left"),
        (40, "CNN · epoch 9/160 · 95 s left"),
        (20, "CNN · epo…"),
    ],
)
def test_a_progress_line_too_long_loses_its_middle_and_keeps_the_time_left(
    project, monkeypatch, columns, shown
):
    monkeypatch.setenv("COLUMNS", str(columns))
    project.write(EPOCHS.replace('f"epoch {epoch}/3"', repr(LONG)))
    with redirect_stdout(Terminal()) as printed:
        assert project.export() == 0
    assert f"\x1b[K         {shown}\r" in printed.getvalue()


def test_only_the_last_progress_line_is_kept_and_streams_are_joined(finished):
    executed = nbformat.read(finished.stem.with_suffix(".ipynb"), as_version=4)
    progress, stream = executed.cells[3].outputs
    assert progress.data["text/plain"] == "epoch 3/3"
    assert stream.text == "first\nsecond\n"


def test_two_exports_give_the_same_notebook_and_in_place_writes_it_back(project):
    project.write(EPOCHS)
    assert project.export("--in-place") == 0
    first = project.files()
    assert project.export("--in-place") == 0
    second = project.files()
    assert first["submission/HW1_ID1_ID2.ipynb"] == second["submission/HW1_ID1_ID2.ipynb"]
    assert second["HW1.ipynb"] == second["submission/HW1_ID1_ID2.ipynb"]


def test_a_stand_in_makes_a_draft_that_says_what_is_missing_last(project, capsys):
    project.write("os.environ['HW1_STANDIN']")
    project.stand_ins = {"mnist", "vgg16"}
    assert project.export() == 0
    assert not (project.folder / "submission").exists()
    draft = nbformat.read(project.folder / "draft" / "HW1_ID1_ID2.ipynb", as_version=4)
    assert draft.cells[-1].outputs[0].data["text/plain"] == "'mnist,vgg16'"
    *_, ids, why, last = capsys.readouterr().out.splitlines()
    assert "placeholders" in ids
    assert why.strip() == "MNIST, VGG16 weights: no network"
    assert last.startswith("DRAFT, not for handing in: made with stand-ins for MNIST, VGG16 w")


def test_strict_names_all_that_is_missing_before_anything_runs(project, capsys):
    project.write("never reached")
    project.stand_ins = {"mnist", "vgg16"}
    before = project.files()
    assert project.export("--strict") == 3
    printed = capsys.readouterr()
    assert "MNIST cannot be had" in printed.err
    assert "VGG16 weights cannot be had" in printed.err
    assert "plug it in" in printed.err
    assert "Notebook" not in printed.out
    assert project.files() == before


def test_strict_and_a_wish_for_stand_ins_contradict_each_other(project, capsys, monkeypatch):
    project.write()
    monkeypatch.setenv("HW1_STANDIN", "always")
    assert project.export("--strict") == 3
    assert "--strict refuses" in capsys.readouterr().err


def test_a_failing_cell_is_shown_and_what_was_there_before_stays(project, capsys):
    project.write("x = 1", "# divides\ndef f():\n    return x / 0\n\nf()", "y = 2")
    old = project.folder / "submission" / "HW1_ID1_ID2.pdf"
    old.parent.mkdir()
    old.write_text("last week's")
    before = project.files()
    assert project.export() == 1
    printed = capsys.readouterr()
    assert "Cell 4 of 5 failed" in printed.err
    assert "# divides" in printed.err
    assert printed.err.rstrip().endswith("ZeroDivisionError: division by zero")
    kept = project.folder / "build" / "stopped"
    assert f"is kept in {kept / 'HW1.ipynb'}" in printed.out
    partial = nbformat.read(kept / "HW1.ipynb", as_version=4)
    assert [cell.get("execution_count") for cell in partial.cells[-3:]] == [3, 4, None]
    after = project.files()
    saved = {after.pop(f"build/stopped/{path.name}") for path in kept.iterdir()}
    assert project.weights.read_bytes() in saved
    assert after == before


def test_a_notebook_that_saves_no_weights_is_not_published(project, capsys):
    project.write(save=False)
    assert project.export("123456789") == 1
    assert "no cell saved HW1_123456789.pkl" in capsys.readouterr().err
    assert not (project.folder / "submission").exists()


def test_weights_that_are_not_finite_are_not_published(project, capsys):
    torch.save({**WEIGHTS, "b2": torch.full((10,), torch.nan)}, project.weights)
    project.write()
    assert project.export() == 1
    assert "b2" in capsys.readouterr().err
    assert not (project.folder / "submission").exists()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("IDS = ['123456789']", "must hold your IDs in quotes"),
        ("STUDENT_IDS = [first]", "must hold your IDs in quotes"),
        ("STUDENT_IDS = '123456789'", "must hold your IDs in quotes"),
        ("STUDENT_IDS = ['123456789'", "must hold your IDs in quotes"),
        ("STUDENT_IDS = ['1']\nSTUDENT_IDS = ['2']", "must hold your IDs in quotes"),
        ("STUDENT_IDS = [123456789]", "ID 1 is 123456789: write a text"),
        ("STUDENT_IDS = ['123456789', 'ID2']", "ID 2 is still the placeholder"),
        ("STUDENT_IDS = []", "0 IDs given"),
    ],
)
def test_an_ids_cell_that_holds_no_ids_is_refused(project, capsys, source, message):
    project.write("never reached", ids=source)
    assert project.export() == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("copies", [0, 2])
def test_exactly_one_cell_holds_the_ids(project, capsys, copies):
    tags = [[], *[["ids"]] * copies]
    cells = [new_code_cell(IDS, metadata={"tags": names}) for names in tags]
    nbformat.write(new_notebook(cells=cells), project.notebook)
    assert project.export() == 2
    assert f"{copies} code cells have the tag ids" in capsys.readouterr().err


def test_ids_spread_over_lines_are_replaced_as_a_whole(project):
    source = "# שתי סטודנטיות\nSTUDENT_IDS = (\n    'ID1',  # hers\n    'ID2',\n)  # end"
    notebook = new_notebook(cells=[new_code_cell(source, metadata={"tags": ["ids"]})])
    decide_ids(notebook, ["123456789"])
    assert notebook.cells[0].source == '# שתי סטודנטיות\nSTUDENT_IDS = ["123456789"]  # end'


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["1234"], "5 to 9 digits"), (["12345", "23456", "34567"], "3 IDs given")],
)
def test_ids_of_the_command_line_are_checked(project, capsys, arguments, message):
    project.write("never reached")
    assert project.export(*arguments) == 2
    assert message in capsys.readouterr().err


def test_a_wrong_check_digit_is_told_first_and_last_and_stops_nothing(project, capsys):
    project.write()
    assert project.export("123456789") == 0
    printed = capsys.readouterr()
    assert printed.err == ""
    first, *_, last = printed.out.splitlines()
    assert first == last
    assert first.startswith("ID 123456789: the last digit does not fit the others.")


def test_right_ids_are_no_matter_for_a_word(finished):
    assert "digit" not in finished.printed
    assert "placeholder" not in finished.printed


def test_a_picture_beside_the_notebook_is_in_the_pdf_also_when_it_is_made_again(project):
    (project.folder / "derivation.png").write_bytes(picture(31, 21))
    project.write()
    notebook = nbformat.read(project.notebook, as_version=4)
    images = "![derivation](derivation.png)\n\n<img src='derivation.png'>"
    notebook.cells.append(new_markdown_cell(images))
    nbformat.write(notebook, project.notebook)
    pdf = project.folder / "submission" / "HW1_ID1_ID2.pdf"
    for arguments in ([], ["--pdf-only"]):
        assert project.export("--strict", *arguments) == 0
        assert Printed(pdf.read_bytes()).images() == [(31, 21), (31, 21)]
        pdf.unlink()


def test_pdf_only_without_ids_takes_the_newest_run_and_names_it(project, capsys):
    project.write()
    assert project.export() == 0
    assert project.export("123456782") == 0
    executed = project.folder / "build" / "executed"
    for stem, hours in (("HW1_ID1_ID2", 3), ("HW1_123456782", 2), ("HW1_my copy", 1)):
        path = executed / f"{stem}.ipynb"
        path.touch()
        os.utime(path, (time.time() - hours * 3600,) * 2)
    shutil.rmtree(project.folder / "submission")
    capsys.readouterr()
    assert project.export("--pdf-only") == 0
    printed = capsys.readouterr().out
    assert "HW1_123456782.ipynb, executed " in printed
    assert "edited since" not in printed
    assert "placeholder" not in printed
    files = {path.name for path in (project.folder / "submission").iterdir()}
    assert files == {f"HW1_123456782.{kind}" for kind in ("ipynb", "pdf", "pkl")}


def test_the_advice_to_make_the_pdf_again_holds_the_ids_of_the_command_line(
    project, capsys, monkeypatch
):
    project.write()
    monkeypatch.setattr(TypstPDFExporter, "from_notebook_node", None)
    assert project.export("123456782") == 1
    again = "./export.sh --pdf-only 123456782"
    assert f"{again} makes the PDF and publishes all three" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.setattr(build, "obtain", project.obtain)
    assert project.export(*again.split()[1:]) == 0


def test_a_folder_in_the_place_of_a_notebook_is_told_to_be_one(project, capsys):
    assert project.export("--notebook", str(project.folder)) == 1
    told = capsys.readouterr().err
    assert f"{project.folder} is a folder: --notebook takes a notebook file" in told
    assert "rename" not in told


def test_a_file_that_is_no_notebook_is_named(project, capsys):
    assert project.export() == 1
    assert f"{project.notebook} is not there" in capsys.readouterr().err
    project.notebook.write_text("{}}")
    assert project.export() == 1
    assert f"{project.notebook} is not a notebook" in capsys.readouterr().err


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(FIELDS) | st.text(max_size=3), inner, max_size=6)
    ),
    max_leaves=20,
)
notebooks = st.fixed_dictionaries(
    {
        "nbformat": st.sampled_from([3, 4]),
        "nbformat_minor": st.just(5),
        "metadata": st.just({}),
        "cells": json_values,
    }
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given((json_values | notebooks).map(json.dumps) | st.binary())
@example("[" * 100_000)
@example('{"nbformat": 4}')
@example('{"nbformat": 99}')
@example(b"\xff\xfe")
@example('{"nbformat":4,"nbformat_minor":5,"metadata":{"x":"\\ud800"},"cells":[]}')
def test_any_bytes_are_a_notebook_or_told_to_be_none(project, content):
    data = content if isinstance(content, bytes) else content.encode()
    project.notebook.write_bytes(data)
    with redirect_stderr(StringIO()) as told:
        status = project.export()
    assert project.notebook.read_bytes() == data
    assert status in (1, 2)
    no_notebook = f"{project.notebook} is not a notebook, or a damaged one: "
    no_ids = " code cells have the tag ids", "must hold your IDs in quotes"
    assert (no_notebook in told.getvalue()) == (status == 1)
    assert any(words in told.getvalue() for words in no_ids) == (status == 2)


def test_half_a_character_in_a_notebook_costs_nothing_but_itself(project):
    project.write()
    notebook = json.loads(project.notebook.read_text())
    notebook["metadata"]["x"] = "\ud800"
    project.notebook.write_text(json.dumps(notebook))
    assert project.export() == 0
    executed = (project.folder / "submission" / "HW1_ID1_ID2.ipynb").read_text()
    assert json.loads(executed)["metadata"]["x"] == "?"


def test_nothing_slow_is_imported_before_the_notebook_starts():
    code = (
        "import sys; sys.modules['rfc3987_syntax'] = None\n"
        "import hw1lib.submission.build\n"
        "print(sorted({'torch', 'matplotlib', 'nbconvert', 'pandas'} & sys.modules.keys()))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
