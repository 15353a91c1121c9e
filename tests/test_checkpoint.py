"""A kept training: bit-identical after any stop, reused when finished, never another's."""

import errno
import hashlib
import io
import os
import re
import shutil

import pytest
import torch

from hw1lib import checkpoint
from hw1lib.activations import sigmoid, tanh
from hw1lib.checkpoint import Training, trained_folder
from hw1lib.network import FullyConnectedNetwork
from hw1lib.training import Batches, TrainingInterruptedError, set_seed
from tests.fixtures.hostile_weights import on_a_gpu

EPOCHS, EVERY, STEPS = 4, 2, 3  # 12 steps, evaluated after the 6th and the last
KEPT = r"kept from \d{4}-\d\d-\d\d \d\d:\d\d, \d+\.\d s then"


class Plan:
    """What shall happen to a learner; no part of what it is known by."""

    def __init__(self, stop_at, how):
        self.steps, self.stop_at, self.how = 0, stop_at, how

    def __reduce__(self):
        return "Plan"


class Drawn:
    """A learner that is nothing but chance: any difference in the generators shows in it."""

    lr = 1.0

    def __init__(self, stop_at=None, how=KeyboardInterrupt):
        self.value = torch.zeros(4)
        self.plan = Plan(stop_at, how)

    @property
    def steps(self):
        return self.plan.steps

    def train_batch(self, x, y):
        self.plan.steps += 1
        self.value = self.value * 0.9 + torch.randn(4) * x  # half a step is taken
        if self.plan.steps == self.plan.stop_at:
            raise self.plan.how
        return self.value.sum().item(), 0, 1

    def eval_batch(self, x, y):
        return self.value.sum().item(), 0, 1

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def train(learner, folder=None, training=None, *, examples=STEPS, name="drawn", **options):
    """One training from one seed; what the file of a test calls another run."""
    set_seed(7)
    training = training or Training(name, folder)
    batches = Batches(torch.arange(1.0, 1 + examples), torch.arange(examples), 1, shuffle=True)
    given = {"num_epochs": EPOCHS, "every": EVERY, "splits": {"all": batches}} | options
    training.fit(learner, batches, **given)
    return training


def figures(training):
    return [(record.epoch, record.metrics) for record in training.history.records]


@pytest.fixture(scope="module")
def whole():
    """What a training that nothing disturbs comes to: learner, training, the next number."""
    learner = Drawn()
    training = train(learner)
    return learner.value, figures(training), torch.rand(3)


def check_like(whole, learner, training):
    value, expected, following = whole
    assert torch.equal(learner.value, value)
    assert figures(training) == expected
    assert torch.equal(torch.rand(3), following), "what follows is drawn otherwise"


@pytest.mark.parametrize("name", ["num_epochs", "every"])
@pytest.mark.parametrize("count", [0, -1])
def test_counts_below_one_are_refused(tmp_path, name, count):
    with pytest.raises(ValueError, match=rf"{name}={count}: expected .* at least 1"):
        train(Drawn(), tmp_path, **{name: count})


# Stopped, and gone on. ------------------------------------------------------------------------


@pytest.mark.parametrize("on_disk", [False, True])
@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS + 1))
def test_same_object_stopped_at_any_step_ends_like_one_that_was_not(
    tmp_path, whole, step, on_disk
):
    learner, training = Drawn(step), Training("drawn", tmp_path if on_disk else None)
    with pytest.raises(TrainingInterruptedError):
        train(learner, training=training)
    train(learner, training=training)
    check_like(whole, learner, training)


class KilledError(BaseException):
    """Stands for whatever ends a run without a word."""


@pytest.mark.parametrize("how", [KeyboardInterrupt, KilledError, MemoryError])
@pytest.mark.parametrize("step", range(1, EPOCHS * STEPS + 1))
def test_new_object_goes_on_where_a_run_ended_at_any_step(tmp_path, whole, step, how):
    with pytest.raises((TrainingInterruptedError, how)):
        train(Drawn(step, how), tmp_path)
    learner = Drawn()
    training = train(learner, tmp_path)
    check_like(whole, learner, training)
    lost = learner.steps - (EPOCHS * STEPS - step)
    assert 0 <= lost <= EVERY * STEPS, "more than one interval of evaluation was lost"


