"""A notebook as a document: what of each cell is shown, and what stands for the rest."""

import ast
import contextlib
import datetime
import functools
import itertools
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from nbformat import NotebookNode

from hw1lib.submission.pdf.document import (
    Anchor,
    Block,
    CodeBlock,
    Document,
    ExportNote,
    Figure,
    Formula,
    Heading,
    Note,
    Output,
    Paragraph,
    PrintedCell,
    Span,
    TerminalText,
    text_of,
)
from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.html import Context, drawn, missing_image, shortened, to_blocks
from hw1lib.submission.pdf.images import ImageError, Images, decoded
from hw1lib.submission.pdf.markdown import to_page
from hw1lib.submission.pdf.styled import LONGEST_LINE, on_screen, source_lines, terminal_lines
from hw1lib.submission.pdf.tex import Notation

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
VISIBLE_HTML = re.compile(r"<(script|style|head)\b.*?</\1\s*>|<!--.*?-->|<[^>]*>", re.S | re.I)
#: So many lines of code and text are kept on the page of what follows, and of a figure.
SHORT, BEFORE_FIGURE = 3, 24
#: Characters of one row of a page.
ROW = 100


def document_of(
    nb: NotebookNode,
    *,
    folder: Path | None = None,
    name: str = "Notebook",
    title: str = "",
    max_lines: int = 1000,
    refused: Mapping[str, str] | None = None,
    plain: Mapping[str, str] | None = None,
) -> Document:
    """What a notebook shows on paper. Nothing is compiled, and the notebook is not changed.

    The tags `remove-cell`, `-input`, `-output`, `-stdout` and `-stderr` drop what they name, as
    in nbconvert and Jupyter Book. What `hide-*` folds away a reader can unfold on a screen but
    not on paper, so it is shown. What cannot be shown is replaced; `Document.notes` says so.

    Args:
        nb: a notebook of format 4.
        folder: of the notebook, where images lie that it names; without it no file is read.
        name: stands for the title where the notebook has none.
        title: replaces the notebook's own.
        max_lines: lines of an output and rows of a table; what is longer is cut in the middle.
        refused: formulas to show as their source, each with the reason.
        plain: names of cells to show as plain text only, each with the reason.
    """
    make = functools.partial(_Reader, nb, folder, max_lines, refused or {}, plain or {})
    reader = make()
    cells = reader.cells()
    if labels := reader.notation.labels:  # a reference may stand before its formula
        reader = make(Notation(labels=labels))
        cells = reader.cells()
    heading: tuple[Span, ...] = ()
    if not title:
        heading, cells = without_title(cells)
    if heading:
        cells = with_raised_headings(cells)
    shown = reader.context.glyphs.shown
    title = title or text_of(heading) or str(nb.metadata.get("title") or name)
    authors = nb.metadata.get("authors") or []
    names = [str(a.get("name", "")) if isinstance(a, dict) else str(a) for a in authors]
    return Document(
        title=title,
        heading=heading or (shown(title).replace("_", "_\u200b"),),
        short_title=shown(shortened(title, 80)),
        cells=with_leads(cells),
        authors=tuple(shown(author) for author in names if author),
        student_ids=tuple(map(shown, student_ids(nb))),
        provenance=shown(str(nb.metadata.get("provenance") or "")),
        date=datetime.date.today(),
        notes=tuple(reader.notes),
        files=reader.context.images.files,
        font_files=frozenset(reader.context.glyphs.files),
    )


@dataclass(frozen=True)
class _Text:
    """Text of a stream, a traceback or a plain result, with its prompt."""

    text: str
    error: bool = False
    prompt: str = ""


