"""Multi-scale deformable attention (Zhu et al. 2021, section 4.1): each query looks at a few points of each level.

The answer of a query is a weighted sum of feature vectors: every point is interpolated bilinearly from four
cells, so 3 levels x 4 points are 48 weighted cells. On a CPU exactly that is one ``embedding_bag``, which
reads each cell once and keeps nothing in between; on a GPU ``grid_sample`` is the faster way.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import torch
from torch.nn import functional


class Sampler(Protocol):
    """The values of one layer, ready to be sampled."""

    def sample(self, offsets: torch.Tensor, weights: torch.Tensor, queries: slice) -> torch.Tensor:
        """Sum the values at the points of some queries.

        Args:
            offsets: Shape (B, N, heads, L, points, 2), float32: from each query's own place to its points, as
                x and y in cells of the level. Points outside a level count as zeros.
            weights: Shape (B, N, heads, L, points), float32.
            queries: Which N of the S cells ask.

        Returns:
            Shape (B, N, heads * channels), float32.
        """
        ...


@dataclass(frozen=True)
class Pyramid:
    """The geometry of the levels, which is the same for every layer.

    Attributes:
        shapes: Height and width of each of the L levels, in cells.
        centres: Shape (1, S, 1, L, 1, 2), float32: where each of the S cells of all levels lies in each
            level, as x and y in that level's cells, 0 being the centre of its first cell.
        sizes: Shape (L, 1, 2), float32: width and height of each level.
    """

    shapes: tuple[tuple[int, int], ...]
    centres: torch.Tensor
    sizes: torch.Tensor

    @classmethod
    def of(cls, shapes: tuple[tuple[int, int], ...], device: torch.device) -> Pyramid:
        """Lay out levels of the given shapes."""
        relative = torch.cat([_relative_centres(height, width, device) for height, width in shapes])
        sizes = torch.tensor([(width, height) for height, width in shapes], device=device).float()
        centres = relative[:, None] * sizes - 0.5
        return cls(shapes=shapes, centres=centres[None, :, None, :, None], sizes=sizes[:, None])


def sampler_of(values: torch.Tensor, pyramid: Pyramid, points: int) -> Sampler:
    """Choose what is fastest where the values are.

    Args:
        values: Shape (B, S, heads, channels), float32: the cells of all levels one after the other.
        pyramid: The geometry of the levels.
        points: Points of a query in each level.
    """
    if values.device.type == "cpu":
        return BagSampler.of(values, pyramid, points)
    return GridSampler(values, pyramid)


@dataclass(frozen=True)
class BagSampler:
    """Samples by ``embedding_bag`` from one table of the cells of all levels.

    Each level has a border of zeros, so that no point needs to be tested.
    A row of a level begins with one zero cell, which also ends the row before; a row of zeros is above and
    one below. Positions are clamped to the border. What lies behind the last border is read with weight 0.

    Attributes:
        pyramid: The geometry of the levels.
        cells: Shape (B, heads, cells, channels), float32.
        last_x: Shape (heads * L * points,), float32: the last zero cell of a row, for each sampled point.
        last_y: The same for the zero row below.
        row_length: The same: cells in a row.
        start: The same, int32: where the level begins within the cells of its head.
    """

    pyramid: Pyramid
    cells: torch.Tensor
    last_x: torch.Tensor
    last_y: torch.Tensor
    row_length: torch.Tensor
    start: torch.Tensor

    @classmethod
    def of(cls, values: torch.Tensor, pyramid: Pyramid, points: int) -> BagSampler:
        """Lay out the values, of shape (B, S, heads, channels), as one table."""
        batch, _, heads, channels = values.shape
        areas = [(height + 2) * (width + 1) for height, width in pyramid.shapes]
        starts = [sum(areas[:level]) for level in range(len(areas))]
        behind = max(width for _, width in pyramid.shapes) + 3
        cells = values.new_zeros(batch, heads, sum(areas) + behind, channels)
        levels = values.split([height * width for height, width in pyramid.shapes], dim=1)
        for level, area, start, (height, width) in zip(levels, areas, starts, pyramid.shapes, strict=True):
            bordered = cells[:, :, start : start + area].unflatten(2, (height + 2, width + 1))
            bordered[:, :, 1:-1, 1:] = level.unflatten(1, (height, width)).permute(0, 3, 1, 2, 4)

        def of_each_point(numbers: list[int]) -> torch.Tensor:
            of_level = torch.tensor(numbers, device=values.device)
            return of_level.repeat_interleave(points).repeat(heads)

        heads_start = torch.arange(heads, device=values.device).repeat_interleave(len(areas) * points)
        return cls(
            pyramid=pyramid,
            cells=cells,
            last_x=of_each_point([width + 1 for _, width in pyramid.shapes]).float(),
            last_y=of_each_point([height + 1 for height, _ in pyramid.shapes]).float(),
            row_length=of_each_point([width + 1 for _, width in pyramid.shapes]).int(),
            start=(of_each_point(starts) + heads_start * cells.shape[2]).int(),
        )

    def sample(self, offsets: torch.Tensor, weights: torch.Tensor, queries: slice) -> torch.Tensor:
        """See ``Sampler``."""
        # The border is cell 0.
        position = (self.pyramid.centres[:, queries] + (offsets + 1)).flatten(2, 4)
        weights = weights.flatten(2)
        batch, number, _ = weights.shape
        heads, channels = self.cells.shape[1], self.cells.shape[3]
        column, right = _cell_and_fraction(position[..., 0], self.last_x)
        row, below = _cell_and_fraction(position[..., 1], self.last_y)
        images = torch.arange(batch, dtype=torch.int32, device=weights.device) * (heads * self.cells.shape[2])
        upper_left = torch.addcmul(self.start + column, row, self.row_length) + images.view(-1, 1, 1)
        lower_left = upper_left + self.row_length
        lower = weights * below
        upper = weights - lower
        lower_right, upper_right = lower * right, upper * right
        index = (upper_left, upper_left + 1, lower_left, lower_left + 1)
        weight = (upper - upper_right, upper_right, lower - lower_right, lower_right)
        summed = self.weighted_sums(_bags(index, heads), self.cells.view(-1, channels), _bags(weight, heads))
        return summed.view(batch, number, heads * channels)

    def weighted_sums(self, index: torch.Tensor, table: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
        """Add up rows of a (R, channels) table: (N, K) numbers of rows and their weights to (N, channels)."""
        return functional.embedding_bag(index, table, per_sample_weights=weights, mode="sum")


def _cell_and_fraction(position: torch.Tensor, last: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Split into whole cells (int32) and the rest; NaN, which no table has a place for, becomes 0."""
    position = position.fmax(position.new_zeros(())).fmin(last)
    cell = position.floor()
    return cell.int(), position.sub_(cell)


