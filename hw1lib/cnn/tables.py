"""What Q3.I of HW1.ipynb shows of photos and predictions, each as one data frame."""

from collections.abc import Sequence
from dataclasses import asdict

import pandas as pd
import torch
from torch import Tensor, nn

from hw1lib.cnn import results
from hw1lib.cnn.model import GroceryNet, count_parameters
from hw1lib.cnn.optimizer import one_cycle
from hw1lib.cnn.recipe import Recipe
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


def surest_mistakes(
    logs: Tensor, labels: Tensor, names: Sequence[str], count: int
) -> pd.DataFrame:
    """The wrong predictions of highest probability, one for each pair of classes.

    Args:
        logs: log-probabilities, (N, classes).
        labels: int64, (N,).
        names: of the classes.
        count: how many at most.

    Returns:
        A row a mistake, the surest first, indexed by its place among the N: label, predicted
        (classes), confidence (a share), caption.
    """
    confidence, predicted = logs.exp().max(1)
    rows = pd.DataFrame({"label": labels, "predicted": predicted, "confidence": confidence})
    wrong = rows[rows["label"] != rows["predicted"]]
    surest = wrong.sort_values("confidence", ascending=False, kind="stable")
    kept = surest.drop_duplicates(["label", "predicted"])[:count]
    captions = (
        f"{names[row.label]}\ntaken for {names[row.predicted]}, {row.confidence:.0%}"
        for row in kept.itertuples()
    )
    return kept.assign(caption=[*captions])


def standings(recipe: str, parameters: int, test_accuracy: float) -> pd.DataFrame:
    """Test accuracy from the reference submission to the best recipe here, then others'.

    Args:
        recipe: name of the run at hand.
        parameters: of its network.
        test_accuracy: what it reached.

    Returns:
        A row each: the reference, what was added step by step, the run at hand, and others from
        the least accurate to the most. Columns: name; parameters (nan if unknown); seeds (how
        many); test_accuracy, their mean; spread, their standard deviation (nan for one); by:
        "published", "here" (committed results; "+" stands before what is added to the row
        above) or "this run".
    """
    others = pd.DataFrame(results.committed("published"))
    others = others.rename(columns={"test": "test_accuracy"}).assign(seeds=1, by="published")
    runs = results.frame(results.finished())
    steps = {
        "plain CNN, trained as here": ("plain", "test_accuracy_without_tta"),
        "+ test-time augmentation": ("plain", "test_accuracy"),
        "+ inverted residuals": ("relu", "test_accuracy"),
        "+ SiLU, coarse classes in the loss, less time": ("default", "test_accuracy"),
        "+ larger photos, a few more epochs": ("full", "test_accuracy"),
    }
    own = []
    for name, (of, metric) in steps.items():
        chosen = runs[runs["recipe"] == of]
        row = {"name": name, "parameters": chosen["parameters"].iloc[0], "seeds": len(chosen)}
        row |= {"test_accuracy": chosen[metric].mean(), "spread": chosen[metric].std()}
        own.append(row | {"by": "here"})
    row = {"name": f"this run, {recipe} recipe", "parameters": parameters, "seeds": 1}
    own.append(row | {"test_accuracy": test_accuracy, "by": "this run"})
    columns = ["name", "parameters", "seeds", "test_accuracy", "spread", "by"]
    first = others["name"] == "reference submission"
    rest = others[~first].sort_values("test_accuracy", kind="stable")
    return pd.concat([others[first], pd.DataFrame(own), rest], ignore_index=True)[columns]


