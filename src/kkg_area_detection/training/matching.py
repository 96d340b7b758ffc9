"""Which query stands for which segment: the cheapest assignment (Carion et al. 2020, section 3.1).

Costs are estimated from a sample of cells, as Cheng et al. 2022 do (section 3.3), but from cells of the mask grid
itself, so that a mask is a product of embeddings with a few columns of the mask features. Half of the sample is
uniform; the other half is shared equally among the segments, so that a door is not missed beside a hall. Each
cell counts by the inverse of its probability, which keeps sums over the grid unbiased.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class LossWeights:
    """How much each part of the loss counts; class, mask and Dice weights are those of Mask2Former.

    Attributes:
        classes: Of the cross entropy of classes.
        mask: Of the binary cross entropy of masks.
        dice: Of the Dice loss of masks.
        no_object: Of queries that stand for nothing, within the cross entropy. Mask2Former's 0.1 leaves many
            false positives on plans.
        pixels: Of what single cells should know.
    """

    classes: float = 2.0
    mask: float = 5.0
    dice: float = 5.0
    no_object: float = 0.2
    pixels: float = 1.0


class Cells(NamedTuple):
    """Some cells of a mask grid, and what they stand for.

    Attributes:
        place: int64, shape (K,): numbers of cells, row by row.
        weight: float32, shape (K,): how many cells of the grid each stands for.
        truth: float32, shape (n, K): the share that each segment has of each cell.
    """

    place: torch.Tensor
    weight: torch.Tensor
    truth: torch.Tensor


def draw_cells(truth: torch.Tensor, number: int, generator: torch.Generator) -> Cells:
    """Choose cells of one picture, with replacement.

    Args:
        truth: Shape (n, P), float32, 0 to 1: the share that each segment has of each cell of the grid.
        number: How many cells to draw.
        generator: Of the CPU, whatever the device of ``truth``.

    Returns:
        The cells, or all of them where the grid has no more than ``number``.
    """
    cells = truth.shape[1]
    if cells <= number:
        return Cells(torch.arange(cells, device=truth.device), truth.new_ones(cells), truth)
    chance = truth.new_full((cells,), 1 / cells)
    if len(truth):
        of_segments = (truth / truth.sum(dim=1, keepdim=True)).mean(dim=0)
        chance = (chance + of_segments) / 2
    index = torch.multinomial(chance.cpu(), number, replacement=True, generator=generator).to(truth.device)
    return Cells(index, 1 / (number * chance[index]), truth[:, index])


def mask_losses(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compare masks with segments, one with one.

    Args:
        logits: Shape (n, K).
        truth: Shape (n, K), 0 to 1.
        weight: Shape (K,): how many cells each stands for.

    Returns:
        Cross entropy and Dice loss, each of shape (n,). The cross entropy is relative to the size of the segment:
        a wrong cell matters more to a door than to a hall.
    """
    entropy = functional.binary_cross_entropy_with_logits(logits, truth, reduction="none") @ weight
    inside = logits.sigmoid()
    size = truth @ weight
    shared = (inside * truth) @ weight
    dice = 1 - (2 * shared + 1) / (inside @ weight + size + 1)
    return entropy * _relative(size, weight), dice


def mask_costs(
    logits: torch.Tensor, truth: torch.Tensor, weight: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """As ``mask_losses``, but each mask with each segment: (Q, K) and (n, K) to (Q, n)."""
    weighted_truth = (truth * weight).T
    size = truth @ weight
    entropy = (functional.softplus(logits) @ weight)[:, None] - logits @ weighted_truth
    inside = logits.sigmoid()
    dice = 1 - (2 * inside @ weighted_truth + 1) / ((inside @ weight)[:, None] + size + 1)
    return entropy * _relative(size, weight), dice


def _relative(size: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The factor that makes a sum over cells relative to a segment's size; small ones are not blown up."""
    cells = weight.sum()
    return _MEAN_SHARE / (size + _LEAST_SHARE * cells)


# Shares of the grid: the second keeps the weight of the smallest segments finite; the first makes the losses of
# middling ones about as large as without either.
_MEAN_SHARE = 0.12
_LEAST_SHARE = 0.02


@torch.no_grad()
def match(
    class_logits: torch.Tensor,
    logits: torch.Tensor,
    classes: torch.Tensor,
    cells: Cells,
    weights: LossWeights,
) -> tuple[torch.Tensor, torch.Tensor]:
    """Assign queries to the segments of one picture.

    Args:
        class_logits: Shape (Q, C + 1).
        logits: Shape (Q, K): masks at ``cells``.
        classes: int64, shape (n,).
        cells: The sample of cells.
        weights: Of the parts of the cost.

    Returns:
        Numbers of queries and numbers of segments, int64, both of shape (min(Q, n),), on the device of the logits.
    """
    from scipy.optimize import linear_sum_assignment

    entropy, dice = mask_costs(logits, cells.truth, cells.weight)
    probability = class_logits.softmax(dim=-1)[:, classes]
    cost = weights.mask * entropy + weights.dice * dice - weights.classes * probability
    finite = cost.nan_to_num(nan=1e4, posinf=1e4, neginf=-1e4).cpu()
    query, segment = linear_sum_assignment(finite.numpy())
    return torch.from_numpy(query).to(logits.device), torch.from_numpy(segment).to(logits.device)


def class_weights(number: int, no_object: float, device: torch.device) -> torch.Tensor:
    """Shape (number + 1,): 1 for each class, ``no_object`` for the last."""
    weights = torch.ones(number + 1, device=device)
    weights[-1] = no_object
    return weights


def target_classes(
    shape: Sequence[int],
    matches: list[tuple[torch.Tensor, torch.Tensor]],
    classes: list[torch.Tensor],
    none: int,
) -> torch.Tensor:
    """Shape (B, Q), int64: the class of the segment that each query stands for, ``none`` without one."""
    wanted = torch.full(tuple(shape), none, dtype=torch.int64, device=classes[0].device)
    for row, (query, segment), of_segments in zip(wanted, matches, classes, strict=True):
        row[query] = of_segments[segment]
    return wanted
