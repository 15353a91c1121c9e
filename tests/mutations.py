"""What the fuzz tests share: spoilt files, and that reading one writes nothing.

A longer campaign: HW1_FUZZ_EXAMPLES=20000 .venv/bin/python -m pytest -k any_bytes
"""

import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

fuzz = settings(
    max_examples=int(os.environ.get("HW1_FUZZ_EXAMPLES", "60")),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
NUMBERS = [
    b"\0" * 4,
    b"\xff" * 4,
    b"\x7f\xff\xff\xff",
    b"\x00\x10\x00\x00",
    b"\xff\xff\xff\x7f",
]


@st.composite
def mutated(draw: st.DrawFn, original: bytes) -> bytes:
    """Bytes of a good file after one to five faults: flips, cuts, splices, odd numbers."""
    content = bytearray(original)
    for _ in range(draw(st.integers(1, 5))):
        place = st.integers(0, len(content))
        at, other, to = draw(place), *sorted((draw(place), draw(place)))
        match draw(st.sampled_from(["flip", "cut", "remove", "splice", "insert", "number"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "cut":
                del content[at:]
            case "remove":
                del content[other : min(to, other + 40)]
            case "splice":
                content[at:at] = content[other : min(to, other + 400)]
            case "insert":
                content[at:at] = draw(st.binary(max_size=8))
            case "number":
                content[at : at + 4] = draw(st.sampled_from(NUMBERS))
    return bytes(content)


def spoilt(*originals: bytes) -> st.SearchStrategy[bytes]:
    """Any bytes at all, or those of a good file with faults in it."""
    return st.one_of(st.binary(max_size=200), *map(mutated, originals))


@contextmanager
def untouched(*folders: Path) -> Iterator[None]:
    """The block changes no file in the folders, and neither adds nor removes one."""
    before = _contents(folders)
    yield
    assert _contents(folders) == before


def _contents(folders: tuple[Path, ...]) -> dict[Path, str]:
    return {
        path: hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        for folder in folders
        for path in folder.rglob("*")
    }
