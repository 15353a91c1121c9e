"""A notebook as its pages show it: typed blocks and spans, ready to be typeset.

`cells.document_of(nb, folder=..., max_lines=...)` makes a `Document` of a notebook,
`notebook.typ` sets it, and the read-back looks for it in the PDF. All words that will stand on
the page are in it as plain text.

How to walk it:

- `Document.cells` holds a `PrintedCell` for each cell, with its name and its blocks.
- A block is one of `Block`, a span (a piece of running text) one of `Span`; plain words are
  `str`. Formulas, figures, notes and anchors can be either.
- `walk(node)` yields a block or span and all inside of it in reading order, each before what it
  holds: `for node in walk(cell)`, then `isinstance`. `text_of(node)` is what it says in words.
- Not in it are what Typst adds: bullets and numbers of lists, page numbers, running heads
  (`short_title`, `student_ids`), the rows of a header again on each page of its table.
- Words hold the places where they may break, as zero-width spaces, and ⟨U+XXXX⟩ for characters
  that no font has.
"""

import dataclasses
import datetime
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from PIL import ImageColor


@dataclass(frozen=True)
class ExportNote:
    """Something not printed as the notebook has it, or not found in the PDF; what to do."""

    cell: str
    reason: str
    advice: str = ""

    def __str__(self) -> str:
        return f"{self.cell}: {self.reason}" + (f" {self.advice}" if self.advice else "")


# -- spans ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Look:
    """How text looks beside its neighbours; colours as `#rrggbb`."""

    color: str = ""
    background: str = ""
    bold: bool = False
    italic: bool = False
    underline: bool = False
    strike: bool = False
    subscript: bool = False
    superscript: bool = False
    small: bool = False
    code: bool = False


def css_color(value: str) -> str:
    """`#rrggbb` of a CSS colour; "" for transparent and what is no colour."""
    try:
        if match := re.fullmatch(r"rgba\((.*),([^,]*)\)", value):
            value = f"rgb({match[1]})" if float(match[2]) >= 0.05 else ""
        parts = ImageColor.getrgb(value)[:3]
    except ValueError:
        return ""
    return "#{:02x}{:02x}{:02x}".format(*(min(part, 255) for part in parts))


@dataclass(frozen=True)
class Styled:
    """Spans with a look of their own."""

    spans: "tuple[Span, ...]"
    look: Look


@dataclass(frozen=True)
class Link:
    """Spans that lead to a web address or to an `Anchor` of this document."""

    spans: "tuple[Span, ...]"
    url: str = ""
    target: str = ""


@dataclass(frozen=True)
class Anchor:
    """A place that a link leads to; it shows nothing. Block or span."""

    name: str


@dataclass(frozen=True)
class LineBreak:
    """The end of a line inside of a paragraph."""


@dataclass(frozen=True)
class Formula:
    """A formula. Block (`display`) or span.

    `tex` is its source as written, which the PDF carries as alternative text; `rows` is the
    Typst math of each line, `numbers` has the number of each, or None; `labels` are what
    references call it.
    """

    tex: str
    rows: tuple[str, ...]
    numbers: tuple[str | None, ...]
    labels: tuple[str, ...] = ()
    display: bool = False


@dataclass(frozen=True)
class UnsetFormula:
    """A formula that cannot be set, shown as its TeX source in a marked box. Block or span."""

    text: str
    display: bool = False


@dataclass(frozen=True)
class Figure:
    """An image. Block, or span where it is small.

    `file` is a name in `Document.files`; `width` and `height` are points. `pixels` is its size
    where it is made of pixels. A drawing has none, and may bring `words` of its own with it.
    """

    file: str
    width: float
    height: float
    pixels: tuple[int, int] | None = None
    description: str = ""
    words: str = ""
    caption: str = ""


@dataclass(frozen=True)
class Note:
    """Words of the exporter's own, as that something is cut. Block or span."""

    text: str


Span: TypeAlias = (
    str | Styled | Link | Anchor | LineBreak | Formula | UnsetFormula | Figure | Note
)
Line: TypeAlias = tuple[Span, ...]

# -- blocks ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Heading:
    """A heading; level 1 is the highest."""

    spans: tuple[Span, ...]
    level: int
    anchor: str = ""
    right_to_left: bool = False


@dataclass(frozen=True)
class Paragraph:
    """Running text; `sticky` when no page may end with it."""

    spans: tuple[Span, ...]
    right_to_left: bool = False
    sticky: bool = False


@dataclass(frozen=True)
class ListBlock:
    """A list; numbered from `start` on, with bullets where it is None."""

    items: "tuple[tuple[Block, ...], ...]"
    start: int | None = None
    right_to_left: bool = False


@dataclass(frozen=True)
class Group:
    """Blocks with a look or a frame of their own.

    The frame of a `quote` and of `details`, which a reader can fold on a screen, is a line at
    their side; what is `together` stays on one page, as a figure and its caption.
    """

    blocks: "tuple[Block, ...]"
    look: Look = Look()
    align: Literal["", "left", "right", "center"] = ""
    frame: Literal["", "quote", "details", "indented", "together"] = ""
    right_to_left: bool = False


