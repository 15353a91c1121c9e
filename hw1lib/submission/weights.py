"""The weights file that is handed in (HW1.ipynb, Q2.II.a)."""

from pathlib import Path

import torch
from torch import Tensor

from hw1lib.datasets.download import replacing

NAMES = ("W1", "b1", "W2", "b2")


class WeightsFileError(ValueError):
    """A weights file that does not hold what was asked for."""


def save_weights(weights: dict[str, Tensor], path: Path) -> Path:
    """Write W1, b1, W2, b2 as a plain dict of CPU tensors; `torch.load` alone reads it back.

    The file is written under a temporary name, read back, and only then renamed: a file
    under the final name is always whole.

    Args:
        weights: by name; shapes (D, H), (H,), (H, C), (C,).
        path: of the file; its folder is made.

    Returns:
        path.

    Raises:
        WeightsFileError: another set of names, shapes that do not fit, non-finite values.

    Source: HW1.ipynb, Q2.II.a.
    """
    plain = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    _check(plain, path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as temporary:
        torch.save(plain, temporary)
        load_weights(temporary)
    return path


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a weights file without running any code that it may hold.

    Returns:
        W1 (D, H), b1 (H,), W2 (H, C), b2 (C,), on the CPU.

    Raises:
        WeightsFileError: no such file, no weights file, or not these weights.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsFileError(f"{path}: there is no such file") from None
    except Exception as e:  # whatever a broken byte leads the unpickler to
        reason = (str(e).splitlines() or [type(e).__name__])[0]
        raise WeightsFileError(
            f"{path} is no file that torch.save wrote of plain tensors ({reason}); "
            "run the notebook again to write it anew"
        ) from e
    _check(weights, path)
    return weights


def _check(weights: object, path: Path) -> None:
    if not isinstance(weights, dict) or set(weights) != set(NAMES):
        found = (
            sorted(map(str, weights)) if isinstance(weights, dict) else type(weights).__name__
        )
        raise WeightsFileError(f"{path}: expected a dict of {', '.join(NAMES)}, found {found}")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or not tensor.is_floating_point():
            raise WeightsFileError(f"{path}: {name} is no tensor of floating-point numbers")
        if not tensor.isfinite().all():
            raise WeightsFileError(f"{path}: {name} holds values that are not finite")
    shapes = {name: tuple(weights[name].shape) for name in NAMES}
    W1, b1, W2, b2 = shapes.values()
    if not (len(W1) == len(W2) == 2 and W1[1:] == b1 == W2[:1] and W2[1:] == b2):
        raise WeightsFileError(f"{path}: these shapes do not make a network: {shapes}")
