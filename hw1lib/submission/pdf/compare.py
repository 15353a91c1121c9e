"""What a notebook's document says against what was read in a PDF of it.

Text is compared without white space, hyphens and accents, so that wrapping and fonts do not
matter. In PDFs of this exporter, whose tags say what is what, formulas are compared by their
TeX source, images by their size in pixels, everything in its order, and what the PDF has
beyond the notebook is found too. In PDFs of other tools words are looked for in their order,
the cells of a table near their place, and images by their size; formulas are not compared.
"""

import bisect
import functools
import itertools
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from pathlib import Path

import nbformat
from nbformat import NotebookNode

from hw1lib.submission.pdf.cells import document_of
from hw1lib.submission.pdf.document import (
    Caption,
    CodeBlock,
    Document,
    Figure,
    Formula,
    Heading,
    Node,
    Note,
    Table,
    TerminalText,
    UnsetFormula,
    inside,
)
from hw1lib.submission.pdf.reader import Line, Reading, read_pdf
from hw1lib.submission.pdf.tex import shows_nothing

#: The mark of the exporter's own PDFs, in the keywords of the template.
KEYWORDS = "all cells visible"
#: The cell of losses in the title, which stands apart from the cells.
TITLE = "the title"
#: The kind of loss that is none: what the PDF shows and the notebook does not have.
ADDED = "added text"

# Not compared: hyphens, which pdfium marks at line ends, format characters and blanks, which
# no one sees, accents without a letter, and the arrows by which LaTeX marks a wrapped line.
UNSEEN = re.compile(
    "[\\s\x00-\x1f\x7f\xad\u02c6\u02c7\u200b-\u200f\u2010\u2011\u202a-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\ufffe␣↪-]+"
)
# The brackets are mirrored in text that is written from right to left.
CODE_POINT = re.compile("[⟨⟩]U\\+([0-9A-F]{4,6})[⟨⟩]")
ONE_WAY = str.maketrans(")]}>", "([{<")
#: How far around its place a table cell is looked for, in characters.
REACH = 20_000
#: Longest header or footer, in characters, that may stand where a line breaks over a page.
BETWEEN = 200
#: What only the exporter puts on its first page, of another day perhaps, and on its last one.
DATE = r"\d{1,2}[A-Z][a-z]+\d{4}"
TITLE_LINES = r"\A((?:\n[^\n]+\n){1,9}?"
OWN_PAGES = re.compile(
    rf"{TITLE_LINES})\n{DATE}\n|{TITLE_LINES}\n[^\n]+)·{DATE}(?=\n)"
    r"|\nNotverified\n\nThePDFwasreadback.*",
    re.S,
)
#: Bounds of the search where notebook and PDF differ: keys that are tried at a time, and
#: characters that are searched in all, which takes seconds.
MOST_TRIED, MOST_WORK = 1000, 10**10
#: Longest text, in characters, of which it is said what of it is added.
LONGEST = 2000
#: What PDFs of other tools may have in another form.
NOT_ELSEWHERE = ("a formula", "an image", "a caption")
#: What the words in blocks are called.
KINDS = {
    Heading: "a heading",
    Table: "a table cell",
    Caption: "a caption",
    CodeBlock: "a line of code",
    TerminalText: "a line of output",
}
#: Formulas and figures in a key.
SHAPES = re.compile("[\x02\x04][^\x03\x05]*[\x03\x05]")


@dataclass(frozen=True)
class Loss:
    """Something of the notebook that the PDF does not show; with kind `ADDED`, text that only
    the PDF has. `cell` says where, as `cell 12 (In [5])`."""

    cell: str
    kind: str
    text: str

    def __str__(self) -> str:
        line = " ".join(self.text.split())
        line = line if len(line) <= 100 else line[:99] + "…"
        if self.kind == ADDED:
            return f"{self.cell}: the PDF has text that the notebook does not have: {line}"
        return f"{self.cell}: {self.kind} is not visible: {line}"


@dataclass(frozen=True)
class _Piece:
    """Something to be found; `shape` is the key of a formula or figure.

    The exporter's own words, as prompts and notes, are not needed.
    """

    cell: str
    kind: str
    text: str
    needed: bool = True
    shape: str = ""

    @functools.cached_property
    def key(self) -> str:
        """What is compared."""
        return self.shape or normal(self.text)


#: Between pieces: the end of a paragraph, a line of code, a table cell.
_END = _Piece("", "", "")


