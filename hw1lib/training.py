"""Training and evaluation for any learner (HW1.ipynb, Q2.II and Q3.I).

Tensors only: whether a learner differentiates by hand or by autograd is its own affair.
"""

import math
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from numbers import Integral
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


class TrainingInterruptedError(KeyboardInterrupt):
    """Training was stopped from outside.

    A notebook shows the message alone and runs none of the cells that wait.
    """

    def __init__(self, history: History, num_epochs: int) -> None:
        reached = f"what was reached by epoch {history.finished} of {num_epochs} is kept"
        if not history.records:
            reached = "nothing was evaluated yet"
        super().__init__(
            f"{history.name}: stopped by hand; {reached}. Run this cell again to go on."
        )

    def _render_traceback_(self) -> list[str]:
        return [str(self)]


@dataclass(frozen=True, eq=False)
class Batches:
    """A split cut into batches; iterating twice gives the batches twice.

    Attributes:
        X: inputs, (N, ...).
        y: labels, (N,).
        batch_size: the last batch holds what is left.
        shuffle: a new order (of torch's global generator) at each iteration; without
            it the batches are views of the split, in the order of the data.

    Raises:
        ValueError: no examples, not as many labels, or a batch size below 1.
    """

    X: Tensor
    y: Tensor
    batch_size: int
    shuffle: bool = False

    def __post_init__(self) -> None:
        """Check once what would show late or not at all."""
        _check_lengths(self.X, self.y)
        _check_counts(batch_size=self.batch_size)

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
    os.environ["PYTHONHASHSEED"] = str(seed % 2**32)


@contextmanager
def one_thread_without_autograd() -> Iterator[None]:
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
    """Loss and accuracy of a learner that is not being trained, all examples weighted equally.

    Raises:
        NonFiniteLossError: the loss is nan or infinite.
    """
    metrics = Metrics.total(learner.eval_batch(x, y) for x, y in batches)
    _check_finite(metrics)
    return metrics


def fit(
    learner: Learner,
    batches: Iterable[tuple[Tensor, Tensor]],
    *,
    num_epochs: int,
    splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
    history: History,
    every: int = 1,
    on_record: Sequence[Callable[[EpochRecord], None]] = (),
) -> History:
    """Train, and after each epoch evaluate every one of the splits in full.

    Args:
        learner: trained in place.
        batches: (x, y) pairs, iterated once an epoch.
        num_epochs: how many in all.
        splits: name -> batches to evaluate on.
        history: filled in place; training goes on after the last epoch it holds.
        every: epochs between evaluations; the last epoch is always followed by one.
        on_record: called in turn with each new record.

    Returns:
        The history; "running" holds the sums of the training batches.

    Raises:
        ValueError: num_epochs or every is below 1.
        NonFiniteLossError: naming epoch, step and learning rate.
        TrainingInterruptedError: Ctrl-C or a notebook's stop button; the history, and what
            `on_record` was called with, hold all up to the last record.

    Source: HW1.ipynb, Q2.II.a.
    """
    _check_counts(num_epochs=num_epochs, every=every)
    try:
        while history.finished < num_epochs:
            start = time.perf_counter()
            epochs = range(history.finished + 1, num_epochs + 1)[:every]
            metrics = {"running": Metrics.total(train_epochs(learner, batches, epochs))}
            metrics |= {split: evaluate(learner, b) for split, b in splits.items()}
            seconds = time.perf_counter() - start
            record = EpochRecord(epochs[-1], seconds, learner.lr, metrics, len(epochs))
            history.records.append(record)
            for callback in on_record:
                callback(record)
    except KeyboardInterrupt:
        raise TrainingInterruptedError(history, num_epochs) from None
    return history


def train_epochs(
    learner: Learner, batches: Iterable[tuple[Tensor, Tensor]], epochs: Iterable[int]
) -> Iterator[tuple[float, int, int]]:
    """Take one step per batch; yields each batch's metrics from before its step.

    Raises:
        NonFiniteLossError: naming epoch, step and learning rate.
    """
    for epoch in epochs:
        for step, (x, y) in enumerate(batches, start=1):
            sums = learner.train_batch(x, y)
            if not math.isfinite(sums[0]):
                raise _diverged(sums[0], epoch, step, learner.lr)
            yield sums


def _check_lengths(X: Tensor, y: Tensor) -> None:
    if not len(X) == len(y) > 0:
        raise ValueError(
            f"X and y: expected as many labels as examples, and at least 1; got "
            f"{len(X)} examples and {len(y)} labels"
        )


def _check_counts(**counts: int) -> None:
    for name, value in counts.items():
        if not isinstance(value, Integral) or value < 1:
            raise ValueError(f"{name}={value!r}: expected a whole number of at least 1")


def _check_finite(metrics: Metrics) -> None:
    if not math.isfinite(metrics.loss):
        raise NonFiniteLossError(
            f"the loss over {metrics.count} examples is {metrics.loss}; check that the "
            "inputs and the weights are finite"
        )


def _diverged(loss: float, epoch: int, step: int, lr: float) -> NonFiniteLossError:
    return NonFiniteLossError(
        f"the loss is {loss} at epoch {epoch}, step {step}, with learning rate {lr:g}; "
        "lower the rate, and check that the inputs are finite"
    )
