"""The whole of HW1.ipynb on stand-ins, twice: the three files, and the same bits both times."""

import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pypdfium2
import pytest
import torch

PROJECT_ROOT = Path(__file__).resolve().parents[1]
NAME = "HW1_123456789_987654321"
HANG_S = 1200  # no measure of speed: it only ends a run that hangs

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """The output folders of two exports, and what each printed."""
    folder = tmp_path_factory.mktemp("end to end")
    return [_export(folder / run, folder / "data") for run in ("first", "second")]


def _export(output: Path, data: Path) -> tuple[Path, str]:
    done = subprocess.run(
        [sys.executable, "-m", "hw1lib.submission", *NAME.split("_")[1:], "--output", output],
        cwd=PROJECT_ROOT,
        env={**os.environ, "HW1_STANDIN": "always", "HW1_DATA": str(data)},
        capture_output=True,
        text=True,
        timeout=HANG_S,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return output, done.stdout


@pytest.fixture(scope="module")
def draft(exports):
    """Path of the first export's files, less their extension."""
    return exports[0][0] / "draft" / NAME


def test_the_three_files_are_a_draft(exports, draft):
    output, _ = exports[0]
    assert {path.name for path in draft.parent.iterdir()} == {
        f"{NAME}.ipynb",
        f"{NAME}.pdf",
        f"{NAME}.pkl",
    }
    assert not (output / "submission").exists()


def test_every_cell_ran_in_order_without_error(draft):
    notebook = nbformat.read(draft.with_suffix(".ipynb"), as_version=4)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert not [output for output in outputs if output.output_type == "error"]


def test_the_draft_says_so_in_notebook_pdf_and_last_line(exports, draft):
    assert "STAND-IN" in draft.with_suffix(".ipynb").read_text()
    with pypdfium2.PdfDocument(draft.with_suffix(".pdf")) as document:
        pages = [page.get_textpage().get_text_range() for page in document]
    assert "STAND-IN" in pages[0]
    assert sum("STAND-IN" in page for page in pages) > 3
    last = exports[0][1].splitlines()[-1]
    assert last.startswith("DRAFT, not for handing in")
    assert "MNIST, Grocery Store, Bird and dog photos, VGG16 weights" in last


def test_the_weights_load_where_there_is_no_hw1lib(draft):
    code = (
        "import sys; sys.modules['hw1lib'] = None\n"
        "import torch\n"
        "weights = torch.load(sys.argv[1], weights_only=True)\n"
        "print({name: tuple(tensor.shape) for name, tensor in weights.items()})"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, draft.with_suffix(".pkl")], capture_output=True, text=True
    )
    shapes = {"W1": (784, 128), "b1": (128,), "W2": (128, 10), "b2": (10,)}
    assert (done.stdout, done.stderr) == (f"{shapes}\n", "")


@pytest.mark.parametrize("file", [f"draft/{NAME}.pkl", "build/executed/cnn.pt"])
def test_a_second_export_gives_the_same_bits(exports, file):
    first, second = (torch.load(output / file, weights_only=True) for output, _ in exports)
    assert first.keys() == second.keys()
    different = [name for name in first if not torch.equal(first[name], second[name])]
    assert different == []
