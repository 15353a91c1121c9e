"""One line that follows a long cell: rewritten with each record, and only the last is kept."""

import uuid

from IPython.core.getipython import get_ipython
from IPython.display import display, update_display

from hw1lib.history import EpochRecord

#: Marks the messages by which a front end, or an export that listens, knows a progress line.
METADATA = {"hw1_progress": True}


class Progress:
    """Called with each epoch's record: shows epoch, figures and the time left.

    In a notebook the line is replaced in place; elsewhere each is printed.
    """

    def __init__(self, name: str, num_epochs: int) -> None:
        self.name = name
        self.num_epochs = num_epochs
        self._seconds = 0.0
        self._display_id = uuid.uuid4().hex if get_ipython() else None
        self._show = display

    def __call__(self, record: EpochRecord) -> None:
        """Show one epoch."""
        self._seconds += record.seconds
        line = self._line(record)
        if self._display_id is None:
            print(line, flush=True)
            return
        self._show(
            {"text/plain": line},
            raw=True,
            display_id=self._display_id,
            metadata=METADATA,
        )
        self._show = update_display

    def _line(self, record: EpochRecord) -> str:
        figures = " · ".join(
            f"{split} loss {m.loss:.3f}, accuracy {m.accuracy:.1%}"
            for split, m in record.metrics.items()
            if split != "running" or len(record.metrics) == 1
        )
        left = record.seconds / record.span * (self.num_epochs - record.epoch)
        clock = f"{left:.0f} s left" if left else f"{self._seconds:.1f} s"
        return f"{self.name} · epoch {record.epoch}/{self.num_epochs} · {figures} · {clock}"
