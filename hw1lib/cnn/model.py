"""The network of HW1.ipynb, Q3.I: fewer than 100 000 parameters, from photo to classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

#: Mean and standard deviation of the training photos' red, green and blue, in [0, 1]:
#: `(images / 255).mean((0, 2, 3))`, `std` likewise. Two digits do for a change of units.
MEAN, STD = (0.53, 0.40, 0.26), (0.24, 0.22, 0.20)

#: What a layout may name. SiLU is x times its sigmoid: Hendrycks, Gimpel, Gaussian error linear
#: units, 2016. It takes a little longer, and its gradient is 0 nowhere but at one place.
ACTIVATIONS = {"ReLU": partial(nn.ReLU, inplace=True), "SiLU": nn.SiLU}


@dataclass(frozen=True)
class Layout:
    """The network's shape.

    Attributes:
        stages: channels of the blocks, stage by stage; max-pooling at the end of each but the
            last halves height and width.
        kernel_size: of the first convolution, pixels.
        stride: of the first convolution.
        expansion: 0 for plain 3x3 convolutions; otherwise the blocks of all stages but the
            first are inverted residuals, that many times wider inside, and an activation ends
            the last.
        activation: a name in ACTIVATIONS.
    """

    stages: tuple[tuple[int, ...], ...] = ((16, 32), (48, 48), (64, 64), (80,))
    kernel_size: int = 5
    stride: int = 2
    expansion: float = 2.5
    activation: str = "SiLU"


class ConvBlock(nn.Sequential):
    """Convolution, max-pool where the stage ends, batch norm, activation.

    No bias: batch norm's shift does its work. Pooling first leaves the two after it a quarter
    of the places; they take longer than the convolution where these are many.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        *,
        stride: int = 1,
        groups: int = 1,
        pool: bool = False,
        activation: str,
    ) -> None:
        super().__init__(
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding=kernel_size // 2,
                groups=groups,
                bias=False,
            ),
            *[nn.MaxPool2d(2)] * pool,
            nn.BatchNorm2d(out_channels),
            ACTIVATIONS[activation](),
        )


class InvertedResidual(nn.Module):
    """1x1 to more channels, 3x3 channel by channel, 1x1 back; added to the input if that fits.

    Source: Sandler et al., MobileNetV2: Inverted residuals and linear bottlenecks, 2018.
    """

    def __init__(
        self, in_channels: int, out_channels: int, expansion: float, activation: str
    ) -> None:
        super().__init__()
        hidden = round(in_channels * expansion)
        self.block = nn.Sequential(
            ConvBlock(in_channels, hidden, 1, activation=activation),
            ConvBlock(hidden, hidden, 3, groups=hidden, activation=activation),
            nn.Conv2d(hidden, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
        )
        self.residual = in_channels == out_channels

    def forward(self, x: Tensor) -> Tensor:
        """Same height and width."""
        return x + self.block(x) if self.residual else self.block(x)


class GroceryNet(nn.Module):
    """Convolution blocks, the mean over all positions, and one linear layer.

    Its classes are the fine ones; a coarse class has the probabilities of its fine ones, added
    up. Takes photos as uint8 or float in 0..255, (B, 3, H, W). They may have any height and
    width that leaves each pooling a pixel: 15 or more with the default layout. Smaller ones
    make torch raise a RuntimeError.

    Attributes:
        coarse_of: coarse class of each fine one, int64.
        inside: the same as a matrix, 1 where the fine class (row) is of the coarse one (column)
            and 0 elsewhere, float32.
    """

    def __init__(self, layout: Layout, coarse_of: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(MEAN).view(3, 1, 1) * 255)
        self.register_buffer("std", torch.tensor(STD).view(3, 1, 1) * 255)
        self.coarse_of = torch.tensor(coarse_of)  # no buffer: buffers are averaged
        inside = F.one_hot(self.coarse_of).float()  # averages of 0 and of 1 stay what they are
        self.register_buffer("inside", inside, persistent=False)
        self.features, channels = _features(layout)
        self.classifier = nn.Linear(channels, len(coarse_of))

    def embed(self, x: Tensor) -> Tensor:
        """The last feature maps, float32, (B, C, H', W').

        Raises:
            RuntimeError: the photos are too small for the layout's stride and poolings.
        """
        x = ((x - self.mean) / self.std).contiguous(memory_format=torch.channels_last)
        with torch.autocast(x.device.type, torch.bfloat16, enabled=bfloat16_is_fast(x.device)):
            return self.features(x).float()

    def forward(self, x: Tensor) -> Tensor:
        """Logits of the fine classes, (B, fine).

        Raises:
            RuntimeError: the photos are too small for the layout's stride and poolings.
        """
        return self.classifier(self.embed(x).mean((2, 3)))

    def coarse(self, logits: Tensor) -> Tensor:
        """Log-probabilities of the coarse classes from `forward`'s logits, (B, coarse)."""
        fine = logits.log_softmax(1)[:, :, None]  # (B, fine, 1)
        return fine.masked_fill(self.inside == 0, -torch.inf).logsumexp(1)


def _features(layout: Layout) -> tuple[nn.Sequential, int]:
    """The convolutional part and the channels it ends with."""
    blocks: list[nn.Module] = []
    channels, kernel_size, stride = 3, layout.kernel_size, layout.stride
    activation = layout.activation
    for number, stage in enumerate(layout.stages, start=1):
        for index, out_channels in enumerate(stage, start=1):
            pool = index == len(stage) and number < len(layout.stages)
            if layout.expansion and number > 1:
                sizes = channels, out_channels, layout.expansion
                blocks.append(InvertedResidual(*sizes, activation))
                blocks += [nn.MaxPool2d(2)] * pool
            else:
                sizes = channels, out_channels, kernel_size
                options = {"stride": stride, "pool": pool, "activation": activation}
                blocks.append(ConvBlock(*sizes, **options))
            channels, kernel_size, stride = out_channels, 3, 1
    if layout.expansion:
        blocks.append(ACTIVATIONS[activation]())
    return nn.Sequential(*blocks), channels


def bfloat16_is_fast(device: torch.device) -> bool:
    """Whether convolutions gain from 16-bit floats: by hardware, not by emulation."""
    if device.type == "cpu":
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name) for name in ("avx512_bf16", "amx_bf16"))
    return device.type == "cuda" and torch.cuda.is_bf16_supported(including_emulation=False)


def count_parameters(model: nn.Module) -> int:
    """Number of trainable values."""
    return sum(p.numel() for p in model.parameters() if p.requires_grad)
