"""The CNN: its budget, its augmentation, its learner, and that it can be repeated."""

import pytest
import torch
from torch.testing import assert_close

from hw1lib import cnn
from hw1lib.history import EpochRecord, Metrics
from hw1lib.training import Batches, evaluate, fit, set_seed

TINY = cnn.Recipe(size=16, widths=(4, 8), num_epochs=4, batch_size=8, lr=0.02, ema_decay=0.5)


def photos(count=24, size=16):
    """Bright or dark photos with some noise, labelled 1 and 0."""
    generator = torch.Generator().manual_seed(0)
    y = torch.arange(count) % 2
    noise = torch.randint(0, 60, (count, 3, size, size), generator=generator)
    return (noise + 150 * y.view(-1, 1, 1, 1)).to(torch.uint8), y


def learner_for(y, recipe=TINY):
    steps = -(-len(y) // recipe.batch_size)
    model = cnn.GroceryNet(2, recipe.widths)
    return cnn.CNNLearner(model, recipe, steps_per_epoch=steps)


def test_the_recipe_of_the_notebook_stays_below_100_000_parameters():
    model = cnn.GroceryNet(43, cnn.Recipe().widths)
    assert cnn.count_parameters(model) < 100_000
    assert cnn.count_parameters(model) == sum(p.numel() for p in model.parameters())


@pytest.mark.parametrize(("height", "width"), [(96, 96), (64, 64), (48, 80)])
def test_network_takes_photos_of_any_size_and_both_number_types(height, width):
    model = cnn.GroceryNet(43, (4, 6, 8)).eval()
    x = torch.randint(0, 256, (2, 3, height, width), dtype=torch.uint8)
    assert model(x).shape == (2, 43)
    assert_close(model(x), model(x.float()))


def test_layers_list_every_parameter_and_leave_the_network_as_it_was():
    model = cnn.GroceryNet(43, (4, 6)).train()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    layers = cnn.layers(model, 32)
    assert sum(layer.parameters for layer in layers) == cnn.count_parameters(model)
    assert layers[0] == cnn.Layer("Conv2d 3 x 3", (4, 32, 32), 4 * 3 * 9)
    assert layers[-1].shape == (43,)
    assert model.training
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())


def test_channel_statistics_are_those_of_the_pixels():
    images = torch.zeros(2, 3, 4, 4, dtype=torch.uint8)
    images[0, 1] = 255
    mean, std = cnn.channel_statistics(images)
    assert mean.tolist() == pytest.approx([0, 0.5, 0])
    assert std.tolist() == pytest.approx([0, 0.508, 0], abs=1e-3)


def test_augmented_photos_keep_shape_and_range_differ_and_can_be_repeated():
    x = torch.randint(0, 256, (16, 3, 24, 24), dtype=torch.uint8)
    before = x.clone()
    set_seed(3)
    first = cnn.augment(x)
    set_seed(3)
    assert torch.equal(first, cnn.augment(x))
    assert torch.equal(x, before)
    assert first.shape == x.shape
    assert 0 <= first.min() <= first.max() <= 255
    assert (first - x.float()).abs().mean(dim=(1, 2, 3)).min() > 1


def test_augmentation_shows_a_part_of_the_photo_upright_or_mirrored():
    set_seed(0)
    # A ramp from black at the left to white at the right stays one, whichever way round.
    ramp = torch.linspace(0, 255, 32).to(torch.uint8).expand(200, 3, 32, 32)
    out = cnn.augment(ramp).mean(1)
    rise = out[..., -8:].mean((1, 2)) - out[..., :8].mean((1, 2))
    assert rise.abs().min() > 10
    assert 60 < (rise < 0).sum() < 140, "about half are mirrored"


def test_learner_learns_and_evaluates_with_averaged_weights():
    set_seed(0)
    X, y = photos()
    learner = learner_for(y)
    split = Batches(X, y, 24)
    before = evaluate(learner, split)
    fit(learner, Batches(X, y, 8, shuffle=True), num_epochs=4, splits={})
    after = evaluate(learner, split)
    assert after.loss < before.loss
    assert after.accuracy == 1.0
    plain = learner.model.eval()(X)
    assert not torch.allclose(learner.predict(X), plain), "the average equals the last weights"


def test_evaluation_changes_nothing():
    set_seed(0)
    X, y = photos()
    learner = learner_for(y)
    learner.train_batch(X[:8], y[:8])
    before = {k: v.clone() for k, v in learner.averaged.state_dict().items()}
    assert learner.eval_batch(X, y) == learner.eval_batch(X, y)
    assert all(torch.equal(v, before[k]) for k, v in learner.averaged.state_dict().items())


def test_learning_rate_rises_and_falls_over_the_run():
    set_seed(0)
    X, y = photos()
    learner = learner_for(y)
    start = learner.lr
    history = fit(learner, Batches(X, y, 8), num_epochs=4, splits={})
    rates = [record.lr for record in history.records]
    assert start < max(rates) / 10
    assert rates[-1] < max(rates) / 10


def test_two_runs_from_one_seed_give_bit_identical_weights():
    def run():
        set_seed(42)
        X, y = photos()
        learner = learner_for(y)
        fit(learner, Batches(X, y, 8, shuffle=True), num_epochs=2, splits={})
        return learner.averaged.state_dict()

    first, second = run(), run()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_best_epoch_restores_the_weights_of_the_best_validation_accuracy():
    X, y = photos()
    learner = learner_for(y)
    best = cnn.BestEpoch(learner, "val")
    kept = None
    for epoch, (accuracy, loss) in enumerate([(0.5, 1.0), (0.8, 0.9), (0.8, 0.7), (0.8, 0.8)]):
        with torch.no_grad():
            learner.averaged.module.classifier.bias.fill_(float(epoch))
        if epoch == 2:
            kept = learner.predict(X)
        best(EpochRecord(epoch + 1, 1.0, 0.1, {"val": Metrics(loss, accuracy, 10)}))
    assert best.epoch == 3
    best.restore()
    assert torch.equal(learner.predict(X), kept)


def test_confusion_matrix_has_true_classes_in_rows():
    predicted, labels = torch.tensor([1, 1, 0, 2]), torch.tensor([0, 1, 0, 1])
    expected = [[1, 1, 0], [0, 1, 1], [0, 0, 0]]
    assert cnn.confusion_matrix(predicted, labels, 3).tolist() == expected
