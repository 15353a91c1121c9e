"""What question 2 may not use, found by reading source; nothing is run.

Allowed are tensors alone: no autograd, no built-in layers, losses, activations, optimisers.
A reading sees names. What computes a name while it runs is reported as unsure; docs/check.md
says what no reading can prove.
"""

import ast
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from IPython.core.inputtransformer2 import TransformerManager

#: Layers, activations and losses that tensors, or torch itself, have ready-made.
READY_MADE = {
    name.removesuffix("_")
    for name in {*dir(torch), *dir(torch.Tensor)} & {*dir(torch.nn.functional)}
    if inspect.isroutine(getattr(torch.nn.functional, name))
}
#: Names that no code on the Q2 path may use, whatever object they are taken from.
FORBIDDEN_NAMES = READY_MADE | {
    *("autograd", "grad", "requires_grad", "enable_grad", "set_grad_enabled", "retain_grad"),
    *("grad_fn", "register_hook", "register_post_accumulate_grad_hook", "vmap", "_C"),
    *("nn", "functional", "special", "optim", "Parameter", "Module", "logsumexp", "softplus"),
}
#: Parts of torch of the same kind whose names mean something else elsewhere.
_OF_TORCH = {
    *("compile", "export", "func", "fx", "hub", "jit", "library", "masked", "ops", "package"),
}
#: Names that hide from this reading which others are used.
VEILS = {
    *("getattr", "eval", "exec", "__import__", "import_module", "vars", "globals", "modules"),
    *("attrgetter", "methodcaller", "__dict__", "__builtins__", "__getattribute__"),
    *("__subclasses__", "run_path", "run_module", "resolve_name"),
}
#: All that the library's modules on the Q2 path may import.
ALLOWED_IMPORTS = {
    *("math", "numbers", "os", "time", "typing", "collections.abc", "contextlib"),
    *("dataclasses", "torch", "hw1lib.activations", "hw1lib.assignment", "hw1lib.losses"),
    "hw1lib.history",
}
#: Packages that the notebook's cells of Q2 may import from besides, to load, show and save.
_PACKAGES = {
    *("hw1lib", "torch", "torchvision", "IPython", "matplotlib", "seaborn", "numpy", "pandas"),
    *("PIL", "tqdm", *sys.stdlib_module_names),
}
#: Of these packages, what is not for Q2; and of that, what is.
_NOT_FOR_Q2 = ("hw1lib.cnn", "hw1lib.vgg", "torchvision.models", "torch.")
_FOR_Q2 = ("torch.utils",)
#: Of Google's packages, what takes files into Colab and out of it.
_COLAB = ("google.colab.files", "google.colab.drive")
#: Modules that run code which stands elsewhere.
_RUNNERS = {"builtins", "ctypes", "importlib", "runpy", "subprocess"}
#: What is said of a module of hw1lib that only the student has.
_ELSEWHERE = ", whose source is not among what is handed in"

_MAGIC = re.compile(r"^\s*(?:[%!]|.*=\s*[%!]|.*\?\s*$)", re.MULTILINE)
#: Magics that run the code they are given, and those that run code which stands elsewhere.
_OPTIONS = re.compile(r"^(\s*-\w+\s*\d*)+\s+")
_TIMERS = {"time", "timeit", "prun", "capture"}
_RUNS = re.compile(
    r"run|load|script|bash|sh|python[23]?|pypy|perl|ruby|sx|system|macro|edit|sc"
)
_HARMLESS = re.compile(
    r"(ls|pwd|cat|head|nvidia-smi|pip3?|mkdir|wget|curl|unzip)\b[^;&|`$()<>]*"
)


@dataclass(frozen=True)
class Offence:
    """A forbidden name or import; `sure` unless the reading cannot tell what it stands for."""

    line: int
    name: str
    sure: bool = True

    def __str__(self) -> str:
        return f"{self.line}: {self.name}"


class UnreadableError(ValueError):
    """Source that is no Python; the message says where."""


def is_forbidden(name: str) -> bool:
    """Whether question 2 may not use what has this name, or the same done in place."""
    return name.removesuffix("_") in FORBIDDEN_NAMES


def offences(source: str) -> list[Offence]:
    """What a module on the Q2 path uses or imports and must not.

    Raises:
        UnreadableError: it is no Python.
    """
    return Reader(lambda module: module in ALLOWED_IMPORTS).read(source)


def _is_for_q2(module: str) -> bool:
    if _is_for_colab(module):
        return True
    if module.split(".")[0] not in _PACKAGES - _RUNNERS:
        return False
    return module.startswith(_FOR_Q2) or not module.startswith(_NOT_FOR_Q2)


def _is_for_colab(name: str) -> bool:
    """Whether a name is on the way to one of these modules, or within one."""
    ways = ((f"{name}.", f"{module}.") for module in _COLAB)
    return any(one.startswith(other) or other.startswith(one) for one, other in ways)


