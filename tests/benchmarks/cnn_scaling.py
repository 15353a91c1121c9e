"""What more processes make of one training of the CNN: strong and weak scaling.

    .venv/bin/python tests/benchmarks/cnn_scaling.py [--processes 1 2] [--rounds 5] [--size 96]

Strong: the same batch of 64 photos a step, shared out among the processes. Weak: 64 photos a
step for each process. Each contender is started by torchrun, with one thread a process, once a
round and in turn; it takes a few steps to warm up and is timed over the next ones. Prints
medians over the rounds and the efficiency (photos a second and process, against one process).
Needs no data: random photos take the time of real ones.
"""

import argparse
import os
import statistics
import subprocess
import sys
import time
from dataclasses import replace
from itertools import product

import torch

from hw1lib import device, ranks
from hw1lib.cnn.learner import CNNLearner
from hw1lib.cnn.model import GroceryNet
from hw1lib.cnn.recipe import RECIPES
from hw1lib.training import set_seed

WARM_UP, STEPS = 3, 15


def timed_steps(batch_size: int, size: int) -> float:
    """Seconds a step, on this rank."""
    where = device.chosen()
    set_seed(0)
    recipe = replace(RECIPES["plain"], sizes=((0.0, size),), batch_size=batch_size)
    net = GroceryNet(recipe.layout, [fine * 43 // 81 for fine in range(81)]).to(where)
    learner = CNNLearner(net, recipe, steps_per_epoch=WARM_UP + STEPS)
    shape = (batch_size, 3, recipe.stored_size, recipe.stored_size)
    x = torch.randint(0, 256, shape, dtype=torch.uint8, device=where)
    y = torch.randint(0, 81, (batch_size,), device=where)
    for step in range(WARM_UP + STEPS):
        if step == WARM_UP:
            start = time.perf_counter()
        learner.train_batch(x, y)  # reads its figures back, and so waits for the device
    return (time.perf_counter() - start) / STEPS


def measure(processes: int, batch_size: int, size: int) -> float:
    """Seconds a step of so many processes, started by torchrun."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += [f"--nproc-per-node={processes}", __file__]
    command += ["--batch-size", str(batch_size), "--size", str(size)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        command, env=environment, stdout=subprocess.PIPE, text=True, check=True
    )
    return float(done.stdout)


def main() -> None:
    """Compare the contenders, or be one of their ranks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=int, default=96, help="of the photos, pixels")
    parser.add_argument("--batch-size", type=int, default=64)
    args = parser.parse_args()
    if ranks.launched():
        with ranks.together(device.chosen()):
            seconds = timed_steps(args.batch_size, args.size)
            if ranks.is_first():
                print(seconds)
        return
    times: dict[tuple[str, int], list[float]] = {}
    for _, kind, count in product(range(args.rounds), ("strong", "weak"), args.processes):
        batch_size = args.batch_size * (count if kind == "weak" else 1)
        seconds = measure(count, batch_size, args.size)
        times.setdefault((kind, count), []).append(seconds)
    for (kind, count), seconds in times.items():
        work = count if kind == "weak" else 1
        first = times[kind, args.processes[0]]
        shares = [work * a / (b * count) for a, b in zip(first, seconds, strict=True)]
        print(
            f"{kind}, {count} processes: {1000 * statistics.median(seconds):.0f} ms a step of "
            f"{args.batch_size * work} photos, efficiency {statistics.median(shares):.2f} "
            f"({min(shares):.2f} to {max(shares):.2f})"
        )


if __name__ == "__main__":
    main()
