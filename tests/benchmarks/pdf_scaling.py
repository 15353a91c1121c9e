"""Time to print a notebook of 30, 100, 300 and 1000 cells, read-back check included.

    .venv/bin/python tests/benchmarks/pdf_scaling.py [--rounds 3] [--cells 30 100 300 1000]

The cells repeat a mix of prose with formulas, code with output, a table, and a figure as pixels
and as a drawing. Prints the median over the rounds, and the time of one cell: it stays the same
when the time grows linearly.
"""

import argparse
import base64
import io
import statistics
import time

import nbformat.v4 as v4
import pandas as pd
from matplotlib.figure import Figure
from nbformat import NotebookNode

from hw1lib.submission.pdf import TypstPDFExporter


def figure(index: int, kind: str) -> bytes:
    """A small plot that no other cell has."""
    plot = Figure(figsize=(5, 3))
    plot.subplots().plot([index, 3, 1, index % 7])
    buffer = io.BytesIO()
    plot.savefig(buffer, format=kind)
    return buffer.getvalue()


def cells(index: int) -> list[NotebookNode]:
    """Five cells of different kinds."""
    frame = pd.DataFrame({"step": range(6), "loss": [index / (i + 1) for i in range(6)]})
    drawing, pixels = figure(index, "svg").decode(), figure(index, "png")
    outputs = [
        v4.new_output(
            "stream", name="stdout", text=f"epoch {index}: loss {index / 7:.4f}\n" * 3
        ),
        v4.new_output("display_data", data={"text/html": frame.to_html()}),
        v4.new_output("display_data", data={"image/png": base64.b64encode(pixels).decode()}),
        v4.new_output("display_data", data={"image/svg+xml": drawing}),
    ]
    source = f"for epoch in range({index}):\n    loss = step(epoch)  # one step\n" * 4
    prose = (
        f"## Section {index}\n\nSome *prose* with $x_{{{index}}}^2$ and `code`.\n\n"
        "$$\\frac{\\partial L}{\\partial w} = \\sum_i (\\hat y_i - y_i) x_i$$\n\n- one\n- two"
    )
    code = [
        v4.new_code_cell(source, execution_count=index, outputs=[output]) for output in outputs
    ]
    return [v4.new_markdown_cell(prose), *code]


def notebook(count: int) -> NotebookNode:
    """A notebook of `count` cells."""
    groups = [cells(index) for index in range(-(-count // 5))]
    return v4.new_notebook(cells=[cell for group in groups for cell in group][:count])


def seconds(node: NotebookNode) -> float:
    """Time of one export."""
    start = time.perf_counter()
    TypstPDFExporter().from_notebook_node(node)
    return time.perf_counter() - start


def main() -> None:
    """Print a line for each number of cells."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cells", type=int, nargs="+", default=[30, 100, 300, 1000])
    options = parser.parse_args()
    seconds(notebook(5))  # imports and fonts
    print(f"{'cells':>6} {'seconds':>9} {'ms a cell':>10}")
    for count in options.cells:
        node = notebook(count)
        median = statistics.median(seconds(node) for _ in range(options.rounds))
        print(f"{count:6d} {median:9.2f} {median / count * 1000:10.1f}")


if __name__ == "__main__":
    main()
