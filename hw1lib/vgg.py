"""VGG16, pre-trained on ImageNet, and what its first filters see (HW1.ipynb, Q3.II).

Simonyan and Zisserman, Very deep convolutional networks for large-scale image
recognition, 2015; weights and class names from torchvision.
"""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision.models import VGG16_Weights, vgg16
from torchvision.transforms.v2 import functional as T

from hw1lib.datasets.table import first_filters

RESIZE, CROP = 256, 224  # pixels
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLASSES = VGG16_Weights.IMAGENET1K_V1.meta["categories"]


class WeightsError(ValueError):
    """A weights file that is not VGG16_Weights.IMAGENET1K_V1."""


def load_vgg16(path: Path) -> nn.Module:
    """VGG16 in evaluation mode, with the weights in a file.

    Args:
        path: of the weights, as `obtain("vgg16").path`; the file may have any name.

    Raises:
        WeightsError: the file cannot be read as VGG16's weights, or its first three
            filters are not the known ones.

    Source: HW1.ipynb, Q3.II.1.
    """
    model = vgg16(init_weights=False)
    try:
        model.load_state_dict(torch.load(path, map_location="cpu", weights_only=True))
    except Exception as error:  # damaged bytes lead torch to errors of many kinds
        why = re.split(r"\. |\n", str(error))[0]  # torch goes on with advice to run any code
        raise WeightsError(
            f"{path} cannot be loaded as VGG16's weights ({why or type(error).__name__}); "
            "delete the file and run again to fetch it anew"
        ) from error
    _check_first_filters(model, path)
    return model.eval()


def _check_first_filters(model: nn.Module, path: Path) -> None:
    """They and their biases may differ from the known ones by the rounding to 4 decimals."""
    layer = model.features[0]
    found = torch.cat([layer.weight[:3].flatten(), layer.bias[:3]])
    known = torch.cat([values.flatten() for values in first_filters()])
    difference = (found - known).abs().max().item()
    if not difference <= 5.1e-5:
        raise WeightsError(
            f"{path}: the first three filters differ from those of "
            f"VGG16_Weights.IMAGENET1K_V1 by up to {difference:.4f}; these are other weights: "
            "delete the file and run again to fetch it anew"
        )


@dataclass(frozen=True)
class Step:
    """One step of the preprocessing: what it did, and what came out."""

    name: str
    shape: tuple[int, ...]
    low: float
    high: float


def preprocess(image: Image.Image) -> tuple[Tensor, list[Step]]:
    """A photo as VGG16 wants it, and the steps that led there.

    Args:
        image: RGB, any size.

    Returns:
        x, float32, (3, 224, 224), normalised; the steps in order, each with the shape it
        produced and the range of its values.

    Source: HW1.ipynb, Q3.II.3; the same steps as VGG16_Weights.IMAGENET1K_V1.transforms().
    """
    steps = [_step("photo as loaded", T.pil_to_tensor(image))]
    image = T.resize(image, [RESIZE], interpolation=T.InterpolationMode.BILINEAR)
    steps.append(_step(f"shorter side resized to {RESIZE}", T.pil_to_tensor(image)))
    x = T.pil_to_tensor(T.center_crop(image, [CROP, CROP]))
    steps.append(_step(f"central {CROP} x {CROP} cut out", x))
    x = x.to(torch.float32) / 255  # as torchvision does here; its to_dtype multiplies by 1/255
    steps.append(_step("scaled from 0..255 to [0, 1]", x))
    x = T.normalize(x, MEAN, STD)
    steps.append(_step(f"minus {MEAN}, divided by {STD}", x))
    return x, steps


def _step(name: str, x: Tensor) -> Step:
    return Step(name, tuple(x.shape), x.min().item(), x.max().item())


def displayable(x: Tensor) -> Tensor:
    """Undo the normalisation: a preprocessed photo (3, H, W) back in [0, 1]."""
    mean, std = torch.tensor(MEAN).view(3, 1, 1), torch.tensor(STD).view(3, 1, 1)
    return (x * std + mean).clamp(0, 1)


class Prediction(NamedTuple):
    """A class of ImageNet (index 0-999), its name, and the probability given to it."""

    index: int
    name: str
    probability: float


