"""Which code was run: noted while a notebook runs, compared when it is checked.

What this proves: a cell that was edited, added, removed or moved after the run is seen. It is
no signature: whoever means to deceive can write the note anew.
"""

import hashlib
from collections.abc import Iterator
from difflib import SequenceMatcher

from nbformat import NotebookNode

#: Key of the notebook's metadata: SHA-256 of each code cell's source, in the order of the run.
KEY = "executed_sha256"


def note_executed(notebook: NotebookNode, cell: NotebookNode) -> None:
    """Call for each code cell as it is run."""
    notebook.metadata.setdefault(KEY, []).append(_digest(cell))


def changes(notebook: NotebookNode) -> Iterator[tuple[int | None, str]]:
    """What became of the code since it was run.

    Yields:
        Number of the cell, from 1 over all cells, or None where it is gone; and what happened
        to it, as in "was changed".

    Raises:
        KeyError: the notebook has no note of a run.
    """
    cells = [(n, cell) for n, cell in enumerate(notebook.cells, 1) if is_run(cell)]
    then, now = notebook.metadata[KEY], [_digest(cell) for _, cell in cells]
    if not isinstance(then, list):
        then = []
    same = SequenceMatcher(None, [str(digest) for digest in then], now, autojunk=False)
    for what, begin, end, start, stop in same.get_opcodes():
        changed = "was changed" if what == "replace" else "was added or moved"
        if what in ("replace", "insert"):
            yield from ((number, changed) for number, _ in cells[start:stop])
        if what == "delete":
            yield None, f"{end - begin} cells that ran are gone or were moved"


def is_run(cell: NotebookNode) -> bool:
    """Whether a cell holds code to run."""
    return cell.cell_type == "code" and bool(cell.source.strip())


def _digest(cell: NotebookNode) -> str:
    return hashlib.sha256(cell.source.encode("utf-8", "surrogatepass")).hexdigest()
