"""The CNN: its budget, its augmentation, its learner, stopping and going on, its figures."""

import math
import sys
from dataclasses import replace
from itertools import combinations, pairwise

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.testing import assert_close

from hw1lib.cnn import analysis, augment, model, recipe
from hw1lib.cnn.learner import BestEpoch, CNNLearner
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.history import EpochRecord, Metrics
from hw1lib.submission.__main__ import EPILOG
from hw1lib.training import Batches, TrainingInterruptedError, evaluate, set_seed

COARSE_OF = [0, 1, 1]
LAYOUT = model.Layout(((4,), (8,)), kernel_size=3, stride=1)
TINY = recipe.Recipe(
    layout=LAYOUT,
    stored_size=16,
    sizes=((0.0, 8), (0.5, 12)),
    num_epochs=6,
    evaluate_every=1,
    batch_size=8,
    lr=0.02,
    ema_decay=0.5,
    augmentation=augment.Augmentation(light=0.1, tint=0.05, area=(0.5, 1.0)),
)


def split(count, seed=0):
    """Bright or dark photos with some noise; the dark ones are of one fine class, 0."""
    generator = torch.Generator().manual_seed(seed)
    bright = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 3, 16, 16), generator=generator)
    images = (noise + 150 * bright.view(-1, 1, 1, 1)).to(torch.uint8)
    return GrocerySplit(images, bright, bright * (1 + torch.arange(count) // 2 % 2))


def photos():
    parts = [split(24), split(8, 1), split(8, 2)]
    return Grocery(*parts, ["dark", "bright"], COARSE_OF)


def learner_for(how=TINY):
    return CNNLearner(model.GroceryNet(how.layout, COARSE_OF), how, steps_per_epoch=3)


def weights(learner):
    return {name: tensor.clone() for name, tensor in learner.averaged.state_dict().items()}


def same(first, second):
    return all(torch.equal(first[name], second[name]) for name in first)


# The network. ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", recipe.RECIPES)
def test_every_recipe_stays_below_100_000_parameters(name):
    net = model.GroceryNet(recipe.RECIPES[name].layout, [i % 43 for i in range(81)])
    assert model.count_parameters(net) < 100_000
    assert model.count_parameters(net) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("expansion", [0, 2])
@pytest.mark.parametrize(("height", "width"), [(96, 96), (48, 80)])
def test_network_takes_photos_of_several_sizes_and_both_number_types(height, width, expansion):
    layout = model.Layout(((4,), (6, 6), (8,)), expansion=expansion)
    net = model.GroceryNet(layout, COARSE_OF).eval()
    x = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    assert net(x).shape == (2, 3)
    assert_close(net(x), net(x.float()))


def test_network_takes_photos_from_15_pixels_on_and_torch_refuses_smaller_ones():
    net = model.GroceryNet(recipe.DEFAULT.layout, COARSE_OF).eval()
    assert net(torch.zeros(1, 3, 15, 15)).shape == (1, 3)
    with pytest.raises(RuntimeError, match="too small"):
        net(torch.zeros(1, 3, 14, 15))


@pytest.mark.parametrize(("fast", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_convolutions_compute_in_16_bits_where_these_are_fast(monkeypatch, fast, dtype):
    monkeypatch.setattr(model, "bfloat16_is_fast", lambda device: fast)
    net, seen = model.GroceryNet(LAYOUT, COARSE_OF), []
    net.features[0][0].register_forward_hook(lambda module, x, y: seen.append(y.dtype))
    assert net(split(2).images).dtype == torch.float32
    assert seen == [dtype]


def test_coarse_probabilities_are_sums_of_those_of_their_fine_classes():
    net = model.GroceryNet(LAYOUT, COARSE_OF)
    logits = torch.tensor([[0.0, 1.0, 2.0], [500.0, -500.0, 0.0]], requires_grad=True)
    fine = logits.softmax(1)
    expected = torch.stack([fine[:, 0], fine[:, 1] + fine[:, 2]], 1)
    found = net.coarse(logits)
    assert_close(found.exp(), expected)
    found[0, 1].backward()
    assert logits.grad.isfinite().all()


def test_matrix_of_classes_says_the_same_as_the_table_and_is_not_kept_with_the_weights():
    net = model.GroceryNet(LAYOUT, [2, 0, 1, 1])
    assert net.inside.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert net.inside.dtype == torch.float32
    assert net.inside.argmax(1).equal(net.coarse_of)
    assert not [name for name in net.state_dict() if "inside" in name]
    assert not net.inside.requires_grad


# Recipes. -------------------------------------------------------------------------------------


def test_recipe_is_the_one_asked_for_and_stand_ins_get_a_short_one(monkeypatch):
    monkeypatch.delenv("HW1_RECIPE", raising=False)
    assert recipe.recipe_from_environment()[0] == "default"
    assert recipe.recipe_from_environment(stand_in=True)[0] == "draft"
    monkeypatch.setenv("HW1_RECIPE", "full")
    assert recipe.recipe_from_environment(stand_in=True) == ("full", recipe.RECIPES["full"])
    monkeypatch.setenv("HW1_RECIPE", "fulll")
    with pytest.raises(
        ValueError, match="'fulll'; there are default, full, relu, plain, short, draft"
    ):
        recipe.recipe_from_environment()


def test_help_of_the_export_names_every_recipe():
    assert f"how the CNN is trained: {', '.join(recipe.RECIPES)}\n" in EPILOG


# Augmentation. --------------------------------------------------------------------------------


def test_augmented_photos_have_the_size_and_range_asked_for_and_can_be_repeated():
    x = torch.randint(0, 256, (16, 3, 24, 24), dtype=torch.uint8)
    before = x.clone()
    set_seed(3)
    first = augment.augment(x, 20, augment.Augmentation())
    set_seed(3)
    assert torch.equal(first, augment.augment(x, 20, augment.Augmentation()))
    assert torch.equal(x, before)
    assert first.shape == (16, 3, 20, 20)
    assert 0 <= first.min() <= first.max() <= 255


def test_parts_of_a_batch_are_augmented_as_the_whole_is():
    x = torch.randint(0, 256, (7, 3, 24, 24), dtype=torch.uint8)
    whole, *parts = (
        seeded_augment(x, part) for part in (slice(None), slice(0, 4), slice(4, 7), slice(7, 7))
    )
    assert torch.equal(torch.cat(parts), whole)


def seeded_augment(x, part):
    set_seed(3)
    return augment.augment(x, 20, augment.Augmentation(), part)


def test_augmentation_of_no_strength_gives_the_photo_or_its_mirror_image():
    x = torch.randint(0, 256, (64, 3, 12, 12), dtype=torch.uint8)
    nothing = augment.Augmentation(area=(1.0, 1.0), aspect=1.0, rotation=0, light=0, tint=0)
    out = augment.augment(x, 12, nothing)
    mirrored = (out - x.flip(3)).abs().amax((1, 2, 3)) < 0.01
    kept = (out - x).abs().amax((1, 2, 3)) < 0.01
    assert (mirrored | kept).all()
    assert 16 < mirrored.sum() < 48


def test_augmentation_turns_by_no_more_than_it_is_told():
    how = augment.Augmentation(area=(1.0, 1.0), aspect=1.0, rotation=30, light=0, tint=0)
    ramp = torch.linspace(0, 255, 33).to(torch.uint8).expand(200, 3, 33, 33)  # dark to bright
    out = augment.augment(ramp, 33, how).mean(1)[:, 12:-12, 12:-12]
    across = (out[:, :, -1] - out[:, :, 0]).mean(1)
    down = (out[:, -1] - out[:, 0]).mean(1)
    angle = torch.rad2deg(torch.atan(down / across))
    assert 25 < angle.abs().max() < 31


def test_light_is_one_affine_map_of_the_colours():
    how = augment.Augmentation(area=(1.0, 1.0), aspect=1.0, rotation=0, light=0.4, tint=0.2)
    grey = torch.full((100, 3, 8, 8), 100, dtype=torch.uint8)
    out = augment.augment(grey, 8, how)
    assert_close(out, out[:, :, :1, :1].expand_as(out))  # an even photo stays even
    low, high = (out / 100).aminmax()
    assert 0.6 * 0.8 - 0.01 < low < 0.65
    assert 1.5 < high < 1.4 * 1.2 + 0.01


def test_cutmix_pastes_one_square_of_the_photo_it_names_and_tells_its_share():
    set_seed(1)
    x = torch.arange(6.0).view(6, 1, 1, 1).expand(6, 3, 40, 40).contiguous()
    shares = []
    for _ in range(50):
        mixed, order, share = augment.cutmix(x.clone())
        foreign = mixed != x
        moved = order != torch.arange(6)
        assert (mixed[foreign] == x[order][foreign]).all()
        measured = foreign[:, 0].float().mean((1, 2))
        assert_close(measured[moved], torch.full_like(measured[moved], share))
        shares.append(share)
    assert 0 <= min(shares) < 0.1
    assert 0.5 < max(shares) <= 0.64


# Training. ------------------------------------------------------------------------------------


def test_learner_learns_and_evaluates_with_averaged_weights():
    set_seed(0)
    run = Trainer(TINY, photos(), seed=0)
    test = Batches(run.photos.test.images, run.photos.test.labels, 8)
    before = evaluate(run.learner, test)
    history = run.train()
    after = evaluate(run.learner, test)
    assert after.loss < before.loss
    assert after.accuracy == 1.0
    assert history.epochs == list(range(1, TINY.num_epochs + 1))
    found = run.evaluate(run.photos.test)
    assert (found.accuracy, found.count) == (after.accuracy, after.count)
    assert found.loss == pytest.approx(after.loss)
    assert run.evaluate(run.photos.test, tta_sizes=(8, 16)).loss != pytest.approx(after.loss)
    plain = run.model.coarse(run.model.eval()(augment.resize(run.photos.test.images, 12)))
    averaged = run.learner.predict(run.photos.test.images)
    assert not torch.allclose(averaged, plain), "the average equals the last weights"


def test_every_epoch_shows_every_photo_once_in_an_order_of_its_own():
    trainer = Trainer(replace(TINY, num_epochs=3), photos(), seed=0)
    train_batch, seen = trainer.learner.train_batch, []

    def watched(x, y):
        seen.extend(x[:, 0, 0, :8].tolist())
        return train_batch(x, y)

    trainer.learner.train_batch = watched
    trainer.train()
    given = trainer.photos.train.images[:, 0, 0, :8].tolist()
    epochs = [seen[start : start + 24] for start in (0, 24, 48)]
    assert all(sorted(epoch) == sorted(given) for epoch in epochs)
    assert all(a != b for a, b in combinations([given, *epochs], 2))


def test_the_best_epoch_is_judged_by_the_validation_photos():
    trainer = Trainer(TINY, photos(), seed=0)
    metrics = trainer.train().records[trainer.best.epoch - 1].metrics
    assert metrics["val"].loss != metrics["train"].loss
    assert trainer.best.metrics == metrics["val"]


def test_a_last_short_batch_is_a_step_too_and_the_rate_ends_near_0():
    few = photos()._replace(train=split(19))  # batches of 8, 8 and 3
    trainer = Trainer(replace(TINY, num_epochs=2), few, seed=0)
    trainer.train()
    assert trainer.learner.lr < TINY.lr / 1000


def test_watchers_see_each_record():
    seen = []
    history = Trainer(replace(TINY, num_epochs=2), photos(), seed=0).train(seen.append)
    assert seen == history.records


def test_training_reports_coarse_figures_of_fine_labels():
    set_seed(0)
    learner = learner_for(replace(TINY, cutmix=0.0))
    with torch.no_grad():  # sure of fine class 2, of coarse class 1
        learner.model.classifier.weight.zero_()
        learner.model.classifier.bias.copy_(torch.tensor([0.0, 0.0, 9.0]))
    _, correct, count = learner.train_batch(split(8).images, torch.tensor([0, 1, 2, 1] * 2))
    assert (correct, count) == (6, 8)


def test_averaging_the_weights_leaves_the_table_of_classes_alone():
    set_seed(0)
    coarse_of = [index * 43 // 81 for index in range(81)]
    learner = CNNLearner(model.GroceryNet(LAYOUT, coarse_of), TINY, steps_per_epoch=40)
    learner.averaged.multi_avg_fn = get_ema_multi_avg_fn(0.998)
    for _ in range(40):
        learner.train_batch(split(8).images, torch.arange(8) * 10)
    averaged = learner.averaged.module
    assert averaged.coarse_of.tolist() == coarse_of
    assert averaged.inside.equal(F.one_hot(torch.tensor(coarse_of)).float())
    assert not [name for name in learner.averaged.state_dict() if "inside" in name]
    found = learner.predict(split(8).images)
    assert_close(found.exp().sum(1), torch.ones(8))


def test_statistics_of_batch_norm_are_averaged_like_the_weights():
    set_seed(0)
    learner, data = learner_for(), split(24)
    for batch in data.images.split(8):
        learner.train_batch(batch, data.fine_labels[:8])
    (last, averaged) = (
        next(m.running_mean for m in net.modules() if isinstance(m, torch.nn.BatchNorm2d))
        for net in (learner.model, learner.averaged)
    )
    assert not torch.allclose(last, averaged)


def test_test_time_augmentation_is_the_mean_over_sizes_crops_and_mirror_images():
    set_seed(0)
    learner, x = learner_for(), split(8).images
    found = learner.predict(x, tta_sizes=(8, 12))
    assert_close(found, learner.predict(x.flip(3), tta_sizes=(8, 12)))
    net = learner.averaged.module
    corners = [x[:, :, i : i + 14, k : k + 14] for i in (0, 2) for k in (0, 2)]
    looks = [
        net.coarse(net(augment.resize(side, size))).exp()
        for size in (8, 12)
        for part in (x, *corners, x[:, :, 1:15, 1:15])
        for side in (part, part.flip(3))
    ]
    assert_close(found.exp(), sum(looks) / 24)
    assert_close(learner.predict(x).exp(), looks[0], msg="not at the size of the first step")


def test_evaluation_changes_nothing():
    set_seed(0)
    learner, data = learner_for(), split(24)
    learner.train_batch(data.images[:8], data.fine_labels[:8])
    before = weights(learner)
    first = learner.eval_batch(data.images, data.labels)
    assert learner.eval_batch(data.images, data.labels) == first
    assert same(before, weights(learner))


def test_photos_grow_in_the_course_of_a_run_and_are_evaluated_at_the_size_of_the_last_step():
    run, seen = Trainer(TINY, photos(), seed=0), []
    for network in (run.model, run.learner.averaged.module):
        network.register_forward_pre_hook(
            lambda module, args: seen.append((module.training, args[0].shape[-1]))
        )
    run.predict(run.photos.test.images)
    assert seen == [(False, 8)]
    run.train()
    assert [size for training, size in seen if training] == [8] * 9 + [12] * 9
    assert all(
        size == evaluated for (_, size), (training, evaluated) in pairwise(seen) if not training
    )
    run.predict(run.photos.test.images)
    assert seen[-1] == (False, 12)


def test_learning_rate_rises_and_falls_over_the_run():
    run = Trainer(TINY, photos(), seed=0)
    start = run.learner.lr
    rates = [record.lr for record in run.train().records]
    assert start < max(rates) / 10
    assert rates[-1] < max(rates) / 10


def test_two_runs_from_one_seed_give_bit_identical_weights_and_another_seed_does_not():
    first, second, other = run_anew(42), run_anew(42), run_anew(43)
    assert same(first, second)
    assert not same(first, other)


def run_anew(seed):
    run = Trainer(TINY, photos(), seed=seed)
    torch.rand(1)  # what a notebook's other cells draw meanwhile changes nothing
    run.train()
    return weights(run.learner)


def test_best_epoch_is_the_latest_that_is_not_worse_by_a_standard_error():
    x = split(8).images
    learner = learner_for()
    best = BestEpoch(learner, "val")
    kept = None
    # The standard error of 80 % of 100 photos is 4 %; that of 50 % would be 5 %.
    for epoch, accuracy in enumerate([0.5, 0.8, 0.755, 0.765, 0.755, 0.5], start=1):
        with torch.no_grad():
            learner.averaged.module.classifier.bias.fill_(0).narrow(0, 0, 1).fill_(float(epoch))
        if epoch == 4:
            kept = learner.predict(x)
        best(EpochRecord(epoch, 1.0, 0.1, {"val": Metrics(1.0, accuracy, 100)}))
    assert (best.epoch, best.metrics.accuracy) == (4, 0.765)
    best.restore()
    assert torch.equal(learner.predict(x), kept)


@given(st.lists(st.integers(0, 296), min_size=1, max_size=20))
def test_best_epoch_is_never_far_below_the_highest_accuracy(correct):
    best = BestEpoch(learner_for(), "val")
    accuracies = [number / 296 for number in correct]
    for epoch, accuracy in enumerate(accuracies, start=1):
        best(EpochRecord(epoch, 1.0, 0.1, {"val": Metrics(1.0, accuracy, 296)}))
    highest = max(accuracies)
    within = [a >= highest - (highest * (1 - highest) / 296) ** 0.5 for a in accuracies]
    assert best.epoch == len(within) - within[::-1].index(True)


def test_target_is_the_smoothed_label():
    net = model.GroceryNet(LAYOUT, COARSE_OF)
    how = replace(TINY, cutmix=0.0, label_smoothing=0.3, coarse_share=0.0)
    learner = CNNLearner(net, how, steps_per_epoch=3)
    data, shown = split(8), []
    net.classifier.register_forward_hook(lambda module, args, logits: shown.append(logits))
    learner.train_batch(data.images, data.fine_labels)
    target = 0.7 * torch.eye(3)[data.fine_labels] + 0.3 / 3
    expected = (shown[0].detach().softmax(1) - target) / 8  # HW1.ipynb, Q1.II
    assert_close(net.classifier.bias.grad, expected.sum(0))


def test_target_is_that_of_the_fine_and_of_the_coarse_classes_by_their_shares():
    net = model.GroceryNet(LAYOUT, COARSE_OF)
    how = replace(TINY, cutmix=0.0, label_smoothing=0.2, coarse_share=0.3)
    learner = CNNLearner(net, how, steps_per_epoch=3)
    data, shown = split(8), []
    net.classifier.register_forward_hook(lambda module, args, y: shown.extend([*args, y]))
    learner.train_batch(data.images, data.fine_labels)
    features, probabilities = shown[0].detach(), shown[1].detach().softmax(1)
    fine = probabilities - (0.8 * torch.eye(3)[data.fine_labels] + 0.2 / 3)
    # A coarse class's share of the target falls to its fine ones as they share its probability.
    dark, bright = probabilities.split([1, 2], dim=1)
    within = torch.cat([dark / dark, bright / bright.sum(1, keepdim=True)], dim=1)
    target = 0.8 * torch.eye(2)[data.labels] + 0.2 / 2
    coarse = probabilities - target[:, COARSE_OF] * within
    expected = (0.7 * fine + 0.3 * coarse) / 8
    assert_close(net.classifier.bias.grad, expected.sum(0))
    assert_close(net.classifier.weight.grad, expected.T @ features)


# Stopping, and going on. ----------------------------------------------------------------------


def figures(history):
    return [(record.epoch, record.lr, record.metrics) for record in history.records]


class StopAt:
    """Stops a training in its n-th step, half way: the weights are stepped, the average not."""

    def __init__(self, trainer, step, how=KeyboardInterrupt):
        self.step, self.how = step, how
        self.inner = trainer.learner.averaged.update_parameters
        trainer.learner.averaged.update_parameters = self

    def __call__(self, model):
        self.step -= 1
        if self.step == 0:
            raise self.how
        self.inner(model)


@pytest.fixture(scope="module")
def whole():
    """A training that nothing disturbs, and what is drawn after it."""
    trainer = Trainer(RARELY, photos(), seed=1)
    trainer.train(show=False)
    return trainer, torch.rand(3)


RARELY = replace(TINY, num_epochs=4, evaluate_every=2)  # 12 steps


def check_like(whole, trainer):
    expected, following = whole
    assert torch.equal(torch.rand(3), following), "what follows is drawn otherwise"
    assert figures(trainer.history) == figures(expected.history)
    assert trainer.best.epoch == expected.best.epoch
    assert same(weights(trainer.learner), weights(expected.learner))


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 9, 12])
def test_same_trainer_stopped_at_any_step_ends_like_one_that_was_not(
    tmp_path, whole, step, on_disk
):
    trainer = Trainer(RARELY, photos(), seed=1, folder=tmp_path if on_disk else None)
    StopAt(trainer, step)
    with pytest.raises(TrainingInterruptedError):
        trainer.train()
    trainer.train()
    check_like(whole, trainer)


@pytest.mark.parametrize("how", [KeyboardInterrupt, MemoryError])
@pytest.mark.parametrize("step", [1, 2, 3, 5, 7, 9, 12])
def test_new_trainer_goes_on_where_one_ended_at_any_step(tmp_path, whole, step, how):
    stopped = Trainer(RARELY, photos(), seed=1, folder=tmp_path)
    StopAt(stopped, step, how)
    with pytest.raises((TrainingInterruptedError, how)):
        stopped.train()
    resumed = Trainer(RARELY, photos(), seed=1, folder=tmp_path)
    resumed.train()
    check_like(whole, resumed)
    again = Trainer(RARELY, photos(), seed=1, folder=tmp_path)
    again.train()
    check_like(whole, again)
    assert again.history.origin.startswith("kept from ")


def test_stopped_trainer_can_be_used_as_far_as_it_came(capsys):
    trainer = Trainer(RARELY, photos(), seed=1)
    StopAt(trainer, 8)
    with pytest.raises(TrainingInterruptedError, match="by epoch 2 of 4 is kept"):
        trainer.train()
    assert trainer.history.epochs == [2]
    assert trainer.best.epoch == 2
    found = trainer.evaluate(photos().val)
    assert found.accuracy == trainer.history.final("val").accuracy
    assert found.loss == pytest.approx(trainer.history.final("val").loss, rel=1e-3)


@pytest.mark.parametrize(
    "other",
    [
        {"recipe": replace(RARELY, lr=0.01)},
        {"seed": 2},
        {"photos": Grocery(split(24, 9), *photos()[1:])},
        {"photos": photos()._replace(val=split(8, 9))},
    ],
)
def test_another_recipe_seed_or_photos_is_another_training(tmp_path, other):
    given = {"recipe": RARELY, "photos": photos(), "seed": 1, "folder": tmp_path}
    Trainer(**given).train()
    assert "trained in this run" in Trainer(**given | other).train().origin


@pytest.mark.parametrize(
    "changed",
    ["hw1lib.cnn.learner.augment", "hw1lib.cnn.learner.cutmix", "hw1lib.ranks.share"],
)
def test_changed_code_trains_anew(tmp_path, monkeypatch, changed):
    given = {"recipe": RARELY, "photos": photos(), "seed": 1, "folder": tmp_path}
    Trainer(**given).train()
    module, _, name = changed.rpartition(".")
    old = getattr(sys.modules[module], name)
    monkeypatch.setattr(changed, lambda *args: old(*args))
    assert "trained in this run" in Trainer(**given).train().origin
    monkeypatch.undo()
    assert "kept from" in Trainer(**given).train().origin


# What is made of the predictions. -------------------------------------------------------------


def test_confusion_matrix_has_true_classes_in_rows():
    predicted, labels = torch.tensor([1, 1, 0, 2]), torch.tensor([0, 1, 0, 1])
    expected = [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert analysis.confusion_matrix(predicted, labels, 3).tolist() == expected


def test_temperature_undoes_what_made_a_classifier_too_cautious():
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(20_000, 5, generator=generator)
    labels = torch.multinomial(logits.softmax(1), 1, generator=generator).flatten()
    cautious = (logits / 2.5).log_softmax(1)
    found = analysis.temperature(cautious, labels)
    assert found == pytest.approx(1 / 2.5, rel=0.05)
    before = analysis.calibration(cautious, labels).error
    after = analysis.calibration((cautious / found).log_softmax(1), labels).error
    assert after < 0.02 < 0.1 < before


def test_calibration_compares_confidence_with_accuracy_bin_by_bin():
    probabilities = torch.tensor([[0.9, 0.1], [0.9, 0.1], [0.7, 0.3], [0.0, 1.0]])
    found = analysis.calibration(probabilities.log(), torch.tensor([0, 1, 0, 1]), bins=4)
    assert found.count.tolist() == [0, 0, 1, 3]
    assert found.confidence[2:].tolist() == pytest.approx([0.7, (0.9 + 0.9 + 1) / 3])
    assert found.accuracy[2:].tolist() == pytest.approx([1.0, 2 / 3])
    assert math.isnan(found.accuracy[0])
    assert found.error == pytest.approx((0.3 * 1 + (2.8 / 3 - 2 / 3) * 3) / 4)


def test_class_activation_map_is_bright_where_the_evidence_lies():
    net = model.GroceryNet(model.Layout(((2,),), kernel_size=3, stride=1), COARSE_OF).eval()
    with torch.no_grad():  # the one filter that counts answers to brightness
        conv = net.features[0][0]
        conv.weight.zero_()
        conv.weight[0, :, 1, 1] = 1.0
        net.classifier.weight.zero_()
        net.classifier.weight[2, 0] = 1.0
        net.classifier.bias.copy_(torch.tensor([0.0, 0.0, 5.0]))
    images = torch.zeros(2, 3, 12, 12, dtype=torch.uint8)
    images[0, :, 2:5, 7:10] = 255
    maps = analysis.class_activation_maps(net, images, torch.tensor([1, 1]))
    assert maps.shape == (2, 12, 12)
    assert maps[0, 2:5, 7:10].min() == 1.0
    assert maps[0, 8:, :4].max() == 0.0
    assert maps[1].max() == 0.0, "an even photo has no place that counts more than another"


def test_predictions_are_kept_until_the_network_or_the_photos_change(tmp_path, monkeypatch):
    trainer = Trainer(RARELY, photos(), seed=1, folder=tmp_path)
    trainer.train(show=False)
    images = trainer.photos.test.images
    alone = trainer.predict(images)
    averaged = trainer.predict(images, tta_sizes=(8, 16))
    again = Trainer(RARELY, photos(), seed=1, folder=tmp_path)
    again.train(show=False)
    computed = []
    predict = again.learner.predict
    monkeypatch.setattr(
        again.learner, "predict", lambda x, **sizes: computed.append(x) or predict(x, **sizes)
    )
    assert again.predict(images).equal(alone)
    assert again.predict(images, tta_sizes=(8, 16)).equal(averaged)
    assert computed == []
    assert not again.predict(images, tta_sizes=(8,)).equal(averaged)
    again.predict(images.flip(0))
    with torch.no_grad():
        next(again.learner.averaged.parameters()).mul_(2)
    assert not again.predict(images).equal(alone)
    assert len(computed) >= 3
