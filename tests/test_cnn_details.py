"""What the CNN's parts promise in detail; tests/test_cnn.py tells the whole story."""

import math
from copy import deepcopy
from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from hw1lib.cnn import analysis, augment, model
from hw1lib.cnn.learner import BestEpoch, CNNLearner
from hw1lib.cnn.optimizer import optimizers
from hw1lib.history import EpochRecord, Metrics
from hw1lib.training import set_seed
from tests.test_cnn import COARSE_OF, LAYOUT, TINY, split

STILL = augment.Augmentation(area=(1.0, 1.0), aspect=1.0, rotation=0, light=0, tint=0)

# Augmentation. -------------------------------------------------------------------------------


def maps_of(how, count=400):
    """The affine map of each augmented photo, from places in it to places in the photo shown.

    Both from -1 to 1, (count, 2, 3): read from photos whose red and green are the places.
    """
    set_seed(0)
    ramp = 4 * torch.arange(64, dtype=torch.uint8).expand(64, 64)
    photo = torch.stack([ramp, ramp.T, torch.zeros_like(ramp)])
    out = augment.augment(photo.expand(count, -1, -1, -1), 9, how)
    near = (out[:, :2, 3:6, 3:6] / 4 + 0.5) / 32 - 1  # around the middle: never at an edge
    step = 2 * 2 / 9
    across = (near[:, :, 1, 2] - near[:, :, 1, 0]) / step
    down = (near[:, :, 2, 1] - near[:, :, 0, 1]) / step
    return torch.stack([across, down, near[:, :, 1, 1]], dim=2)


def sides(how):
    """Width and height of what each photo shows, in shares of the whole; and its middle."""
    maps = maps_of(how)
    return maps[:, 0, 0].abs(), maps[:, 1, 1], maps[:, :, 2]


def colors_of(how, count=300):
    """What an augmentation does to colours: brightness and contrast, (count, 3), saturation.

    Read from photos of four rows, grey, reddish, greenish and bluish.
    """
    set_seed(0)
    rows = torch.tensor([[100, 100, 100], [120, 100, 100], [100, 120, 100], [100, 100, 120]])
    photo = rows.T.to(torch.uint8)[:, :, None].expand(3, 4, 4)
    out = augment.augment(photo.expand(count, -1, -1, -1), 4, how)[:, :, :, 0]
    matrix = (out[:, :, 1:] - out[:, :, :1]) / 20  # (count, 3, 3)
    scaled = matrix.sum(2)  # brightness times contrast
    brightness = scaled + (out[:, :, 0] - 100 * scaled) / photo.float().mean()
    saturation = (matrix[:, 0, 0] - matrix[:, 0, 1]) / scaled[:, 0]
    return brightness, scaled / brightness, saturation


def test_half_of_the_photos_are_mirrored():
    across = maps_of(STILL, 1000)[:, 0, 0]
    assert 440 < (across < 0).sum() < 560
    assert_close(across.abs(), torch.ones(1000), atol=1e-4, rtol=0)


def test_crops_keep_to_the_limits_of_area_and_aspect_and_come_near_them():
    width, height, _ = sides(replace(STILL, area=(0.25, 1.5), aspect=1.2))
    area, aspect = width * height, width / height
    assert 0.25 - 1e-4 <= area.min() < 0.3
    assert 1.4 < area.max() <= 1.5 + 1e-4
    assert 1 / 1.2 - 1e-4 <= aspect.min() < 0.86
    assert 1.17 < aspect.max() <= 1.2 + 1e-4


@pytest.mark.parametrize(("area", "greatest"), [((0.5, 1.0), 1.0), ((1.0, 1.44), 1.2)])
def test_no_side_is_longer_than_that_of_the_largest_square(area, greatest):
    width, height, _ = sides(replace(STILL, area=area, aspect=2.0))
    assert max(width.max(), height.max()) == pytest.approx(greatest, abs=1e-4)


def test_a_part_of_a_photo_may_lie_anywhere_in_it_and_never_beyond():
    width, height, places = sides(replace(STILL, area=(0.25, 0.25)))
    for side, place in zip((width, height), places.T, strict=True):
        assert_close(side, torch.full((400,), 0.5), atol=1e-4, rtol=0)
        assert -0.5 - 1e-4 <= place.min() < -0.45
        assert 0.45 < place.max() <= 0.5 + 1e-4


