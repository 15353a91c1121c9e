"""A run taken up again: bit-identical, refused where it is another one, never half written."""

import pytest
import torch

from hw1lib.checkpoint import Checkpoint, CheckpointError
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.training import Batches, fit, set_seed
from tests.fixtures.hostile_weights import on_a_gpu

EPOCHS = 6


class StopError(Exception):
    """Stands for whatever ends a run half way."""


class Drawn:
    """A learner that is nothing but chance: any difference in the generators shows in it."""

    lr = 1.0

    def __init__(self):
        self.value = torch.zeros(4)

    def train_batch(self, x, y):
        self.value = self.value * 0.9 + torch.randn(4) * x
        return self.value.sum().item(), 0, 1

    def eval_batch(self, x, y):
        return self.value.sum().item(), 0, 1

    def state_dict(self):
        return {"value": self.value}

    def load_state_dict(self, state):
        self.value = state["value"]


def train(path, *, stop_after=None):
    """One run from the same seed; goes on from a checkpoint that is there."""
    set_seed(7)
    learner, history = Drawn(), History("run")
    checkpoint = Checkpoint(path, "run 7", learner=learner, history=history)
    checkpoint.restore()

    def stop(record):
        if record.epoch == stop_after:
            raise StopError

    batches = Batches(torch.arange(5.0), torch.arange(5), 1, shuffle=True)
    on_record = [checkpoint, stop]
    fit(
        learner,
        batches,
        num_epochs=EPOCHS,
        splits={"all": batches},
        history=history,
        on_record=on_record,
    )
    return learner, history


def figures(history):
    return [(record.epoch, record.metrics) for record in history.records]


@pytest.mark.parametrize("stop_after", range(1, EPOCHS))
def test_stopped_run_goes_on_bit_for_bit_like_one_that_was_not(tmp_path, stop_after):
    whole, expected = train(tmp_path / "whole")
    with pytest.raises(StopError):
        train(tmp_path / "stopped", stop_after=stop_after)
    resumed, found = train(tmp_path / "stopped")
    assert torch.equal(whole.value, resumed.value)
    assert figures(found) == figures(expected)


def test_nothing_to_restore_is_no_error_and_removing_it_twice_neither(tmp_path):
    checkpoint = Checkpoint(tmp_path / "none", "run")
    assert not checkpoint.restore()
    checkpoint.remove()


def test_checkpoint_of_another_run_is_refused_and_kept(tmp_path):
    path = tmp_path / "c"
    record = EpochRecord(1, 1.0, 0.1, {"all": Metrics(1.0, 0.5, 2)})
    Checkpoint(path, "size 96", history=History("a"))(record)
    message = r"(?s)of another run. Delete .*size 96.*size 128"
    with pytest.raises(CheckpointError, match=message):
        Checkpoint(path, "size 128", history=History("a")).restore()
    assert path.exists()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", b"PK\x03\x04 cut"])
def test_damaged_checkpoint_is_refused_with_a_way_on(tmp_path, content):
    path = tmp_path / "c"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"cannot be read: .*Delete .* to start anew"):
        Checkpoint(path, "run", history=History("a")).restore()


def test_checkpoint_that_brings_code_is_refused_and_runs_none(tmp_path):
    class Hostile:
        def __reduce__(self):
            return (tmp_path.joinpath("ran").touch, ())

    torch.save({"run": "run", "epoch": 1, "generator": Hostile(), "parts": {}}, tmp_path / "c")
    with pytest.raises(CheckpointError, match="cannot be read"):
        Checkpoint(tmp_path / "c", "run").restore()
    assert not (tmp_path / "ran").exists()


def test_checkpoint_written_on_a_gpu_is_taken_up_without_one(tmp_path):
    learner = Drawn()
    with on_a_gpu():
        Checkpoint(tmp_path / "c", "run", learner=learner)(EpochRecord(1, 1.0, 0.1, {}))
    assert b"cuda:0" in (tmp_path / "c").read_bytes()
    learner.value = None
    assert Checkpoint(tmp_path / "c", "run", learner=learner).restore()
    assert learner.value.device.type == "cpu"


def test_run_that_is_complete_leaves_no_checkpoint(tmp_path):
    checkpoint = Checkpoint(tmp_path / "c", "run", history=History("a"))
    checkpoint(EpochRecord(1, 1.0, 0.1, {}))
    assert (tmp_path / "c").exists()
    checkpoint.remove()
    assert not (tmp_path / "c").exists()


def test_write_that_fails_leaves_the_checkpoint_before(tmp_path):
    path, history = tmp_path / "c", History("a")
    history.records.append(EpochRecord(1, 1.0, 0.1, {"all": Metrics(1.0, 0.5, 2)}))
    Checkpoint(path, "run", history=history)(history.records[0])

    class Broken(History):
        def state_dict(self):
            return {"cannot": lambda: "be pickled"}

    with pytest.raises(Exception, match="pickle"):
        Checkpoint(path, "run", history=Broken("a"))(history.records[0])
    found = History("")
    assert Checkpoint(path, "run", history=found).restore()
    assert found == history
    assert [file.name for file in tmp_path.iterdir()] == ["c"]