class Seen:
    """A callback that takes part in the training: it notes the epochs that it saw."""

    def __init__(self):
        self.epochs = []

    def __call__(self, record):
        self.epochs.append(record.epoch)

    def state_dict(self):
        return {"epochs": self.epochs}

    def load_state_dict(self, state):
        self.epochs = state["epochs"]


def test_what_a_callback_made_of_the_last_record_is_kept_with_it(tmp_path):
    with pytest.raises(TrainingInterruptedError):
        train(Drawn(EVERY * STEPS + 1), tmp_path, on_record=[Seen()])
    seen = Seen()
    train(Drawn(), tmp_path, on_record=[seen])
    assert seen.epochs == [2, 4]


def test_run_stopped_many_times_ends_like_one_that_was_not(tmp_path, whole):
    for step in (2, 5, 6, 4, 6):
        with pytest.raises(TrainingInterruptedError):
            train(Drawn(step), tmp_path)
    learner = Drawn()
    check_like(whole, learner, train(learner, tmp_path))


def test_history_of_a_stopped_run_holds_what_was_reached_and_the_message_says_so():
    training = Training("drawn")
    with pytest.raises(TrainingInterruptedError, match="nothing was evaluated yet"):
        train(Drawn(2), training=training)
    assert training.history.records == []
    training = Training("drawn")
    with pytest.raises(TrainingInterruptedError, match=r"by epoch 2 of 4 .* again to go on"):
        train(Drawn(8), training=training)
    assert training.history.epochs == [2]


@pytest.mark.parametrize("moment", ["write", "replace"])
def test_run_killed_while_it_writes_leaves_the_state_before(
    tmp_path, whole, monkeypatch, moment
):
    def dies(*args):
        raise KilledError

    path = type(tmp_path)
    name = {"write": "write_bytes", "replace": "replace"}[moment]

    def then(record):
        if record.epoch == 2:
            monkeypatch.setattr(path, name, dies)

    with pytest.raises(KilledError):
        train(Drawn(), tmp_path, watchers=[then])  # dies as it keeps epoch 4
    monkeypatch.undo()
    learner = Drawn()
    check_like(whole, learner, train(learner, tmp_path))
    assert learner.steps == 6


# Finished, and reused. ------------------------------------------------------------------------


def test_finished_training_is_taken_as_it_is_and_never_in_silence(tmp_path, whole, capsys):
    first = train(Drawn(), tmp_path)
    assert re.fullmatch(r"trained in this run, \d+\.\d s", first.history.origin)
    assert first.history.origin in capsys.readouterr().out
    learner = Drawn()
    second = train(learner, tmp_path)
    check_like(whole, learner, second)
    assert learner.steps == 0
    assert re.fullmatch(KEPT, second.history.origin)
    assert second.history.origin in capsys.readouterr().out


def test_training_taken_up_half_way_gives_both_times(tmp_path):
    with pytest.raises(KilledError):
        train(Drawn(8, KilledError), tmp_path)
    origin = train(Drawn(), tmp_path).history.origin
    assert re.fullmatch(
        rf"{KEPT.replace('kept', 'taken up')} and \d+\.\d s in this run", origin
    )
    assert re.fullmatch(KEPT, train(Drawn(), tmp_path).history.origin)


def test_cell_run_again_keeps_its_output(tmp_path, capsys):
    learner, training = Drawn(), Training("drawn", tmp_path)
    train(learner, training=training)
    last = capsys.readouterr().out.splitlines()[-1]
    train(learner, training=training)
    assert capsys.readouterr().out.splitlines() == [last]
    assert learner.steps == EPOCHS * STEPS


def test_fresh_trains_anew_and_keeps_that(tmp_path, monkeypatch):
    train(Drawn(), tmp_path)
    monkeypatch.setenv("HW1_FRESH", "1")
    learner = Drawn()
    assert "trained in this run" in train(learner, tmp_path).history.origin
    assert learner.steps == EPOCHS * STEPS
    monkeypatch.delenv("HW1_FRESH")
    assert "kept from" in train(Drawn(), tmp_path).history.origin


def test_training_of_another_name_is_found_and_keeps_its_own_name(tmp_path):
    train(Drawn(), tmp_path, name="first")
    found = train(Drawn(), tmp_path, name="second")
    assert "kept" in found.history.origin
    assert found.history.name == "second"


# What is another training. --------------------------------------------------------------------


def start_of(activation=sigmoid, lr=0.1, seed=1):
    set_seed(seed)
    return FullyConnectedNetwork(6, 3, 4, activation, lr)