def test_photos_are_turned_as_rigid_bodies_both_ways():
    maps = maps_of(replace(STILL, rotation=90.0))[:, :, :2]
    assert_close(maps @ maps.mT, torch.eye(2).expand(400, 2, 2), atol=1e-3, rtol=0)
    angle = torch.rad2deg(torch.asin(maps[:, 0, 1].clamp(-1, 1)))
    assert angle.min() < -85
    assert angle.max() > 85


def test_light_changes_brightness_contrast_and_saturation_each_by_its_own():
    brightness, contrast, saturation = colors_of(replace(STILL, light=0.4))
    for factor in (brightness, contrast):  # no tint, and grey stays grey
        assert_close(factor, factor[:, :1].expand(300, 3), atol=1e-3, rtol=0)
    drawn = torch.stack([brightness[:, 0], contrast[:, 0], saturation])
    for factor in drawn:
        assert 0.6 - 1e-3 <= factor.min() < 0.62
        assert 1.38 < factor.max() <= 1.4 + 1e-3
    assert torch.corrcoef(drawn).triu(1).abs().max() < 0.2


def test_tint_scales_each_colour_by_its_own():
    tint, contrast, saturation = colors_of(replace(STILL, tint=0.2))
    assert_close(contrast, torch.ones(300, 3), atol=1e-3, rtol=0)
    assert_close(saturation, torch.ones(300), atol=1e-3, rtol=0)
    assert 0.8 - 1e-3 <= tint.min() < 0.81
    assert 1.19 < tint.max() <= 1.2 + 1e-3
    assert torch.corrcoef(tint.T).triu(1).abs().max() < 0.2


def test_contrast_is_about_the_photos_mean():
    set_seed(0)
    x = torch.randint(100, 150, (20, 3, 12, 12), dtype=torch.uint8)
    out = augment.augment(x, 12, replace(STILL, light=0.3))
    brightness = out.mean((1, 2, 3)) / x.float().mean((1, 2, 3))
    assert 0.7 - 1e-3 < brightness.min() < brightness.max() < 1.3 + 1e-3


def test_a_photo_shown_smaller_leaves_no_dark_edges():
    set_seed(0)
    x = torch.full((20, 3, 16, 16), 200, dtype=torch.uint8)
    out = augment.augment(x, 16, replace(STILL, area=(4.0, 4.0), rotation=45))
    assert_close(out, torch.full_like(out, 200))


def test_resizing_smooths_and_leaves_a_photo_of_that_size_as_it_is():
    checks = (torch.arange(32)[:, None] + torch.arange(32)) % 2 * 255
    x = checks.to(torch.uint8).expand(1, 3, 32, 32)
    assert torch.equal(augment.resize(x, 32), x.float())
    small = augment.resize(x, 8)[:, :, 1:-1, 1:-1]
    assert_close(small, torch.full_like(small, 127.5), atol=20, rtol=0)


def test_cutmix_leaves_the_last_of_an_odd_batch_as_it_is():
    set_seed(1)
    x = torch.arange(5.0).view(5, 1, 1, 1).expand(5, 3, 40, 40).contiguous()
    mixed, order, _ = augment.cutmix(x.clone())
    assert order.tolist() == [1, 0, 3, 2, 4]
    assert torch.equal(mixed[4], x[4])


def test_cutmix_reaches_every_place_of_the_photo():
    set_seed(1)
    x = torch.arange(2.0).view(2, 1, 1, 1).expand(2, 3, 20, 20).contiguous()
    changed = sum((augment.cutmix(x.clone())[0] != x)[0, 0].int() for _ in range(300))
    assert changed.min() > 0


