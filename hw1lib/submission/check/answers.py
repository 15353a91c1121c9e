"""Whether every question has an answer, and every plot that is asked for."""

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from typing import TypeAlias

from nbformat import NotebookNode

from hw1lib.assignment import QUESTIONS, Question
from hw1lib.submission.check.drawings import Drawing, DrawingError, read_drawing
from hw1lib.submission.check.findings import Finding
from hw1lib.submission.check.forbidden import Offence, Reader, UnreadableError, offences
from hw1lib.submission.check.notebook import cell_name
from hw1lib.submission.executed import is_run
from hw1lib.submission.pdf.cells import IMAGES

_HEADING = re.compile(r"#{1,6}[ \t]+(Q\d[\w.]*|Question[ \t]+\d)")
_Q2 = ("Q2", "Question 2")
_FENCE = re.compile(r"(`{3,}|~{3,})[ \t]*(\w*)")
_RESTATED = re.compile(r"^\*\*Question\.?\*\*.*?(?=\n[ \t]*\n|\Z)", re.MULTILINE | re.DOTALL)
_HIDDEN = re.compile(
    r"<!--.*?(?:-->|\Z)|<(\w+)[^>]*(?:\bhidden\b|display\s*:\s*none)[^>]*>.*?(?:</\1\s*>|\Z)",
    re.DOTALL | re.IGNORECASE,
)
_FORMULA = re.compile(r"\$\$|\\begin\{|\\\[")


@dataclass
class Section:
    """What stands between the heading of a question and the next one's.

    Attributes:
        cell: the cell that its heading is in, as messages call it.
        prose: text of markdown cells and outputs, less the question as it is restated.
        code: cells of code, as messages call them, with their source.
        shown: source that outputs show, with the cell of each.
        drawings: figures that can be read.
        pictures: figures whose content cannot be read, for they are made of pixels.
    """

    cell: str
    prose: list[str] = field(default_factory=list)
    code: list[tuple[str, str]] = field(default_factory=list)
    shown: list[tuple[str, str]] = field(default_factory=list)
    drawings: list[Drawing] = field(default_factory=list)
    pictures: int = 0


Sections: TypeAlias = list[tuple[str, Section]]


def sections(notebook: NotebookNode) -> Sections:
    """The sections under the headings of questions, in the order in which they stand.

    What is above the first of them is a section too, named "".
    """
    current = Section("the beginning")
    found = [("", current)]
    for number, cell in enumerate(notebook.cells, 1):
        name = cell_name(number, cell)
        if cell.cell_type == "markdown":
            before, *parts = _parted(cell.source)
            _add_prose(current, before[1], name)
            for question, text in parts:
                current = Section(name)
                found.append((question, current))
                _add_prose(current, text, name)
        elif is_run(cell):
            current.code.append((name, cell.source))
            for output in cell.outputs:
                _add_output(current, output, name)
    return found


def _parted(source: str) -> Iterator[tuple[str, str]]:
    """A markdown text cut at the headings of questions; the first part has none."""
    question, lines = "", []
    for line, fence in _lines(source):
        if fence is None and (heading := _HEADING.match(line)):
            yield question, "".join(lines)
            question, lines = heading[1].rstrip("."), []
        else:
            lines.append(line)
    yield question, "".join(lines)


def _lines(text: str) -> Iterator[tuple[str, str | None]]:
    """Each line with the language of the block of code that it is in, None outside of one."""
    mark, language = "", None
    for line in text.splitlines(keepends=True):
        fence = _FENCE.match(line)
        if not mark and fence:
            mark, language = fence[1], fence[2]
            yield line, language
        elif mark and fence and fence[1].startswith(mark):
            yield line, language
            mark, language = "", None
        else:
            yield line, language


def _add_prose(section: Section, text: str, cell: str) -> None:
    for language, block in groupby(_lines(text), key=lambda pair: pair[1]):
        lines = [line for line, _ in block]
        if language is None:
            section.prose.append(_RESTATED.sub("", _HIDDEN.sub("", "".join(lines))))
        elif language in ("python", "py"):
            source = "".join("\n" if _FENCE.match(line) else line for line in lines)
            section.shown.append((cell, source))


def _add_output(section: Section, output: NotebookNode, cell: str) -> None:
    """Add what is shown of it: a picture before HTML, and HTML before markdown."""
    data = output.get("data", {})
    if isinstance(svg := data.get("image/svg+xml"), str):
        try:
            section.drawings.append(read_drawing(svg))
        except DrawingError:
            section.pictures += 1
    elif any(mime in data for mime in IMAGES):
        section.pictures += 1
    elif not data.get("text/html") and isinstance(text := data.get("text/markdown"), str):
        _add_prose(section, text, cell)


# Findings. ------------------------------------------------------------------------------------