@dataclass
class _Reader:
    """Turns the cells of one notebook into blocks, and collects what is to be said of them."""

    nb: NotebookNode
    folder: Path | None
    max_lines: int
    refused: Mapping[str, str]
    plain: Mapping[str, str]
    notation: Notation = field(default_factory=Notation)
    notes: list[ExportNote] = field(default_factory=list)
    name: str = ""

    def __post_init__(self) -> None:
        self.language = (self.nb.metadata.get("language_info") or {}).get("name") or "python"
        images = Images(self.folder)
        self.context = Context(
            Glyphs(), images, self.notation, self.note, self.refused, self.max_lines
        )

    def note(self, reason: str, advice: str) -> None:
        """Say of the cell at hand what is not as the notebook has it."""
        self.notes.append(ExportNote(self.name, reason, advice))

    def cells(self) -> tuple[PrintedCell, ...]:
        """The cells to print."""
        printed = []
        for number, cell in enumerate(self.nb.cells, 1):
            if "remove-cell" in tags(cell):
                continue
            self.name = f"cell {number}"
            if cell.cell_type == "code":
                self.name += f" (In [{execution_count(cell)}])"
            missing = set(self.context.glyphs.missing)
            reason = self.plain.get(self.name)
            try:
                blocks = self.plain_blocks(cell, reason) if reason else self.blocks(cell)
            except Exception as error:  # one odd cell is no reason to print none of the others
                blocks = self.plain_blocks(cell, f"{type(error).__name__}: {error}")
            if lacking := self.context.glyphs.missing - missing:
                points = " ".join(sorted(f"U+{ord(char):04X}" for char in lacking))
                self.note(
                    f"no font has a glyph for {points}; the code point is printed.",
                    "Install a font that has it, for example Noto.",
                )
            printed.append(PrintedCell(self.name, tuple(blocks)))
        return tuple(printed)

    def blocks(self, cell: NotebookNode) -> list[Block]:
        """Blocks of one cell: source first, then what it printed."""
        source = join(cell.get("source", ""))
        if cell.cell_type == "markdown":
            return self.markdown(source, cell.get("attachments") or {})
        if cell.cell_type == "raw":
            return self.raw(cell, source)
        marks, blocks = tags(cell), []
        if not marks & {"remove-output", "remove-outputs"}:
            blocks = [block for part in outputs(cell) for block in self.output(part, cell)]
        if "remove-input" in marks or not (source.strip() or cell.get("outputs")):
            return blocks
        lines = source_lines(source, self.language, self.context.glyphs)
        return held([CodeBlock(lines, f"In [{execution_count(cell)}]:"), *blocks])

    def plain_blocks(self, cell: NotebookNode, reason: str) -> list[Block]:
        """A cell as plain text: what is left when it cannot be typeset."""
        self.note(
            f"it is printed as plain text: it cannot be typeset ({shortened(reason, 200)}).",
            "Make it simpler, or split it.",
        )
        blocks: list[Block] = [Note("This cell is printed as plain text.")]
        for part in (_Text(join(cell.get("source", ""))), *outputs(cell)):
            if not isinstance(part, _Text):
                part = _Text(join(part.get("data", {}).get("text/plain", "")))
            blocks += self.text(part)
        return blocks

    def markdown(self, text: str, attachments: dict) -> list[Block]:
        page = to_page(text)
        return [*to_blocks(page.html, self.context, page, attachments)]

    def raw(self, cell: NotebookNode, source: str) -> list[Block]:
        """A raw cell is for the format it names; without one it is for every format."""
        metadata = cell.get("metadata", {})
        mime = metadata.get("raw_mimetype") or metadata.get("format")
        if mime == "text/markdown":
            return self.markdown(source, {})
        if not source.strip() or mime in (None, "", "text/plain", "application/pdf"):
            return self.text(_Text(source))
        return [self.replacement(f"A raw cell for {mime} only is not printed.")]

    def replacement(self, text: str, advice: str = "") -> Note:
        """A note on the page, that is told of as well."""
        self.note(text[0].lower() + text[1:], advice)
        return Note(self.context.glyphs.shown(text))

    def text(self, part: _Text) -> list[Block]:
        """Text of at most `max_lines` lines; in place of its middle a note says so."""
        lines = on_screen(part.text.rstrip())
        if not any(lines):
            return []
        head, tail = cut(lines, self.max_lines)
        blocks = self.lines(head, part)
        if tail:
            what = "lines" if max(map(len, lines)) <= LONGEST_LINE else "characters"
            whole, kept = (
                (len(some) if what == "lines" else sum(map(len, some)))
                for some in (lines, head + tail)
            )
            text = f"{whole - kept} of {whole} {what} are cut"
            self.note(f"{text}.", "Print less, or set --TypstPDFExporter.max_lines.")
            number = self.name.partition(" (")[0]
            blocks.append(Note(f"{text}; {number} of the notebook has all."))
            blocks += self.lines(tail, replace(part, prompt=""))
        return blocks

    def lines(self, lines: list[str], part: _Text) -> list[Block]:
        text = "\n".join(lines)
        longest = max(map(len, text.expandtabs(8).split("\n")))
        return [
            TerminalText(
                terminal_lines(text, self.context.glyphs),
                part.prompt,
                part.error,
                0 if "\x1b" in text else longest,
            )
        ]

    def output(self, part: "_Text | NotebookNode", cell: NotebookNode) -> list[Block]:
        """Blocks of one output, in the form that says most on paper."""
        if isinstance(part, _Text):
            return self.text(part)
        count = part.get("execution_count")
        is_result = part.output_type == "execute_result" and count is not None
        prompt = f"Out[{count}]:" if is_result else ""
        blocks = self.rich(part, cell, prompt)
        if not blocks or isinstance(blocks[0], TerminalText):
            return blocks
        alt = f"Output of {self.name}"
        for at, block in enumerate(blocks):
            if isinstance(block, Figure) and not block.description:
                blocks[at] = replace(block, description=alt)
        return [Output(tuple(blocks), prompt)]

    def rich(self, output: NotebookNode, cell: NotebookNode, prompt: str) -> list[Block]:
        data, metadata = output.get("data") or {}, output.get("metadata") or {}
        for mime in IMAGES:
            if mime in data:
                return self.picture(mime, data[mime], metadata, cell)
        html = join(data.get("text/html", ""))
        if VISIBLE_HTML.sub("", html).strip() or re.search(r"<(img|svg|table)\b", html, re.I):
            return [*to_blocks(html, self.context)]
        for mime in ("text/markdown", "text/latex"):
            if text := join(data.get(mime, "")):
                return self.markdown(latex(text) if mime == "text/latex" else text, {})
        live = [mime for mime in data if mime not in ("text/plain", "text/html")]
        script = "<script" in html.lower()
        if data.get("text/plain") and not script:
            return self.text(_Text(join(data["text/plain"]), prompt=prompt))
        if "application/json" in data:
            return self.text(_Text(str(data["application/json"]), prompt=prompt))
        if live or script:
            kinds = ", ".join(live) or "a script"
            text = f"An interactive output ({kinds}) lives in the notebook only."
            return [self.replacement(text, "Show a picture of it beside it.")]
        return []

    def picture(
        self, mime: str, data: str | list, metadata: dict, cell: NotebookNode
    ) -> list[Block]:
        """The figure of an image output, at the width in CSS pixels that it asks for."""
        own = metadata.get(mime) if isinstance(metadata.get(mime), dict) else {}
        width = own.get("width")
        width = float(width) if isinstance(width, int | float) and width > 0 else None
        caption = metadata.get("caption") or cell.metadata.get("caption")
        caption = str(caption or quarto_option(join(cell.source), "fig-cap"))
        try:
            figure = self.context.images.place(decoded(data, mime), mime, width)
        except ImageError as error:
            return [missing_image(f"an image ({mime})", error, self.context)]
        alt = str(own.get("alt") or metadata.get("alt") or caption)
        figure = replace(figure, description=alt, caption=self.context.glyphs.shown(caption))
        return drawn(figure, self.context)


