"""Reading the Grocery Store data set, and the cache of its decoded photos."""

import shutil
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from hw1lib.datasets import grocery
from hw1lib.datasets.verify import DataError
from tests.fixtures.damaged import fuzz, spoilt, untouched

SIZE = 16
PHOTO = "train/Aisle-2/Product-02/Product-02-B_002.jpg"  # fine label 5, coarse label 2


@pytest.fixture
def folder(stand_in, tmp_path):
    """A data set of few photos: the stand-in's class table, two lines in each list."""
    whole = stand_in("grocery")
    small = tmp_path / "dataset"
    small.mkdir()
    shutil.copy(whole / "classes.csv", small)
    for split in grocery.SPLITS:
        lines = (whole / f"{split}.txt").read_text().splitlines(keepends=True)
        few = [line for line in lines if "Product-02-B" in line or "Product-42" in line][::2]
        (small / f"{split}.txt").write_text("".join(few))
        for line in few:
            path = line.split(",")[0]
            (small / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(whole / path, small / path)
    return small


@pytest.fixture
def decoded(monkeypatch):
    """Paths of the photos decoded, in any order."""
    paths = []
    read = grocery.read_rgb

    def counted(path):
        paths.append(path)
        return read(path)

    monkeypatch.setattr(grocery, "read_rgb", counted)
    return paths


def the_cache(data_folder):
    (path,) = (data_folder / "cache").iterdir()
    return path


def test_stand_in_is_read_with_labels_that_agree_with_the_names(stand_in):
    data = grocery.load(stand_in("grocery"), SIZE)
    assert (len(data.coarse_names), len(data.coarse_of)) == (43, 81)
    assert [len(split.images) for split in data[:3]] == [258, 86, 86]
    for split in data[:3]:
        assert split.images.dtype == torch.uint8
        assert split.images.shape[1:] == (3, SIZE, SIZE)
        assert split.images.is_contiguous()
        assert split.labels.dtype == split.fine_labels.dtype == torch.int64
        assert set(split.labels.tolist()) == set(range(43))
    coarse = data.coarse_names.index("Product-07")
    fine = set(data.train.fine_labels[data.train.labels == coarse].tolist())
    assert len(fine) == 2
    assert fine == {i for i, of in enumerate(data.coarse_of) if of == coarse}


def test_whole_frame_is_scaled_in_the_order_of_the_list(folder):
    image = Image.new("RGB", (464, 348), "blue")
    image.paste("red", (0, 0, 232, 348))
    image.save(folder / PHOTO, quality=95)
    lines = (folder / "train.txt").read_text().splitlines()
    images = grocery.load(folder, SIZE).train.images
    place = next(i for i, line in enumerate(lines) if line.startswith(PHOTO))
    red, _, blue = images[place].float()
    half = SIZE // 2
    assert red[:, : half - 1].min() > 200 > 50 > red[:, half + 1 :].max()
    assert blue[:, half + 1 :].min() > 200 > 50 > blue[:, : half - 1].max()


def test_pixels_are_those_pil_decodes_and_scales(folder):
    images = grocery.load(folder, SIZE).test.images
    path = (folder / "test.txt").read_text().split(",")[0]
    scaled = Image.open(folder / path).resize((SIZE, SIZE), Image.Resampling.BILINEAR)
    expected = torch.tensor(list(scaled.tobytes()), dtype=torch.uint8).view(SIZE, SIZE, 3)
    assert torch.equal(images[0], expected.permute(2, 0, 1))


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P", "I;16"])
def test_photo_of_any_format_and_colour_mode_becomes_rgb(folder, mode):
    image = Image.new("L", (40, 40), 255).convert(mode)
    if mode == "I;16":
        image = Image.new(mode, (40, 40), 65535)
    image.save(folder / PHOTO, format="TIFF" if mode == "CMYK" else "PNG")
    lines = (folder / "train.txt").read_text().splitlines()
    place = next(i for i, line in enumerate(lines) if line.startswith(PHOTO))
    assert (grocery.load(folder, SIZE).train.images[place] == 255).all()


# The cache -----------------------------------------------------------------------------------


def test_second_load_decodes_nothing_and_gives_the_same(folder, decoded):
    first = grocery.load(folder, SIZE)
    assert len(decoded) == sum(len(split.images) for split in first[:3])
    decoded.clear()
    second = grocery.load(folder, SIZE)
    assert decoded == []
    for a, b in zip(first[:3], second[:3], strict=True):
        assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True))


