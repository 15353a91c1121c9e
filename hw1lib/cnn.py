"""A small convolutional network for the Grocery Store photos, and how it is trained.

HW1.ipynb, Q3.I: fewer than 100 000 parameters, trained from scratch. Here torch.nn,
autograd and torch.optim do the work.
"""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from hw1lib.history import EpochRecord

#: Mean and standard deviation of the training photos' red, green and blue, in [0, 1]. Only a
#: change of units, so two digits do; the notebook shows what `channel_statistics` measures.
MEAN, STD = (0.53, 0.40, 0.26), (0.24, 0.22, 0.20)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides a training run besides the data and the seed.

    Attributes:
        size: side of the square input photos, pixels.
        widths: output channels of the convolution blocks.
        num_epochs: passes over the training photos.
        batch_size: photos a step.
        lr: highest learning rate of the one-cycle schedule.
        weight_decay: AdamW's, per step, times the learning rate.
        label_smoothing: share of the target spread evenly over the classes.
        ema_decay: of the exponential moving average of the weights, per step.
    """

    size: int = 96
    widths: tuple[int, ...] = (16, 32, 48, 64, 72)
    num_epochs: int = 40
    batch_size: int = 64
    lr: float = 6e-3
    weight_decay: float = 0.05
    label_smoothing: float = 0.1
    ema_decay: float = 0.99


class GroceryNet(nn.Module):
    """Conv 3x3 + batch norm + ReLU blocks, max-pool between, global average, linear.

    Takes photos as uint8 or float in 0..255, (B, 3, H, W); returns logits (B, classes).
    No convolution has a bias: batch norm's shift does its work.
    """

    def __init__(self, num_classes: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255)
        blocks: list[nn.Module] = []
        for index, (fan_in, fan_out) in enumerate(zip((3, *widths), widths, strict=False)):
            if index:
                blocks.append(nn.MaxPool2d(2))
            blocks += [
                nn.Conv2d(fan_in, fan_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(fan_out),
                nn.ReLU(inplace=True),
            ]
        self.features = nn.Sequential(*blocks)
        self.classifier = nn.Linear(widths[-1], num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Logits of a batch of photos."""
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        return self.classifier(self.features(x).mean((2, 3)))


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)


