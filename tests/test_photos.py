"""Reading photos as a student may leave them."""

import pytest
from PIL import Image

from hw1lib.datasets import photos
from hw1lib.datasets.resources import DataError


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


def test_hidden_files_and_folders_are_passed_over(tmp_path, recwarn):
    save(tmp_path / "good.png", Image.new("RGB", (8, 8)))
    (tmp_path / ".DS_Store").write_bytes(b"\0")
    (tmp_path / "more").mkdir()
    assert len(photos.load(tmp_path)) == 1
    assert not recwarn.list


def test_huge_image_is_refused_unread(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    save(tmp_path / "huge.png", Image.new("L", (20, 20)))
    with pytest.raises(DataError, match=r"huge\.png: too large"):
        photos.load(tmp_path)


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, "the folder is empty"),
        ({"notes.txt": b"x"}, "notes.txt: not an image PIL can read"),
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
