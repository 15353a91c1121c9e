"""Weights files nobody should have to load: broken, foreign, and made to do harm."""

import io
import pickle
import struct
import zipfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from unittest.mock import patch

import torch


def weights(inputs: int = 6, hidden: int = 4, outputs: int = 3) -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "W1": torch.randn(inputs, hidden),
        "b1": torch.zeros(hidden),
        "W2": torch.randn(hidden, outputs),
        "b2": torch.zeros(outputs),
    }


def saved(content: object, **options: object) -> bytes:
    """What torch.save writes."""
    stream = io.BytesIO()
    torch.save(content, stream, **options)
    return stream.getvalue()


def repacked(
    change: Callable[[str, bytes], bytes] = lambda name, body: body,
    more: dict[str, bytes] | None = None,
    **options: object,
) -> bytes:
    """A good file whose entries went through `change`, with more of them."""
    stream = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(saved(weights()))) as given,
        zipfile.ZipFile(stream, "w", **options) as changed,
    ):
        for name in given.namelist():
            changed.writestr(name, change(name, given.read(name)))
        for name, body in (more or {}).items():
            changed.writestr(name, body)
    return stream.getvalue()


def with_pickle(pickled: bytes) -> bytes:
    return repacked(lambda name, body: pickled if name.endswith("data.pkl") else body)


def with_record(body: bytes, **options: object) -> bytes:
    """A good file that holds `body` in place of the numbers of W1."""
    return repacked(lambda name, own: body if name.endswith("data/0") else own, **options)


def on_a_gpu() -> AbstractContextManager:
    """What is saved within it says that it lay on a GPU."""
    return patch.object(torch.serialization, "location_tag", lambda storage: "cuda:0")


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('code in the file was run')",)


def nested_tuples(levels: int = 60) -> bytes:
    """{t: 0}, where t is a pair of one pair with itself, and so on: to hash it takes ages."""
    pairs = b"".join(b"h%c\x86q%c" % (i, i + 1) for i in range(1, levels + 1))
    return b"\x80\x02}K\x01\x85q\x01" + pairs + b"K\0s."


def allocation(size: int = 2**40) -> bytes:
    """bytearray(size)"""
    return b"\x80\x02cbuiltins\nbytearray\n\x8a\x06" + struct.pack("<Q", size)[:6] + b"\x85R."


def repeated_number() -> bytes:
    """One stored number that says it is a matrix of 4 TB."""
    huge, long = torch.zeros(1).expand(10**6, 10**6), torch.zeros(1).expand(10**6)
    return saved({"W1": huge, "b1": long, "W2": huge, "b2": long})


def claimed_length() -> bytes:
    """The storage of W1 says that it holds 2^31 numbers; its record has 24."""
    return repacked(lambda _, body: body.replace(b"K\x18t", b"J\xff\xff\xff\x7ft"))


def torchscript() -> bytes:
    stream = io.BytesIO()
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), stream)
    return stream.getvalue()


CODE = pickle.dumps(Bomb(), 2)
DEFLATED = {"compression": zipfile.ZIP_DEFLATED}
#: How to make a file, and what its error says.
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "empty": (lambda: b"", "no zip archive"),
    "one byte": (lambda: b"\x80", "no zip archive"),
    "beginning of a zip": (lambda: b"PK\x03\x04 truncated", "no zip archive"),
    "end of a zip": (lambda: b"PK\5\6" + bytes(18), "archive is empty"),
    "plain pickle": (lambda: pickle.dumps({"W1": [1.0]}), "no zip archive"),
    "pickle with code": (lambda: pickle.dumps(Bomb()), "no zip archive"),
    "archive with code": (lambda: with_pickle(CODE), "asks for __builtin__.exec"),
    "code of protocol 4": (lambda: with_pickle(pickle.dumps(Bomb(), 4)), "of protocol 4"),
    "code of protocol 0": (lambda: with_pickle(pickle.dumps(Bomb(), 0)), "__builtin__.exec"),
    "code among the weights": (
        lambda: with_pickle(pickle.dumps({"W1": Bomb()}, 2)),
        "asks for __builtin__.exec",
    ),
    "second pickle with code": (
        lambda: repacked(more={"archive/constants.pkl": CODE}),
        "asks for __builtin__.exec",
    ),
    "two entries of one name": (lambda: repacked(more={"archive/data.pkl": CODE}), "exec"),
    "allocation": (lambda: with_pickle(allocation()), "asks for builtins.bytearray"),
    "nested tuples": (lambda: with_pickle(nested_tuples()), "uses a tuple twice"),
    "long pickle": (
        lambda: with_pickle(b"\x80\x02}" + b"q\0" * 10**6 + b"."),
        "2,000,004 bytes",
    ),
    "repeated number": (repeated_number, "W1 has the shape"),
    "claimed length": (claimed_length, "does not match"),
    "short record": (lambda: with_record(bytes(95)), "does not match"),
    "no pickle": (lambda: with_pickle(b""), "pickle exhausted"),
    "item of a number": (lambda: with_pickle(b"\x80\x02K\1K\1K\1s."), "pickle is damaged"),
    "item of nothing": (lambda: with_pickle(b"\x80\x02}s."), "pop from empty list"),
    "protocol 50": (lambda: with_pickle(b"\x80\x32}."), "of protocol 50"),
    "compressed": (lambda: repacked(**DEFLATED), "is compressed"),
    "zip bomb": (lambda: with_record(bytes(10**8), **DEFLATED), "is compressed"),
    "30 MB": (lambda: with_record(bytes(30_000_000)), "at most 16,000,000"),
    "many entries": (
        lambda: repacked(more={f"archive/data/x{i}": b"" for i in range(10_000)}),
        "holds too much",
    ),
    "torchscript": (torchscript, "is compressed"),
    "legacy": (
        lambda: saved(weights(), _use_new_zipfile_serialization=False),
        "no zip archive",
    ),
    "legacy with code": (
        lambda: saved({"W1": Bomb()}, _use_new_zipfile_serialization=False),
        "no zip archive",
    ),
}
