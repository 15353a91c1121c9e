"""MNIST as tensors, read from its four gz files in one go each."""

import gzip
import math
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

from hw1lib.datasets.verify import DataError

_IMAGES, _LABELS = 0x0803, 0x0801  # unsigned bytes in 3 dimensions, and in 1
_SIDE = 28
_CLASSES = 10
_MOST = 100_000  # images; so that a damaged header cannot ask for the whole memory


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
    return {"train": _split(folder, "train"), "test": _split(folder, "t10k")}


def _split(folder: Path, prefix: str) -> Split:
    images = _read(folder / f"{prefix}-images-idx3-ubyte.gz", _IMAGES)
    path = folder / f"{prefix}-labels-idx1-ubyte.gz"
    labels = _read(path, _LABELS).long()
    if len(images) != len(labels):
        raise DataError(
            f"{path}: expected {len(images)} labels, one per image, found {len(labels)}"
        )
    if labels.max() >= _CLASSES:
        raise DataError(f"{path}: expected labels 0 to 9, found {int(labels.max())}")
    return Split(images, labels)


def _read(path: Path, magic: int) -> Tensor:
    rank = magic & 0xFF
    try:
        with gzip.open(path) as file:
            header = file.read(4 * (1 + rank))
            found, shape = _header(path, header, rank)
            if found != magic:
                raise DataError(
                    f"{path}: expected magic number {magic:#06x}, found {found:#06x}"
                )
            if shape[1:] != (_SIDE, _SIDE)[: rank - 1] or not 0 < shape[0] <= _MOST:
                raise DataError(
                    f"{path}: expected up to {_MOST:,} items"
                    f"{f' of {_SIDE} x {_SIDE}' if rank == 3 else ''}, "
                    f"found {' x '.join(map(str, shape))}"
                )
            count = math.prod(shape)
            body = bytearray(file.read(count + 1))  # reading past the end checks gzip's CRC
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: cannot be read: {error or 'it ends too early'}") from error
    if len(body) != count:
        raise DataError(
            f"{path}: expected {count:,} bytes after the header, found "
            f"{'more' if len(body) > count else f'{len(body):,}'}"
        )
    return torch.frombuffer(body, dtype=torch.uint8).reshape(shape)


def _header(path: Path, header: bytes, rank: int) -> tuple[int, tuple[int, ...]]:
    if len(header) < 4 * (1 + rank):
        raise DataError(
            f"{path}: expected a header of {4 * (1 + rank)} bytes, found {len(header)}"
        )
    magic, *shape = struct.unpack(f">{1 + rank}I", header)
    return magic, tuple(shape)
