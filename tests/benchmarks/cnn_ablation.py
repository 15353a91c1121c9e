"""What parts of the network and its training are worth, on shelves that are new to it.

    .venv/bin/python tests/benchmarks/cnn_ablation.py [--epochs 30] [--processes 2]

In 16 short trainings each part in PARTS is missing from eight, and every run tells of every
part. Eight runs are those of a Hadamard matrix, eight their mirror images, so that what a part
is worth is mixed up neither with what another is, nor with what two bring together (Plackett
and Burman, The design of optimum multifactorial experiments, 1946). `results.ablation` works it
out, with standard errors from what the parts leave unexplained: chance, and the shelves.

The judges are shelves. The photos of a class, of the train and validation splits together, are
parted into two groups of like colours: mostly another shelf, or another shop. Each fold holds
out one group of every other fine class; over the four folds each photo is held out once. The
network is evaluated at the end, with test-time augmentation. The test split is not touched.
Results go to hw1lib/cnn/ablation.json, from which the notebook draws. Needs the real Grocery
Store photos in data/ or a mirror (see data/README.md).
"""

import argparse
import json
import math
import time
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path

import torch
from torch import Tensor

from hw1lib import device
from hw1lib.cnn import results
from hw1lib.cnn.model import count_parameters
from hw1lib.cnn.recipe import PLAIN, RECIPES, Recipe
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets import grocery
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.datasets.resources import obtain, refuse_stand_ins
from hw1lib.files import replacing

FILE = Path(results.__file__).with_name("ablation.json")

#: At 48 pixels a step takes an eighth of the time; in a shorter run the average is shorter.
WHOLE = replace(RECIPES["default"], sizes=((0.0, 48),), tta_sizes=(48,), ema_decay=0.995)


def layout(recipe: Recipe, **changes: object) -> Recipe:
    """The recipe with another layout."""
    return replace(recipe, layout=replace(recipe.layout, **changes))


#: What takes each part away from a recipe.
PARTS = {
    "inverted residuals": lambda r: layout(r, stages=PLAIN.stages, expansion=PLAIN.expansion),
    "SiLU": lambda r: layout(r, activation="ReLU"),
    "Muon": lambda r: replace(r, muon_lr=None),
    "CutMix": lambda r: replace(r, cutmix=0.0),
    "label smoothing": lambda r: replace(r, label_smoothing=0.0),
    "coarse classes in the loss": lambda r: replace(r, coarse_share=0.0),
}


def design() -> list[tuple[int, list[str]]]:
    """The fold of each run, and the parts that it does without."""
    half = [[(run & column).bit_count() % 2 for column in range(8)] for run in range(8)]
    runs = half + [[1 - sign for sign in signs] for signs in half]
    return [
        (signs[0] + 2 * signs[1], [p for p, sign in zip(PARTS, signs[2:], strict=True) if sign])
        for signs in runs
    ]


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


def folds(pool: GrocerySplit) -> Tensor:
    """The fold that holds out each photo, int64, (N,).

    Folds 0 and 1 hold out the smaller groups of the even and of the odd fine classes, folds 2
    and 3 the larger ones.
    """
    return pool.fine_labels % 2 + 2 * ~second_shelf(pool)


def pooled(photos: Grocery) -> GrocerySplit:
    """Train and validation photos in one."""
    return GrocerySplit(*(torch.cat(parts) for parts in zip(*photos[:2], strict=True)))


def hold_out(photos: Grocery, held: Tensor) -> Grocery:
    """Train and validation photos parted anew: `val` is those held out, bool, (N,)."""
    kept, taken = (GrocerySplit(*(part[m] for part in pooled(photos))) for m in (~held, held))
    return photos._replace(train=kept, val=taken)


def measure(number: int, epochs: int, fold_of: Tensor) -> dict:
    """One run of the design; `fold_of` is what `folds` returns."""
    fold, missing = design()[number]
    recipe = replace(WHOLE, num_epochs=epochs, evaluate_every=epochs)
    for part in missing:
        recipe = PARTS[part](recipe)
    photos = grocery.load(obtain("grocery").path, recipe.stored_size)
    photos = hold_out(photos, fold_of == fold)
    run = Trainer(recipe, photos, seed=number, device=device.chosen())
    start = time.perf_counter()
    run.train(show=False)
    return {
        "run": number,
        "without": missing,
        "fold": fold,
        "parameters": count_parameters(run.model),
        "epochs": epochs,
        "seconds": time.perf_counter() - start,
        **asdict(run.evaluate(photos.val, tta_sizes=recipe.tta_sizes)),
        "setting": results.setting(run.device),
    }


def keep(result: dict) -> None:
    """Add a run to the file, in place of an earlier one of the same number."""
    others = [r for r in results.committed("ablation") if r["run"] != result["run"]]
    runs = sorted([*others, result], key=lambda run: run["run"])
    with replacing(FILE) as temporary:
        temporary.write_text(json.dumps(runs, indent=0) + "\n", "utf-8")


def main() -> None:
    """Make the runs asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--runs", type=int, nargs="+", default=range(len(design())))
    args = parser.parse_args()
    refuse_stand_ins()
    context = get_context("spawn")
    fold_of = folds(pooled(grocery.load(obtain("grocery").path, WHOLE.stored_size)))
    with ProcessPoolExecutor(args.processes, context, torch.set_num_threads, (1,)) as pool:
        pending = [pool.submit(measure, number, args.epochs, fold_of) for number in args.runs]
        for future in as_completed(pending):
            result = future.result()
            keep(result)
            print(
                "run {run}, fold {fold}: held-out shelves {accuracy:.1%}, loss {loss:.3f}, "
                "{seconds:.0f} s; without".format(**result),
                ", ".join(result["without"]) or "nothing",
                flush=True,
            )


if __name__ == "__main__":
    main()
