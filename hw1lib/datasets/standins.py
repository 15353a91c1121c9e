"""Stand-ins: small drawn data in exactly the on-disk format of the real thing.

What cannot be had is replaced by these, and the tests run on them. Each is made once, from a
fixed seed, and read by the loader of the real data. They show that everything runs; their
figures mean nothing, which is why whatever rests on one is marked as a draft.
"""

import colorsys
import gzip
import math
import random
import shutil
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from hw1lib.files import replacing

_VERSION = 1  # of the drawings; a stand-in of another version is made anew
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


# MNIST: digits in PIL's own font, shifted, turned and scaled. --------------------------------


def _make_mnist(folder: Path) -> None:
    chance = random.Random(_SEED)
    for prefix, count in (("train", 6000), ("t10k", 1000)):
        labels = bytes(chance.randrange(10) for _ in range(count))
        images = b"".join(_digit(label, chance) for label in labels)
        header = struct.pack(">4I", 0x0803, count, 28, 28)
        _write_gz(folder / f"{prefix}-images-idx3-ubyte.gz", header + images)
        _write_gz(
            folder / f"{prefix}-labels-idx1-ubyte.gz",
            struct.pack(">2I", 0x0801, count) + labels,
        )


def _digit(digit: int, chance: random.Random) -> bytes:
    canvas = Image.new("L", (28, 28))
    font = _FONTS.setdefault(
        size := chance.randrange(21, 27), ImageFont.load_default(size=size)
    )
    ink = chance.randrange(190, 256)
    ImageDraw.Draw(canvas).text((14, 14), str(digit), ink, font, "mm", stroke_width=1)
    angle = chance.gauss(0, 0.12)
    shear = chance.gauss(0, 0.12)
    dx, dy = chance.gauss(0, 1.2), chance.gauss(0, 1.2)
    a, b = math.cos(angle), math.sin(angle) + shear
    d, e = -math.sin(angle), math.cos(angle)
    about_centre = (a, b, 14 - 14 * (a + b) + dx, d, e, 14 - 14 * (d + e) + dy)
    turned = canvas.transform(
        canvas.size, Image.Transform.AFFINE, about_centre, Image.Resampling.BILINEAR
    )
    return turned.tobytes()


_FONTS: dict[int, ImageFont.FreeTypeFont] = {}


def _write_gz(path: Path, content: bytes) -> None:
    path.write_bytes(gzip.compress(content, compresslevel=3, mtime=0))


# Grocery Store: one colour, shape and pattern per coarse class, in a tree like the real one. -

#: Aisle: coarse classes, each with its fine classes where it has others than itself.
_GROCERIES = {
    "Fruit": """
        Apple: Golden-Delicious Granny-Smith Pink-Lady Red-Delicious Royal-Gala; Avocado;
        Banana; Kiwi; Lemon; Lime; Mango;
        Melon: Cantaloupe Galia-Melon Honeydew-Melon Watermelon;
        Nectarine; Orange; Papaya; Passion-Fruit; Peach; Pear: Anjou Conference Kaiser;
        Pineapple; Plum; Pomegranate; Red-Grapefruit; Satsumas""",
    "Packages": """
        Juice: Bravo-Apple-Juice Bravo-Orange-Juice God-Morgon-Apple-Juice
            God-Morgon-Orange-Juice God-Morgon-Orange-Red-Grapefruit-Juice
            God-Morgon-Red-Grapefruit-Juice Tropicana-Apple-Juice Tropicana-Golden-Grapefruit
            Tropicana-Juice-Smooth Tropicana-Mandarin-Morning;
        Milk: Arla-Ecological-Medium-Fat-Milk Arla-Lactose-Medium-Fat-Milk Arla-Medium-Fat-Milk
            Arla-Standard-Milk Garant-Ecological-Medium-Fat-Milk
            Garant-Ecological-Standard-Milk;
        Oatghurt: Oatly-Natural-Oatghurt; Oat-Milk: Oatly-Oat-Milk;
        Sour-Cream: Arla-Ecological-Sour-Cream Arla-Sour-Cream; Sour-Milk: Arla-Sour-Milk;
        Soyghurt: Alpro-Blueberry-Soyghurt Alpro-Vanilla-Soyghurt;
        Soy-Milk: Alpro-Fresh-Soy-Milk Alpro-Shelf-Soy-Milk;
        Yoghurt: Arla-Mild-Vanilla-Yoghurt Arla-Natural-Mild-Low-Fat-Yoghurt
            Arla-Natural-Yoghurt Valio-Vanilla-Yoghurt Yoggi-Strawberry-Yoghurt
            Yoggi-Vanilla-Yoghurt""",
    "Vegetables": """
        Asparagus; Aubergine; Cabbage; Carrots; Cucumber; Garlic; Ginger; Leek;
        Mushroom: Brown-Cap-Mushroom; Onion: Yellow-Onion;
        Pepper: Green-Bell-Pepper Orange-Bell-Pepper Red-Bell-Pepper Yellow-Bell-Pepper;
        Potato: Floury-Potato Solid-Potato Sweet-Potato; Red-Beet;
        Tomato: Beef-Tomato Regular-Tomato Vine-Tomato; Zucchini""",
}
_PHOTOS_PER_CLASS = {"train": 6, "val": 2, "test": 2}
_HEADING = (
    "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int),"
    "Iconic Image Path (str),Product Description Path (str)"
)


