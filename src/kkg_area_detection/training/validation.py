"""A quick look at held-out drawings during a run: panoptic quality on the network's own grid.

It is for curves. ``kkg evaluate`` measures at full size and in more ways.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kkg_area_detection.training import forward
from kkg_area_detection.training.targets import STRIDE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray
    from torch import nn

    from kkg_area_detection.training.samples import Sample
    from kkg_area_detection.training.targets import Targets

THRESHOLD = 0.5
_SAME = 0.5  # IoU from which a segment counts as found


class Segments(NamedTuple):
    """What is on a grid.

    Attributes:
        ids: int64, shape (h, w): number of the segment from 1, 0 for none.
        classes: int64, shape (n,): class of segment 1, 2 and so on.
    """

    ids: NDArray[np.int64]
    classes: NDArray[np.int64]


@torch.no_grad()
def predict(network: nn.Module, pixel_values: torch.Tensor) -> Segments:
    """Segment one picture, better scores painted over worse ones.

    Args:
        network: In evaluation mode.
        pixel_values: Shape (1, 3, H, W), float32.
    """
    outputs = forward.run(network, pixel_values)
    probability, classes = outputs.predictions[-1].class_logits[0, :, :].softmax(dim=-1)[:, :-1].max(dim=-1)
    likely = torch.nonzero(probability >= THRESHOLD)[:, 0]
    inside = outputs.mask_logits()[0, likely].sigmoid()
    masks = inside > 0.5
    sizes = masks.sum(dim=(1, 2))
    scores = probability[likely] * (inside * masks).sum(dim=(1, 2)) / sizes.clamp(min=1)
    kept = torch.nonzero((scores >= THRESHOLD) & (sizes > 0))[:, 0]
    kept = kept[scores[kept].argsort()]
    ids = torch.zeros(masks.shape[1:], dtype=torch.int64)
    for number, index in enumerate(kept.tolist(), start=1):
        ids[masks[index].cpu()] = number
    return Segments(ids.numpy(), classes[likely[kept]].cpu().numpy())


def truth_of(targets: Targets) -> Segments:
    """The segments that should be found: each cell belongs to the one that covers most of it, if half of it."""
    if not len(targets.classes):
        return Segments(np.zeros(targets.coverage.shape[1:], np.int64), targets.classes)
    most = targets.coverage.max(axis=0)
    ids = np.where(most * 2 >= STRIDE**2, targets.coverage.argmax(axis=0) + 1, 0)
    return Segments(ids, targets.classes)


def panoptic_quality(pairs: Sequence[tuple[Segments, Segments]], classes: int) -> list[tuple[float, float]]:
    """Compute panoptic quality and F1 (Kirillov et al. 2019) of each class.

    Args:
        pairs: Prediction and truth of each picture.
        classes: Number of classes.

    Returns:
        PQ and F1 at IoU 0.5, a pair for each class; NaN where there was nothing to find and nothing was found.
    """
    found, quality, wrong = np.zeros(classes), np.zeros(classes), np.zeros(classes)
    for predicted, true in pairs:
        columns = len(true.classes) + 1
        shared = np.bincount(
            (predicted.ids * columns + true.ids).ravel(), minlength=(len(predicted.classes) + 1) * columns
        ).reshape(-1, columns)
        sizes, true_sizes = shared.sum(axis=1)[1:], shared.sum(axis=0)[1:]
        overlap = shared[1:, 1:]
        union = np.maximum(1, sizes[:, None] + true_sizes - overlap)
        iou = overlap / union * (predicted.classes[:, None] == true.classes)
        hit = iou > _SAME  # at most one in each row and column
        np.add.at(found, true.classes[np.nonzero(hit)[1]], 1)
        np.add.at(quality, true.classes[np.nonzero(hit)[1]], iou[hit])
        np.add.at(wrong, predicted.classes[(sizes > 0) & ~hit.any(axis=1)], 1)
        np.add.at(wrong, true.classes[(true_sizes > 0) & ~hit.any(axis=0)], 1)
    everything = found + wrong / 2
    with np.errstate(invalid="ignore"):
        return list(zip((quality / everything).tolist(), (found / everything).tolist(), strict=True))


def validate(
    network: nn.Module, held_out: Sequence[tuple[Sample, Targets]], to_pixels: _ToPixels, classes: int
) -> tuple[list[tuple[float, float]], list[Segments]]:
    """Segment held-out drawings one by one.

    Args:
        network: In evaluation mode.
        held_out: Drawings with what should be found.
        to_pixels: Turns uint8 images (B, h, w, 3) into the network's input.
        classes: Number of classes.

    Returns:
        What ``panoptic_quality`` returns, and the segments of each drawing.
    """
    predictions = [
        predict(network, to_pixels(torch.from_numpy(sample.image)[None])) for sample, _ in held_out
    ]
    truths = [truth_of(targets) for _, targets in held_out]
    return panoptic_quality(list(zip(predictions, truths, strict=True)), classes), predictions


if TYPE_CHECKING:
    from collections.abc import Callable

    _ToPixels = Callable[[torch.Tensor], torch.Tensor]
