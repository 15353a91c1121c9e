"""The nbconvert exporter: notebook in, PDF out, by way of Typst."""

import contextlib
import datetime
import functools
import itertools
import json
import shutil
import tempfile
import warnings
from pathlib import Path

import typst
from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from traitlets import Bool, Integer, Unicode, default

from hw1lib.submission.pdf.cells import (
    Cell,
    Code,
    Html,
    Markdown,
    Note,
    Part,
    Picture,
    Text,
    read_cells,
    student_ids,
)
from hw1lib.submission.pdf.glyphs import Glyphs
from hw1lib.submission.pdf.html import (
    ContentError,
    Context,
    measures,
    plain_text,
    to_blocks,
)
from hw1lib.submission.pdf.images import ImageError, Images
from hw1lib.submission.pdf.markdown import Page, to_pages
from hw1lib.submission.pdf.readback import Loss, compare, read_pdf
from hw1lib.submission.pdf.styled import source_lines, terminal_lines
from hw1lib.submission.pdf.tex import Notation, TexError

#: PDF/UA-1, for readers who do not see the page; a PDF has tags without it too.
ACCESSIBLE = "ua-1"


class ExportError(RuntimeError):
    """The notebook cannot be printed in full; the message names the cell and what to do."""


class TypstPDFExporter(Exporter):
    """PDF of a notebook with every cell in it, typeset by Typst; no LaTeX, no browser."""

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"

    max_lines = Integer(
        1000, help="Lines of one output and rows of one table that are printed; more are cut."
    ).tag(config=True)
    read_back = Bool(
        True, help="Read the PDF back and fail when something of the notebook is not visible."
    ).tag(config=True)
    title = Unicode("", help="Title; by default the first heading of the notebook.").tag(
        config=True
    )

    # nbconvert else compiles its schema again after each of a dozen preprocessors: 0.7 s.
    optimistic_validation = Bool(
        True, help="Validate the notebook once, not after each preprocessor."
    ).tag(config=True)

    @default("file_extension")
    def _file_extension_default(self) -> str:
        return ".pdf"

    def from_notebook_node(self, nb: NotebookNode, resources=None, **kw):
        """Print a notebook.

        Returns:
            (pdf, resources): the PDF's bytes, and nbconvert's resources.

        Raises:
            ExportError: a cell has something that cannot be printed.
        """
        nb, resources = super().from_notebook_node(nb, resources, **kw)
        resources["output_extension"] = ".pdf"
        with tempfile.TemporaryDirectory(prefix="notebook-pdf-") as folder:
            glyphs = Glyphs()
            cells = read_cells(nb, self.max_lines)
            pages = markdown_pages(cells)
            context = Context(
                glyphs=glyphs,
                images=Images(Path(folder), notebook_folder(resources)),
                notation=Notation(),
                warn=self.log.warning,
                max_rows=self.max_lines,
            )
            document = self.document(nb, resources, cells, pages, context)
            if glyphs.missing:
                points = " ".join(sorted(f"U+{ord(char):04X}" for char in glyphs.missing))
                self.log.warning(
                    "No font has a glyph for %s; the code point is printed.", points
                )
            try:
                pdf = compiled(document, Path(folder), glyphs)
                lost = self.losses(pdf, cells, pages, context)
            except typst.TypstError as error:
                lost = [Loss("the notebook", "all of it", str(error))]
            if lost:
                unknown = not all(loss.cell.startswith("cell") for loss in lost)
                index = failing_cell(document, Path(folder), glyphs) if unknown else None
                raise ExportError(lost_message(lost, None if index is None else cells[index]))
        return pdf, resources

    def losses(
        self, pdf: bytes, cells: list[Cell], pages: dict[int, Page], context: Context
    ) -> list[Loss]:
        """What the PDF does not show; [] too when `read_back` is off."""
        if not self.read_back:
            return []
        return compare(cells, pages, context.images, read_pdf(pdf), self.max_lines)

    def document(
        self,
        nb: NotebookNode,
        resources: dict,
        cells: list[Cell],
        pages: dict[int, Page],
        context: Context,
    ) -> dict:
        """Everything the template typesets."""
        converted = self.convert(cells, pages, context)
        glyphs = context.glyphs
        heading = [] if self.title else take_title(converted)
        keep_together(converted)
        if heading:
            raise_headings(converted)
        name = resources.get("metadata", {}).get("name", "Notebook")
        title = self.title or plain_text(heading) or str(nb.metadata.get("title") or name)
        authors = [
            str(author.get("name", "")) if isinstance(author, dict) else str(author)
            for author in nb.metadata.get("authors", [])
        ]
        today = datetime.date.today()
        return {
            "title": title,
            "heading": heading or [glyphs.shown(title)],
            "short-title": glyphs.shown(title if len(title) < 80 else title[:79] + "…"),
            "authors": [glyphs.shown(author) for author in authors if author],
            "ids": [glyphs.shown(identity) for identity in student_ids(nb)],
            "date": {"year": today.year, "month": today.month, "day": today.day},
            "day": f"{today.day} {today:%B %Y}",
            "provenance": glyphs.shown(str(nb.metadata.get("provenance") or "")),
            "cells": converted,
        }

    def convert(
        self, cells: list[Cell], pages: dict[int, Page], context: Context
    ) -> list[list[dict]]:
        """Blocks of each cell."""
        context.notation.labels = labels(cells, pages)
        blocks = []
        for cell in cells:
            context.warn = functools.partial(self.log.warning, "%s: %s", cell.name)
            try:
                blocks.append(cell_blocks(cell, pages, context))
            except ContentError as error:
                raise ExportError(f"{cell.name} cannot be printed: {error}") from None
        return blocks


