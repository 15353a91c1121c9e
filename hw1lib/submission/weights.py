"""The weights file that is handed in (HW1.ipynb, Q2.II.a)."""

import io
import pickle
import pickletools
import re
import zipfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor

from hw1lib.assignment import WEIGHT_SHAPES
from hw1lib.files import replacing

NAMES = tuple(WEIGHT_SHAPES)  # W1, b1, W2, b2
#: Bytes that no weights file exceeds; that of 784-128-10 has 0.4 million.
LIMIT = 16_000_000
_MOST_ENTRIES, _MOST_OPERATIONS = 100, 5000  # four tensors take 10 entries, 150 operations

#: Lines that save what is asked for, from four tensors and from a dict named weights.
_SAVE = 'torch.save({"W1": W1, "b1": b1, "W2": W2, "b2": b2}, path)'
_SAVE_FOUR = 'torch.save({name: weights[name] for name in ("W1", "b1", "W2", "b2")}, path)'
_SAVE_EACH = "torch.save({name: %s for name, value in weights.items()}, path)"

#: What torch.save writes into its archive; of the second group nothing is needed to read it.
_READ = re.compile(r"[^/]+/(data\.pkl|version|byteorder|data/\d+)")
_LEFT = re.compile(r"[^/]+/\.(data/serialization_id|format_version|storage_alignment)")
#: All that the pickle of a dict of tensors asks for, and the operations it is made of, with
#: those of the plain values that some save beside them.
_GLOBALS = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict"} | {
    f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")
}
_OPERATIONS = {
    *("PROTO", "EMPTY_DICT", "SETITEM", "SETITEMS", "MARK", "EMPTY_TUPLE", "TUPLE", "TUPLE1"),
    *("TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BINUNICODE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "NEWFALSE", "NEWTRUE", "GLOBAL", "REDUCE"),
    *("BINPERSID", "STOP", "BINFLOAT", "NONE", "EMPTY_LIST", "APPEND", "APPENDS"),
}


class WeightsFileError(ValueError):
    """A weights file that does not hold what was asked for."""


def save_weights(weights: dict[str, Tensor], path: Path) -> Path:
    """Write W1, b1, W2, b2 as a plain dict of CPU tensors; `torch.load` alone reads it back.

    The file is written under a temporary name, read back, and only then renamed: a file
    under the final name is always whole.

    Args:
        weights: by name, float32; shapes (D, H), (H,), (H, C), (C,).
        path: of the file; its folder is made.

    Returns:
        path.

    Raises:
        WeightsFileError: another set of names, another type, shapes that do not fit,
            non-finite values; or the file cannot be written.

    Source: HW1.ipynb, Q2.II.a.
    """
    with _naming(path, "written; what was there is unchanged"):
        _check(weights)
        plain = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
        content = io.BytesIO()
        torch.save(plain, content)
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
            load_weights(temporary)
    return path


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a weights file from anyone: no code in it runs, and time and memory are bounded.

    `torch.load(path, weights_only=True)` reads an honest file just as well; a hostile one can
    make it take all memory, or take for ever.

    Returns:
        W1 (D, H), b1 (H,), W2 (H, C), b2 (C,), float32, on the CPU wherever they were saved.

    Raises:
        WeightsFileError: no such file, no weights file, or not these weights. The message says
            what was found, what is wanted, and which line saves it.
    """
    with _naming(path, "read"):
        if not path.is_file() and path.exists():
            raise WeightsFileError("is a folder or a device")
        if (size := path.stat().st_size) > LIMIT:
            raise WeightsFileError(f"has {size:,} bytes, and weights at most {LIMIT:,}")
        weights = _loaded(path.read_bytes())
        _check(weights)
    return {name: weights[name].detach() for name in NAMES}


@contextmanager
def _naming(path: Path, failed: str) -> Iterator[None]:
    """Let each error begin with the path of the file."""
    try:
        yield
    except WeightsFileError as error:
        raise WeightsFileError(f"{path}: {error}") from error
    except FileNotFoundError:
        raise WeightsFileError(f"{path}: there is no such file") from None
    except OSError as error:
        raise WeightsFileError(f"{path}: cannot be {failed}: {error.strerror}") from error


def _loaded(content: bytes) -> object:
    try:
        return torch.load(_audited(content), map_location="cpu", weights_only=True)
    except WeightsFileError:
        raise
    except Exception as error:  # whatever a broken byte leads zipfile and torch to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):
            reason = "its pickle is damaged"  # torch would advise to let the file run code
        raise _wrong(f"no whole file of torch.save ({reason[:200]})") from error


def _wrong(found: str, line: str = _SAVE) -> WeightsFileError:
    return WeightsFileError(
        f"found {found}; wanted are W1, b1, W2 and b2 as float32 tensors, saved by {line}"
    )


def _audited(content: bytes) -> io.BytesIO:
    """The archive packed anew, so that torch reads what was looked at and nothing else."""
    if not zipfile.is_zipfile(io.BytesIO(content)):
        if content[:1] == b"\x80":
            raise _wrong(
                "a plain pickle, as pickle.dump writes it", "torch.save(weights, path)"
            )
        raise _wrong("no file of torch.save, or one cut short")
    audited, seen = io.BytesIO(), set()
    with zipfile.ZipFile(io.BytesIO(content)) as given, zipfile.ZipFile(audited, "w") as new:
        entries = given.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise _wrong("a compressed archive")
        if sum(entry.file_size for entry in entries) > LIMIT or len(entries) > _MOST_ENTRIES:
            raise _wrong(f"an archive of too much: {len(entries):,} entries")
        for entry in entries:
            name = entry.filename
            if name in seen or not (_READ.fullmatch(name) or _LEFT.fullmatch(name)):
                raise _wrong(f"an archive with {name[:60]!r}, which torch does not write")
            seen.add(name)
            body = given.read(entry)  # compares the checksum
            if name.endswith("/data.pkl"):
                _audit(body)
            if _READ.fullmatch(name):
                new.writestr(zipfile.ZipInfo(name), body)
    audited.seek(0)
    return audited


def _audit(pickled: bytes) -> None:
    """Refuse a pickle that could do more than list tensors, or take long over it."""
    tuples: set[int] = set()
    names: list[str] = []
    last = ""
    for count, (operation, argument, _) in enumerate(pickletools.genops(pickled)):
        name = operation.name
        if name == "PROTO" and argument != 2:
            raise _wrong(
                f"a pickle of protocol {argument}, not of 2", "torch.save(weights, path)"
            )
        if name == "GLOBAL" and argument not in _GLOBALS:
            raise _wrong(*_of_class(argument.replace(" ", ".")))
        if name == "BINUNICODE":
            names.append(argument)
        if name not in _OPERATIONS or count > _MOST_OPERATIONS:
            layers = [n for n in names if n.endswith(("weight", "bias"))]
            if name == "BUILD" and layers:
                raise _wrong(f"{_listed(layers)}: a state_dict of torch.nn")
            raise _wrong("more than tensors and numbers", _SAVE_FOUR)
        if name in ("BINPUT", "LONG_BINPUT"):
            if last.startswith("TUPLE"):
                tuples.add(argument)
        elif name in ("BINGET", "LONG_BINGET") and argument in tuples:
            # Tuples of tuples, each used twice, take for ever to hash.
            raise _wrong("a pickle that uses a tuple twice")
        else:
            last = name


def _of_class(name: str) -> tuple[str, str]:
    """What a file holds that asks for a class, and the line that saves it right."""
    if name.startswith("numpy"):
        return "numpy arrays", _SAVE_EACH % "torch.from_numpy(value).float()"
    if name == "torch._utils._rebuild_parameter":
        return "an nn.Parameter", _SAVE_EACH % "value.detach()"
    return f"an object that needs {name[:80]!r}", _SAVE


def _check(weights: object) -> None:
    """Raise WeightsFileError unless these are the weights of a network of two layers."""
    if not isinstance(weights, dict) or not all(isinstance(name, str) for name in weights):
        raise _wrong(f"a {type(weights).__name__}, not a dict by name")
    if set(weights) > set(NAMES):
        more = _listed(name for name in weights if name not in NAMES)
        raise _wrong(f"W1, b1, W2, b2 and {more}: leave out {more}", _SAVE_FOUR)
    if set(weights) != set(NAMES):
        raise _wrong(_listed(weights) or "an empty dict")
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor):
            raise _wrong(f"{name} as {type(tensor).__name__}")
        if tensor.dtype != torch.float32:
            kind = str(tensor.dtype).removeprefix("torch.")
            raise _wrong(f"{name} as {kind}", _SAVE_EACH % "value.float()")
    shapes = {name: tuple(weights[name].shape) for name in NAMES}
    for turned in ((), ("W1",), ("W2",), ("W1", "W2"), None):
        if turned is None:
            raise _wrong(f"shapes that do not make a network: {shapes}")
        if _fit(shapes | {name: shapes[name][::-1] for name in turned}):
            break
    if turned:
        found = " and ".join(f"{name} of shape {shapes[name]}, transposed" for name in turned)
        right = ", ".join(f'"{name}": weights["{name}"].T' for name in turned)
        raise _wrong(found, f"torch.save(weights | {{{right}}}, path)")
    for name, tensor in weights.items():
        if 4 * tensor.numel() > LIMIT or 0 in tensor.shape:  # may repeat one stored number
            raise _wrong(f"{name} of shape {shapes[name]}")
        if not tensor.isfinite().all():
            raise _wrong(f"{name} with values that are not finite")


def _fit(shapes: dict[str, tuple[int, ...]]) -> bool:
    W1, b1, W2, b2 = (shapes[name] for name in NAMES)
    return len(W1) == len(W2) == 2 and W1[1:] == b1 == W2[:1] and W2[1:] == b2


def _listed(names: Iterable[str]) -> str:
    return ", ".join(n[:40] if n.isidentifier() else repr(n[:40]) for n in names)[:200]