def _bags(corners: tuple[torch.Tensor, ...], heads: int) -> torch.Tensor:
    """Four times (B, N, heads * K) to (B * N * heads, 4 * K)."""
    by_head = [corner.unflatten(2, (heads, -1)) for corner in corners]
    return torch.cat(by_head, dim=-1).flatten(0, 2)


@dataclass(frozen=True)
class GridSampler:
    """Samples level by level by ``grid_sample``.

    Attributes:
        values: Shape (B, S, heads, channels), float32.
        pyramid: The geometry of the levels.
    """

    values: torch.Tensor
    pyramid: Pyramid

    def sample(self, offsets: torch.Tensor, weights: torch.Tensor, queries: slice) -> torch.Tensor:
        """See ``Sampler``."""
        batch, number, heads, _, points = weights.shape
        channels = self.values.shape[3]
        grid = (2 * (self.pyramid.centres[:, queries] + offsets) + 1) / self.pyramid.sizes - 1
        levels = self.values.split([height * width for height, width in self.pyramid.shapes], dim=1)
        total = self.values.new_zeros(())
        for index, (level, (height, width)) in enumerate(zip(levels, self.pyramid.shapes, strict=True)):
            maps = level.permute(0, 2, 3, 1).reshape(batch * heads, channels, height, width)
            where = grid[:, :, :, index].transpose(1, 2).reshape(batch * heads, number, points, 2)
            weight = weights[:, :, :, index].transpose(1, 2).reshape(batch * heads, 1, number, points)
            sampled = functional.grid_sample(maps, where, mode="bilinear", align_corners=False)
            total = total + (sampled * weight).sum(dim=-1)
        return total.view(batch, heads * channels, number).transpose(1, 2)


def _relative_centres(height: int, width: int, device: torch.device) -> torch.Tensor:
    """Shape (height * width, 2): x and y of each cell's centre, 0 to 1."""
    y = (torch.arange(height, dtype=torch.float32, device=device) + 0.5) / height
    x = (torch.arange(width, dtype=torch.float32, device=device) + 0.5) / width
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), dim=-1).view(-1, 2)
