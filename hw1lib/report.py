"""What a notebook cell shows besides figures: source code, tables, claims that are checked."""

import ast
import fnmatch
import inspect
import platform
import zlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from html import escape
from importlib.metadata import version
from textwrap import dedent, wrap

import pandas as pd
from IPython.display import HTML, Markdown
from pandas.io.formats.style import Styler
from torch import Tensor

from hw1lib.datasets.resources import Source

RED = "#e03030"


def show_source(*objects: object, without: Collection[str] = ()) -> Markdown:
    """The source of classes, functions and methods, as it runs, in one highlighted block.

    Of a docstring the first line is shown: a page of shapes and errors stays in the library.
    Parameters and plain arguments that the library has on a line each fill the lines here.

    Args:
        objects: what to show, in this order.
        without: names of methods to leave out of classes; a comment takes the place of each.
    """
    sources = (dedent(inspect.getsource(o)).rstrip() for o in objects)
    code = "\n\n".join(_briefly(source, without) for source in sources)
    return Markdown(f"```python\n{code}\n```")


def _briefly(source: str, without: Collection[str]) -> str:
    """The same code, each docstring cut to its first line and statements set in few lines."""
    lines: list[str | None] = [*source.split("\n")]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef):
            _leave_out(lines, [f for f in node.body if getattr(f, "name", "") in without])
        if isinstance(node, ast.FunctionDef):
            _fill(lines, node.lineno - 1, node.body[0].lineno - 1)
        elif isinstance(node, ast.Assign | ast.Expr | ast.Return):
            _fill(lines, node.lineno - 1, node.end_lineno, at_most=1)
        elif isinstance(node, ast.Call) and not any(
            isinstance(part, ast.Call) for part in ast.walk(node) if part is not node
        ):
            _fill(lines, node.lineno - 1, node.end_lineno)
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            first, last = node.body[0].lineno - 1, node.body[0].end_lineno
            text = lines[first:last]
            if len(text) > 1 and None not in text and text[-1].endswith('"""'):  # no comment
                _put(lines, first, last, [text[0] + '"""'])
    return _joined(lines)


def _joined(lines: Iterable[str | None]) -> str:
    return "\n".join(line for line in lines if line is not None)


def _leave_out(lines: list[str | None], methods: Sequence[ast.FunctionDef]) -> None:
    """Put a comment that names the methods in place of the first, nothing for the others."""
    for method in methods:
        start, end = method.lineno - 1, method.end_lineno
        lines[start - (method is not methods[0]) : end] = [None] * (
            end - start + (method is not methods[0])
        )
    if methods:
        names = ", ".join(method.name for method in methods)
        indent = " " * methods[0].col_offset
        lines[methods[0].lineno - 1] = f"{indent}# Not shown: {names}"


def _fill(lines: list[str | None], start: int, end: int, at_most: int = 9) -> None:
    """Join lines from an opening bracket to the closing one, each as long as code may be."""
    found = lines[start:end]
    if len(found) < 2 or {None, ""} & {*found} or '"""' in found[0] or "#" in "".join(found):
        return
    whole = found[0]
    for line in map(str.strip, found[1:]):
        if line[0] in ")]}":
            whole = whole.removesuffix(",") + line
        else:
            whole += line if whole[-1] in "([{" else f" {line}"
    indent = " " * (len(whole) - len(whole.lstrip()) + 8)
    whole = whole.replace(" ", "\xa0").replace(",\xa0", ", ")  # lines end after commas
    style = {"subsequent_indent": indent, "break_long_words": False, "break_on_hyphens": False}
    filled = [line.replace("\xa0", " ") for line in wrap(whole, 96, **style)]
    if len(filled) <= min(at_most, len(found) - 1) and max(map(len, filled)) <= 96:
        _put(lines, start, end, filled)


def _put(lines: list[str | None], start: int, end: int, fewer: Sequence[str]) -> None:
    """Put fewer lines in place of some, unless the code then says something else."""
    found, code = lines[start:end], _meaning(lines)
    lines[start:end] = [*fewer, *[None] * (len(found) - len(fewer))]
    if _meaning(lines) != code:  # as where a string goes on in the next line
        lines[start:end] = found


def _meaning(lines: Iterable[str | None]) -> str | None:
    """The code without its layout, docstrings by their first lines; None if it is no code."""
    try:
        tree = ast.parse(_joined(lines))
    except SyntaxError:
        return None
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(node):
            node.body[0].value.value = ast.get_docstring(node).partition("\n")[0]
    return ast.dump(tree)


class Stated:
    """An output that programs can read too: its metadata carries what its text shows."""

    def __init__(self, data: dict[str, str], stated: dict[str, object]) -> None:
        self.shown, self.stated = data, stated

    def _repr_mimebundle_(self, **_: object) -> tuple[dict[str, str], dict[str, object]]:
        """What is shown, by MIME type, and the metadata of the output that shows it."""
        return self.shown, {"hw1": self.stated}


def stated_metrics(text: str, **metrics: float) -> Stated:
    """Markdown for the last line of a cell, whose metrics `check` finds in the notebook.

    Args:
        text: what is shown. It has to hold each metric as `as_shown` writes it, so that
            what a reader and what a program finds cannot differ.
        metrics: by the names that `hw1lib.submission.check` knows: `mnist_test_accuracy`,
            `cnn_test_accuracy` (shares, 0 to 1) and `cnn_parameters` (a count).

    Raises:
        ValueError: the text does not show one of the metrics.
    """
    for name, value in metrics.items():
        if as_shown(value) not in text:
            raise ValueError(f"the text does not show {name} as {as_shown(value)}: {text!r}")
    return Stated({"text/markdown": text, "text/plain": text}, metrics)


