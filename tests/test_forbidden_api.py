"""Q2 uses tensor manipulation alone: its source is scanned, and a training step watched."""

import inspect
from types import ModuleType

import pytest
import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from hw1lib import activations, losses, network, training
from hw1lib.activations import DERIVATIVES
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.submission.check.forbidden import (
    UnreadableError,
    is_forbidden,
    names_bound,
    offences,
    offences_in_cell,
)
from hw1lib.training import Batches, fit

#: history.py is not among them: it holds plain data and imports no torch to misuse.
MODULES = [activations, losses, network, training]

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


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__)
def test_source_on_the_q2_path_uses_nothing_forbidden(module: ModuleType):
    assert [*map(str, offences(inspect.getsource(module)))] == []


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
        "x.tanh_()",
        "y = torch.relu_(x)",
        "loss = torch.binary_cross_entropy_with_logits(x, y)",
        "w.requires_grad_()",
        "optimizer = torch.optim.SGD([w], 0.1)",
        "y = getattr(torch, 'sig' + 'moid')(x)",
    ],
)
def test_scan_finds_an_offence(offence):
    assert [found.line for found in offences(f"import torch\n{offence}")] == [2]
    assert [found.line for found in offences_in_cell(f"import torch\n{offence}")] == [2]


@pytest.mark.parametrize(
    "fine",
    [
        "from pathlib import Path\nfrom hw1lib import plots\nfrom IPython import display",
        "from hw1lib.activations import sigmoid\ny = sigmoid(x)",
        "network.backward(x, y, y_hat)",
        "%matplotlib inline\n!ls\nloss = cross_entropy(log_softmax(x), y)",
        "setattr(network, 'W1', value)",
    ],
)
def test_a_cell_may_import_what_shows_and_saves(fine):
    assert offences_in_cell(fine) == []


@pytest.mark.parametrize(
    ("offence", "named"),
    [
        ("loss.backward()", "backward()"),
        ("loss.backward(gradient)", "backward()"),
        ("from hw1lib import cnn", "hw1lib.cnn"),
        ("from sklearn.neural_network import MLPClassifier", "sklearn.neural_network"),
        ("import tensorflow as tf", "tensorflow"),
        ("import importlib", "importlib"),
        ("import ctypes", "ctypes"),
        ("import builtins", "builtins"),
    ],
)
def test_scan_of_a_cell_finds_an_offence(offence, named):
    assert [found.name for found in offences_in_cell(offence)] == [named]


def test_a_name_bound_to_something_forbidden_is_followed_into_q2():
    bound = names_bound("import torch.nn as layers\nfrom torch import optim\nimport torch.nn")
    assert bound == {"layers", "optim"}
    assert [f.name for f in offences_in_cell("layers.Linear(2, 3)\noptim.SGD", bound)] == [
        "layers",
        "optim",
    ]


@pytest.mark.parametrize(
    ("way", "names"),
    [
        *[("torch.nn.functional.gelu", "functional nn"), ("torch.special.expit", "special")],
        *[("torch.autograd.grad", "autograd grad"), ("torch.optim.SGD", "optim")],
        *[("torch._C._nn.gelu", "_C"), ("torch.ops.aten.gelu", "ops")],
        *[("torch.func.jvp", "func"), ("torch.jit.script", "jit")],
        *((f"torch.{name}", name) for name in ("compile", "enable_grad", "logsumexp", "vmap")),
        *((f"x.{name}", name) for name in ("grad", "log_softmax", "requires_grad", "sigmoid")),
        *((f"layers.{name}", name) for name in ("Module", "Parameter", "conv2d", "kl_div")),
    ],
)
def test_every_way_to_ready_made_gradients_and_layers_is_closed(way, names):
    assert {found.name for found in offences(way) if found.sure} == set(names.split())


def test_what_may_hide_a_name_is_reported_as_unsure():
    (found,) = offences_in_cell("f = getattr(torch, 'sig' + 'moid')")
    assert (found.name, found.sure) == ("getattr", False)


@pytest.mark.parametrize(
    "source", ["x = (", "\0", "-" * 100_000, "(" * 100_000, "x = 1 +" * 9999]
)
def test_source_that_is_no_python_is_an_error_of_its_own(source):
    with pytest.raises(UnreadableError, match=r"no Python|cannot be parsed"):
        offences_in_cell(source)


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


def outside(step) -> set[str]:
    """Operations outside the allowed ones, and functions of autograd, nn and optim."""
    functions, kernels = operations(step)
    last_parts = {name.rpartition(".")[2] for name in functions}
    modules = {n for n in functions if any(m in n for m in ("autograd", "torch.nn", "optim"))}
    return (kernels - ALLOWED_OPERATIONS) | {*filter(is_forbidden, last_parts)} | modules


@pytest.mark.parametrize("activation", DERIVATIVES, ids=lambda f: f.__name__)
def test_a_training_step_asks_torch_for_nothing_but_tensor_manipulation(activation):
    network = FullyConnectedNetwork(6, 3, 4, activation, lr=0.1)
    batches = Batches(torch.rand(5, 6), torch.tensor([0, 1, 2, 0, 1]), 4)

    def step():
        splits = {"train": batches}
        fit(network, batches, num_epochs=1, splits=splits, history=History("run"))

    _, kernels = operations(step)
    assert {"addmm", "exp"} <= kernels, "the watch saw no training step"
    assert outside(step) == set()
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
    assert outside(lambda: offence(x))
