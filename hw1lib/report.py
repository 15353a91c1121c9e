"""What a notebook cell shows besides figures: source code, tables, where the data came from."""

import ast
import inspect
import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from textwrap import dedent, fill

from IPython.display import HTML, Markdown

from hw1lib.datasets.resources import Source

RED = "#e03030"


def show_source(*objects: object) -> Markdown:
    """The source of classes, functions and methods, as it runs, in one highlighted block.

    Of a docstring the first line is shown: a page of shapes and errors stays in the library.
    Parameters that the library has on a line each fill the lines here.
    """
    code = "\n\n".join(_briefly(dedent(inspect.getsource(o)).rstrip()) for o in objects)
    return Markdown(f"```python\n{code}\n```")


def _briefly(source: str) -> str:
    """The same code, each docstring cut to its first line and each head set in few lines."""
    lines: list[str | None] = [*source.split("\n")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef):
            _fill_head(lines, node)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            if last - first > 1:
                lines[first] += '"""'
                lines[first + 1 : last] = [None] * (last - first - 1)
    return "\n".join(line for line in lines if line is not None)


def _fill_head(lines: list[str | None], node: ast.FunctionDef) -> None:
    """Join the lines from `def` to its colon, each as long as the code may be."""
    start, end = node.lineno - 1, node.body[0].lineno - 1
    head = lines[start:end]
    if len(head) < 3 or not head[0].endswith("(") or any("#" in line for line in head):
        return
    parameters = " ".join(line.strip() for line in head[1:-1]).removesuffix(",")
    whole = f"{head[0]}{parameters}{head[-1].strip()}"
    whole = whole.replace(" ", "\xa0").replace(",\xa0", ", ")  # lines end after commas
    inner = " " * (node.col_offset + 8)
    filled = fill(whole, 96, subsequent_indent=inner, break_on_hyphens=False)
    lines[start:end] = [filled.replace("\xa0", " "), *[None] * (len(head) - 1)]


def source_line(function: Callable, start: str) -> str:
    """The one line of a function's source that starts so, without its comment.

    Raises:
        ValueError: no line does, or several do.
    """
    lines = [line.strip() for line in inspect.getsource(function).splitlines()]
    found = [line.partition("  #")[0] for line in lines if line.startswith(start)]
    if len(found) != 1:
        where = function.__qualname__
        raise ValueError(f"{where}: {len(found)} lines start with {start!r}, expected one")
    return found[0]


class FiguresStated:
    """Markdown whose figures programs can read too: the output's metadata carries them."""

    def __init__(self, text: str, figures: dict[str, float]) -> None:
        self.text = text
        self.figures = figures

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        """Markdown and plain text, and the metadata of the output that shows them."""
        data = {"text/markdown": self.text, "text/plain": self.text}
        return data, {"hw1": self.figures}


def figures_stated(text: str, **figures: float) -> FiguresStated:
    """Markdown for the last line of a cell, whose figures `check` finds in the notebook.

    Args:
        text: what is shown. It has to hold each figure as `as_shown` writes it, so that
            what a reader and what a program finds cannot differ.
        figures: by the names that `hw1lib.submission.check` knows: `mnist_test_accuracy`,
            `cnn_test_accuracy` (shares, 0 to 1) and `cnn_parameters` (a count).

    Raises:
        ValueError: the text does not show one of the figures.
    """
    for name, value in figures.items():
        if as_shown(value) not in text:
            raise ValueError(f"the text does not show {name} as {as_shown(value)}: {text!r}")
    return FiguresStated(text, figures)


def as_shown(value: float) -> str:
    """A count with commas, as in 91,587; any other figure in percent, as in 87.01%."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"


def titled(title: str, *sources: Source) -> str:
    """A title that says STAND-IN if one of the sources it rests on is one."""
    return f"STAND-IN · {title}" if any(s.stand_in for s in sources) else title


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    title: str,
    red: Sequence[int] = (),
) -> HTML:
    """A table with a caption.

    Args:
        columns: headings.
        rows: one value a column; text is shown as it is, never as markup.
        title: the caption.
        red: indices of the rows to print in red.
    """
    head = "".join(f"<th>{escape(str(name))}</th>" for name in columns)
    body = "".join(
        "<tr>" + "".join(_cell(value, red=index in red) for value in row) + "</tr>"
        for index, row in enumerate(rows)
    )
    caption = f"<caption>{escape(title)}</caption>"
    return HTML(f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>")


def _cell(value: object, *, red: bool) -> str:
    style = f' style="color: {RED}"' if red else ""
    return f"<td{style}>{escape(str(value))}</td>"


def provenance(sources: Mapping[str, Source]) -> HTML:
    """Where each resource of this run came from; stand-ins in red."""
    found = list(sources.values())
    return table(
        ("data", "from", "what it is"),
        [(s.title, "STAND-IN" if s.stand_in else s.origin, s.detail) for s in found],
        title="Draft: what is printed in red is a stand-in"
        if any(s.stand_in for s in found)
        else "Where the data of this run came from",
        red=[index for index, s in enumerate(found) if s.stand_in],
    )


def versions() -> str:
    """Python, the machine's kind, and the packages that decide the numbers."""
    packages = ("torch", "torchvision", "matplotlib", "seaborn", "pillow")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"Python {platform.python_version()} on {platform.machine()}; {listed}"