@torch.inference_mode()
def layers(model: GroceryNet, size: int) -> pd.DataFrame:
    """The layers of the network in the order in which a photo passes through them.

    Args:
        model: not changed.
        size: side of the photo, pixels.

    Returns:
        A row a block, and one for the head: layer, shape (of the output), adds_its_input,
        parameters.
    """
    x = torch.zeros(1, 3, size, size, device=next(model.parameters()).device)
    rows, training = [], model.training
    model.eval()
    for block in model.features:
        x = block(x)
        rows.append(
            {
                "layer": _described(block),
                "shape": tuple(x.shape[1:]),
                "adds_its_input": "yes" if getattr(block, "residual", False) else "",
                "parameters": count_parameters(block),
            }
        )
    logits = model.classifier(x.mean((2, 3)))
    model.train(training)
    head = {"layer": "mean over all positions, linear", "shape": tuple(logits.shape[1:])}
    rows.append(head | {"adds_its_input": "", "parameters": count_parameters(model.classifier)})
    return pd.DataFrame(rows)


def _described(block: nn.Module) -> str:
    """Convolutions and pooling of a block, with their windows and strides."""
    parts = []
    for part in block.modules():
        match part:
            case nn.Conv2d():
                stride = f", stride {part.stride[0]}" if part.stride[0] > 1 else ""
                kind = "depthwise" if part.groups > 1 else f"to {part.out_channels}"
                parts.append(
                    f"conv {part.kernel_size[0]} x {part.kernel_size[1]} {kind}{stride}"
                )
            case nn.MaxPool2d():
                parts.append(f"max-pool {part.kernel_size} x {part.kernel_size}")
    return "; ".join(parts) or type(block).__name__


def settings(recipe: Recipe) -> pd.DataFrame:
    """Every setting of a recipe, the layout's and the augmentation's too, three in a row.

    Returns:
        Columns setting and value, three times over, the names with 0 to 2 underscores behind
        them; all as text.
    """
    values = asdict(recipe)
    values |= values.pop("layout") | values.pop("augmentation")
    names = [name.replace("_", " ") for name in values]
    texts = [f"{v:.4g}" if isinstance(v, float) else str(v) for v in values.values()]
    rows = -(-len(names) // 3)
    parts = [slice(start, start + rows) for start in range(0, len(names), rows)]
    columns = [pd.Series(column[part]) for part in parts for column in (names, texts)]
    frame = pd.concat(columns, axis=1).fillna("")
    heads = [
        name + "_" * number for number in range(len(parts)) for name in ("setting", "value")
    ]
    return frame.set_axis(heads, axis=1)


def schedule(recipe: Recipe) -> pd.DataFrame:
    """The learning rates and the photos' size in the course of a training, epoch by epoch.

    Args:
        recipe: whose rates follow torch's one-cycle schedule, as `CNNLearner` sets it up.

    Returns:
        epoch (of 0 on), optimizer ("AdamW", "Muon"), lr, size (side of the photos, pixels).
    """
    steps = 20  # an epoch: enough to find the peak
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)
    cycle = one_cycle(optimizer, recipe, recipe.num_epochs * steps)
    shares = []
    for _ in range(recipe.num_epochs * steps):
        shares.append(cycle.get_last_lr()[0])
        optimizer.step()
        cycle.step()
    epochs = pd.DataFrame({"epoch": range(recipe.num_epochs + 1)})
    epochs["share"] = [*shares[::steps], cycle.get_last_lr()[0]]
    epochs["size"] = [
        [size for start, size in recipe.sizes if start * recipe.num_epochs <= epoch][-1]
        for epoch in epochs["epoch"]
    ]
    rates = {"AdamW": recipe.lr} | ({"Muon": recipe.muon_lr} if recipe.muon_lr else {})
    parts = [epochs.assign(optimizer=n, lr=rate * epochs["share"]) for n, rate in rates.items()]
    return pd.concat(parts, ignore_index=True).drop(columns="share")


def side_by_side(photos: Grocery, coarse: int, *, columns: int) -> list[Tensor]:
    """Training photos of a class, then as many test photos of it, spread over their lists.

    Args:
        photos: the three splits.
        coarse: number of the class.
        columns: how many photos of each split, at most.

    Returns:
        Photos, uint8, (3, H, W).
    """
    shown = []
    for split in (photos.train, photos.test):
        found = (split.labels == coarse).nonzero().flatten()
        places = torch.linspace(0, len(found) - 1, min(columns, len(found))).long()
        shown += split.images[found[places]]
    return shown
