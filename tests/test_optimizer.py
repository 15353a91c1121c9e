"""Muon on convolutions is torch's Muon on matrices whose rows are the filters."""

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from hw1lib.cnn.optimizer import ConvMuon

SETTINGS = {"lr": 0.1, "weight_decay": 0.05}


def layer(side):
    torch.manual_seed(0)
    return nn.Conv2d(5, 4, side, bias=False).to(memory_format=torch.channels_last)


@pytest.mark.parametrize("side", [1, 3])
def test_steps_are_those_of_muon_on_the_filters_as_rows(side):
    conv = layer(side)
    rows = [weight.flatten().tolist() for weight in conv.weight.detach().permute(0, 2, 3, 1)]
    matrix = nn.Parameter(torch.tensor(rows))
    ours = ConvMuon([conv.weight], **SETTINGS)
    theirs = torch.optim.Muon([matrix], adjust_lr_fn="match_rms_adamw", **SETTINGS)
    for _ in range(3):
        conv.weight.grad = torch.randn_like(conv.weight)
        matrix.grad = conv.weight.grad.permute(0, 2, 3, 1).flatten(1)
        ours.step()
        theirs.step()
    assert_close(conv.weight.detach().permute(0, 2, 3, 1).flatten(1), matrix.detach())


def test_step_without_decay_moves_every_filter_alike_however_small_its_gradient():
    conv = layer(3)
    before = conv.weight.detach().clone()
    conv.weight.grad = torch.randn(4, 5, 3, 3) * torch.tensor([1, 0.3, 0.1, 0.03]).view(
        4, 1, 1, 1
    )
    ConvMuon([conv.weight], lr=0.1, weight_decay=0.0).step()
    moved = (conv.weight.detach() - before).flatten(1).norm(dim=1)
    assert moved.max() < 2 * moved.min()


def test_weights_in_another_order_are_refused_rather_than_left_as_they_are():
    conv = nn.Conv2d(5, 4, 3)
    with pytest.raises(ValueError, match="channels-last"):
        ConvMuon([conv.weight], **SETTINGS)
