"""Q2 uses tensor manipulation alone: its source is scanned, and a training step watched."""

import inspect
from types import ModuleType

import pytest
import torch
from torch.overrides import TorchFunctionMode, resolve_name
from torch.utils._python_dispatch import TorchDispatchMode

from hw1lib import activations, losses, network, training
from hw1lib.activations import sigmoid, softmax, tanh
from hw1lib.history import History
from hw1lib.network import FullyConnectedNetwork
from hw1lib.submission.check.forbidden import (
    Reader,
    UnreadableError,
    is_forbidden,
    offences,
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
    assert [found.line for found in Reader().read(f"import torch\n{offence}")] == [2]


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
    assert Reader().read(fine) == []


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
    assert [found.name for found in Reader().read(offence)] == [named]


@pytest.mark.parametrize(
    ("before", "cell", "named"),
    [
        ("import torch.nn as layers", "layers.Linear(2, 3)", "torch.nn.Linear"),
        ("from torch import optim", "optim.SGD", "torch.optim.SGD"),
        ("import torch as t", "t.hub.load('x')", "torch.hub.load"),
        ("F = torch.nn.functional", "F(x)", "F, made with torch.nn.functional,"),
        ("def step(): loss.backward()", "step()", "step, made with backward(),"),
        ("import torchvision", "torchvision.models.vgg16()", "torchvision.models.vgg16"),
        ("import hw1lib", "hw1lib.cnn.model.GroceryNet()", "hw1lib.cnn.model.GroceryNet"),
        ("import sklearn", "sklearn.fit()", "sklearn.fit"),
        ("import google", "google.cloud.x()", "google.cloud.x"),
    ],
)
def test_what_an_earlier_cell_bound_a_name_to_is_followed_into_q2(before, cell, named):
    reader = Reader()
    reader.learn(before)
    (offence,) = reader.read(cell)
    assert (offence.name, offence.sure) == (named, True)
    reader.learn(f"{cell.split('.')[0].split('(')[0]} = 1")
    assert reader.read(cell.split(".")[0].split("(")[0]) == []


@pytest.mark.parametrize(
    ("before", "cell"),
    [
        ("from hw1lib.helpers import train", "train(x)\ntrain(y)"),
        ("from hw1lib import helpers as ours", "ours.train(x)"),
        ("", "from hw1lib.helpers import train\ntrain(x)"),
    ],
)
def test_a_module_that_this_hw1lib_lacks_is_told_once_a_cell(before, cell):
    reader = Reader()
    reader.learn(before)
    for _ in range(2):
        (offence,) = reader.read(cell)
        assert offence.name.startswith("hw1lib.helpers, whose source is not among")
        assert (offence.line, offence.sure) == (1, False)


#: Ways to break the rule; False where a reading cannot tell, so that a person has to look.
WAYS = {
    "torch.nn.functional.gelu": True,
    "torch.special.expit(x)": True,
    "torch.autograd.grad(x)": True,
    "torch.optim.SGD": True,
    "torch._C._nn.gelu(x)": True,
    "torch._refs.tanh(x)": True,
    "torch.ops.aten.gelu(x)": True,
    "torch.func.jvp": True,
    "torch.jit.script(f)": True,
    "torch.compile(f)": True,
    "torch.hub.load('x', 'y')": True,
    "torch.masked.softmax(x)": True,
    "torch.enable_grad()": True,
    "torch.set_grad_enabled(True)": True,
    "torch.set_grad_enabled(mode=True)": True,
    "torch.set_grad_enabled(wanted)": True,
    "torch.set_grad_enabled(not True)": True,
    "switch = torch.set_grad_enabled": True,
    "torch.autograd.set_grad_enabled(False)": True,
    "torch.logsumexp(x, 0)": True,
    "torch.vmap(f)": True,
    "x.grad": True,
    "x.log_softmax(0)": True,
    "x.sigmoid_()": True,
    "x.requires_grad = True": True,
    "x.requires_grad_()": True,
    "x = torch.zeros(3, requires_grad=True)": True,
    "x = torch.zeros(3, requires_grad=wanted)": True,
    "x.register_hook(f)": True,
    "x.retain_grad()": True,
    "loss.backward()": True,
    "loss.backward(gradient)": True,
    "loss.backward(None, False)": True,
    "loss.backward(None, False, True)": True,
    "loss.backward(retain_graph=True)": True,
    "torch.Tensor.backward(loss)": True,
    "layers.Module": True,
    "layers.Parameter(x)": True,
    "layers.conv2d(x, w)": True,
    "import torchvision.models": True,
    "from torchvision import models": True,
    "import hw1lib\nhw1lib.cnn.model": True,
    "from hw1lib import vgg": True,
    "from google.cloud import automl": True,
    "import google\ngoogle.cloud.automl": True,
    "from google.colab import auth": True,
    "from google.colab import *": True,
    "vars(torch)['nn']": True,
    "torch.__dict__['nn']": True,
    "sys.modules['torch.nn']": True,
    "getattr(torch, 'sigmoid')(x)": True,
    "operator.attrgetter('nn.functional')(torch)": True,
    "__import__('torch.nn')": True,
    "%time loss.backward()": True,
    "%timeit -n 10 loss.backward()": True,
    "%%time\nloss.backward()": True,
    "getattr(torch, 'sig' + 'moid')(x)": False,
    "vars(torch)[name]": False,
    "torch.__dict__[name]": False,
    "sys.modules[name]": False,
    "attrgetter(name)(torch)": False,
    "eval(text)": False,
    "exec(text)": False,
    "from hw1lib.helpers import train": False,
    "from hw1lib import helpers": False,
    "from hw1lib.datasets import mnist, helpers": False,
    "import hw1lib.helpers as ours": False,
    "import hw1lib\nhw1lib.helpers.train(x)": False,
    "import importlib": False,
    "import subprocess": False,
    "import runpy": False,
    "step = loss.backward": False,
    "loss.backward(*nothing)": False,
    "%run train.py": False,
    "%load train.py": False,
    "!python train.py": False,
    "!ls; python train.py": False,
    "lines = !python train.py": False,
    "%%python\nimport torch.nn": False,
    "%%bash\npython train.py": False,
}


@pytest.mark.parametrize("way", WAYS)
def test_each_way_to_ready_made_gradients_and_layers_is_seen(way):
    found = Reader().read(f"import torch\n{way}" if way[:2] != "%%" else way)
    assert {offence.sure for offence in found} == {WAYS[way]}, [*map(str, found)]


@pytest.mark.parametrize(
    "fine",
    [
        "import re\nre.compile('x')",
        "args.func(x)",
        "from torch.utils.data import DataLoader",
        "from torchvision import datasets, transforms",
        "y = self.softmax(x)",
        "torch.zeros(3, requires_grad=False)",
        "model.backward(x, one_hot(labels), y_hat)",
        "from hw1lib.network import FullyConnectedNetwork as N\nsource_line(N.backward, 'x')",
        "model.backward(x=x, y=y, y_hat=y_hat)",
        "%matplotlib inline",
        "!pip install torch",
        "%time train(model)",
        "torch.no_grad()",
        "torch.set_grad_enabled(False)",
        "with torch.set_grad_enabled(mode=False):\n    train(model)",
        "from google.colab import files\nfiles.download(str(weights_file))",
        "from google.colab import drive\ndrive.mount('/content/drive')",
        "import google.colab\ngoogle.colab.files.download('x')",
        "from google import colab\ncolab.files.download('x')",
        "import hw1lib\nprint(hw1lib.__file__)",
        "from hw1lib.datasets import mnist, standins\nmnist.load_test(folder)",
        "from hw1lib.report import show_source\nshow_source.any.name(x)",
    ],
)
def test_what_is_allowed_is_not_reported(fine):
    assert Reader().read(f"import torch\n{fine}") == []


@pytest.mark.parametrize(
    "source", ["x = (", "\0", "-" * 100_000, "(" * 100_000, "x = 1 +" * 9999]
)
def test_source_that_is_no_python_is_an_error_of_its_own(source):
    with pytest.raises(UnreadableError, match=r"no Python|cannot be parsed"):
        Reader().read(source)


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


@pytest.mark.parametrize("activation", [sigmoid, tanh, softmax], ids=lambda f: f.__name__)
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
