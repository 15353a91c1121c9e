"""Cross-entropy from logits (HW1.ipynb, Q1.II and Q2.II), with tensor manipulation alone."""

import torch
from torch import Tensor

from hw1lib.assignment import OUTPUT_SIZE


def one_hot(
    labels: Tensor, num_classes: int = OUTPUT_SIZE, dtype: torch.dtype = torch.float32
) -> Tensor:
    """Labels as rows of the identity matrix.

    Args:
        labels: int64, shape (B,), each in 0 .. num_classes - 1.
        num_classes: N; the ten digits if not given.
        dtype: floating-point type of the result.

    Returns:
        y, shape (B, N).

    Raises:
        ValueError: a label lies outside 0 .. num_classes - 1, or is no integer.

    Source: HW1.ipynb, Q1.II.
    """
    identity = torch.eye(num_classes, dtype=dtype, device=labels.device)
    try:  # index_select checks the range anyway; a check of our own would cost every step
        return identity.index_select(0, labels)
    except (IndexError, RuntimeError) as error:
        raise _misfit(labels, num_classes) from error


def log_softmax(logits: Tensor) -> Tensor:
    """Logarithm of softmax over the last axis, without a quotient to take the log of.

    log softmax(theta)_i = theta_i - log sum_j exp(theta_j), where the log-sum-exp is taken
    after subtracting the row's maximum: no exponential overflows and no log(0) appears,
    however wrong and however sure the network is.

    Args:
        logits: theta, shape (..., C), floating point.

    Returns:
        Same shape, at most 0.

    Source: HW1.ipynb, Q1.II.
    """
    shifted = logits - logits.amax(-1, keepdim=True)
    return shifted.sub_(shifted.exp().sum(-1, keepdim=True).log_())


def cross_entropy(log_y_hat: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy summed over a batch: - sum_b sum_i y_bi log y_hat_bi.

    Args:
        log_y_hat: `log_softmax` of the logits, shape (B, C).
        y: one-hot labels, shape (B, C).

    Returns:
        The sum in nats, shape ().

    Source: HW1.ipynb, Q1.II.
    """
    return -(log_y_hat.flatten() @ y.flatten())


def _misfit(labels: Tensor, num_classes: int) -> ValueError:
    found = f"{labels.dtype}, shape {tuple(labels.shape)}"
    if labels.numel():
        found += f", from {labels.min()} to {labels.max()}"
    return ValueError(
        f"labels must be int64, shape (B,), each in 0..{num_classes - 1}; got {found}"
    )
