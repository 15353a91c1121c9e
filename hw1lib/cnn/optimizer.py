"""Muon for convolutions (HW1.ipynb, Q3.I)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class ConvMuon(torch.optim.Muon):
    """torch's Muon, which steps matrices, on the weights of convolutions: a filter a row.

    It turns each step's average gradient into the nearest matrix with orthonormal rows, so
    that all filters move, each its own way, and not only those with the greatest gradients.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; the
    step's length is that of Liu et al., Muon is scalable for LLM training, 2025, which suits
    AdamW's learning rates.
    """

    def __init__(self, weights: Iterable[nn.Parameter], **settings: float) -> None:
        """Take the weights, (out, in, height, width) in channels-last order.

        Args:
            weights: changed in place by `step`.
            settings: lr, weight_decay and others of torch.optim.Muon.

        Raises:
            ValueError: a weight lies in memory in another order.
        """
        self._weights = list(weights)
        matrices = [_matrix(weight.detach()) for weight in self._weights]
        for weight, matrix in zip(self._weights, matrices, strict=True):
            if weight.data_ptr() != matrix.data_ptr():
                raise ValueError("the weights must be in channels-last order")
        super().__init__(matrices, adjust_lr_fn="match_rms_adamw", **settings)

    def step(self, closure: None = None) -> None:
        """One step by the gradients that the weights hold."""
        matrices = self.param_groups[0]["params"]
        for weight, matrix in zip(self._weights, matrices, strict=True):
            matrix.grad = _matrix(weight.grad)
        super().step(closure)


def _matrix(weight: Tensor) -> Tensor:
    """The same memory as (out, height * width * in)."""
    return weight.permute(0, 2, 3, 1).flatten(1)
