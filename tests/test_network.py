"""The hand-written network: gradients, the step, and that it learns."""

import math

import pytest
import torch
from torch.nn import functional as F
from torch.testing import assert_close

from hw1lib.activations import sigmoid, softmax, tanh
from hw1lib.gradient_check import numerical_jacobian
from hw1lib.losses import cross_entropy, one_hot
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import set_seed

ORACLES = {sigmoid: torch.sigmoid, tanh: torch.tanh, softmax: lambda x: torch.softmax(x, -1)}
ACTIVATIONS = pytest.mark.parametrize("activation", ORACLES, ids=lambda f: f.__name__)


@pytest.fixture
def batch():
    set_seed(0)
    return torch.rand(7, 6, dtype=torch.float64), torch.tensor([0, 3, 1, 2, 3, 0, 1])


def small(activation, lr=0.1):
    return FullyConnectedNetwork(6, 4, 5, activation, lr, dtype=torch.float64)


def gradients(network, x, labels):
    return network.backward(x, one_hot(labels, 4, torch.float64), network.forward(x))


@ACTIVATIONS
def test_gradients_agree_with_autograd(activation, batch):
    x, labels = batch
    network = small(activation)
    ours = gradients(network, x, labels)
    leaves = {k: v.clone().requires_grad_() for k, v in network.weights().items()}
    hidden = ORACLES[activation](x @ leaves["W1"] + leaves["b1"])
    F.cross_entropy(hidden @ leaves["W2"] + leaves["b2"], labels).backward()
    for name, leaf in leaves.items():
        assert_close(ours[name], leaf.grad, msg=lambda m, name=name: f"{name}: {m}")


@ACTIVATIONS
@pytest.mark.parametrize("name", ["W1", "b1", "W2", "b2"])
def test_gradients_agree_with_centred_differences(activation, name, batch):
    x, labels = batch
    network = small(activation)
    ours = gradients(network, x, labels)[name]

    def mean_loss(parameter):
        setattr(network, name, parameter)
        network.forward(x)
        return cross_entropy(network.log_y_hat, one_hot(labels, 4, torch.float64)) / len(x)

    numerical = numerical_jacobian(mean_loss, getattr(network, name))
    assert_close(ours, numerical, atol=1e-8, rtol=1e-6)


@ACTIVATIONS
def test_train_batch_takes_one_step_of_gradient_descent(activation, batch):
    x, labels = batch
    network = small(activation, lr=0.3)
    before = {k: v.clone() for k, v in network.weights().items()}
    step = gradients(network, x, labels)
    network.train_batch(x, labels)
    for name, parameter in network.weights().items():
        assert_close(parameter, before[name] - 0.3 * step[name])


def test_train_batch_reports_the_figures_from_before_its_step(batch):
    network = small(sigmoid, lr=1.0)
    expected = network.eval_batch(*batch)
    assert network.train_batch(*batch) == expected
    assert network.eval_batch(*batch) != expected


def test_eval_batch_agrees_with_torch_and_changes_nothing(batch):
    x, labels = batch
    network = small(tanh)
    before = {k: v.clone() for k, v in network.weights().items()}
    loss_sum, correct, count = network.eval_batch(x, labels)
    logits = torch.tanh(x @ network.W1 + network.b1) @ network.W2 + network.b2
    assert loss_sum == pytest.approx(F.cross_entropy(logits, labels, reduction="sum").item())
    assert (correct, count) == ((logits.argmax(1) == labels).sum().item(), 7)
    for name, parameter in network.weights().items():
        assert_close(parameter, before[name], atol=0, rtol=0)


def test_forward_returns_probabilities_of_float32_images():
    y_hat = FullyConnectedNetwork(784, 10, 128, sigmoid, 0.01).forward(torch.rand(3, 784))
    assert y_hat.shape == (3, 10)
    assert y_hat.dtype == torch.float32
    assert_close(y_hat.sum(1), torch.ones(3))


def test_loss_of_a_network_that_knows_nothing_is_ln_of_the_number_of_classes(batch):
    network = small(sigmoid)
    network.W2.zero_()
    loss_sum, _, count = network.eval_batch(*batch)
    assert loss_sum / count == pytest.approx(math.log(4))


@ACTIVATIONS
def test_network_can_learn_twenty_examples_by_heart(activation):
    set_seed(1)
    x, labels = torch.rand(20, 30), torch.arange(20) % 10
    network = FullyConnectedNetwork(30, 10, 64, activation, lr=1.0)
    for _ in range(1500):
        network.train_batch(x, labels)
    assert network.eval_batch(x, labels)[1] == 20


def test_weights_are_drawn_by_randn_after_the_seed_and_biases_are_zero():
    set_seed(42)
    network = FullyConnectedNetwork(784, 10, 128, sigmoid, 0.01)
    set_seed(42)
    assert torch.equal(network.W1, torch.randn(784, 128))
    assert torch.equal(network.W2, torch.randn(128, 10))
    assert not network.b1.any()
    assert not network.b2.any()


def test_unknown_activation_is_refused_with_the_known_ones_named():
    with pytest.raises(ValueError, match="sigmoid, tanh, softmax"):
        FullyConnectedNetwork(2, 2, 2, torch.relu, 0.1)


def test_weights_of_another_network_are_refused_and_nothing_changes():
    network, other = small(sigmoid), FullyConnectedNetwork(6, 4, 9, sigmoid, 0.1)
    before = network.W1.clone()
    with pytest.raises(ValueError, match="expected"):
        network.load_weights(other.weights())
    assert torch.equal(network.W1, before)