def normal(text: str) -> str:
    """Text as it is compared: compatibility forms unified, no accents, nothing invisible in it.

    Which way a bracket opens is not compared: pdfium mirrors those near Hebrew as they look.
    """
    text = CODE_POINT.sub(character, UNSEEN.sub("", text))
    if not text.isascii():
        text = UNSEEN.sub("", unaccented(text))
    return text.translate(ONE_WAY)


def unaccented(text: str) -> str:
    """Compatibility forms taken apart, and combining marks left out.

    A letter with marks comes once for each of the glyphs that it is drawn with.
    """
    letters = [""]
    for char in unicodedata.normalize("NFKD", text):
        if unicodedata.category(char)[0] != "M":
            letters.append(char)
        elif letters[-1]:
            letters[-1] += char
    pairs = itertools.pairwise([*letters, ""])
    return "".join(letter[:1] for letter, after in pairs if letter != after or len(letter) == 1)


def character(match: re.Match) -> str:
    """The character that a printed code point stands for."""
    number = int(match[1], 16)
    return chr(number) if number < 0x110000 else match[0]


def shape(kind: str, text: str) -> str:
    """The key of a formula or figure."""
    return f"\x02{normal(text)}\x03" if kind == "formula" else f"\x04{text}\x05"


def right_to_left(text: str) -> str:
    """The letters of a text that are written from right to left."""
    letters = () if text.isascii() else text
    return "".join(char for char in letters if unicodedata.bidirectional(char) in ("R", "AL"))


def units(key: str) -> list[str]:
    """The characters and shapes of a key."""
    return re.findall(f"{SHAPES.pattern}|.", key, re.S)


