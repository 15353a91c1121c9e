"""One training of the CNN from one seed, which can be stopped and taken up again."""

from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor

from hw1lib.checkpoint import Checkpoint
from hw1lib.cnn.learner import BestEpoch, CNNLearner
from hw1lib.cnn.model import GroceryNet
from hw1lib.cnn.recipe import Recipe
from hw1lib.datasets.grocery import Grocery
from hw1lib.history import EpochRecord, History
from hw1lib.progress import Progress
from hw1lib.training import Batches, fit, set_seed

EVAL_BATCH_SIZE = 64
CPU = torch.device("cpu")

Watcher = Callable[[EpochRecord], None]


def progress(run: "Run") -> list[Watcher]:
    """For `Run.train`: a line for each run, rewritten with each record."""
    return [Progress(run.history.name, run.recipe.num_epochs)]


class Run:
    """Network, learner, history and best epoch of one recipe, one data set and one seed.

    Attributes:
        teacher: the run of the recipe's teacher, from the same seed; None if it has none.
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
        file_name: str = "cnn",
    ) -> None:
        """Draw the network's weights; nothing is trained yet.

        Args:
            recipe: all that decides a run besides data and seed.
            photos: the three splits, at recipe.stored_size pixels.
            seed: of everything that is drawn at random.
            name: of the history.
            folder: keep a checkpoint there while training, and go on from one that is there.
            device: where the network is trained; train and validation photos are taken there.
            file_name: how the checkpoint's name begins.
        """
        self.teacher = recipe.teacher and Run(
            recipe.teacher,
            photos,
            seed=seed,
            name=f"{name}, teacher",
            folder=folder,
            device=device,
            file_name=f"{file_name}-teacher",
        )
        set_seed(seed)
        self.recipe, self.photos, self.seed, self.device = recipe, photos, seed, device
        self.model = GroceryNet(recipe.layout, photos.coarse_of).to(device)
        steps = -(-len(photos.train.labels) // recipe.batch_size)
        self.learner = CNNLearner(
            self.model,
            recipe,
            steps_per_epoch=steps,
            teacher=self.teacher and self.teacher.learner.averaged.eval(),
        )
        self.best = BestEpoch(self.learner, "val")
        self.history = History(name)
        self._checkpoint = folder and Checkpoint(
            folder / f"{file_name}-seed-{seed}.checkpoint",
            f"{recipe}, seed {seed}, {len(photos.train.labels)} photos",
            learner=self.learner,
            best=self.best,
            history=self.history,
        )

    @property
    def stages(self) -> "list[Run]":
        """The runs that are trained in turn: the teacher, if there is one, and this one."""
        return [*(self.teacher.stages if self.teacher else ()), self]

    @property
    def seconds(self) -> float:
        """Wall-clock time of training and evaluation, the teacher's included."""
        return sum(stage.history.seconds for stage in self.stages)

    def train(self, watchers: Callable[["Run"], Sequence[Watcher]] = lambda run: ()) -> History:
        """Train to the end, then put the best epoch's weights in place for evaluation.

        Args:
            watchers: gives, for the teacher's run and for this one, what is called in turn
                with each new record.

        Raises:
            CheckpointError, NonFiniteLossError, TrainingInterruptedError: see there. After the
                latter two, history and best hold what was reached.
        """
        for stage in self.stages:
            stage._train(watchers(stage))
        for stage in self.stages:
            if stage._checkpoint:
                stage._checkpoint.remove()
        return self.history

    def _train(self, watchers: Sequence[Watcher]) -> None:
        after_epoch = [self.best, *watchers]
        set_seed(self.seed)  # whatever was drawn since the network was
        if self._checkpoint:
            self._checkpoint.restore()
            after_epoch.insert(1, self._checkpoint)
        train, val = (split.to(self.device) for split in self.photos[:2])
        fit(
            self.learner,
            Batches(train.images, train.fine_labels, self.recipe.batch_size, shuffle=True),
            num_epochs=self.recipe.num_epochs,
            every=self.recipe.evaluate_every,
            splits={
                name: Batches(split.images, split.labels, EVAL_BATCH_SIZE)
                for name, split in (("train", train), ("val", val))
            },
            history=self.history,
            on_record=after_epoch,
        )
        self.best.restore()

    def predict(self, images: Tensor, *, views: Sequence[int] = ()) -> Tensor:
        """Log-probabilities (N, classes) of uint8 photos (N, 3, H, W), batch by batch.

        Args:
            images: the photos.
            views: as `CNNLearner.predict` takes them.
        """
        batches = images.split(EVAL_BATCH_SIZE)
        looks = [self.learner.predict(x.to(self.device), views=views) for x in batches]
        return torch.cat(looks).cpu()
