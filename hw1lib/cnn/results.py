"""Finished runs as plain data: one JSON file that several processes' runs are gathered in.

HW1.ipynb, Q3.I, reads the committed one.
"""

import json
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import pandas as pd
import torch

from hw1lib import ranks
from hw1lib.cnn.model import bfloat16_is_fast, count_parameters
from hw1lib.cnn.trainer import CPU, Run
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
        test_accuracy: of the epoch kept, by the recipe's views.
        test_accuracy_plain: the same by one look at each photo.
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
    test_accuracy_plain: float
    history: dict
    setting: dict

    def curves(self) -> History:
        """The history as an object."""
        history = History("")
        history.load_state_dict(self.history)
        return history


def result_of(run: Run, recipe: str) -> Result:
    """Evaluate a finished run on the test split, which is done here and nowhere else."""
    test, plain = (run.evaluate(run.photos.test, views=v) for v in (run.recipe.views, ()))
    return Result(
        recipe=recipe,
        seed=run.seed,
        parameters=count_parameters(run.model),
        best_epoch=run.best.epoch,
        seconds=run.history.seconds,
        val_accuracy=run.best.metrics.accuracy,
        test_accuracy=test.accuracy,
        test_accuracy_plain=plain.accuracy,
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


def table(results: Iterable[Result]) -> str:
    """One line a run, and under several of a recipe their mean and standard deviation."""
    rows = pd.DataFrame(
        {
            "recipe": result.recipe,
            "seed": str(result.seed),
            "validation %": 100 * result.val_accuracy,
            "test %": 100 * result.test_accuracy,
            "one look %": 100 * result.test_accuracy_plain,
            "best epoch": str(result.best_epoch),
            "min": result.seconds / 60,
        }
        for result in results
    )
    groups = []
    for _, group in rows.groupby("recipe", sort=False):
        figures = group.select_dtypes("number")
        groups.append(group)
        if len(group) > 1:
            groups += [
                pd.DataFrame([{"recipe": name, **getattr(figures, way)()}])
                for name, way in (("mean", "mean"), ("std. deviation", "std"))
            ]
    whole = pd.concat(groups)
    return whole.to_string(index=False, na_rep="", float_format="{:.2f}".format)


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
