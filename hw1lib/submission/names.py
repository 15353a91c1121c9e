"""Student IDs and the name that the three files share."""

import ast
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from hw1lib.assignment import COURSE_WORK, ID, ID_RULE, PLACEHOLDERS

if TYPE_CHECKING:  # slow to import, and the notebook imports this module
    from nbformat import NotebookNode

#: What the notebook's cell assigns: a list or tuple; no ID holds a bracket.
_IDS_LINE = re.compile(r"^STUDENT_IDS *= *(\[[^][]*\]|\([^()]*\))", re.MULTILINE)


class IdError(ValueError):
    """IDs that no submission can be named after; the message says what to write instead."""


def parse_ids(ids: Sequence[str]) -> tuple[str, ...]:
    """Check one or two student IDs.

    Args:
        ids: one or two different IDs of 5 to 9 digits, or the placeholders
            ``ID1`` and ``ID2`` that stand in the notebook until the students set theirs.

    Returns:
        The IDs in the order given.

    Raises:
        IdError: there are none or more than two, one is malformed or still a placeholder
            beside a real one, or both are the same.
    """
    ids = tuple(ids)
    if not 1 <= len(ids) <= 2:
        raise IdError(f"{len(ids)} IDs given: write one student ID or two")
    if ids == PLACEHOLDERS[: len(ids)]:
        return ids
    for number, student_id in enumerate(ids, start=1):
        if student_id in PLACEHOLDERS:
            raise IdError(
                f"ID {number} is still the placeholder {student_id}: write a student ID there, "
                "or give only one ID where the submission is one student's"
            )
        if not (isinstance(student_id, str) and ID.fullmatch(student_id)):
            raise IdError(
                f"ID {number} is {student_id!r}: write a text of {ID_RULE} alone, as in "
                "'123456782'"
            )
    if len({_padded(student_id) for student_id in ids}) < len(ids):
        raise IdError(f"both IDs are {ids[0]}: write two different ones, or only one")
    return ids


def has_check_digit(student_id: str) -> bool:
    """Whether the last digit is the one that an Israeli ID with these digits has.

    Other IDs are allowed, so a wrong digit is worth a warning and no more.

    Args:
        student_id: an Israeli ID may be written without its leading zeros; one that is not
            made of digits alone has no check digit that could be wrong.
    """
    if not student_id.isdecimal():
        return True
    weighted = (int(digit) * (1 + place % 2) for place, digit in enumerate(_padded(student_id)))
    return sum(number // 10 + number % 10 for number in weighted) % 10 == 0


def _padded(student_id: str) -> str:
    return student_id.zfill(9)


def submission_name(ids: Sequence[str]) -> str:
    """Name of the three files without their extension, as in ``HW1_ID1_ID2``.

    Raises:
        IdError: as :func:`parse_ids` does.
    """
    return "_".join((COURSE_WORK, *parse_ids(ids)))


def ids_in(stem: str) -> list[str]:
    """The IDs in a name such as :func:`submission_name` makes, unchecked; else none."""
    start = f"{COURSE_WORK}_"
    return stem.removeprefix(start).split("_") if stem.startswith(start) else []


def decide_ids(notebook: "NotebookNode", ids: Sequence[str]) -> tuple[str, ...]:
    """The IDs of a submission: those given, else those in the notebook's cell for them.

    Args:
        notebook: IDs that are given are written into its cell with the tag ``ids``.
        ids: one or two student IDs; none leaves the choice to that cell.

    Returns:
        The IDs, checked.

    Raises:
        IdError: as :func:`parse_ids` does; or there is not exactly one such cell, or it does
            not assign a list of texts to ``STUDENT_IDS``.
    """
    cell = _ids_cell(notebook)
    try:
        (line,) = _IDS_LINE.finditer(cell.source)
        found = ast.literal_eval(line[1])
        if isinstance(found, str):  # brackets around a text make no tuple
            raise ValueError
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        raise IdError(
            "The cell with the tag ids must hold your IDs in quotes, as in the line\n"
            f"    STUDENT_IDS = {_literal(PLACEHOLDERS)}\nIt holds\n"
            + "\n".join(f"    {line}" for line in cell.source.splitlines())
        ) from None
    parsed = parse_ids(ids or found)
    if ids:
        start, end = line.span(1)
        cell.source = cell.source[:start] + _literal(parsed) + cell.source[end:]
    return parsed


def _ids_cell(notebook: "NotebookNode") -> "NotebookNode":
    cells = [
        cell
        for cell in notebook.cells
        if cell.cell_type == "code" and "ids" in cell.metadata.get("tags", [])
    ]
    if len(cells) != 1:
        raise IdError(
            f"{len(cells)} code cells have the tag ids; exactly one must, and hold the line\n"
            f"    STUDENT_IDS = {_literal(PLACEHOLDERS)}"
        )
    return cells[0]


def _literal(ids: Sequence[str]) -> str:
    return json.dumps(list(ids))
