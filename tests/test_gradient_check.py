"""Centred differences against derivatives that are known."""

import pytest
import torch
from torch.testing import assert_close

from hw1lib.gradient_check import numerical_jacobian


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
