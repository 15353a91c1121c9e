"""What each part of the CNN's recipe is worth: one change at a time, for the same computing.

    .venv/bin/python tests/benchmarks/cnn_ablation.py [--budget 240] [--folds 0 1]
    .venv/bin/python tests/benchmarks/cnn_ablation.py --only "no CutMix"

Every variant may use the same processor time, on one thread: its number of epochs follows from
the time of a few of its steps. It is trained on three quarters of the training photos and
judged on the fourth and on the validation split; the test split is not touched. The quarter is
cut from every fine class in the order of its list, in which photos of one place follow each
other.
Results are added to cnn_ablation.json beside this file, from which the notebook draws. Needs
the real Grocery Store photos in data/ or a mirror (see data/README.md).
"""

import argparse
import json
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import torch

from hw1lib.cnn.model import Layout, count_parameters
from hw1lib.cnn.recipe import DEFAULT, Recipe
from hw1lib.cnn.results import setting
from hw1lib.cnn.run import Run
from hw1lib.datasets import grocery
from hw1lib.datasets.download import replacing
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.datasets.resources import obtain
from hw1lib.training import Batches, evaluate

FOLDS = 4
FILE = Path(__file__).with_name("cnn_ablation.json")

AUGMENTATION = DEFAULT.augmentation
INVERTED = Layout(((16,), (16, 24, 24), (40, 40), (64, 64)), stride=2, expansion=4, head=128)
VARIANTS = {
    "default": DEFAULT,
    "no CutMix": replace(DEFAULT, cutmix=0.0),
    "crops of at least half": replace(
        DEFAULT, augmentation=replace(AUGMENTATION, area=(0.5, 1.0))
    ),
    "turned by 15 degrees at most": replace(
        DEFAULT, augmentation=replace(AUGMENTATION, rotation=15.0)
    ),
    "light and tint left alone": replace(
        DEFAULT, augmentation=replace(AUGMENTATION, light=0.0, tint=0.0)
    ),
    "no label smoothing": replace(DEFAULT, label_smoothing=0.0),
    "last weights, not averaged": replace(DEFAULT, ema_decay=0.0),
    "weight decay x 4": replace(DEFAULT, weight_decay=4 * DEFAULT.weight_decay),
    "half the learning rate": replace(DEFAULT, lr=DEFAULT.lr / 2),
    "inverted residuals": replace(DEFAULT, layout=INVERTED),
    "96 pixels from the first step on": replace(DEFAULT, sizes=((0.0, 96),)),
    "128 pixels from the first step on": replace(DEFAULT, sizes=((0.0, 128),)),
    "first convolution with stride 2": replace(
        DEFAULT, layout=replace(DEFAULT.layout, stride=2)
    ),
}


def hold_out(photos: Grocery, fold: int) -> Grocery:
    """The data set with a quarter of its training photos in place of the test split."""
    train = photos.train
    held = torch.zeros(len(train.labels), dtype=torch.bool)
    for fine in train.fine_labels.unique():
        index = (train.fine_labels == fine).nonzero().flatten()
        held[index.tensor_split(FOLDS)[fold]] = True
    kept, taken = (GrocerySplit(*(part[m] for part in train)) for m in (~held, held))
    return photos._replace(train=kept, test=taken)


def epochs_within(budget: float, recipe: Recipe, photos: Grocery) -> int:
    """How many epochs of training steps fit into so many seconds of processor time."""
    steps = len(photos.train.labels) / recipe.batch_size
    ends = [start for start, _ in recipe.sizes[1:]] + [1.0]
    shares = [
        (size, end - start) for (start, size), end in zip(recipe.sizes, ends, strict=True)
    ]
    epoch = sum(share * steps * step_seconds(recipe, photos, size) for size, share in shares)
    return max(5, int(budget / epoch))


def step_seconds(recipe: Recipe, photos: Grocery, size: int) -> float:
    """Processor time of one training step on photos of this size."""
    run = Run(replace(recipe, sizes=((0.0, size),)), photos, seed=0)
    batches = iter(Batches(photos.train.images, photos.train.fine_labels, recipe.batch_size))
    for index in range(8):
        if index == 3:
            start = time.process_time()
        run.learner.train_batch(*next(batches))
    return (time.process_time() - start) / 5


def measure(name: str, fold: int, budget: float) -> dict:
    """One variant on one fold."""
    torch.set_num_threads(1)
    recipe = VARIANTS[name]
    photos = hold_out(grocery.load(obtain("grocery").path, recipe.stored_size), fold)
    epochs = epochs_within(budget, recipe, photos)
    run = Run(
        replace(recipe, num_epochs=epochs, evaluate_every=epochs), photos, seed=fold, name=name
    )
    start = time.process_time()
    run.train()
    seconds = time.process_time() - start
    held = evaluate(run.learner, Batches(photos.test.images, photos.test.labels, 64))
    return {
        "variant": name,
        "fold": fold,
        "parameters": count_parameters(run.model),
        "epochs": epochs,
        "budget": budget,
        "seconds": seconds,
        "val": asdict(run.best.metrics),
        "held_out": asdict(held),
        "setting": setting(),
    }


def keep(result: dict) -> None:
    """Add a result to the file, in place of an earlier one of the same variant and fold."""
    results = json.loads(FILE.read_text("utf-8")) if FILE.exists() else []
    key = (result["variant"], result["fold"])
    results = [r for r in results if (r["variant"], r["fold"]) != key] + [result]
    with replacing(FILE) as temporary:
        temporary.write_text(json.dumps(results, indent=0) + "\n", "utf-8")


def main() -> None:
    """Measure the variants asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--budget", type=float, default=240, help="seconds of one core a run")
    parser.add_argument("--folds", type=int, nargs="+", default=[0, 1], choices=range(FOLDS))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--only", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    args = parser.parse_args()
    with ProcessPoolExecutor(args.processes, get_context("spawn")) as pool:
        pending = [
            pool.submit(measure, name, fold, args.budget)
            for fold in args.folds
            for name in args.only
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
