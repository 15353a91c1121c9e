"""Grocery Store photos as one uint8 tensor per split.

Klasson, Zhang, Kjellström: A Hierarchical Grocery Store Image Dataset with Visual and Semantic
Labels, WACV 2019.
"""

import csv
import hashlib
import logging
import os
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import torch
from PIL import Image, features
from torch import Tensor

from hw1lib.datasets.fetch import data_folder
from hw1lib.datasets.images import read_rgb
from hw1lib.datasets.verify import DataError, snapshot
from hw1lib.files import replacing

logger = logging.getLogger(__name__)

FINE_CLASSES, COARSE_CLASSES = 81, 43
SPLITS = ("train", "val", "test")

_RESAMPLING = Image.Resampling.BILINEAR
_VERSION = 2  # of the decoding below; a cache made by another is not used

_TEXT_LIMIT = 10_000_000  # bytes; the longest list has 0.2 million


class GrocerySplit(NamedTuple):
    """Images, uint8 (N, 3, size, size); labels and fine_labels, int64 (N,), coarse and fine."""

    images: Tensor
    labels: Tensor
    fine_labels: Tensor

    def to(self, device: torch.device) -> "GrocerySplit":
        """A copy on another device, or this one if it is there."""
        return GrocerySplit(*(tensor.to(device) for tensor in self))


class Grocery(NamedTuple):
    """The three splits, the names of the classes, and each fine class's coarse one."""

    train: GrocerySplit
    val: GrocerySplit
    test: GrocerySplit
    coarse_names: list[str]
    fine_names: list[str]
    coarse_of: list[int]


class _Classes(NamedTuple):
    fine_names: list[str]
    coarse_names: list[str]
    coarse_of: list[int]  # by fine label


class _Line(NamedTuple):
    path: str
    fine: int
    coarse: int


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
    classes = _read_classes(folder / "classes.csv")
    lists = {split: _read_list(folder, f"{split}.txt", classes) for split in SPLITS}
    images = _images(folder, lists, size)
    splits = {
        split: GrocerySplit(
            images[split],
            torch.tensor([line.coarse for line in lines]),
            torch.tensor([line.fine for line in lines]),
        )
        for split, lines in lists.items()
    }
    return Grocery(**splits, **classes._asdict())


def _read_classes(path: Path) -> _Classes:
    """classes.csv: a heading, then fine name and label, coarse name and label, two paths."""
    fine_names: list[str] = []
    coarse_of: list[int] = []
    coarse_names: dict[int, str] = {}
    for number, row in enumerate(_rows(path)[1:], start=2):
        where = f"{path}, line {number}"
        if len(row) < 4:
            raise DataError(f"{where}: expected at least 4 columns, found {len(row)}")
        if row[1] != str(len(fine_names)):
            raise DataError(f"{where}: expected fine label {len(fine_names)}, found {row[1]!r}")
        coarse = _label(row[3], COARSE_CLASSES, "a coarse label", where)
        if coarse_names.setdefault(coarse, row[2]) != row[2]:
            raise DataError(
                f"{where}: coarse label {coarse} was {coarse_names[coarse]}, now it is {row[2]}"
            )
        fine_names.append(row[0])
        coarse_of.append(coarse)
    if (len(fine_names), len(coarse_names)) != (FINE_CLASSES, COARSE_CLASSES):
        raise DataError(
            f"{path}: expected {FINE_CLASSES} fine and {COARSE_CLASSES} coarse classes, "
            f"found {len(fine_names)} and {len(coarse_names)}"
        )
    return _Classes(fine_names, [coarse_names[i] for i in range(COARSE_CLASSES)], coarse_of)


def _rows(path: Path) -> list[list[str]]:
    try:
        return list(csv.reader(_text(path).splitlines()))
    except csv.Error as error:
        raise DataError(f"{path}: not a table of comma-separated values: {error}") from error


def _read_list(folder: Path, name: str, classes: _Classes) -> list[_Line]:
    """A split's list: lines of path, fine label, coarse label."""
    lines: dict[str, _Line] = {}
    for number, text in enumerate(_text(folder / name).split("\n"), start=1):
        if not text.strip():
            continue
        where = f"{folder / name}, line {number}"
        line = _parse(text, where, classes)
        if line.path in lines:
            raise DataError(f"{where}: {line.path} is listed twice")
        if not os.path.isfile(os.path.join(folder, line.path)):  # noqa: PTH113, PTH118 - 5421 times
            raise DataError(f"{where}: {line.path}: no such photo in {folder}")
        lines[line.path] = line
    if not lines:
        raise DataError(
            f"{folder / name}: expected lines of path, fine label, coarse label; empty"
        )
    return list(lines.values())


