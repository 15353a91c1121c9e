"""Finished runs as plain data and as tidy frames; those that the project keeps are beside this.

HW1.ipynb, Q3.I, reads the committed ones, wherever hw1lib is installed.
"""

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

import pandas as pd
import torch

from hw1lib import ranks
from hw1lib.cnn.model import bfloat16_is_fast, count_parameters
from hw1lib.cnn.trainer import CPU, Trainer
from hw1lib.files import replacing
from hw1lib.history import History


@dataclass(frozen=True)
class Result:
    """What one finished run is remembered by.

    Attributes:
        recipe: its name.
        seed: of the run.
        parameters: trainable values of the network that is evaluated.
        best_epoch: the epoch kept, by validation accuracy.
        seconds: wall-clock time of training and of evaluating train and validation splits.
        val_accuracy: of the epoch kept.
        test_accuracy: of the epoch kept, with test-time augmentation.
        test_accuracy_without_tta: of the epoch kept, each photo seen once.
        history: `History.state_dict()`.
        setting: machine, threads, number format and versions.
    """

    recipe: str
    seed: int
    parameters: int
    best_epoch: int
    seconds: float
    val_accuracy: float
    test_accuracy: float
    test_accuracy_without_tta: float
    history: dict
    setting: dict

    def to_history(self) -> History:
        """The history as an object, under the recipe's name."""
        history = History("")
        history.load_state_dict({**self.history, "name": self.recipe})
        return history


def result_of(run: Trainer, recipe: str) -> Result:
    """Evaluate a finished run on the test split, once."""
    test = run.evaluate(run.photos.test, tta_sizes=run.recipe.tta_sizes)
    without_tta = run.evaluate(run.photos.test)
    return Result(
        recipe=recipe,
        seed=run.seed,
        parameters=count_parameters(run.model),
        best_epoch=run.best.epoch,
        seconds=run.history.seconds,
        val_accuracy=run.best.metrics.accuracy,
        test_accuracy=test.accuracy,
        test_accuracy_without_tta=without_tta.accuracy,
        history=_rounded(run.history.state_dict()),
        setting=setting(run.device),
    )


def setting(device: torch.device = CPU) -> dict[str, str | int]:
    """What times and the last digits depend on."""
    capabilities = torch.cpu.get_capabilities()
    return {
        "processor": str(capabilities.get("cpu_name", platform.processor())),
        "cores": capabilities.get("num_physical_cores", 0),
        "device": torch.cuda.get_device_name(device) if device.type == "cuda" else device.type,
        "ranks": ranks.count(),
        "threads": torch.get_num_threads(),
        "bfloat16": bfloat16_is_fast(device),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": version("torch"),
    }


def load(path: Path) -> list[Result]:
    """The results in a file; none if there is no file."""
    if not path.exists():
        return []
    return [Result(**record) for record in json.loads(path.read_text("utf-8"))]


def add(path: Path, results: Iterable[Result]) -> None:
    """Add results to a file; those of the same recipe and seed are replaced."""
    kept = {(result.recipe, result.seed): result for result in (*load(path), *results)}
    records = [asdict(kept[key]) for key in sorted(kept)]
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(records) + "\n", "utf-8")


def frame(results: Iterable[Result]) -> pd.DataFrame:
    """One row a run.

    Returns:
        recipe, seed, parameters, best_epoch, minutes, threads, and accuracies as shares of 1:
        val_accuracy, test_accuracy_without_tta, test_accuracy.
    """
    names = ("recipe", "seed", "parameters", "best_epoch")
    accuracies = ("val_accuracy", "test_accuracy_without_tta", "test_accuracy")
    return pd.DataFrame(
        {name: getattr(result, name) for name in (*names, *accuracies)}
        | {"minutes": result.seconds / 60, "threads": result.setting.get("threads")}
        for result in results
    )


def summary(runs: pd.DataFrame) -> pd.DataFrame:
    """Mean and standard deviation of several seeds, a row a recipe.

    Args:
        runs: as `frame` returns them.

    Returns:
        Indexed by recipe: seeds (how many), for each accuracy its mean and, with " ±" behind
        its name, its standard deviation (nan for one seed), and the mean minutes.
    """
    columns = {"seeds": ("seed", "count")}
    for name in ("val_accuracy", "test_accuracy_without_tta", "test_accuracy"):
        columns |= {name: (name, "mean"), f"{name} ±": (name, "std")}
    return runs.groupby("recipe", sort=False).agg(**columns, minutes=("minutes", "mean"))


def table(results: Iterable[Result]) -> str:
    """One line a run, and a line a recipe with mean and standard deviation, in percent."""
    runs = frame(results)
    parts = (runs, summary(runs).reset_index())
    accuracies = [name for name in parts[1] if "accuracy" in name]
    percent = dict.fromkeys(accuracies, "{:.2%}".format)
    style = {"index": False, "formatters": percent, "float_format": "{:.1f}".format}
    return "\n\n".join(part.to_string(**style) for part in parts)


def committed(name: str) -> list | dict:
    """Records that the project keeps beside this module; "reference" is one, by name.

    Args:
        name: "results", which `frame` and `curves` take as `Result(**record)`; "ablation" of
            tests/benchmarks/cnn_ablation.py; "reference" of cnn_reference.py there; or
            "published", accuracies of others.
    """
    return json.loads(files(__package__).joinpath(f"{name}.json").read_text("utf-8"))


def finished() -> list[Result]:
    """The committed results of finished runs, several seeds of each recipe."""
    return [Result(**record) for record in committed("results")]


def curves(results: Iterable[Result]) -> pd.DataFrame:
    """The histories of finished runs, as `History.frame` returns them.

    Returns:
        run (the recipe's name), split, epoch, loss, accuracy, ..., seed.
    """
    return pd.concat(
        [result.to_history().frame(seed=result.seed) for result in results], ignore_index=True
    )


def ablation() -> pd.DataFrame:
    """What each part is worth, from the committed runs: least squares over parts and folds.

    Returns:
        A row a part and measure ("accuracy", a share, and "loss", nats, on held-out shelves),
        the part that adds most to accuracy first: part, measure, gain (of having the part, over
        doing without it) and error (its standard error).
    """
    runs = committed("ablation")
    parts = list(dict.fromkeys(part for run in runs for part in run["without"]))
    folds = sorted({run["fold"] for run in runs})
    given = torch.tensor(
        [
            [run["fold"] == fold for fold in folds]
            + [part not in run["without"] for part in parts]
            for run in runs
        ],
        dtype=torch.float64,
    )
    inverse = (given.T @ given).inverse()
    rows = []
    for measure in ("accuracy", "loss"):
        found = torch.tensor([run[measure] for run in runs], dtype=torch.float64)
        gains = inverse @ given.T @ found
        unexplained = (found - given @ gains).square().sum() / (len(runs) - len(gains))
        errors = (unexplained * inverse.diagonal()).sqrt()
        estimates = torch.stack([gains, errors], dim=1)[len(folds) :].tolist()
        rows += [(part, measure, *both) for part, both in zip(parts, estimates, strict=True)]
    frame = pd.DataFrame(rows, columns=["part", "measure", "gain", "error"])
    order = frame[frame["measure"] == "accuracy"].set_index("part")["gain"]
    return frame.sort_values("part", key=lambda p: -p.map(order), kind="stable")


def _rounded(value):
    """Floats to five digits: enough for a plot, and a third of the size."""
    match value:
        case float():
            return float(f"{value:.5g}")
        case dict():
            return {key: _rounded(item) for key, item in value.items()}
        case list():
            return [_rounded(item) for item in value]
    return value