def channel_statistics(images: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation of each colour channel in [0, 1], shape (3,) each.

    Args:
        images: uint8, (N, 3, H, W).
    """
    pixels = images.transpose(0, 1).flatten(1).float() / 255
    return pixels.mean(1), pixels.std(1)


def augment(x: Tensor) -> Tensor:
    """Another photo of the same product: view and light changed at random, a batch at once.

    Each photo is cropped to 30-100 % of its area at an aspect ratio of 3/4 to 4/3, flipped
    left-right in half the cases and turned by up to 15 degrees, all in one resampling; then
    brightness, contrast and saturation are scaled by 0.6 to 1.4.

    Args:
        x: uint8, (B, 3, H, W).

    Returns:
        float32 in 0..255, same shape.

    Source: HW1.ipynb, Q3.I; the crop is that of Szegedy et al., Going deeper with
    convolutions, 2014.
    """
    x = x.float()
    grid = F.affine_grid(_random_views(len(x)), list(x.shape), align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    return _random_light(x)


def _random_views(count: int) -> Tensor:
    """Affine maps from output to input coordinates, both in [-1, 1]; (count, 2, 3)."""
    area = torch.empty(count).uniform_(0.3, 1.0)
    aspect = torch.empty(count).uniform_(math.log(3 / 4), math.log(4 / 3)).exp()
    width, height = (area * aspect).sqrt().clamp(max=1), (area / aspect).sqrt().clamp(max=1)
    angle = torch.empty(count).uniform_(-math.pi / 12, math.pi / 12)
    flip = torch.randint(0, 2, (count,)) * 2 - 1
    cos, sin = angle.cos(), angle.sin()
    centre_x = (torch.rand(count) * 2 - 1) * (1 - width)
    centre_y = (torch.rand(count) * 2 - 1) * (1 - height)
    rows = (
        flip * width * cos,
        -height * sin,
        centre_x,
        flip * width * sin,
        height * cos,
        centre_y,
    )
    return torch.stack(rows, dim=1).view(count, 2, 3)


def _random_light(x: Tensor) -> Tensor:
    brightness, contrast, saturation = torch.empty(3, len(x), 1, 1, 1).uniform_(0.6, 1.4)
    x = x * brightness
    mean = x.mean((1, 2, 3), keepdim=True)
    x = torch.lerp(mean, x, contrast)
    grey = x.mean(1, keepdim=True)
    return torch.lerp(grey, x, saturation).clamp_(0, 255)


class CNNLearner:
    """What `fit` trains: AdamW on a one-cycle schedule; evaluation with averaged weights.

    Attributes:
        model: the network being trained.
        averaged: exponential moving average of its weights and batch-norm statistics.
    """

    def __init__(self, model: nn.Module, recipe: Recipe, *, steps_per_epoch: int) -> None:
        """Set up optimiser and schedule for recipe.num_epochs of steps_per_epoch steps."""
        self.model = model.to(memory_format=torch.channels_last)
        average = get_ema_multi_avg_fn(recipe.ema_decay)
        self.averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self.label_smoothing = recipe.label_smoothing
        self.optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, recipe.lr, epochs=recipe.num_epochs, steps_per_epoch=steps_per_epoch
        )

    @property
    def lr(self) -> float:
        """Learning rate of the next step."""
        return self.schedule.get_last_lr()[0]

    def train_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """One step on an augmented batch.

        Args:
            x: photos, uint8, (B, 3, H, W).
            y: labels, int64, (B,).

        Returns:
            loss_sum (nats, without label smoothing), correct, count, before the step.
        """
        self.model.train()
        logits = self.model(augment(x))
        loss = F.cross_entropy(logits, y, label_smoothing=self.label_smoothing)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.averaged.update_parameters(self.model)
        return _score(logits.detach(), y)

    def eval_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """The averaged network's figures on photos as they are."""
        return _score(self.predict(x), y)

    @torch.inference_mode()
    def predict(self, x: Tensor) -> Tensor:
        """Logits of the averaged network, (B, classes)."""
        self.averaged.eval()
        return self.averaged(x)


def _score(logits: Tensor, y: Tensor) -> tuple[float, int, int]:
    loss_sum = F.cross_entropy(logits, y, reduction="sum").item()
    return loss_sum, (logits.argmax(1) == y).sum().item(), len(y)


class BestEpoch:
    """Called with each epoch's record: keeps the averaged weights of the best one.

    Best is the highest accuracy on one split, the lower loss among equals.

    Attributes:
        epoch: the best so far, from 1; 0 before the first.
    """

    def __init__(self, learner: CNNLearner, split: str) -> None:
        self.learner = learner
        self.split = split
        self.epoch = 0
        self._key = (-1.0, 0.0)
        self._state: dict[str, Tensor] = {}

    def __call__(self, record: EpochRecord) -> None:
        """Look at one epoch."""
        metrics = record.metrics[self.split]
        key = (metrics.accuracy, -metrics.loss)
        if key > self._key:
            self._key, self.epoch = key, record.epoch
            state = self.learner.averaged.state_dict()
            self._state = {name: tensor.clone() for name, tensor in state.items()}

    def restore(self) -> None:
        """Put the kept weights back, for evaluation."""
        self.learner.averaged.load_state_dict(self._state)


class Layer(NamedTuple):
    """One layer as a table shows it: name, output shape (C, H, W) or (C,), parameters."""

    name: str
    shape: tuple[int, ...]
    parameters: int


def layers(model: nn.Module, size: int) -> list[Layer]:
    """The layers of a network in the order a size x size photo passes through them."""
    found: list[Layer] = []

    def note(module: nn.Module, _: object, output: Tensor) -> None:
        name = type(module).__name__
        if isinstance(module, nn.Conv2d | nn.MaxPool2d):
            side = (
                module.kernel_size
                if isinstance(module.kernel_size, int)
                else module.kernel_size[0]
            )
            name += f" {side} x {side}"
        found.append(Layer(name, tuple(output.shape[1:]), count_parameters(module)))

    leaves = [module for module in model.modules() if not list(module.children())]
    handles = [leaf.register_forward_hook(note) for leaf in leaves]
    training = model.training
    with torch.inference_mode():
        model.eval()(torch.zeros(1, 3, size, size))
    model.train(training)
    for handle in handles:
        handle.remove()
    return found


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Counts, (N, N) int64: true classes in rows, predicted ones in columns."""
    index = labels * num_classes + predicted
    return torch.bincount(index, minlength=num_classes**2).view(num_classes, num_classes)
