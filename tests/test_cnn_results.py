"""Results of finished runs: kept once each, gathered from processes, read as tidy frames."""

import json
import math
import os
import subprocess
import sys
from dataclasses import replace

import pandas as pd
import psutil
import pytest
import torch

from hw1lib import ranks
from hw1lib.cnn import __main__ as command_line
from hw1lib.cnn import results
from hw1lib.cnn.model import GroceryNet, count_parameters
from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets.grocery import FINE_CLASSES
from hw1lib.datasets.resources import ResourceError
from hw1lib.history import EpochRecord, History, Metrics
from tests.benchmarks.cnn_ablation import PARTS, design
from tests.test_cnn import TINY, photos


@pytest.fixture(scope="module")
def finished():
    run = Trainer(replace(TINY, num_epochs=2), photos(), seed=3)
    run.train()
    return run


def a_result(seed, accuracy, recipe="full"):
    records = [
        EpochRecord(epoch, 30.0, 0.1, {"val": Metrics(1 / epoch, accuracy, 3)})
        for epoch in (1, 2)
    ]
    return results.Result(
        recipe=recipe,
        seed=seed,
        parameters=95129,
        best_epoch=7,
        seconds=90.0,
        val_accuracy=0.75,
        test_accuracy=accuracy,
        test_accuracy_without_tta=0.5,
        history=History("run", records).state_dict(),
        setting={"threads": 2},
    )


RUNS = [a_result(1, 0.8), a_result(2, 0.9), a_result(1, 0.7, "draft")]


def test_result_holds_what_the_run_reached_and_how(finished):
    result = results.result_of(finished, "tiny")
    assert (result.recipe, result.seed) == ("tiny", 3)
    labels = finished.photos.test.labels
    tta_sizes = finished.recipe.tta_sizes
    right = (
        finished.predict(finished.photos.test.images, tta_sizes=tta_sizes).argmax(1) == labels
    )
    assert result.test_accuracy == right.float().mean().item()
    plain = finished.predict(finished.photos.test.images).argmax(1) == labels
    assert result.test_accuracy_without_tta == plain.float().mean().item()
    assert result.parameters == count_parameters(finished.model)
    assert result.seconds == finished.history.seconds
    assert (
        result.val_accuracy
        == finished.history.records[result.best_epoch - 1].metrics["val"].accuracy
    )
    assert result.to_history().epochs == [1, 2]
    assert result.to_history().curve("val", "loss") == pytest.approx(
        finished.history.curve("val", "loss"), rel=1e-4
    )


def test_figures_of_a_history_are_kept_to_five_digits(finished):
    state = results.result_of(finished, "tiny").history
    losses = [record["metrics"]["val"]["loss"] for record in state["records"]]
    assert losses == [float(f"{loss:.5g}") for loss in finished.history.curve("val", "loss")]
    assert losses != finished.history.curve("val", "loss")
    assert state["records"][0]["metrics"]["val"]["count"] == len(finished.photos.val.labels)


def test_setting_names_the_processor_its_cores_and_the_threads(monkeypatch):
    known = {"cpu_name": "a processor", "num_physical_cores": 3}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: known)
    found = results.setting()
    assert (found["processor"], found["cores"]) == ("a processor", 3)
    assert (found["device"], found["threads"]) == ("cpu", torch.get_num_threads())


def test_setting_names_what_times_depend_on(monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    found = results.setting()
    assert list(found) == [
        *("processor", "cores", "device", "ranks", "threads", "bfloat16", "system"),
        *("python", "torch"),
    ]
    assert (found["device"], found["ranks"], found["cores"]) == ("cpu", 1, 0)
    assert found["bfloat16"] is False
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: f"a GPU, {device}")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda **_: True)
    assert results.setting(torch.device("cuda:1"))["device"] == "a GPU, cuda:1"


def test_a_frame_has_a_row_a_run_and_a_summary_mean_and_deviation_a_recipe():
    runs = results.frame(RUNS)
    assert runs["test_accuracy"].tolist() == [0.8, 0.9, 0.7]
    assert runs.loc[0, ["recipe", "seed", "parameters", "best_epoch"]].tolist() == [
        *("full", 1, 95129, 7)
    ]
    assert runs.loc[0, ["val_accuracy", "minutes", "threads"]].tolist() == [0.75, 1.5, 2]
    summary = results.summary(runs)
    assert summary.index.tolist() == ["full", "draft"]
    assert summary["seeds"].tolist() == [2, 1]
    assert summary["test_accuracy"].tolist() == pytest.approx([0.85, 0.7])
    assert summary["test_accuracy_without_tta"].tolist() == [0.5, 0.5]
    assert summary.loc["full", "test_accuracy ±"] == pytest.approx(0.0707, abs=1e-4)
    assert pd.isna(summary.loc["draft", "test_accuracy ±"])
    assert summary["minutes"].tolist() == [1.5, 1.5]


