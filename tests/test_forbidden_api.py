"""Q2 uses tensor manipulation alone: its source is scanned, and a training step watched."""

import ast
import inspect
from types import ModuleType

import pytest
import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from hw1lib import activations, losses, network, training
from hw1lib.activations import sigmoid, softmax, tanh
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, fit

#: history.py is not among them: it holds plain data and imports no torch to misuse.
MODULES = [activations, losses, network, training]

#: Names that no module on the Q2 path may use, whatever object they are taken from.
FORBIDDEN_NAMES = {
    *("autograd", "backward_hook", "grad", "requires_grad", "requires_grad_", "enable_grad"),
    *("nn", "functional", "special", "optim", "Parameter", "Module", "jit", "compile", "vmap"),
    *("sigmoid", "sigmoid_", "expit", "tanh", "tanh_", "softmax", "log_softmax", "relu"),
    *("logsumexp", "cross_entropy", "nll_loss", "logsigmoid", "getattr", "eval", "exec"),
}
#: All that Q2 may import.
ALLOWED_IMPORTS = {
    *("math", "os", "time", "typing", "collections.abc", "contextlib", "dataclasses", "torch"),
    *("hw1lib.activations", "hw1lib.losses", "hw1lib.history"),
}
#: All that a training step may ask of torch: what moves, adds, multiplies and compares
#: numbers, and the elementary functions exp, expm1 and log.
ALLOWED_OPERATIONS = {
    *(
        "abs",
        "add",
        "addmm",
        "amax",
        "argmax",
        "bmm",
        "clone",
        "copy",
        "count_nonzero",
        "detach",
    ),
    *("diag_embed", "div", "dot", "empty", "eq", "exp", "expand", "expm1", "eye", "fill"),
    *(
        "index_select",
        "lift_fresh",
        "log",
        "matmul",
        "mm",
        "mul",
        "neg",
        "permute",
        "reciprocal",
    ),
    *("reshape", "rsub", "select", "sign", "slice", "split", "squeeze", "sub", "sum", "t"),
    *("transpose", "unsafe_view", "unsqueeze", "view", "zero", "zeros", "zeros_like"),
    *(
        "_local_scalar_dense",
        "_unsafe_view",
        "empty_like",
        "empty_strided",
        "new_empty_strided",
    ),
}


def findings(source: str) -> list[str]:
    """Forbidden imports and names in a piece of source, each with its line."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
            if node.module == "torch":
                found += [f"{node.lineno}: {a.name}" for a in node.names if a.name != "Tensor"]
        else:
            # Only what is taken from somewhere: our own sigmoid is a plain name.
            if isinstance(node, ast.Attribute) and node.attr in FORBIDDEN_NAMES:
                found.append(f"{node.lineno}: {node.attr}")
            if isinstance(node, ast.Name) and node.id in {"getattr", "eval", "exec"}:
                found.append(f"{node.lineno}: {node.id}")
            continue
        found += [f"{node.lineno}: {name}" for name in names if name not in ALLOWED_IMPORTS]
    return found


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_source_on_the_q2_path_uses_nothing_forbidden(module: ModuleType):
    assert findings(inspect.getsource(module)) == []


@pytest.mark.parametrize(
    "offence",
    [
        "import torch.nn as layers",
        "from torch import nn",
        "from torch.nn.functional import cross_entropy",
        "from torch import sigmoid",
        "import hw1lib.cnn",
        "y = torch.sigmoid(x)",
        "y = x.softmax(-1)",
        "w.requires_grad_()",
        "optimizer = torch.optim.SGD([w], 0.1)",
        "y = getattr(torch, 'sig' + 'moid')(x)",
    ],
)
def test_scan_finds_an_offence(offence):
    assert findings(f"import torch\n{offence}")


class Watch(TorchFunctionMode):
    """Notes the name of every function of torch that is called."""

    def __init__(self, called: set[str]):
        super().__init__()
        self.called = called

    def __torch_function__(self, func, types, args=(), kwargs=None):
        self.called.add(resolve_name(func) or getattr(func, "__name__", str(func)))
        return func(*args, **(kwargs or {}))


class WatchDispatch(TorchDispatchMode):
    """Notes the name of every operation that reaches torch's kernels."""

    def __init__(self, called: set[str]):
        super().__init__()
        self.called = called

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        self.called.add(func.overloadpacket.__name__)
        return func(*args, **(kwargs or {}))


def operations(step) -> tuple[set[str], set[str]]:
    """What a step called: public functions by full name, and operations by plain name."""
    functions: set[str] = set()
    kernels: set[str] = set()
    with Watch(functions), WatchDispatch(kernels):
        step()
    return functions, {name.removesuffix("_") for name in kernels}


def offences(step) -> set[str]:
    """Operations outside the allowed ones, and functions of autograd, nn and optim."""
    functions, kernels = operations(step)
    last_parts = {name.rpartition(".")[2] for name in functions}
    modules = {n for n in functions if any(m in n for m in ("autograd", "torch.nn", "optim"))}
    return (kernels - ALLOWED_OPERATIONS) | (last_parts & FORBIDDEN_NAMES) | modules


@pytest.mark.parametrize("activation", [sigmoid, tanh, softmax], ids=lambda f: f.__name__)
def test_a_training_step_asks_torch_for_nothing_but_tensor_manipulation(activation):
    network = FullyConnectedNetwork(6, 3, 4, activation, lr=0.1)
    batches = Batches(torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1]), 4)

    def step():
        fit(network, batches, num_epochs=1, splits={"train": batches})

    _, kernels = operations(step)
    assert {"addmm", "exp"} <= kernels, "the watch saw no training step"
    assert offences(step) == set()
    assert not any(p.requires_grad for p in network.weights().values())


@pytest.mark.parametrize(
    "offence",
    [
        lambda x: torch.sigmoid(x),
        lambda x: x.tanh_(),
        lambda x: torch.nn.functional.relu(x),
        lambda x: torch.logsumexp(x, 0),
        lambda x: torch.nn.Linear(3, 2)(x),
        lambda x: torch.nn.functional.cross_entropy(x, torch.tensor([0, 1])),
        lambda x: x.clone().requires_grad_(),
        lambda x: torch.optim.SGD([x], 0.1).step(),
    ],
    ids=["sigmoid", "tanh_", "relu", "logsumexp", "Linear", "cross_entropy", "grad", "SGD"],
)
def test_watch_catches_an_offence(offence):
    x = torch.rand(2, 3)
    x.grad = torch.ones_like(x)
    assert offences(lambda: offence(x))
