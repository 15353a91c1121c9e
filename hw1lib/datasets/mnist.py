"""MNIST as tensors, read from its four gz files in one go each."""

import gzip
import math
import struct
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hw1lib.datasets.verify import GZIP_ERRORS, UNPACKED_LIMIT, DataError, advice_to_replace


class Split(NamedTuple):
    """Images, uint8 (N, 28, 28), 0 is background; labels, int64 (N,), 0 to 9."""

    images: Tensor
    labels: Tensor


def load(folder: Path) -> dict[str, Split]:
    """Read both splits.

    Args:
        folder: holds the four files under the names of the MNIST site.

    Returns:
        "train" and "test", each a Split.

    Raises:
        DataError: a file is missing, damaged or not what its name says.

    Source: the IDX format as LeCun, Cortes and Burges describe it with the data.
    """
    return {"train": _split(folder, "train"), "test": load_test(folder)}


def load_test(folder: Path) -> Split:
    """Read the test split alone, in a sixth of the time.

    Args:
        folder: holds the two files under the names of the MNIST site.

    Raises:
        DataError: a file is missing, damaged or not what its name says.
    """
    return _split(folder, "t10k")


def _split(folder: Path, prefix: str) -> Split:
    path = folder / f"{prefix}-labels-idx1-ubyte.gz"
    with advice_to_replace(folder):
        images = _read(folder / f"{prefix}-images-idx3-ubyte.gz", 0x0803, 28, 28)
        labels = _read(path, 0x0801).long()
        if len(images) != len(labels) or labels.max() > 9:
            raise DataError(
                f"{path}: expected {len(images)} labels, one per image, from 0 to 9; found "
                f"{len(labels)}, up to {labels.max()}"
            )
    return Split(images, labels)


def _read(path: Path, magic: int, *shape: int) -> Tensor:
    """The bytes of a file that holds a magic number, a count, a shape, and so many of these."""
    try:
        with gzip.open(path) as file:
            content = bytearray(file.read(UNPACKED_LIMIT))
    except (OSError, *GZIP_ERRORS) as error:
        raise DataError(f"{path}: cannot be read: {error or 'it ends too early'}") from error
    start, size = 4 * (2 + len(shape)), math.prod(shape)
    count = (len(content) - start) // size
    header = struct.pack(f">{start // 4}I", magic, max(0, count), *shape)
    if count < 1 or content[:start] != header or len(content) != start + count * size:
        raise DataError(
            f"{path}: expected a header of {start} bytes that fits the {len(content):,} bytes "
            f"of the file, {header.hex(' ', 4)}; found {content[:start].hex(' ', 4)}"
        )
    return torch.frombuffer(content, dtype=torch.uint8, offset=start).view(count, *shape)
