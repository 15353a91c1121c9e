"""What each part of the plain recipe is worth: one change at a time, for the same computing.

    .venv/bin/python tests/benchmarks/cnn_ablation.py [--epochs 60] [--folds 0 1]
    .venv/bin/python tests/benchmarks/cnn_ablation.py --only "no CutMix"

The photos are shown at 48, then 64 pixels. Every variant may use the processor time of so many
epochs of the plain recipe, on one thread: a few steps of both, timed in turn, tell how many
epochs of its own these are, whatever the speed of the machine at that time. The test split is
not touched. The photos of a class are of a few shelves. Half of the classes, those of even fine
label in fold 0 and of odd label in fold 1, lose the smaller of two groups of photos of like
colours: mostly another shelf, or another shop. The judges are these photos and the validation
split; both show what is new to the network, as most of the test photos do.
Results are added to hw1lib/cnn/ablation.json, from which the notebook draws. Needs
the real Grocery Store photos in data/ or a mirror (see data/README.md).
"""

import argparse
import json
import math
import statistics
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from hw1lib.cnn import results
from hw1lib.cnn.model import Layout, count_parameters
from hw1lib.cnn.recipe import RECIPES, Recipe
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets import grocery
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.datasets.resources import obtain
from hw1lib.files import replacing
from hw1lib.training import Batches

FOLDS = 2
FILE = Path(results.__file__).with_name("ablation.json")

#: Small photos take a quarter of the time; in a shorter run the average is shorter.
SMALL = replace(
    RECIPES["plain"], sizes=((0.0, 48), (0.5, 64)), tta_sizes=(48, 64), ema_decay=0.995
)
AUGMENTATION = SMALL.augmentation
INVERTED = Layout(((16,), (16, 24, 24), (40, 40), (56, 56)), expansion=4, head_channels=128)
VARIANTS = {
    "plain": SMALL,
    "AdamW for the convolutions too": replace(SMALL, muon_lr=None),
    "no CutMix": replace(SMALL, cutmix=0.0),
    "less CutMix": replace(SMALL, cutmix=0.3),
    "crops of at least half": replace(
        SMALL, augmentation=replace(AUGMENTATION, area=(0.5, 1.0))
    ),
    "never shown smaller": replace(SMALL, augmentation=replace(AUGMENTATION, area=(0.15, 1.0))),
    "turned by 15 degrees at most": replace(
        SMALL, augmentation=replace(AUGMENTATION, rotation=15.0)
    ),
    "light and tint left alone": replace(
        SMALL, augmentation=replace(AUGMENTATION, light=0.0, tint=0.0)
    ),
    "more light and tint": replace(
        SMALL, augmentation=replace(AUGMENTATION, light=0.7, tint=0.4)
    ),
    "no label smoothing": replace(SMALL, label_smoothing=0.0),
    "one convolution before the first pool": replace(
        SMALL, layout=Layout(((24,), (40,), (64,), (96,)), expansion=0)
    ),
    "inverted residuals": replace(SMALL, layout=INVERTED),
}


def second_shelf(split: GrocerySplit) -> Tensor:
    """Which photos belong to the smaller of two groups of their fine class, bool, (N,).

    Groups are of similar colours: the best of 20 runs of 2-means on the square roots of colour
    histograms, whose distance is Hellinger's.
    """
    points = torch.stack([colours(image) for image in split.images]).sqrt()
    generator = torch.Generator().manual_seed(0)
    second = torch.zeros(len(points), dtype=torch.bool)
    for fine in split.fine_labels.unique():
        index = (split.fine_labels == fine).nonzero().flatten()
        runs = [two_means(points[index], generator) for _ in range(20)]
        group = min(runs, key=lambda run: run[0])[1]
        second[index] = ~group if 2 * group.sum() > len(group) else group
    return second


def colours(image: Tensor) -> Tensor:
    """Shares of a photo's pixels, uint8, (3, H, W), by 5 steps of each colour, (125,)."""
    red, green, blue = image.flatten(1).long() * 5 // 256
    counts = (25 * red + 5 * green + blue).bincount(minlength=125)
    return counts / counts.sum()