# The network. --------------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["SiLU", "ReLU"])
def test_network_is_built_as_its_layout_says(activation):
    sizes = {"kernel_size": 5, "stride": 2, "expansion": 0}
    layout = model.Layout(((4, 5), (6,)), **sizes, activation=activation)
    net = model.GroceryNet(layout, COARSE_OF)
    convolutions = [m for m in net.modules() if isinstance(m, torch.nn.Conv2d)]
    assert [(m.kernel_size, m.stride, m.out_channels) for m in convolutions] == [
        *(((5, 5), (2, 2), 4), ((3, 3), (1, 1), 5), ((3, 3), (1, 1), 6)),
    ]
    kinds = [[type(m).__name__ for m in block] for block in net.features]
    plain = ["Conv2d", "BatchNorm2d", activation]
    pooled = ["Conv2d", "MaxPool2d", "BatchNorm2d", activation]
    assert kinds == [plain, pooled, plain]
    assert net.embed(torch.zeros(1, 3, 32, 32)).shape == (1, 6, 8, 8)
    assert net(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_inverted_residuals_widen_go_channel_by_channel_and_add_the_input_where_it_fits():
    layout = model.Layout(((4,), (4, 6)), expansion=2)
    net = model.GroceryNet(layout, COARSE_OF)
    blocks = [block for block in net.modules() if isinstance(block, model.InvertedResidual)]
    assert [block.residual for block in blocks] == [True, False]
    wide, deep, narrow = (m for m in blocks[1].modules() if isinstance(m, torch.nn.Conv2d))
    assert (wide.out_channels, deep.groups, narrow.out_channels) == (8, 8, 6)
    assert not any(
        m.bias is not None for m in net.features.modules() if isinstance(m, torch.nn.Conv2d)
    )
    x = torch.randn(2, 4, 8, 8)
    block = blocks[0].eval()
    assert_close(block(x), x + block.block(x))
    assert [type(m).__name__ for m in net.features] == [
        *("ConvBlock", "InvertedResidual", "InvertedResidual", "SiLU")
    ]
    assert isinstance(net.features[0][1], torch.nn.MaxPool2d)
    assert net.embed(torch.zeros(1, 3, 32, 32)).shape == (1, 6, 8, 8)


@pytest.mark.parametrize("name", ["SiLU", "ReLU"])
@pytest.mark.parametrize(("expansion", "count"), [(0, 4), (2, 8)])
def test_every_activation_is_the_one_the_layout_names(expansion, count, name):
    layout = model.Layout(((4,), (4, 6), (8,)), expansion=expansion, activation=name)
    net = model.GroceryNet(layout, [0, 1])
    found = [type(m).__name__ for m in net.modules() if type(m).__name__ in model.ACTIVATIONS]
    assert found == [name] * count
    x = torch.tensor([-1.0, 0.0, 2.0])
    expected = {"SiLU": x / (1 + (-x).exp()), "ReLU": x.clamp(min=0)}
    assert_close(model.ACTIVATIONS[name]()(x.clone()), expected[name])


@pytest.mark.parametrize("expansion", [0, 2])
def test_an_activation_that_is_not_known_is_refused(expansion):
    layout = model.Layout(((4,), (4,)), expansion=expansion, activation="Sine")
    with pytest.raises(KeyError, match="Sine"):
        model.GroceryNet(layout, COARSE_OF)


def test_photos_are_normalised_by_the_training_photos_mean_and_deviation():
    net = model.GroceryNet(LAYOUT, COARSE_OF).eval()
    seen = []
    net.features.register_forward_pre_hook(lambda module, args: seen.append(args[0]))
    mean, std = torch.tensor(model.MEAN) * 255, torch.tensor(model.STD) * 255
    net.embed(torch.stack([mean, mean + std]).view(2, 3, 1, 1).expand(2, 3, 8, 8))
    assert_close(seen[0][0], torch.zeros(3, 8, 8), atol=1e-5, rtol=0)
    assert_close(seen[0][1], torch.ones(3, 8, 8))


def test_frozen_values_are_no_parameters():
    net = torch.nn.Linear(3, 2)
    net.bias.requires_grad_(False)
    assert model.count_parameters(net) == 6


@pytest.mark.parametrize(
    ("capabilities", "fast"),
    [
        ({}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
        ({"avx2": True}, False),
    ],
)
def test_short_floats_are_taken_where_the_processor_computes_with_them(
    monkeypatch, capabilities, fast
):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert model.bfloat16_is_fast(torch.device("cpu")) == fast


@pytest.mark.parametrize("native", [False, True])
def test_short_floats_are_taken_on_a_gpu_that_does_not_emulate_them(monkeypatch, native):
    def supported(including_emulation=True):
        return native or including_emulation

    monkeypatch.setattr(torch.cuda, "is_bf16_supported", supported)
    assert model.bfloat16_is_fast(torch.device("cuda")) == native
    assert not model.bfloat16_is_fast(torch.device("mps"))


# The learner. --------------------------------------------------------------------------------


def learner_for(**changes):
    set_seed(0)
    recipe = replace(TINY, augmentation=STILL, **changes)
    return CNNLearner(model.GroceryNet(LAYOUT, COARSE_OF), recipe, steps_per_epoch=3)


def test_loss_is_smoothed_and_meant_over_the_batch():
    learner = learner_for(cutmix=0.0, label_smoothing=0.2, coarse_share=0.0)
    x, y = split(8).images, split(8).fine_labels
    set_seed(5)
    looks = augment.augment(x, 8, STILL)
    net = learner.model.train()
    F.cross_entropy(net(looks), y, label_smoothing=0.2).backward()
    expected = net.classifier.weight.grad.clone()
    set_seed(5)
    learner.train_batch(x, y)
    assert_close(net.classifier.weight.grad, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_loss_is_that_of_the_fine_and_of_the_coarse_classes_by_their_shares(share):
    learner = learner_for(cutmix=0.0, label_smoothing=0.0, coarse_share=share)
    x, y = split(8).images, split(8).fine_labels
    set_seed(5)
    looks = augment.augment(x, 8, STILL)
    net = learner.model.train()
    probabilities = net(looks).softmax(1)
    dark, bright = probabilities[:, 0], probabilities[:, 1:].sum(1)
    fine = -probabilities[range(8), y].log().mean()
    coarse = -torch.where(y == 0, dark, bright).log().mean()
    ((1 - share) * fine + share * coarse).backward()
    expected = [p.grad.clone() for p in net.parameters()]
    set_seed(5)
    learner.train_batch(x, y)
    found = [p.grad for p in net.parameters()]
    assert_close(found, expected, atol=1e-4, rtol=1e-3)


def test_reported_figures_are_coarse_without_smoothing_and_from_before_the_step():
    learner = learner_for(cutmix=0.0, label_smoothing=0.5)
    x, y = split(8).images, split(8).fine_labels
    set_seed(5)
    with torch.no_grad():
        logits = learner.model.train()(augment.augment(x, 8, STILL))
    coarse = learner.model.coarse(logits)
    labels = torch.tensor(COARSE_OF)[y]
    set_seed(5)
    loss_sum, correct, count = learner.train_batch(x, y)
    assert loss_sum == pytest.approx(
        F.nll_loss(coarse, labels, reduction="sum").item(), rel=1e-3
    )
    assert (correct, count) == ((coarse.argmax(1) == labels).sum(), 8)
    assert [type(n) for n in (correct, count)] == [int, int]


@pytest.mark.parametrize("coarse", [False, True])
def test_labels_are_mixed_as_the_photos_are(monkeypatch, coarse):
    learner = learner_for(cutmix=1.0, label_smoothing=0.0, coarse_share=float(coarse))
    order, share = torch.tensor([1, 0]), 0.25
    monkeypatch.setattr("hw1lib.cnn.learner.cutmix", lambda x: (x, order, share))
    x, y = split(2).images, torch.tensor([0, 2])
    set_seed(5)
    net = learner.model.train()
    logits = net(augment.augment(x, 8, STILL))
    targets = torch.tensor([[0.75, 0, 0.25], [0.25, 0, 0.75]])
    if coarse:
        logits, targets = net.coarse(logits), targets[:, [0, 2]]  # 2 is of coarse class 1
    F.cross_entropy(logits, targets).backward()
    expected = net.classifier.bias.grad.clone()
    set_seed(5)
    learner.train_batch(x, y)
    assert_close(net.classifier.bias.grad, expected, atol=1e-5, rtol=1e-3)


@pytest.mark.parametrize("muon_lr", [None, 0.02])
def test_each_weight_has_one_optimiser_and_only_matrices_and_filters_decay(muon_lr):
    learner = learner_for(muon_lr=muon_lr, weight_decay=0.1)
    filters = [p for p in learner.model.parameters() if p.ndim == 4 and p.shape[1] > 1]
    adam, *muon = optimizers(learner.model, learner.recipe)
    assert len(muon) == (muon_lr is not None)
    decayed, free = adam.param_groups
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.1, 0.0)
    assert all(p.ndim == 1 for p in free["params"])
    by_adam = {id(p) for p in decayed["params"]}
    assert by_adam == {
        id(p)
        for p in learner.model.parameters()
        if p.ndim > 1 and not (muon and any(p is weight for weight in filters))
    }
    if muon:
        assert muon[0].defaults["weight_decay"] == 0.1
        assert sum(p.numel() for p in muon[0].param_groups[0]["params"]) == sum(
            p.numel() for p in filters
        )


def test_filters_of_a_single_channel_are_left_to_adamw():
    set_seed(0)
    layout = model.Layout(((4,), (4,)), kernel_size=3, stride=1, expansion=2)
    net = model.GroceryNet(layout, COARSE_OF)
    adam, muon = optimizers(net, TINY)
    shapes = [p.shape for p in adam.param_groups[0]["params"]]
    assert (8, 1, 3, 3) in shapes
    assert all(p.shape[1] > 1 for p in muon.param_groups[0]["params"])


def test_rate_is_highest_where_the_warm_up_ends():
    learner = learner_for(num_epochs=10, warm_up=0.4, lr=0.5)
    x, y = split(8).images, split(8).fine_labels
    rates = []
    for _ in range(30):
        rates.append(learner.lr)
        learner.train_batch(x, y)
    assert max(rates) == pytest.approx(0.5, rel=0.01)
    assert rates.index(max(rates)) in (11, 12)
    assert learner.lr < min(rates)


def test_averaged_weights_follow_by_the_decay_of_each_step():
    learner = learner_for(ema_decay=0.75)
    before = learner.averaged.module.classifier.bias.detach().clone()
    learner.train_batch(split(8).images, split(8).fine_labels)
    first = learner.model.classifier.bias.detach().clone()
    learner.train_batch(split(8).images, split(8).fine_labels)
    second = learner.model.classifier.bias.detach()
    assert not torch.equal(before, first)
    found = learner.averaged.module.classifier.bias.detach()
    assert_close(found, 0.75 * first + 0.25 * second)


def test_a_learner_goes_on_from_its_state_as_if_it_had_never_stopped():
    x, y = split(8).images, split(8).fine_labels
    first, second = learner_for(), learner_for()
    first.train_batch(x, y)
    second.load_state_dict(deepcopy(first.state_dict()))
    assert second.lr == first.lr
    for learner in (first, second):
        set_seed(9)
        learner.train_batch(x, y)
    for name, tensor in first.averaged.state_dict().items():
        assert torch.equal(tensor, second.averaged.state_dict()[name])


def test_best_epoch_goes_on_from_its_state():
    learner = learner_for()
    best, resumed = BestEpoch(learner, "val"), BestEpoch(learner, "val")
    assert (best.epoch, best.metrics.count) == (0, 0)
    best(EpochRecord(4, 1.0, 0.1, {"val": Metrics(9.0, 0.0, 10)}))
    assert best.epoch == 4, "the first epoch is the best so far, however bad"
    best(EpochRecord(8, 1.0, 0.1, {"val": Metrics(2.0, 0.9, 10)}))
    resumed.load_state_dict(best.state_dict())
    assert (resumed.epoch, resumed.metrics) == (8, best.metrics)
    assert resumed.state_dict()["highest"] == best.state_dict()["highest"]
    expected = learner.predict(split(8).images)
    with torch.no_grad():
        learner.averaged.module.classifier.bias.add_(torch.arange(3.0))
    resumed.restore()
    assert torch.equal(learner.predict(split(8).images), expected)


# What is made of the predictions. ------------------------------------------------------------


def test_confusion_matrix_has_a_row_and_a_column_for_every_class():
    found = analysis.confusion_matrix(torch.tensor([0]), torch.tensor([1]), 4)
    assert found.shape == (4, 4)
    assert (found[1, 0], found.sum()) == (1, 1)


def test_calibration_has_ten_bins_unless_told_and_an_edge_belongs_to_the_bin_above():
    found = analysis.calibration(torch.tensor([[0.5, 0.5]]).log(), torch.tensor([0]))
    assert found.count.tolist() == [0] * 5 + [1] + [0] * 4
    assert found.accuracy[5] == 1
    assert found.error == pytest.approx(0.5)


def test_class_activation_map_weighs_the_fine_classes_by_their_probability():
    net = model.GroceryNet(model.Layout(((2,),), kernel_size=1, stride=1), COARSE_OF).eval()
    with torch.no_grad():
        net.features[0][0].weight.zero_()
        net.features[0][0].weight[0, 0], net.features[0][0].weight[1, 1] = 1.0, 1.0
        net.classifier.weight.copy_(torch.tensor([[0.0, 0], [1, 0], [0, 1]]))
        net.classifier.bias.copy_(torch.tensor([9.0, math.log(3), 0.0]))
    images = torch.full((1, 3, 8, 8), 0, dtype=torch.uint8)
    images[0, 0, 0, 0], images[0, 1, 7, 7] = 255, 255  # red and green: fine classes 1 and 2
    (found,) = analysis.class_activation_maps(net.train(), images, torch.tensor([1]))
    assert not net.training
    assert found[0, 0] == found.max() == 1
    assert 0.2 < found[7, 7] < 0.6
    assert found[3, 3] == found.min() == 0


def test_activation_maps_run_from_0_to_1_over_each_photo():
    set_seed(0)
    net = model.GroceryNet(LAYOUT, COARSE_OF)
    images = torch.randint(0, 256, (3, 3, 12, 12), dtype=torch.uint8)
    maps = analysis.class_activation_maps(net, images, torch.tensor([0, 1, 1]))
    assert_close(maps.amin((1, 2)), torch.zeros(3))
    assert_close(maps.amax((1, 2)), torch.ones(3))
