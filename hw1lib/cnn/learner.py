"""How the CNN is trained: the learner that `hw1lib.training.fit` drives, and the best epoch.

HW1.ipynb, Q3.I. Here torch.nn, autograd and torch.optim do the work.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torchvision.transforms.v2.functional import ten_crop

from hw1lib import ranks
from hw1lib.cnn.augment import augment, cutmix, resize
from hw1lib.cnn.model import GroceryNet
from hw1lib.cnn.optimizer import one_cycle, optimizers
from hw1lib.cnn.recipe import CROP_SIDE, Recipe
from hw1lib.history import EpochRecord, Metrics
from hw1lib.recorded import Recorded


class CNNLearner:
    """Muon and AdamW on a one-cycle schedule; evaluated with averaged weights.

    Trained on fine and coarse labels, evaluated on coarse ones.

    Attributes:
        model: the network being trained.
        averaged: exponential moving average of its weights and batch-norm statistics.
    """

    def __init__(self, model: GroceryNet, recipe: Recipe, *, steps_per_epoch: int) -> None:
        """Set up optimisers and schedules for recipe.num_epochs of steps_per_epoch steps.

        Args:
            model: trained in place.
            recipe: how.
            steps_per_epoch: batches.
        """
        self.model = model.to(memory_format=torch.channels_last)
        self._parallel = ranks.parallel(model)
        self.recipe = recipe
        average = get_ema_multi_avg_fn(recipe.ema_decay)
        self.averaged = AveragedModel(model, multi_avg_fn=average, use_buffers=True)
        self._optimizers = optimizers(self.model, recipe)
        steps = recipe.num_epochs * steps_per_epoch
        self._schedules = [one_cycle(opt, recipe, steps) for opt in self._optimizers]
        self._recorded: Recorded | None = None

    @property
    def lr(self) -> float:
        """AdamW's learning rate in the next step; Muon's rises and falls with it."""
        return float(self._schedules[0].get_last_lr()[0])

    @property
    def size(self) -> int:
        """Side of the photos in the next step, pixels."""
        return self._size(self._schedules[0].last_epoch)

    @property
    def last_size(self) -> int:
        """Side of the photos in the last step, pixels, which evaluation takes too."""
        return self._size(max(0, self._schedules[0].last_epoch - 1))

    def _size(self, step: int) -> int:
        done = step / (self._schedules[0].total_steps - 1)
        return [size for start, size in self.recipe.sizes if start <= done][-1]

    def train_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """One step on an augmented batch, of which every rank computes its share.

        Args:
            x: photos, uint8, (B, 3, H, W).
            y: fine labels, int64, (B,).

        Returns:
            loss_sum (nats, coarse, without label smoothing), correct, count, before the step,
            over all ranks.
        """
        count, mine = len(y), ranks.share(len(y))
        self.model.train()
        x, y = augment(x, self.size, self.recipe.augmentation, mine), y[mine]
        targets = F.one_hot(y, self.model.classifier.out_features).float()
        if torch.rand(()) < self.recipe.cutmix:
            x, order, share = cutmix(x)
            targets = targets.lerp(targets[order], share)
        if self._recorded is None and x.is_cuda and ranks.count() == 1:
            self._recorded = Recorded(self._step)
        logits = (self._recorded or self._step)(x, targets, ranks.count() / count)
        for schedule in self._schedules:
            schedule.step()
        self.averaged.update_parameters(self.model)
        with torch.inference_mode():
            return _score(self.model.coarse(logits), self.model.coarse_of.to(y.device)[y])

    def _step(self, x: Tensor, targets: Tensor, scale: float) -> Tensor:
        """Let the optimisers take a step; returns the fine classes' logits from before it."""
        logits = self._parallel(x)
        how = {"reduction": "sum", "label_smoothing": self.recipe.label_smoothing}
        fine = F.cross_entropy(logits, targets, **how)
        coarse = F.cross_entropy(self.model.coarse(logits), targets @ self.model.inside, **how)
        loss = torch.lerp(fine, coarse, self.recipe.coarse_share)
        self.model.zero_grad()
        (loss * scale).backward()  # the ranks' gradients are averaged
        for optimizer in self._optimizers:
            optimizer.step()
        return logits.detach()

    def eval_batch(self, x: Tensor, y: Tensor) -> tuple[float, int, int]:
        """The averaged network's metrics on photos as they are, with coarse labels."""
        mine = ranks.share(len(y))
        return _score(self.predict(x[mine]), y[mine])

    @torch.inference_mode()
    def predict(self, x: Tensor, *, tta_sizes: Sequence[int] = ()) -> Tensor:
        """Log-probabilities of the coarse classes by the averaged network, (B, classes).

        Args:
            x: photos, uint8, (B, 3, H, W).
            tta_sizes: for test-time augmentation, pixels. At each size the network sees the
                whole photo, its corners and its middle, and the mirror images of these; the
                mean of their probabilities is taken. Without any, it sees the whole photo
                once, at `last_size`.
        """
        self.averaged.eval()
        coarse = self.averaged.module.coarse
        if not tta_sizes:
            return coarse(self.averaged(resize(x, self.last_size)))
        crops = (x, x.flip(3), *ten_crop(x, [round(CROP_SIDE * side) for side in x.shape[2:]]))
        variants = [resize(crop, size) for size in tta_sizes for crop in crops]
        logs = torch.stack([coarse(self.averaged(variant)) for variant in variants])
        return logs.logsumexp(0) - math.log(len(variants))

    def state_dict(self) -> dict:
        """All that training changes."""
        return {name: part.state_dict() for name, part in self._parts().items()}

    def load_state_dict(self, state: dict) -> None:
        """Become what `state_dict` described."""
        for name, part in self._parts().items():
            part.load_state_dict(state[name])
        self._recorded = None  # it reads the rates' old places
        for optimizer in self._optimizers:
            for group in optimizer.param_groups:
                if isinstance(group["lr"], Tensor):
                    group["lr"] = group["lr"].to(self.model.mean.device)

    def _parts(self) -> dict:
        stepping = enumerate((*self._optimizers, *self._schedules))
        return {"model": self.model, "averaged": self.averaged} | {
            str(i): p for i, p in stepping
        }


