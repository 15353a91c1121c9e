"""The weights file that is handed in (HW1.ipynb, Q2.II.a)."""

import io
import pickle
import pickletools
import zipfile
from pathlib import Path

import torch
from torch import Tensor

from hw1lib.files import replacing

NAMES = ("W1", "b1", "W2", "b2")
#: Bytes that no weights file exceeds; that of 784-128-10 has 0.4 million.
LIMIT = 16_000_000
_PICKLE_LIMIT, _ENTRIES = 100_000, 100  # a true one has 600 bytes, and four tensors

#: All that the pickle of a dict of tensors asks for, and the operations it is made of.
_GLOBALS = {"torch._utils _rebuild_tensor_v2", "collections OrderedDict"} | {
    f"torch {kind}Storage" for kind in ("Float", "Double", "Half", "BFloat16", "Long", "Int")
}
_OPERATIONS = {
    *("PROTO", "EMPTY_DICT", "SETITEM", "SETITEMS", "MARK", "EMPTY_TUPLE", "TUPLE", "TUPLE1"),
    *("TUPLE2", "TUPLE3", "BINPUT", "LONG_BINPUT", "BINGET", "LONG_BINGET", "BINUNICODE"),
    *("BININT", "BININT1", "BININT2", "LONG1", "NEWFALSE", "NEWTRUE", "GLOBAL", "REDUCE"),
    *("BINPERSID", "STOP"),
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
    _check(weights, path)
    plain = {name: tensor.detach().cpu().clone() for name, tensor in weights.items()}
    content = io.BytesIO()
    torch.save(plain, content)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path) as temporary:
            temporary.write_bytes(content.getbuffer())
            load_weights(temporary)
    except OSError as error:
        raise WeightsFileError(
            f"{path}: cannot be written: {error.strerror}; what was there is unchanged"
        ) from error
    return path


def load_weights(path: Path) -> dict[str, Tensor]:
    """Read a weights file from anyone: no code in it runs, and time and memory are bounded.

    `torch.load(path, weights_only=True)` reads an honest file just as well; a hostile one can
    make it take all memory, or take for ever.

    Returns:
        W1 (D, H), b1 (H,), W2 (H, C), b2 (C,), float32, on the CPU wherever they were saved.

    Raises:
        WeightsFileError: no such file, no weights file, or not these weights.
    """
    try:
        weights = torch.load(_audited(path), map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise WeightsFileError(f"{path}: there is no such file") from None
    except Exception as error:  # whatever a broken byte leads zipfile and torch to
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        if isinstance(error, pickle.UnpicklingError):
            reason = "its pickle is damaged"  # torch would advise to let the file run code
        raise WeightsFileError(
            f"{path} is no file that torch.save wrote of plain tensors ({reason[:300]}); "
            "run the notebook again to write it anew"
        ) from error
    _check(weights, path)
    return {name: weights[name].detach() for name in NAMES}


def _audited(path: Path) -> io.BytesIO:
    """The archive packed anew, so that torch reads what was looked at and nothing else."""
    if not path.is_file() and path.exists():
        raise ValueError("it is a folder or a device")
    if (size := path.stat().st_size) > LIMIT:
        raise ValueError(f"{size:,} bytes, where weights have at most {LIMIT:,}")
    if not zipfile.is_zipfile(path):
        raise ValueError(
            "no zip archive; cut short, or written by pickle.dump or an old torch?"
        )
    content = io.BytesIO()
    with zipfile.ZipFile(path) as given, zipfile.ZipFile(content, "w") as audited:
        entries = given.infolist()
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in entries):
            raise ValueError("its archive is compressed")
        if sum(entry.file_size for entry in entries) > LIMIT or len(entries) > _ENTRIES:
            raise ValueError("its archive holds too much")
        for entry in entries:
            body = given.read(entry)  # compares the checksum
            if entry.filename.endswith(".pkl"):
                _audit(body)
            audited.writestr(zipfile.ZipInfo(entry.filename), body)
    if not entries:
        raise ValueError("its archive is empty")
    content.seek(0)
    return content


def _audit(pickled: bytes) -> None:
    """Refuse a pickle that could do more than list tensors, or take long over it."""
    if len(pickled) > _PICKLE_LIMIT:
        raise ValueError(f"its pickle has {len(pickled):,} bytes")
    tuples: set[int] = set()
    last = ""
    for operation, argument, _ in pickletools.genops(pickled):
        name = operation.name
        if name not in _OPERATIONS:
            raise ValueError(f"its pickle holds {name}, which plain tensors have no use for")
        if name == "PROTO" and argument != 2:
            raise ValueError(f"its pickle is of protocol {argument}, and torch.save writes 2")
        if name == "GLOBAL" and argument not in _GLOBALS:
            raise ValueError(f"its pickle asks for {argument.replace(' ', '.')}")
        if name in ("BINPUT", "LONG_BINPUT"):
            if last.startswith("TUPLE"):
                tuples.add(argument)
        elif name in ("BINGET", "LONG_BINGET") and argument in tuples:
            # Tuples of tuples, each used twice, take for ever to hash.
            raise ValueError("its pickle uses a tuple twice")
        else:
            last = name


def _check(weights: object, path: Path) -> None:
    """Raise WeightsFileError unless these are the weights of a network of two layers."""
    if not isinstance(weights, dict) or set(weights) != set(NAMES):
        found = type(weights).__name__
        if isinstance(weights, dict):
            found = ", ".join(sorted(str(name)[:20] for name in weights)) or "none"
        raise WeightsFileError(
            f"{path}: expected a dict of {', '.join(NAMES)}, found {found[:200]}"
        )
    for name, tensor in weights.items():
        if not isinstance(tensor, Tensor) or tensor.dtype != torch.float32:
            found = getattr(tensor, "dtype", type(tensor).__name__)
            raise WeightsFileError(f"{path}: {name}: expected float32, found {found}")
    shapes = {name: tuple(weights[name].shape) for name in NAMES}
    W1, b1, W2, b2 = shapes.values()
    if not (len(W1) == len(W2) == 2 and W1[1:] == b1 == W2[:1] and W2[1:] == b2):
        raise WeightsFileError(f"{path}: these shapes do not make a network: {shapes}")
    for name, tensor in weights.items():
        if 4 * tensor.numel() > LIMIT or 0 in tensor.shape:  # may repeat one stored number
            raise WeightsFileError(f"{path}: {name} has the shape {shapes[name]}")
        if not tensor.isfinite().all():
            raise WeightsFileError(f"{path}: {name} holds values that are not finite")
