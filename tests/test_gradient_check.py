"""Centred differences against derivatives that are known."""

import pytest
import torch
from torch.testing import assert_close

from hw1lib.activations import sigmoid
from hw1lib.gradient_check import numerical_gradients, numerical_jacobian
from hw1lib.network import FullyConnectedNetwork


def test_rows_are_the_functions_and_columns_the_variables_whatever_their_shapes():
    A = torch.randn(4, 2, dtype=torch.float64)
    x = torch.randn(2, 3, dtype=torch.float64)
    found = numerical_jacobian(lambda x: (A @ x).sin(), x)
    assert found.shape == (4, 3, 2, 3)
    expected = torch.autograd.functional.jacobian(lambda x: (A @ x).sin(), x)
    assert_close(found, expected, atol=1e-9, rtol=0)


def test_step_is_taken_in_double_precision():
    x = torch.zeros(2, dtype=torch.float64)
    assert_close(numerical_jacobian(torch.clone, x), torch.eye(2).double(), atol=1e-12, rtol=0)


def test_step_is_the_one_asked_for():
    x = torch.zeros(1, dtype=torch.float64)
    assert numerical_jacobian(lambda x: x**3, x, step=0.5).item() == 0.25


def test_single_precision_is_refused():
    with pytest.raises(
        ValueError, match=r"float64 for differences of 1e-06, got torch\.float32"
    ):
        numerical_jacobian(torch.sigmoid, torch.zeros(2))


def test_numerical_gradients_are_those_of_autograd_and_leave_the_weights_as_they_were():
    torch.manual_seed(0)
    network = FullyConnectedNetwork(3, 2, 4, sigmoid, 0.1, dtype=torch.float64)
    x, y = torch.rand(5, 3).double(), torch.eye(2, dtype=torch.float64)[[0, 1, 1, 0, 1]]
    before = {name: weight.clone() for name, weight in network.weights().items()}
    found = numerical_gradients(network, x, y)
    W1, b1, W2, b2 = weights = [w.clone().requires_grad_() for w in before.values()]
    logits = torch.sigmoid(x @ W1 + b1) @ W2 + b2
    torch.nn.functional.cross_entropy(logits, y).backward()
    for name, weight in zip(before, weights, strict=True):
        assert torch.allclose(found[name], weight.grad, atol=1e-8)
        assert torch.equal(network.weights()[name], before[name])