X, Y = torch.linspace(0, 1, 30).view(5, 6), torch.tensor([0, 1, 2, 0, 1])


def by_hand(network, folder, *, X=X, batch_size=2, num_epochs=2, lower=None, **settings):
    training = Training("by hand", folder, **settings)

    def lower_the_rate(record):
        network.lr *= lower

    options = {"splits": {"train": Batches(X, Y, 5)}, "num_epochs": num_epochs}
    options["on_record"] = [lower_the_rate] if lower else []
    training.fit(network, Batches(X, Y, batch_size), **options)
    return training.history


def test_hand_written_network_is_kept_with_weights_and_rate(tmp_path):
    first, second = start_of(), start_of()
    by_hand(first, tmp_path, lower=0.5)
    assert "kept" in by_hand(second, tmp_path, lower=0.5).origin
    assert second.lr == first.lr == 0.025
    for name, tensor in first.weights().items():
        assert torch.equal(second.weights()[name], tensor)


@pytest.mark.parametrize(
    ("network", "options"),
    [
        ({"seed": 2}, {}),
        ({"lr": 0.2}, {}),
        ({"activation": tanh}, {}),
        ({}, {"num_epochs": 3}),
        ({}, {"batch_size": 3}),
        ({}, {"X": X.flip(0)}),
        ({}, {"lower": 0.5}),
        ({}, {"recipe": "another"}),
    ],
)
def test_whatever_decides_a_training_makes_it_another_one(tmp_path, network, options):
    by_hand(start_of(), tmp_path)
    assert "in this run" in by_hand(start_of(**network), tmp_path, **options).origin
    assert len(list(tmp_path.iterdir())) == 2


def test_callback_of_another_strength_makes_it_another_training(tmp_path):
    by_hand(start_of(), tmp_path, lower=0.5)
    assert "in this run" in by_hand(start_of(), tmp_path, lower=0.9).origin


def test_changed_code_trains_anew(tmp_path, monkeypatch):
    by_hand(start_of(), tmp_path)
    monkeypatch.setattr("hw1lib.network.log_softmax", lambda x: x.log_softmax(-1))
    assert "in this run" in by_hand(start_of(), tmp_path).origin
    monkeypatch.undo()
    assert "kept" in by_hand(start_of(), tmp_path).origin


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("torch.get_num_threads", lambda: 63),
        ("torch.__version__", "9.9"),
        ("hw1lib.ranks.count", lambda: 2),
    ],
)
def test_other_arithmetic_trains_anew(tmp_path, monkeypatch, name, value):
    by_hand(start_of(), tmp_path)
    monkeypatch.setattr(name, value)
    assert "in this run" in by_hand(start_of(), tmp_path).origin


def test_stopped_training_of_something_else_is_left_alone_and_the_difference_named(
    tmp_path, whole, capsys
):
    with pytest.raises(KilledError):
        train(Drawn(8, KilledError), tmp_path)
    (before,) = tmp_path.iterdir()
    content = before.read_bytes()
    capsys.readouterr()
    train(Drawn(), tmp_path, examples=4)
    said = "drawn: one that was stopped after epoch 2 had other data; it is left alone"
    assert said in capsys.readouterr().out
    assert before.read_bytes() == content
    learner = Drawn()
    check_like(whole, learner, train(learner, tmp_path))
    assert learner.steps == 6


# Files that are not as they should be. --------------------------------------------------------


@pytest.mark.parametrize("change", ["empty", "cut", "flipped", "other"])
def test_damaged_file_is_said_and_trained_anew(tmp_path, whole, capsys, change):
    train(Drawn(), tmp_path)
    (path,) = tmp_path.iterdir()
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    damaged = {"empty": b"", "cut": content[:-9], "flipped": content, "other": b"x" * 999}
    path.write_bytes(damaged[change])
    learner = Drawn()
    check_like(whole, learner, train(learner, tmp_path))
    assert learner.steps == EPOCHS * STEPS
    assert f"{path} cannot be read (it is cut off or was changed)" in capsys.readouterr().out
    assert "kept" in train(Drawn(), tmp_path).history.origin, "it was not mended"


def test_file_that_brings_code_runs_none_and_is_trained_anew(tmp_path, whole, capsys):
    class Hostile:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    train(Drawn(), tmp_path / "kept")
    (path,) = (tmp_path / "kept").iterdir()
    buffer = io.BytesIO()
    torch.save({"parts": Hostile(), "generator": 0}, buffer)
    path.write_bytes(hashlib.sha256(buffer.getvalue()).digest() + buffer.getvalue())
    learner = Drawn()
    check_like(whole, learner, train(learner, tmp_path / "kept"))
    assert not (tmp_path / "ran").exists()
    assert "is trained anew" in capsys.readouterr().out


