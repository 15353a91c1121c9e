"""What a thing consists of, as one digest: its values, and the code that it can reach."""

import copyreg
import dis
import hashlib
import inspect
import os
import re
import types
from collections.abc import Collection, Iterable, Iterator
from functools import cached_property, partial

import torch
from torch import Tensor

#: What Python notes in a class besides its content: where its source stands, caches.
_NO_CONTENT = {"__doc__", "__firstlineno__", "__static_attributes__", "__dict__"}
_NO_CONTENT |= {"__slotnames__", "_abc_impl"}
_ADDRESS = re.compile(r" at 0x[0-9a-f]+")


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
        # What was met so far, held so that nothing else gets its address, and its place there.
        self._seen: dict[int, tuple[object, int]] = {}
        self._tensors: dict[int, tuple[Tensor, bytes]] = {}

    def of(self, thing: object) -> str:
        """SHA-256 in hexadecimal."""
        sha = hashlib.sha256()
        self._seen.clear()
        self._tensors.clear()
        try:
            for piece in self._pieces(thing):
                sha.update(piece)
        except Exception:  # it does not end, or hides what it holds: like nothing before
            sha.update(os.urandom(16))
        return sha.hexdigest()

    def _pieces(self, thing: object) -> Iterator[bytes]:
        """What a thing consists of, each piece under its type's name."""
        yield f"\0{type(thing).__qualname__}:".encode()
        match thing:
            case Tensor():
                yield self._of_tensor(thing)
            case bytes() | bytearray():
                yield thing
            case None | bool() | int() | float() | complex() | str() | range():
                yield repr(thing).encode()
            case dict() | types.MappingProxyType():
                yield from self._all_pieces(thing.items())
            case list() | tuple():
                yield from self._all_pieces(thing)
            case set() | frozenset():
                yield from self._all_pieces(sorted(thing, key=repr))
            case types.CodeType():
                yield thing.co_code
                yield from self._pieces((thing.co_names, thing.co_varnames, _constants(thing)))
            case types.MethodType() | classmethod() | staticmethod():
                yield from self._pieces((thing.__func__, getattr(thing, "__self__", None)))
            case property():
                yield from self._pieces((thing.fget, thing.fset))
            case cached_property():
                yield from self._pieces(thing.func)
            case partial():
                yield from self._pieces((thing.func, thing.args, thing.keywords))
            case types.ModuleType() | types.BuiltinFunctionType():
                yield thing.__name__.encode()
            case types.GetSetDescriptorType() | types.MemberDescriptorType():  # a slot
                yield thing.__name__.encode()
            case _ if id(thing) in self._seen:
                yield f"again {self._seen[id(thing)][1]}".encode()
            case types.FunctionType():
                yield from self._of_function(thing)
            case type():
                yield from self._of_class(thing)
            case _ if _package(thing) not in self._own and hasattr(thing, "state_dict"):
                yield _ADDRESS.sub("", repr(thing)).encode()
                yield from self._pieces(thing.state_dict())
            case _ if hasattr(thing, "__wrapped__"):  # a cache around a function
                yield from self._pieces(thing.__wrapped__)
            case _:
                self._see(thing)
                yield from self._pieces(_taken_apart(thing))

    def _see(self, thing: object) -> None:
        self._seen[id(thing)] = thing, len(self._seen)

    def _all_pieces(self, things: Collection[object]) -> Iterator[bytes]:
        yield str(len(things)).encode()
        for thing in things:
            yield from self._pieces(thing)

    def _of_tensor(self, tensor: Tensor) -> bytes:
        """Data sets are large, and splits and batches of a training share one."""
        if id(tensor) not in self._tensors:
            kind = repr((tensor.dtype, tensor.device.type, tuple(tensor.shape)))
            numbers = tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
            digest = kind.encode() + hashlib.sha256(numbers).digest()
            self._tensors[id(tensor)] = tensor, digest
        return self._tensors[id(tensor)][1]

    def _of_function(self, function: types.FunctionType) -> Iterator[bytes]:
        self._see(function)
        inner = inspect.unwrap(function)
        yield inner.__name__.encode()
        bound = {k: v for k, v in _bound(inner).items() if not isinstance(v, type)}  # its class
        yield from self._pieces((bound, inner.__defaults__, inner.__kwdefaults__))
        if _package(function) in self._own:
            yield from self._pieces((inner.__code__, _named(inner)))

    def _of_class(self, cls: type) -> Iterator[bytes]:
        self._see(cls)
        yield cls.__name__.encode()
        if _package(cls) in self._own:
            content = {k: v for k, v in vars(cls).items() if k not in _NO_CONTENT}
            yield from self._pieces((cls.__bases__, content))


def _taken_apart(thing: object) -> object:
    """As pickle does it: what makes it from which arguments, its state, and its items."""
    of_type = copyreg.dispatch_table.get(type(thing))
    parts = of_type(thing) if of_type else thing.__reduce_ex__(2)
    if isinstance(parts, str):  # a name under which its module has it
        return parts
    return [*parts[:3], *([*items] for items in parts[3:5] if items is not None)]


def _package(thing: object) -> str:
    named = thing if isinstance(thing, types.FunctionType | type) else type(thing)
    return (named.__module__ or "").partition(".")[0]


def _constants(code: types.CodeType) -> tuple:
    """Those that the code loads: no docstring, so that better words train nothing anew."""
    steps = zip(code.co_code[::2], code.co_code[1::2], strict=True)
    used = any(step in dis.hasconst and number == 0 for step, number in steps)
    return code.co_consts if used else code.co_consts[1:]


def _bound(function: types.FunctionType) -> dict[str, object]:
    """What a function has of the functions around it."""
    cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
    return {name: cell.cell_contents for name, cell in cells}


def _named(function: types.FunctionType) -> dict[str, object]:
    """What the code of a function names: globals, and what it takes of modules of hw1lib."""
    names = sorted(_names(function.__code__))
    found = {n: function.__globals__[n] for n in names if n in function.__globals__}
    modules = [v for v in found.values() if isinstance(v, types.ModuleType)]
    taken = {
        f"{module.__name__}.{name}": getattr(module, name)
        for module in modules
        if module.__name__.startswith("hw1lib.")
        for name in names
        if hasattr(module, name)
    }
    return found | taken


def _names(code: types.CodeType) -> set[str]:
    inner = (_names(const) for const in code.co_consts if isinstance(const, types.CodeType))
    return {*code.co_names}.union(*inner)
