"""Train the CNN from several seeds: `python -m hw1lib.cnn --help`."""

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

from torch.distributed.elastic.multiprocessing.errors import record

from hw1lib import ranks
from hw1lib.cnn import results
from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.seeds import train_seeds, train_together
from hw1lib.datasets.resources import ResourceError, refuse_stand_ins

DESCRIPTION = """\
Train the CNN of Q3.I from several seeds, evaluate each on the test split once, and gather the
results in a file. To continue a run that was stopped, give the same command again.
Under torchrun, all processes train one run together, each on its share of every batch."""


@record  # torchrun shows which rank failed, and with what error
def main() -> int:
    """Run the command; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python -m hw1lib.cnn", description=DESCRIPTION)
    add = parser.add_argument
    add("--recipe", choices=RECIPES, default="default", help="default: %(default)s")
    add("--seeds", type=int, nargs="+", default=[42], help="default: 42")
    add("--processes", type=_count, default=1, help="runs side by side (default: 1)")
    add("--results", type=Path, default=Path("cnn-results.json"), help="default: %(default)s")
    args = parser.parse_args()
    refuse_stand_ins()
    if ranks.launched():
        runs = train_together(args.recipe, args.seeds)
    else:
        runs = train_seeds(args.recipe, args.seeds, processes=args.processes)
    try:
        _gather(runs, args.results)
    except ResourceError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _count(text: str) -> int:
    if not (text.isdecimal() and int(text)):
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 on")
    return int(text)


def _gather(runs: Iterable[results.Result], path: Path) -> None:
    """Say and keep each result as it comes, then all in one table."""
    finished = []
    for result in runs:
        results.add(path, [result])
        finished.append(result)
        print(
            f"{result.recipe}, seed {result.seed}: test {result.test_accuracy:.2%} "
            f"(without test-time augmentation {result.test_accuracy_without_tta:.2%}), "
            f"validation {result.val_accuracy:.2%} in epoch {result.best_epoch}, "
            f"{result.parameters:,} parameters, {result.seconds / 60:.1f} min",
            flush=True,
        )
    if len(finished) > 1:
        print(results.table(finished))


if __name__ == "__main__":
    sys.exit(main())
