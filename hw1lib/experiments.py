"""What Q2.II of HW1.ipynb measures on its network, each as one data frame.

Tensors only, as the question asks; pandas holds what was measured.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import pandas as pd
import torch
from torch import Tensor

from hw1lib.activations import d_sigmoid, sigmoid
from hw1lib.assignment import (
    BATCH_SIZE,
    HIDDEN_SIZE,
    INPUT_SIZE,
    LEARNING_RATE,
    NUM_EPOCHS,
    OUTPUT_SIZE,
    SEED,
)
from hw1lib.checkpoint import Training, kept
from hw1lib.history import EpochRecord, History
from hw1lib.losses import one_hot
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, evaluate, one_thread_without_autograd, set_seed

SATURATED = 0.01  # below this derivative a sigmoid passes hardly any gradient


def ends(runs: pd.DataFrame, *, split: str = "test") -> pd.DataFrame:
    """What each run reached, and where its loss on a split was lowest.

    Args:
        runs: as `History.frame` returns them, of the splits "train" and `split`.
        split: the one that is not trained on.

    Returns:
        Indexed by run, in their order: train_accuracy, test_accuracy, gap (their difference),
        train_loss, test_loss (after the last epoch), lowest_test_loss and its epoch, with the
        split's own name in place of "test".
    """
    last = runs[runs["epoch"] == runs.groupby("run")["epoch"].transform("max")]
    wide = last.pivot(index="run", columns="split", values=["accuracy", "loss"])
    wide.columns = [f"{name}_{quantity}" for quantity, name in wide.columns]
    judged = runs[runs["split"] == split].reset_index(drop=True)
    lowest = judged.loc[judged.groupby("run")["loss"].idxmin()].set_index("run")
    wide["gap"] = wide["train_accuracy"] - wide[f"{split}_accuracy"]
    wide[f"lowest_{split}_loss"], wide["in_epoch"] = lowest["loss"], lowest["epoch"]
    columns = ["train_accuracy", f"{split}_accuracy", "gap", "train_loss", f"{split}_loss"]
    return wide.loc[runs["run"].unique(), [*columns, f"lowest_{split}_loss", "in_epoch"]]


def first_epochs(
    networks: Mapping[str, FullyConnectedNetwork],
    batches: Iterable[tuple[Tensor, Tensor]],
    judged: Iterable[tuple[Tensor, Tensor]],
    distances: Collection[float],
    *,
    folder: Path | None = None,
) -> pd.DataFrame:
    """Train each network for one epoch, and evaluate it on its way.

    Args:
        networks: run's name -> network, trained in place unless the result is kept already.
        batches: (x, y) pairs to train on.
        judged: (x, y) pairs to evaluate on.
        distances: values of learning rate times steps at which to evaluate too, besides
            the steps 1, 2, 4 ... and some between these.
        folder: where the result is kept, such as `trained_folder()`; None keeps nothing.

    Returns:
        run, lr, step, loss, accuracy, count.
    """
    made_by = networks, batches, judged, distances, _first_epochs
    rows = kept("First epochs", folder, lambda: _first_epochs(*made_by[:4]), *made_by)
    return pd.DataFrame(rows)


def _first_epochs(
    networks: Mapping[str, FullyConnectedNetwork],
    batches: Iterable[tuple[Tensor, Tensor]],
    judged: Iterable[tuple[Tensor, Tensor]],
    distances: Collection[float],
) -> list[dict]:
    usual = {round(2 ** (k / 5)) for k in range(80)}
    rows = []
    with one_thread_without_autograd():
        for run, network in networks.items():
            steps = usual | {max(1, round(distance / network.lr)) for distance in distances}
            for step, batch in enumerate(batches, start=1):
                network.train_batch(*batch)
                if step in steps:
                    metrics = asdict(evaluate(network, judged))
                    rows.append({"run": run, "lr": network.lr, "step": step, **metrics})
    return rows


def milestones(points: pd.DataFrame, share: float, distances: Iterable[float]) -> pd.DataFrame:
    """How fast each run learns, by steps and by learning rate times steps.

    Args:
        points: run, lr, step, loss, accuracy, in rising order of steps.
        share: an accuracy.
        distances: values of learning rate times steps.

    Returns:
        Indexed by run: steps_to_ the share (nan where it is not reached), accuracy_at_ each of
        the distances (nan beyond the run's end), highest_loss.
    """
    reached = points[points["accuracy"] >= share].groupby("run")["step"].min()
    runs = points.groupby("run", sort=False)
    found = pd.DataFrame({f"steps_to_{share:.0%}": reached}, index=list(runs.groups))
    for distance in distances:
        wanted = (distance / points["lr"]).round().clip(lower=1)
        there = points[points["step"] == wanted].set_index("run")["accuracy"]
        found[f"accuracy_at_{distance:,.0f}"] = there
    return found.assign(highest_loss=runs["loss"].max()).rename_axis("run")


def saturation(
    networks: Mapping[str, FullyConnectedNetwork], x: Tensor, labels: Tensor
) -> pd.DataFrame:
    """How much of networks of sigmoids is flat, and how long their gradients are.

    Args:
        networks: name -> network, not changed.
        x: (B, D).
        labels: int64, (B,).

    Returns:
        Indexed by network: saturated_outputs, the share of the hidden outputs whose derivative
        is below SATURATED; dead_units, the number of units of which over 99 % of the outputs
        are; gradient_of_W1 and gradient_of_W2, Euclidean norms.
    """
    rows = {}
    for name, network in networks.items():
        targets = one_hot(labels, network.W2.shape[1], network.W2.dtype)
        gradients = network.gradients(x, targets, network.forward(x))
        flat = (d_sigmoid(network.a1) < SATURATED).float()
        rows[name] = {
            "saturated_outputs": flat.mean().item(),
            "dead_units": (flat.mean(0) > 0.99).sum().item(),
            "gradient_of_W1": gradients["W1"].norm().item(),
            "gradient_of_W2": gradients["W2"].norm().item(),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("network")


class Shifted:
    """Batches of MNIST, each moved as a whole by up to a pixel in a random direction.

    What leaves the image at one edge enters at the other; MNIST's edges are empty.
    """

    def __init__(self, batches: Iterable[tuple[Tensor, Tensor]]) -> None:
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        """Pairs (x, y) of the batches, with x moved."""
        for x, labels in self.batches:
            move = torch.randint(-1, 2, (2,)).tolist()
            yield x.view(-1, 28, 28).roll(move, (1, 2)).flatten(1), labels


@dataclass(frozen=True)
class Changes:
    """How a training differs from that of part a.

    Attributes:
        lr: learning rate.
        scaled: divide each initial weight matrix by the root of its number of inputs.
        shuffle: draw a new order of the images for each epoch.
        decay: lower the rate linearly to 0, epoch by epoch.
        shift: move each batch of images by up to a pixel.
        num_epochs: passes over the images.
        seed: of the weights, and of all that is drawn in training.
    """

    lr: float = LEARNING_RATE
    scaled: bool = False
    shuffle: bool = False
    decay: bool = False
    shift: bool = False
    num_epochs: int = 8
    seed: int = SEED


def train_with(
    changes: Changes,
    X: Tensor,
    y: Tensor,
    splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
    *,
    name: str,
    folder: Path | None = None,
) -> tuple[FullyConnectedNetwork, History]:
    """Draw the network of part a and train it, with some changes.

    Args:
        changes: what differs.
        X: images to train on, (N, 784).
        y: their labels, int64, (N,).
        splits: name -> batches to evaluate on after each epoch.
        name: of the history.
        folder: where the training is kept, such as `trained_folder()`; None keeps nothing.

    Returns:
        The trained network, and its history.
    """
    set_seed(changes.seed)
    sizes = INPUT_SIZE, OUTPUT_SIZE, HIDDEN_SIZE
    network = FullyConnectedNetwork(*sizes, sigmoid, changes.lr, device=X.device)
    if changes.scaled:
        network.W1 /= INPUT_SIZE**0.5
        network.W2 /= HIDDEN_SIZE**0.5
    batches = Batches(X, y, BATCH_SIZE, changes.shuffle)

    def lower_the_rate(record: EpochRecord) -> None:
        network.lr = changes.lr * (1 - record.epoch / changes.num_epochs)

    with one_thread_without_autograd():
        history = Training(name, folder).fit(
            network,
            Shifted(batches) if changes.shift else batches,
            num_epochs=changes.num_epochs,
            splits=splits,
            on_record=[lower_the_rate] if changes.decay else [],
        )
    return network, history


def seeds(
    others: Iterable[int],
    X: Tensor,
    y: Tensor,
    splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
    *,
    folder: Path | None = None,
) -> list[History]:
    """The training of part a from other seeds.

    Args:
        others: the seeds.
        X: images to train on, (N, 784).
        y: their labels, int64, (N,).
        splits: name -> batches to evaluate on after each epoch.
        folder: where trainings are kept, such as `trained_folder()`; None keeps nothing.
    """
    changes = {f"seed {seed}": Changes(seed=seed, num_epochs=NUM_EPOCHS) for seed in others}
    return [
        train_with(change, X, y, splits, name=name, folder=folder)[1]
        for name, change in changes.items()
    ]


def ladder(
    steps: Mapping[str, Mapping[str, object]],
    X: Tensor,
    y: Tensor,
    splits: dict[str, Iterable[tuple[Tensor, Tensor]]],
    *,
    folder: Path | None = None,
) -> tuple[list[History], FullyConnectedNetwork]:
    """Train again and again, each time with one change more than before.

    Args:
        steps: name -> fields of `Changes` that this step adds to those before it.
        X: images to train on, (N, 784).
        y: their labels, int64, (N,).
        splits: name -> batches to evaluate on after each epoch.
        folder: where trainings are kept, such as `trained_folder()`; None keeps nothing.

    Returns:
        The history of each step, under its name, and the network of the last one.
    """
    changes, histories = Changes(), []
    for name, change in steps.items():
        changes = replace(changes, **change)
        network, history = train_with(changes, X, y, splits, name=name, folder=folder)
        histories.append(history)
    return histories, network


def gains(histories: Iterable[History]) -> pd.DataFrame:
    """What each step of a ladder reached and gained.

    Args:
        histories: as `ladder` returns them, of the splits "train" and "val".

    Returns:
        Indexed by added, the step's name: train_accuracy, val_accuracy, gap (their
        difference), gain (of validation accuracy over the step before; nan for the first).
    """
    frames = [history.frame() for history in histories]
    found = ends(pd.concat(frames, ignore_index=True), split="val")
    found["gain"] = found["val_accuracy"].diff()
    columns = ["train_accuracy", "val_accuracy", "gap", "gain"]
    return found[columns].rename_axis("added")
