"""fit and evaluate: exact averages, order, seeds, and a loss that is no number."""

import json
import os
from dataclasses import replace

import pytest
import torch

from hw1lib import progress
from hw1lib.activations import sigmoid
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.network import FullyConnectedNetwork
from hw1lib.progress import Progress
from hw1lib.training import (
    Batches,
    NonFiniteLossError,
    TrainingInterruptedError,
    evaluate,
    fit,
    one_thread_without_autograd,
    set_seed,
)


class Recorder:
    """A learner that notes what it was given; each example's loss is its input."""

    lr = 0.5

    def __init__(self):
        self.trained, self.evaluated = [], []

    def train_batch(self, x, y):
        self.trained.append(x.flatten().tolist())
        return x.sum().item(), (y == 0).sum().item(), len(y)

    def eval_batch(self, x, y):
        self.evaluated.append(x.flatten().tolist())
        return x.sum().item(), (y == 0).sum().item(), len(y)


def five():
    return torch.arange(5.0).view(5, 1), torch.tensor([0, 0, 0, 1, 0])


def test_short_last_batch_counts_for_what_it_is():
    metrics = evaluate(Recorder(), Batches(*five(), 2))
    assert metrics == Metrics(loss=2.0, accuracy=0.8, count=5)


def test_each_epoch_trains_in_the_order_of_the_data_and_then_evaluates_every_split():
    learner = Recorder()
    split = Batches(*five(), 3)
    history = fit(
        learner, Batches(*five(), 2), num_epochs=2, splits={"test": split}, history=History("n")
    )
    assert learner.trained == [[0, 1], [2, 3], [4]] * 2
    assert learner.evaluated == [[0, 1, 2], [3, 4]] * 2
    assert history.name == "n"
    assert history.epochs == [1, 2]
    assert history.curve("test", "loss") == [2.0, 2.0]
    assert history.final("running") == Metrics(2.0, 0.8, 5)
    assert [record.lr for record in history.records] == [0.5, 0.5]


def test_shuffled_batches_hold_every_pair_once_and_differ_between_epochs():
    set_seed(0)
    X = torch.arange(50)
    batches = Batches(X, X * 2, 8, shuffle=True)
    first, second = (torch.cat([x for x, _ in batches]) for _ in range(2))
    assert sorted(first.tolist()) == sorted(second.tolist()) == X.tolist()
    assert first.tolist() != second.tolist()
    assert all(torch.equal(y, x * 2) for x, y in batches)


def test_evaluation_every_few_epochs_counts_all_training_since_the_record_before():
    learner = Recorder()
    batches = Batches(*five(), 5)
    history = fit(
        learner, batches, num_epochs=5, every=2, splits={"test": batches}, history=History("n")
    )
    assert history.epochs == [2, 4, 5]
    assert len(learner.trained) == 5
    assert len(learner.evaluated) == 3
    assert [record.metrics["running"].count for record in history.records] == [10, 10, 5]


def test_training_goes_on_after_the_last_epoch_of_the_history():
    learner = Recorder()
    history = History("n", [record(1, 0.5), record(2, 0.5)])
    fit(learner, Batches(*five(), 5), num_epochs=3, splits={}, history=history)
    assert len(learner.trained) == 1
    assert history.epochs == [1, 2, 3]


def test_stop_button_keeps_the_epochs_that_were_finished_and_shows_one_line():
    class Stopped(Recorder):
        def train_batch(self, x, y):
            if len(self.trained) == 3:
                raise KeyboardInterrupt
            return super().train_batch(x, y)

    history, seen = History("CNN"), []
    with pytest.raises(TrainingInterruptedError) as stop:
        fit(
            Stopped(),
            Batches(*five(), 4),
            num_epochs=3,
            splits={},
            history=history,
            on_record=[seen.append],
        )
    assert isinstance(stop.value, KeyboardInterrupt), "what stops a program stops this one too"
    assert history.epochs == [1]
    assert seen == history.records
    expected = (
        "CNN: stopped by hand; what was reached by epoch 1 of 3 is kept. "
        "Run this cell again to go on."
    )
    assert stop.value._render_traceback_() == [expected]


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_loss_that_is_no_number_stops_training_and_says_where(bad):
    X = torch.tensor([[1.0], [2.0], [bad], [4.0]])
    learner = Recorder()
    with pytest.raises(NonFiniteLossError, match=r"epoch 1, step 3.*rate 0\.5"):
        fit(
            learner,
            Batches(X, torch.zeros(4), 1),
            num_epochs=3,
            splits={},
            history=History("run"),
        )
    assert len(learner.trained) == 3


