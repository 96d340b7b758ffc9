"""How far two segmentations of one picture agree."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_IOU = 0.99  # of two segments that count as the same


@dataclass(frozen=True, slots=True)
class Agreement:
    """How far a segmentation agrees with a reference.

    Attributes:
        segments: How many segments with at least one pixel each of the two has, the reference first.
        matched: How many of them have the same label and an IoU above `LEAST_IOU`.
        pixels: How many pixels there are.
        equal_pixels: Pixels that are background in both, or belong to segments that correspond: of the same label,
            one to one, chosen by their common pixels.
        areas: For each label, its pixels in the reference and in the other.
    """

    segments: tuple[int, int]
    matched: int
    pixels: int
    equal_pixels: int
    areas: dict[int, tuple[int, int]]


def compare(
    reference: NDArray[np.integer], reference_labels: list[int], other: NDArray[np.integer], labels: list[int]
) -> Agreement:
    """Compare two segmentations.

    Args:
        reference: Shape (H, W): ids from 0, -1 for background.
        reference_labels: The label of each id.
        other: Shape (H, W), the same for the other segmentation.
        labels: The label of each of its ids.
    """
    common = common_pixels(reference, len(reference_labels), other, len(labels))
    # Row and column 0 are the background.
    sizes, other_sizes = common.sum(1)[1:], common.sum(0)[1:]
    same_label = np.equal.outer(np.array(reference_labels, int), np.array(labels, int))
    shared = np.where(same_label, common[1:, 1:], 0)
    union = sizes[:, None] + other_sizes[None, :] - shared
    areas = {
        label: (
            int(sizes[np.array(reference_labels) == label].sum()),
            int(other_sizes[np.array(labels) == label].sum()),
        )
        for label in sorted({*reference_labels, *labels})
    }
    return Agreement(
        segments=(int((sizes > 0).sum()), int((other_sizes > 0).sum())),
        matched=int((shared > LEAST_IOU * union).sum()),
        pixels=reference.size,
        equal_pixels=int(common[0, 0]) + corresponding_pixels(shared),
        areas=areas,
    )


def common_pixels(
    one: NDArray[np.integer], n_one: int, other: NDArray[np.integer], n_other: int
) -> NDArray[np.int64]:
    """Count pixels by their two ids: shape (n_one + 1, n_other + 1), the background first."""
    pairs = (one.astype(np.int64) + 1) * (n_other + 1) + (other + 1)
    return np.bincount(pairs.ravel(), minlength=(n_one + 1) * (n_other + 1)).reshape(n_one + 1, n_other + 1)


def corresponding_pixels(shared: NDArray[np.int64]) -> int:
    """Pair rows with columns, those with most in common first, and add up what the pairs share."""
    total = 0
    left = shared.copy()
    while left.any():
        row, column = np.unravel_index(left.argmax(), left.shape)
        total += int(left[row, column])
        left[row], left[:, column] = 0, 0
    return total