def test_the_command_prints_a_line_a_run_and_the_mean_of_several_of_a_recipe():
    lines = [line.split() for line in results.table(RUNS).splitlines()]
    assert lines[0][:5] == ["recipe", "seed", "parameters", "best_epoch", "val_accuracy"]
    assert lines[2] == ["full", "2", "95129", "7", "75.00%", "50.00%", "90.00%", "1.5", "2"]
    (mean,) = [line for line in lines if line[:2] == ["full", "2"] and line[-1] == "1.5"]
    assert mean[2:] == ["75.00%", "0.00%", "50.00%", "0.00%", "85.00%", "7.07%", "1.5"]


def test_curves_of_finished_runs_are_one_tidy_frame():
    curves = results.curves(RUNS)
    assert len(curves) == 6
    second = curves[(curves["seed"] == 2) & (curves["epoch"] == 2)].squeeze()
    assert (second["run"], second["split"]) == ("full", "val")
    assert (second["loss"], second["accuracy"]) == (0.5, 0.9)
    assert curves.index.is_unique


def test_committed_results_are_of_the_recipes_as_they_are():
    finished = results.finished()
    assert {result.recipe for result in finished} == {"default", "full", "plain", "relu"}
    for result in finished:
        recipe = RECIPES[result.recipe]
        net = GroceryNet(recipe.layout, range(FINE_CLASSES))
        assert count_parameters(net) == result.parameters < 100_000
        assert result.to_history().epochs[-1] == recipe.num_epochs


