"""Several processes train one network: with the figures of one process, and through faults."""

import json
import os
import subprocess
import sys
from copy import deepcopy

import pytest
import torch
from torch import distributed, nn
from torch.testing import assert_close

from hw1lib import ranks
from tests.fixtures.ranks_worker import train

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone"]


def torchrun(folder, *arguments, processes=2, restarts=0):
    """The worker on so many ranks: finished process, and what its first rank wrote."""
    done = subprocess.run(
        [
            *TORCHRUN,
            f"--nproc-per-node={processes}",
            f"--max-restarts={restarts}",
            *("-m", "tests.fixtures.ranks_worker", str(folder), *arguments),
        ],
        capture_output=True,
        text=True,
        timeout=300,
    )
    written = folder / "finished.pt"
    return done, torch.load(written) if written.exists() else None


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return train(tmp_path_factory.mktemp("alone"))


def check_same(found, alone):
    """Equal but for sums taken in another order."""
    records = alone.history.state_dict()["records"]
    assert [r["epoch"] for r in found["history"]["records"]] == [r["epoch"] for r in records]
    for mine, theirs in zip(found["history"]["records"], records, strict=True):
        for split, figures in theirs["metrics"].items():
            assert mine["metrics"][split]["count"] == figures["count"]
            assert mine["metrics"][split]["loss"] == pytest.approx(figures["loss"], rel=1e-3)
    assert_close(
        dict(found["weights"]), dict(alone.learner.averaged.module.state_dict()), **CLOSE
    )


CLOSE = {"rtol": 1e-3, "atol": 1e-4}


def test_two_ranks_give_the_loss_curve_of_one_process(tmp_path, alone):
    done, found = torchrun(tmp_path)
    assert done.returncode == 0, done.stderr
    check_same(found, alone)


@pytest.mark.slow
@pytest.mark.parametrize("processes", [3, 5])
def test_ranks_with_unequal_shares_or_none_give_the_same_curve(tmp_path, alone, processes):
    done, found = torchrun(tmp_path, processes=processes)  # batches of 8 are 4 pairs
    assert done.returncode == 0, done.stderr
    check_same(found, alone)


@pytest.mark.slow
def test_dead_rank_ends_the_run_and_names_itself(tmp_path):
    done, found = torchrun(tmp_path, "--die", "1", "3")
    assert done.returncode != 0
    assert found is None
    assert "rank      : 1" in done.stderr
    assert "SIGKILL" in done.stderr
    assert list(tmp_path.glob("cnn-*.pt"))


@pytest.mark.slow
def test_dead_rank_is_started_anew_from_the_checkpoint(tmp_path, alone):
    done, found = torchrun(tmp_path, "--die", "1", "3", restarts=1)
    assert done.returncode == 0, done.stderr
    assert found["attempt"] == "1"
    check_same(found, alone)
    assert found["origin"].startswith("taken up from ")


@pytest.mark.slow
def test_command_under_torchrun_reports_and_writes_once(tmp_path):
    results = tmp_path / "results.json"
    command = ["-m", "hw1lib.cnn", "--recipe", "draft", "--seeds", "1", "2"]
    folders = {"HW1_DATA": str(tmp_path / "data"), "HW1_BUILD": str(tmp_path / "build")}
    done = subprocess.run(
        [*TORCHRUN, "--nproc-per-node=2", *command, "--results", str(results)],
        env={**os.environ, "HW1_STANDIN": "always", **folders},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("draft, seed 1 · epoch 3/10") == 1
    assert done.stdout.count("draft, seed 2: test") == 1
    assert "test_accuracy ±" in done.stdout
    found = json.loads(results.read_text())
    assert [(r["seed"], r["setting"]["ranks"]) for r in found] == [(1, 2), (2, 2)]


@pytest.mark.parametrize("count", [1, 2, 7, 8, 64])
@pytest.mark.parametrize("size", [1, 2, 3, 5, 8])
def test_shares_are_neighbours_in_whole_pairs_and_cover_the_batch_once(
    monkeypatch, count, size
):
    monkeypatch.setattr(ranks.distributed, "is_initialized", lambda: True)
    monkeypatch.setattr(ranks.distributed, "get_world_size", lambda: size)
    covered = []
    for rank in range(size):
        monkeypatch.setattr(ranks.distributed, "get_rank", lambda rank=rank: rank)
        part = ranks.share(count)
        assert part.start % 2 == 0
        covered += range(count)[part]
    assert covered == list(range(count))


@pytest.mark.parametrize(("mean", "deviation"), [(0, 1), (30, 0.01), (100, 0.1)])
def test_batch_norm_over_ranks_is_that_of_torch(tmp_path, mean, deviation):
    store = distributed.FileStore(str(tmp_path / "store"), 1)
    distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    try:
        norm, x = nn.BatchNorm2d(3), mean + deviation * torch.randn(16, 3, 8, 8)
        synced = ranks.SyncBatchNorm.of(deepcopy(norm))
        first, second = (x.clone().requires_grad_() for _ in range(2))
        assert_close(synced(first), norm(second), rtol=1e-3, atol=1e-3)
        for layer, photos in ((synced, first), (norm, second)):
            layer(photos).pow(3).sum().backward()
        assert_close(first.grad, second.grad, rtol=1e-2, atol=1e-2 / deviation)
        assert_close(dict(synced.state_dict()), dict(norm.state_dict()), rtol=1e-3, atol=1e-5)
    finally:
        distributed.destroy_process_group()


def test_one_process_needs_no_ranks():
    assert ranks.is_first()
    assert ranks.count() == 1
    assert ranks.share(7) == slice(0, 7)
    assert ranks.total([1.5, 2], torch.device("cpu")) == [1.5, 2]
    assert ranks.from_first("x") == "x"
    module = torch.nn.BatchNorm2d(3)
    assert ranks.parallel(module) is module
