"""The weights file: loadable anywhere, always whole, and never a program."""

import io
import os
import pickle
import re
import subprocess
import sys
import zipfile
from contextlib import suppress

import pytest
import torch
from hypothesis import given

from hw1lib.submission.weights import LIMIT, WeightsFileError, load_weights, save_weights
from tests.fixtures.damaged import fuzz, spoilt, untouched
from tests.fixtures.hostile_weights import HOSTILE, on_a_gpu, saved, weights, with_pickle


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
        ({"W2": torch.full((4, 3), float("nan"))}, "W2 with values that are not finite"),
        ({"b1": torch.zeros(5)}, "shapes that do not make a network"),
        (
            {"W1": torch.zeros(6, 4, dtype=torch.int64)},
            "W1 as int64",
        ),
        ({"extra": torch.zeros(1)}, "leave out extra"),
    ],
)
def test_bad_weights_are_refused_and_the_old_file_stays(tmp_path, change, words):
    path = save_weights(weights(), tmp_path / "HW1.pkl")
    before = path.read_bytes()
    with pytest.raises(WeightsFileError, match=words):
        save_weights(weights() | change, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# Files from elsewhere -------------------------------------------------------------------------


@pytest.fixture
def path(tmp_path):
    return tmp_path / "HW1.pkl"


def test_weights_saved_on_a_gpu_are_loaded_without_one(path):
    with on_a_gpu():
        path.write_bytes(saved(weights()))
    assert b"cuda:0" in path.read_bytes()
    loaded = load_weights(path)
    assert {tensor.device.type for tensor in loaded.values()} == {"cpu"}
    assert all(torch.equal(loaded[name], tensor) for name, tensor in weights().items())


def test_number_that_is_stored_once_and_repeated_is_counted_each_time(path):
    def repeated(hidden):
        once = torch.zeros(1)
        shapes = {"W1": (4, hidden), "b1": (hidden,), "W2": (hidden, 3)}
        return saved(weights() | {name: once.expand(shape) for name, shape in shapes.items()})

    path.write_bytes(repeated(LIMIT // 16))  # W1 has four bytes for each of 4 x hidden numbers
    load_weights(path)
    path.write_bytes(repeated(LIMIT // 16 + 1))
    with pytest.raises(WeightsFileError, match="W1 of shape"):
        load_weights(path)


def test_weights_that_asked_for_gradients_come_without(path):
    path.write_bytes(saved({name: t.requires_grad_() for name, t in weights().items()}))
    assert not any(tensor.requires_grad for tensor in load_weights(path).values())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W1": torch.zeros(5, 5)}, "shapes that do not make a network"),
        ({"b2": torch.zeros(3, 1)}, "shapes that do not make a network"),
        ({"W1": torch.zeros(0, 4)}, "W1 of shape"),
        ({"W1": None}, "found b1, W2, b2; wanted"),
        (dict.fromkeys(weights()), "an empty dict"),
        ({"W3": torch.zeros(1)}, "found W1, b1, W2, b2 and W3: leave out W3"),
        ({7: torch.zeros(1)}, "not a dict by name"),
        ({"W1": torch.zeros(6, 4).double()}, "W1 as float64"),
        ({"W1": torch.zeros(6, 4).half()}, "W1 as float16"),
        ({"W1": torch.zeros(6, 4).bfloat16()}, "W1 as bfloat16"),
        ({"W1": torch.zeros(6, 4).long()}, "W1 as int64"),
        ({"b1": 0}, "b1 as int"),
        ({"b1": torch.full((4,), torch.inf)}, "b1 with values that are not finite"),
        ({"b1": torch.full((4,), torch.nan)}, "b1 with values that are not finite"),
        ({"b1": torch.zeros(4).to_sparse()}, "needs 'torch._utils._rebuild_sparse_tensor"),
        ({"b1": torch.zeros(4, device="meta")}, "needs 'torch._utils._rebuild_meta"),
        ({"b1": torch.nn.Parameter(torch.zeros(4))}, "an nn.Parameter"),
    ],
)
def test_file_of_other_things_is_refused_with_what_it_holds(path, change, words):
    content = {name: value for name, value in (weights() | change).items() if value is not None}
    path.write_bytes(saved(content))
    with pytest.raises(WeightsFileError, match=words) as error:
        load_weights(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    ("make", "found"),
    [
        (lambda w: saved(w | {"lr": 0.01}), "W1, b1, W2, b2 and lr: leave out lr"),
        (lambda w: saved(w | {"losses": [0.5] * 16}), "leave out losses"),
        (lambda w: saved({n: t.numpy() for n, t in w.items()}), "numpy arrays"),
        (lambda w: saved(w | {"W1": w["W1"].T}), "W1 of shape (4, 6), transposed"),
        (lambda w: saved({n: t.T if t.ndim > 1 else t for n, t in w.items()}), "W2 of shape"),
        (lambda w: saved({n: t.half() for n, t in w.items()}), "W1 as float16"),
        (lambda w: saved({n: torch.nn.Parameter(t) for n, t in w.items()}), "an nn.Parameter"),
        (lambda w: saved(w, pickle_protocol=4), "a pickle of protocol 4"),
        (pickle.dumps, "a plain pickle, as pickle.dump writes it"),
    ],
    ids=[
        "lr",
        "losses",
        "numpy",
        "transposed",
        "both",
        "half",
        "parameter",
        "protocol",
        "dump",
    ],
)
def test_what_a_student_saves_otherwise_is_named_and_the_line_given_saves_it(path, make, found):
    path.write_bytes(content := make(weights()))
    with pytest.raises(WeightsFileError, match=re.escape(found)) as error:
        load_weights(path)
    _, line = str(error.value).split("saved by ")
    given = pickle.loads(content) if content[:1] == b"\x80" else None
    given = given or torch.load(io.BytesIO(content), weights_only=False)
    exec(line, {"torch": torch, "weights": given, "path": path})
    loaded = load_weights(path)
    for name, tensor in weights().items():
        torch.testing.assert_close(loaded[name], tensor, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize(
    ("layers", "found"),
    [
        (torch.nn.Linear(784, 128), "weight, bias: a state_dict of torch.nn"),
        (torch.nn.Sequential(torch.nn.Linear(6, 4)), "'0.weight', '0.bias': a state_dict"),
    ],
)
def test_a_state_dict_of_layers_is_named(path, layers, found):
    path.write_bytes(saved(layers.state_dict()))
    with pytest.raises(WeightsFileError, match=re.escape(found)) as error:
        load_weights(path)
    assert "wanted are W1, b1, W2 and b2 as float32 tensors" in str(error.value)


def test_no_part_of_a_file_passes_for_the_whole(path):
    content = saved(weights())
    for length in range(0, len(content), 7):
        path.write_bytes(content[:length])
        with pytest.raises(WeightsFileError, match="found no"):
            load_weights(path)


@pytest.mark.filterwarnings("ignore:.*torch.jit|Duplicate name")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_without_running_it(path, name):
    make, words = HOSTILE[name]
    path.write_bytes(make())
    with untouched(path.parent), pytest.raises(WeightsFileError, match=words) as error:
        load_weights(path)
    assert str(path) in str(error.value)
    assert len(str(error.value)) < 600


def test_what_is_no_plain_file_is_refused(path):
    for make in (path.mkdir, lambda: os.mkfifo(path), lambda: path.symlink_to("/dev/zero")):
        make()
        with pytest.raises(WeightsFileError, match="a folder or a device"):
            load_weights(path)
        path.rmdir() if path.is_dir() else path.unlink()


def test_huge_sparse_file_is_refused_unread(path):
    path.touch()
    os.truncate(path, 10**12)
    with pytest.raises(WeightsFileError, match="1,000,000,000,000 bytes, and weights at most"):
        load_weights(path)


def test_hostile_files_take_little_memory_and_time(tmp_path):
    for name in ("allocation", "nested tuples", "repeated number", "zip bomb", "30 MB"):
        (tmp_path / name).write_bytes(HOSTILE[name][0]())
    code = (
        "import pathlib, resource, sys\n"
        "from hw1lib.submission.weights import WeightsFileError, load_weights\n"
        "before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss\n"
        "for path in sys.argv[1:]:\n"
        "    try: load_weights(pathlib.Path(path))\n"
        "    except WeightsFileError as error: print(error)\n"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *tmp_path.iterdir()],
        capture_output=True,
        text=True,
        timeout=120,
    )
    *errors, grown = done.stdout.splitlines()
    assert len(errors) == 5
    assert int(grown) * (1 if sys.platform == "darwin" else 1024) < 200_000_000


@fuzz
@given(content=spoilt(saved(weights()), HOSTILE["legacy"][0]()))
def test_any_bytes_give_those_weights_or_our_own_error(path, content):
    path.write_bytes(content)
    with untouched(path.parent), suppress(WeightsFileError):
        loaded = load_weights(path)
        assert all(torch.equal(loaded[name], tensor) for name, tensor in weights().items())


@fuzz
@given(pickled=spoilt(zipfile.ZipFile(io.BytesIO(saved(weights()))).read("archive/data.pkl")))
def test_any_bytes_as_the_pickle_give_weights_or_our_own_error(path, pickled):
    path.write_bytes(with_pickle(pickled))
    with untouched(path.parent), suppress(WeightsFileError):
        loaded = load_weights(path)
        assert {tensor.dtype for tensor in loaded.values()} == {torch.float32}


def test_missing_file_is_named(tmp_path):
    with pytest.raises(WeightsFileError, match=r"none\.pkl: there is no such file"):
        load_weights(tmp_path / "none.pkl")
