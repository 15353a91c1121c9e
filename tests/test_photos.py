"""Reading photos as a student may leave them."""

import io
import os
import shutil
import warnings
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hw1lib.datasets import photos
from hw1lib.datasets.verify import DataError
from tests.fixtures.damaged import fuzz, spoilt, untouched


def save(path, image, **options):
    image.save(path, **options)


def test_photos_come_in_order_of_name_as_rgb(tmp_path):
    save(tmp_path / "b.png", Image.new("L", (30, 20), 128))
    save(tmp_path / "a.jpg", Image.new("CMYK", (20, 30)))
    loaded = photos.load(tmp_path)
    assert [photo.name for photo in loaded] == ["a", "b"]
    assert {photo.image.mode for photo in loaded} == {"RGB"}
    assert loaded[1].image.getpixel((0, 0)) == (128, 128, 128)


def test_photo_taken_sideways_is_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn a quarter clockwise to view
    image = Image.new("RGB", (40, 20), "black")
    image.paste("white", (0, 0, 20, 20))
    save(tmp_path / "sideways.png", image, exif=exif)
    (photo,) = photos.load(tmp_path)
    assert photo.image.size == (20, 40)
    assert photo.image.getpixel((10, 5)) == (255, 255, 255)
    assert photo.image.getpixel((10, 35)) == (0, 0, 0)


def test_transparent_becomes_white(tmp_path):
    save(tmp_path / "clear.png", Image.new("RGBA", (8, 8), (0, 0, 0, 0)))
    (photo,) = photos.load(tmp_path)
    assert photo.image.getpixel((4, 4)) == (255, 255, 255)


def test_image_is_known_by_its_content_not_its_ending(tmp_path):
    save(tmp_path / "really-a-png.jpg", Image.new("RGB", (8, 8), "red"), format="PNG")
    assert photos.load(tmp_path)[0].image.getpixel((0, 0)) == (255, 0, 0)


@pytest.mark.parametrize("fault", ["text", "empty", "truncated"])
def test_bad_file_is_left_out_with_a_warning_that_names_it(tmp_path, fault):
    save(tmp_path / "good.jpg", Image.effect_noise((64, 64), 90))
    content = (tmp_path / "good.jpg").read_bytes()
    content = {"text": b"buy seeds", "empty": b"", "truncated": content[: len(content) // 2]}[
        fault
    ]
    (tmp_path / "bad.jpg").write_bytes(content)
    with pytest.warns(UserWarning, match=r"left out .*bad\.jpg"):
        loaded = photos.load(tmp_path)
    assert [photo.name for photo in loaded] == ["good"]


def test_what_a_system_hides_in_a_folder_is_passed_over_without_a_word(tmp_path, recwarn):
    save(tmp_path / "good.png", Image.new("RGB", (8, 8)))
    for name in (".DS_Store", "._good.png", "Thumbs.db", "desktop.ini", ".owl.jpg.part"):
        (tmp_path / name).write_bytes(b"\0")
    shutil.copy(tmp_path / "good.png", tmp_path / ".owl.jpg.tmp-1")
    (tmp_path / "more").mkdir()
    assert [photo.name for photo in photos.load(tmp_path)] == ["good"]
    assert not recwarn.list


@pytest.mark.parametrize("kind", ["folder", "broken link", "pipe"])
def test_what_is_named_like_a_photo_and_is_no_file_is_left_out(tmp_path, recwarn, kind):
    save(tmp_path / "good.png", Image.new("RGB", (8, 8)))
    path = tmp_path / "x.jpg"
    {
        "folder": path.mkdir,
        "broken link": lambda: path.symlink_to("nowhere"),
        "pipe": lambda: os.mkfifo(path),
    }[kind]()
    assert [photo.name for photo in photos.load(tmp_path)] == ["good"]
    assert [str(w.message).split("/")[-1][:5] for w in recwarn] == ["x.jpg"] * (kind != "pipe")


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the folder is empty"),
        ({"notes.txt": b"x"}, "notes.txt: not an image that can be read"),
    ],
)
def test_folder_without_a_photo_is_an_error_that_says_what_is_there(tmp_path, files, words):
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=words):
        photos.load(tmp_path)


def test_missing_folder_is_an_error(tmp_path):
    with pytest.raises(DataError, match="no such folder"):
        photos.load(tmp_path / "birds")


def test_stand_in_photos_are_large_enough_for_vgg16(stand_in):
    for kind, names in (("birds", ["owl", "parrot"]), ("dogs", ["beagle", "shepherd"])):
        loaded = photos.load(stand_in("photos") / kind)
        assert [photo.name for photo in loaded] == names
        for photo in loaded:
            assert min(photo.image.size) >= 224
            assert len(photo.image.getcolors(1 << 20)) > 100


def packed(kind, mode):
    stream = io.BytesIO()
    Image.radial_gradient("L").resize((24, 24)).convert(mode).save(stream, kind)
    return stream.getvalue()


GOOD = [
    packed(kind, mode)
    for kind, modes in {
        "JPEG": ("L", "RGB", "CMYK"),
        "PNG": ("1", "P", "RGBA", "I;16"),
        "GIF": ("P",),
        "WEBP": ("RGBA",),
        "TIFF": ("RGB", "F"),
        "BMP": ("RGB",),
        "ICO": ("RGBA",),
    }.items()
    for mode in modes
]


@fuzz
@given(content=spoilt(*GOOD), ending=st.sampled_from([".jpg", ".png", ".txt", ""]))
def test_any_bytes_as_a_photo_give_rgb_or_our_own_error(tmp_path, content, ending):
    path = tmp_path / f"photo{ending}"
    path.write_bytes(content)
    with untouched(tmp_path), warnings.catch_warnings(), suppress(DataError):
        warnings.simplefilter("error", UserWarning)
        (photo,) = photos.load(tmp_path)
        assert photo.image.mode == "RGB"
        photo.image.load()
    path.unlink()
