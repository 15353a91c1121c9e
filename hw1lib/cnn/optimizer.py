"""Which weights are stepped by which optimiser: AdamW, and Muon (HW1.ipynb, Q3.I)."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from hw1lib.cnn.recipe import Recipe

#: Share of Muon's average gradient that stays from one step to the next.
MOMENTUM = 0.95


def optimizers(model: nn.Module, recipe: Recipe) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the convolutions over all channels if the recipe has a rate for it.

    Args:
        model: whose parameters are stepped, each by one of the two.
        recipe: rates and weight decay.
    """
    filters, others = [], []
    for p in model.parameters():
        by_muon = recipe.muon_lr is not None and p.ndim == 4 and p.shape[1] > 1
        (filters if by_muon else others).append(p)
    # Biases and batch norm's scales are left out of the decay: they add no complexity.
    decayed = {"params": [p for p in others if p.ndim > 1]}
    free = {"params": [p for p in others if p.ndim <= 1], "weight_decay": 0.0}
    decay, device = recipe.weight_decay, next(model.parameters()).device
    on_gpu = device.type == "cuda"

    def rate(lr: float) -> float | Tensor:
        return torch.tensor(lr, device=device) if on_gpu else lr  # read by recorded steps

    found = [
        torch.optim.AdamW(
            [decayed, free], lr=rate(recipe.lr), weight_decay=decay, capturable=on_gpu
        )
    ]
    if filters:
        found.append(ConvMuon(filters, lr=rate(recipe.muon_lr), weight_decay=decay))
    return found


def one_cycle(
    optimizer: torch.optim.Optimizer, recipe: Recipe, steps: int
) -> torch.optim.lr_scheduler.OneCycleLR:
    """The schedule of an optimiser's rate, which rises to what it is now and falls to 0.

    Args:
        optimizer: whose rate is changed.
        recipe: how long the rate rises.
        steps: in all.
    """
    return torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        float(optimizer.defaults["lr"]),
        total_steps=steps + 1,
        pct_start=recipe.warm_up,
        cycle_momentum=False,
    )


class ConvMuon(torch.optim.Optimizer):
    """Gradient descent that moves all filters, not only those with the greatest gradients.

    Each step's average gradient, a filter a row, is turned into the nearest matrix with
    orthonormal rows. torch.optim.Muon does the same in bfloat16, which many processors only
    emulate, at many times the cost.

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024; the
    step's length is that of Liu et al., Muon is scalable for LLM training, 2025, which suits
    AdamW's learning rates.
    """

    def __init__(
        self, weights: Iterable[nn.Parameter], *, lr: float | Tensor, weight_decay: float
    ) -> None:
        """Take the weights, (out, in, height, width); `step` changes them in place."""
        super().__init__(weights, {"lr": lr, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:
        """One step by the gradients that the weights hold."""
        for group in self.param_groups:
            lr = group["lr"]
            for weight in group["params"]:
                state = self.state[weight]
                if not state:
                    state["average"] = torch.zeros_like(weight)
                average = state["average"].lerp_(weight.grad, 1 - MOMENTUM)
                rows = orthonormal_rows(weight.grad.lerp(average, MOMENTUM).flatten(1))
                weight.mul_(1 - lr * group["weight_decay"])
                weight.sub_(rows.view(weight.shape) * (0.2 * max(rows.shape) ** 0.5 * lr))


def orthonormal_rows(matrix: Tensor) -> Tensor:
    """Nearly the nearest matrix with orthonormal rows (columns, if there are more rows).

    All singular values come to lie between 0.7 and 1.2 or so, save those that were smaller
    than a 500th of the matrix's norm. The iteration by a polynomial needs products of
    X X^T only, which is small: filters have more weights than there are filters.

    Args:
        matrix: float32, (M, N).

    Returns:
        float32, (M, N).

    Source: Jordan et al., Muon: An optimizer for hidden layers in neural networks, 2024: a
    quintic Newton-Schulz iteration, its five steps and coefficients.
    """
    if matrix.shape[0] > matrix.shape[1]:
        return orthonormal_rows(matrix.T).T
    x = matrix / matrix.norm().clamp(min=1e-7)
    gram = x @ x.T
    product = torch.eye(len(x), device=x.device)
    for _ in range(5):
        factor = torch.addmm(gram, gram, gram, beta=-4.7750, alpha=2.0315)
        factor.diagonal().add_(3.4445)
        product = factor @ product
        gram = factor @ gram @ factor
    return product @ x