@cache
def _library() -> dict[str, bool]:
    """The modules of hw1lib as it is here, and whether each is a package."""
    folder = Path(__file__).parents[2]
    names = {".".join(p.relative_to(folder.parent).parts) for p in folder.rglob("*.py")}
    return {
        name.removesuffix(".py").removesuffix(".__init__"): name.endswith(".__init__.py")
        for name in names
    }


def _unknown_module(name: str) -> str:
    """The module on the way to `hw1lib.a.b` that hw1lib as it is here lacks, else ""."""
    package, *rest = name.split(".")
    for part in rest if package == "hw1lib" else ():
        within = f"{package}.{part}"
        if not _library()[package]:
            return ""  # what is in a module of ours is ours
        if within not in _library():
            return "" if hasattr(sys.modules.get(package), part) else within
        package = within
    return ""


class Reader:
    """Reads one cell after another and remembers what their names stand for.

    Args:
        allowed: whether a module may be imported; by default what a cell of Q2 may.
    """

    def __init__(self, allowed: Callable[[str], bool] = _is_for_q2) -> None:
        self._allowed = allowed
        self._modules: dict[str, str] = {}  # behind names
        self._tainted: dict[str, str] = {}  # names of what was made with something forbidden

    def learn(self, source: str) -> None:
        """Remember the names of a cell that may use what it likes, for it answers no Q2.

        Raises:
            UnreadableError: it is no Python.
        """
        self.read(source)
        for statement in _outer(_tree(source)):
            hidden = next((o.name for o in self._scan(statement) if o.sure), None)
            self._tainted |= dict.fromkeys(_named(statement), hidden) if hidden else {}

    def read(self, source: str) -> list[Offence]:
        """What a cell of Q2, or a module, uses or imports and must not, by line.

        Raises:
            UnreadableError: it is no Python.
        """
        tree = _tree(source)
        for node in ast.walk(tree):
            for alias in node.names if isinstance(node, ast.Import) else ():
                top = alias.name.split(".")[0]
                self._modules[alias.asname or top] = alias.name if alias.asname else top
            for alias in node.names if isinstance(node, ast.ImportFrom) else ():
                self._modules[alias.asname or alias.name] = f"{node.module}.{alias.name}"
        found = self._scan(tree)
        for statement in _outer(tree):
            path = self._path(getattr(statement, "value", None))
            for name in _named(statement):
                self._tainted.pop(name, None)
                self._modules.pop(name, None)
                if path[0] in self._modules.values():
                    self._modules[name] = ".".join(path)
        sure = {offence.line for offence in found if offence.sure}
        kept = {offence for offence in found if offence.sure or offence.line not in sure}
        ordered = sorted(kept, key=lambda offence: (offence.line, offence.name))
        first = {o.name: o for o in reversed(ordered) if o.name.endswith(_ELSEWHERE)}
        return [offence for offence in ordered if first.get(offence.name, offence) is offence]

    def _scan(self, tree: ast.AST) -> list[Offence]:
        nodes = [*ast.walk(tree)]
        inner = {id(node.value) for node in nodes if isinstance(node, ast.Attribute)}
        calls = [node for node in nodes if isinstance(node, ast.Call)]
        called = {id(call.func) for call in calls}
        inner |= {id(call.func) for call in calls if self._turns_autograd_off(call)}
        found, strings = [], []
        for node in nodes:
            line = getattr(node, "lineno", 0)
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                if any(map(is_forbidden, node.value.split("."))):
                    strings.append(Offence(line, node.value[:80]))
            elif isinstance(node, ast.Import | ast.ImportFrom):
                found += (Offence(line, *pair) for pair in self._imports(node))
            elif isinstance(node, ast.Name | ast.Attribute) and id(node) not in inner:
                found += (Offence(line, *pair) for pair in self._uses(node))
                taken = getattr(node, "attr", "") == "backward" and id(node) not in called
                if taken and self._path(node)[0] != "hw1lib":
                    found.append(Offence(line, "backward", sure=False))
            elif isinstance(node, ast.Call):
                found += (Offence(line, *pair) for pair in _autograd(node))
                found += self._magic(node)
        veiled = {offence.line for offence in found if offence.name in VEILS}
        return found + [offence for offence in strings if offence.line in veiled]

    def _imports(self, node: ast.Import | ast.ImportFrom) -> Iterator[tuple[str, bool]]:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if not self._allowed(alias.name)]
        elif not node.module or node.level:
            names = ["a relative import"]
        elif not self._allowed(node.module):
            names = [node.module]
        else:
            whole = [f"{node.module}.{alias.name}" for alias in node.names]
            names = [name for name in whole if name[-1] == "*" or _offends(name.split("."))]
        yield from ((name, name.split(".")[0] not in _RUNNERS) for name in names)
        before = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
        modules = {_unknown_module(f"{before}{alias.name}") for alias in node.names} - {""}
        yield from ((f"{module}{_ELSEWHERE}", False) for module in modules)

    def _path(self, node: ast.expr | None) -> list[str]:
        """The names of `a.b.c`, with what `a` stands for; "" where it is an expression."""
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if not isinstance(node, ast.Name):
            return ["", *names]
        return [*self._modules.get(node.id, node.id).split("."), *names]

    def _uses(self, node: ast.Name | ast.Attribute) -> Iterator[tuple[str, bool]]:
        path = self._path(node)
        whole = ".".join(path).removeprefix(".")
        imported = path[0] in {module.split(".")[0] for module in self._modules.values()}
        if path[0] in self._tainted:
            yield f"{whole}, made with {self._tainted[path[0]]},", True
        elif imported and path[0] in _RUNNERS:
            yield whole, False
        elif _offends(path, imported=imported):
            yield whole, True
        elif imported and (module := _unknown_module(whole)):
            yield f"{module}{_ELSEWHERE}", False
        yield from ((name, False) for name in path if name in VEILS)

    def _turns_autograd_off(self, call: ast.Call) -> bool:
        given = [*call.args, *(word.value for word in call.keywords if word.arg == "mode")]
        off = [isinstance(value, ast.Constant) and value.value is False for value in given]
        return off == [True] and self._path(call.func) == ["torch", "set_grad_enabled"]

    def _magic(self, call: ast.Call) -> Iterator[Offence]:
        """What a line of IPython's runs, as its own parser writes it."""
        if not (isinstance(call.func, ast.Attribute) and _is_shell(call.func.value)):
            return
        words = [str(a.value) for a in call.args if isinstance(a, ast.Constant)] or [""]
        if call.func.attr in ("system", "getoutput"):
            if not _HARMLESS.fullmatch(words[0].strip()):
                yield Offence(call.lineno, f"!{words[0]}"[:80], sure=False)
        elif words[0] in _TIMERS:
            code = _tree(_OPTIONS.sub("", "\n".join(words[1:])))
            for found in self._scan(code):
                yield Offence(call.lineno + found.line - 1, found.name, found.sure)
        elif _RUNS.fullmatch(words[0]):
            yield Offence(call.lineno, f"%{words[0]}", sure=False)


