"""What is known of VGG16's ImageNet weights before they are loaded: the first three filters."""

import json
from importlib import resources

import torch
from torch import Tensor


def first_filters() -> tuple[Tensor, Tensor]:
    """The first three filters of torchvision's VGG16_Weights.IMAGENET1K_V1, to 4 decimals.

    Returns:
        Weights, shape (3, 3, 3, 3): filter, channel (R, G, B), row, column; and biases,
        shape (3,). Both float32.
    """
    text = resources.files(__package__).joinpath("vgg16-first-filters.json").read_text("utf-8")
    known = json.loads(text)
    return torch.tensor(known["weight"]), torch.tensor(known["bias"])
