"""Images of every kind a camera, a phone or a program leaves."""

import io
import struct
import subprocess
import sys

import pytest
from PIL import Image

from hw1lib.datasets.images import read_rgb
from hw1lib.datasets.resources import DataError
from tests.fixtures.pngs import png

SIDE = 20_000
GREY = 128


def test_grey_of_16_bits_keeps_its_shades(tmp_path):
    for mode, kind in (("I;16", "PNG"), ("I;16", "TIFF"), ("I;16B", "TIFF")):
        image = Image.new(mode, (4, 1))
        for x, value in enumerate((0, 257, GREY * 257, 65535)):
            image.putpixel((x, 0), value)
        image.save(tmp_path / "grey", kind)
        rgb = read_rgb(tmp_path / "grey")
        assert [rgb.getpixel((x, 0)) for x in range(4)] == [(v,) * 3 for v in (0, 1, GREY, 255)]


def test_colours_of_16_bits_keep_their_shades(tmp_path):
    row = b"\0" + struct.pack(">3H", 65535, GREY * 257, 0)
    (tmp_path / "deep.png").write_bytes(png(1, 1, 16, 2, row))
    assert read_rgb(tmp_path / "deep.png").getpixel((0, 0)) == (255, GREY, 0)


@pytest.mark.parametrize("mode", ["I", "F"])
def test_shades_of_unknown_range_are_refused_with_advice(tmp_path, mode):
    Image.new(mode, (4, 4)).save(tmp_path / "deep.tif")
    with pytest.raises(DataError, match=r"deep\.tif.*save it as JPEG or PNG"):
        read_rgb(tmp_path / "deep.tif")


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_is_white_and_half_transparent_half_as_dark(tmp_path, mode):
    image = Image.new("LA", (2, 1))
    image.putpixel((1, 0), (0, GREY))
    if mode == "P":
        image = image.convert("RGBA").quantize(4)
    image.convert(mode).save(tmp_path / "clear.png")
    rgb = read_rgb(tmp_path / "clear.png")
    assert rgb.getpixel((0, 0)) == (255, 255, 255)
    assert rgb.getpixel((1, 0)) == (127, 127, 127)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photo_of_any_orientation_is_turned_upright(tmp_path, orientation, kind):
    """The corner that the viewer is to see at the upper left is white."""
    corner = [(0, 0), (1, 0), (1, 1), (0, 1), (0, 0), (0, 1), (1, 1), (1, 0)][orientation - 1]
    image = Image.new("L", (64, 32))
    x, y = corner[0] * 32, corner[1] * 16
    image.paste(255, (x, y, x + 32, y + 16))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / "photo", kind, exif=exif)
    rgb = read_rgb(tmp_path / "photo")
    assert rgb.size == ((64, 32) if orientation < 5 else (32, 64))
    bright = [
        (x, y)
        for x in (0, 1)
        for y in (0, 1)
        if rgb.getpixel(
            (rgb.width // 4 + x * rgb.width // 2, rgb.height // 4 + y * rgb.height // 2)
        )[0]
        > 200
    ]
    assert bright == [(0, 0)]


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_odd_notes_of_a_camera_do_not_make_a_photo_unreadable(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("L", (8, 4)).save(tmp_path / "photo.jpg", exif=exif)
    content = (tmp_path / "photo.jpg").read_bytes()
    for notes in (b"Exif\0\0MM", b"Exif\0\0MM\0*\xff\xff", b"Exif\0\0??"):
        at = content.index(b"Exif")
        (tmp_path / "odd.jpg").write_bytes(content[:at] + notes + content[at + len(notes) :])
        assert read_rgb(tmp_path / "odd.jpg").mode == "RGB"


def test_images_of_20_000_x_20_000_are_refused_in_little_memory(tmp_path):
    stream = io.BytesIO()
    Image.new("L", (8, 8)).save(stream, "JPEG")
    at = stream.getvalue().index(b"\xff\xc0") + 5
    jpeg = bytearray(stream.getvalue())
    jpeg[at : at + 4] = struct.pack(">2H", SIDE, SIDE)
    (tmp_path / "huge.jpg").write_bytes(jpeg)
    rows = (b"\0" + bytes(SIDE // 8)) * SIDE  # a true one, of 1 bit a pixel
    (tmp_path / "huge.png").write_bytes(png(SIDE, SIDE, 1, 0, rows))
    code = (
        "import pathlib, resource, sys\n"
        "from hw1lib.datasets.images import DataError, Image, read_rgb\n"
        "Image.init()\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try: read_rgb(pathlib.Path(path))\n"
        "    except DataError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    files = [tmp_path / "huge.jpg", tmp_path / "huge.png"]
    done = subprocess.run([sys.executable, "-c", code, *files], capture_output=True, text=True)
    *errors, grown = done.stdout.splitlines()
    for error, path in zip(errors, files, strict=True):
        assert error.startswith(f"{path}: too large; scale it down: Image size (400000000")
    assert int(grown) * (1 if sys.platform == "darwin" else 1024) < 50_000_000
