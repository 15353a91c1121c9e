"""How long recipes train on this machine, beside each other, from a few steps of each.

    .venv/bin/python tests/benchmarks/cnn_time.py [--recipes relu default] [--threads 2]

Times one training step and one batch of an evaluation, at each size of photos that a recipe
uses; the recipes take turns, so that a busy machine slows all of them. The medians over the
rounds, times the number of steps and of evaluated batches, make the time of a training. The
first recipe is what the others are compared with. Needs no data: random photos take the time
of real ones.
"""

import argparse
import statistics
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace

import torch

from hw1lib.cnn.learner import CNNLearner
from hw1lib.cnn.model import GroceryNet
from hw1lib.cnn.recipe import RECIPES, Recipe
from hw1lib.cnn.trainer import EVAL_BATCH_SIZE

TRAIN, VAL = 2640, 296  # photos


def work(recipe: Recipe) -> dict[int, tuple[float, float]]:
    """Training steps and batches of evaluations at each size, in a whole training."""
    starts, sizes = zip(*recipe.sizes, strict=True)
    shares = [end - start for start, end in zip(starts, (*starts[1:], 1.0), strict=True)]
    steps = recipe.num_epochs * -(-TRAIN // recipe.batch_size)
    batches = -(-TRAIN // EVAL_BATCH_SIZE) + -(-VAL // EVAL_BATCH_SIZE)
    evaluated = batches * -(-recipe.num_epochs // recipe.evaluate_every)
    return {
        size: (share * steps, share * evaluated)
        for size, share in zip(sizes, shares, strict=True)
    }


def learner_at(recipe: Recipe, size: int) -> CNNLearner:
    """A learner of the recipe that shows photos at this size."""
    net = GroceryNet(recipe.layout, [fine * 43 // 81 for fine in range(81)])
    return CNNLearner(net, replace(recipe, sizes=((0.0, size),)), steps_per_epoch=1000)


def seconds(call: Callable, *batch: torch.Tensor) -> float:
    """Wall-clock time of one call."""
    start = time.perf_counter()
    call(*batch)
    return time.perf_counter() - start


def main() -> None:
    """Measure in turn and print a line a recipe."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=["relu", "default"])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    recipes = {name: RECIPES[name] for name in args.recipes}
    x = torch.randint(0, 256, (64, 3, 160, 160), dtype=torch.uint8)
    labels = torch.randint(0, 43, (64,))
    learners = {(n, size): learner_at(r, size) for n, r in recipes.items() for size in work(r)}
    steps, evaluations = defaultdict(list), defaultdict(list)
    for _ in range(args.rounds + 1):
        for key, learner in learners.items():
            steps[key].append(seconds(learner.train_batch, x, labels))
            evaluations[key].append(seconds(learner.eval_batch, x, labels))
    totals = {}
    for name, recipe in recipes.items():
        parts = []
        for size, (train, evaluated) in work(recipe).items():
            step = statistics.median(steps[name, size][1:])  # the first one warms up
            batch = statistics.median(evaluations[name, size][1:])
            parts.append(f"{size} px {1000 * step:.0f} ms")
            totals[name] = totals.get(name, 0) + train * step + evaluated * batch
        ratio = totals[name] / totals[args.recipes[0]]
        print(f"{name}: {totals[name] / 60:.1f} min ({ratio:.2f}); a step at", ", ".join(parts))


if __name__ == "__main__":
    main()
