"""What a thing consists of, as one digest: its values, and the code that it can reach."""

import hashlib
import inspect
import os
import re
from collections.abc import Collection, Iterable, Iterator
from functools import partial
from types import BuiltinFunctionType, CodeType, FunctionType, MethodType, ModuleType

import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

#: What Python notes in a class of where its source stands, and in no fixed order.
_OF_THE_FILE = {"__firstlineno__", "__static_attributes__", "__doc__", "__dict__"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")

_digests = WeakTensorKeyDictionary()  # data sets are large, and used by many trainings


class Fingerprint:
    """Digests of things, the same in every process and wherever the code stands in its file.

    Code is taken as it was loaded, which its file may be no more: functions, classes and the
    constants they name, without docstrings, as far as they belong to hw1lib or to a package
    of `things`; other packages enter by the names of what is used of them.
    """

    def __init__(self, things: Iterable[object]) -> None:
        """Nothing is read yet.

        Args:
            things: whose packages' code matters, besides that of hw1lib.
        """
        self._own = {"hw1lib", *map(_package, things)} - {"torch", "builtins"}
        self._seen: dict[int, object] = {}  # holds them, so that no other gets their number

    def of(self, thing: object) -> str:
        """SHA-256 in hexadecimal."""
        sha = hashlib.sha256()
        self._seen.clear()
        try:
            for piece in self._pieces(thing):
                sha.update(piece)
        except RecursionError:  # nested beyond all telling: like nothing that was before
            sha.update(os.urandom(16))
        return sha.hexdigest()

    def _pieces(self, thing: object) -> Iterator[bytes]:
        """What a thing consists of, each piece under its type's name."""
        yield f"\0{type(thing).__qualname__}:".encode()
        match thing:
            case Tensor():
                yield _digest_of(thing)
            case dict():
                yield from self._all_pieces(thing.items())
            case list() | tuple():
                yield from self._all_pieces(thing)
            case set() | frozenset():
                yield from self._all_pieces(sorted(thing, key=repr))
            case CodeType():
                yield thing.co_code
                yield from self._pieces((thing.co_names, thing.co_varnames, thing.co_consts))
            case MethodType() | classmethod() | staticmethod():
                yield from self._pieces((thing.__func__, getattr(thing, "__self__", None)))
            case property():
                yield from self._pieces((thing.fget, thing.fset))
            case partial():
                yield from self._pieces((thing.func, thing.args, thing.keywords))
            case ModuleType() | BuiltinFunctionType():
                yield thing.__name__.encode()
            case _ if id(thing) in self._seen:
                yield b"again"
            case FunctionType():
                yield from self._of_function(thing)
            case type():
                yield from self._of_class(thing)
            case _ if _package(thing) not in self._own and hasattr(thing, "state_dict"):
                yield _ADDRESS.sub("", repr(thing)).encode()
                yield from self._pieces(thing.state_dict())
            case _ if getattr(thing, "__dict__", None):
                self._seen[id(thing)] = thing
                yield from self._pieces((type(thing), vars(thing)))
            case _:
                yield _ADDRESS.sub("", repr(thing)).encode()

    def _all_pieces(self, things: Collection[object]) -> Iterator[bytes]:
        yield str(len(things)).encode()
        for thing in things:
            yield from self._pieces(thing)

    def _of_function(self, function: FunctionType) -> Iterator[bytes]:
        self._seen[id(function)] = function
        inner = inspect.unwrap(function)
        yield inner.__name__.encode()
        bound = {k: v for k, v in _bound(inner).items() if not isinstance(v, type)}  # its class
        yield from self._pieces((bound, inner.__defaults__, inner.__kwdefaults__))
        if _package(function) in self._own:
            yield from self._pieces((_without_docstring(inner), _named(inner)))

    def _of_class(self, cls: type) -> Iterator[bytes]:
        self._seen[id(cls)] = cls
        yield cls.__name__.encode()
        if _package(cls) in self._own:
            content = {k: v for k, v in vars(cls).items() if k not in _OF_THE_FILE}
            yield from self._pieces((cls.__bases__, content))


def _digest_of(tensor: Tensor) -> bytes:
    version = None if tensor.is_inference() else tensor._version
    known, digest = _digests.get(tensor, (None, b""))
    if version is None or version != known:
        kind = repr((tensor.dtype, tensor.device.type, tuple(tensor.shape)))
        numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
        digest = kind.encode() + hashlib.sha256(numbers).digest()
        _digests[tensor] = version, digest
    return digest


def _package(thing: object) -> str:
    named = thing if isinstance(thing, FunctionType | type) else type(thing)
    return (named.__module__ or "").partition(".")[0]


def _without_docstring(function: FunctionType) -> CodeType:
    """The code of a function: a better description of it trains nothing anew."""
    code, text = function.__code__, function.__doc__
    return code.replace(co_consts=tuple("" if c is text else c for c in code.co_consts))


def _bound(function: FunctionType) -> dict[str, object]:
    """What a function has of the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def _named(function: FunctionType) -> dict[str, object]:
    """What the code of a function names: globals, and what it takes of modules of hw1lib."""
    names = sorted(_names(function.__code__))
    found = {n: function.__globals__[n] for n in names if n in function.__globals__}
    modules = [v for v in found.values() if isinstance(v, ModuleType)]
    taken = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        if module.__name__.startswith("hw1lib.")
        for name in names
        if hasattr(module, name)
    }
    return found | taken


def _names(code: CodeType) -> set[str]:
    inner = (_names(const) for const in code.co_consts if isinstance(const, CodeType))
    return {*code.co_names}.union(*inner)