def test_absurd_learning_rate_ends_in_an_error_not_in_nan_weights_without_a_word():
    set_seed(0)
    X, y = torch.rand(64, 20), torch.arange(64) % 10
    network = FullyConnectedNetwork(20, 10, 8, sigmoid, lr=1e38)
    with pytest.raises(NonFiniteLossError, match=r"rate 1e\+38"):
        fit(network, Batches(X, y, 8), num_epochs=5, splits={}, history=History("run"))


def test_small_steps_give_the_same_weights_without_autograd_and_leave_no_trace():
    expected, threads = train_once(), torch.get_num_threads()
    with one_thread_without_autograd():
        assert torch.get_num_threads() == 1
        assert torch.is_inference_mode_enabled()
        found = train_once()
    assert torch.get_num_threads() == threads
    assert not torch.is_inference_mode_enabled()
    for name, tensor in expected.items():
        torch.testing.assert_close(found[name].clone(), tensor)


def train_once():
    set_seed(42)
    network = FullyConnectedNetwork(20, 10, 8, sigmoid, lr=0.5)
    batches = Batches(torch.rand(100, 20), torch.arange(100) % 10, 32, shuffle=True)
    fit(network, batches, num_epochs=3, splits={}, history=History("run"))
    return network.weights()


def test_same_seed_gives_bit_identical_weights():
    first, second = train_once(), train_once()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_set_seed_sets_everything_the_course_asks_for(monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", "x")
    monkeypatch.setattr(torch.backends.cudnn, "deterministic", False)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    set_seed(42)
    assert os.environ["PYTHONHASHSEED"] == "42"
    assert torch.backends.cudnn.deterministic
    assert not torch.backends.cudnn.benchmark
    assert torch.initial_seed() == 42


def record(epoch, accuracy):
    return EpochRecord(epoch, 2.0, 0.1, {"val": Metrics(1.0, accuracy, 10)})


def test_history_adds_up_the_time():
    assert History("run", [record(1, 0.5), record(2, 0.9)]).seconds == 4.0


def test_final_figures_are_those_of_the_last_epoch():
    history = History("run", [record(1, 0.5), record(2, 0.9), record(3, 0.7)])
    assert history.final("val").accuracy == 0.7


def test_histories_of_the_same_training_are_equal_whenever_it_was_made():
    records = [record(1, 0.5)]
    assert History("run", records, "kept from 14:02") == History("run", records, "trained now")
    assert History("run", records) != History("run", [record(1, 0.9)])


def test_frame_of_a_history_has_a_row_a_record_and_split():
    records = [
        EpochRecord(e, 2.0, 0.1, {"train": Metrics(e, 0.5, 8), "test": Metrics(-e, 0.25, 4)})
        for e in (1, 4)
    ]
    frame = History("lr 1", records).frame(seed=3)
    assert frame.to_dict("list") == {
        "run": ["lr 1"] * 4,
        "split": ["train", "test"] * 2,
        "epoch": [1, 1, 4, 4],
        "loss": [1, -1, 4, -4],
        "accuracy": [0.5, 0.25] * 2,
        "count": [8, 4] * 2,
        "seconds": [2.0] * 4,
        "lr": [0.1] * 4,
        "seed": [3] * 4,
    }


def test_history_comes_back_from_plain_data_as_it_was():
    history = History("run", [record(1, 0.5), record(4, 0.9)])
    found = History("")
    found.load_state_dict(json.loads(json.dumps(history.state_dict())))
    assert found == history
    assert (found.finished, History("").finished) == (4, 0)


def test_progress_outside_a_notebook_prints_a_line_an_epoch_with_the_time_left(capsys):
    show = Progress("CNN", 3)
    for epoch in (1, 2, 3):
        show(record(epoch, 0.25), "trained in this run, 6.0 s" if epoch == 3 else "")
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "CNN · epoch 1/3 · val loss 1.000, accuracy 25.0% · 4 s left"
    assert lines[2].endswith("accuracy 25.0% · trained in this run, 6.0 s")


@pytest.mark.parametrize(
    ("seconds", "left"), [(59.5, "119 s left"), (60.0, "2 min left"), (3600.0, "120 min left")]
)
def test_time_left_is_given_in_seconds_or_minutes(capsys, seconds, left):
    Progress("CNN", 3)(replace(record(1, 0.5), seconds=seconds))
    assert capsys.readouterr().out.endswith(f" · {left}\n")


def test_progress_reckons_the_time_left_from_the_epochs_since_the_record_before(capsys):
    learner, split = Recorder(), Batches(*five(), 2)
    history = History("n", [record(20, 0.5)])
    options = {"num_epochs": 50, "every": 10, "splits": {"val": split}, "history": history}
    fit(learner, split, **options, on_record=[Progress("CNN", 50)])
    assert [r.span for r in history.records[1:]] == [10, 10, 10]
    Progress("CNN", 50)(replace(history.records[1], seconds=40.0))
    assert capsys.readouterr().out.endswith("· 80 s left\n")


def test_progress_shows_running_figures_only_where_there_are_no_others(capsys):
    both, alone = Metrics(1.0, 0.25, 10), Metrics(2.0, 0.5, 10)
    show = Progress("CNN", 3)
    show(EpochRecord(1, 2.0, 0.1, {"running": alone, "val": both}))
    show(EpochRecord(2, 2.0, 0.1, {"running": alone}))
    first, second = capsys.readouterr().out.splitlines()
    assert "· val loss 1.000, accuracy 25.0% ·" in first
    assert "running" not in first
    assert "· running loss 2.000, accuracy 50.0% ·" in second


def test_progress_in_a_notebook_is_shown_at_its_first_record_whichever_that_is(monkeypatch):
    shown = []
    monkeypatch.setattr(progress, "get_ipython", lambda: True)
    for how in ("display", "update_display"):
        note = lambda data, *, how=how, **options: shown.append((how, data, options))  # noqa: E731
        monkeypatch.setattr(progress, how, note)
    show = Progress("CNN", 30)
    for epoch in (10, 20, 30):
        show(record(epoch, 0.25))
    assert [how for how, *_ in shown] == ["display", "update_display", "update_display"]
    assert shown[2][1]["text/plain"].startswith("CNN · epoch 30/30 · ")
    (line,) = {options["display_id"] for *_, options in shown}
    for *_, options in shown:
        marked = {"hw1_progress": True}
        assert options == {"raw": True, "display_id": line, "metadata": marked}


@pytest.mark.parametrize("batch_size", [0, -1, 2.0, None])
def test_batch_size_that_is_none_is_named(batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size}: expected a whole number"):
        Batches(*five(), batch_size)


@pytest.mark.parametrize(("examples", "labels"), [(0, 0), (5, 4), (0, 5)])
def test_examples_and_labels_that_do_not_pair_are_counted(examples, labels):
    with pytest.raises(ValueError, match=f"got {examples} examples and {labels} labels"):
        Batches(torch.zeros(examples, 1), torch.zeros(labels), 2, shuffle=True)


@pytest.mark.parametrize("argument", ["num_epochs", "every"])
@pytest.mark.parametrize("value", [0, -1, 1.5])
def test_number_of_epochs_that_is_none_is_named(argument, value):
    learner, settings = Recorder(), {"num_epochs": 1, "every": 1} | {argument: value}
    with pytest.raises(ValueError, match=f"{argument}={value}: expected a whole number"):
        fit(learner, Batches(*five(), 2), splits={}, history=History("run"), **settings)
    assert learner.trained == []


def test_evaluation_that_is_no_number_is_an_error():
    X, y = five()
    X[3] = torch.nan
    with pytest.raises(NonFiniteLossError, match="the loss over 5 examples is nan"):
        evaluate(Recorder(), Batches(X, y, 2))


def test_batches_that_are_used_up_are_named_as_such():
    batches = zip(*(part.split(2) for part in five()), strict=True)
    history = History("once")
    with pytest.raises(ValueError, match="no batches; a generator or zip"):
        fit(Recorder(), batches, num_epochs=2, splits={}, history=history)
    assert history.epochs == [1]
