"""Stand-ins: made once, the same every time, and in the shape of the real thing."""

import hashlib

import pytest
import torch
from PIL import Image
from torchvision.models import vgg16

from hw1lib.datasets import grocery, mnist, standins
from hw1lib.datasets.fetch import PROJECT_ROOT
from hw1lib.datasets.table import RESOURCES, first_filters


def digests(folder):
    return {
        path.relative_to(folder): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.mark.parametrize("resource", RESOURCES.values(), ids=lambda r: r.name)
def test_data_readme_tells_where_to_get_every_file(resource):
    page = (PROJECT_ROOT / "data" / "README.md").read_text("utf-8")
    for file in resource.files:
        (row,) = [line for line in page.splitlines() if line.startswith(f"| `{file.name}` |")]
        assert file.size is None or f"{file.size:,}".replace(",", " ") in row
        assert file.checksum.partition(":")[2] in row
        assert f"<{file.urls[0]}>" in row


@pytest.mark.parametrize("name", RESOURCES.keys() - {"vgg16"})
def test_stand_in_is_the_same_every_time(name, stand_in, tmp_path):
    again = standins.make(name, tmp_path)
    assert digests(again) == digests(stand_in(name))


def test_stand_in_is_made_once(tmp_path):
    path = standins.make("photos", tmp_path)
    before = {file: file.stat().st_mtime_ns for file in path.rglob("*")}
    assert standins.make("photos", tmp_path) == path
    assert {file: file.stat().st_mtime_ns for file in path.rglob("*")} == before


@pytest.mark.parametrize("state", ["half made", "of another version"])
def test_stand_in_that_is_not_current_is_made_anew(tmp_path, state):
    path = standins.make("photos", tmp_path)
    (path / "dogs" / "beagle.jpg").unlink()
    notice = path / "STAND-IN.txt"
    if state == "half made":
        notice.unlink()
    else:
        notice.write_text(notice.read_text("utf-8").replace("version ", "version 0"), "utf-8")
    standins.make("photos", tmp_path)
    assert (path / "dogs" / "beagle.jpg").exists()


def test_interrupted_stand_in_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(Image.Image, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        standins.make("photos", tmp_path)
    assert not [*tmp_path.iterdir()]


def test_digits_can_be_learned(stand_in):
    """A linear classifier by least squares; chance would be 10 %."""
    splits = mnist.load(stand_in("mnist"))
    (X, y), (X_test, y_test) = (
        (split.images.flatten(1) / 255, split.labels) for split in splits.values()
    )
    targets = torch.nn.functional.one_hot(y).float()
    ridge = X.T @ X + 10 * torch.eye(784)
    W = torch.linalg.solve(ridge, X.T @ targets)
    assert (X_test @ W).argmax(1).eq(y_test).float().mean() > 0.6


def test_groceries_can_be_learned(stand_in):
    """Nearest neighbour among colour histograms; chance would be 2.3 %."""
    data = grocery.load(stand_in("grocery"), 32)

    def histogram(images):
        r, g, b = (images.flatten(2).long() // 32).unbind(1)
        return torch.stack([torch.bincount(row, minlength=512) for row in r * 64 + g * 8 + b])

    train, test = (histogram(split.images).float() for split in (data.train, data.test))
    nearest = torch.cdist(test, train, p=1).argmin(1)
    assert data.train.labels[nearest].eq(data.test.labels).float().mean() > 0.25


def test_some_grocery_photos_are_not_square(stand_in):
    sizes = {Image.open(path).size for path in stand_in("grocery").glob("*/**/*.jpg")}
    assert {(348, 348), (348, 464), (464, 348)} == sizes


def test_vgg16_loads_through_torchvision_with_the_true_first_filters(stand_in, monkeypatch):
    path = stand_in("vgg16")
    assert path.name == "vgg16-397923af.pth"
    monkeypatch.setattr(torch.hub, "_hub_dir", str(path.parent.parent))
    model = vgg16(weights="IMAGENET1K_V1", progress=False).eval()
    weight, bias = first_filters()
    assert torch.equal(model.features[0].weight[:3], weight)
    assert torch.equal(model.features[0].bias[:3], bias)
    with torch.inference_mode():
        logits = model(torch.randn(1, 3, 224, 224))
    assert logits.isfinite().all()
    assert 0.01 < logits.std() < 100  # Kaiming scaling keeps activations in range


def test_known_filters_have_the_layout_of_the_layer():
    weight, bias = first_filters()
    assert (weight.shape, bias.shape) == ((3, 3, 3, 3), (3,))
    assert weight[0, 0, 0].tolist() == pytest.approx([-0.5537, 0.1427, 0.529])
    assert bias.tolist() == pytest.approx([0.4034, 0.3778, 0.4644])
