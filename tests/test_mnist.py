"""Reading MNIST's IDX files."""

import gzip
import shutil
import struct
from contextlib import suppress

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hw1lib.datasets import mnist
from hw1lib.datasets.mnist import Split
from hw1lib.datasets.verify import DataError
from tests.fixtures.damaged import fuzz, spoilt, untouched

TRAIN_IMAGES, TRAIN_LABELS = "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"
PIXELS = bytes(i % 251 for i in range(2 * 28 * 28))
GOOD_IMAGES = struct.pack(">4I", 0x0803, 2, 28, 28) + PIXELS
GOOD_LABELS = struct.pack(">2I", 0x0801, 2) + bytes([9, 0])


@pytest.fixture
def folder(tmp_path):
    """Two images and labels in each split."""
    for prefix in ("train", "t10k"):
        write(tmp_path / f"{prefix}-images-idx3-ubyte.gz", GOOD_IMAGES)
        write(tmp_path / f"{prefix}-labels-idx1-ubyte.gz", GOOD_LABELS)
    return tmp_path


def write(path, content):
    path.write_bytes(gzip.compress(content, 1))


def test_every_byte_becomes_the_pixel_at_its_place(folder):
    train = mnist.load(folder)["train"]
    assert train.images.dtype == torch.uint8
    assert train.images.shape == (2, 28, 28)
    assert train.images.flatten().tolist() == list(PIXELS)
    assert train.labels.dtype == torch.int64
    assert train.labels.tolist() == [9, 0]


def test_stand_in_is_read_whole_with_every_digit(stand_in):
    splits = mnist.load(stand_in("mnist"))
    assert {name: len(split.images) for name, split in splits.items()} == {
        "train": 6000,
        "test": 1000,
    }
    for split in splits.values():
        assert isinstance(split, Split)
        assert len(split.labels.unique()) == 10
        assert split.images.max() > 180
        assert split.images.float().mean() < 80  # bright strokes on a dark ground, as in MNIST


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (TRAIN_LABELS, GOOD_IMAGES, "1,584 bytes of the file, 00000801 .* found 00000803"),
        (TRAIN_IMAGES, GOOD_IMAGES[:-1], "1,583 bytes of the file, 00000803 00000001 "),
        (TRAIN_IMAGES, GOOD_IMAGES + b"!", "1,585 bytes"),
        (TRAIN_IMAGES, GOOD_IMAGES[:9], "a header of 16 bytes that fits the 9 bytes"),
        (TRAIN_IMAGES, b"", "a header of 16 bytes that fits the 0 bytes"),
        (
            TRAIN_IMAGES,
            struct.pack(">4I", 0x0803, 2, 56, 14) + PIXELS,
            "0000001c 0000001c; found .* 00000038 0000000e",
        ),
        (
            TRAIN_IMAGES,
            struct.pack(">4I", 0x0803, 2**32 - 1, 28, 28) + PIXELS,
            "00000803 00000002 .* found 00000803 ffffffff",
        ),
        (TRAIN_LABELS, struct.pack(">2I", 0x0801, 0), "00000801 00000000"),
        (
            TRAIN_LABELS,
            struct.pack(">2I", 0x0801, 3) + bytes(3),
            "expected 2 labels, one per image, from 0 to 9; found 3",
        ),
        (TRAIN_LABELS, struct.pack(">2I", 0x0801, 2) + bytes([1, 10]), "found 2, up to 10"),
    ],
)
def test_bad_file_is_named_with_what_was_expected_and_found(folder, name, content, words):
    write(folder / name, content)
    with pytest.raises(DataError, match=words) as error:
        mnist.load(folder)
    assert str(folder / name) in str(error.value)
    assert str(error.value).endswith(
        f"; move {folder} elsewhere and run again to fetch it anew"
    )


@pytest.mark.parametrize("damage", ["cut", "flip", "not gzip", "missing"])
def test_damaged_gzip_is_named(folder, damage):
    path = folder / TRAIN_IMAGES
    content = bytearray(path.read_bytes())
    if damage == "flip":
        content[-6] ^= 1  # in the checksum gzip keeps of the content
    path.unlink()
    if damage != "missing":
        path.write_bytes({"cut": content[:-20], "not gzip": b"<html>"}.get(damage, content))
    with pytest.raises(DataError, match=rf"{TRAIN_IMAGES}: cannot be read: .+; move "):
        mnist.load(folder)


def test_no_cut_and_no_flipped_bit_passes_for_the_labels(folder):
    path = folder / TRAIN_LABELS
    good = path.read_bytes()
    flips = [
        good[:i] + bytes([good[i] ^ 1 << bit]) + good[i + 1 :]
        for i in range(len(good))
        for bit in range(8)
    ]
    refused = 0
    for content in [good[:n] for n in range(len(good))] + flips:
        path.write_bytes(content)
        with suppress(DataError):
            assert mnist.load(folder)["train"].labels.tolist() == [9, 0]
            continue
        refused += 1
    assert refused >= len(good) + 8 * (len(good) - 10)  # gzip's header has bits of no weight


@fuzz
@given(
    content=spoilt(gzip.compress(GOOD_IMAGES, 1), gzip.compress(GOOD_LABELS, 1))
    | spoilt(GOOD_IMAGES, GOOD_LABELS).map(lambda raw: gzip.compress(raw, 1)),
    name=st.sampled_from([TRAIN_IMAGES, TRAIN_LABELS]),
)
def test_any_bytes_give_a_split_or_our_own_error(folder, content, name):
    good = (folder / name).read_bytes()
    (folder / name).write_bytes(content)
    try:
        with untouched(folder), suppress(DataError):
            split = mnist.load(folder)["train"]
            assert split.images.shape == (len(split.labels), 28, 28)
            assert 0 <= split.labels.min() <= split.labels.max() <= 9
    finally:
        (folder / name).write_bytes(good)


def test_stand_in_is_readable_by_torchvision(stand_in, tmp_path):
    from torchvision.datasets import MNIST

    raw = tmp_path / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in stand_in("mnist").glob("*.gz"):
        with gzip.open(path) as packed, (raw / path.stem).open("wb") as plain:
            shutil.copyfileobj(packed, plain)
    theirs = MNIST(str(tmp_path), train=False)
    ours = mnist.load(stand_in("mnist"))["test"]
    assert torch.equal(theirs.data, ours.images)
    assert torch.equal(theirs.targets, ours.labels)