@dataclass(frozen=True)
class Rule:
    """A horizontal line."""


@dataclass(frozen=True)
class Caption:
    """The caption of the table or figure next to it."""

    spans: tuple[Span, ...]


@dataclass(frozen=True)
class CodeBlock:
    """Source of a code cell, with its prompt, or preformatted text of markdown and HTML.

    `sticky` when what follows belongs beside it.
    """

    lines: tuple[Line, ...]
    prompt: str = ""
    sticky: bool = False


@dataclass(frozen=True)
class TerminalText:
    """Text output; `longest` counts the characters of its longest line, 0 where it may wrap.

    `sticky` when what follows belongs beside it.
    """

    lines: tuple[Line, ...]
    prompt: str = ""
    error: bool = False
    longest: int = 0
    sticky: bool = False


@dataclass(frozen=True)
class Output:
    """A displayed output that is more than text, with its prompt."""

    blocks: "tuple[Block, ...]"
    prompt: str = ""


@dataclass(frozen=True)
class TableCell:
    """A cell of a table at its place on the grid; columns and rows count from 0."""

    blocks: "tuple[Block, ...]"
    column: int
    row: int
    column_span: int = 1
    row_span: int = 1
    look: Look = Look()
    align: Literal["", "left", "right", "center"] = ""


@dataclass(frozen=True)
class Table:
    """A table, or those columns of a wide one that fit beside each other.

    The first `header_rows` rows are its header; columns of numbers are set flush right.
    """

    cells: tuple[TableCell, ...]
    columns: int
    rows: int
    header_rows: int = 0
    numeric: tuple[bool, ...] = ()
    right_to_left: bool = False


Block: TypeAlias = (
    Heading
    | Paragraph
    | ListBlock
    | Group
    | Rule
    | Caption
    | CodeBlock
    | TerminalText
    | Output
    | Table
    | Figure
    | Note
    | Anchor
    | Formula
    | UnsetFormula
)

# -- the whole ------------------------------------------------------------------------------


@dataclass(frozen=True)
class PrintedCell:
    """What one cell shows; messages call it by its name, as `cell 12 (In [5])`."""

    name: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Document:
    """A notebook, ready to be typeset.

    `heading` is the title as spans, `short_title` what runs over the pages. `files` are the
    images by name. `notes` say what is not printed as the notebook has it. `unverified` is what
    a first reading of the PDF did not find; it makes the last page. `font_files` are the fonts
    of this machine that it takes.
    """

    title: str
    heading: tuple[Span, ...]
    short_title: str
    cells: tuple[PrintedCell, ...]
    authors: tuple[str, ...] = ()
    student_ids: tuple[str, ...] = ()
    provenance: str = ""
    date: datetime.date | None = None
    unverified: tuple[ExportNote, ...] = ()
    notes: tuple[ExportNote, ...] = ()
    files: dict[str, bytes] = field(default_factory=dict)
    font_files: frozenset[str] = frozenset()


Node: TypeAlias = Block | Span | TableCell | PrintedCell


def inside(node: Node) -> Iterator[Node]:
    """What a node holds, in reading order; nothing inside of words and formulas."""
    if not isinstance(node, str | Formula):
        for name in ("spans", "lines", "items", "cells", "blocks"):
            for part in getattr(node, name, ()):
                yield from part if isinstance(part, tuple) else (part,)


def walk(node: Node) -> Iterator[Node]:
    """A node and everything inside of it, in reading order, each before what it holds."""
    yield node
    for part in inside(node):
        yield from walk(part)


def text_of(node: Node | tuple) -> str:
    """The words of a node: blocks, lines and cells on lines of their own, formulas as TeX."""
    if isinstance(node, str):
        return node
    if isinstance(node, tuple):
        return "".join(map(text_of, node))
    if isinstance(node, LineBreak):
        return "\n"
    if isinstance(node, Formula):
        return node.tex
    if isinstance(node, Note | UnsetFormula):
        return node.text
    if isinstance(node, Figure):
        return node.caption
    if hasattr(node, "spans"):
        return text_of(node.spans)
    if hasattr(node, "lines"):
        return "\n".join(map(text_of, node.lines))
    return "\n".join(text_of(part) for part in inside(node))


def as_data(value: object) -> object:
    """A value as JSON for the template: a dataclass is a dictionary with its `kind`.

    Fields that have their default value are left out.
    """
    if isinstance(value, tuple):
        return [as_data(item) for item in value]
    if isinstance(value, datetime.date):
        return {"year": value.year, "month": value.month, "day": value.day}
    if not dataclasses.is_dataclass(value):
        return value
    data: dict = {"kind": type(value).__name__}
    for each in dataclasses.fields(value):
        content = getattr(value, each.name)
        if content != each.default:
            data[each.name] = as_data(content)
    return data