def test_training_can_write_to_cached_images_without_touching_the_cache(folder):
    grocery.load(folder, SIZE)
    first = grocery.load(folder, SIZE)
    before = first.train.images.clone()
    first.train.images.zero_()
    assert torch.equal(grocery.load(folder, SIZE).train.images, before)


@pytest.mark.parametrize("change", ["photo", "list", "size", "code"])
def test_cache_of_something_else_is_not_used(folder, decoded, change, monkeypatch):
    grocery.load(folder, SIZE)
    decoded.clear()
    size = SIZE
    if change == "photo":
        Image.new("RGB", (50, 50)).save(folder / PHOTO)
    elif change == "list":
        lines = (folder / "train.txt").read_text().splitlines(keepends=True)
        (folder / "train.txt").write_text("".join(reversed(lines)))
    elif change == "size":
        size = SIZE + 1
    else:
        monkeypatch.setattr(Image, "__version__", "0.0 decodes otherwise")
    grocery.load(folder, size)
    assert decoded


@pytest.mark.parametrize("damage", ["empty", "cut", "one bit", "another file"])
def test_damaged_cache_is_made_anew(folder, data_folder, decoded, damage, caplog):
    good = grocery.load(folder, SIZE)
    cache = the_cache(data_folder)
    content = bytearray(cache.read_bytes())
    pixels = bytes(good.val.images.flatten())
    if damage == "one bit":
        content[content.index(pixels) + 5] ^= 1
    elif damage == "another file":
        torch.save([1, 2], cache)
        content = cache.read_bytes()
    cache.write_bytes({"empty": b"", "cut": content[: len(content) // 2]}.get(damage, content))
    decoded.clear()
    again = grocery.load(folder, SIZE)
    assert decoded
    assert torch.equal(again.val.images, good.val.images)
    assert "is damaged and made anew" in caplog.text
    decoded.clear()
    grocery.load(folder, SIZE)
    assert not decoded


def test_cache_that_cannot_be_written_is_done_without(folder, data_folder, caplog):
    (data_folder / "cache").write_text("a file where the folder should be")
    assert len(grocery.load(folder, SIZE).train.images) > 0
    assert "decoded again next time" in caplog.text


# Faults --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (f"{PHOTO}, 5", "train.txt: cannot be read: "),
        (f"{PHOTO}, five, 1", "train.txt: cannot be read: .*five"),
        ("\n\n", "train.txt: expected lines of photo, .*; empty"),
        (f"{PHOTO}, 81, 1", "photo 1: classes.csv has no fine class 81 in coarse class 1"),
        (f"{PHOTO}, -1, 1", "photo 1: classes.csv has no fine class -1 in"),
        (f"{PHOTO}, 5, 2\n{PHOTO}, 5, 1", "photo 2: classes.csv has no fine class 5 in"),
        ("train/none.jpg, 5, 2", "photo 1: there is no train/none.jpg in "),
        ("a\0b.jpg, 5, 2", "there is no"),
    ],
)
def test_bad_line_is_an_error_with_file_and_photo(folder, line, words):
    (folder / "train.txt").write_text(line)
    with pytest.raises(DataError, match=words) as error:
        grocery.load(folder, SIZE)
    assert str(folder / "train.txt") in str(error.value)
    assert str(error.value).endswith(
        f"; move {folder.parent} elsewhere and run again to fetch it anew"
    )
    assert len(str(error.value)) < 1000


def test_crlf_and_blank_lines_are_read(folder):
    expected = grocery.load(folder, SIZE).train
    text = (folder / "train.txt").read_text()
    (folder / "train.txt").write_bytes(text.replace("\n", "\r\n").encode() + b"\r\n\r\n")
    found = grocery.load(folder, SIZE).train
    assert torch.equal(found.images, expected.images)
    assert torch.equal(found.labels, expected.labels)


def test_mark_of_utf_8_before_the_first_line_is_passed_over(folder):
    expected = grocery.load(folder, SIZE).train
    for name in ("train.txt", "classes.csv"):
        (folder / name).write_bytes(b"\xef\xbb\xbf" + (folder / name).read_bytes())
    assert torch.equal(grocery.load(folder, SIZE).train.images, expected.images)


@pytest.mark.parametrize("name", ["train.txt", "classes.csv"])
@pytest.mark.parametrize(
    "content",
    ["a".encode("utf-16"), b"", b"x" * 200_000],
    ids=["utf-16", "empty", "one long line"],
)
def test_list_or_table_that_is_no_such_text_is_named(folder, name, content):
    (folder / name).write_bytes(content)
    with pytest.raises(DataError, match=f"{name}: (cannot be read|expected)"):
        grocery.load(folder, SIZE)


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        (",5,Product-02,2", ",6,Product-02,2", "expected the fine labels 0 to 80"),
        (",5,Product-02,2", ",5,Product-02,0", "expected the coarse labels 0 to 42"),
        (",5,Product-02,2", ",5,Product-02,99", "expected the coarse labels 0 to 42"),
        (",5,Product-02,2,", "\r\n", "cannot be read"),
        (",80,", ",81,", "found 81, 0 to 81"),
    ],
)
def test_bad_class_table_is_an_error_with_what_was_expected(folder, old, new, words):
    path = folder / "classes.csv"
    path.write_bytes(path.read_bytes().replace(old.encode(), new.encode()))
    with pytest.raises(DataError, match=words) as error:
        grocery.load(folder, SIZE)
    assert str(path) in str(error.value)


