"""The weights file: loadable anywhere, always whole, and never a program."""

import pickle
import subprocess
import sys

import pytest
import torch

from hw1lib.submission.weights import WeightsFileError, load_weights, save_weights


def weights():
    torch.manual_seed(0)
    return {
        "W1": torch.randn(6, 4),
        "b1": torch.zeros(4),
        "W2": torch.randn(4, 3),
        "b2": torch.zeros(3),
    }


def test_weights_come_back_bit_by_bit(tmp_path):
    path = save_weights(weights(), tmp_path / "new" / "HW1.pkl")
    loaded = load_weights(path)
    assert list(loaded) == ["W1", "b1", "W2", "b2"]
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights().items())
    assert [file.name for file in path.parent.iterdir()] == ["HW1.pkl"]


def test_file_loads_where_there_is_no_hw1lib(tmp_path):
    path = save_weights(weights(), tmp_path / "HW1.pkl")
    code = (
        "import sys, torch; w = torch.load(sys.argv[1], weights_only=True); "
        "assert 'hw1lib' not in sys.modules; print(type(w).__name__, *w, w['W1'].shape)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-c", code, path], capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "dict W1 b1 W2 b2 torch.Size([6, 4])", done.stderr


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W2": torch.full((4, 3), float("nan"))}, "W2 holds values that are not finite"),
        ({"b1": torch.zeros(5)}, "shapes do not make a network"),
        ({"W1": torch.zeros(6, 4, dtype=torch.int64)}, "W1 is no tensor of floating-point"),
        ({"extra": torch.zeros(1)}, "expected a dict of W1, b1, W2, b2"),
    ],
)
def test_bad_weights_are_refused_and_the_old_file_stays(tmp_path, change, words):
    path = save_weights(weights(), tmp_path / "HW1.pkl")
    before = path.read_bytes()
    with pytest.raises(WeightsFileError, match=words):
        save_weights(weights() | change, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


class Bomb:
    def __reduce__(self):
        return exec, ("raise SystemExit('code in the file was run')",)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x80", b"PK\x03\x04 truncated", pickle.dumps({"W1": [1.0]}), pickle.dumps(Bomb())],
    ids=["empty", "one byte", "truncated", "plain pickle", "code"],
)
def test_file_that_holds_no_weights_is_refused_without_running_it(tmp_path, content):
    path = tmp_path / "HW1.pkl"
    path.write_bytes(content)
    with pytest.raises(WeightsFileError, match=r"HW1\.pkl"):
        load_weights(path)


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsFileError, match=r"none\.pkl: there is no such file"):
        load_weights(tmp_path / "none.pkl")
