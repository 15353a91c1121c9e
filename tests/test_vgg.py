"""VGG16 through torchvision's own interface; small files where the real one is too large."""

import pytest
import torch
from PIL import Image
from torch import nn
from torch.testing import assert_close
from torchvision.models import VGG16_Weights

from hw1lib import vgg
from hw1lib.datasets.table import first_filters


class SmallVGG(nn.Module):
    """The first layer with the known filters, and 1000 logits."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU())
        self.head = nn.Linear(4, 1000)
        with torch.no_grad():
            for parameter, known in zip(
                self.features[0].parameters(), first_filters(), strict=True
            ):
                parameter[:3] = known

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


@pytest.fixture
def photo():
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (300, 500, 3), dtype=torch.uint8)
    return Image.fromarray(pixels.numpy())


@pytest.fixture
def weights_file(tmp_path):
    """A file of a name that no one knows, with the weights of SmallVGG in it."""
    path = tmp_path / "weights (1).pth"
    torch.save(SmallVGG().state_dict(), path)
    return path


@pytest.fixture
def small(monkeypatch):
    """torchvision's builder, for a network as small as the file."""

    def build(*, init_weights):
        assert not init_weights, "weights are drawn that the file's take the place of"
        return SmallVGG()

    monkeypatch.setattr(vgg, "vgg16", build)


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_are_those_of_the_file_in_evaluation_mode(small, weights_file, zipped):
    expected = SmallVGG().state_dict()
    torch.save(expected, weights_file, _use_new_zipfile_serialization=zipped)
    model = vgg.load_vgg16(weights_file)
    assert_close(model.state_dict(), expected, atol=0, rtol=0)
    assert not model.training


def test_the_stand_in_loads_as_the_whole_network(stand_in):
    model = vgg.load_vgg16(stand_in("vgg16"))
    assert sum(p.numel() for p in model.parameters()) == 138_357_544
    _, best = vgg.predict(model, torch.zeros(3, 224, 224))
    assert len(best) == 5


@pytest.mark.parametrize("size", [0, 100, 1000])
@pytest.mark.parametrize("zipped", [True, False])
def test_truncated_file_is_named_with_what_to_do(small, weights_file, zipped, size):
    torch.save(SmallVGG().state_dict(), weights_file, _use_new_zipfile_serialization=zipped)
    weights_file.write_bytes(weights_file.read_bytes()[:size])
    with pytest.raises(vgg.WeightsError, match=r"weights \(1\)\.pth .*\(\w.*delete the file"):
        vgg.load_vgg16(weights_file)


NO_WEIGHTS = {
    "of another network": {"something": torch.zeros(2)},
    "numbers for names": {1: torch.zeros(2)},
    "a list": [1],
    "a number": 1,
    "a whole model": nn.Linear(1, 1),
    "a web page": b"<html>",
}


@pytest.mark.parametrize("content", NO_WEIGHTS.values(), ids=NO_WEIGHTS)
def test_file_of_something_else_is_refused_without_advice_to_run_it(
    small, weights_file, content
):
    torch.save(content, weights_file)
    if isinstance(content, bytes):
        weights_file.write_bytes(content)
    with pytest.raises(vgg.WeightsError, match=r"cannot be loaded .*delete the file") as error:
        vgg.load_vgg16(weights_file)
    assert str(weights_file) in str(error.value)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize("change", [0.001, float("nan")])
def test_other_weights_are_told_by_their_first_filters(small, weights_file, change):
    state = torch.load(weights_file, weights_only=True)
    state["features.0.weight"][1, 2, 0, 0] += change
    torch.save(state, weights_file)
    with pytest.raises(vgg.WeightsError, match=r"first three filters .*delete") as error:
        vgg.load_vgg16(weights_file)
    assert str(weights_file) in str(error.value)


def test_preprocessing_is_bit_for_bit_torchvisions_own(photo):
    x, steps = vgg.preprocess(photo)
    assert torch.equal(x, VGG16_Weights.IMAGENET1K_V1.transforms()(photo))
    assert [step.shape[1:] for step in steps] == [(300, 500), (256, 426)] + [(224, 224)] * 3
    assert steps[3].low == pytest.approx(steps[2].low / 255)
    assert steps[3].high <= 1
    assert steps[4].low == pytest.approx(x.min().item())


