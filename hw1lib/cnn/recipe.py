"""The recipes the CNN is trained by, and which one is asked for.

HW1.ipynb, Q3.I.
"""

import os
from dataclasses import dataclass, field, replace

from hw1lib.cnn.augment import Augmentation
from hw1lib.cnn.model import Layout

#: Side of the crops that test-time augmentation takes, in shares of the photo's.
CROP_SIDE = 0.9


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides the data and the seed.

    Attributes:
        layout: the network's shape.
        stored_size: side of the photos as they are kept in memory, pixels.
        sizes: side of the photos in training, pixels, each with the share of the steps after
            which it is used; small, cheap ones come first. Evaluation takes that of the step
            before it.
        tta_sizes: sizes at which test-time augmentation shows a photo, its corners and its
            middle, pixels.
        num_epochs: passes over the training photos.
        evaluate_every: epochs between two evaluations of the train and validation splits.
        batch_size: photos a step.
        lr: AdamW's highest learning rate, in a one-cycle schedule.
        muon_lr: Muon's, which steps the convolutions; None leaves these to AdamW.
        warm_up: share of the steps in which the rates rise.
        weight_decay: per step, times the learning rate.
        label_smoothing: share of the target spread evenly over the classes.
        coarse_share: how much of the loss is that of the coarse classes, which the network is
            asked for; the rest is that of the fine ones.
        cutmix: share of the batches whose photos get a square of another one pasted in.
        ema_decay: of the exponential moving average of the weights, per step.
        augmentation: how far photos are changed.
    """

    layout: Layout = field(default_factory=Layout)
    stored_size: int = 160
    sizes: tuple[tuple[float, int], ...] = ((0.0, 64), (0.5, 96), (0.9, 128))
    tta_sizes: tuple[int, ...] = (96, 128)
    num_epochs: int = 160
    evaluate_every: int = 5
    batch_size: int = 64
    lr: float = 4.5e-3
    muon_lr: float | None = 18e-3
    warm_up: float = 0.15
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    coarse_share: float = 0.5
    cutmix: float = 0.7
    ema_decay: float = 0.998
    augmentation: Augmentation = field(default_factory=Augmentation)


DEFAULT = Recipe()
#: For comparison: fine labels alone, ReLU, higher rates, and 128 pixels for much longer.
RELU = replace(
    DEFAULT,
    layout=Layout(activation="ReLU"),
    sizes=((0.0, 64), (0.25, 96), (0.6, 128)),
    num_epochs=200,
    evaluate_every=10,
    lr=6e-3,
    muon_lr=24e-3,
    coarse_share=0.0,
)
#: The same with as many parameters in a third of the layers, without inverted residuals.
PLAIN = Layout(((16, 32), (48,), (64,), (72,)), expansion=0, activation="ReLU")
RECIPES = {
    "default": DEFAULT,
    "full": replace(DEFAULT, sizes=((0.0, 64), (0.15, 96), (0.5, 128)), num_epochs=180),
    "relu": RELU,
    "plain": replace(RELU, layout=PLAIN, num_epochs=340),
    "short": replace(DEFAULT, sizes=((0.0, 64), (0.5, 96)), num_epochs=60),
    "draft": replace(
        DEFAULT,
        stored_size=64,
        sizes=((0.0, 32), (0.5, 48)),
        tta_sizes=(48, 64),
        num_epochs=10,
        evaluate_every=1,
        ema_decay=0.9,
    ),
}


def recipe_from_environment(*, stand_in: bool = False) -> tuple[str, Recipe]:
    """Name and recipe that HW1_RECIPE names; without it "default", or "draft" on stand-ins.

    Raises:
        ValueError: HW1_RECIPE names none.
    """
    name = os.environ.get("HW1_RECIPE") or ("draft" if stand_in else "default")
    if name not in RECIPES:
        raise ValueError(f"HW1_RECIPE is {name!r}; there are {', '.join(RECIPES)}")
    return name, RECIPES[name]
