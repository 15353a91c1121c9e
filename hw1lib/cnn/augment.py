"""Random changes of photos, a batch at once: one affine map of places, one of colours.

HW1.ipynb, Q3.I. The crop is that of Szegedy et al., Going deeper with convolutions, 2014.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Augmentation:
    """How far another photo of the same product may be from this one.

    Attributes:
        area: least and greatest area that is shown, in shares of the photo's; above 1 the
            photo is shown smaller, reflected at its edges.
        aspect: greatest ratio of a crop's sides, lying or upright.
        rotation: greatest angle either way, degrees.
        light: brightness, contrast and saturation are scaled by 1 - light to 1 + light.
        tint: red, green and blue are scaled by 1 - tint to 1 + tint, each by its own.
    """

    area: tuple[float, float] = (0.15, 1.8)
    aspect: float = 4 / 3
    rotation: float = 45.0
    light: float = 0.5
    tint: float = 0.2


def resize(x: Tensor, size: int) -> Tensor:
    """The photos as they are, float32 in 0..255, (B, 3, size, size), with antialiasing."""
    if x.shape[2:] == (size, size):
        return x.float()
    return F.interpolate(x.float(), (size, size), mode="bilinear", antialias=True)


def augment(x: Tensor, size: int, how: Augmentation, part: slice = slice(None)) -> Tensor:
    """Another photo of the same product for each one; in half the cases mirrored.

    Random numbers are drawn for the whole batch, on the CPU: they are the same on every device
    and for every share of a batch.

    Args:
        x: photos, uint8, (B, 3, H, W), on any device.
        size: side of the result, pixels.
        how: limits of what is drawn at random.
        part: which of the photos to make; all, if not given.

    Returns:
        float32 in 0..255, (B, 3, size, size), or as many of them as there are in `part`.
    """
    drawn = (_affine_maps(len(x), how), *_color_maps(len(x), how))
    maps, scale, matrix, contrast = (numbers[part].to(x.device) for numbers in drawn)
    x = x[part].float()
    if not len(x):  # affine_grid refuses it
        return x.new_empty(0, 3, size, size)
    grid = F.affine_grid(maps, [len(x), 3, size, size], align_corners=False)
    x = F.grid_sample(x, grid, padding_mode="reflection", align_corners=False)
    shift = scale * (1 - contrast) * x.mean((1, 2, 3)).view(-1, 1, 1)
    return torch.baddbmm(shift, scale * matrix, x.flatten(2)).view_as(x).clamp_(0, 255)


def cutmix(x: Tensor) -> tuple[Tensor, Tensor, float]:
    """Swap the same random square between neighbours: photos 1 and 2, 3 and 4, and so on.

    Args:
        x: photos, float, (B, 3, S, S); changed in place.

    Returns:
        The photos; which photo the square of each is from, int64, (B,); the square's share of
        the area, which is the share of that photo's label.

    Source: Yun et al., CutMix: Regularization strategy to train strong classifiers with
    localizable features, 2019; here one square a batch, of at most 0.8 of the side. In a
    batch that was shuffled, a neighbour is as good as any other photo.
    """
    size = x.shape[-1]
    side = int(size * 0.8 * torch.rand(()).sqrt())
    top, left = torch.randint(0, size - side + 1, (2,)).tolist()
    order = (torch.arange(len(x), device=x.device) ^ 1).clamp_(max=len(x) - 1)
    rows, columns = slice(top, top + side), slice(left, left + side)
    x[:, :, rows, columns] = x[order, :, rows, columns]
    return x, order, (side / size) ** 2


def _affine_maps(count: int, how: Augmentation) -> Tensor:
    """Affine maps from output to input places, both in [-1, 1]; (B, 2, 3)."""
    area = _between(count, *how.area)
    aspect = _between(count, -math.log(how.aspect), math.log(how.aspect)).exp()
    greatest = max(1.0, how.area[1]) ** 0.5
    width, height = (side.sqrt().clamp(max=greatest) for side in (area * aspect, area / aspect))
    angle = _between(count, -math.radians(how.rotation), math.radians(how.rotation))
    flip = _between(count, -1, 1).sign()
    x0, y0 = (_between(count, -1, 1) * (1 - side) for side in (width, height))
    cos, sin = angle.cos(), angle.sin()
    rows = (flip * width * cos, -height * sin, x0, flip * width * sin, height * cos, y0)
    return torch.stack(rows, dim=1).view(-1, 2, 3)


def _color_maps(count: int, how: Augmentation) -> tuple[Tensor, Tensor, Tensor]:
    """Tint x brightness (B, 3, 1), contrast x saturation (B, 3, 3), contrast (B, 1, 1)."""
    brightness, contrast, saturation = (
        _between(count, 1 - how.light, 1 + how.light).view(-1, 1, 1) for _ in range(3)
    )
    tint = torch.stack([_between(count, 1 - how.tint, 1 + how.tint) for _ in range(3)], dim=1)
    grey = torch.full((3, 3), 1 / 3)  # a pixel's mean in all three channels
    matrix = contrast * torch.lerp(grey, torch.eye(3), saturation)
    return tint[:, :, None] * brightness, matrix, contrast


def _between(count: int, low: float, high: float) -> Tensor:
    """A number a photo, (B,), drawn evenly."""
    return torch.empty(count).uniform_(low, high)
