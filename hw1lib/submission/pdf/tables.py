"""Tables: cells on a grid, wide ones in several parts beneath each other."""

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from selectolax.lexbor import LexborNode

from hw1lib.submission.pdf.document import Block, Note, Table, TableCell, text_of

#: What fits side by side, in characters of table text.
PAGE_CHARACTERS = 104
WIDEST_COLUMN = 44
GAP = 2.4
NUMBER = re.compile(r"[-+−]?[\d.,]+(?:e[-+]?\d+)?\s*%?|nan|NaN|[-+]?inf", re.I)
MAX_SPAN = 500


def lay_out(
    rows: Sequence[LexborNode],
    convert: Callable[[LexborNode], TableCell],
    max_rows: int,
    note: Callable[[str, str], None],
) -> list[Block]:
    """Blocks for a table: the table, or several with a line that says which columns.

    Args:
        rows: the `tr` tags.
        convert: gives content and look of a `td` or `th`.
        max_rows: rows of the body that are shown; beyond it a note says what was cut.
        note: is told what was cut, and what to do.
    """
    head = header_rows(rows)
    count = len(rows) - head
    rows = kept_rows(rows, max_rows)
    dropped = count - (len(rows) - head)
    cells, width, index = on_grid(rows, convert)
    if not cells:
        return []
    parts = split_columns(cells, width, index)
    blocks: list[Block] = []
    for start, stop in parts:
        if len(parts) > 1:
            first, last = max(start - index, 0) + 1, stop - index
            blocks.append(Note(f"Columns {first} to {last} of {width - index}:"))
        columns = index + stop - start if start else stop
        shown = clip(cells, index, start, stop)
        numeric = numeric_columns(shown, columns, head)
        blocks.append(Table(shown, columns, len(rows), head, numeric))
    if dropped:
        text = f"{dropped} of {count} rows are cut"
        note(f"{text} of a table.", "Show fewer, or set --TypstPDFExporter.max_lines.")
        blocks.append(Note(f"{text}; the notebook has all."))
    return blocks


def kept_rows(rows: Sequence[LexborNode], max_rows: int) -> Sequence[LexborNode]:
    """The rows that are printed: header, first and last rows of the body."""
    head, tail = header_rows(rows), max_rows // 5
    if len(rows) - head <= max_rows:
        return rows
    return [*rows[: head + max_rows - tail], *rows[len(rows) - tail :]]


def own_rows(table: LexborNode) -> list[LexborNode]:
    """The `tr` of a table without those of tables inside of it."""
    sections = [s for s in table.iter() if s.tag in ("thead", "tbody", "tfoot")]
    return [row for section in sections for row in section.iter() if row.tag == "tr"]


def header_rows(rows: Sequence[LexborNode]) -> int:
    """How many rows at the top are the header: those in `thead`, else a first row of `th`."""
    count = 0
    for row in rows:
        if row.parent.tag != "thead":
            break
        count += 1
    if not count and rows:
        kinds = [cell.tag for cell in row_cells(rows[0])]
        count = int(bool(kinds) and set(kinds) == {"th"})
    return count if count < len(rows) else 0


def row_cells(row: LexborNode) -> list[LexborNode]:
    """The `td` and `th` of a row."""
    return [cell for cell in row.iter() if cell.tag in ("td", "th")]


def span(tag: LexborNode, name: str, limit: int) -> int:
    """A row or column span, at least 1 and at most `limit`."""
    text = str(tag.attributes.get(name)).strip()
    return max(1, min(int(text) if text.isdigit() and len(text) < 6 else 1, limit, MAX_SPAN))


def on_grid(
    rows: Sequence[LexborNode], convert: Callable[[LexborNode], TableCell]
) -> tuple[list[TableCell], int, int]:
    """Cells with their places, the number of columns, and how many of them are an index."""
    taken: set[tuple[int, int]] = set()
    cells: list[TableCell] = []
    index: list[int] = []
    for y, row in enumerate(rows):
        x, leading, only_heads = 0, 0, True
        for tag in row_cells(row):
            while (x, y) in taken:
                x += 1
            columns = span(tag, "colspan", MAX_SPAN)
            height = span(tag, "rowspan", len(rows) - y)
            while columns > 1 and any((x + i, y) in taken for i in range(columns)):
                columns -= 1
            taken |= {(x + i, y + j) for i in range(columns) for j in range(height)}
            only_heads = only_heads and tag.tag == "th"
            if only_heads:
                leading = x + columns
            place = {"column": x, "row": y, "column_span": columns, "row_span": height}
            cells.append(replace(convert(tag), **place))
            x += columns
        if row.parent.tag != "thead":
            index.append(leading)
    width = max((x for x, _ in taken), default=-1) + 1
    depth = min(index, default=0)
    return cells, width, depth if depth < width else 0


def words_of(cell: TableCell) -> list[str]:
    """The words in a cell."""
    return text_of(cell).replace("\u200b", "").split()


def numeric_columns(cells: Sequence[TableCell], columns: int, head: int) -> tuple[bool, ...]:
    """Which columns hold numbers, and so are set flush right."""
    numbers, others = [0] * columns, [0] * columns
    for cell in cells:
        if cell.row >= head and (text := " ".join(words_of(cell))):
            (numbers if NUMBER.fullmatch(text) else others)[cell.column] += 1
    return tuple(number > 2 * other for number, other in zip(numbers, others, strict=True))


def split_columns(cells: list[TableCell], width: int, index: int) -> list[tuple[int, int]]:
    """Column ranges that fit the page; parts after the first repeat the index columns."""
    needs = [1.0] * width
    for cell in cells:
        if cell.column_span == 1:
            words = words_of(cell)
            word = max(map(len, words), default=0)
            natural = min(len(" ".join(words)), max(14, min(word, WIDEST_COLUMN)))
            needs[cell.column] = max(needs[cell.column], natural)
    widths = [need + GAP for need in needs]
    if sum(widths) <= PAGE_CHARACTERS or width == 1:
        return [(0, width)]
    fixed = sum(widths[:index])
    if fixed > PAGE_CHARACTERS / 2:
        fixed = 0
    parts, start, used = [], 0, 0.0
    for column, need in enumerate(widths):
        if column > start and column > index and used + need > PAGE_CHARACTERS:
            parts.append((start, column))
            start, used = column, fixed
        used += need
    return [*parts, (start, width)]


def clip(cells: list[TableCell], index: int, start: int, stop: int) -> tuple[TableCell, ...]:
    """The cells of the index columns and of columns `start` to `stop`, moved side by side."""
    moved = (start, stop, index - start) if start else (0, stop, 0)
    ranges = [(0, index, 0), moved] if start else [moved]
    shown = []
    for first, last, move in ranges:
        for cell in cells:
            left = max(cell.column, first)
            right = min(cell.column + cell.column_span, last)
            if left < right:
                shown.append(replace(cell, column=left + move, column_span=right - left))
    return tuple(sorted(shown, key=lambda cell: (cell.row, cell.column)))
