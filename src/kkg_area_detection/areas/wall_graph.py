"""From the skeleton of the walls to straight pieces between nodes, still a little crooked."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.skeleton import Branch, thin, trace_branches

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.polygons import Cells

_DIRECTIONS = 16  # in which the distance to the edge of a wall is looked for
_HALVINGS = 7
_SPUR = 1.5  # radii and cells: what sticks out of a wall no further is a bump, not a wall
_PIT_DEPTH = 3  # cells
_WOBBLE = 0.5  # of the radius: how far a skeleton strays from a straight wall


class Plot:
    """Finds the cells in which points lie.

    Args:
        cells: The grid.
    """

    def __init__(self, cells: Cells) -> None:
        # The sides of cells are whole pixels.
        self._columns = np.repeat(np.arange(cells.ids.shape[1]), np.diff(cells.x).astype(int))
        self._rows = np.repeat(np.arange(cells.ids.shape[0]), np.diff(cells.y).astype(int))

    def cells_at(
        self, points: NDArray[np.float64]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.bool_]]:
        """Row and column of the cell of each point, and whether the point is in the picture.

        Args:
            points: Shape (..., 2), x and y in pixels. For those outside, the nearest cell is given.
        """
        x, y = np.floor(points[..., 0]).astype(np.intp), np.floor(points[..., 1]).astype(np.intp)
        inside = (x >= 0) & (x < len(self._columns)) & (y >= 0) & (y < len(self._rows))
        return self._rows.take(y, mode="clip"), self._columns.take(x, mode="clip"), inside


class WallBody:
    """The cells that are wall.

    Args:
        mask: Shape (h, w), bool.
        cells: The grid they belong to.
    """

    def __init__(self, mask: NDArray[np.bool_], cells: Cells) -> None:
        self.mask = mask
        self.cells = cells
        self.plot = Plot(cells)
        self.side = cells.side
        """Of a cell, in pixels."""

    def contains(self, points: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether points are in a wall; shape (..., 2), x and y in pixels."""
        row, column, inside = self.plot.cells_at(points)
        result: NDArray[np.bool_] = self.mask[row, column] & inside
        return result

    def reach(
        self, points: NDArray[np.float64], directions: NDArray[np.float64], limit: float
    ) -> NDArray[np.float64]:
        """How far one can go without leaving the wall.

        Args:
            points: Shape (n, 2), x and y in pixels.
            directions: Shape (n, 2), unit vectors.
            limit: In pixels; nobody goes further, but for a step.

        Returns:
            Shape (n,), pixels; 0 where a point is outside.
        """
        step = self.side / 2
        far = np.arange(int(np.ceil(limit / step)) + 1) * step
        inside = self.contains(points[:, None] + far[:, None] * directions[:, None])
        whole = inside.all(axis=1)
        high = np.where(whole, far[-1], far[np.argmin(inside, axis=1)])
        low = np.where(whole, far[-1], np.maximum(high - step, 0))
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            still = self.contains(points + middle[:, None] * directions)
            low, high = np.where(still, middle, low), np.where(still, high, middle)
        return np.where(inside[:, 0], low, 0.0)

    def radius(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        """Distance to the nearest edge of the wall, in pixels; shape (n,) for points of shape (n, 2)."""
        angles = np.arange(_DIRECTIONS) * (2 * np.pi / _DIRECTIONS)
        directions = np.tile(np.stack((np.cos(angles), np.sin(angles)), axis=1), (len(points), 1))
        limit = 4 * self.side
        while True:
            reach = self.reach(np.repeat(points, _DIRECTIONS, axis=0), directions, limit)
            nearest: NDArray[np.float64] = reach.reshape(-1, _DIRECTIONS).min(axis=1, initial=np.inf)
            if np.all(nearest < limit) or limit > max(self.cells.x[-1], self.cells.y[-1]):
                return nearest
            limit *= 4


@dataclass(frozen=True, slots=True)
class WallGraph:
    """Pieces of wall that are about straight.

    Attributes:
        nodes: Shape (n, 2), float64: x and y in pixels.
        radius: Shape (n,): half the thickness of the wall there, about.
        usual: Shape (m,): the same in most places of each piece.
        edges: Shape (m, 2), integer: the nodes at both ends of each piece.
        paths: The skeleton of each piece from its first node to its second, without what is close to joints and
            free ends: shape (k, 2), x and y in pixels.
    """

    nodes: NDArray[np.float64]
    radius: NDArray[np.float64]
    edges: NDArray[np.intp]
    usual: NDArray[np.float64]
    paths: list[NDArray[np.float64]]

    def degree(self) -> NDArray[np.intp]:
        """Shape (n,): how many pieces end at each node."""
        return np.bincount(self.edges.ravel(), minlength=len(self.nodes))

    @classmethod
    def of(cls, body: WallBody) -> WallGraph:
        """Thin the walls, cut off what is no wall, and cut the rest into pieces."""
        branches, places = trace_branches(thin(_without_pits(body.mask)))
        nodes = _pixels(places, body.cells)
        paths = _Paths(nodes, body.radius(nodes), body)
        for branch in branches:
            paths.add(branch)
        paths.prune()
        return paths.straight_pieces()


def _without_pits(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Fill holes of a cell or two, and slots one cell wide, around which a skeleton would make loops and spurs."""
    for _ in range(_PIT_DEPTH):
        padded = np.pad(mask, 1).astype(np.uint8)
        beside = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:]
        mask = mask | (beside >= 3)
    return mask


def _pixels(places: NDArray[np.float64], cells: Cells) -> NDArray[np.float64]:
    """From rows and columns to x and y."""
    middles = [(edges[1:] + edges[:-1]) / 2 for edges in (cells.y, cells.x)]
    row, column = (
        np.interp(places[:, axis], np.arange(len(middle)), middle) for axis, middle in enumerate(middles)
    )
    return np.stack((column, row), axis=1)


class _Paths:
    """The branches of a skeleton by their ends, in pixels."""

    def __init__(self, nodes: NDArray[np.float64], radius: NDArray[np.float64], body: WallBody) -> None:
        self._nodes = nodes
        self._radius = radius
        self._body = body
        self._paths: dict[int, tuple[int, int, NDArray[np.float64]]] = {}
        self._at: defaultdict[int, list[int]] = defaultdict(list)  # a ring is at its node twice
        self._count = 0

    def add(self, branch: Branch) -> None:
        self._put(branch.start, branch.end, _pixels(branch.path, self._body.cells))

    def _put(self, start: int, end: int, path: NDArray[np.float64]) -> None:
        self._paths[self._count] = (start, end, path)
        self._at[start].append(self._count)
        self._at[end].append(self._count)
        self._count += 1

    def _take(self, number: int) -> tuple[int, int, NDArray[np.float64]]:
        start, end, path = self._paths.pop(number)
        self._at[start].remove(number)
        self._at[end].remove(number)
        return start, end, path

    def prune(self) -> None:
        """Cut off spurs, and join what is left at nodes that are none any more, until there are no spurs."""
        while True:
            for node in list(self._at):
                self._join(node)
            # All at once: of the two that end a wall in a fork, one would become the end of the wall.
            spurs = [number for number in self._paths if self._is_spur(number)]
            if not spurs:
                return
            for number in spurs:
                self._take(number)

    def _is_spur(self, number: int) -> bool:
        start, end, path = self._paths[number]
        loose = [len(self._at[node]) == 1 for node in (start, end)]
        if loose[0] == loose[1] and start != end:
            return False
        joint = start if loose[1] else end
        # For a ring around a speck, how far it goes away; for others, the distance of the loose end.
        away = np.hypot(*(path - self._nodes[joint]).T).max()
        return bool(away <= _SPUR * (self._radius[joint] + self._body.side))

    def _join(self, node: int) -> None:
        if len(self._at[node]) != 2 or self._at[node][0] == self._at[node][1]:
            return
        start, middle, first = self._take(self._at[node][0])
        if middle != node:
            start, first = middle, first[::-1]
        other_start, end, second = self._take(self._at[node][0])
        if other_start != node:
            end, second = other_start, second[::-1]
        self._put(start, end, np.concatenate((first[:-1], second)))

    def straight_pieces(self) -> WallGraph:
        """Cut each path where it turns."""
        used = sorted({node for start, end, _ in self._paths.values() for node in (start, end)})
        number_of = {node: number for number, node in enumerate(used)}
        nodes = [self._nodes[node] for node in used]
        edges: list[tuple[int, int]] = []
        pieces: list[NDArray[np.float64]] = []
        usual: list[float] = []
        for start, end, path in self._paths.values():
            radius = float(np.median(self._body.radius(path[:: max(1, len(path) // 9)])))
            straight = path if start == end else self._without_ends(start, end, path, radius)
            cuts = _turns(straight, max(self._body.side, _WOBBLE * radius))
            chain = [number_of[start], *range(len(nodes), len(nodes) + len(cuts)), number_of[end]]
            nodes.extend(straight[cuts])
            edges.extend(pairwise(chain))
            pieces.extend(straight[a : b + 1] for a, b in pairwise([0, *cuts, len(straight) - 1]))
            usual.extend([radius] * (len(chain) - 1))
        points = np.array(nodes, dtype=np.float64).reshape(-1, 2)
        pairs = np.array(edges, dtype=np.intp).reshape(-1, 2)
        return WallGraph(points, self._body.radius(points), pairs, np.array(usual), pieces)

    def _without_ends(
        self, start: int, end: int, path: NDArray[np.float64], usual: float
    ) -> NDArray[np.float64]:
        """A path without its ends: where walls meet or end, skeletons bend towards corners.

        Args:
            start: Its first node.
            end: Its last one.
            path: Shape (n, 2), x and y in pixels.
            usual: The radius that the wall has in most places.
        """
        near = [
            np.hypot(*(path - path[place]).T) <= max(usual, self._radius[node]) + self._body.side
            for node, place in ((start, 0), (end, -1))
        ]
        inner = np.flatnonzero(~near[0] & ~near[1])
        if len(inner) > 1:
            return path[inner[0] : inner[-1] + 1]
        third = len(path) // 3
        return path[third : len(path) - third] if third > 1 else path


def _turns(path: NDArray[np.float64], tolerance: float) -> list[int]:
    """The places within a path where it turns, after Douglas and Peucker."""
    corners = shapely.get_coordinates(shapely.simplify(shapely.linestrings(path), tolerance))[1:-1]
    is_corner = np.isin(path @ [1, 1j], corners @ [1, 1j])
    is_corner[[0, -1]] = False
    return np.flatnonzero(is_corner).tolist()