def answered(found: Sections) -> Iterator[Finding]:
    """Every question has its heading, in order, and below it what is asked for."""
    names = [name for name in dict(found) if name in QUESTIONS]
    if names != [name for name in QUESTIONS if name in names]:
        what = "the questions are not in the assignment's order"
        yield Finding("warning", "answers", what, "", "Move their cells")
    by_name: dict[str, Section] = {}
    for name, section in found:
        if name in by_name and name in QUESTIONS:
            what = f"{name} has a second heading; the first one counts"
            yield Finding("warning", "answers", what, section.cell, "Take one away")
        by_name.setdefault(name, section)
    for name, question in QUESTIONS.items():
        if name in by_name:
            yield from _answer(name, question, by_name[name])
        else:
            fix = f"Answer it below a heading such as '### {name} ...'"
            yield Finding("error", "answers", "there is no heading for it", name, fix)


def _answer(name: str, question: Question, section: Section) -> Iterator[Finding]:
    def missing(what: str, fix: str) -> Finding:
        return Finding("error", "answers", what, f"{name}, {section.cell}", fix)

    prose = "\n\n".join(section.prose)
    if name != "Q3.II" and not (section.code or prose.strip()):
        yield missing("there is no answer", "Write one below its heading")
        return
    words = len(re.findall(r"\w+", prose))
    if words < question.words:
        yield missing(f"the answer in words has only {words}", "Write what you found, and why")
    if question.formula and not _FORMULA.search(prose):
        yield missing("the derivation has no formula", "Write it between $$ and $$")
    source = "\n".join(text for _, text in section.code + section.shown)
    for defined in question.defines:
        if not re.search(rf"^\s*(?:def|class) {defined}\b", source, re.MULTILINE):
            fix = f"Define it in a cell, or show it by show_source({defined})"
            yield missing(f"the code of {defined} is not shown", fix)
    yield from _plots(question, section, f"{name}, {section.cell}")


def _plots(question: Question, section: Section, where: str) -> Iterator[Finding]:
    lacking = [*_lacking(question, section)]
    if lacking and section.pictures:
        what = f"of its figures {section.pictures} cannot be read; look whether they show "
        fix = "Figures of hw1lib.plots can be read"
        yield Finding("warning", "plots", what + ", ".join(lacking), where, fix)
        return
    for what in lacking:
        fix = "Plot it with hw1lib.plots; nothing may be left out"
        yield Finding("error", "plots", f"there is no plot of {what}", where, fix)


def _lacking(question: Question, section: Section) -> Iterator[str]:
    """Which of the figures asked for are not there."""
    for split in question.curves:
        for quantity in ("loss", "accuracy"):
            if _curves(section.drawings, quantity, split) < question.trainings:
                runs = f" of {question.trainings} runs" if question.trainings > 1 else ""
                yield f"{quantity} on {split}{runs} against epochs"
    for word in question.figures:
        if not any(word in _words(drawing) for drawing in section.drawings):
            yield f"the {word}"
    if question.photos and not any(drawing.photos for drawing in section.drawings):
        yield "a photo"


def _curves(drawings: list[Drawing], quantity: str, split: str) -> int:
    """How many curves of a quantity on a split one panel has, of those its legend names."""
    count = 0
    for drawing in drawings:
        shared = [text for panel in drawing.panels.values() for text in panel.legend]
        for panel in drawing.panels.values():
            labels = " ".join(panel.labels).lower()
            if quantity in labels and "epoch" in labels:
                legend = set(panel.legend or shared)
                own = {text for text in legend if _names(text, split)}
                others = {text for text in legend - own if _names(text, "train|test|val")}
                count = max(count, min(len(own), panel.lines - len(others)))
    return count


def _names(text: str, splits: str) -> bool:
    return bool(re.search(rf"\b(?:{splits})(?:ing|idation)?\b", text, re.IGNORECASE))


def _words(drawing: Drawing) -> str:
    return " ".join(drawing.texts).lower()


def q2_uses_tensors_alone(found: Sections) -> Iterator[Finding]:
    """No forbidden API in the cells of question 2, nor in the source that they show."""
    reader = Reader()
    last = max((n for n, (name, _) in enumerate(found) if name.startswith(_Q2)), default=-1)
    for name, section in found[: last + 1]:
        for where, source in section.code:
            if name.startswith(_Q2):
                yield from _offending(where, reader.read, source)
            else:
                with suppress(UnreadableError):
                    reader.learn(source)
        if name.startswith(_Q2):
            for where, source in section.shown:
                yield from _offending(f"source shown by {where}", offences, source)


def _offending(
    where: str, scan: Callable[[str], list[Offence]], source: str
) -> Iterator[Finding]:
    try:
        found = scan(source)
    except UnreadableError as error:
        what = f"its code is not checked: {error}"
        yield Finding("warning", "forbidden", what, where, "Look at it by hand")
        return
    for offence in found:
        if offence.sure:
            what = f"line {offence.line} uses {offence.name}, which question 2 forbids"
            fix = "Write it with tensors alone"
            yield Finding("error", "forbidden", what, where, fix)
        else:
            what = f"line {offence.line} uses {offence.name}; look what hides behind it"
            yield Finding("warning", "forbidden", what, where, "Write it out")
