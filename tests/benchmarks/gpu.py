"""What a GPU makes of HW1: MNIST by hand step by step and as a CUDA graph, and the CNN.

    .venv/bin/python tests/benchmarks/gpu.py [--device cuda] [--recipe full] [--seed 42]

Times the 16 epochs of Q2.II.a in three ways: `fit` on the CPU; `fit` on the device; the same
steps recorded as a CUDA graph and replayed, with the splits evaluated after each epoch. Then
trains the CNN by a recipe, evaluates it as `python -m hw1lib.cnn` does, and samples how busy
the GPU is meanwhile. Writes gpu.json beside this file, with the hardware's name. On the CPU the
steps are not recorded. Needs the real data in data/ or a mirror (see data/README.md).
"""

import argparse
import json
import statistics
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from hw1lib import device
from hw1lib.activations import sigmoid
from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.results import result_of, setting
from hw1lib.cnn.trainer import CPU, Trainer
from hw1lib.datasets import grocery, mnist
from hw1lib.datasets.resources import obtain
from hw1lib.files import replacing
from hw1lib.history import History
from hw1lib.losses import one_hot
from hw1lib.network import FullyConnectedNetwork
from hw1lib.recorded import Recorded
from hw1lib.training import Batches, evaluate, fit, one_thread_without_autograd, set_seed

NUM_EPOCHS, BATCH_SIZE, LR = 16, 32, 0.01


def steps_of_an_epoch(network: FullyConnectedNetwork, X: Tensor, y: Tensor) -> Callable:
    """A function that takes all of them, in the order of the data; recorded on a GPU."""
    targets = one_hot(y, len(network.b2))

    def step(x: Tensor, target: Tensor) -> Tensor:
        y_hat = network.forward(x)
        network.backward(x, target, y_hat)
        return y_hat

    take = Recorded(step) if X.is_cuda else step

    def epoch() -> None:
        for batch in zip(X.split(BATCH_SIZE), targets.split(BATCH_SIZE), strict=True):
            take(*batch)

    return epoch


def by_fit(split: dict, where: torch.device) -> tuple[float, float]:
    """Seconds and test accuracy of Q2.II.a as the notebook trains it."""
    X, y = inputs(split, where)
    set_seed(42)
    network = FullyConnectedNetwork(784, 10, 128, sigmoid, LR, device=where)
    splits = {name: Batches(X[name], y[name], 10_000) for name in X}
    start = time.perf_counter()
    with one_thread_without_autograd():
        batches = Batches(X["train"], y["train"], BATCH_SIZE)
        history = History("by hand")
        fit(network, batches, num_epochs=NUM_EPOCHS, splits=splits, history=history)
    return time.perf_counter() - start, history.final("test").accuracy


def by_graph(split: dict, where: torch.device) -> tuple[float, float]:
    """The same by recorded steps; recording them counts."""
    X, y = inputs(split, where)
    set_seed(42)
    network = FullyConnectedNetwork(784, 10, 128, sigmoid, LR, device=where)
    start = time.perf_counter()
    with one_thread_without_autograd():
        epoch = steps_of_an_epoch(network, X["train"], y["train"])
        for _ in range(NUM_EPOCHS):
            epoch()
            reached = {n: evaluate(network, Batches(X[n], y[n], 10_000)) for n in X}
    return time.perf_counter() - start, reached["test"].accuracy


def inputs(split: dict, where: torch.device) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Images as rows and labels, by split, on a device."""
    X = {name: (s.images.flatten(1).float() / 255).to(where) for name, s in split.items()}
    return X, {name: s.labels.to(where) for name, s in split.items()}


class Utilisation:
    """How busy the GPU is, in percent, sampled every half second by nvidia-smi."""

    def __enter__(self) -> "Utilisation":
        self.samples: list[float] = []
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._sample)
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        self._thread.join()

    @property
    def median(self) -> float | None:
        """Over the samples; None without nvidia-smi."""
        return statistics.median(self.samples) if self.samples else None

    def _sample(self) -> None:
        query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
        while not self._over.wait(0.5):
            try:
                out = subprocess.run(query, capture_output=True, text=True, check=True).stdout
            except (OSError, subprocess.CalledProcessError):
                return
            self.samples.append(float(out.split()[0]))


def train_cnn(recipe: str, seed: int, where: torch.device) -> dict:
    """Time and figures of one training of the CNN."""
    photos = grocery.load(obtain("grocery").path, RECIPES[recipe].stored_size)
    run = Trainer(RECIPES[recipe], photos, seed=seed, device=where)
    with Utilisation() as busy:
        run.train()
    result = result_of(run, recipe)
    return {
        "recipe": recipe,
        "seed": seed,
        "seconds": result.seconds,
        "val": result.val_accuracy,
        "test": result.test_accuracy,
        "utilisation": busy.median,
    }


def main() -> None:
    """Measure, print and keep."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", type=torch.device, default=device.chosen())
    parser.add_argument("--recipe", choices=RECIPES, default="full")
    parser.add_argument("--seed", type=int, default=42)
    args = parser.parse_args()
    split = mnist.load(obtain("mnist").path)
    found = {"setting": setting(args.device), "mnist": {}}
    ways = [("fit, cpu", by_fit, CPU), (f"fit, {args.device}", by_fit, args.device)]
    for name, way, where in [*ways, (f"recorded, {args.device}", by_graph, args.device)]:
        seconds, accuracy = way(split, where)
        found["mnist"][name] = {"seconds": seconds, "test": accuracy}
        print(
            f"{name}: {NUM_EPOCHS} epochs in {seconds:.2f} s, test {accuracy:.2%}", flush=True
        )
    found["cnn"] = train_cnn(args.recipe, args.seed, args.device)
    print("CNN: {seconds:.0f} s, validation {val:.2%}, test {test:.2%}".format(**found["cnn"]))
    with replacing(Path(__file__).with_name("gpu.json")) as temporary:
        temporary.write_text(json.dumps(found, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