def test_displayable_undoes_the_normalisation(photo):
    x, _ = vgg.preprocess(photo)
    shown = vgg.displayable(x)
    assert 0 <= shown.min() <= shown.max() <= 1
    assert_close((shown - torch.tensor(vgg.MEAN).view(3, 1, 1))[0] / vgg.STD[0], x[0])


def test_prediction_names_the_most_probable_classes_in_order():
    model = SmallVGG()
    with torch.no_grad():
        model.head.weight.zero_()
        model.head.bias.zero_()
        model.head.bias[254], model.head.bias[162] = 9.0, 8.0
    logits, best = vgg.predict(model, torch.rand(3, 224, 224), top=2)
    assert logits.shape == (1000,)
    assert [(p.index, p.name) for p in best] == [(254, "pug"), (162, "beagle")]
    assert [p.probability for p in best] == pytest.approx(
        logits.softmax(0)[[254, 162]].tolist()
    )


def test_responses_are_sums_of_products_plus_bias_before_the_relu():
    x = torch.randn(3, 12, 10)
    weights, maps = vgg.filters_and_responses(SmallVGG(), x, 3)
    known, bias = first_filters()
    assert_close(weights, known)
    assert maps.shape == (3, 12, 10)
    patch = x[:, 4:7, 2:5]
    assert_close(maps[1, 5, 3], (known[1] * patch).sum() + bias[1])
    assert maps.min() < 0


def test_ideal_patches_have_one_length_and_only_the_even_one_does_not_add_up_to_0():
    patches = vgg.ideal_patches()
    for name, patch in patches.items():
        assert patch.shape == (3, 3, 3)
        assert patch.norm().item() == pytest.approx(1)
        assert patch.sum().abs() < 1e-6 or name == "evenly bright"
    assert patches["bright at the right"][1].sum(0)[2] > 0
    assert patches["bright at the bottom"][1].sum(1)[2] > 0
    assert patches["bright at the lower right"][0, 2, 2] > 0 > patches["a dark spot"][0, 1, 1]
    assert patches["bright at the lower left"][0, 2, 0] > 0
    assert patches["red at the right, blue opposite"][0, 1, 2] > 0
    assert patches["red at the right, blue opposite"][2, 1, 2] < 0


def test_likeness_is_1_for_the_pattern_itself_and_the_filters_length_plays_no_part():
    edge, spot = (vgg.ideal_patches()[name] for name in ("bright at the bottom", "a dark spot"))
    found = vgg.likeness(torch.stack([7 * edge, -spot]))
    assert found.columns.tolist() == ["filter 0", "filter 1"]
    assert found.index.name == "patch"
    assert found.loc["bright at the bottom", "filter 0"] == pytest.approx(1)
    assert found.loc["a dark spot", "filter 1"] == pytest.approx(-1)
    assert found.loc["evenly bright"].abs().max() < 1e-6


def test_the_known_filters_are_like_the_patches_that_the_notebook_names():
    most = vgg.likeness(first_filters()[0]).abs().idxmax().tolist()
    assert most == [
        *("red at the right, blue opposite", "bright at the lower right", "a dark spot"),
    ]


def test_responses_of_a_difference_correlate_with_that_difference_alone():
    torch.manual_seed(0)
    x = torch.randn(3, 40, 40)
    filters = torch.zeros(4, 3, 3, 3)
    filters[0, 0, 1, 2], filters[0, 0, 1, 0] = 1, -1  # red minus blue, right minus left
    filters[0, 2, 1, 2], filters[0, 2, 1, 0] = -1, 1
    filters[1, :, 1, 2], filters[1, :, 1, 0] = 1, -1
    filters[2, :, 2, 2], filters[2, :, 0, 0] = 1, -1
    filters[3], filters[3, :, 1, 1] = 1, -8
    found = vgg.correlations(x, nn.functional.conv2d(x[None], filters, padding=1)[0])
    assert found.columns.tolist() == [f"filter {number}" for number in range(4)]
    for row in range(4):
        assert found.iloc[row, row] == pytest.approx(1, abs=1e-5)
    assert (found.to_numpy() < 0.9).sum() == 12
