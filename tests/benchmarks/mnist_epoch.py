"""Time of one MNIST training epoch at batch size 32: by hand, and what one would use instead.

    .venv/bin/python tests/benchmarks/mnist_epoch.py [--rounds 5] [--threads 2]

Runs every contender once a round, in turn, in one process, and prints medians over the
rounds and the ratio to the hand-written network *round by round* (median), which holds when
the machine's speed drifts. Needs the real MNIST in data/ or a mirror (see data/README.md).

Contenders, all 784-128-10 with sigmoid units, plain gradient descent at rate 0.1:
- by hand: `FullyConnectedNetwork` through `fit`, loss and accuracy summed for every batch;
- bare products: the five matrix products of such a step and nothing else, equally set up;
- nn, slices: nn.Sequential, CrossEntropyLoss and optim.SGD over slices of the same tensors;
- nn, TensorDataset: the same through a DataLoader over the same tensors;
- nn, PIL: the same through a DataLoader over torchvision's MNIST with ToTensor.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import torch
import torchvision
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from hw1lib.activations import sigmoid
from hw1lib.datasets import mnist
from hw1lib.datasets.resources import obtain
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit, one_thread_without_autograd, set_seed

BATCH_SIZE, LR = 32, 0.1


def by_hand(X: Tensor, y: Tensor) -> None:
    """One epoch of the hand-written network."""
    network = FullyConnectedNetwork(784, 10, 128, sigmoid, LR)
    with one_thread_without_autograd():
        batches = Batches(X, y, BATCH_SIZE)
        fit(network, batches, num_epochs=1, splits={}, history=History("by hand"))


def bare_products(X: Tensor, y: Tensor) -> None:
    """Only the matrix products that no such step can do without."""
    W1, W2 = torch.randn(784, 128), torch.randn(128, 10)
    with one_thread_without_autograd():
        for x, _ in Batches(X, y, BATCH_SIZE):
            a1 = x @ W1
            dlogits = a1 @ W2
            dz1 = dlogits @ W2.T
            _ = a1.T @ dlogits, x.T @ dz1


def train_with_nn(batches) -> None:
    """One epoch of nn.Sequential under autograd, over any iterable of batches."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.Sigmoid(), nn.Linear(128, 10))
    loss_function = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    loss_sum, correct = 0.0, 0
    for x, y in batches:
        optimizer.zero_grad()
        logits = model(x)
        loss = loss_function(logits, y)
        loss.backward()
        optimizer.step()
        loss_sum += loss.item() * len(y)
        correct += (logits.argmax(1) == y).sum().item()


def torchvision_mnist(source: Path, root: Path) -> torchvision.datasets.MNIST:
    """The data set as torchvision reads it, from the gz files we hold."""
    raw = root / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for file in source.glob("*-ubyte.gz"):
        torchvision.datasets.utils.extract_archive(str(file), str(raw))
    to_tensor = torchvision.transforms.ToTensor()
    return torchvision.datasets.MNIST(root, train=True, transform=to_tensor)


def main() -> None:
    """Run the contenders in turn and print medians and ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    args = parser.parse_args()
    rounds = args.rounds
    torch.set_num_threads(args.threads)

    source = obtain("mnist")
    train = mnist.load(source.path)["train"]
    X, y = train.images.flatten(1).float() / 255, train.labels
    with tempfile.TemporaryDirectory() as root:
        images = torchvision_mnist(source.path, Path(root))
        tensors = TensorDataset(X, y)
        contenders = {
            "by hand": lambda: by_hand(X, y),
            "bare products": lambda: bare_products(X, y),
            "nn, slices": lambda: train_with_nn(Batches(X, y, BATCH_SIZE)),
            "nn, TensorDataset": lambda: train_with_nn(DataLoader(tensors, BATCH_SIZE)),
            "nn, PIL": lambda: train_with_nn(DataLoader(images, BATCH_SIZE)),
        }
        seconds: dict[str, list[float]] = {name: [] for name in contenders}
        for _ in range(rounds):
            for name, run in contenders.items():
                set_seed(42)
                start = time.perf_counter()
                run()
                seconds[name].append(time.perf_counter() - start)

    print(f"{source.origin}; {torch.get_num_threads()} threads; {rounds} rounds")
    for name, values in seconds.items():
        ratio = statistics.median(
            v / h for v, h in zip(values, seconds["by hand"], strict=True)
        )
        print(f"{name:18} {statistics.median(values):7.3f} s   {ratio:5.2f} x by hand")


if __name__ == "__main__":
    main()
