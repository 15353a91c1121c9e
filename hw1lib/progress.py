"""One line that follows a long cell: rewritten with each record, and only the last is kept."""

import uuid

from IPython.core.getipython import get_ipython
from IPython.display import display, update_display

from hw1lib.history import EpochRecord

#: Marks the messages by which a front end, or an export that listens, knows a progress line.
METADATA = {"hw1_progress": True}


class Progress:
    """Shows how far a training is: epoch, figures and the time left.

    In a notebook the line is replaced in place; elsewhere each is printed.
    """

    def __init__(self, name: str, num_epochs: int) -> None:
        self.name = name
        self.num_epochs = num_epochs
        self._display_id = uuid.uuid4().hex if get_ipython() else None
        self._show = display

    def __call__(self, record: EpochRecord, note: str = "") -> None:
        """Show one epoch.

        Args:
            record: the latest.
            note: shown at the end of the line.
        """
        line = self._line(record, note)
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

    def _line(self, record: EpochRecord, note: str) -> str:
        figures = " · ".join(
            f"{split} loss {m.loss:.3f}, accuracy {m.accuracy:.1%}"
            for split, m in record.metrics.items()
            if split != "running" or len(record.metrics) == 1
        )
        left = record.seconds / record.span * (self.num_epochs - record.epoch)
        clock = f"{duration(left, 0)} left" if left else ""
        epoch = f"epoch {record.epoch}/{self.num_epochs}"
        return " · ".join(filter(None, (self.name, epoch, figures, clock, note)))


def duration(seconds: float, digits: int = 1) -> str:
    """A time as it is read: below two minutes in seconds, else in minutes."""
    number, unit = (seconds, "s") if seconds < 120 else (seconds / 60, "min")
    return f"{number:.{digits}f} {unit}"
