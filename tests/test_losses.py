"""Cross-entropy and one-hot labels against torch's own."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F
from torch.testing import assert_close

from hw1lib.activations import softmax
from hw1lib.gradient_check import numerical_jacobian
from hw1lib.losses import cross_entropy, log_softmax, one_hot

logits_rows = st.lists(
    st.lists(st.floats(-1e4, 1e4, width=32), min_size=5, max_size=5), min_size=1, max_size=6
)


@given(values=logits_rows, dtype=st.sampled_from([torch.float32, torch.float64]))
def test_cross_entropy_agrees_with_torch_and_stays_finite(values, dtype):
    logits = torch.tensor(values, dtype=dtype)
    labels = torch.arange(len(values)) % 5
    loss = cross_entropy(log_softmax(logits), one_hot(labels, 5, dtype))
    assert loss.isfinite()
    assert_close(loss, F.cross_entropy(logits, labels, reduction="sum"), atol=1e-5, rtol=1e-5)


def test_gradient_of_cross_entropy_is_softmax_minus_labels():
    theta = torch.randn(3, 4, dtype=torch.float64)
    y = one_hot(torch.tensor([0, 3, 3]), 4, torch.float64)
    numerical = numerical_jacobian(lambda t: cross_entropy(log_softmax(t), y), theta)
    assert_close(softmax(theta) - y, numerical, atol=1e-8, rtol=1e-6)


def test_log_softmax_leaves_its_input_alone():
    logits = torch.tensor([[1.0, 2.0, 3.0]])
    log_softmax(logits)
    assert logits.tolist() == [[1.0, 2.0, 3.0]]


@given(labels=st.lists(st.integers(0, 9), max_size=20))
def test_one_hot_agrees_with_torch(labels):
    labels = torch.tensor(labels, dtype=torch.int64)
    assert_close(one_hot(labels, 10), F.one_hot(labels, 10).float())


def test_one_hot_rows_are_made_where_the_labels_are():
    assert one_hot(torch.zeros(3, dtype=torch.int64, device="meta"), 10).device.type == "meta"


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        (range(100), "from 0 to 99"),
        ([-1, 2], "from -1 to 2"),
        ([0.0, 1.0], "float32"),
        ([[3]], r"shape \(1, 1\)"),
    ],
)
def test_one_hot_says_which_labels_do_not_fit(labels, found):
    with pytest.raises(ValueError, match=rf"labels must be int64.*0\.\.9; got .*{found}"):
        one_hot(torch.tensor([*labels]), 10)
