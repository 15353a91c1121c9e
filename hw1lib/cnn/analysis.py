"""What a trained classifier does with photos: where it errs, how sure it is, what it looks at.

HW1.ipynb, Q3.I.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F


def confusion_matrix(predicted: Tensor, labels: Tensor, num_classes: int) -> Tensor:
    """Counts, (N, N) int64: true classes in rows, predicted ones in columns."""
    index = labels * num_classes + predicted
    return torch.bincount(index, minlength=num_classes**2).view(num_classes, num_classes)


class Calibration(NamedTuple):
    """How sure a classifier is and how often it is right, by bins of confidence.

    Attributes:
        confidence: mean probability of the predicted class, (bins,); nan for an empty bin.
        accuracy: share of right predictions, (bins,); nan for an empty bin.
        count: predictions a bin, (bins,).
        error: expected calibration error, the mean distance of the two over all predictions.
    """

    confidence: Tensor
    accuracy: Tensor
    count: Tensor
    error: float


def calibration(log_probabilities: Tensor, labels: Tensor, bins: int = 10) -> Calibration:
    """Compare confidence with accuracy in bins of equal width.

    Args:
        log_probabilities: (N, classes).
        labels: int64, (N,).
        bins: of confidence between 0 and 1.

    Source: Guo et al., On calibration of modern neural networks, 2017.
    """
    confidence, predicted = log_probabilities.exp().max(1)
    index = (confidence * bins).long().clamp(max=bins - 1)
    count = torch.bincount(index, minlength=bins)
    confidence = torch.bincount(index, confidence, minlength=bins) / count
    accuracy = (
        torch.bincount(index, (predicted == labels).to(confidence), minlength=bins) / count
    )
    error = ((confidence - accuracy).abs() * count).nansum() / count.sum()
    return Calibration(confidence, accuracy, count, error.item())


def temperature(log_probabilities: Tensor, labels: Tensor) -> float:
    """The number by which to divide log-probabilities for the least loss, from 0.1 to 10.

    The softmax of what is divided has the same order of classes, and is surer for numbers
    below 1.

    Args:
        log_probabilities: (N, classes), of photos that the classifier was not trained on.
        labels: int64, (N,).

    Source: Guo et al., On calibration of modern neural networks, 2017, section 4.2.
    """
    candidates = torch.logspace(-1, 1, 201)
    losses = [F.cross_entropy(log_probabilities / t, labels) for t in candidates]
    return candidates[torch.stack(losses).argmin()].item()


def class_activation_maps(model, images: Tensor, classes: Tensor) -> Tensor:
    """Where the evidence for one class lies in each photo.

    The logits are linear in the mean of the last feature maps, so the same weights applied at
    each position show how much that position adds. A coarse class adds up the maps of its
    fine classes, each weighted by its probability.

    Args:
        model: a `GroceryNet`.
        images: uint8, (B, 3, H, W).
        classes: coarse classes, int64, (B,).

    Returns:
        (B, H, W) on the CPU, scaled to 0..1 over each photo.

    Source: Zhou et al., Learning deep features for discriminative localization, 2016.
    """
    with torch.inference_mode():
        model.eval()
        images, classes = (given.to(model.mean.device) for given in (images, classes))
        features = model.embed(images)
        logits = model.classifier(features.mean((2, 3)))
        inside = model.coarse_of.to(classes.device) == classes[:, None]
        share = logits.masked_fill(~inside, -torch.inf).softmax(1)  # (B, fine classes)
        maps = torch.einsum("bf,fc,bchw->bhw", share, model.classifier.weight, features)
        maps = F.interpolate(maps[:, None], images.shape[-2:], mode="bilinear")[:, 0]
        low, high = maps.amin((1, 2), keepdim=True), maps.amax((1, 2), keepdim=True)
        return ((maps - low) / (high - low).clamp(min=1e-9)).cpu()
