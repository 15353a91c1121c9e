"""A fully connected network with one hidden layer, differentiated by hand (HW1.ipynb, Q2.II).

Nothing here but tensor manipulation: no autograd, no torch.nn, no built-in activation,
loss or optimiser. No tensor here ever asks for a gradient.
"""

import math
from collections.abc import Callable
from numbers import Integral, Real

import torch
from torch import Tensor

from hw1lib.activations import derivative_of
from hw1lib.losses import cross_entropy, log_softmax, one_hot


class FullyConnectedNetwork:
    """x -> activation(x W1 + b1) -> softmax(a1 W2 + b2), trained by gradient descent.

    D inputs, H hidden units, C classes, B examples in a batch.

    Attributes:
        input_size, output_size, hidden_size: D, C, H.
        activation_func: the hidden activation.
        lr: learning rate.
        W1, b1, W2, b2: (D, H), (H,), (H, C), (C,).
        a1, log_y_hat: what the last `forward` computed, (B, H) and (B, C).
    """

    def __init__(
        self,
        input_size: int,
        output_size: int,
        hidden_size: int,
        activation_func: Callable[[Tensor], Tensor],
        lr: float = 0.01,
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
            activation_func: `sigmoid`, `tanh` or `softmax` of hw1lib.activations, or a Python
                function of that name.
            lr: learning rate.
            dtype: of weights and inputs; float64 for checks by finite differences.
            device: where the weights live and the inputs shall be.

        Raises:
            ValueError: activation_func is one of torch's, or its derivative is not known; a
                size is no whole number of at least 1; lr is negative or not finite; another
                dtype.

        Source: HW1.ipynb, Q2.II.a.
        """
        _check_sizes(input_size=input_size, output_size=output_size, hidden_size=hidden_size)
        _check_numbers(lr, dtype)
        self._derivative = derivative_of(activation_func)
        self.input_size, self.hidden_size = input_size, hidden_size
        self.output_size = output_size
        self.activation_func = activation_func
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
        self.a1 = self.activation_func(z1)
        self.log_y_hat = log_softmax(torch.addmm(self.b2, self.a1, self.W2))  # (B, C)
        return self.log_y_hat.exp()

    def gradients(self, x: Tensor, y: Tensor, y_hat: Tensor) -> dict[str, Tensor]:
        """Gradients of the batch's mean cross-entropy; nothing is changed.

        Args:
            x: (B, D), the batch that `forward` saw last.
            y: one-hot labels, (B, C), of any dtype.
            y_hat: what `forward(x)` returned, (B, C).

        Returns:
            W1, b1, W2, b2 -> gradient, of that parameter's shape.

        Raises:
            ValueError: there are not as many labels as images, or of another shape.

        Source: HW1.ipynb, Q2.II.
        """
        dz1, dlogits = self._layer_gradients(x, y, y_hat)
        dW1 = x.T @ dz1  # (D, H)
        db1 = dz1.sum(0)  # (H,)
        dW2 = self.a1.T @ dlogits  # (H, C)
        db2 = dlogits.sum(0)  # (C,)
        return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}

    def backward(self, x: Tensor, y: Tensor, y_hat: Tensor) -> None:
        """One step of gradient descent: each parameter less lr times its gradient.

        The gradients are those that `gradients` returns. Those of W1 and W2 are products, and
        are subtracted while they are computed: dW1 is as large as W1, and to write it down and
        read it again takes a tenth of the step's time.

        Args:
            x: (B, D), the batch that `forward` saw last.
            y: one-hot labels, (B, C), of any dtype.
            y_hat: what `forward(x)` returned, (B, C).

        Raises:
            ValueError: there are not as many labels as images, or of another shape.

        Source: HW1.ipynb, Q2.II.a.
        """
        dz1, dlogits = self._layer_gradients(x, y, y_hat)
        self.W1.addmm_(x.T, dz1, alpha=-self.lr)
        self.b1.sub_(dz1.sum(0), alpha=self.lr)
        self.W2.addmm_(self.a1.T, dlogits, alpha=-self.lr)
        self.b2.sub_(dlogits.sum(0), alpha=self.lr)

    def _layer_gradients(self, x: Tensor, y: Tensor, y_hat: Tensor) -> tuple[Tensor, Tensor]:
        """Gradients of the mean cross-entropy by z1 and by the logits, (B, H) and (B, C)."""
        _check_batch(x, y, y_hat)
        dlogits = (y_hat - y.to(y_hat)).div_(len(x))  # (B, C)
        da1 = dlogits @ self.W2.T  # (B, H)
        derivative = self._derivative(self.a1)
        if derivative.dim() > da1.dim():  # a Jacobian an example, (B, H, H)
            dz1 = (da1.unsqueeze(1) @ derivative).squeeze(1)
        else:  # an activation that works element by element, (B, H)
            dz1 = da1.mul_(derivative)
        return dz1, dlogits

    def train_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """One step on a batch; the returned metrics are those from before the step.

        Args:
            x: (B, D).
            y: labels, int64, (B,).

        Returns:
            loss_sum (nats), correct, count.

        Raises:
            ValueError: x or y has another shape or type, or a label is out of range.
        """
        targets = one_hot(y, self.output_size, self.b2.dtype)
        self.backward(x, targets, self.forward(x))
        return self._score(y, targets)

    def eval_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """Loss and correct predictions on a batch; the weights stay as they are.

        Args:
            x: (B, D).
            y: labels, int64, (B,).

        Returns:
            loss_sum (nats), correct, count.

        Raises:
            ValueError: x or y has another shape or type, or a label is out of range.
        """
        targets = one_hot(y, self.output_size, self.b2.dtype)
        _check_batch(x, targets, self.forward(x))
        return self._score(y, targets)

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

    def state_dict(self) -> dict:
        """Weights and learning rate: all that training changes."""
        return {**self.weights(), "lr": float(self.lr)}

    def load_state_dict(self, state: dict) -> None:
        """Become what `state_dict` described.

        Raises:
            ValueError: the weights are those of another network.
        """
        weights = dict(state)
        self.lr = weights.pop("lr")
        self.load_weights(weights)

    def _score(self, y: Tensor, targets: Tensor) -> tuple[float, int, int]:
        correct = (self.log_y_hat.argmax(1) == y).count_nonzero()
        return cross_entropy(self.log_y_hat, targets).item(), correct.item(), len(y)


def _check_sizes(**sizes: int) -> None:
    for name, size in sizes.items():
        if not isinstance(size, Integral) or size < 1:
            raise ValueError(f"{name}={size!r}: expected a whole number of at least 1")


def _check_numbers(lr: float, dtype: torch.dtype) -> None:
    if not isinstance(lr, Real) or not 0 <= lr < math.inf:
        raise ValueError(f"lr={lr!r}: expected a finite number of at least 0")
    if dtype not in (torch.float32, torch.float64):
        raise ValueError(f"dtype={dtype}: expected torch.float32 or torch.float64")


def _check_batch(x: Tensor, y: Tensor, y_hat: Tensor) -> None:
    if y.shape != y_hat.shape or len(x) != len(y):
        raise ValueError(
            f"expected a row of {y_hat.shape[-1]} numbers of y for each image, as one_hot "
            f"gives; got {len(x)} images, y of shape {tuple(y.shape)} ({len(y)} labels), and "
            f"y_hat of shape {tuple(y_hat.shape)}"
        )


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