def test_gains_are_those_of_the_parts_whatever_the_folds(monkeypatch):
    runs = []
    for number in range(16):
        without = [part for bit, part in enumerate("abc") if number >> bit & 1]
        chance = 0.01 if number.bit_count() % 2 else -0.01
        accuracy = 0.7 + 0.04 * ("a" not in without) - 0.02 * ("b" not in without) + chance
        accuracy -= 0.1 * (number // 8)
        loss = 1.0 - 0.5 * ("c" not in without)
        runs.append({"without": without, "fold": number // 8})
        runs[-1] |= {"accuracy": accuracy, "loss": loss}
    monkeypatch.setattr(results, "committed", lambda name: runs)
    found = results.ablation()
    assert list(found["part"].unique()) == ["a", "c", "b"]
    found = found.set_index(["measure", "part"])
    assert found.loc["accuracy", "gain"].tolist() == pytest.approx([0.04, 0.0, -0.02])
    # By hand: the squares of 16 times 0.01, over 11 degrees of freedom, over 16 / 4.
    error = math.sqrt(16 * 0.01**2 / 11 / 4)
    assert found.loc["accuracy", "error"].tolist() == pytest.approx([error] * 3)
    assert found.loc[("loss", "c"), "gain"] == pytest.approx(-0.5)
    assert found.loc["loss", "error"].tolist() == pytest.approx([0.0] * 3, abs=1e-6)


def test_committed_ablation_is_of_the_runs_of_its_design():
    runs = results.committed("ablation")
    assert [(run["fold"], run["without"]) for run in runs] == design()
    assert max(run["parameters"] for run in runs) < 100_000
    found = results.ablation()
    assert len(found) == 2 * len(PARTS)


def test_committed_records_are_found_without_the_project_around_the_library(tmp_path):
    code = "from hw1lib.cnn.results import committed as c; print(*map(len, map(c, %r)))"
    names = ("results", "ablation", "published", "reference")
    done = subprocess.run(
        [sys.executable, "-c", code % (names,)],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=True,
    )
    assert all(int(count) >= 4 for count in done.stdout.split())


def test_results_are_kept_once_a_recipe_and_seed(tmp_path):
    path = tmp_path / "results.json"
    assert results.load(path) == []
    first = a_result(3, 0.5)
    results.add(path, [first, replace(first, seed=1)])
    results.add(path, [replace(first, test_accuracy=0.25)])
    found = results.load(path)
    assert [(r.seed, r.test_accuracy == 0.25) for r in found] == [(1, False), (3, True)]
    assert found[0] == replace(first, seed=1)
    assert path.read_text().endswith("]\n")


@pytest.fixture
def run_command(monkeypatch, tmp_path):
    """The command, in a folder of its own and with runs at once; returns what it asks for."""
    asked = []

    def runs(way):
        def train(recipe, seeds, **options):
            asked.append((way, recipe, seeds, options))
            yield from RUNS[: len(seeds)]

        return train

    def run(*arguments, status=0):
        monkeypatch.setattr(sys, "argv", ["cnn", *arguments])
        assert command_line.main() == status
        return asked.pop() if asked else None

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command_line, "train_seeds", runs("each"))
    monkeypatch.setattr(command_line, "train_together", runs("together"))
    return run


def test_the_command_trains_as_asked_says_each_run_and_keeps_it(run_command, tmp_path, capsys):
    options = ("--recipe", "full", "--seeds", "1", "2", "--processes", "3")
    assert run_command(*options, "--results", "r.json") == (
        *("each", "full", [1, 2], {"processes": 3}),
    )
    printed = capsys.readouterr().out
    first, second, *table = printed.splitlines()
    assert first == (
        "full, seed 1: test 80.00% (without test-time augmentation 50.00%), validation 75.00% "
        "in epoch 7, 95,129 parameters, 1.5 min"
    )
    assert second.startswith("full, seed 2: test 90.00%")
    assert "\n".join(table) == results.table(RUNS[:2]).rstrip("\n")
    assert results.load(tmp_path / "r.json") == RUNS[:2]


def test_the_command_without_options_trains_the_default_recipe_from_seed_42(
    run_command, tmp_path, capsys
):
    assert run_command() == ("each", "default", [42], {"processes": 1})
    assert len(capsys.readouterr().out.splitlines()) == 1, "a table of one run"
    assert results.load(tmp_path / "cnn-results.json") == RUNS[:1]


def test_the_command_trains_on_no_stand_in_that_nobody_asked_for(
    run_command, monkeypatch, tmp_path, capsys
):
    def train(recipe, seeds, **options):
        yield RUNS[0]
        raise ResourceError("Grocery", [os.environ["HW1_STANDIN"]], "plug it in")

    monkeypatch.setattr(command_line, "train_seeds", train)
    run_command(status=1)
    assert "Tried:\n  - never\nWhat to do: plug it in" in capsys.readouterr().err
    assert results.load(tmp_path / "cnn-results.json") == RUNS[:1], "what was finished is kept"


@pytest.mark.parametrize("count", ["0", "-1", "two"])
def test_the_command_needs_a_process(run_command, capsys, count):
    with pytest.raises(SystemExit):
        run_command("--processes", count)
    assert f"'{count}' is no number from 1 on" in capsys.readouterr().err


def test_the_command_under_torchrun_trains_on_all_ranks(run_command, monkeypatch):
    monkeypatch.setattr(ranks, "launched", lambda: True)
    assert run_command("--seeds", "7") == ("together", "default", [7], {})


#: Two processes: another number of threads a run would change the last digits.
COMMAND = [sys.executable, "-m", "hw1lib.cnn", "--recipe", "draft", "--processes", "2"]


def command(tmp_path, *arguments, build):
    folders = {"HW1_DATA": str(tmp_path / "data"), "HW1_BUILD": str(tmp_path / build)}
    return subprocess.Popen(
        [*COMMAND, *arguments],
        env={**os.environ, "HW1_STANDIN": "always", **folders},
        stdout=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
def test_seeds_side_by_side_give_one_table_and_a_killed_run_goes_on(tmp_path):
    both, again = tmp_path / "both.json", tmp_path / "again.json"
    whole = command(tmp_path, "--seeds", "1", "2", "--results", str(both), build="first")
    out, _ = whole.communicate(timeout=300)
    assert whole.returncode == 0
    assert "draft, seed 1: test" in out

    killed = command(tmp_path, "--seeds", "1", "--results", str(again), build="second")
    for line in killed.stdout:
        if "epoch 4/10" in line:
            break
    runs = psutil.Process(killed.pid).children()
    killed.kill()
    killed.communicate()
    _, alive = psutil.wait_procs(runs, timeout=120)
    assert not alive, "runs go on after the command was killed"
    assert not again.exists()

    resumed = command(tmp_path, "--seeds", "1", "--results", str(again), build="second")
    out, _ = resumed.communicate(timeout=300)
    assert "epoch 3/10" not in out, "it started anew"
    (found,) = json.loads(again.read_text())
    (expected,) = [r for r in json.loads(both.read_text()) if r["seed"] == 1]
    for figures in ("val_accuracy", "test_accuracy", "best_epoch"):
        assert found[figures] == expected[figures]
