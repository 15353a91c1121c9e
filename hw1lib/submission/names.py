"""Student IDs and the name that the three files share."""

from collections.abc import Sequence

from hw1lib.assignment import COURSE_WORK, ID, ID_RULE, PLACEHOLDERS


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
        student_id: digits, at most 9; an Israeli ID may be written without its leading zeros.
    """
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
