"""The weights of a submission: that they are those asked for, and do what it says."""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from hw1lib.activations import sigmoid
from hw1lib.assignment import HIDDEN_SIZE, INPUT_SIZE, OUTPUT_SIZE, WEIGHT_SHAPES
from hw1lib.datasets import mnist
from hw1lib.network import FullyConnectedNetwork
from hw1lib.submission.check.findings import UNCHECKED, Finding
from hw1lib.submission.check.notebook import AGAIN
from hw1lib.training import Batches, evaluate

#: By how much accuracy may differ between machines, whose sums round differently: 10 of the
#: 10 000 test images.
TOLERANCE = 0.001


def misshapen(weights: dict[str, Tensor], where: str) -> Iterator[Finding]:
    """The weights are of the network that Q2.II.a asks for."""
    for name, shape in WEIGHT_SHAPES.items():
        if (found := tuple(weights[name].shape)) != shape:
            what = f"{name} has shape {found}, and Q2.II.a asks for {shape}"
            yield Finding("error", "weights", what, where, AGAIN)


def accuracy(weights: dict[str, Tensor], folder: Path) -> float:
    """Share of MNIST's test images that the network of Q2.II.a gets right, 0 to 1.

    Args:
        weights: of the shapes in WEIGHT_SHAPES, float32.
        folder: of the real MNIST.

    Raises:
        DataError: it cannot be read.
    """
    network = FullyConnectedNetwork(INPUT_SIZE, OUTPUT_SIZE, HIDDEN_SIZE, sigmoid, lr=0)
    network.load_weights(weights)
    images, labels = mnist.load_test(folder)
    split = Batches(images.flatten(1).float() / 255, labels, 2000)
    with torch.inference_mode():
        return evaluate(network, split).accuracy


def reproduces(stated: float | None, measured: float, where: str) -> Iterator[Finding]:
    """The weights have the accuracy that the notebook states."""
    if stated is None:
        what = (
            f"the weights reach {measured:.2%} on MNIST; the notebook states nothing to compare"
        )
        yield Finding("note", UNCHECKED, what, where)
    elif abs(stated - measured) > TOLERANCE:
        what = f"the notebook states {stated:.2%} on MNIST, these weights reach {measured:.2%}"
        yield Finding("error", "weights", what, where, AGAIN)