def test_class_table_of_four_columns_is_enough(folder):
    path = folder / "classes.csv"
    rows = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(",".join(row.split(",")[:4]) for row in rows) + "\n", "utf-8")
    assert len(grocery.load(folder, SIZE).coarse_of) == 81


def test_class_table_without_its_last_line_is_an_error(folder):
    path = folder / "classes.csv"
    path.write_bytes(b"\r\n".join(path.read_bytes().split(b"\r\n")[:-2]))
    with pytest.raises(DataError, match=r"fine labels 0 to 80.* found 80, 0 to 79"):
        grocery.load(folder, SIZE)


@pytest.mark.parametrize("missing", ["classes.csv", "val.txt"])
def test_missing_table_or_list_is_named(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(DataError, match=f"{missing}: cannot be read"):
        grocery.load(folder, SIZE)


@pytest.mark.parametrize("fault", ["truncated", "empty", "text"])
def test_photo_that_cannot_be_decoded_is_named_and_nothing_is_cached(
    folder, data_folder, fault
):
    content = (folder / PHOTO).read_bytes()
    content = {"truncated": content[: len(content) // 2], "empty": b"", "text": b"hello"}[fault]
    (folder / PHOTO).write_bytes(content)
    with pytest.raises(DataError, match=r"Product-02-B_002.*; move "):
        grocery.load(folder, SIZE)
    assert not (data_folder / "cache").exists()


TABLE = [
    "Class Name (str),Class ID (int),Coarse Class Name (str),Coarse Class ID (int)",
    *(f"fine {i},{i},coarse {min(i, 42)},{min(i, 42)}" for i in range(81)),
]
LIST = f"{PHOTO}, 5, 5\ntrain/Fruit/Avocado/none.jpg, 80, 42\n"


@fuzz
@given(
    content=spoilt(LIST.encode())
    | st.lists(st.sampled_from([PHOTO, "5", "80", "..", ",", ", ", "\n", "\r", "\0", "é", '"']))
    .map("".join)
    .map(str.encode),
)
def test_any_bytes_as_a_list_give_photos_or_our_own_error(folder, content):
    (folder / "train.txt").write_bytes(content)
    with untouched(folder), suppress(DataError):
        assert len(grocery.load(folder, SIZE).train.images) > 0


@fuzz
@given(content=spoilt("\r\n".join(TABLE).encode()))
def test_any_bytes_as_a_class_table_give_names_or_our_own_error(folder, content):
    for split in grocery.SPLITS:
        (folder / f"{split}.txt").write_text(LIST.splitlines()[0])
    (folder / "classes.csv").write_bytes(content)
    with untouched(folder), suppress(DataError):
        data = grocery.load(folder, SIZE)
        assert (len(data.coarse_of), len(data.coarse_names)) == (81, 43)
