"""What benchmarks compare is what they say it is."""

import math

import pytest
import torch
from torch.testing import assert_close

from hw1lib.activations import sigmoid
from hw1lib.cnn.recipe import RECIPES
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit, set_seed
from tests.benchmarks import cnn_ablation, cnn_time
from tests.benchmarks.gpu import BATCH_SIZE, steps_of_an_epoch


def test_recorded_steps_are_those_of_fit():
    set_seed(0)
    X, y = torch.rand(3 * BATCH_SIZE, 12), torch.randint(0, 4, (3 * BATCH_SIZE,))
    trained = []
    for _ in range(2):
        set_seed(1)
        trained.append(FullyConnectedNetwork(12, 4, 6, sigmoid, 0.5))
    batches = Batches(X, y, BATCH_SIZE)
    fit(trained[0], batches, num_epochs=2, splits={}, history=History("fit"))
    epoch = steps_of_an_epoch(trained[1], X, y)
    epoch()
    epoch()
    for name, weight in trained[0].weights().items():
        assert_close(trained[1].weights()[name], weight)


@pytest.fixture
def shelves():
    """Photos of four fine classes, and which are of the smaller, greener shelf of each."""
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(80)
    fine_labels, other_shelf = number % 4, number // 4 % 10 < 3
    images = torch.randint(0, 40, (80, 3, 8, 8), generator=generator)
    images[other_shelf, 1] += 150  # 2-means has to find it in each class
    whole = GrocerySplit(images.to(torch.uint8), fine_labels // 2, fine_labels)
    parts = (GrocerySplit(*(p[:60] for p in whole)), GrocerySplit(*(p[60:] for p in whole)))
    return Grocery(*parts, parts[0], ["a", "b"], [0, 0, 1, 1]), whole, other_shelf


@pytest.mark.parametrize("fold", range(4))
def test_a_fold_of_the_judge_holds_out_one_shelf_of_every_other_fine_class(shelves, fold):
    photos, whole, other_shelf = shelves
    held = cnn_ablation.folds(cnn_ablation.pooled(photos)) == fold
    smaller = other_shelf if fold < 2 else ~other_shelf
    assert torch.equal(held, smaller & (whole.fine_labels % 2 == fold % 2))
    parted = cnn_ablation.hold_out(photos, held)
    for part, name in enumerate(GrocerySplit._fields):
        assert torch.equal(parted.val[part], whole[part][held]), name
        assert torch.equal(parted.train[part], whole[part][~held]), name
    assert parted.test is photos.test


def test_each_part_is_missing_from_half_of_the_runs_and_no_two_go_together():
    runs = cnn_ablation.design()
    assert len(runs) == 16
    signs = torch.tensor(
        [
            [1 if part in without else -1 for part in cnn_ablation.PARTS]
            + [2 * (fold % 2) - 1, 2 * (fold // 2) - 1]
            for fold, without in runs
        ]
    )
    assert torch.equal(signs.T @ signs, 16 * torch.eye(8, dtype=torch.int64))
    pairs = torch.stack([signs[:, i] * signs[:, j] for i in range(8) for j in range(i)])
    assert not (pairs @ signs).any(), "a part's worth is mixed up with that of two others"


@pytest.mark.parametrize("part", cnn_ablation.PARTS)
def test_taking_a_part_away_changes_the_recipe_and_nothing_else(part):
    whole = RECIPES["default"]
    without = cnn_ablation.PARTS[part](whole)
    assert without != whole
    changed = {k for k, v in vars(without).items() if v != getattr(whole, k)}
    assert len(changed) == 1
    assert cnn_ablation.PARTS[part](without) == without


@pytest.mark.parametrize("name", ["default", "relu", "full"])
def test_the_work_of_a_training_is_all_its_steps_and_evaluations(name):
    recipe = RECIPES[name]
    found = cnn_time.work(recipe)
    assert list(found) == [size for _, size in recipe.sizes]
    steps, batches = map(sum, zip(*found.values(), strict=True))
    assert steps == pytest.approx(recipe.num_epochs * math.ceil(2640 / recipe.batch_size))
    each = math.ceil(2640 / 64) + math.ceil(296 / 64)
    assert batches == pytest.approx(each * recipe.num_epochs / recipe.evaluate_every)