def labels(cells: list[Cell], pages: dict[int, Page]) -> dict[str, str]:
    """Number of each labelled formula, so that a reference can stand before it."""
    notation = Notation()
    for part in (part for cell in cells for part in cell.parts if id(part) in pages):
        for formula in pages[id(part)].formulas:
            # What is wrong with it is said when it is set.
            with contextlib.suppress(TexError):
                notation.convert(formula.tex, display=formula.display)
    return notation.labels


def lost_message(lost: list[Loss], cell: Cell | None, most: int = 20) -> str:
    """What is missing in a PDF, at most `most` lines of it, and the cell to look at."""
    lines = [f"The PDF would not show all of the notebook ({len(lost)} losses):"]
    lines += [f"  {loss}" for loss in lost[:most]]
    if len(lost) > most:
        lines.append(f"  and {len(lost) - most} more")
    if cell:
        lines.append(f"By itself {cell.name} cannot be printed; change it or split it.")
    lines.append(
        "For a PDF all the same, to look at: .venv/bin/jupyter nbconvert --to typstpdf "
        "--TypstPDFExporter.read_back=False NOTEBOOK"
    )
    return "\n".join(lines)


def notebook_folder(resources: dict) -> Path | None:
    """The folder of the notebook, where it may take images from."""
    path = resources.get("metadata", {}).get("path")
    return Path(path) if path is not None else None


def markdown_pages(cells: list[Cell]) -> dict[int, Page]:
    """HTML of every markdown part, by the identity of the part."""
    parts = [part for cell in cells for part in cell.parts if isinstance(part, Markdown)]
    pages = to_pages([part.text for part in parts])
    return {id(part): page for part, page in zip(parts, pages, strict=True)}


def cell_blocks(cell: Cell, pages: dict[int, Page], context: Context) -> list[dict]:
    """Blocks of one cell: source first, then what it printed."""
    blocks: list[dict] = []
    if isinstance(cell.source, Code):
        lines = source_lines(cell.source.text, cell.source.language, context.glyphs)
        sticky = bool(cell.outputs) and len(lines) <= 3
        blocks.append({"t": "source", "prompt": cell.prompt, "lines": lines, "sticky": sticky})
    elif cell.source:
        blocks += part_blocks(cell.source, "", pages, context)
    for label, part in cell.outputs:
        found = part_blocks(part, label, pages, context)
        for block in found:
            if block["t"] == "figure" and not block["alt"]:
                block["alt"] = f"Output of {cell.name}"
        if not isinstance(part, Text):
            found = [{"t": "output", "prompt": label, "c": found}]
        blocks += found
    return blocks