def _score(log_probabilities: Tensor, y: Tensor) -> tuple[float, int, int]:
    loss_sum = F.nll_loss(log_probabilities, y, reduction="sum")
    correct = (log_probabilities.argmax(1) == y).sum()
    loss_sum, correct, count = ranks.total((loss_sum.item(), correct.item(), len(y)), y.device)
    return loss_sum, round(correct), round(count)


class BestEpoch:
    """Called with each record: keeps the averaged weights of the best epoch.

    Best is the latest epoch whose accuracy on one split is at most one standard error below
    the highest so far: a few hundred photos tell no more, and then longer training, on larger
    photos, at smaller rates, is the better guess.

    Source: Breiman et al., Classification and regression trees, 1984, section 3.4.3: the
    1 SE rule, there for the size of a tree.

    Attributes:
        epoch: the best so far, from 1; 0 before the first.
        metrics: of that epoch on that split.
    """

    def __init__(self, learner: CNNLearner, split: str) -> None:
        self.learner = learner
        self.split = split
        self.epoch = 0
        self.metrics = Metrics(loss=math.inf, accuracy=0.0, count=0)
        self._highest = 0.0
        self._weights: dict[str, Tensor] = {}

    def __call__(self, record: EpochRecord) -> None:
        """Look at one epoch."""
        metrics = record.metrics[self.split]
        self._highest = max(self._highest, metrics.accuracy)
        error = math.sqrt(self._highest * (1 - self._highest) / metrics.count)
        if metrics.accuracy >= self._highest - error:
            self.metrics, self.epoch = metrics, record.epoch
            weights = self.learner.averaged.state_dict()
            self._weights = {name: tensor.clone() for name, tensor in weights.items()}

    def restore(self) -> None:
        """Put the kept weights back, for evaluation."""
        self.learner.averaged.load_state_dict(self._weights)

    def state_dict(self) -> dict:
        """The best epoch so far, its weights, and the highest accuracy."""
        return {
            "epoch": self.epoch,
            "metrics": asdict(self.metrics),
            "highest": self._highest,
            "weights": self._weights,
        }

    def load_state_dict(self, state: dict) -> None:
        """Become what `state_dict` described."""
        self.epoch, self.metrics = state["epoch"], Metrics(**state["metrics"])
        self._highest, self._weights = state["highest"], state["weights"]