@torch.inference_mode()
def predict(model: nn.Module, x: Tensor, *, top: int = 5) -> tuple[Tensor, list[Prediction]]:
    """Forward pass of one photo.

    Args:
        model: VGG16.
        x: preprocessed, (3, 224, 224).
        top: how many classes to name.

    Returns:
        The logits, (1000,), and the `top` most probable classes, most probable first.

    Source: HW1.ipynb, Q3.II.4 and 5.
    """
    logits = model(x.unsqueeze(0)).squeeze(0)
    best = logits.softmax(0).topk(top)
    return logits, [
        Prediction(i, CLASSES[i], p)
        for i, p in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]


@torch.inference_mode()
def filters_and_responses(model: nn.Module, x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The first filters of the first convolution, and what they answer to a photo.

    Args:
        model: VGG16.
        x: preprocessed, (3, H, W).
        count: how many filters.

    Returns:
        Filters, (count, 3, 3, 3), in [filter][channel][row][column]; responses before the
        ReLU, bias included, (count, H, W).

    Source: HW1.ipynb, Q3.II.6.
    """
    layer = model.features[0]
    return layer.weight[:count].clone(), layer(x.unsqueeze(0)).squeeze(0)[:count]


def ideal_patches() -> dict[str, Tensor]:
    """Patches (3, 3, 3) of a photo, in the network's units, each of length 1.

    An even one, edges between grey tones and between red and blue in four directions (the other
    four are their negatives), and a spot.
    """
    across = torch.tensor([-1.0, 0.0, 1.0]).expand(3, 3)
    down = across.T
    spot = torch.ones(3, 3)
    spot[1, 1] = -8.0
    grey, red_blue = torch.ones(3, 1, 1), torch.tensor([1.0, 0.0, -1.0]).view(3, 1, 1)
    edges = {
        "at the right": across,
        "at the lower right": (across + down).sign(),
        "at the bottom": down,
        "at the lower left": (down - across).sign(),
    }
    patches = {"evenly bright": grey.expand(3, 3, 3)}
    patches |= {f"bright {where}": grey * edge for where, edge in edges.items()}
    patches |= {f"red {where}, blue opposite": red_blue * e for where, e in edges.items()}
    patches["a dark spot"] = grey * spot
    return {name: patch / patch.norm() for name, patch in patches.items()}


def likeness(filters: Tensor) -> pd.DataFrame:
    """How much filters look like ideal patches: the cosine of the angle between the two.

    A filter's response to a patch of length 1, without the bias, in shares of the greatest that
    any such patch gets, which is the filter's own pattern: 1 is that pattern, -1 its negative.

    Args:
        filters: (count, 3, 3, 3).

    Returns:
        A row a patch, under its name; a column a filter, "filter 0" and so on.
    """
    patches = ideal_patches()
    unit = filters.flatten(1) / filters.flatten(1).norm(dim=1, keepdim=True)
    cosines = torch.stack([*patches.values()]).flatten(1) @ unit.T
    names = [f"filter {number}" for number in range(len(filters))]
    return pd.DataFrame(cosines.tolist(), index=pd.Index(patches, name="patch"), columns=names)


def correlations(x: Tensor, maps: Tensor) -> pd.DataFrame:
    """Correlation of responses with differences of neighbouring pixels, over all positions.

    Args:
        x: the preprocessed photo, (3, H, W).
        maps: responses to it, (count, H, W).

    Returns:
        A row a difference, under its name; a column a filter, "filter 0" and so on.
    """
    bright, colour = x.mean(0), x[0] - x[2]
    around = torch.nn.functional.avg_pool2d(bright[None], 3, stride=1)[0]
    differences = {
        "red minus blue: right minus left": colour[1:-1, 2:] - colour[1:-1, :-2],
        "brightness: right minus left": bright[1:-1, 2:] - bright[1:-1, :-2],
        "brightness: lower right minus upper left": bright[2:, 2:] - bright[:-2, :-2],
        "brightness: surroundings minus middle": around - bright[1:-1, 1:-1],
    }
    inner = maps[:, 1:-1, 1:-1].flatten(1)
    rows = [
        torch.corrcoef(torch.cat([difference.reshape(1, -1), inner]))[0, 1:].tolist()
        for difference in differences.values()
    ]
    names = [f"filter {number}" for number in range(len(maps))]
    return pd.DataFrame(rows, index=pd.Index(differences, name="difference"), columns=names)