def part_blocks(part: Part, label: str, pages: dict[int, Page], context: Context) -> list[dict]:
    """Blocks of one source or output."""
    if isinstance(part, Markdown):
        page = pages[id(part)]
        return to_blocks(page.html, context, page, part.attachments)
    if isinstance(part, Html):
        return to_blocks(part.text, context)
    if isinstance(part, Text):
        longest = max(map(len, part.text.expandtabs(8).split("\n")), default=0)
        lines = terminal_lines(part.text, context.glyphs)
        node = {"t": "text", "prompt": label, "lines": lines, "error": part.error}
        return [node | {"longest": 0 if "\x1b" in part.text else longest}]
    if isinstance(part, Picture):
        return [picture_block(part, context)]
    if isinstance(part, Note):
        return [{"t": "note", "c": [context.glyphs.shown(part.text)]}]
    raise TypeError(f"no way to print a {type(part).__name__}")


def picture_block(part: Picture, context: Context) -> dict:
    """The figure of an image output; a note when it cannot be decoded."""
    try:
        placed = context.images.place(part.data, part.mime, part.width)
    except ImageError as error:
        context.warn(f"an image is not shown: {error}")
        return {"t": "note", "c": [f"An image ({part.mime}) is not shown: {error}."]}
    node = {"t": "figure", **measures(placed)}
    shown = context.glyphs.shown
    return node | {"alt": part.alt or part.caption, "caption": shown(part.caption)}


def raise_headings(cells: list[list[dict]]) -> None:
    """Without the title, the highest headings of a notebook are its first level."""
    headings = [block for cell in cells for block in cell if block["t"] == "heading"]
    above = min((heading["level"] for heading in headings), default=1) - 1
    for heading in headings:
        heading["level"] -= above


def keep_together(cells: list[list[dict]]) -> None:
    """Mark paragraphs that lead into what follows, so that no page ends with one."""
    blocks = [block for cell in cells for block in cell]
    for block, following in itertools.pairwise(blocks):
        if block["t"] == "para":
            leads = plain_text(block["c"]).rstrip().endswith(":")
            if leads or following["t"] == "math":
                block["sticky"] = True


def take_title(cells: list[list[dict]]) -> list:
    """Remove the notebook's first heading, when the notebook starts with it, and return it."""
    for blocks in cells:
        if blocks:
            if blocks[0]["t"] == "heading" and blocks[0]["level"] == 1:
                heading = blocks[0]
                blocks[0] = {"t": "anchor", "id": heading["id"]}
                return heading["c"]
            return []
    return []


def compiled(document: dict, folder: Path, glyphs: Glyphs) -> bytes:
    """The PDF of a document.

    Raises:
        typst.TypstError: the template failed on it.
    """
    template = Path(__file__).with_name("notebook.typ")
    shutil.copyfile(template, folder / "notebook.typ")
    data = json.dumps(document, ensure_ascii=False).encode("utf-8", "replace")
    (folder / "notebook.json").write_bytes(data)
    options = {"root": str(folder), "font_paths": glyphs.fonts}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", typst.TypstWarning)
        try:
            return typst.compile(
                str(folder / "notebook.typ"), pdf_standards=ACCESSIBLE, **options
            )
        except typst.TypstError:
            # What the standard forbids, as a heading that skips a level, is no reason to fail.
            return typst.compile(str(folder / "notebook.typ"), **options)


def failing_cell(document: dict, folder: Path, glyphs: Glyphs) -> int | None:
    """Index of the first cell that by itself cannot be typeset or runs off the page."""
    for index, cell in enumerate(document["cells"]):
        try:
            pdf = compiled(document | {"cells": [cell]}, folder, glyphs)
        except typst.TypstError:
            return index
        if read_pdf(pdf).outside:
            return index
    return None
