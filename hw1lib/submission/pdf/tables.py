"""Tables: cells on a grid, wide ones in several parts beneath each other."""

import re
from collections.abc import Callable, Sequence

from bs4 import Tag

#: What fits side by side, in characters of table text.
PAGE_CHARACTERS = 104
WIDEST_COLUMN = 44
GAP = 2.4
NUMBER = re.compile(r"[-+−]?[\d.,]+(?:e[-+]?\d+)?\s*%?|nan|NaN|[-+]?inf", re.I)
MAX_SPAN = 500


def lay_out(rows: Sequence[Tag], convert: Callable[[Tag], dict], max_rows: int) -> list[dict]:
    """Blocks for a table: one table node, or several with a line that says which columns.

    Args:
        rows: the `tr` tags.
        convert: gives content and style of a `td` or `th`.
        max_rows: rows of the body that are shown; beyond it a note says what was cut.
    """
    head = header_rows(rows)
    count = len(rows) - head
    rows = kept_rows(rows, max_rows)
    dropped = count - (len(rows) - head)
    notes = (
        [note(f"{dropped} of {count} rows are cut; the notebook has all.")] if dropped else []
    )
    cells, width, index = on_grid(rows, convert)
    if not cells:
        return []
    parts = split_columns(cells, width, index)
    blocks: list[dict] = []
    for start, stop in parts:
        shown = clip(cells, index, start, stop)
        if len(parts) > 1:
            blocks.append(
                note(
                    f"Columns {max(start - index, 0) + 1} to {stop - index} of {width - index}:"
                )
            )
        columns = index + stop - start if start else stop
        numeric = numeric_columns(shown, columns, head)
        blocks.append(
            {
                "t": "table",
                "columns": columns,
                "rows": len(rows),
                "head": head,
                "numeric": numeric,
                "cells": shown,
            }
        )
    return blocks + notes


def kept_rows(rows: Sequence[Tag], max_rows: int) -> Sequence[Tag]:
    """The rows that are printed: header, first and last rows of the body."""
    head, tail = header_rows(rows), max_rows // 5
    if len(rows) - head <= max_rows:
        return rows
    return [*rows[: head + max_rows - tail], *rows[len(rows) - tail :]]


def own_rows(table: Tag) -> list[Tag]:
    """The `tr` of a table without those of tables inside of it."""
    return [row for row in table.find_all("tr") if row.find_parent("table") is table]


def note(text: str) -> dict:
    """A line of the exporter's own."""
    return {"t": "note", "c": [text]}


def header_rows(rows: Sequence[Tag]) -> int:
    """How many rows at the top are the header: those in `thead`, else a first row of `th`."""
    count = 0
    for row in rows:
        if row.parent is None or row.parent.name != "thead":
            break
        count += 1
    if not count and rows:
        kinds = [cell.name for cell in row_cells(rows[0])]
        count = int(bool(kinds) and set(kinds) == {"th"})
    return count if count < len(rows) else 0


def row_cells(row: Tag) -> list[Tag]:
    """The `td` and `th` of a row."""
    return row.find_all(["td", "th"], recursive=False)


def span(tag: Tag, name: str, limit: int) -> int:
    """A row or column span, at least 1 and at most `limit`."""
    text = str(tag.get(name, "1")).strip()
    return max(1, min(int(text) if text.isdigit() and len(text) < 6 else 1, limit, MAX_SPAN))


def on_grid(rows: Sequence[Tag], convert: Callable[[Tag], dict]) -> tuple[list[dict], int, int]:
    """Cells with their places, the number of columns, and how many of them are an index."""
    taken: dict[tuple[int, int], bool] = {}
    cells: list[dict] = []
    index: list[int] = []
    for y, row in enumerate(rows):
        x, leading, only_heads = 0, 0, True
        for tag in row_cells(row):
            while (x, y) in taken:
                x += 1
            columns, height = (
                span(tag, "colspan", MAX_SPAN),
                span(tag, "rowspan", len(rows) - y),
            )
            while columns > 1 and any((x + i, y) in taken for i in range(columns)):
                columns -= 1
            for i in range(columns):
                for j in range(height):
                    taken[x + i, y + j] = True
            only_heads = only_heads and tag.name == "th"
            if only_heads:
                leading = x + columns
            cell = convert(tag) | {"x": x, "y": y, "cs": columns, "rs": height}
            cell["length"], cell["word"], cell["number"] = extent(tag)
            cells.append(cell)
            x += columns
        if row.parent is None or row.parent.name != "thead":
            index.append(leading)
    width = max((x for x, _ in taken), default=-1) + 1
    depth = min(index, default=0)
    return cells, width, depth if depth < width else 0


def extent(tag: Tag) -> tuple[int, int, bool]:
    """Length of a cell's text and of its longest word in characters; is it a number?"""
    text = " ".join(tag.get_text(" ").split())
    return len(text), max(map(len, text.split()), default=0), bool(NUMBER.fullmatch(text))


def numeric_columns(cells: list[dict], columns: int, head: int) -> list[bool]:
    """Which columns hold numbers, and so are set flush right."""
    numbers, others = [0] * columns, [0] * columns
    for cell in cells:
        if cell["y"] >= head and cell["length"]:
            (numbers if cell["number"] else others)[cell["x"]] += 1
    return [number > 2 * other for number, other in zip(numbers, others, strict=True)]


def split_columns(cells: list[dict], width: int, index: int) -> list[tuple[int, int]]:
    """Column ranges that fit the page; parts after the first repeat the index columns."""
    needs = [1.0] * width
    for cell in cells:
        if cell["cs"] == 1:
            natural = min(cell["length"], max(14, min(cell["word"], WIDEST_COLUMN)))
            needs[cell["x"]] = max(needs[cell["x"]], natural)
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


def clip(cells: list[dict], index: int, start: int, stop: int) -> list[dict]:
    """The cells of the index columns and of columns `start` to `stop`, moved side by side."""
    moved = (start, stop, index - start) if start else (0, stop, 0)
    ranges = [(0, index, 0), moved] if start else [moved]
    shown = []
    for first, last, move in ranges:
        for cell in cells:
            left, right = max(cell["x"], first), min(cell["x"] + cell["cs"], last)
            if left < right:
                shown.append(cell | {"x": left + move, "cs": right - left})
    return sorted(shown, key=lambda cell: (cell["y"], cell["x"]))
