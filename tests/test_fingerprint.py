"""A digest of things and their code: the same in every process, another for each change."""

import os
import subprocess
import sys
from collections import deque
from copy import deepcopy
from functools import cache, partial
from pathlib import Path
from random import Random
from threading import Lock

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from hw1lib.fingerprint import Fingerprint

PROJECT_ROOT = Path(__file__).resolve().parents[1]

#: A learner as a notebook's cell defines it: nearly all that code can lean on.
CELL = """\
from collections import namedtuple
from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import torch
from hw1lib import ranks
from hw1lib.losses import one_hot

FACTOR, NAMES = 0.5, {"one", "two", "three"}
Point = namedtuple("Point", "x y")

class Pair(NamedTuple):
    left: int = 1

@dataclass(frozen=True)
class Setting:
    sizes: list = field(default_factory=list)

@lru_cache
def table(n):
    return [FACTOR * i for i in range(n)]

def even(n):
    return n == 0 or odd(n - 1)

def odd(n):
    return n > 0 and even(n - 1)

class Base:
    def scale(self):
        return max(FACTOR * i for i in range(3))

class Learner(Base):
    lr = 0.1

    def __init__(self):
        self.layer = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU())
        self.setting, self.pair, self.names = Setting([1]), (Pair(), Point(1, 2)), NAMES
        self.itself = self

    def train_batch(self, x, y):
        return one_hot(y, len(table(3)) + even(2) + ranks.count()), self.scale()
"""


def digest(cell=CELL, file="<cell 1>"):
    namespace = {"__name__": "__main__"}
    exec(compile(cell, file, "exec"), namespace)
    torch.manual_seed(0)
    learner = namespace["Learner"]()
    return Fingerprint([learner]).of(learner)


def test_same_thing_is_the_same_wherever_its_code_stands():
    assert digest() == digest("\n\n" + CELL, "<cell 7>")


def test_same_thing_is_the_same_at_the_second_look():
    learner = type("Learner", (), {"__init__": lambda self: setattr(self, "lr", 0.1)})
    fingerprint = Fingerprint([learner()])
    assert fingerprint.of((learner, learner())) == fingerprint.of((learner, learner()))


def test_same_thing_is_the_same_in_another_process():
    tell = "from tests.test_fingerprint import digest; print(digest())"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", tell],
            cwd=PROJECT_ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.strip() == digest()


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("FACTOR, NAMES = 0.5", "FACTOR, NAMES = 0.6"),
        ("lr = 0.1", "lr = 0.2"),
        ("max(FACTOR", "min(FACTOR"),
        ("[FACTOR * i", "[FACTOR + i"),
        ("n > 0 and", "n > 0 or"),
        ("left: int = 1", "left: int = 2"),
        ("Setting([1])", "Setting([2])"),
        ("nn.ReLU()", "nn.Tanh()"),
        ("one_hot(y, len", "one_hot(-y, len"),
        ("ranks.count()", "ranks.is_first()"),
        ('"three"', '"four"'),
        ("Point(1, 2)", "Point(2, 1)"),
    ],
)
def test_whatever_is_changed_in_what_it_reaches_makes_it_another(old, new):
    assert CELL.count(old) == 1
    assert digest(CELL.replace(old, new)) != digest()


def test_what_it_does_not_reach_makes_no_difference():
    assert digest(CELL + "\ndef unused():\n    return 1\n") == digest()


@pytest.mark.parametrize("text", ["", "Other words."])
@pytest.mark.parametrize("line", ["return n == 0", "return max("])
def test_docstring_makes_no_difference(line, text):
    assert CELL.count(line) == 1
    one, other = (CELL.replace(line, f"'{words}'; {line}") for words in ("Words.", text))
    assert digest(one) == digest(other)


def both(first, second):
    fingerprint = Fingerprint([])
    return fingerprint.of(first), fingerprint.of(second)


def doubled(x, by=2):
    return by * x


def halved(x):
    return x / 2


class Slotted:
    __slots__ = ("value",)

    def __init__(self, value):
        self.value = value


@pytest.mark.parametrize(
    "thing",
    [
        np.arange(2000),
        pd.DataFrame({"x": range(1000), "name": "s"}),
        Image.new("RGB", (9, 9), "red"),
        Slotted([1, 2]),
        Random(1),
        deque([1, 2]),
        Path("a"),
        torch.device("cpu"),
    ],
    ids=lambda thing: type(thing).__name__,
)
def test_equal_values_are_the_same(thing):
    one, other = both(thing, deepcopy(thing))
    assert one == other


def test_docstring_that_the_code_uses_makes_a_difference():
    line = "return n == 0"
    one, other = (CELL.replace(line, f"'{word}'; '{word}'.split(); {line}") for word in "ab")
    assert digest(one) != digest(other)


def test_what_hides_its_content_is_like_nothing_before():
    lock = Lock()
    one, other = both(lock, lock)
    assert one != other


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (torch.zeros(4), torch.zeros(2, 2)),
        (torch.zeros(2), torch.zeros(2, dtype=torch.int32)),
        (torch.tensor([0.0]), torch.tensor([-0.0])),
        (1, True),
        (1, 1.0),
        ("1", 1),
        ([1, 2], (1, 2)),
        ([[1], 2], [1, [2]]),
        ([[1], 2], [[1, 2]]),
        (partial(doubled, 1), partial(doubled, 2)),
        (torch.optim.SGD([torch.ones(1)], 0.1), torch.optim.SGD([torch.ones(1)], 0.2)),
        (np.arange(2000), np.arange(2000) + (np.arange(2000) == 1000)),
        (pd.Series(range(1000)), pd.Series(range(1000)).replace(500, 0)),
        (Image.new("RGB", (9, 9), "red"), Image.new("RGB", (9, 9), "blue")),
        (Slotted(1), Slotted(2)),
        (Random(1), Random(2)),
        ([doubled, halved, doubled], [doubled, halved, halved]),
    ],
)
def test_other_values_are_told_apart(first, second):
    one, other = both(first, second)
    assert one != other


def test_tensor_that_is_changed_in_place_is_another_and_its_copy_is_not():
    tensor, fingerprint = torch.zeros(3), Fingerprint([])
    before = fingerprint.of(tensor)
    tensor[1] = 1
    assert fingerprint.of(tensor) != before
    assert fingerprint.of(tensor.clone()) == fingerprint.of(tensor)
    with torch.inference_mode():
        inside = torch.zeros(3)
        assert fingerprint.of(inside) == before
        inside[1] = 1
        assert fingerprint.of(inside) == fingerprint.of(tensor)
    numbers = np.zeros(3, np.float32)
    tensor = torch.from_numpy(numbers)
    assert fingerprint.of(tensor) == before
    numbers += 1
    assert fingerprint.of(tensor) != before


def test_list_that_holds_itself_is_like_nothing_before():
    endless = []
    endless.append(endless)
    one, other = both(endless, endless)
    assert one != other


def test_object_without_values_is_known_by_its_kind_not_its_place():
    one, other = both([object(), cache(doubled)], [object(), cache(doubled)])
    assert one == other