def _is_shell(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and getattr(node.func, "id", "") == "get_ipython"


def _offends(path: list[str], *, imported: bool = True) -> bool:
    """Whether Q2 may not use `a.b.c`; a plain name that no import made is its author's own."""
    whole = ".".join(path)
    if path[0] == "hw1lib" or _is_for_colab(whole):
        return not _is_for_q2(whole)
    if path[0] == "self" and not path[2:]:
        return any(name in FORBIDDEN_NAMES - READY_MADE for name in path)
    if imported and path[0] not in _PACKAGES:
        return True
    second = path[1] if path[1:] else ""
    if path[0] == "torch" and (second in _OF_TORCH or re.match("_[^_]", second)):
        return True
    return any(map(is_forbidden, path[1:])) or whole.startswith("torchvision.models")


def _autograd(call: ast.Call) -> Iterator[tuple[str, bool]]:
    """Ours takes x, y and y_hat; autograd's is called on a loss, with no such arguments."""
    named = {keyword.arg: keyword.value for keyword in call.keywords}
    asked = named.get("requires_grad", ast.Constant(False))
    if not (isinstance(asked, ast.Constant) and asked.value is False):
        yield "requires_grad", True
    if not (isinstance(call.func, ast.Attribute) and call.func.attr == "backward"):
        return
    if None in named or any(isinstance(value, ast.Starred) for value in call.args):
        yield "backward", False
    elif (
        len(call.args) + len(named) < 3
        or set(named) & {"gradient", "retain_graph", "create_graph", "inputs"}
        or any(isinstance(value, ast.Constant) for value in call.args)
    ):
        yield "backward()", True


def _outer(tree: ast.AST) -> Iterator[ast.stmt]:
    """The statements of a cell, without those inside of functions and classes."""
    todo = [*ast.iter_child_nodes(tree)]
    while todo:
        node = todo.pop(0)
        if isinstance(node, ast.stmt):
            yield node
        if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            todo += ast.iter_child_nodes(node)


def _named(statement: ast.stmt) -> list[str]:
    """The names that a statement defines or assigns."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return [statement.name]
    targets = getattr(statement, "targets", None) or [getattr(statement, "target", None)]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _tree(source: str) -> ast.Module:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a stranger's strings
            if _MAGIC.search(source):
                source = TransformerManager().transform_cell(source)
            return ast.parse(source)
    except SyntaxError as error:
        raise UnreadableError(f"line {error.lineno or 1} is no Python") from None
    except (ValueError, RecursionError, MemoryError):  # a null byte; nested too deeply
        raise UnreadableError("it cannot be parsed") from None
