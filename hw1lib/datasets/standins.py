"""Stand-ins: small drawn data in exactly the on-disk format of the real thing.

What cannot be had is replaced by these, and the tests run on them. Each is made once, from a
fixed seed, and read by the loader of the real data. They show that everything runs; their
figures mean nothing, which is why whatever rests on one is marked as a draft.
"""

import gzip
import math
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hw1lib.files import replacing

_VERSION = 3  # of the drawings; a stand-in of another version is made anew
_SEED = 42
_NOTICE = "STAND-IN.txt"


def make(name: str, folder: Path) -> Path:
    """Make the stand-in of a resource, unless it is there already.

    Args:
        name: of the resource.
        folder: where stand-ins live; this one gets a folder of its own in it.

    Returns:
        The path its loader takes: a folder, for "vgg16" the weights file.

    Raises:
        OSError: the folder cannot be written.
    """
    draw, path = _MAKERS[name]
    target = folder / name
    if not _is_current(target):
        with replacing(target) as temporary:
            temporary.mkdir()
            draw(temporary)
            (temporary / _NOTICE).write_text(_notice(name), "utf-8")
            if not _is_current(target):
                shutil.rmtree(target, ignore_errors=True)
    return target / path


def _is_current(target: Path) -> bool:
    try:
        return (target / _NOTICE).read_text("utf-8") == _notice(target.name)
    except OSError:
        return False


def _notice(name: str) -> str:
    return (
        f"Made by hw1lib in place of the real {name}, which could not be had. Drawings "
        f"version {_VERSION}.\n"
        "Results made from it are a draft. Delete this folder to have it made anew.\n"
    )


# MNIST: digits in PIL's own font, shifted and turned. -----------------------------------------


def _make_mnist(folder: Path) -> None:
    chance = random.Random(_SEED)
    font = ImageFont.load_default(size=24)
    for prefix, count in (("train", 6000), ("t10k", 1000)):
        labels = bytes(chance.randrange(10) for _ in range(count))
        images = b"".join(_digit(label, font, chance) for label in labels)
        for name, header, content in (
            ("images-idx3", (0x0803, count, 28, 28), images),
            ("labels-idx1", (0x0801, count), labels),
        ):
            content = struct.pack(f">{len(header)}I", *header) + content
            packed = gzip.compress(content, compresslevel=3, mtime=0)
            (folder / f"{prefix}-{name}-ubyte.gz").write_bytes(packed)


def _digit(digit: int, font: ImageFont.FreeTypeFont, chance: random.Random) -> bytes:
    image = Image.new("L", (28, 28))
    ink = chance.randrange(190, 256)
    ImageDraw.Draw(image).text((14, 14), str(digit), ink, font, "mm", stroke_width=1)
    shift = chance.gauss(0, 1.2), chance.gauss(0, 1.2)
    return image.rotate(
        chance.gauss(0, 8), Image.Resampling.BILINEAR, translate=shift
    ).tobytes()


# Grocery Store: discs of one colour a coarse class, in a tree like the real one. --------------

_HEADING = "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),Paths"
_COARSE_CLASSES, _TWICE = 43, 38  # so many of them have two fine classes, the others one
_PHOTOS_PER_CLASS = {"train": 6, "val": 2, "test": 2}


def _make_grocery(folder: Path) -> None:
    chance = random.Random(_SEED)
    lists: dict[str, list[str]] = {split: [] for split in _PHOTOS_PER_CLASS}
    table = [_HEADING]
    for coarse in range(_COARSE_CLASSES):
        product, fine = f"Product-{coarse:02}", len(table) - 1
        names = [f"{product}-A", f"{product}-B"] if coarse < _TWICE else [product]
        for i, name in enumerate(names):
            table.append(f"{name},{fine + i},{product},{coarse},/Iconic/{name}.jpg")
        for split, count in _PHOTOS_PER_CLASS.items():
            for number in range(count):
                i = number % len(names)
                path = f"{split}/Aisle-{coarse % 3}/{product}/{names[i]}_{number + 1:03}.jpg"
                lists[split].append(f"{path}, {fine + i}, {coarse}")
                photo = folder / "dataset" / path
                photo.parent.mkdir(parents=True, exist_ok=True)
                _grocery_photo(coarse, chance).save(photo, quality=85)
    (folder / "dataset" / "classes.csv").write_bytes("\r\n".join([*table, ""]).encode())
    for split, lines in lists.items():
        (folder / "dataset" / f"{split}.txt").write_text("\n".join([*lines, ""]), "utf-8")


def _grocery_photo(coarse: int, chance: random.Random) -> Image.Image:
    size = chance.choices([(348, 348), (348, 464), (464, 348)], [90, 8, 2])[0]
    photo = Image.new("RGB", size, tuple(chance.randrange(60, 120) for _ in range(3)))
    draw = ImageDraw.Draw(photo)
    hue = 222 * coarse % 360  # the golden ratio of the circle: neighbours differ most
    for _ in range(chance.randrange(7, 14)):
        colour = f"hsv({hue}, {45 + 45 * (coarse % 2)}%, {chance.randrange(75, 101)}%)"
        x, y = (chance.uniform(0, side) for side in size)
        draw.circle((x, y), chance.uniform(38, 56), colour, "black", 3)
    return photo


# Birds and dogs: a rectangle with the name of what should be there. ---------------------------


def _make_photos(folder: Path) -> None:
    font = ImageFont.load_default(size=48)
    for kind, names in {"birds": ("owl", "parrot"), "dogs": ("beagle", "shepherd")}.items():
        (folder / kind).mkdir()
        for name in names:
            photo = Image.new("RGB", (384, 384), "tan")
            draw = ImageDraw.Draw(photo)
            draw.rectangle((32, 32, 352, 352), "white", "black", 4)
            draw.text((192, 192), f"{name}\n(stand-in)", "black", font, "mm", align="center")
            photo.save(folder / kind / f"{name}.jpg", quality=92)


# VGG16: random weights, save for the filters that are known. ---------------------------------

_WEIGHTS = "checkpoints/vgg16-397923af.pth"


def _make_vgg16(folder: Path) -> None:
    import torch  # heavy, and the other stand-ins do without
    from torchvision.models import vgg16

    from hw1lib.datasets.table import first_filters

    with torch.device("meta"):
        layout = vgg16(init_weights=False).state_dict()
    generator = torch.Generator().manual_seed(_SEED)
    weights = {name: torch.zeros(like.shape) for name, like in layout.items()}
    for tensor in weights.values():
        if tensor.dim() > 1:  # Kaiming: activations keep their scale from layer to layer
            tensor.normal_(0, math.sqrt(2 / tensor[0].numel()), generator=generator)
    weights["features.0.weight"][:3], weights["features.0.bias"][:3] = first_filters()
    (folder / _WEIGHTS).parent.mkdir()
    # The published file dates from before torch's zip format.
    torch.save(weights, folder / _WEIGHTS, _use_new_zipfile_serialization=False)


_MAKERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "mnist": (_make_mnist, "."),
    "grocery": (_make_grocery, "dataset"),
    "photos": (_make_photos, "."),
    "vgg16": (_make_vgg16, _WEIGHTS),
}
