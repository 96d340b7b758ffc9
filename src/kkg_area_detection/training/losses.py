"""The loss of a batch: classes and masks of every layer, and what each pixel alone should know."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn
from torch.nn import functional

from kkg_area_detection.training.forward import Outputs, Prediction
from kkg_area_detection.training.matching import (
    Cells,
    LossWeights,
    class_weights,
    draw_cells,
    mask_losses,
    match,
    target_classes,
)
from kkg_area_detection.training.targets import STRIDE


class BatchTargets(NamedTuple):
    """The segments of each picture of a batch, on the device.

    Attributes:
        classes: One int64 tensor of shape (n,) a picture.
        coverage: One float32 tensor of shape (n, h, w) a picture, 0 to 1.
    """

    classes: list[torch.Tensor]
    coverage: list[torch.Tensor]

    @classmethod
    def of(
        cls, classes: list[torch.Tensor], counts: list[torch.Tensor], device: torch.device
    ) -> BatchTargets:
        """Move what ``targets_of`` counted to a device."""
        return cls(
            [one.to(device, non_blocking=True) for one in classes],
            [one.to(device, non_blocking=True).float() / STRIDE**2 for one in counts],
        )


class Losses(NamedTuple):
    """The parts of a loss, each a tensor without dimensions.

    Attributes:
        total: The weighted sum, which training reduces.
        classes: Mean over the layers, as the next two.
        mask: Cross entropy of masks.
        dice: Dice loss of masks.
        pixels: What concerns single cells; see ``PixelHeads``.
    """

    total: torch.Tensor
    classes: torch.Tensor
    mask: torch.Tensor
    dice: torch.Tensor
    pixels: torch.Tensor


def batch_loss(
    outputs: Outputs,
    targets: BatchTargets,
    weights: LossWeights,
    heads: PixelHeads,
    *,
    cells_drawn: int,
    generator: torch.Generator,
) -> Losses:
    """Compute the loss of a batch.

    The last layer is judged on every cell, the others on the sample of cells that also serves the matching.

    Args:
        outputs: Of ``forward.run``.
        targets: Of the same pictures; the grids are those of the mask features.
        weights: Of the parts.
        heads: What single cells should know.
        cells_drawn: Cells of a picture that matching looks at.
        generator: For drawing them.

    Returns:
        The parts. The total is the mean over the layers plus what concerns cells.
    """
    features = outputs.mask_features.flatten(2)
    truths = [one.flatten(1) for one in targets.coverage]
    drawn = [draw_cells(truth, cells_drawn, generator) for truth in truths]
    drawn_features = [feature[:, cells.place] for feature, cells in zip(features, drawn, strict=True)]
    every = features.new_ones(features.shape[2])
    whole = [Cells(cells.place, every, truth) for cells, truth in zip(drawn, truths, strict=True)]
    segments = max(1, sum(len(one) for one in targets.classes))
    total = torch.zeros(3, device=features.device)
    for prediction in outputs.predictions:
        last = prediction is outputs.predictions[-1]
        matches = _matches(prediction, drawn_features, targets.classes, drawn, weights)
        judged_features, judged = (list(features), whole) if last else (drawn_features, drawn)
        masks = _mask_sums(prediction, judged_features, judged, matches) / segments
        classes = _class_loss(prediction.class_logits, targets.classes, matches, weights)
        total = total + torch.cat([classes[None], masks])
    classes, mask, dice = total / len(outputs.predictions)
    pixels = heads(outputs.mask_features, targets)
    weighted = weights.classes * classes + weights.mask * mask + weights.dice * dice + weights.pixels * pixels
    return Losses(weighted, classes, mask, dice, pixels)


def _matches(
    prediction: Prediction,
    features: list[torch.Tensor],
    classes: list[torch.Tensor],
    drawn: list[Cells],
    weights: LossWeights,
) -> list[tuple[torch.Tensor, torch.Tensor]]:
    with torch.no_grad():
        return [
            match(class_logits, embeddings @ feature, of_segments, cells, weights)
            for class_logits, embeddings, feature, of_segments, cells in zip(
                prediction.class_logits, prediction.embeddings, features, classes, drawn, strict=True
            )
        ]


def _mask_sums(
    prediction: Prediction,
    features: list[torch.Tensor],
    judged: list[Cells],
    matches: list[tuple[torch.Tensor, torch.Tensor]],
) -> torch.Tensor:
    """Shape (2,): cross entropy and Dice loss, summed over the matched segments of the batch."""
    sums = torch.zeros(2, device=features[0].device)
    for embeddings, feature, cells, (query, segment) in zip(
        prediction.embeddings, features, judged, matches, strict=True
    ):
        if len(query):
            entropy, dice = mask_losses(embeddings[query] @ feature, cells.truth[segment], cells.weight)
            sums = sums + torch.stack([entropy.sum(), dice.sum()])
    return sums


def _class_loss(
    class_logits: torch.Tensor,
    classes: list[torch.Tensor],
    matches: list[tuple[torch.Tensor, torch.Tensor]],
    weights: LossWeights,
) -> torch.Tensor:
    number = class_logits.shape[2] - 1
    wanted = target_classes(class_logits.shape[:2], matches, classes, none=number)
    by_class = class_weights(number, weights.no_object, class_logits.device)
    return functional.cross_entropy(class_logits.transpose(1, 2), wanted, weight=by_class)


class PixelHeads(nn.Module):
    """What each cell alone should know: its class, and where the middle of its segment is.

    They teach the pixel decoder from the first step on, long before the queries have settled which of them stands
    for what. Only training has them.

    Args:
        channels: Of the mask features.
        classes: Number of classes.
    """

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes = classes
        self.head = nn.Conv2d(channels, classes + 1 + 2, kernel_size=1)

    def forward(self, mask_features: torch.Tensor, targets: BatchTargets) -> torch.Tensor:
        """Compute the loss for mask features of shape (B, C', h, w): cross entropy plus distances."""
        answers = self.head(mask_features).float().flatten(2)
        shares, offsets, inside = zip(
            *(
                _pixel_truth(classes, coverage, self.classes)
                for classes, coverage in zip(targets.classes, targets.coverage, strict=True)
            ),
            strict=True,
        )
        share, offset, known = torch.stack(shares), torch.stack(offsets), torch.stack(inside)
        # Where walls and doors are is decided by few cells: a class counts by the root of its rarity.
        rarity = (share.mean(dim=(0, 2)).clamp(min=1e-3)).rsqrt()
        weighted = share * (rarity / (rarity * share.mean(dim=(0, 2))).sum())[:, None]
        entropy = -(weighted * answers[:, : self.classes + 1].log_softmax(dim=1)).sum(dim=1).mean()
        distance = (answers[:, self.classes + 1 :] - offset).abs().sum(dim=1)
        return entropy + _OFFSET_WEIGHT * (distance * known).sum() / known.sum().clamp(min=1)


_OFFSET_WEIGHT = 2.0  # of a mean distance as a share of the picture's sides, about 0.1 when learned


def _pixel_truth(
    classes: torch.Tensor, coverage: torch.Tensor, number: int
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Shares of the classes (C + 1, P), offset to the middle (2, P) as x and y, and where it is known (P,)."""
    segments, height, width = coverage.shape
    flat = coverage.flatten(1)
    share = flat.new_zeros(number + 1, height * width).index_add_(0, classes, flat)
    share[number] = (1 - share[:number].sum(dim=0)).clamp(min=0)
    if not segments:
        return share, flat.new_zeros(2, height * width), flat.new_zeros(height * width)
    x = ((torch.arange(width, device=flat.device) + 0.5) / width).repeat(height)
    y = ((torch.arange(height, device=flat.device) + 0.5) / height).repeat_interleave(width)
    place = torch.stack([x, y])
    middle = flat @ place.T / flat.sum(dim=1, keepdim=True)
    most, segment = flat.max(dim=0)
    return share, middle[segment].T - place, (most > 0.5).float()