def as_shown(value: float) -> str:
    """A count with commas, as in 91,587; any other metric in percent, as in 87.01%."""
    return f"{value:,}" if isinstance(value, int) else f"{value:.2%}"


def listed(values: Iterable[float], form: str = "{:.1%}") -> str:
    """Numbers in one format, with commas between them."""
    return ", ".join(form.format(value) for value in values)


def titled(title: str, *sources: Source) -> str:
    """A title that says STAND-IN if one of the sources it rests on is one."""
    return f"STAND-IN · {title}" if any(s.stand_in for s in sources) else title


def table(
    frame: pd.DataFrame,
    formats: str | Mapping[str, str] | None = None,
    *,
    title: str,
    red: pd.Series | None = None,
) -> HTML:
    """A data frame as a table with a caption, the same HTML at each run.

    Args:
        frame: one line a row; an index without a name is left out, and underscores of column
            names become spaces. Text is shown as it is, never as markup; nan is left blank;
            tuples become sizes, as in "3 x 224 x 224".
        formats: one for all numbers, or pattern of column names -> format, as in
            {"*accuracy": "{:.1%}"}; the first pattern that fits counts. Other columns are
            shown as they are.
        title: the caption.
        red: whether to print a row in red, one value a row.
    """
    if shown := [name for name in frame.index.names if name is not None]:
        frame = frame.reset_index(shown)
    patterns = {"*": formats} if isinstance(formats, str) else formats or {}
    numbers = {
        column.replace("_", " "): form
        for pattern, form in reversed(patterns.items())
        for column in fnmatch.filter(frame.select_dtypes("number"), pattern)
    }
    frame = frame.reset_index(drop=True).rename(columns=lambda name: name.replace("_", " "))
    frame = frame.map(lambda v: " x ".join(map(str, v)) if isinstance(v, tuple) else v)
    name = f"{zlib.crc32((title + frame.to_csv()).encode()):08x}"  # no rule for another table
    styler = Styler(frame, uuid=name, cell_ids=False, caption=escape(title))
    styler.format(numbers, na_rep="", escape="html").format_index(escape="html", axis=1)
    if red is not None:
        rows = frame.index[red.to_numpy(bool)]
        styler.map(lambda _: f"color: {RED}", subset=pd.IndexSlice[rows, :])
    return HTML(styler.hide().to_html())


def claims(stated: Iterable[tuple[str, bool, str]], *sources: Source) -> Stated:
    """The claims that the text above makes about this run, ticked where they hold.

    Args:
        stated: each claim in the words of the text, whether it holds, and the measured value
            that decides.
        sources: the data that the values rest on; with a stand-in no claim is checked.

    Returns:
        A table for the last line of a cell: ticks, in red what does not hold, and "not
        checked" on stand-ins. Its metadata holds "claims": claim -> true, false or null.
    """
    rows = pd.DataFrame(stated, columns=["claim", "holds", "measured"])
    verdicts = {True: "✓", False: "✗ not so"}
    drawn = any(source.stand_in for source in sources)
    rows["holds"] = rows["holds"].astype(bool)
    shown = rows.assign(holds=rows["holds"].map(verdicts))
    if drawn:  # a measured value would look like an answer
        shown = rows.assign(holds="not checked", measured="")
    failed = ~rows["holds"] & (not drawn)
    html = table(shown, title=titled("What the text claims", *sources), red=failed).data
    holds = [None] * len(rows) if drawn else rows["holds"].tolist()
    data = {"text/html": html, "text/plain": shown.to_string(index=False)}
    return Stated(data, {"claims": dict(zip(rows["claim"], holds, strict=True))})


def vanishing(differences: Mapping[str, Tensor]) -> list[tuple[str, bool, str]]:
    """Claims that differences are 0 but for rounding, as `claims` takes them.

    Args:
        differences: claim -> tensor whose entries should all be 0; below 1e-7 they count as
            rounding.
    """
    largest = {claim: value.abs().max().item() for claim, value in differences.items()}
    return [(claim, off < 1e-7, f"off by {off:.1e}") for claim, off in largest.items()]


def provenance(sources: Mapping[str, Source]) -> HTML:
    """Where each resource of this run came from; stand-ins in red."""
    found = list(sources.values())
    drawn = pd.Series([source.stand_in for source in found])
    rows = pd.DataFrame(
        {
            "data": source.title,
            "from": "STAND-IN" if source.stand_in else source.origin,
            "what it is": source.detail,
        }
        for source in found
    )
    title = "Where the data of this run came from"
    if drawn.any():
        title = "Draft: what is printed in red is a stand-in"
    return table(rows, title=title, red=drawn)


def versions() -> str:
    """Python, the machine's kind, and the packages that decide the numbers."""
    packages = ("torch", "torchvision", "matplotlib", "seaborn", "pillow")
    listed = ", ".join(f"{name} {version(name)}" for name in packages)
    return f"Python {platform.python_version()} on {platform.machine()}; {listed}"
