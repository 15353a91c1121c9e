"""Muon on convolutions is torch's Muon on matrices whose rows are the filters, but exact."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.testing import assert_close

from hw1lib.cnn.optimizer import ConvMuon, one_cycle, orthonormal_rows
from hw1lib.cnn.recipe import Recipe

SETTINGS = {"lr": 0.1, "weight_decay": 0.05}


def layer(side):
    torch.manual_seed(0)
    return nn.Conv2d(5, 4, side, bias=False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [1, 3])
def test_steps_are_those_of_muon_on_the_filters_as_rows(side):
    conv = layer(side)
    matrix = nn.Parameter(conv.weight.detach().flatten(1).clone())
    start = matrix.detach().clone()
    ours = ConvMuon([conv.weight], **SETTINGS)
    theirs = torch.optim.Muon([matrix], adjust_lr_fn="match_rms_adamw", **SETTINGS)
    for _ in range(3):
        conv.weight.grad = torch.randn_like(conv.weight)
        matrix.grad = conv.weight.grad.flatten(1)
        ours.step()
        theirs.step()
    assert (matrix - start).abs().max() > 0.05, "too short a way to tell them apart"
    # torch rounds to 3 digits on its way
    assert_close(conv.weight.detach().flatten(1), matrix.detach(), rtol=0.0, atol=0.005)


def test_step_without_decay_moves_every_filter_alike_however_small_its_gradient():
    conv = layer(3)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.randn(4, 5, 3, 3) * torch.tensor([1, 0.3, 0.1, 0.03]).view(
        4, 1, 1, 1
    )
    ConvMuon([conv.weight], lr=0.1, weight_decay=0.0).step()
    moved = (conv.weight.detach() - before).flatten(1).norm(dim=1)
    assert moved.max() < 2 * moved.min()


def test_filters_without_a_gradient_only_decay():
    conv = layer(3)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.zeros_like(conv.weight)
    ConvMuon([conv.weight], **SETTINGS).step()
    assert_close(conv.weight.detach(), before * (1 - 0.1 * 0.05))


def test_step_of_a_rate_in_a_tensor_is_that_of_the_number():
    by_number, by_tensor = layer(3), layer(3)
    rate = torch.tensor(0.0)
    theirs = ConvMuon([by_number.weight], lr=0.0, weight_decay=0.05)
    ours = ConvMuon([by_tensor.weight], lr=rate, weight_decay=0.05)
    for lr in (0.1, 0.02):
        theirs.param_groups[0]["lr"] = lr
        rate.fill_(lr)
        by_number.weight.grad = torch.randn_like(by_number.weight)
        by_tensor.weight.grad = by_number.weight.grad.clone()
        theirs.step()
        ours.step()
    assert not torch.equal(by_tensor.weight, layer(3).weight)
    assert_close(by_tensor.weight, by_number.weight)


@pytest.mark.parametrize("kind", [float, torch.tensor])
def test_rate_rises_to_what_it_was_and_falls_to_0_where_it_is(kind):
    conv = layer(1)
    conv.weight.grad = torch.zeros_like(conv.weight)
    optimizer = ConvMuon([conv.weight], lr=kind(0.5), weight_decay=0.0)
    (group,) = optimizer.param_groups
    place = group["lr"]
    cycle = one_cycle(optimizer, Recipe(warm_up=0.25), 40)
    rates = [float(group["lr"])]
    for _ in range(40):
        optimizer.step()
        cycle.step()
        rates.append(float(group["lr"]))
    assert rates[0] == pytest.approx(0.5 / 25)
    top = rates.index(max(rates))
    assert top in (9, 10)
    assert max(rates) == pytest.approx(0.5, rel=0.01)
    assert rates[-1] < 1e-5
    assert rates[:top] == sorted(rates[:top])
    assert rates[top:] == sorted(rates[top:], reverse=True)
    assert kind is float or group["lr"] is place, "a recorded step reads the old place"


@given(
    st.integers(1, 40),
    st.integers(1, 40),
    st.floats(-6, 6),
    st.floats(0, 2),
    st.integers(0, 99),
)
def test_singular_values_come_to_lie_near_1_and_singular_vectors_stay(m, n, size, spread, seed):
    torch.manual_seed(seed)
    least = min(m, n)
    left, right = (
        torch.linalg.qr(torch.randn(side, least, dtype=torch.double))[0] for side in (m, n)
    )
    values = torch.logspace(size, size - spread, least, dtype=torch.double)
    found = left.T @ orthonormal_rows((left * values @ right.T).float()).double() @ right
    assert 0.6 < found.diag().min() <= found.diag().max() < 1.3
    assert_close(found, torch.diag(found.diag()), rtol=0.0, atol=0.02)
