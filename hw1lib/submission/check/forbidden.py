"""What question 2 may not use, found by reading source; nothing is run.

Allowed are tensors alone: no autograd, no built-in layers, losses, activations, optimisers.
"""

import ast
import inspect
import re
import sys
import warnings
from collections.abc import Callable, Collection
from dataclasses import dataclass

import torch

#: Layers, activations and losses that tensors, or torch itself, have ready-made.
READY_MADE = {
    name.removesuffix("_")
    for name in {*dir(torch), *dir(torch.Tensor)} & {*dir(torch.nn.functional)}
    if inspect.isroutine(getattr(torch.nn.functional, name))
}
#: Names that no code on the Q2 path may use, whatever object they are taken from.
FORBIDDEN_NAMES = READY_MADE | {
    *("autograd", "grad", "requires_grad", "enable_grad", "func", "vmap", "jit", "compile"),
    *("nn", "functional", "special", "optim", "Parameter", "Module", "logsumexp", "_C", "ops"),
}
#: Functions that would hide a name from this reading.
VEILS = {"getattr", "eval", "exec", "__import__", "import_module"}
#: All that the library's modules on the Q2 path may import.
ALLOWED_IMPORTS = {
    *("math", "os", "time", "typing", "collections.abc", "contextlib", "dataclasses", "torch"),
    *("hw1lib.activations", "hw1lib.losses", "hw1lib.history"),
}
#: Packages that the notebook's cells of Q2 may import from besides, to show and to save.
_PACKAGES = {
    *("hw1lib", "torch", "IPython", "matplotlib", "seaborn", "numpy", "pandas", "PIL", "tqdm"),
    *(set(sys.stdlib_module_names) - {"importlib", "ctypes", "builtins"}),
}
#: Of these packages, what is not for Q2.
_NOT_FOR_Q2 = ("hw1lib.cnn", "hw1lib.vgg", "torch.")

_MAGIC = re.compile(r"^(\s*)[%!].*$", re.MULTILINE)


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


def offences(source: str, imported: Collection[str] = ()) -> list[Offence]:
    """What a module on the Q2 path uses or imports and must not.

    Args:
        source: Python code.
        imported: names that earlier code bound to something forbidden.

    Raises:
        UnreadableError: it is no Python.
    """
    return _scan(_tree(source), imported, lambda module: module in ALLOWED_IMPORTS)


def offences_in_cell(source: str, imported: Collection[str] = ()) -> list[Offence]:
    """The same for a cell of the notebook, which may import more, to show and to save."""
    return _scan(_tree(source), imported, _is_for_q2)


def is_forbidden(name: str) -> bool:
    """Whether question 2 may not use what has this name, or the same done in place."""
    return name.removesuffix("_") in FORBIDDEN_NAMES


def names_bound(source: str) -> set[str]:
    """Names that a cell binds to imports that are not for Q2.

    Raises:
        UnreadableError: it is no Python.
    """
    bound: set[str] = set()
    for node in ast.walk(_tree(source)):
        if isinstance(node, ast.Import):
            names = [a for a in node.names if not _is_for_q2(a.name)]
            # `import torch.nn` binds torch; what is taken from it is seen by its name.
            bound |= {a.asname or a.name for a in names if a.asname or "." not in a.name}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "a relative import"
            bound |= {a.asname or a.name for a in node.names if not _from_is_fine(module, a)}
    return bound


def _scan(
    tree: ast.AST, imported: Collection[str], allowed: Callable[[str], bool]
) -> list[Offence]:
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [Offence(node.lineno, a.name) for a in node.names if not allowed(a.name)]
        elif isinstance(node, ast.ImportFrom):
            module = node.module or "a relative import"
            names = [f"{module}.{a.name}" for a in node.names if not _from_is_fine(module, a)]
            found += [
                Offence(node.lineno, name) for name in (names if allowed(module) else [module])
            ]
        elif isinstance(node, ast.Call) and _is_autograd(node):
            found.append(Offence(node.lineno, "backward()"))
        # Only what is taken from somewhere: our own sigmoid is a plain name.
        elif isinstance(node, ast.Attribute) and (
            is_forbidden(node.attr) or node.attr in VEILS
        ):
            found.append(Offence(node.lineno, node.attr, sure=node.attr not in VEILS))
        elif isinstance(node, ast.Name) and node.id in {*imported, *VEILS}:
            found.append(Offence(node.lineno, node.id, sure=node.id not in VEILS))
    return sorted(found, key=lambda offence: offence.line)


def _is_autograd(call: ast.Call) -> bool:
    """Ours takes x, y and y_hat; autograd's is called on a loss, with no such arguments."""
    named = isinstance(call.func, ast.Attribute) and call.func.attr == "backward"
    return named and len(call.args) < 2 and not {k.arg for k in call.keywords} & {"y_hat", None}


def _from_is_fine(module: str, alias: ast.alias) -> bool:
    if module == "torch":
        return not is_forbidden(alias.name) and alias.name != "*"
    return _is_for_q2(f"{module}.{alias.name}") and _is_for_q2(module)


def _is_for_q2(module: str) -> bool:
    return module.split(".")[0] in _PACKAGES and not module.startswith(_NOT_FOR_Q2)


def _tree(source: str) -> ast.AST:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of odd escapes in a stranger's strings
            return ast.parse(_MAGIC.sub(r"\1pass", source))
    except SyntaxError as error:
        raise UnreadableError(f"line {error.lineno or 1} is no Python") from None
    except (ValueError, RecursionError, MemoryError):  # a null byte; nested too deeply
        raise UnreadableError("it cannot be parsed") from None
