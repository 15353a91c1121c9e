"""What a training run leaves behind: plain data, no torch."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field

import pandas as pd


@dataclass(frozen=True)
class Metrics:
    """Loss and accuracy over a number of examples.

    Attributes:
        loss: mean cross-entropy in nats.
        accuracy: share of examples classified right, 0 to 1.
        count: number of examples.
    """

    loss: float
    accuracy: float
    count: int

    @classmethod
    def total(cls, batches: Iterable[tuple[float, int, int]]) -> "Metrics":
        """Exact means from each batch's (loss_sum, correct, count), whatever their sizes.

        Raises:
            ValueError: there is no batch.
        """
        if not (sums := [*batches]):
            raise ValueError(
                "there are no batches; a generator or zip gives them only once, so pass "
                "`Batches` or a list"
            )
        loss_sum, correct, count = (sum(column) for column in zip(*sums, strict=True))
        return cls(loss_sum / count, correct / count, count)


@dataclass(frozen=True)
class EpochRecord:
    """What was measured at the end of an epoch.

    Attributes:
        epoch: counted from 1.
        seconds: wall-clock time since the record before, training and evaluation.
        lr: learning rate at the epoch's end.
        metrics: by split. "running" sums the batches as they were trained on since the record
            before, while the network was changing; every other split was evaluated now.
        span: epochs since the record before.
    """

    epoch: int
    seconds: float
    lr: float
    metrics: dict[str, Metrics]
    span: int = 1


@dataclass
class History:
    """The recorded epochs of one training.

    Attributes:
        name: as a legend shows it.
        records: one for each evaluation.
        origin: when it was trained and how long that took, as in "trained in this run, 5.8 s";
            no part of the state.
    """

    name: str
    records: list[EpochRecord] = field(default_factory=list)
    origin: str = field(default="", compare=False)

    @property
    def epochs(self) -> list[int]:
        """Epoch numbers, from 1."""
        return [record.epoch for record in self.records]

    @property
    def finished(self) -> int:
        """Epochs done, as far as they are recorded."""
        return self.records[-1].epoch if self.records else 0

    @property
    def seconds(self) -> float:
        """Wall-clock time of all epochs."""
        return sum(record.seconds for record in self.records)

    def curve(self, split: str, quantity: str) -> list[float]:
        """One value an epoch; quantity is "loss" or "accuracy"."""
        return [getattr(record.metrics[split], quantity) for record in self.records]

    def final(self, split: str) -> Metrics:
        """Metrics after the last epoch."""
        return self.records[-1].metrics[split]

    def frame(self, **columns: object) -> pd.DataFrame:
        """One row for each record and split, as pandas groups and seaborn draws it.

        Args:
            columns: further columns with one value in all rows, as in `seed=1`.

        Returns:
            run, split, epoch, loss (nats), accuracy (0 to 1), count, seconds (of the record),
            lr, and the further columns.
        """
        return pd.DataFrame(
            {
                "run": self.name,
                "split": split,
                "epoch": record.epoch,
                **asdict(metrics),
                "seconds": record.seconds,
                "lr": record.lr,
                **columns,
            }
            for record in self.records
            for split, metrics in record.metrics.items()
        )

    def state_dict(self) -> dict:
        """Plain lists and dicts, as JSON and checkpoints keep them."""
        return {"name": self.name, "records": [asdict(record) for record in self.records]}

    def load_state_dict(self, state: dict) -> None:
        """Become what `state_dict` described."""
        self.name = state["name"]
        self.records = [
            EpochRecord(**{**record, "metrics": _metrics(record["metrics"])})
            for record in state["records"]
        ]


def _metrics(state: dict) -> dict[str, Metrics]:
    return {split: Metrics(**figures) for split, figures in state.items()}