def _parse(text: str, where: str, classes: _Classes) -> _Line:
    parts = [part.strip() for part in text.split(",")]
    if len(parts) != 3:
        raise DataError(
            f"{where}: expected path, fine label, coarse label, found {text[:200]!r}"
        )
    path = parts[0]
    if not path or path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise DataError(f"{where}: expected a path inside the data set, found {path!r}")
    fine = _label(parts[1], FINE_CLASSES, "a fine label", where)
    coarse = _label(parts[2], COARSE_CLASSES, "a coarse label", where)
    if coarse != classes.coarse_of[fine]:
        raise DataError(
            f"{where}: classes.csv puts {classes.fine_names[fine]} into coarse class "
            f"{classes.coarse_of[fine]}, the line says {coarse}"
        )
    return _Line(path, fine, coarse)


def _label(text: str, classes: int, what: str, where: str) -> int:
    if not (text.isascii() and text.isdecimal() and len(text) < 4 and int(text) < classes):
        raise DataError(
            f"{where}: expected {what} from 0 to {classes - 1}, found {text[:20]!r}"
        )
    return int(text)


def _text(path: Path) -> str:
    try:
        if (size := path.stat().st_size) > _TEXT_LIMIT:
            raise DataError(
                f"{path}: expected a list of photos or classes, found {size:,} bytes"
            )
        return path.read_text("utf-8-sig")  # editors may put a mark before the first line
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{path}: cannot be read: {error}") from error


def _images(folder: Path, lists: dict[str, list[_Line]], size: int) -> dict[str, Tensor]:
    """Decoded images by split; from the cache if it was made from the same by the same."""
    key = _key(folder, lists, size)
    place = hashlib.sha256(os.fsencode(folder.absolute())).hexdigest()[:8]
    cache = data_folder() / "cache" / f"grocery-{size}px-{place}.pt"
    if (images := _read_cache(cache, key)) is not None:
        return images
    images = {split: _decode(folder, lines, size) for split, lines in lists.items()}
    try:
        with replacing(cache) as temporary:
            torch.save({"key": key, "crc": _crc(images), "images": images}, temporary)
    except (OSError, RuntimeError) as error:  # torch reports a full disk as RuntimeError
        logger.warning(
            "%s cannot be kept, so photos are decoded again next time: %s", cache, error
        )
    return images


def _key(folder: Path, lists: dict[str, list[_Line]], size: int) -> str:
    made_by = (_VERSION, size, _RESAMPLING.name, Image.__version__, features.version("jpg"))
    return hashlib.sha256(repr((made_by, snapshot(folder), lists)).encode()).hexdigest()


def _read_cache(cache: Path, key: str) -> dict[str, Tensor] | None:
    if not cache.exists():
        return None
    try:
        kept = torch.load(cache, weights_only=True, mmap=True)
        if kept["key"] != key:
            return None
        if kept["crc"] == _crc(kept["images"]):
            return kept["images"]
        fault = "its checksum is wrong"
    except Exception as error:  # damaged bytes lead torch to errors of many kinds
        fault = str(error).partition("\n")[0]
    logger.warning("%s is damaged and made anew: %s", cache, fault)
    return None


def _crc(images: dict[str, Tensor]) -> int:
    crc = 0
    for split in SPLITS:
        crc = zlib.crc32(memoryview(images[split].numpy()).cast("B"), crc)
    return crc


def _decode(folder: Path, lines: list[_Line], size: int) -> Tensor:
    images = torch.empty(len(lines), size, size, 3, dtype=torch.uint8)

    def decode(i: int) -> None:
        pixels = _photo(folder / lines[i].path, size).tobytes()
        images[i] = torch.frombuffer(bytearray(pixels), dtype=torch.uint8).view(size, size, 3)

    with ThreadPoolExecutor(os.cpu_count()) as pool:  # PIL decodes outside the interpreter lock
        for _ in pool.map(decode, range(len(lines))):
            pass
    return images.permute(0, 3, 1, 2).contiguous()


def _photo(path: Path, size: int) -> Image.Image:
    return read_rgb(path).resize((size, size), _RESAMPLING)
