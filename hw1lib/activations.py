"""Activations and their derivatives (HW1.ipynb, Q2.I), with tensor manipulation alone.

By the course's convention every `d_*` takes the activation's *output*: the derivatives
of all three can be written with the output alone (Q1.I for softmax), so that a
backward pass needs to keep nothing but what the forward pass returned.
"""

import torch
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    """Logistic function 1 / (1 + exp(-x)), element by element.

    Args:
        x: any shape; integers count as float32.

    Returns:
        Same shape and dtype, in [0, 1]. Where exp(-x) overflows to infinity the
        quotient is exactly 0, the correctly rounded limit; nothing becomes nan.

    Source: HW1.ipynb, Q2.I.
    """
    # In place on the one fresh tensor: at batch size 32 allocations cost more than sums.
    return _floats(x).neg().exp_().add_(1).reciprocal_()


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, element by element.

    Written with expm1(-2|x|), which lies in (-1, 0]: it cannot overflow as exp(x) does
    for large x, and keeps full relative precision where tanh(x) is close to x.

    Args:
        x: any shape; integers count as float32.

    Returns:
        Same shape and dtype, in [-1, 1].

    Source: HW1.ipynb, Q2.I.
    """
    x = _floats(x)
    t = (x.abs() * -2).expm1()  # exp(-2|x|) - 1
    return x.sign() * (-t / (t + 2))


def softmax(x: Tensor) -> Tensor:
    """Softmax over the last axis: exp(x_i) / sum_j exp(x_j).

    The row's maximum is subtracted first; that changes nothing in exact arithmetic and
    keeps every exponent at or below 0.

    Args:
        x: logits, shape (..., N); integers count as float32.

    Returns:
        s, shape (..., N); every row is non-negative and sums to 1.

    Source: HW1.ipynb, Q1.I and Q2.I.
    """
    x = _floats(x)
    e = (x - x.amax(-1, keepdim=True)).exp_()
    return e.div_(e.sum(-1, keepdim=True))


def d_sigmoid(s: Tensor) -> Tensor:
    """Derivative of the sigmoid, from its output.

    Args:
        s: sigmoid output, any shape.

    Returns:
        s (1 - s), same shape; computed as s - s^2, one pass less over the memory.

    Source: HW1.ipynb, Q2.I.
    """
    return s - s * s


def d_tanh(t: Tensor) -> Tensor:
    """Derivative of the hyperbolic tangent, from its output.

    Args:
        t: tanh output, any shape.

    Returns:
        1 - t^2, same shape.

    Source: HW1.ipynb, Q2.I.
    """
    return 1 - t * t


def d_softmax(s: Tensor) -> Tensor:
    """Jacobian of softmax, from its output.

    Args:
        s: softmax output, shape (..., N); rows sum to 1.

    Returns:
        J, shape (..., N, N), with J[i, k] = s_i (delta_ik - s_k).

    Source: HW1.ipynb, Q1.I.
    """
    return torch.diag_embed(s) - s.unsqueeze(-1) * s.unsqueeze(-2)


def _floats(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float()


DERIVATIVES = {sigmoid: d_sigmoid, tanh: d_tanh, softmax: d_softmax}
