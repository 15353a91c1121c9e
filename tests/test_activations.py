"""Activations and derivatives against torch's own, autograd and centred differences."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

from hw1lib.activations import DERIVATIVES, d_softmax, derivative_of, sigmoid, softmax, tanh
from hw1lib.gradient_check import numerical_jacobian

#: Each activation, and what it should agree with; other tests go through these too.
ORACLES = {sigmoid: torch.sigmoid, tanh: torch.tanh, softmax: lambda x: torch.softmax(x, -1)}
FUNCTIONS = pytest.mark.parametrize("function", ORACLES, ids=lambda f: f.__name__)
DTYPES = pytest.mark.parametrize("dtype", [torch.float32, torch.float64])

finite = st.floats(-1e4, 1e4, width=32)
rows = st.lists(st.lists(finite, min_size=3, max_size=3), min_size=1, max_size=4)


def test_no_activation_is_left_out():
    assert [function.__name__ for function in ORACLES] == [*DERIVATIVES]


@FUNCTIONS
@DTYPES
@given(values=rows)
def test_function_agrees_with_torch_for_any_input(function, dtype, values):
    x = torch.tensor(values, dtype=dtype)
    # 1e-37: sigmoid rounds to 0 where exp(-x) overflows, just above the least normal float32.
    assert_close(function(x), ORACLES[function](x), atol=1e-37, rtol=1e-5)


@FUNCTIONS
@DTYPES
def test_function_and_derivative_are_finite_and_right_at_extreme_inputs(function, dtype):
    x = torch.tensor([-1e4, -100.0, 0.0, 100.0, 1e4], dtype=dtype)
    output = function(x)
    assert_close(output, ORACLES[function](x), atol=1e-37, rtol=1e-6)
    derivative = derivative_of(function)(output)
    assert derivative.isfinite().all()
    assert derivative.abs().max() <= 1


def test_tanh_keeps_its_precision_near_zero():
    x = torch.tensor([1e-7, -3e-5, 1e-3])
    assert_close(tanh(x), torch.tanh(x), atol=0, rtol=2e-7)


@FUNCTIONS
def test_input_is_left_as_it_was(function):
    x = torch.tensor([[-1.0, 0.5, 2.0]])
    before = x.clone()
    derivative_of(function)(function(x))
    assert_close(x, before, atol=0, rtol=0)


def jacobian(function, x):
    """From the derivative under test, whether it is a Jacobian already or a diagonal."""
    derivative = derivative_of(function)(function(x))
    return derivative if derivative.dim() > x.dim() else torch.diag(derivative)


@FUNCTIONS
@given(values=st.lists(st.floats(-8, 8), min_size=1, max_size=6))
def test_derivative_agrees_with_autograd_and_centred_differences(function, values):
    x = torch.tensor(values, dtype=torch.float64)
    ours = jacobian(function, x)
    assert_close(ours, torch.autograd.functional.jacobian(ORACLES[function], x))
    assert_close(ours, numerical_jacobian(function, x), atol=1e-8, rtol=1e-6)


@pytest.mark.parametrize("shape", [(4,), (3, 4), (2, 3, 4), (0, 4)])
def test_softmax_jacobian_takes_any_batch_shape(shape):
    s = softmax(torch.randn(shape, dtype=torch.float64))
    J = d_softmax(s)
    assert J.shape == (*shape, 4)
    for row, matrix in zip(s.reshape(-1, 4), J.reshape(-1, 4, 4), strict=True):
        assert_close(matrix, torch.diag(row) - torch.outer(row, row))


def test_softmax_jacobian_has_its_off_diagonal():
    s = softmax(torch.tensor([0.3, -1.2, 2.0]))
    assert_close(d_softmax(s)[0, 2], -s[0] * s[2])
    assert_close(d_softmax(s).sum(-1), torch.zeros(3))


@FUNCTIONS
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int64])
def test_whole_numbers_count_as_float32(function, dtype):
    x = torch.tensor([[-128, -3, 0, 1, 127], [5, 250, 2, 2, 9]]).to(dtype)
    assert_close(function(x), ORACLES[function](x.float()), atol=1e-37, rtol=1e-5)


@FUNCTIONS
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_short_floats_are_right_to_their_precision(function, dtype):
    x = torch.tensor([-6e4, -20, -1, -1e-3, 0, 0.5, 3, 6e4], dtype=dtype)
    output = function(x)
    assert output.dtype == dtype
    expected = ORACLES[function](x.double()).to(dtype)
    assert_close(output, expected, atol=2 * torch.finfo(dtype).eps, rtol=0)


@FUNCTIONS
def test_huge_inputs_saturate_and_nan_stays_nan(function):
    x = torch.tensor([[-1e30, 1e30, 0.0], [0.0, torch.nan, 1.0]])
    output = function(x)
    assert_close(output[0], ORACLES[function](x[0]))
    assert output[1, 1].isnan()
