"""See ``network.deformable_attention``: here too, a query's answer is one bag of weighted cells.

Each point takes part in a patch of 2 x 2 cells that always lies within its level, and each of these cells has the
weight ``max(0, 1 - |dx|) * max(0, 1 - |dy|)``. That is bilinear interpolation, with zeros outside the level.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from kkg_area_detection.segmentation.network.deformable_attention import Pyramid
from kkg_area_detection.segmentation.openvino_network.layers import (
    Node,
    channels_of,
    constant,
    length_of,
    reshape,
)
from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from numpy.typing import NDArray

_CPU = torch.device("cpu")
_POINTS = 4  # of a query in each level
_CORNERS = np.array([(0, 0), (1, 0), (0, 1), (1, 1)])  # of a patch: x and y
_NOWHERE = 1e6  # further from any point than a cell
_EXACT_IN_FLOAT32 = 2**24  # whole numbers up to this


@dataclass(frozen=True)
class Axis:
    """One coordinate of the points, in cells of the level that each of them lies in.

    Attributes:
        whole: Shape (S, 1, 1, L * points): the cell in which each query's own place lies.
        fraction: The same shape: where it lies within that cell.
        last: Shape (1, 1, 1, L * points): the last cell that a patch can begin with.
        corners: Shape (1, 1, 4, L * points): where the four cells of a patch are, seen from its first.
        step: Shape (1, 1, 1, L * points): how far apart neighbours are in the table of cells.
        steps: Shape (1, 1, 4, L * points): how far the four cells of a patch are from its first.
        integer: Type of ``whole``, ``last`` and ``step``.
    """

    whole: Node
    fraction: Node
    last: Node
    corners: Node
    step: Node
    steps: NDArray[np.int64]
    integer: type

    @classmethod
    def of(
        cls, axis: int, centres: NDArray[np.float32], sizes: list[int], steps: list[int], integer: type
    ) -> Axis:
        """Lay out an axis.

        Args:
            axis: 0 for x, 1 for y.
            centres: Shape (S, L): the queries' own places in the cells of each level.
            sizes: Of each level, in cells.
            steps: Of each level: how far apart neighbours are.
            integer: float32 or int32.
        """
        size, step = (np.repeat(np.array(numbers), _POINTS)[None, None, None] for numbers in (sizes, steps))
        whole, corners = np.floor(centres), _CORNERS[:, axis, None] * np.ones_like(size)
        return cls(
            whole=constant(np.repeat(whole, _POINTS, axis=1)[:, None, None], integer),
            fraction=constant(np.repeat(centres - whole, _POINTS, axis=1)[:, None, None]),
            last=constant(np.maximum(size - 2, 0), integer),
            corners=constant(np.where((size == 1) & (corners == 1), _NOWHERE, corners)),
            step=constant(step, integer),
            steps=np.where(size == 1, 0, corners * step),
            integer=integer,
        )

    def patch(self, offsets: Node) -> tuple[Node, Node]:
        """The first cell of each patch, and where its point lies seen from there.

        Args:
            offsets: Shape (S, heads, 1, L * points): from the queries' own places.
        """
        position = ops.add(offsets, self.fraction)  # small, so that bfloat16 is precise enough
        name = "i32" if self.integer is np.int32 else "f32"
        cell = ops.add(ops.convert(ops.floor(position), name), self.whole)
        cell = ops.minimum(ops.maximum(cell, constant(0, self.integer)), self.last)
        return cell, ops.subtract(position, ops.convert(ops.subtract(cell, self.whole), "f32"))

    def weights(self, distance: Node) -> Node:
        """What this axis adds to the weights of the four cells of each patch."""
        away = ops.abs(ops.subtract(distance, self.corners))
        return ops.maximum(ops.subtract(constant(1), away), constant(0))


@dataclass(frozen=True)
class Sampler:
    """Sums values at points, for levels of certain shapes.

    Attributes:
        heads: Number of attention heads.
        x: Across.
        y: Down.
        begin: Shape (1, heads, 4, L * points): place in the table of the four cells of a level's first patch.
    """

    heads: int
    x: Axis
    y: Axis
    begin: Node

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...], heads: int, *, lower_precision: bool) -> Sampler:
        """Lay out levels.

        Args:
            shapes: Height and width of each, in cells.
            heads: Number of attention heads.
            lower_precision: Whether OpenVINO will compute float32 in less, so that only integers are exact. Where
                it does not, float32 is the faster way to compute places in the table.
        """
        centres = Pyramid.of(shapes, _CPU).centres[0, :, 0, :, 0].numpy()
        heights, widths = [height for height, _ in shapes], [width for _, width in shapes]
        starts = np.cumsum([0] + [height * width for height, width in shapes]) * heads
        integer = np.int32 if lower_precision or starts[-1] > _EXACT_IN_FLOAT32 else np.float32
        x = Axis.of(0, centres[..., 0], widths, [heads] * len(shapes), integer)
        y = Axis.of(1, centres[..., 1], heights, [heads * width for width in widths], integer)
        begin = np.repeat(starts[:-1], _POINTS) + np.arange(heads)[:, None, None] + x.steps + y.steps
        return cls(heads=heads, x=x, y=y, begin=constant(begin, integer))

    def sample(self, values: Node, x: Node, y: Node, weights: Node) -> Node:
        """Sum the values at all points.

        Args:
            values: Shape (1, S, heads * channels): the cells of all levels.
            x: Shape (1, S, heads * L * points): offset of each query's points from its own place, in cells.
            y: The same, down.
            weights: The same shape: how much each point counts.

        Returns:
            Shape (1, S, heads * channels).
        """
        number, channels = length_of(values), channels_of(values)
        points = channels_of(x) // self.heads
        x, y, weights = (reshape(node, number, self.heads, 1, points) for node in (x, y, weights))
        column, across = self.x.patch(x)
        row, down = self.y.patch(y)
        first = ops.add(ops.multiply(row, self.y.step), ops.multiply(column, self.x.step))
        index = ops.convert(ops.add(first, self.begin), "i32")
        weights = ops.multiply(ops.multiply(weights, self.x.weights(across)), self.y.weights(down))
        summed = ops.embedding_bag_packed_sum(
            reshape(values, number * self.heads, channels // self.heads),
            reshape(index, number * self.heads, 4 * points),
            reshape(weights, number * self.heads, 4 * points),
        )
        return reshape(summed, 1, number, channels)
