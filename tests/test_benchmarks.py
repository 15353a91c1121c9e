"""What benchmarks compare is what they say it is."""

import pytest
import torch
from torch.testing import assert_close

from hw1lib.activations import sigmoid
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit, set_seed
from tests.benchmarks.cnn_ablation import hold_out
from tests.benchmarks.gpu import BATCH_SIZE, RecordedSteps


def test_recorded_steps_are_those_of_fit():
    set_seed(0)
    X, y = torch.rand(3 * BATCH_SIZE, 12), torch.randint(0, 4, (3 * BATCH_SIZE,))
    trained = []
    for _ in range(2):
        set_seed(1)
        trained.append(FullyConnectedNetwork(12, 4, 6, sigmoid, 0.5))
    batches = Batches(X, y, BATCH_SIZE)
    fit(trained[0], batches, num_epochs=2, splits={}, history=History("fit"))
    steps = RecordedSteps(trained[1], X, y)
    steps.epoch()
    steps.epoch()
    for name, weight in trained[0].weights().items():
        assert_close(trained[1].weights()[name], weight)


@pytest.mark.parametrize("fold", [0, 1])
def test_ablation_holds_out_the_smaller_shelf_of_every_other_fine_class(fold):
    generator = torch.Generator().manual_seed(0)
    number = torch.arange(80)
    fine_labels, other_shelf = number % 4, number // 4 % 10 < 3
    images = torch.randint(0, 40, (80, 3, 8, 8), generator=generator)
    images[other_shelf, 1] += 150  # greener; 2-means has to find it in each class
    train = GrocerySplit(images.to(torch.uint8), fine_labels // 2, fine_labels)
    photos = Grocery(train, train, train, ["a", "b"], ["a", "b", "c", "d"], [0, 0, 1, 1])
    parted = hold_out(photos, fold)
    held = other_shelf & (fine_labels % 2 == fold)
    for part, name in enumerate(GrocerySplit._fields):
        assert torch.equal(parted.test[part], train[part][held]), name
        assert torch.equal(parted.train[part], train[part][~held]), name
    assert parted.val is train
