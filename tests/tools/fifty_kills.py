"""Kill trainings at random moments and see that the run after each ends like one that was not.

    .venv/bin/python -m tests.tools.fifty_kills [--kills 50] [--seed 0]

Each kill is a SIGKILL, as when memory is short or the power goes; the turns are those of a
small CNN and of a small network by hand. The next run, in a new process, must go on by itself
to the same weights and the same random numbers after it, bit for bit, and lose at most what
came after the last evaluation; the first failure ends the script.
"""

import argparse
import random
import shutil
import tempfile
import time
from collections import Counter
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path

import torch

from hw1lib.cnn.trainer import Trainer
from hw1lib.experiments import Changes, train_with
from hw1lib.training import Batches
from tests.test_cnn import TINY, photos

PROCESSES = get_context("forkserver")


def by_hand(folder: Path) -> tuple[dict, str]:
    """Shuffled, shifted, at a falling rate: 20 epochs of 100 steps."""
    X, y = torch.rand(3200, 784, generator=torch.Generator().manual_seed(1)), torch.arange(3200)
    changes = Changes(lr=1.0, scaled=True, shuffle=True, decay=True, shift=True, num_epochs=20)
    splits = {"train": Batches(X, y % 10, 3200)}
    network, history = train_with(changes, X, y % 10, splits, name="by hand", folder=folder)
    return network.weights(), history.origin


def cnn(folder: Path) -> tuple[dict, str]:
    """The tiny network of tests/test_cnn.py, 20 epochs, evaluated after every second."""
    recipe = replace(TINY, num_epochs=20, evaluate_every=2)
    trainer = Trainer(recipe, photos(), seed=1, folder=folder)
    trainer.train(show=False)
    return trainer.learner.averaged.state_dict(), trainer.history.origin


TRAININGS = (by_hand, cnn)


def train(which: int, folder: Path) -> None:
    """What one process does: a training, and a note of what came of it."""
    torch.set_num_threads(1)
    weights, origin = TRAININGS[which](folder / "trained")
    torch.save({"weights": weights, "next": torch.rand(4), "origin": origin}, folder / "ended")


def run(which: int, folder: Path, kill_after: float | None = None) -> float:
    """Seconds that a process took, which is killed after some if it takes longer."""
    process, start = PROCESSES.Process(target=train, args=(which, folder)), time.perf_counter()
    process.start()
    process.join(kill_after)
    process.kill()
    process.join()
    return time.perf_counter() - start


def ended(folder: Path) -> tuple[dict, str]:
    """What a run that came to its end left, all tensors by name, and what it said of itself."""
    found = torch.load(folder / "ended", weights_only=True)
    return {**found["weights"], "next": found["next"]}, found["origin"]


def kill_once(which: int, folder: Path, moment: float, whole: dict) -> str:
    """One kill and the run after it; returns how that began."""
    run(which, folder, moment)
    (folder / "ended").unlink(missing_ok=True)
    run(which, folder)
    tensors, origin = ended(folder)
    different = [name for name in whole if not torch.equal(whole[name], tensors[name])]
    left = [path.name for path in (folder / "trained").iterdir() if path.suffix != ".pt"]
    assert tensors.keys() == whole.keys()
    assert not different, f"killed after {moment:.2f} s, {origin}: other {different}"
    assert len(left) <= 1, f"half-written files gather: {left}"
    return origin.split()[0]


def main() -> None:
    """Run it all; print each kill, and how often the next run went on or began anew."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    PROCESSES.set_forkserver_preload(["hw1lib.cnn.trainer", "tests.test_cnn"])  # slow to import
    chance, began = random.Random(args.seed), Counter()
    with tempfile.TemporaryDirectory() as name:
        wholes = []
        for which, training in enumerate(TRAININGS):
            folder = Path(name) / training.__name__
            folder.mkdir()
            run(which, folder)
            shutil.rmtree(folder / "trained")
            seconds = run(which, folder)  # the first one also started the server
            wholes.append((folder, seconds, ended(folder)[0]))
        for kill in range(args.kills):
            folder, seconds, whole = wholes[kill % len(TRAININGS)]
            shutil.rmtree(folder / "trained")
            moment = chance.uniform(0, seconds)
            how = kill_once(kill % len(TRAININGS), folder, moment, whole)
            began[f"{folder.name}: {how}"] += 1
            print(f"kill {kill + 1} after {moment:.2f} of {seconds:.2f} s: {how}", flush=True)
    print(f"{args.kills} kills, all ended with the weights of a run that was not killed")
    print(*(f"  {what}: {count}" for what, count in sorted(began.items())), sep="\n")


if __name__ == "__main__":
    main()
