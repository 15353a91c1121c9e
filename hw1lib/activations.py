"""Activations and their derivatives (HW1.ipynb, Q2.I), with tensor manipulation alone.

By the course's convention every `d_*` takes the activation's *output*: the derivatives
of all three can be written with the output alone (Q1.I for softmax), so that a
backward pass needs to keep nothing but what the forward pass returned.
"""

from collections.abc import Callable

import torch
from torch import Tensor


def sigmoid(x: Tensor) -> Tensor:
    """Logistic function 1 / (1 + exp(-x)), element by element.

    Args:
        x: any shape; integers count as float32.

    Returns:
        Same shape and dtype, in [0, 1], never nan where x is not. Where exp(-x) overflows
        (float32: x below -88.7) the result is 0; the true value, below 3e-39, is subnormal.

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


#: By the activation's name.
DERIVATIVES = {"sigmoid": d_sigmoid, "tanh": d_tanh, "softmax": d_softmax}


def derivative_of(activation: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The `d_*` that belongs to an activation, found by its name.

    Args:
        activation: one of this module, or another Python function of the same name, such as
            the `sigmoid` that the course's notebook defines.

    Returns:
        Maps the activation's output to its derivative there.

    Raises:
        ValueError: the activation is one of torch's or no plain Python function, or its name
            is not in DERIVATIVES.

    Source: HW1.ipynb, Q2.I.
    """
    reason = "Q2.II asks for a plain Python function and forbids those that torch has built in"
    plain = hasattr(activation, "__code__")
    if plain and (activation.__module__ or "").partition(".")[0] != "torch":
        if activation.__name__ in DERIVATIVES:
            return DERIVATIVES[activation.__name__]
        reason = "its derivative is not known"
    raise ValueError(
        f"activation_func={activation!r}: {reason}; use {', '.join(DERIVATIVES)} of "
        "hw1lib.activations, or add yours to DERIVATIVES there"
    )


def _floats(x: Tensor) -> Tensor:
    return x if x.is_floating_point() else x.float()
