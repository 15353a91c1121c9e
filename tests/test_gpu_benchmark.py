"""The steps that the GPU benchmark records are those of `fit`."""

import torch
from torch.testing import assert_close

from hw1lib.activations import sigmoid
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit, set_seed
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