def test_full_disk_stops_no_training_and_is_said(tmp_path, whole, monkeypatch):
    def full(self, data):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(type(tmp_path), "write_bytes", full)
    learner = Drawn()
    training = train(learner, tmp_path)
    check_like(whole, learner, training)
    assert training.history.origin.endswith("; not kept on disk: No space left on device")
    assert list(tmp_path.iterdir()) == []


def test_folder_that_cannot_be_made_stops_no_training(tmp_path, whole):
    (tmp_path / "file").write_text("in the way")
    learner = Drawn()
    training = train(learner, tmp_path / "file" / "trained")
    check_like(whole, learner, training)
    assert "not kept on disk" in training.history.origin


def test_folder_is_bounded_and_the_longest_unused_go_first(tmp_path, monkeypatch):
    train(Drawn(), tmp_path, examples=2)
    (oldest,) = tmp_path.iterdir()
    size = oldest.stat().st_size
    monkeypatch.setattr(checkpoint, "FOLDER_BYTES", int(3.5 * size))
    for age, examples in ((300, 3), (200, 4)):
        before = {*tmp_path.iterdir()}
        train(Drawn(), tmp_path, examples=examples)
        (new,) = {*tmp_path.iterdir()} - before
        os.utime(new, (new.stat().st_mtime - age,) * 2)
    os.utime(oldest, (0, 0))
    train(Drawn(), tmp_path, examples=2)  # found, and so the latest used
    train(Drawn(), tmp_path, examples=5)
    assert oldest.exists()
    assert len(list(tmp_path.iterdir())) == 3
    assert "in this run" in train(Drawn(), tmp_path, examples=3).history.origin


def test_folder_may_be_deleted_at_any_time(tmp_path, whole):
    folder = tmp_path / "trained"
    learner = Drawn()
    training = train(learner, folder, watchers=[lambda record: shutil.rmtree(folder)])
    check_like(whole, learner, training)


def test_training_kept_on_a_gpu_is_taken_up_without_one(tmp_path, whole):
    with on_a_gpu():
        train(Drawn(), tmp_path)
    assert b"cuda:0" in next(tmp_path.iterdir()).read_bytes()
    learner = Drawn()
    training = train(learner, tmp_path)
    assert "kept" in training.history.origin
    assert learner.value.device.type == "cpu"


def test_kept_trainings_lie_in_the_build_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HW1_BUILD", str(tmp_path))
    assert trained_folder() == tmp_path / "trained"
    monkeypatch.delenv("HW1_BUILD")
    assert trained_folder().parts[-2:] == ("build", "trained")


# Other results. -------------------------------------------------------------------------------


def squares(x):
    return {"squares": x**2, "count": len(x)}


def test_a_result_is_kept_while_what_made_it_is_the_same(tmp_path, capsys, monkeypatch):
    calls = []

    def result(*made_by, folder=tmp_path):
        def compute():
            calls.append(made_by)
            return squares(made_by[0])

        return checkpoint.kept("Squares of x", folder, compute, *made_by)

    x = torch.arange(3.0)
    expected = squares(x)
    for _ in range(2):
        found = result(x, squares)
        assert found["squares"].equal(expected["squares"])
        assert found["count"] == expected["count"]
    assert len(calls) == 1
    assert re.fullmatch(f"Squares of x: {KEPT}\n", capsys.readouterr().out)
    assert result(x + 1, squares)["squares"].equal((x + 1) ** 2)
    result(x, start_of)
    result(x, squares, folder=None)
    monkeypatch.setenv("HW1_FRESH", "1")
    result(x, squares)
    assert len(calls) == 5


def test_a_damaged_result_is_computed_anew_and_a_full_disk_loses_none(tmp_path, monkeypatch):
    def result():
        return checkpoint.kept("Squares", tmp_path, lambda: squares(torch.ones(2)), squares)

    result()
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-1])
    assert result()["count"] == 2
    assert file.read_bytes()[32:] != whole[32:-1]
    assert result()["count"] == 2, "it was written anew"

    def full(path):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(checkpoint, "replacing", full)
    file.unlink()
    assert result()["count"] == 2
