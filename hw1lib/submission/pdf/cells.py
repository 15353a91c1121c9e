"""What a printed notebook shows: each cell as a list of parts, in the order they appear.

The exporter typesets these parts and the read-back check looks for them, so that there is one
place which decides what "all cells visible" means.
"""

import ast
import base64
import binascii
import re
from dataclasses import dataclass, field

from nbformat import NotebookNode

#: Kinds of output from the most to the least faithful on paper.
IMAGES = (
    "image/svg+xml",
    "application/pdf",
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/gif",
    "image/bmp",
)
CONTROL = re.compile(
    r"\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b\[[0-?]*[ -/]*[@-ln-~]|\x1b[@-Z\\^_]"
)
VISIBLE_HTML = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.S | re.I)


@dataclass(frozen=True)
class Code:
    """Source of a cell, to be highlighted."""

    text: str
    language: str


@dataclass(frozen=True)
class Text:
    """Plain text, perhaps with ANSI colours; `error` on stderr and in tracebacks."""

    text: str
    error: bool = False


@dataclass(frozen=True)
class Markdown:
    """Markdown with LaTeX math."""

    text: str
    attachments: dict[str, dict[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Html:
    """HTML of an output."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An image of an output: its bytes, or None where they cannot be decoded."""

    data: bytes | None
    mime: str
    width: float | None = None
    alt: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Note:
    """A line of the exporter's own that says what is not on paper."""

    text: str


Part = Code | Text | Markdown | Html | Picture | Note


@dataclass
class Cell:
    """One cell; `number` counts from 1 over all cells of the notebook."""

    number: int
    source: Part | None
    prompt: str = ""
    outputs: list[tuple[str, Part]] = field(default_factory=list)

    @property
    def parts(self) -> list[Part]:
        """Source and outputs in the order they are printed."""
        return ([self.source] if self.source else []) + [part for _, part in self.outputs]

    @property
    def name(self) -> str:
        """How messages call this cell."""
        return f"cell {self.number}" + (f" ({self.prompt.rstrip(':')})" if self.prompt else "")


def tags(cell: NotebookNode) -> set[str]:
    """Tags of a cell, in the hyphenated spelling."""
    return {str(tag).replace("_", "-") for tag in cell.metadata.get("tags", [])}


def read_cells(nb: NotebookNode, max_lines: int) -> list[Cell]:
    """The cells to print. Text longer than `max_lines` lines is cut, with a Note that says so.

    The tags `remove-cell`, `-input`, `-output`, `-stdout` and `-stderr` drop what they name, as
    in nbconvert and Jupyter Book. What `hide-*` folds away a reader can unfold on a screen but
    not on paper, so it is shown.
    """
    language = nb.metadata.get("language_info", {}).get("name", "python")
    cells = []
    for number, cell in enumerate(nb.cells, 1):
        marks = tags(cell)
        if "remove-cell" in marks:
            continue
        source = join(cell.source)
        if cell.cell_type == "markdown":
            cells.append(Cell(number, Markdown(source, cell.get("attachments", {}))))
        elif cell.cell_type == "raw":
            cells.append(Cell(number, raw_part(cell, source)))
        elif source.strip() or cell.outputs:
            count = cell.execution_count
            shown = Cell(
                number, Code(source, language), f"In [{' ' if count is None else count}]:"
            )
            if "remove-input" in marks:
                shown.source = None
            if not marks & {"remove-output", "remove-outputs"}:
                dropped = {name for name in ("stdout", "stderr") if f"remove-{name}" in marks}
                shown.outputs = read_outputs(cell, number, max_lines, dropped)
            cells.append(shown)
    return cells


def raw_part(cell: NotebookNode, source: str) -> Part | None:
    """A raw cell is for the format it names; without one it is for every format."""
    mime = cell.metadata.get("raw_mimetype") or cell.metadata.get("format")
    if not source.strip():
        return None
    if mime in (None, "", "text/plain", "application/pdf"):
        return Text(source)
    if mime == "text/markdown":
        return Markdown(source)
    return Note(f"A raw cell for {mime} only is not printed.")


def read_outputs(
    cell: NotebookNode, number: int, max_lines: int, dropped: set[str]
) -> list[tuple[str, Part]]:
    """Outputs of a code cell with their prompts, consecutive pieces of a stream joined.

    Streams whose names are in `dropped` are left out.
    """
    parts: list[tuple[str, Part]] = []
    caption = cell.metadata.get("caption") or quarto_option(join(cell.source), "fig-cap")
    for output in cell.outputs:
        kind = output.output_type
        if kind == "stream":
            if output.name in dropped:
                continue
            part: Part = Text(join(output.text), output.name == "stderr")
            last = parts[-1][1] if parts else None
            if isinstance(last, Text) and last.error == part.error and not parts[-1][0]:
                part = Text(last.text + part.text, part.error)
                parts.pop()
            parts.append(("", part))
        elif kind == "error":
            trace = "\n".join(output.traceback) or f"{output.ename}: {output.evalue}"
            parts.append(("", Text(trace, error=True)))
        else:
            count = output.get("execution_count")
            prompt = f"Out[{count}]:" if kind == "execute_result" and count is not None else ""
            part = richest(output, caption)
            if part:
                parts.append((prompt, part))
    shown = []
    for prompt, part in parts:
        shown += [(prompt, piece) for piece in cut(part, number, max_lines)]
    return shown


def quarto_option(source: str, name: str) -> str:
    """Value of a `#| name: value` line at the head of a code cell."""
    match = re.search(rf"^#\|\s*{name}:\s*(.+)$", source, re.M)
    return match[1].strip().strip("\"'") if match else ""


def richest(output: NotebookNode, caption: str) -> Part | None:
    """The form of a rich output that says most on paper."""
    data, metadata = output.data, output.get("metadata", {})
    for mime in IMAGES:
        if mime in data:
            return picture(mime, join(data[mime]), metadata, caption)
    html = join(data.get("text/html", ""))
    if VISIBLE_HTML.sub("", html).strip() or re.search(r"<(img|svg|table)\b", html, re.I):
        return Html(html)
    if data.get("text/markdown"):
        return Markdown(join(data["text/markdown"]))
    if data.get("text/latex"):
        return Markdown(latex(join(data["text/latex"])))
    live = [mime for mime in data if mime not in ("text/plain", "text/html")]
    script = "<script" in html.lower()
    if data.get("text/plain") and not script:
        return Text(join(data["text/plain"]))
    if "application/json" in data:
        return Text(str(data["application/json"]))
    if live or script:
        kinds = ", ".join(live) or "a script"
        return Note(f"An interactive output ({kinds}) lives in the notebook only.")
    return None


def latex(text: str) -> str:
    """A LaTeX output as markdown: math that lacks its `$$` gets it."""
    text = text.strip()
    return text if text.startswith(("$", "\\begin", "\\[")) else f"$$\n{text}\n$$"


def picture(mime: str, data: str, metadata: dict, caption: str) -> Picture:
    """The image of an output with the width its metadata asks for, in CSS pixels."""
    own = metadata.get(mime) if isinstance(metadata.get(mime), dict) else {}
    width = own.get("width")
    alt = str(own.get("alt") or metadata.get("alt") or "")
    caption = str(metadata.get("caption") or caption)
    if mime == "image/svg+xml":
        raw = data.encode("utf-8", "replace")
    else:
        try:
            raw = base64.b64decode(data, validate=False)
        except (binascii.Error, ValueError):
            raw = None
    width = float(width) if isinstance(width, int | float) and width > 0 else None
    return Picture(raw, mime, width, alt, caption)


def cut(part: Part, number: int, max_lines: int) -> list[Part]:
    """Text of at most `max_lines` lines, its middle replaced by a line that says so."""
    if not isinstance(part, Text):
        return [part]
    lines = terminal_lines(part.text)
    if lines and not lines[-1]:
        lines.pop()
    if not any(line.strip() for line in lines):
        return []
    dropped = len(lines) - max_lines
    if dropped <= 0:
        return [Text("\n".join(lines), part.error)]
    tail = max_lines // 5
    head = max_lines - tail
    return [
        Text("\n".join(lines[:head]), part.error),
        Note(
            f"{dropped} of {len(lines)} lines are cut; cell {number} of the notebook has all."
        ),
        Text("\n".join(lines[len(lines) - tail :]), part.error),
    ]


def terminal_lines(text: str) -> list[str]:
    """Lines as a terminal leaves them: \\r and \\b overwrite, cursor movements are dropped."""
    lines = CONTROL.sub("", text).replace("\r\n", "\n").split("\n")
    return [overwritten(line) if "\r" in line or "\b" in line else line for line in lines]


def overwritten(line: str) -> str:
    """What is left of a line after its carriage returns and backspaces."""
    if "\x1b" in line:
        return next((piece for piece in reversed(line.split("\r")) if piece), "").replace(
            "\b", ""
        )
    shown: list[str] = []
    at = 0
    for char in line:
        if char == "\r":
            at = 0
        elif char == "\b":
            at = max(at - 1, 0)
        else:
            shown[at : at + 1] = [char]
            at += 1
    return "".join(shown)


def student_ids(nb: NotebookNode) -> list[str]:
    """The IDs assigned in the code cell tagged `ids`; [] where there is none."""
    for cell in nb.cells:
        if cell.cell_type == "code" and "ids" in tags(cell):
            for node in ast.walk(parsed(join(cell.source))):
                if isinstance(node, ast.Assign) and isinstance(
                    node.value, ast.List | ast.Tuple
                ):
                    values = [e.value for e in node.value.elts if isinstance(e, ast.Constant)]
                    return [str(value) for value in values]
    return []


def parsed(source: str) -> ast.AST:
    """The syntax tree of a cell; an empty one when it is not plain Python."""
    try:
        return ast.parse(source)
    except (SyntaxError, ValueError):
        return ast.Module([], [])


def join(text: str | list[str]) -> str:
    """The text of a notebook field, which nbformat lets be a list of lines."""
    return "".join(text) if isinstance(text, list) else str(text)
