"""What the network should answer: how much of each cell of its mask grid a segment covers."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kkg_area_detection.training.samples import Sample

STRIDE = 4
"""Pixels of the picture along a side of a cell: the grid on which Mask2Former draws masks."""

_LEAST_PIXELS = 8  # of a segment: half a cell; what covers less cannot be drawn on the grid


class Targets(NamedTuple):
    """The segments of one picture.

    Attributes:
        classes: int64, shape (n,): class numbers.
        coverage: uint8, shape (n, h, w): how many of the ``STRIDE`` ** 2 pixels of a cell are the segment's.
    """

    classes: NDArray[np.int64]
    coverage: NDArray[np.uint8]


def targets_of(sample: Sample, class_of: Mapping[str, int]) -> Targets:
    """Count the pixels of each segment in each cell.

    Args:
        sample: Sides are multiples of ``STRIDE``.
        class_of: Label to class number. Segments with other labels are background.

    Returns:
        Segments that have at least a few pixels, in the order of their ids.
    """
    height, width = sample.ids.shape
    rows, columns = height // STRIDE, width // STRIDE
    sizes = np.bincount(sample.ids.ravel(), minlength=len(sample.labels) + 1)
    kept = [
        number
        for number, label in enumerate(sample.labels, start=1)
        if label in class_of and sizes[number] >= _LEAST_PIXELS
    ]
    place = np.zeros(len(sizes), dtype=np.int64)  # row of the result + 1; 0 is background
    place[kept] = np.arange(1, len(kept) + 1)
    cell = (np.arange(height) // STRIDE)[:, None] * columns + np.arange(width) // STRIDE
    counted = np.bincount(
        (place[sample.ids] * (rows * columns) + cell).ravel(), minlength=(len(kept) + 1) * rows * columns
    )
    coverage = counted.reshape(len(kept) + 1, rows, columns)[1:].astype(np.uint8)
    classes = np.array([class_of[sample.labels[number - 1]] for number in kept], dtype=np.int64)
    return Targets(classes, coverage)
