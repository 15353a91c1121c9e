"""Images of every kind a camera, a phone or a program leaves."""

import io
import os
import struct
import subprocess
import sys

import pytest
from PIL import Image, ImageCms

from hw1lib.datasets.images import read_rgb
from hw1lib.datasets.verify import DataError
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


def tiff(bits, white_is_zero, content):
    """One row of grey, as a microscope or a scanner may write it."""
    width = len(content) * 8 // bits
    tags = [(256, width), (257, 1), (258, bits), (259, 1), (262, 0 if white_is_zero else 1)]
    tags += [(273, 8 + 2 + 12 * 9 + 4), (277, 1), (278, 1), (279, len(content))]
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags)
    return b"II*\0\x08\0\0\0" + struct.pack("<H", len(tags)) + entries + bytes(4) + content


def test_grey_of_12_bits_keeps_its_shades(tmp_path):
    (tmp_path / "grey.tif").write_bytes(tiff(12, False, bytes.fromhex("000fff800404")))
    rgb = read_rgb(tmp_path / "grey.tif")
    assert [rgb.getpixel((x, 0))[0] for x in range(4)] == [0, 255, 127, 64]


def test_grey_of_16_bits_where_0_is_white_is_not_a_negative(tmp_path):
    (tmp_path / "grey.tif").write_bytes(tiff(16, True, struct.pack("<3H", 0, 0xFFFF, 0x8080)))
    rgb = read_rgb(tmp_path / "grey.tif")
    assert [rgb.getpixel((x, 0))[0] for x in range(3)] == [255, 0, 127]


@pytest.mark.parametrize("white", [65535, 4095, 1000, 255, 15])
def test_pgm_of_any_depth_keeps_its_shades(tmp_path, white):
    wide = 2 if white > 255 else 1
    pixels = b"".join(value.to_bytes(wide, "big") for value in (0, white, white // 2))
    (tmp_path / "grey.pgm").write_bytes(b"P5 3 1 %d\n" % white + pixels)
    rgb = read_rgb(tmp_path / "grey.pgm")
    black, bright, middle = (rgb.getpixel((x, 0))[0] for x in range(3))
    assert (black, bright) == (0, 255)
    assert 118 <= middle <= 128


@pytest.mark.parametrize("kind", ["PNG", "GIF", "TIFF", "BMP"])
def test_palette_keeps_its_colours(tmp_path, kind):
    image = Image.new("RGB", (8, 8), (200, 30, 20))
    image.paste((20, 180, 40), (0, 0, 4, 8))
    image.quantize(4).save(tmp_path / "palette", kind)
    with Image.open(tmp_path / "palette") as kept:
        assert kept.mode == "P"
    rgb = read_rgb(tmp_path / "palette")
    for at, colour in (((0, 0), (20, 180, 40)), ((7, 0), (200, 30, 20))):
        assert rgb.getpixel(at) == pytest.approx(colour, abs=8)


def swapped():
    """The profile of a screen whose red and green are swapped: sRGB's with two tags renamed."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for one, other in ((b"rXYZ", b"gXYZ"), (b"rTRC", b"gTRC")):
        profile = profile.replace(one, b"????").replace(other, one).replace(b"????", other)
    return profile


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "P"])
def test_colours_are_those_that_the_profile_means(tmp_path, mode):
    image = Image.new("RGB", (8, 8), (255, 0, 0)).convert(mode)
    image.save(tmp_path / "photo.png", icc_profile=swapped())
    r, g, b = read_rgb(tmp_path / "photo.png").getpixel((0, 0))
    assert g > 240
    assert max(r, b) < 20


@pytest.mark.parametrize("profile", [b"no profile", swapped()[:300]])
@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_profile_that_does_not_fit_is_passed_over(tmp_path, mode, profile):
    Image.new("L", (8, 8), GREY).convert(mode).save(tmp_path / "a.tif", icc_profile=profile)
    assert read_rgb(tmp_path / "a.tif").getpixel((0, 0)) == (GREY,) * 3


def test_lab_is_read_as_a_viewer_shows_it(tmp_path):
    Image.new("LAB", (8, 8), (255, 128, 128)).save(tmp_path / "lab.tif")
    assert min(read_rgb(tmp_path / "lab.tif").getpixel((0, 0))) > 245


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n%%EndComments\n%%EOF\n"
DOS_EPS = b"\xc5\xd0\xd3\xc6" + struct.pack("<2I", 32, len(POSTSCRIPT)) + bytes(20) + POSTSCRIPT


@pytest.mark.parametrize("name", ["bird.eps", "bird.png", "bird.jpg", "bird"])
@pytest.mark.parametrize("content", [POSTSCRIPT, DOS_EPS], ids=["plain", "for DOS"])
def test_postscript_under_any_name_never_starts_ghostscript(tmp_path, content, name):
    gs = tmp_path / "bin" / "gs"
    gs.parent.mkdir()
    gs.write_text(f"#!/bin/sh\necho started >> '{tmp_path}/ran'\n")
    gs.chmod(0o755)
    birds = tmp_path / "birds"
    birds.mkdir()
    (birds / name).write_bytes(content)
    code = (
        "import sys, pathlib\n"
        "from PIL import EpsImagePlugin, Image\n"
        "from hw1lib.datasets import images, photos\n"
        "path = pathlib.Path(sys.argv[1])\n"
        "assert not images.is_image(path)\n"
        "for read in (images.read_rgb, lambda path: photos.load(path.parent)):\n"
        "    try: read(path)\n"
        "    except images.DataError as error: print(error)\n"
        "if len(sys.argv) > 2: Image.open(path).load()\n"
    )
    environment = {**os.environ, "PATH": f"{gs.parent}:{os.environ['PATH']}"}

    def run(*arguments):
        command = [sys.executable, "-c", code, birds / name, *arguments]
        return subprocess.run(command, capture_output=True, text=True, env=environment)

    done = run()
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("PostScript and PDF are none") == 2
    assert not (tmp_path / "ran").exists()
    run("as PIL opens it unasked")
    assert (tmp_path / "ran").exists(), "the trap would have shown a start"


def test_heic_is_named_with_the_way_out(tmp_path):
    (tmp_path / "IMG.HEIC").write_bytes(b"\0\0\0\x20ftypheic\0\0\0\0mif1heic")
    with pytest.raises(DataError, match=r"IMG\.HEIC: not an image .*HEIC.*save it as JPEG"):
        read_rgb(tmp_path / "IMG.HEIC")


def test_broken_link_and_folder_are_named_as_what_they_are(tmp_path):
    (tmp_path / "link.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "folder.jpg").mkdir()
    with pytest.raises(DataError, match=r"link\.jpg: no file, or a link to none"):
        read_rgb(tmp_path / "link.jpg")
    with pytest.raises(DataError, match=r"folder\.jpg: no file"):
        read_rgb(tmp_path / "folder.jpg")


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