def outputs(cell: NotebookNode) -> "Iterator[_Text | NotebookNode]":
    """Outputs of a code cell; pieces of a stream that follow each other are one text."""

    def stream(output: NotebookNode) -> str:
        is_stream = output.get("output_type") == "stream"
        return output.get("name", "stdout") if is_stream else ""

    shown = [o for o in cell.get("outputs") or [] if f"remove-{stream(o)}" not in tags(cell)]
    for name, group in itertools.groupby(shown, stream):
        if name:
            yield _Text("".join(join(o.get("text", "")) for o in group), name == "stderr")
            continue
        for output in group:
            if output.get("output_type") == "error":
                trace = "\n".join(output.get("traceback") or [])
                yield _Text(trace or f"{output.get('ename')}: {output.get('evalue')}", True)
            else:
                yield output


def held(blocks: list[Block]) -> list[Block]:
    """The blocks of a code cell; short code, and what leads to a figure, holds what follows."""
    lines = 0
    for at, block in enumerate(blocks[1:], 1):
        lines += len(blocks[at - 1].lines)
        figure = isinstance(block, Output) and isinstance(block.blocks[0], Figure)
        if lines <= (BEFORE_FIGURE if figure else SHORT):
            blocks[:at] = [replace(before, sticky=True) for before in blocks[:at]]
        if not isinstance(block, TerminalText):
            break
    return blocks


