"""What Q3.I of HW1.ipynb shows of photos and predictions, each as one data frame."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import pandas as pd
import torch
from torch import Tensor

from hw1lib.cnn import results
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets.grocery import Grocery


def splits(photos: Grocery) -> pd.DataFrame:
    """How many photos each split has, and how evenly they are spread over the coarse classes.

    Returns:
        A row a split: split, photos, classes (that are present), fewest and most photos of one.
    """
    labels = {split: getattr(photos, split).labels for split in ("train", "val", "test")}
    counts = {split: pd.Series(found.numpy()).value_counts() for split, found in labels.items()}
    return pd.DataFrame(
        {
            "split": split,
            "photos": c.sum(),
            "classes": len(c),
            "fewest": c.min(),
            "most": c.max(),
        }
        for split, c in counts.items()
    )


def at_sizes(run: Trainer, tta_sizes: Iterable[Sequence[int]]) -> pd.DataFrame:
    """Loss and accuracy on the validation photos by the sizes of test-time augmentation.

    Args:
        run: finished.
        tta_sizes: for each row the sizes in pixels, as `Trainer.evaluate` takes them; () for
            none.

    Returns:
        A row each: tta_sizes, loss, accuracy.
    """
    return pd.DataFrame(
        {
            "tta_sizes": " and ".join(map(str, sizes)) + " pixels" if sizes else "none",
            **asdict(run.evaluate(run.photos.val, tta_sizes=sizes)),
        }
        for sizes in tta_sizes
    ).drop(columns="count")


def recall(counts: Tensor, names: Sequence[str]) -> pd.Series:
    """Share of each class's photos that is recognised; classes without photos are left out.

    Args:
        counts: confusion matrix, (N, N), true classes in rows.
        names: of the classes.
    """
    shares = pd.Series((counts.diag() / counts.sum(1)).tolist(), index=list(names))
    return shares.dropna().sort_values(kind="stable")


def mistakes(counts: Tensor, names: Sequence[str]) -> pd.DataFrame:
    """Which class is taken for which, the most frequent mistake first.

    Args:
        counts: confusion matrix, (N, N), true classes in rows.
        names: of the classes.

    Returns:
        true, taken_for, photos, of_that_class (a share), of_all_mistakes (a share).
    """
    wrong = counts - torch.diag(counts.diag())
    pairs = wrong.nonzero()
    photos = wrong[tuple(pairs.T)]
    order = photos.argsort(descending=True, stable=True)
    pairs, photos = pairs[order], photos[order]
    return pd.DataFrame(
        {
            "true": [names[i] for i in pairs[:, 0].tolist()],
            "taken_for": [names[i] for i in pairs[:, 1].tolist()],
            "photos": photos.tolist(),
            "of_that_class": (photos / counts.sum(1)[pairs[:, 0]]).tolist(),
            "of_all_mistakes": (photos / photos.sum()).tolist(),
        }
    )


def surest_mistakes(logs: Tensor, labels: Tensor, count: int) -> Tensor:
    """The wrong predictions of highest probability, one for each pair of classes.

    Args:
        logs: log-probabilities, (N, classes).
        labels: int64, (N,).
        count: how many at most.

    Returns:
        Their indices, int64, the surest first.
    """
    confidence, predicted = logs.max(1)
    rows = pd.DataFrame({"confidence": confidence, "label": labels, "predicted": predicted})
    wrong = rows[rows["label"] != rows["predicted"]]
    surest = wrong.sort_values("confidence", ascending=False, kind="stable")
    kept = surest.drop_duplicates(["label", "predicted"]).index[:count]
    return torch.tensor(kept.to_numpy(), dtype=torch.int64)


def against_others(recipe: str, parameters: int, test_accuracy: float) -> pd.DataFrame:
    """Published accuracies, the mean of the committed plain runs, and the run at hand.

    Args:
        recipe: name of the run's.
        parameters: of its network.
        test_accuracy: what it reached.

    Returns:
        name, parameters, test_accuracy, ours.
    """
    others = pd.DataFrame(results.committed("published")).rename(
        columns={"test": "test_accuracy"}
    )
    plain = results.frame(results.finished()).query("recipe == 'plain'")
    ours = pd.DataFrame(
        {
            "name": ["here, plain recipe", f"here, {recipe} recipe"],
            "parameters": [plain["parameters"].iloc[0], parameters],
            "test_accuracy": [plain["test_accuracy"].mean(), test_accuracy],
        }
    )
    both = pd.concat([others.assign(ours=False), ours.assign(ours=True)], ignore_index=True)
    return both[["name", "parameters", "test_accuracy", "ours"]]