def _make_grocery(folder: Path) -> None:
    chance = random.Random(_SEED)
    lists: dict[str, list[str]] = {split: [] for split in _PHOTOS_PER_CLASS}
    table = [_HEADING]
    fine = 0
    for coarse, (aisle, name, fine_names) in enumerate(_coarse_classes()):
        places = [f"{aisle}/{name}" + (f"/{own}" if own != name else "") for own in fine_names]
        for i, (own, place) in enumerate(zip(fine_names, places, strict=True)):
            about = f"/iconic-images-and-descriptions/{place}/{own}"
            files = f"{about}_Iconic.jpg,{about}_Description.txt"
            table.append(f"{own},{fine + i},{name},{coarse},{files}")
        for split, count in _PHOTOS_PER_CLASS.items():
            for number in range(count):
                i = number % len(fine_names)
                path = f"{split}/{places[i]}/{fine_names[i]}_{number + 1:03}.jpg"
                lists[split].append(f"{path}, {fine + i}, {coarse}")
                photo = folder / "dataset" / path
                photo.parent.mkdir(parents=True, exist_ok=True)
                _grocery_photo(coarse, i, chance).save(photo, quality=85)
        fine += len(fine_names)
    _write_lines(folder / "dataset" / "classes.csv", table, "\r\n")
    for split, lines in lists.items():
        _write_lines(folder / "dataset" / f"{split}.txt", lines, "\n")


def _coarse_classes() -> Iterator[tuple[str, str, list[str]]]:
    for aisle, text in _GROCERIES.items():
        for entry in text.split(";"):
            name, _, fine_names = entry.partition(":")
            yield aisle, name.strip(), fine_names.split() or [name.strip()]


def _write_lines(path: Path, lines: list[str], end: str) -> None:
    path.write_bytes("".join(line + end for line in lines).encode())