def cut(lines: list[str], most: int) -> tuple[list[str], list[str]]:
    """The first and last lines that fill `most` rows of a page; no last ones if all fit."""
    if sum(1 + len(line) // ROW for line in lines) <= most:
        return lines, []
    pieces = [
        line[at : at + LONGEST_LINE]
        for line in lines
        for at in range(0, max(len(line), 1), LONGEST_LINE)
    ]
    tail = filling(pieces[::-1], most // 5)[::-1]
    return filling(pieces, most - most // 5), tail


def filling(lines: list[str], rows: int) -> list[str]:
    """The lines that fill so many rows of a page; at least one."""
    used = itertools.accumulate(1 + len(line) // ROW for line in lines)
    return lines[: max(1, sum(1 for _ in itertools.takewhile(lambda n: n <= rows, used)))]


def quarto_option(source: str, name: str) -> str:
    """Value of a `#| name: value` line at the head of a code cell."""
    match = re.search(rf"^#\|\s*{name}:\s*(.+)$", source, re.M)
    return match[1].strip().strip("\"'") if match else ""


def latex(text: str) -> str:
    """A LaTeX output as markdown: math that lacks its `$$` gets it."""
    text = text.strip()
    return text if text.startswith(("$", "\\begin", "\\[")) else f"$$\n{text}\n$$"


def without_title(
    cells: tuple[PrintedCell, ...],
) -> tuple[tuple[Span, ...], tuple[PrintedCell, ...]]:
    """The notebook's first heading, if it starts with it, and the cells without it."""
    for at, cell in enumerate(cells):
        if cell.blocks:
            first, *rest = cell.blocks
            if not isinstance(first, Heading) or first.level > 1:
                break
            bare = replace(cell, blocks=(Anchor(first.anchor), *rest))
            return first.spans, (*cells[:at], bare, *cells[at + 1 :])
    return (), cells


def with_raised_headings(cells: tuple[PrintedCell, ...]) -> tuple[PrintedCell, ...]:
    """Without the title, the highest headings of a notebook are its first level."""
    levels = [b.level for cell in cells for b in cell.blocks if isinstance(b, Heading)]
    above = min(levels, default=1) - 1

    def raised(block: Block) -> Block:
        is_heading = isinstance(block, Heading)
        return replace(block, level=block.level - above) if is_heading else block

    return with_blocks(cells, raised)


def with_leads(cells: tuple[PrintedCell, ...]) -> tuple[PrintedCell, ...]:
    """Paragraphs that lead into what follows are sticky: no page ends with one."""
    following = iter([block for cell in cells for block in cell.blocks][1:])

    def lead(block: Block) -> Block:
        after = next(following, None)
        if isinstance(block, Paragraph) and after:
            colon = text_of(block).rstrip().endswith(":")
            return replace(block, sticky=colon or isinstance(after, Formula))
        return block

    return with_blocks(cells, lead)


def with_blocks(
    cells: tuple[PrintedCell, ...], change: Callable[[Block], Block]
) -> tuple[PrintedCell, ...]:
    """The cells with each block changed."""
    return tuple(replace(cell, blocks=tuple(map(change, cell.blocks))) for cell in cells)


def tags(cell: NotebookNode) -> set[str]:
    """Tags of a cell, in the hyphenated spelling."""
    return {str(tag).replace("_", "-") for tag in cell.get("metadata", {}).get("tags") or []}


def execution_count(cell: NotebookNode) -> object:
    """The number in a cell's prompt; a space where it did not run."""
    count = cell.get("execution_count")
    return " " if count is None else count


def student_ids(nb: NotebookNode) -> list[str]:
    """The IDs assigned in the code cell tagged `ids`; [] where there is none."""
    for cell in nb.cells:
        if cell.cell_type == "code" and "ids" in tags(cell):
            with contextlib.suppress(SyntaxError, ValueError):  # it is not plain Python
                nodes = ast.walk(ast.parse(join(cell.source)))
                values = (node.value for node in nodes if isinstance(node, ast.Assign))
                for value in values:
                    if isinstance(value, ast.List | ast.Tuple):
                        return [str(e.value) for e in value.elts if isinstance(e, ast.Constant)]
    return []


def join(text: str | list[str]) -> str:
    """The text of a notebook field, which nbformat lets be a list of lines."""
    return "".join(map(str, text)) if isinstance(text, list) else str(text)
