"""Grocery Store photos as one uint8 tensor per split.

Klasson, Zhang, Kjellström: A Hierarchical Grocery Store Image Dataset with Visual and Semantic
Labels, WACV 2019.
"""

import csv
import hashlib
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple
from zipfile import BadZipFile, ZipFile

import pandas as pd
import torch
from PIL import Image, features
from torch import Tensor

from hw1lib.datasets.fetch import data_folder
from hw1lib.datasets.images import read_rgb
from hw1lib.datasets.verify import DataError, advice_to_replace, snapshot
from hw1lib.files import replacing

logger = logging.getLogger(__name__)

FINE_CLASSES, COARSE_CLASSES = 81, 43
SPLITS = ("train", "val", "test")

_RESAMPLING = Image.Resampling.BILINEAR
_VERSION = 2  # of the decoding below; a cache made by another is not used


class GrocerySplit(NamedTuple):
    """Images, uint8 (N, 3, size, size); labels and fine_labels, int64 (N,), coarse and fine."""

    images: Tensor
    labels: Tensor
    fine_labels: Tensor

    def to(self, device: torch.device) -> "GrocerySplit":
        """A copy on another device, or this one if it is there."""
        return GrocerySplit(*(tensor.to(device) for tensor in self))


class Grocery(NamedTuple):
    """The three splits, the names of the coarse classes, and each fine class's coarse one."""

    train: GrocerySplit
    val: GrocerySplit
    test: GrocerySplit
    coarse_names: list[str]
    coarse_of: list[int]


def load(folder: Path, size: int) -> Grocery:
    """Read the data set, from a cache where the same photos were decoded before.

    The whole frame of each photo is scaled to size x size with antialiasing. One photo in
    twelve is not square; a change of its aspect by a third loses less than cutting edges off.

    Args:
        folder: the data set's `dataset` folder: train.txt, val.txt, test.txt, classes.csv and
            the photos they name.
        size: height and width of the images, in pixels.

    Raises:
        DataError: a list, the class table or a photo is not as it should be, and where.
    """
    with advice_to_replace(folder.parent):
        classes = _read_classes(folder / "classes.csv")
        lists = {s: _read_list(folder / f"{s}.txt", classes["coarse"]) for s in SPLITS}
        images = _images(folder, lists, size)
    splits = {
        split: GrocerySplit(
            images[split], torch.tensor(lines["coarse"]), torch.tensor(lines["fine"])
        )
        for split, lines in lists.items()
    }
    coarse = classes.drop_duplicates("coarse").sort_values("coarse")
    return Grocery(
        **splits,
        coarse_names=list(coarse["coarse_name"]),
        coarse_of=list(classes["coarse"]),
    )


def _read_classes(path: Path) -> pd.DataFrame:
    """classes.csv: a heading, then fine name and label, coarse name and label, two paths."""
    table = _read(path, ["fine_name", "fine", "coarse_name", "coarse"], skiprows=1)
    pairs = table[["coarse", "coarse_name"]].drop_duplicates()
    for labels, expected in (
        (table["fine"], FINE_CLASSES),
        (pairs["coarse"].sort_values(), COARSE_CLASSES),
    ):
        if list(labels) != list(range(expected)):
            raise DataError(
                f"{path}: expected the {labels.name} labels 0 to {expected - 1}, each with one "
                f"name; found {len(labels)}, {labels.min()} to {labels.max()}"
            )
    return table


def _read_list(path: Path, coarse_of: pd.Series) -> pd.DataFrame:
    """A split's list: lines of photo, fine label, coarse label."""
    lines = _read(path, ["photo", "fine", "coarse"])
    if lines.empty:
        raise DataError(f"{path}: expected lines of photo, fine label, coarse label; empty")
    for line in lines.itertuples():
        where = f"{path}, photo {line.Index + 1}"
        if coarse_of.get(line.fine) != line.coarse:
            raise DataError(
                f"{where}: classes.csv has no fine class {line.fine} in coarse class "
                f"{line.coarse}"
            )
        if not os.path.isfile(os.path.join(path.parent, line.photo)):  # noqa: PTH113, PTH118 - 5421 times
            raise DataError(f"{where}: there is no {line.photo[:200]} in {path.parent}")
    return lines


def _read(path: Path, columns: list[str], *, skiprows: int = 0) -> pd.DataFrame:
    """The first columns of comma-separated values; "fine" and "coarse" are labels."""
    try:
        return pd.read_csv(
            path,
            names=columns,
            usecols=range(len(columns)),
            index_col=False,
            skiprows=skiprows,
            skipinitialspace=True,
            dtype={name: int if name in ("fine", "coarse") else str for name in columns},
            keep_default_na=False,
            quoting=csv.QUOTE_NONE,
            encoding="utf-8-sig",  # editors may put a mark before the first line
        )
    except (OSError, ValueError, OverflowError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _images(folder: Path, lists: dict[str, pd.DataFrame], size: int) -> dict[str, Tensor]:
    """Decoded images by split; from the cache if it was made from the same by the same."""
    made_by = (_VERSION, size, _RESAMPLING.name, Image.__version__, features.version("jpg"))
    key = f"{made_by} {snapshot(folder)}"
    place = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:8]
    cache = data_folder() / "cache" / f"grocery-{size}px-{place}.pt"
    if (images := _read_cache(cache, key)) is not None:
        return images
    images = {split: _decode(folder, lines["photo"], size) for split, lines in lists.items()}
    try:
        with replacing(cache) as temporary:
            torch.save({"key": key, "images": images}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        logger.warning(
            "%s cannot be kept, so photos are decoded again next time: %s", cache, error
        )
    return images


def _read_cache(cache: Path, key: str) -> dict[str, Tensor] | None:
    if not cache.exists():
        return None
    try:
        with ZipFile(cache) as file:  # torch checks no checksum where it maps the file
            if damaged := file.testzip():
                raise BadZipFile(f"the checksum of {damaged} is wrong")
        kept = torch.load(cache, weights_only=True, mmap=True)
        return kept["images"] if kept["key"] == key else None
    except Exception as error:  # damaged bytes lead torch to errors of many kinds
        fault = str(error).partition("\n")[0]
        logger.warning("%s is damaged and made anew: %s", cache, fault)
    return None


def _decode(folder: Path, photos: pd.Series, size: int) -> Tensor:
    images = torch.empty(len(photos), size, size, 3, dtype=torch.uint8)

    def decode(i: int) -> None:
        photo = read_rgb(folder / photos[i]).resize((size, size), _RESAMPLING)
        pixels = torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8)
        images[i] = pixels.view(size, size, 3)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes outside the interpreter lock
        for _ in pool.map(decode, range(len(photos))):
            pass
    return images.permute(0, 3, 1, 2).contiguous()
