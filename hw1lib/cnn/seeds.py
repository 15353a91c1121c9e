"""One recipe from several seeds, in processes side by side."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process

import torch

from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.results import Result, result_of
from hw1lib.cnn.run import Run
from hw1lib.datasets import grocery
from hw1lib.datasets.resources import data_folder, obtain
from hw1lib.history import EpochRecord
from hw1lib.progress import Progress


def train_seeds(recipe: str, seeds: Sequence[int], *, processes: int = 1) -> Iterator[Result]:
    """Train and evaluate one run a seed; results come as they are finished.

    The cores are shared out among the processes. A run that was stopped goes on from its
    checkpoint in the data folder.

    Args:
        recipe: its name in RECIPES.
        seeds: one run each.
        processes: how many runs at a time.
    """
    threads = max(1, (os.cpu_count() or 1) // processes)
    with ProcessPoolExecutor(processes, get_context("spawn")) as pool:
        pending = [pool.submit(_train_seed, recipe, seed, threads) for seed in seeds]
        for future in as_completed(pending):
            yield future.result()


def _train_seed(name: str, seed: int, threads: int) -> Result:
    torch.set_num_threads(threads)
    recipe = RECIPES[name]
    photos = grocery.load(obtain("grocery").path, recipe.stored_size)
    folder = data_folder() / "checkpoints"
    folder.mkdir(parents=True, exist_ok=True)
    run = Run(recipe, photos, seed=seed, name=f"{name}, seed {seed}", folder=folder)
    run.train([Progress(run.history.name, recipe.num_epochs), _end_with_parent])
    return result_of(run, name)


def _end_with_parent(record: EpochRecord) -> None:
    """A killed command leaves no run behind that goes on unseen; its checkpoint is written."""
    if not parent_process().is_alive():
        os._exit(1)  # a raised error would go to the pool, which waits for the parent
