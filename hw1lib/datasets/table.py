"""The table of the four resources HW1 rests on; their files are listed in files.csv."""

import csv
import json
from dataclasses import dataclass
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class File:
    """A file as it is published and as a mirror holds it.

    Attributes:
        name: in a mirror.
        size: in bytes, as published; None where the publisher packs it anew now and then.
        checksum: one that `hw1lib.datasets.verify` knows.
        urls: where it is published.
        folder: where it goes below the data folder; an archive, the folder it becomes. Empty
            for what goes to torch.hub's folder.
    """

    name: str
    size: int | None
    checksum: str
    urls: tuple[str, ...]
    folder: str = ""

    @property
    def is_archive(self) -> bool:
        """Whether the checksum is that of the folder it unpacks to."""
        return self.checksum.startswith("git-tree:")

    @property
    def is_known_by_content(self) -> bool:
        """Whether the checksum is that of what gzip packed, however it packed it."""
        return self.checksum.startswith("content-")

    @property
    def exact_size(self) -> int | None:
        """The only size it may have; None where what it unpacks to is what counts."""
        return None if self.is_known_by_content else self.size

    @property
    def patterns(self) -> tuple[str, ...]:
        """Where else it may lie in the data folder or a mirror, and under which names.

        Such are a second download's `train-images-idx3-ubyte (1).gz`, the unpacked
        `train-images.idx3-ubyte`, and the folders of torchvision and of this project.
        """
        stem = self.name.partition(".")[0].replace("-idx", "?idx")
        folders = ("", self.folder, "MNIST/raw")
        return tuple(str(PurePath(folder, f"{stem}*")) for folder in folders)


@dataclass(frozen=True)
class Resource:
    """What is asked for by its name: a title, what it is, and its files."""

    name: str
    title: str
    about: str
    files: tuple[File, ...]


def first_filters() -> "tuple[Tensor, Tensor]":
    """The first three filters of VGG16_Weights.IMAGENET1K_V1, to 4 decimals.

    Returns:
        Weights, shape (3, 3, 3, 3): filter, channel (R, G, B), row, column; and biases,
        shape (3,). Both float32.
    """
    import torch  # takes seconds to load, and all else here does without

    known = json.loads(_text("vgg16-first-filters.json"))
    return torch.tensor(known["weight"]), torch.tensor(known["bias"])


def _text(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text("utf-8")


def _files(resource: str) -> tuple[File, ...]:
    return tuple(
        File(
            row["name"],
            int(row["size"]) if row["size"] else None,
            row["checksum"],
            tuple(row["urls"].split()),
            row["folder"],
        )
        for row in csv.DictReader(_text("files.csv").splitlines())
        if row["resource"] == resource
    )


RESOURCES: dict[str, Resource] = {
    name: Resource(name, title, about, _files(name))
    for name, title, about in (
        ("mnist", "MNIST", "handwritten digits of LeCun, Cortes and Burges"),
        ("grocery", "Grocery Store", "github.com/marcusklasson/GroceryStoreDataset at fc80ba9"),
        (
            "photos",
            "Bird and dog photos",
            "github.com/google-coral, /IBM and /google, as listed in data/README.md",
        ),
        ("vgg16", "VGG16 weights", "torchvision's VGG16_Weights.IMAGENET1K_V1"),
    )
}