def two_means(points: Tensor, generator: torch.Generator) -> tuple[float, Tensor]:
    """Sum of the squared distances to two centres, and which points are nearer to the second.

    The sum is infinite if one centre gets all the points.
    """
    centres = points[torch.randperm(len(points), generator=generator)[:2]]
    for _ in range(20):
        distances = torch.cdist(points, centres)
        nearer = distances.argmin(1) == 1
        if nearer.all() or not nearer.any():
            return math.inf, nearer
        centres = torch.stack([points[~nearer].mean(0), points[nearer].mean(0)])
    return distances.amin(1).square().sum().item(), nearer


def hold_out(photos: Grocery, fold: int) -> Grocery:
    """The data set with some shelves of its training photos in place of the test split."""
    train = photos.train
    held = second_shelf(train) & (train.fine_labels % FOLDS == fold)
    kept, taken = (GrocerySplit(*(part[m] for part in train)) for m in (~held, held))
    return photos._replace(train=kept, test=taken)


def epochs_in_time(base_epochs: int, recipe: Recipe, photos: Grocery) -> int:
    """How many epochs of a recipe take the processor time of so many of the plain recipe's.

    As many, where the times of an epoch differ by less than 10 %: timing is no more exact.
    """
    ratios = [epoch_seconds(SMALL, photos) / epoch_seconds(recipe, photos) for _ in range(3)]
    ratio = statistics.median(ratios)
    return base_epochs if 0.9 < ratio < 1.1 else max(1, round(base_epochs * ratio))


def epoch_seconds(recipe: Recipe, photos: Grocery) -> float:
    """Processor time of an epoch, from a few steps at each size."""
    starts, sizes = zip(*recipe.sizes, strict=True)
    shares = [end - start for start, end in zip(starts, (*starts[1:], 1.0), strict=True)]
    steps = len(photos.train.labels) / recipe.batch_size
    return steps * sum(
        share * step_seconds(replace(recipe, sizes=((0.0, size),)), photos)
        for share, size in zip(shares, sizes, strict=True)
    )


def step_seconds(recipe: Recipe, photos: Grocery) -> float:
    """Processor time of one training step."""
    learner = Trainer(recipe, photos, seed=0).learner
    batches = iter(Batches(photos.train.images, photos.train.fine_labels, recipe.batch_size))
    for index in range(5):
        if index == 2:
            start = time.process_time()
        learner.train_batch(*next(batches))
    return (time.process_time() - start) / 3


def measure(name: str, fold: int, base_epochs: int) -> dict:
    """One variant on one fold."""
    torch.set_num_threads(1)
    recipe = VARIANTS[name]
    photos = hold_out(grocery.load(obtain("grocery").path, recipe.stored_size), fold)
    epochs = epochs_in_time(base_epochs, recipe, photos)
    run = Trainer(
        replace(recipe, num_epochs=epochs, evaluate_every=epochs), photos, seed=fold, name=name
    )
    start = time.process_time()
    run.train(show=False)
    seconds = time.process_time() - start
    return {
        "variant": name,
        "fold": fold,
        "parameters": count_parameters(run.model),
        "epochs": epochs,
        "base_epochs": base_epochs,
        "seconds": seconds,
        "val": asdict(run.evaluate(photos.val, tta_sizes=recipe.tta_sizes)),
        "held_out": asdict(run.evaluate(photos.test, tta_sizes=recipe.tta_sizes)),
        "setting": results.setting(),
    }


def keep(result: dict) -> None:
    """Add a result to the file, in place of an earlier one of the same variant and fold."""
    key = (result["variant"], result["fold"])
    others = [r for r in results.committed("ablation") if (r["variant"], r["fold"]) != key]
    with replacing(FILE) as temporary:
        temporary.write_text(json.dumps([*others, result], indent=0) + "\n", "utf-8")


def main() -> None:
    """Measure the variants asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=60, help="of the plain recipe")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], choices=range(FOLDS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes, get_context("spawn")) as pool:
        pending = [
            pool.submit(measure, name, fold, args.epochs)
            for name in args.only
            for fold in args.folds
        ]
        for future in as_completed(pending):
            result = future.result()
            keep(result)
            print(
                "{variant}, fold {fold}: {epochs} epochs in {seconds:.0f} s".format(**result),
                *(
                    "· {0} {accuracy:.1%}, loss {loss:.3f}".format(split, **result[split])
                    for split in ("val", "held_out")
                ),
                flush=True,
            )


if __name__ == "__main__":
    main()
