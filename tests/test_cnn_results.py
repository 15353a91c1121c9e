"""Results of finished runs: kept once each, and gathered from processes side by side."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import psutil
import pytest
import torch

from hw1lib.cnn import results
from hw1lib.cnn.model import GroceryNet, count_parameters
from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.trainer import Run
from hw1lib.datasets.grocery import FINE_CLASSES
from hw1lib.datasets.resources import PROJECT_ROOT
from tests.test_cnn import TINY, photos


@pytest.fixture(scope="module")
def finished():
    run = Run(replace(TINY, num_epochs=2), photos(), seed=3)
    run.train()
    return run


def test_result_holds_what_the_run_reached_and_how(finished):
    result = results.result_of(finished, "tiny")
    assert (result.recipe, result.seed) == ("tiny", 3)
    labels = finished.photos.test.labels
    views = finished.recipe.views
    right = finished.predict(finished.photos.test.images, views=views).argmax(1) == labels
    assert result.test_accuracy == right.float().mean().item()
    assert (
        result.val_accuracy
        == finished.history.records[result.best_epoch - 1].metrics["val"].accuracy
    )
    assert result.curves().epochs == [1, 2]
    assert result.curves().curve("val", "loss") == pytest.approx(
        finished.history.curve("val", "loss"), rel=1e-4
    )


def test_setting_names_the_processor_its_cores_and_the_threads(monkeypatch):
    known = {"cpu_name": "a processor", "num_physical_cores": 3}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    found = results.setting()
    assert (found["processor"], found["cores"]) == ("a processor", 3)
    assert (found["device"], found["threads"]) == ("cpu", torch.get_num_threads())


def test_committed_results_are_of_the_recipes_as_they_are():
    finished = results.load(PROJECT_ROOT / "tests/benchmarks/cnn_results.json")
    assert {result.recipe for result in finished} == {"default", "full", "plain"}
    for result in finished:
        recipe = RECIPES[result.recipe]
        net = GroceryNet(recipe.layout, range(FINE_CLASSES))
        assert count_parameters(net) == result.parameters < 100_000
        assert result.curves().epochs[-1] == recipe.num_epochs


def test_results_are_kept_once_a_recipe_and_seed(tmp_path, finished):
    path = tmp_path / "results.json"
    assert results.load(path) == []
    first = results.result_of(finished, "tiny")
    results.add(path, [first, replace(first, seed=1)])
    results.add(path, [replace(first, test_accuracy=0.25)])
    found = results.load(path)
    assert [(r.seed, r.test_accuracy == 0.25) for r in found] == [(1, False), (3, True)]
    assert found[0] == replace(first, seed=1)


#: Two processes: another number of threads a run would change the last digits.
COMMAND = [sys.executable, "-m", "hw1lib.cnn", "--recipe", "draft", "--processes", "2"]


def command(tmp_path, *arguments):
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, "HW1_STANDIN": "always", "HW1_DATA": str(tmp_path / "data")},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_seeds_side_by_side_give_one_table_and_a_killed_run_goes_on(tmp_path):
    both, again = tmp_path / "both.json", tmp_path / "again.json"
    whole = command(tmp_path, "--seeds", "1", "2", "--results", str(both))
    out, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0
    assert "draft, seed 1: test" in out

    killed = command(tmp_path, "--seeds", "1", "--results", str(again))
    for line in killed.stdout:
        if "epoch 4/10" in line:
            break
    runs = psutil.Process(killed.pid).children()
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(runs, timeout=120)
    assert not alive, "runs go on after the command was killed"
    assert not again.exists()

    resumed = command(tmp_path, "--seeds", "1", "--results", str(again))
    out, _ = resumed.communicate(timeout=300)
    assert "epoch 3/10" not in out, "it started anew"
    (found,) = json.loads(again.read_text())
    (expected,) = [r for r in json.loads(both.read_text()) if r["seed"] == 1]
    for figures in ("val_accuracy", "test_accuracy", "best_epoch"):
        assert found[figures] == expected[figures]
