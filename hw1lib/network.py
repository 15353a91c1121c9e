"""A fully connected network with one hidden layer, differentiated by hand (HW1.ipynb, Q2.II).

Nothing here but tensor manipulation: no autograd, no torch.nn, no built-in activation,
loss or optimiser. No tensor here ever asks for a gradient.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from hw1lib.activations import DERIVATIVES
from hw1lib.losses import cross_entropy, log_softmax, one_hot


class FullyConnectedNetwork:
    """x -> activation(x W1 + b1) -> softmax(a1 W2 + b2), trained by gradient descent.

    D inputs, H hidden units, C classes, B examples in a batch.

    Attributes:
        W1, b1, W2, b2: (D, H), (H,), (H, C), (C,).
        lr: learning rate.
        activation: the hidden activation.
        a1, log_y_hat: what the last `forward` computed, (B, H) and (B, C).
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        activation_func: Callable[[Tensor], Tensor],
        lr: float,
        *,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        """Draw the weights from N(0, 1) with torch's global generator; biases are zero.

        They are drawn on the CPU: one seed gives the same weights on every device.

        Args:
            input_size: D.
            output_size: C.
            hidden_size: H.
            activation_func: one of those in hw1lib.activations.DERIVATIVES.
            lr: learning rate.
            dtype: of weights and inputs; float64 for checks by finite differences.
            device: where the weights live and the inputs shall be.

        Raises:
            ValueError: the derivative of activation_func is not known; a size is no whole
                number of at least 1; lr is negative or not finite; another dtype.

        Source: HW1.ipynb, Q2.II.a.
        """
        _check_settings((input_size, output_size, hidden_size), activation_func, lr, dtype)
        self.activation = activation_func
        self.lr = lr
        self.W1 = torch.randn(input_size, hidden_size, dtype=dtype).to(device)
        self.b1 = torch.zeros(hidden_size, dtype=dtype, device=device)
        self.W2 = torch.randn(hidden_size, output_size, dtype=dtype).to(device)
        self.b2 = torch.zeros(output_size, dtype=dtype, device=device)

    def forward(self, x: Tensor) -> Tensor:
        """Class probabilities of a batch.

        Args:
            x: (B, D).

        Returns:
            y_hat, (B, C); rows sum to 1.

        Raises:
            ValueError: x has another shape or type.

        Source: HW1.ipynb, Q2.II.
        """
        try:
            z1 = torch.addmm(self.b1, x, self.W1)  # (B, H)
        except (RuntimeError, TypeError) as error:
            raise _misfit(x, self.W1) from error
        self.a1 = self.activation(z1)
        self.log_y_hat = log_softmax(torch.addmm(self.b2, self.a1, self.W2))  # (B, C)
        return self.log_y_hat.exp()

    def backward(
        self,
        x: Tensor,
        y: Tensor,
        y_hat: Tensor,
        *,
        into: dict[str, Tensor] | None = None,
        scale: float = 1.0,
    ) -> dict[str, Tensor]:
        """Gradients of the batch's mean cross-entropy, times `scale`, added to `into`.

        Without `into` these are the gradients themselves. With the weights and -lr it is a
        step of gradient descent: each product is added straight into the weights, which
        spares a second pass over W1.

        Args:
            x: (B, D), the batch that `forward` saw last.
            y: one-hot labels, (B, C).
            y_hat: what `forward(x)` returned, (B, C).
            into: W1, b1, W2, b2 -> tensor of that parameter's shape, changed in place;
                zeros if not given.
            scale: factor of every gradient.

        Returns:
            `into`.

        Source: HW1.ipynb, Q1.II for the first line, Q2.II for the others.
        """
        if into is None:
            into = {name: torch.zeros_like(p) for name, p in self.weights().items()}
        dlogits = y_hat - y  # (B, C), of the sum over the batch; `mean` makes it the mean's
        mean = scale / len(x)
        da1 = dlogits @ self.W2.T  # (B, H)
        derivative = DERIVATIVES[self.activation](self.a1)
        if derivative.dim() > da1.dim():  # a Jacobian an example, (B, H, H)
            dz1 = (da1.unsqueeze(1) @ derivative).squeeze(1)
        else:  # an activation that works element by element, (B, H)
            dz1 = da1.mul_(derivative)
        into["W2"].addmm_(self.a1.T, dlogits, alpha=mean)
        into["b2"].add_(dlogits.sum(0), alpha=mean)
        into["W1"].addmm_(x.T, dz1, alpha=mean)
        into["b1"].add_(dz1.sum(0), alpha=mean)
        return into

    def train_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """One step on a batch; the returned figures are those from before the step.

        Args:
            x: (B, D).
            y: labels, int64, (B,).

        Returns:
            loss_sum (nats), correct, count.
        """
        targets = one_hot(y, len(self.b2), self.b2.dtype)
        y_hat = self.forward(x)
        self.backward(x, targets, y_hat, into=self.weights(), scale=-self.lr)
        return self._score(y, targets)

    def eval_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """Like `train_batch`, without the step."""
        self.forward(x)
        return self._score(y, one_hot(y, len(self.b2), self.b2.dtype))

    def weights(self) -> dict[str, Tensor]:
        """The parameters themselves (not copies) by name: W1, b1, W2, b2."""
        return {"W1": self.W1, "b1": self.b1, "W2": self.W2, "b2": self.b2}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy W1, b1, W2, b2 in.

        Raises:
            ValueError: a name is missing or too many, or a shape differs.
        """
        _check_weights(self.weights(), weights)
        for name, parameter in self.weights().items():
            parameter.copy_(weights[name])

    def _score(self, y: Tensor, targets: Tensor) -> tuple[float, int, int]:
        correct = (self.log_y_hat.argmax(1) == y).count_nonzero()
        return cross_entropy(self.log_y_hat, targets).item(), correct.item(), len(y)


def _check_settings(
    sizes: tuple[int, int, int],
    activation_func: Callable[[Tensor], Tensor],
    lr: float,
    dtype: torch.dtype,
) -> None:
    if activation_func not in DERIVATIVES:
        known = ", ".join(f.__name__ for f in DERIVATIVES)
        raise ValueError(
            f"activation_func={activation_func!r}: no derivative known; use one of {known} "
            "of hw1lib.activations, or add yours to DERIVATIVES there"
        )
    names = ("input_size", "output_size", "hidden_size")
    for name, size in zip(names, sizes, strict=True):
        if not isinstance(size, int) or size < 1:
            raise ValueError(f"{name}={size!r}: expected a whole number of at least 1")
    if not isinstance(lr, int | float) or not 0 <= lr < math.inf:
        raise ValueError(f"lr={lr!r}: expected a finite number of at least 0")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype={dtype}: expected torch.float32 or torch.float64")


def _check_weights(own: dict[str, Tensor], given: dict[str, Tensor]) -> None:
    expected, got = (
        {name: tuple(tensor.shape) for name, tensor in weights.items()}
        for weights in (own, given)
    )
    if expected != got:
        raise ValueError(f"weights of another network: expected {expected}, got {got}")


def _misfit(x: Tensor, W1: Tensor) -> ValueError:
    found = f"{x.dtype}, {tuple(x.shape)}" if isinstance(x, Tensor) else type(x).__name__
    return ValueError(
        f"x: expected {W1.dtype} on {W1.device}, shape (B, {len(W1)}), as "
        f"images.flatten(1).float() / 255 has; got {found}"
    )