def losses(notebook: Path, pdf: Path, max_lines: int = 1000) -> list[Loss]:
    """What of a notebook file is not visible in a PDF file, and what is only in the PDF.

    Args:
        notebook: the `.ipynb` file.
        pdf: the PDF made from it, by any tool.
        max_lines: of text that are expected; longer ones may be cut.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    nb = nbformat.read(notebook, as_version=4)
    return missing(nb, pdf.read_bytes(), notebook.parent, max_lines)


def missing(
    nb: NotebookNode,
    pdf: bytes | Reading,
    folder: Path | None = None,
    max_lines: int = 1000,
) -> list[Loss]:
    """What of a notebook is not visible in a PDF, and what is only in the PDF.

    Args:
        nb: the notebook.
        pdf: its bytes, or what was read in it.
        folder: where images lie that the notebook names; without it no file is read.
        max_lines: of text that are expected; longer ones may be cut.

    Raises:
        PdfError: it is no PDF, or a broken or locked one.
    """
    reading = pdf if isinstance(pdf, Reading) else read_pdf(pdf)
    document = document_of(nb, folder=folder, max_lines=max_lines)
    if document.title != reading.title:  # the notebook's first heading is in its cell then
        title = reading.title or "Notebook"
        document = document_of(nb, folder=folder, max_lines=max_lines, title=title)
    return compare(document, reading)


def compare(document: Document, reading: Reading) -> list[Loss]:
    """What of a document a PDF does not show, and what it shows beyond the document."""
    lines = gathered(expected(document))
    if KEYWORDS in reading.keywords and reading.lines:
        return compare_tagged(lines, reading.lines)
    return compare_words([piece for line in lines for piece in line], reading)


# -- what should be there -------------------------------------------------------------------


def expected(document: Document) -> Iterator[_Piece]:
    """Everything that a document shows, in order, with the ends of lines."""
    yield from pieces_of(Heading(document.heading, 1), TITLE, "a heading")
    ids = ["IDs " + ", ".join(document.student_ids)] if document.student_ids else []
    for words in (" · ".join([*document.authors, *ids]), document.provenance):
        yield from pieces_of(Note(words), TITLE, "a note")
    for cell in document.cells:
        for block in cell.blocks:
            yield from pieces_of(block, cell.name, "text")


def pieces_of(node: Node, cell: str, kind: str, inline: bool = False) -> Iterator[_Piece]:
    """What a block or span shows; `inline` when it stands in a line with others."""
    if not inline:
        yield _END
    if isinstance(node, str):
        yield _Piece(cell, kind, node)
    elif isinstance(node, Note):
        yield _Piece(cell, "a note", node.text, needed=False)
    elif isinstance(node, UnsetFormula):
        yield _Piece(cell, "a formula", node.text)
    elif isinstance(node, Formula):
        if numbers := " ".join(filter(None, node.numbers)):
            yield _Piece(cell, "a number", "", False, shape("formula", numbers))
        needed = not shows_nothing(node.tex)
        yield _Piece(cell, "a formula", node.tex, needed, shape("formula", node.tex))
    elif isinstance(node, Figure):
        size = "{} x {}".format(*node.pixels) if node.pixels else ""
        shown = f"{size} pixels" if size else node.description or "a drawing"
        yield _Piece(cell, "an image", shown, shape=shape("figure", size))
        yield _Piece(cell, "a caption", node.caption)
    else:
        kind = KINDS.get(type(node), kind)
        yield _Piece(cell, "a prompt", getattr(node, "prompt", ""), needed=False)
        for line in getattr(node, "lines", ()):
            for span in line:
                yield from pieces_of(span, cell, kind, inline=True)
            yield _END
        for part in () if hasattr(node, "lines") else inside(node):
            yield from pieces_of(part, cell, kind, inline or hasattr(node, "spans"))
    if not inline:
        yield _END


def gathered(pieces: Iterable[_Piece]) -> list[list[_Piece]]:
    """Pieces by line, with words of one kind that follow each other in one, and their keys."""
    lines: list[list[_Piece]] = [[]]
    for piece in pieces:
        if piece.kind == _END.kind:
            lines.append([])
        elif lines[-1] and not piece.shape and (last := lines[-1][-1]).kind == piece.kind:
            lines[-1][-1] = replace(last, text=last.text + piece.text)
        elif piece.shape or piece.text:
            lines[-1].append(piece)
    return [[piece for piece in line if piece.key] for line in lines]


# -- PDFs of this exporter ------------------------------------------------------------------


def compare_tagged(lines: list[list[_Piece]], read: Sequence[Line]) -> list[Loss]:
    """Everything in order, line by line; where lines differ, piece by piece."""
    whole = [in_one(line) for line in lines if line]
    pieces = [piece for line in whole for piece in line]
    # Each line begins and ends with a line feed, so that none is found inside of another.
    joined = "\0".join("\n" + "\0".join(piece.key for piece in line) + "\n" for line in whole)
    keys = joined.split("\0")
    text = "".join(f"\n{key}\n" for key in map(line_key, read) if key)
    text = OWN_PAGES.sub(r"\1\2", text)
    if joined.replace("\0", "").replace("\n", "") == text.replace("\n", ""):
        return []  # a line may be parted by the end of a page
    found: list[Loss] = []
    cells = [piece.cell for piece in pieces]
    for i, j, start, stop in align(keys, text):
        if start == stop:
            i, j = from_cell(keys, cells, i, j)
        words = text[start:stop].replace("\n", "")
        for k, m, begin, end in align([key.strip("\n") for key in keys[i:j]], words):
            cell = pieces[min(i + m, len(pieces) - 1)].cell
            found += differences(pieces[i + k : i + m], words[begin:end], cell)
    return found


def from_cell(keys: list[str], cells: list[str], i: int, j: int) -> tuple[int, int]:
    """A range of missing keys, moved up to the start of a cell if the keys are equal there.

    Of `a b a c` with only `a c` left, `a b` is missing just as well as `b a`.
    """
    first, last = i, j
    while first and cells[first - 1] == cells[first] and keys[first - 1] == keys[last - 1]:
        first, last = first - 1, last - 1
    starts = not first or cells[first - 1] != cells[first]
    return (first, last) if starts else (i, j)


def in_one(line: list[_Piece]) -> list[_Piece]:
    """A line; one with words from right to left as one piece, for its order is not known."""
    if not any(right_to_left(piece.key) for piece in line):
        return line
    key = "".join(sorted(units("".join(piece.key for piece in line))))
    first = next((piece for piece in line if piece.needed), line[0])
    return [replace(first, text=" ".join(piece.text for piece in line), shape=key)]


def line_key(line: Line) -> str:
    """The key of a line that was read."""
    groups = itertools.groupby(line, lambda part: isinstance(part, str))
    key = "".join(
        normal("".join(parts)) if words else "".join(shape(p.kind, p.text) for p in parts)
        for words, parts in groups
    )
    return "".join(sorted(units(key))) if right_to_left(key) else key


def differences(unseen: list[_Piece], rest: str, cell: str) -> Iterator[Loss]:
    """Losses and additions where pieces were not found, and `rest` stands instead of them."""
    left = Counter(units(rest))
    drawings = [unit for unit in left.elements() if unit.startswith("\x04")]
    for piece in unseen:
        own = Counter(units(piece.key))
        if right_to_left(piece.key) and not own - left:
            left -= own
        elif piece.key == shape("figure", "") and drawings:
            drawings.pop()
        elif piece.needed:
            yield Loss(piece.cell, piece.kind, piece.text)
    words = SHAPES.sub("", rest)
    if words and not right_to_left(words) and len(words) <= LONGEST:
        keys = "".join(piece.key for piece in unseen)[:LONGEST]
        blocks = SequenceMatcher(None, keys, words, autojunk=False).get_matching_blocks()
        for block in reversed(blocks):
            if block.size >= 3:
                words = words[: block.b] + " " + words[block.b + block.size :]
        if len(words.strip()) > 1:
            yield Loss(cell, ADDED, words.strip())


# -- PDFs of other tools --------------------------------------------------------------------


def compare_words(pieces: list[_Piece], reading: Reading) -> list[Loss]:
    """Words in their order with room for more between them, and images by their size."""
    text = normal(reading.text)
    words = [p for p in pieces if p.needed and p.cell != TITLE and p.kind not in NOT_ELSEWHERE]
    images = Counter(
        f"{width} x {height} pixels" for width, height in reading.images.elements()
    )
    found = []
    for i, j, start, stop in align([piece.key for piece in words], text):
        near = text[max(0, start - REACH) : stop + REACH]
        letters = Counter(right_to_left(near))
        for piece in words[i:j]:
            hebrew = right_to_left(piece.key)
            elsewhere = piece.kind == "a table cell" and piece.key in near
            turned = hebrew and not Counter(hebrew) - letters
            if not (elsewhere or turned or is_broken(piece.key, text[start:stop])):
                found.append(Loss(piece.cell, piece.kind, piece.text))
    for piece in pieces:
        if piece.kind == "an image" and piece.text.endswith(" pixels"):
            images[piece.text] -= 1
            if images[piece.text] < 0:
                found.append(Loss(piece.cell, piece.kind, piece.text))
    return found


def is_broken(key: str, text: str) -> bool:
    """Whether a long text is there with a header or footer in the middle of it."""
    start = bisect.bisect_left(range(1, len(key)), True, key=lambda n: key[:n] not in text)
    place = text.find(key[:start]) + start
    return len(key) > 20 and key[start:] in text[place : place + BETWEEN + len(key)]


# -- both -----------------------------------------------------------------------------------


def align(keys: list[str], text: str) -> Iterator[tuple[int, int, int, int]]:
    """Where keys and text disagree: the range of keys that are missing, and of the text.

    What agrees at both ends is taken off; then the longest key that is there as often as it
    should be divides the rest in two, so that short ones are looked for between their
    neighbours only. After `MOST_WORK` what is left counts as disagreement.
    """
    there = {key for key in {*keys} if key in text}
    todo, work = [(0, len(keys), 0, len(text))], 0
    while todo:
        i, j, start, stop = todo.pop()
        while i < j and text.startswith(keys[i], start, stop):
            start += len(keys[i])
            i += 1
        while i < j and text.endswith(keys[j - 1], start, stop):
            j -= 1
            stop -= len(keys[j])
        work += min(j - i, MOST_TRIED) * (stop - start)
        if work < MOST_WORK and (anchor := divide(keys[i:j], text[start:stop], there)):
            n, place = i + anchor[0], start + anchor[1]
            todo.append((n + 1, j, place + len(keys[n]), stop))
            todo.append((i, n, start, place))
        elif i < j or start < stop:
            yield i, j, start, stop


def divide(keys: list[str], text: str, there: set[str]) -> tuple[int, int] | None:
    """The number of a key and its place in a text, where the text is best divided.

    Of keys of one length that in the middle, so that halves are left; `there` are those that
    are in the text at all.
    """
    whole = "".join(keys)
    middle = len(keys) / 2
    found = [n for n, key in enumerate(keys) if key in there]
    nearest: dict[str, int] = {}
    for n in sorted(found, key=lambda n: (-len(keys[n]), abs(n - middle))):
        nearest.setdefault(keys[n], n)
    counts: dict[str, int] = {}
    for key, n in itertools.islice(nearest.items(), MOST_TRIED):
        counts[key] = text.count(key)
        if counts[key] and counts[key] == whole.count(key):
            return n, nth_place(keys, n, text, counts[key])
    present = (n for n in found if counts.get(keys[n]))
    best = min(present, key=lambda n: (-len(keys[n]), n), default=None)
    return None if best is None else (best, nth_place(keys, best, text, counts[keys[best]]))


def nth_place(keys: list[str], n: int, text: str, there: int) -> int:
    """Where in a text key `n` stands, which is there so often, after its equals before it."""
    place = -1
    for _ in range(min("".join(keys[:n]).count(keys[n]), there - 1) + 1):
        place = text.find(keys[n], place + 1 if place < 0 else place + len(keys[n]))
    return place
