"""One recipe from several seeds: in processes side by side, or one by one on all ranks."""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context, parent_process

import torch

from hw1lib import device, ranks
from hw1lib.checkpoint import trained_folder
from hw1lib.cnn.recipe import RECIPES
from hw1lib.cnn.results import Result, result_of
from hw1lib.cnn.trainer import Trainer
from hw1lib.datasets import grocery
from hw1lib.datasets.resources import obtain
from hw1lib.history import EpochRecord


def train_seeds(recipe: str, seeds: Sequence[int], *, processes: int = 1) -> Iterator[Result]:
    """Train and evaluate one run a seed; results come as they are finished.

    The cores, or the GPUs, are shared out among the processes. A run that was stopped goes on
    from where it was, and a finished one is not done again: see `trained_folder`.

    Args:
        recipe: its name in RECIPES.
        seeds: one run each.
        processes: how many runs at a time.
    """
    context = get_context("spawn")
    devices = context.Queue()
    for name in device.spread(processes):
        devices.put(name)
    threads = max(1, (os.cpu_count() or 1) // processes)
    with ProcessPoolExecutor(processes, context, _start_worker, (devices, threads)) as pool:
        pending = [pool.submit(_train_seed, recipe, seed) for seed in seeds]
        for future in as_completed(pending):
            yield future.result()


def train_together(recipe: str, seeds: Sequence[int]) -> Iterator[Result]:
    """Train and evaluate one run a seed, one after the other, each on all of torchrun's ranks.

    Results come on the first rank alone.

    Args:
        recipe: its name in RECIPES.
        seeds: one run each.
    """
    with ranks.together(device.chosen()):
        for seed in seeds:
            result = _train_seed(recipe, seed)
            if result:
                yield result


def _start_worker(devices, threads: int) -> None:
    """At the start of a process."""
    os.environ["HW1_DEVICE"] = devices.get()
    torch.set_num_threads(threads)


def _train_seed(name: str, seed: int) -> Result | None:
    recipe = RECIPES[name]
    with ranks.one_after_another():
        photos = grocery.load(obtain("grocery").path, recipe.stored_size)
    options = {"folder": trained_folder(), "device": device.chosen()}
    trainer = Trainer(recipe, photos, seed=seed, name=f"{name}, seed {seed}", **options)
    trainer.train(_end_with_parent)
    return result_of(trainer, name) if ranks.is_first() else None


def _end_with_parent(record: EpochRecord) -> None:
    """A killed command leaves no run behind that goes on unseen; its checkpoint is written."""
    parent = parent_process()
    if parent and not parent.is_alive():
        os._exit(1)  # a raised error would go to the pool, which waits for the parent
