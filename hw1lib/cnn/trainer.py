"""One training of the CNN from one seed, which can be stopped and taken up again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from hw1lib.checkpoint import Training, kept
from hw1lib.cnn.learner import BestEpoch, CNNLearner
from hw1lib.cnn.model import GroceryNet, bfloat16_is_fast
from hw1lib.cnn.recipe import Recipe
from hw1lib.datasets.grocery import Grocery, GrocerySplit
from hw1lib.history import EpochRecord, History, Metrics
from hw1lib.training import Batches, set_seed

EVAL_BATCH_SIZE = 64
CPU = torch.device("cpu")

Watcher = Callable[[EpochRecord], None]


class Trainer:
    """Network, learner, history and best epoch of one recipe, one data set and one seed.

    Attributes:
        model: the network.
        learner: what trains it.
        history: of the epochs so far, of the splits "train" and "val".
        best: the best epoch so far by validation accuracy, and its weights.
    """

    def __init__(
        self,
        recipe: Recipe,
        photos: Grocery,
        *,
        seed: int,
        name: str = "CNN",
        folder: Path | None = None,
        device: torch.device = CPU,
    ) -> None:
        """Draw the network's weights; nothing is trained yet.

        Args:
            recipe: all that decides a run besides data and seed.
            photos: the three splits, at recipe.stored_size pixels.
            seed: of everything that is drawn at random.
            name: of the history.
            folder: where the training is kept, such as `trained_folder()`; without one it is
                kept in memory as long as this object.
            device: where the network is trained; train and validation photos are taken there.
        """
        set_seed(seed)
        self.recipe, self.photos, self.seed, self.device = recipe, photos, seed, device
        self._folder = folder
        self.model = GroceryNet(recipe.layout, photos.coarse_of).to(device)
        steps = -(-len(photos.train.labels) // recipe.batch_size)
        self.learner = CNNLearner(self.model, recipe, steps_per_epoch=steps)
        self.best = BestEpoch(self.learner, "val")
        self._training = Training(
            name,
            folder,
            recipe=recipe,
            seed=seed,
            classes=photos.coarse_of,
            bfloat16=bfloat16_is_fast(device),
        )
        self.history = self._training.history

    def train(self, *watchers: Watcher, show: bool = True) -> History:
        """Train to the end, then put the best epoch's weights in place for evaluation.

        A training that was stopped goes on; a finished one that is kept is taken as it is.

        Args:
            watchers: called in turn with each new record; they change nothing.
            show: whether a line on the screen follows the training.

        Raises:
            NonFiniteLossError: naming epoch, step and learning rate.
            TrainingInterruptedError: Ctrl-C or a notebook's stop button. After either, history,
                best and the weights in place are those reached by the last evaluation.
        """
        set_seed(self.seed)  # whatever was drawn since the network was
        train, val = (split.to(self.device) for split in self.photos[:2])
        try:
            return self._training.fit(
                self.learner,
                Batches(train.images, train.fine_labels, self.recipe.batch_size, shuffle=True),
                num_epochs=self.recipe.num_epochs,
                every=self.recipe.evaluate_every,
                splits={
                    name: Batches(split.images, split.labels, EVAL_BATCH_SIZE)
                    for name, split in (("train", train), ("val", val))
                },
                on_record=[self.best],
                watchers=watchers,
                show=show,
            )
        finally:
            if self.best.epoch:
                self.best.restore()

    def predict(self, images: Tensor, *, tta_sizes: Sequence[int] = ()) -> Tensor:
        """Log-probabilities (N, classes) of uint8 photos (N, 3, H, W), batch by batch.

        With a folder they are kept like the training, while network and photos are the same.

        Args:
            images: the photos.
            tta_sizes: for test-time augmentation, as `CNNLearner.predict` takes them.
        """

        def compute() -> Tensor:
            batches = images.split(EVAL_BATCH_SIZE)
            logs = [
                self.learner.predict(x.to(self.device), tta_sizes=tta_sizes) for x in batches
            ]
            return torch.cat(logs).cpu()

        views = "test-time augmentation" if tta_sizes else "one view each"
        name = f"Predictions for {len(images):,} photos, {views}"
        made_by = (self.learner.averaged.state_dict(), images, tuple(tta_sizes))
        how = (self.recipe.layout, self.learner.last_size, self.photos.coarse_of)
        how += (CNNLearner, GroceryNet, self.device.type)
        return kept(name, self._folder, compute, *made_by, *how)

    def evaluate(self, split: GrocerySplit, *, tta_sizes: Sequence[int] = ()) -> Metrics:
        """Loss and accuracy of `predict` on a split, by coarse labels."""
        logs = self.predict(split.images, tta_sizes=tta_sizes)
        accuracy = (logs.argmax(1) == split.labels).float().mean().item()
        return Metrics(F.nll_loss(logs, split.labels).item(), accuracy, len(split.labels))
