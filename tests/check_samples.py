"""A small submission that is fine in all respects, for tests of the check to spoil."""

from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import nbformat
import torch
from IPython.core.pylabtools import print_figure
from matplotlib.figure import Figure
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from hw1lib import plots, report
from hw1lib.activations import d_sigmoid, d_softmax, d_tanh
from hw1lib.datasets.resources import RESOURCES, Source
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.network import FullyConnectedNetwork
from hw1lib.submission.check.executed import note_executed
from hw1lib.submission.pdf import TypstPDFExporter
from tests import hostile_weights

NAME = "HW1_123456782_987654324"  # both with their check digits
WORDS = "Words that tell what was found and why, " * 8


def weights() -> dict[str, torch.Tensor]:
    return hostile_weights.weights(784, 128, 10)


def code(source: str, *outputs: object, tags: tuple[str, ...] = ()) -> NotebookNode:
    """A code cell with what it displayed."""
    shown = [output if isinstance(output, dict) else displayed(output) for output in outputs]
    return new_code_cell(source, outputs=shown, metadata={"tags": list(tags)})


def displayed(thing: object) -> NotebookNode:
    """The output that shows a figure, a table, markdown or a text."""
    if isinstance(thing, Figure):
        data, metadata = {"image/svg+xml": print_figure(thing, fmt="svg")}, {}
    elif isinstance(thing, str):
        return new_output("stream", name="stdout", text=thing)
    elif hasattr(thing, "_repr_mimebundle_") and not hasattr(thing, "data"):
        data, metadata = thing._repr_mimebundle_()
    else:
        html = type(thing).__name__ == "HTML"
        data, metadata = {"text/html" if html else "text/markdown": thing.data}, {}
    return new_output("display_data", data=data, metadata=metadata)


def curves(splits: tuple[str, str], *names: str) -> Figure:
    def records(splits):
        return [
            EpochRecord(e, 1.0, 0.1, {s: Metrics(1 / e, 1 - 0.5 / e, 10) for s in splits})
            for e in (1, 2, 3)
        ]

    runs = [History(name, records(splits)) for name in names or ("run",)]
    return plots.curves(runs, splits, title=f"Curves of {', '.join(names)}")


def sources(stand_ins: tuple[str, ...] = ()) -> dict[str, Source]:
    return {
        name: Source(name, r.title, Path(), "data", name in stand_ins, "as it came")
        for name, r in RESOURCES.items()
    }


@cache
def figures() -> dict[str, NotebookNode]:
    """The outputs of the cells that show a figure."""
    plots.use_house_style()
    torch.manual_seed(0)
    photo, rates = torch.rand(3, 5, 5), ("lr 0.01", "lr 0.1", "lr 1")
    drawn = {
        "curves a": curves(("train", "test")),
        "curves b": curves(("train", "test"), *rates),
        "curves cnn": curves(("train", "val")),
        "birds": plots.photo_grid([photo], ["owl"], columns=2, title="The birds"),
        "dog": plots.prediction(photo, ["dog"], [0.5], title="VGG16 on a dog"),
        "filters": plots.filters(torch.randn(3, 3, 3, 3), title="The filters"),
        "responses": plots.responses(photo, torch.rand(3, 5, 5), title="Responses"),
    }
    return {name: displayed(figure) for name, figure in drawn.items()}


def cells(mnist_accuracy: float, stand_ins: tuple[str, ...] = ()) -> dict[str, NotebookNode]:
    """The cells by name, in order."""
    markdown, drawn = new_markdown_cell, deepcopy(figures())
    mnist = report.figures_stated(
        f"Test accuracy **{mnist_accuracy:.2%}**", mnist_test_accuracy=mnist_accuracy
    )
    cnn = report.figures_stated(
        "Test accuracy 70.00% with 91,587 parameters",
        cnn_test_accuracy=0.7,
        cnn_parameters=91587,
    )
    return {
        "title": markdown("# HW1"),
        "provenance": code("sources", report.provenance(sources(stand_ins))),
        "ids": code('STUDENT_IDS = ["123456782", "987654324"]', tags=("ids",)),
        "Q1.I": markdown(f"## Question 1\n\n### Q1.I Softmax\n\n{WORDS}\n\n$$x^2$$"),
        "Q1.II": markdown(f"### Q1.II Entropy\n\n{WORDS}\n\n$$y^2$$"),
        "Q2.I": markdown("## Question 2\n\n### Q2.I Derivatives"),
        "derivatives": code("a", report.show_source(d_sigmoid, d_tanh, d_softmax)),
        "Q2.II": markdown(f"### Q2.II A Network\n\n{WORDS}"),
        "network": code("b", report.show_source(FullyConnectedNetwork)),
        "Q2.II.a": markdown("#### Q2.II.a One Layer\n\n**Question.** Plot it."),
        "curves a": code("c", drawn["curves a"]),
        "mnist": code("d", mnist),
        "Q2.II.b": markdown(f"#### Q2.II.b Learning Rates\n\n{WORDS}"),
        "curves b": code("e", drawn["curves b"]),
        "Q3.I": markdown(f"## Question 3\n\n### Q3.I Products\n\n{WORDS}"),
        "curves cnn": code("f", drawn["curves cnn"]),
        "cnn": code("g", cnn),
        "Q3.II": markdown("### Q3.II VGG\n\n#### Q3.II.1 Load\n\nIt was loaded, with weights."),
        "Q3.II.2": markdown("#### Q3.II.2 Birds"),
        "birds": code("h", drawn["birds"]),
        "Q3.II.3": markdown(f"#### Q3.II.3 Steps\n\n{WORDS}"),
        "Q3.II.4": markdown(f"#### Q3.II.4 Forward\n\n{WORDS}"),
        "Q3.II.5": markdown(f"#### Q3.II.5 A Dog\n\n{WORDS}"),
        "dog": code("i", drawn["dog"]),
        "Q3.II.6": markdown(f"#### Q3.II.6 Filters\n\n{WORDS}"),
        "filters": code("j", drawn["filters"]),
        "responses": code("k", drawn["responses"]),
    }  # fmt: skip


def run(cells: dict[str, NotebookNode]) -> NotebookNode:
    """The notebook of these cells, as an export leaves it."""
    notebook = new_notebook(cells=list(cells.values()))
    for number, cell in enumerate(notebook.cells):
        cell.id = f"cell-{number}"
    code = (cell for cell in notebook.cells if cell.cell_type == "code")
    for count, cell in enumerate(code, 1):
        cell.execution_count = count
        note_executed(notebook, cell)
    return notebook


class Sample:
    """The three files of a submission in a folder."""

    def __init__(self, folder: Path, name: str = NAME) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.ipynb, self.pdf, self.pkl = (
            folder / f"{name}.{kind}" for kind in ("ipynb", "pdf", "pkl")
        )

    def write(self, notebook: NotebookNode) -> None:
        """The notebook alone."""
        nbformat.write(notebook, self.ipynb)

    def change(self, change: Callable[[NotebookNode], object]) -> None:
        """Change the notebook, as an editor does: nothing notes that."""
        notebook = nbformat.read(self.ipynb, as_version=4)
        change(notebook)
        self.write(notebook)

    def print(self) -> None:
        """Make the PDF of the notebook."""
        notebook = nbformat.read(self.ipynb, as_version=4)
        self.pdf.write_bytes(TypstPDFExporter().from_notebook_node(notebook)[0])

    def save(self, weights: object) -> None:
        """The weights file."""
        torch.save(weights, self.pkl)
