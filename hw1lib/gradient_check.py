"""Derivatives by centred differences, to hold derivations and code against."""

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from hw1lib.losses import cross_entropy
from hw1lib.network import FullyConnectedNetwork


def numerical_jacobian(
    function: Callable[[Tensor], Tensor], x: Tensor, *, step: float = 1e-6
) -> Tensor:
    """All partial derivatives of a function at a point, each by a centred difference.

    (f(x + h) - f(x - h)) / 2h is off by O(h^2) from truncation and by about 1e-16 / h from
    rounding in float64; h = 1e-6 keeps both near 1e-10.

    Args:
        function: tensor to tensor, any shapes.
        x: the point, float64.
        step: h.

    Returns:
        J, shape function(x).shape + x.shape, with J[i, k] = d function_i / d x_k.

    Raises:
        ValueError: x is not float64; in float32 rounding would drown the differences.
    """
    if x.dtype != torch.float64:
        raise ValueError(f"x must be float64 for differences of {step:g}, got {x.dtype}")
    columns = []
    for k in range(x.numel()):
        h = torch.zeros(x.numel(), dtype=x.dtype)
        h[k] = step
        h = h.view_as(x)
        columns.append((function(x + h) - function(x - h)) / (2 * step))
    return torch.stack(columns, dim=-1).reshape(*columns[0].shape, *x.shape)


def numerical_gradients(
    network: FullyConnectedNetwork, x: Tensor, y: Tensor
) -> dict[str, Tensor]:
    """Gradients of a network's mean cross-entropy by centred differences.

    Args:
        network: of float64; its weights are changed on the way, and are then as before.
        x: (B, D), float64.
        y: one-hot labels, (B, C).

    Returns:
        W1, b1, W2, b2 -> gradient, of that parameter's shape.
    """

    def loss(value: Tensor, name: str) -> Tensor:
        setattr(network, name, value)
        network.forward(x)
        return cross_entropy(network.log_y_hat, y) / len(y)

    gradients = {}
    for name, parameter in network.weights().items():
        gradients[name] = numerical_jacobian(partial(loss, name=name), parameter)
        setattr(network, name, parameter)
    return gradients