def _grocery_photo(coarse: int, variant: int, chance: random.Random) -> Image.Image:
    size = chance.choices([(348, 348), (348, 464), (464, 348)], [90, 8, 2])[0]
    shelf = tuple(chance.randrange(60, 120) for _ in range(3))
    photo = Image.new("RGB", size, shelf)
    draw = ImageDraw.Draw(photo)
    for y in range(chance.randrange(60), size[1], 80):
        draw.rectangle((0, y, size[0], y + 8), fill=tuple(c // 2 for c in shelf))
    hue = coarse * 0.618 % 1 + 0.01 * variant  # golden ratio: neighbours differ most
    for _ in range(chance.randrange(7, 14)):
        light = chance.uniform(0.75, 1)
        colour = _rgb(hue + chance.gauss(0, 0.008), 0.45 + 0.45 * (coarse % 2), light)
        mark = _rgb(hue + 0.5, 0.6, light * 0.6)
        radius = chance.uniform(38, 56)
        x, y = chance.uniform(0, size[0]), chance.uniform(0, size[1])
        _GOODS[coarse % len(_GOODS)](draw, x, y, radius, colour, mark)
    return photo


def _rgb(hue: float, saturation: float, value: float) -> tuple[int, ...]:
    return tuple(round(255 * c) for c in colorsys.hsv_to_rgb(hue % 1, saturation, value))


def _round(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill, mark) -> None:
    draw.ellipse((x - r, y - r, x + r, y + r), fill=fill, outline=mark, width=3)
    draw.line((x, y - r, x + r / 4, y - 1.3 * r), fill=mark, width=5)


def _long(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill, mark) -> None:
    draw.ellipse(
        (x - 1.5 * r, y - r / 2, x + 1.5 * r, y + r / 2), fill=fill, outline=mark, width=3
    )


def _carton(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill, mark) -> None:
    draw.rectangle((x - r / 1.6, y - r, x + r / 1.6, y + r), fill=fill, outline=mark, width=3)
    draw.rectangle((x - r / 2, y - r / 4, x + r / 2, y + r / 2), fill=mark)


def _wedge(draw: ImageDraw.ImageDraw, x: float, y: float, r: float, fill, mark) -> None:
    draw.polygon((x - r, y - r, x + r, y - r, x, y + 1.4 * r), fill=fill, outline=mark, width=3)
    draw.line((x - r / 2, y - r / 2, x + r / 2, y - r / 2), fill=mark, width=4)


_GOODS = (_round, _carton, _long, _wedge)


# Birds and dogs, on a grid of 100 x 100. -----------------------------------------------------

_Shape = tuple[str, tuple[float, ...], str]


def _eye(x: float, y: float, r: float, iris: str) -> list[_Shape]:
    return [
        ("ellipse", (x - r, y - r, x + r, y + r), iris),
        ("ellipse", (x - r * 0.55, y - r * 0.55, x + r * 0.55, y + r * 0.55), "black"),
        ("ellipse", (x - r * 0.35, y - r * 0.45, x - r * 0.05, y - r * 0.15), "white"),
    ]


_OWL: list[_Shape] = [
    ("rectangle", (0, 0, 100, 100), "#2b3a67"),
    ("ellipse", (70, 6, 92, 28), "#fff3c4"),
    ("rectangle", (0, 84, 100, 90), "#4e342e"),
    ("ellipse", (26, 36, 74, 90), "#7a5230"),
    ("ellipse", (35, 52, 65, 88), "#d9b48a"),
    *(
        ("arc", (x, y, x + 8, y + 6, 20, 160), "#7a5230")
        for y, row in ((56, (38, 46, 54)), (64, (38, 46, 54)), (72, (42, 50)))
        for x in row
    ),
    ("polygon", (28, 32, 26, 12, 42, 22), "#7a5230"),
    ("polygon", (72, 32, 74, 12, 58, 22), "#7a5230"),
    ("ellipse", (25, 16, 75, 56), "#8d6239"),
    ("ellipse", (28, 24, 51, 48), "#ecd9bd"),
    ("ellipse", (49, 24, 72, 48), "#ecd9bd"),
    *_eye(40, 36, 8, "#f9a825"),
    *_eye(60, 36, 8, "#f9a825"),
    ("polygon", (46, 42, 54, 42, 50, 52), "#f2a03d"),
    ("ellipse", (24, 44, 38, 82), "#5d3d22"),
    ("ellipse", (62, 44, 76, 82), "#5d3d22"),
    *(("ellipse", (x, 81, x + 5, 88), "#f2a03d") for x in (39, 44, 52, 57)),
]

_PARROT: list[_Shape] = [
    ("rectangle", (0, 0, 100, 100), "#bfe6c8"),
    ("ellipse", (-20, 60, 40, 120), "#7cc48d"),
    ("ellipse", (60, 50, 130, 120), "#5fae73"),
    ("polygon", (44, 70, 58, 70, 54, 100, 46, 100), "#1565c0"),
    ("polygon", (52, 68, 62, 66, 66, 96, 58, 98), "#c62828"),
    ("ellipse", (32, 30, 66, 84), "#d32f2f"),
    ("polygon", (54, 40, 70, 52, 68, 82, 56, 74), "#fbc02d"),
    ("polygon", (58, 54, 71, 60, 69, 86, 60, 78), "#1565c0"),
    ("ellipse", (30, 10, 64, 46), "#d32f2f"),
    ("ellipse", (32, 20, 52, 40), "#fff8f0"),
    ("pieslice", (20, 20, 44, 46, 90, 270), "#37474f"),
    ("pieslice", (24, 32, 40, 48, 80, 200), "#212121"),
    *_eye(43, 27, 3.5, "#fff176"),
    ("rectangle", (10, 82, 90, 87), "#795548"),
    *(("ellipse", (x, 79, x + 5, 87), "#455a64") for x in (42, 48)),
]


def _dog(coat: str, face: str, ears: list[_Shape], sky: str) -> list[_Shape]:
    return [
        ("rectangle", (0, 0, 100, 100), sky),
        ("rectangle", (0, 72, 100, 100), "#81b15c"),
        ("ellipse", (24, 62, 76, 125), coat),
        ("ellipse", (38, 70, 62, 120), face),
        ("ellipse", (26, 16, 74, 68), coat),
        *ears,
        ("polygon", (47, 18, 53, 18, 56, 44, 44, 44), face),
        ("ellipse", (34, 40, 66, 72), face),
        *_eye(40, 37, 4, "#5d4037"),
        *_eye(60, 37, 4, "#5d4037"),
        ("ellipse", (44, 60, 56, 76), "#f06292"),
        ("pieslice", (36, 48, 64, 68, 0, 180), face),
        ("arc", (38, 50, 50, 65, 10, 170), "#3e2723"),
        ("arc", (50, 50, 62, 65, 10, 170), "#3e2723"),
        ("ellipse", (43, 45, 57, 55), "#212121"),
        ("rectangle", (34, 78, 66, 82), "#c62828"),
        ("ellipse", (46, 80, 54, 88), "#ffd54f"),
    ]


_BEAGLE = _dog(
    "#a8693a",
    "#fffaf2",
    [("ellipse", (14, 22, 34, 68), "#6d4023"), ("ellipse", (66, 22, 86, 68), "#6d4023")],
    "#b3e0f5",
)
_SHEPHERD = _dog(
    "#8a6236",
    "#3b2c23",
    [
        ("polygon", (27, 36, 24, 2, 46, 20), "#3b2c23"),
        ("polygon", (73, 36, 76, 2, 54, 20), "#3b2c23"),
        ("polygon", (30, 28, 28, 10, 40, 20), "#c49a6c"),
        ("polygon", (70, 28, 72, 10, 60, 20), "#c49a6c"),
    ],
    "#f7d9a8",
)
_DRAWINGS = {
    "birds/owl.jpg": _OWL,
    "birds/parrot.jpg": _PARROT,
    "dogs/beagle.jpg": _BEAGLE,
    "dogs/shepherd.jpg": _SHEPHERD,
}


def _make_photos(folder: Path) -> None:
    for name, shapes in _DRAWINGS.items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        _drawing(shapes, 384).save(path, quality=92)


def _drawing(shapes: list[_Shape], size: int) -> Image.Image:
    fine = 2 * size  # drawn twice as large and scaled down: smooth edges
    canvas = Image.new("RGB", (fine, fine))
    draw = ImageDraw.Draw(canvas)
    scale = fine / 100
    for shape, numbers, fill in shapes:
        at = [scale * n for n in numbers]
        if shape == "arc":
            draw.arc(at[:4], *numbers[4:], fill=fill, width=round(scale))
        elif shape == "pieslice":
            draw.pieslice(at[:4], *numbers[4:], fill=fill)
        else:
            getattr(draw, shape)(at, fill=fill)
    return canvas.resize((size, size), Image.Resampling.BOX)


# VGG16: random weights, save for the filters that are known. ---------------------------------

_WEIGHTS = "checkpoints/vgg16-397923af.pth"


def _make_vgg16(folder: Path) -> None:
    import torch  # heavy, and the other stand-ins do without
    from torchvision.models import vgg16

    from hw1lib.datasets.vgg16 import first_filters

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
