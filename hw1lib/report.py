"""What a notebook cell shows besides figures: source code, tables, where the data came from."""

import inspect
import platform
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version

from IPython.display import HTML, Markdown

from hw1lib.datasets.resources import Source

RED = "#c00000"


def show_source(*objects: object) -> Markdown:
    """The source of classes and functions, as it runs, in one highlighted block."""
    code = "\n\n".join(inspect.getsource(o).rstrip() for o in objects)
    return Markdown(f"```python\n{code}\n```")


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
