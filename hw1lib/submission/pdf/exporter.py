"""The nbconvert exporter: notebook in, PDF out, by way of Typst."""

import copy
import functools
import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import nbformat
import typst
from nbconvert.exporters import Exporter
from nbformat import NotebookNode
from traitlets import Bool, Integer, Unicode, default
from traitlets.config import Application

from hw1lib.submission.pdf.cells import document_of
from hw1lib.submission.pdf.compare import Loss, compare
from hw1lib.submission.pdf.document import (
    Document,
    ExportNote,
    Formula,
    PrintedCell,
    as_data,
    walk,
)
from hw1lib.submission.pdf.glyphs import fonts
from hw1lib.submission.pdf.images import typeset
from hw1lib.submission.pdf.reader import read_pdf

#: PDF/UA-1, for readers who do not see the page; a PDF has tags without it too.
ACCESSIBLE = "ua-1"
TEMPLATE = Path(__file__).with_name("notebook.typ")


class PrintError(RuntimeError):
    """In strict mode: the PDF is not all of the notebook; says where, and what to do."""


class TypstPDFExporter(Exporter):
    """PDF of a notebook with every cell in it, typeset by Typst; no LaTeX, no browser."""

    export_from_notebook = "PDF via Typst"
    output_mimetype = "application/pdf"

    max_lines = Integer(
        1000, help="Lines of one output and rows of one table that are printed; more are cut."
    ).tag(config=True)
    read_back = Bool(
        True, help="Read the PDF back, and list on a last page what is not found in it."
    ).tag(config=True)
    strict = Bool(
        False, help="Fail, and write nothing, where the PDF is not all of the notebook."
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
        """Print a notebook; a note stands on the page for what cannot be shown.

        Returns:
            (pdf, resources): the PDF's bytes, and nbconvert's resources, in which "notes" is a
            list of `ExportNote`: what is not printed as the notebook has it, and what was not
            found when the PDF was read back, which "unverified" has alone. Each is logged as a
            warning too.

        Raises:
            PrintError: with `strict`, when there is a note.
        """
        nb = copy.deepcopy(nb)
        for cell in nb.cells:
            if cell.cell_type == "code":
                cell.setdefault("outputs", [])
                cell.setdefault("execution_count", None)
            cell.setdefault("metadata", NotebookNode())
        try:
            nb, resources = super().from_notebook_node(nb, resources, **kw)
        except nbformat.ValidationError:  # it is logged; what can be read is printed
            resources = self._init_resources(resources)
        resources["output_extension"] = ".pdf"
        metadata = resources.get("metadata", {})
        path = metadata.get("path")
        make = functools.partial(
            document_of,
            nb,
            folder=None if path is None else Path(path),
            name=metadata.get("name", "Notebook"),
            title=self.title,
            max_lines=self.max_lines,
        )
        document, pdf = printed(make)
        if self.read_back and (lost := compare(document, read_pdf(pdf))):
            document = replace(document, unverified=tuple(map(unverified, lost)))
            pdf = compiled(document)
        notes = [*document.notes, *document.unverified]
        if notes and self.strict:
            self.refuse(notes)
        for note in notes:
            self.log.warning("%s", note)
        resources["notes"], resources["unverified"] = notes, [*document.unverified]
        return pdf, resources

    def refuse(self, notes: list[ExportNote], most: int = 20) -> None:
        """Say why there is no PDF; at the command line without a traceback."""
        lines = [f"The PDF would not be all of the notebook ({len(notes)} notes):"]
        lines += [f"  {note}" for note in notes[:most]]
        if len(notes) > most:
            lines.append(f"  and {len(notes) - most} more")
        lines.append(
            "Change these cells, or export without --TypstPDFExporter.strict=True: the PDF "
            "then shows what stands for them."
        )
        message = "\n".join(lines)
        if Application.initialized() and (app := Application.instance()).name.endswith(
            "nbconvert"
        ):
            self.log.critical(message)
            app.exit(1)
        raise PrintError(message)


def unverified(loss: Loss) -> ExportNote:
    """What the reading of the PDF did not find, as a note."""
    reason = str(loss).removeprefix(f"{loss.cell}: ")
    return ExportNote(loss.cell, f"{reason}.", "Look at this place in the PDF.")


def printed(make: Callable[..., Document]) -> tuple[Document, bytes]:
    """A document and its PDF; of what Typst fails on, formulas are shown as their source, and
    where that is not enough, cells as plain text.

    Args:
        make: gives the document; with `refused`, those formulas as their source, and with
            `plain`, those cells as plain text. Both hold the reasons.

    Raises:
        typst.TypstError: plain text fails as well.
    """
    changes: dict[str, dict[str, str]] = {}
    for find in (refused_formulas, failing_cells):
        document = make(**changes)
        try:
            return document, compiled(document)
        except typst.TypstError:
            changes |= find(document)
    document = make(**changes)
    return document, compiled(document)


def refused_formulas(document: Document) -> dict[str, dict[str, str]]:
    """As `refused`, the formulas of a document that cannot be typeset, with the reasons."""
    nodes = (node for cell in document.cells for node in walk(cell))
    formulas = dict.fromkeys(node for node in nodes if isinstance(node, Formula))
    found = failing([*formulas], lambda some: [PrintedCell("", tuple(some))], document)
    return {"refused": {formula.tex: reason for formula, reason in found.items()}}


def failing_cells(document: Document) -> dict[str, dict[str, str]]:
    """As `plain`, the names of the cells that cannot be typeset, with the reasons."""
    found = failing(document.cells, lambda cells: cells, document)
    return {"plain": {cell.name: reason for cell, reason in found.items()}}


def failing(parts: Sequence, as_cells: Callable, document: Document) -> dict:
    """The parts that cannot be typeset as cells of a document, with the reasons, by halving."""
    try:
        compiled(replace(document, cells=tuple(as_cells(parts))))
    except typst.TypstError as error:
        if len(parts) == 1:
            return {parts[0]: str(error)}
        half = len(parts) // 2
        found = failing(parts[:half], as_cells, document)
        found |= failing(parts[half:], as_cells, document)
        # Where each half can be set alone, they fail together: all of them count.
        return found or dict.fromkeys(parts, str(error))
    return {}


def compiled(document: Document) -> bytes:
    """The PDF of a document.

    Raises:
        typst.TypstError: the template failed on it.
    """
    data = json.dumps(
        as_data(replace(document, notes=(), files={}, font_files=frozenset())),
        ensure_ascii=False,
    )
    files = {
        "main.typ": TEMPLATE.read_bytes(),
        "notebook.json": data.encode("utf-8", "replace"),
        **document.files,
    }
    try:
        return typeset(files, fonts(document.font_files), pdf_standards=ACCESSIBLE)
    except typst.TypstError:
        # What the standard forbids, as a heading that skips a level, is no reason to fail.
        return typeset(files, fonts(document.font_files))
