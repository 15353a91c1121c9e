"""Training and evaluation for any learner (HW1.ipynb, Q2.II and Q3.I).

Tensors only: whether a learner differentiates by hand or by autograd is its own affair.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from hw1lib.history import EpochRecord, History, Metrics


class Learner(Protocol):
    """What `fit` and `evaluate` need: both methods return (loss_sum, correct, count)."""

    lr: float

    def train_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """One step on a batch."""

    def eval_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """The figures of a batch, nothing changed."""


class NonFiniteLossError(ArithmeticError):
    """The loss became nan or infinite; training stopped there."""


@dataclass(frozen=True, eq=False)
class Batches:
    """A split cut into batches; iterating twice gives the batches twice.

    Attributes:
        X: inputs, (N, ...).
        y: labels, (N,).
        batch_size: the last batch holds what is left.
        shuffle: a new order (of torch's global generator) at each iteration; without
            it the batches are views of the split, in the order of the data.
    """

    X: Tensor
    y: Tensor
    batch_size: int
    shuffle: bool = False

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        if not self.shuffle:
            return zip(
                self.X.split(self.batch_size), self.y.split(self.batch_size), strict=True
            )
        order = torch.randperm(len(self.y))
        return ((self.X[index], self.y[index]) for index in order.split(self.batch_size))


def set_seed(seed: int) -> None:
    """Make what follows repeatable: torch on every device, cuDNN and string hashes.

    PYTHONHASHSEED acts on processes started from here on; this one's is fixed already.

    Source: HW1.ipynb, Q2.II.a.
    """
    torch.manual_seed(seed)
    torch.cuda.manual_seed_all(seed)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.benchmark = False
    os.environ["PYTHONHASHSEED"] = str(seed)


@contextmanager
def small_steps() -> Iterator[None]:
    """For training by hand on small batches: autograd switched off, and one thread.

    With autograd off altogether each operation costs a little less. A second thread saves
    little on matrices of 32 rows, and while another program keeps a core busy, waiting for
    that thread makes a step many times longer.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with torch.inference_mode():
            yield
    finally:
        torch.set_num_threads(threads)


def evaluate(learner: Learner, batches: Iterable[tuple[Tensor, Tensor]]) -> Metrics:
    """Loss and accuracy of a learner that stands still, each example weighed the same."""
    return Metrics.total(learner.eval_batch(x, y) for x, y in batches)


def fit(
    learner: Learner,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_epochs: int,
    splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
    name: str = "",
    on_epoch: Sequence[Callable[[EpochRecord], None]] = (),
) -> History:
    """Train, and after each epoch evaluate every one of the splits in full.

    Args:
        learner: trained in place.
        batches: (x, y) pairs, iterated once an epoch.
        num_epochs: how many.
        splits: name -> batches to evaluate on.
        name: of the history.
        on_epoch: called in turn with each epoch's record.

    Returns:
        The history; "running" holds the sums of the training batches.

    Raises:
        NonFiniteLossError: naming epoch, step and learning rate.

    Source: HW1.ipynb, Q2.II.a.
    """
    history = History(name)
    for epoch in range(1, num_epochs + 1):
        start = time.perf_counter()
        running = Metrics.total(_train_epoch(learner, batches, epoch))
        metrics = {split: evaluate(learner, b) for split, b in splits.items()}
        seconds = time.perf_counter() - start
        record = EpochRecord(epoch, seconds, learner.lr, {"running": running, **metrics})
        history.records.append(record)
        for callback in on_epoch:
            callback(record)
    return history


def _train_epoch(
    learner: Learner, batches: Iterable[tuple[Tensor, Tensor]], epoch: int
) -> Iterator[tuple[float, int, int]]:
    for step, (x, y) in enumerate(batches, start=1):
        sums = learner.train_batch(x, y)
        if not math.isfinite(sums[0]):
            raise NonFiniteLossError(
                f"the loss is {sums[0]} at epoch {epoch}, step {step}, with learning rate "
                f"{learner.lr:g}; lower the rate, and check that the inputs are finite"
            )
        yield sums
