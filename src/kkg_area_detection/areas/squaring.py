"""Drawing the areas of a plan along the directions that the plan itself has.

Walls are straight and mostly at right angles to each other, but a network draws them a little crooked. Here sides
that run along one of the plan's main directions, and follow each other within some reach, become one straight line,
and each vertex moves to where its lines cross. What runs in no main direction stays as it is.

Vertices are moved, not polygons, so neighbours stay neighbours. Where the lines would make a knot or leave hardly
anything of a face, vertices stay where they were.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.directions import QUARTER, main_directions, turn
from kkg_area_detection.areas.network import Network
from kkg_area_detection.areas.polygons import Coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_ASKEW = np.radians(20)  # a side that is turned further from a direction does not run along it
# In reaches:
_WIDTH = 1.5  # of a line before it is straight, at most
_CUT = 2  # length of a side that cuts a corner off, at most
_FARTHEST = 2.5  # that a vertex moves
_SINE_OF_CROSSING = 0.5  # at least, for two lines to say where a vertex is
_LEAST_LEFT = 0.5  # of a face's area
_DIGITS = 6  # of a pixel's coordinates: makes points equal that differ in rounding only
_ATTEMPTS = 10


def square(coverage: Coverage, reach: float) -> Coverage:
    """Put the sides of a plan onto straight lines along its main directions.

    Args:
        coverage: The whole picture, simplified.
        reach: How far a vertex may be from its line, in pixels: about the side of a cell.

    Returns:
        As many faces, in the same order, valid and without gaps or overlaps. The border of the picture stays.
    """
    directions = main_directions(coverage, reach)
    if not directions:
        return coverage
    network = Network.of(coverage)
    moved = _moved(network, _lines(network, directions, reach), reach)
    faces = _faces(coverage, network, moved)
    # Vertices in the middle of what is straight now are of no more use.
    faces = shapely.coverage_simplify(faces, reach / 100, simplify_boundary=False)
    return Coverage(faces, coverage.ids)


@dataclass(frozen=True, slots=True)
class _Lines:
    """For each vertex, the lines that it is on.

    Attributes:
        normals: Shape (k, 2): for each of k directions, a unit vector at right angles to it.
        position: Shape (k, n): of the line in that direction through each vertex, along the normal.
        weight: Shape (k, n): length of the sides on that line; 0 where a vertex is on none.
    """

    normals: NDArray[np.float64]
    position: NDArray[np.float64]
    weight: NDArray[np.float64]


@dataclass(slots=True)
class _Groups:
    """Vertices gathered into groups that are no wider than some limit: disjoint sets.

    Attributes:
        low: Position of each vertex; of a group's first one, the least of the group.
        high: The same; of a group's first one, the greatest.
        limit: Greatest difference of the two.
        first: A vertex that is closer to the first one of its group, or the first one itself.
    """

    low: list[float]
    high: list[float]
    limit: float
    first: list[int] = field(init=False)

    def __post_init__(self) -> None:
        self.first = list(range(len(self.low)))

    def find(self, vertex: int) -> int:
        """The first vertex of its group."""
        while self.first[vertex] != vertex:
            self.first[vertex] = vertex = self.first[self.first[vertex]]
        return vertex

    def join(self, one: int, other: int) -> bool:
        """Make one group of two, and say whether that was possible."""
        one, other = self.find(one), self.find(other)
        low, high = min(self.low[one], self.low[other]), max(self.high[one], self.high[other])
        if high - low > self.limit:
            return False
        self.first[other] = one
        self.low[one], self.high[one] = low, high
        return True


def _lines(network: Network, directions: list[float], reach: float) -> _Lines:
    """Gather the sides of a network into lines, direction by direction."""
    steps = network.steps()
    angle = np.arctan2(steps[:, 1], steps[:, 0])
    axes = [direction + quarter for direction in directions for quarter in (0, QUARTER)]
    off = np.array([abs(turn(angle, axis, np.pi)) for axis in axes])
    gathered = [
        _gathered(network, axis, (off[number] < _ASKEW) & (off[number] == off.min(axis=0)), reach)
        for number, axis in enumerate(axes)
    ]
    lines = _Lines(*(np.stack(parts) for parts in zip(*gathered, strict=True)))
    _lengthen_at_cut_corners(network, lines, reach)
    return lines


def _gathered(
    network: Network, axis: float, runs_along: NDArray[np.bool_], reach: float
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Gather sides that follow each other, and those that a short side links like the bar of a Z.

    Returns:
        Normal, positions and weights, as in ``_Lines``.
    """
    tangent, normal = np.array([np.cos(axis), np.sin(axis)]), np.array([-np.sin(axis), np.cos(axis)])
    along, across = network.points @ tangent, network.points @ normal
    length = np.hypot(*network.steps().T)
    longest_first = np.argsort(-length)
    chosen = longest_first[(runs_along & (length > reach))[longest_first]]
    sides, short = network.sides[chosen], network.sides[length <= reach]
    groups = _Groups(across.tolist(), across.tolist(), _WIDTH * reach)
    joined = np.array([groups.join(a, b) for a, b in sides.tolist()], dtype=bool)
    sides, length = sides[joined], length[chosen][joined]

    starts, ends = np.zeros(len(along), dtype=bool), np.zeros(len(along), dtype=bool)
    forwards = along[sides[:, 0]] < along[sides[:, 1]]
    starts[np.where(forwards, sides[:, 0], sides[:, 1])] = True
    ends[np.where(forwards, sides[:, 1], sides[:, 0])] = True
    only_start, only_end = starts & ~ends, ends & ~starts
    a, b = short.T
    for one, other in short[(only_end[a] & only_start[b]) | (only_start[a] & only_end[b])].tolist():
        groups.join(one, other)

    first = np.array([groups.find(vertex) for vertex in range(len(along))])
    group_of_side = first[sides[:, 0]]
    middle = across[sides].mean(axis=1)
    weight = np.bincount(group_of_side, length, len(along))
    total = np.bincount(group_of_side, length * middle, len(along))
    position = np.divide(total, weight, out=across.copy(), where=weight > 0)
    return normal, position[first], weight[first]


def _lengthen_at_cut_corners(network: Network, lines: _Lines, reach: float) -> None:
    """Where a short side cuts a corner off, let the lines at its ends reach its other end as well."""
    steps = network.steps()
    short = np.hypot(steps[:, 0], steps[:, 1]) <= _CUT * reach
    free = np.all(network.degree()[network.sides] == 2, axis=1)
    one, other = network.sides[short & free].T
    here, there = lines.weight[:, one] > 0, lines.weight[:, other] > 0
    cuts = here.any(axis=0) & there.any(axis=0) & ~np.any(here & there, axis=0)
    for line, side in zip(*np.nonzero((here | there) & cuts), strict=True):
        source, target = (one, other) if here[line, side] else (other, one)
        lines.position[line, target[side]] = lines.position[line, source[side]]
        lines.weight[line, target[side]] = lines.weight[line, source[side]]


def _moved(network: Network, lines: _Lines, reach: float) -> NDArray[np.float64]:
    """Move each vertex to the crossing of the two longest lines through it, or straight onto its only one.

    Returns:
        Shape (n, 2): the vertices of the network.
    """
    points, normals, weight = network.points, lines.normals, lines.weight
    each = np.arange(len(points))
    first = weight.argmax(axis=0)
    # Lines that cross at a sharp angle say little about where.
    sine = abs(normals[first] @ np.stack((-normals[:, 1], normals[:, 0]))).T
    second_weight = np.where(sine > _SINE_OF_CROSSING, weight, 0)
    second = second_weight.argmax(axis=0)
    has_second = second_weight[second, each] > 0
    shift = lines.position - normals @ points.T
    (x1, y1), (x2, y2) = normals[first].T, normals[second].T
    s1, s2 = shift[first, each], shift[second, each]
    determinant = np.where(has_second, x1 * y2 - y1 * x2, 1)
    step_x = np.where(has_second, (s1 * y2 - s2 * y1) / determinant, s1 * x1)
    step_y = np.where(has_second, (s2 * x1 - s1 * x2) / determinant, s1 * y1)
    moves = ~network.on_border & (weight[first, each] > 0) & (np.hypot(step_x, step_y) <= _FARTHEST * reach)
    moved = (points + np.stack((step_x, step_y), axis=1)).round(_DIGITS)
    return np.where(moves[:, None], moved, points)


def _faces(coverage: Coverage, network: Network, moved: NDArray[np.float64]) -> NDArray[np.object_]:
    """The faces with their vertices moved, but for those that must stay where they were."""
    points = moved.copy()
    for _ in range(_ATTEMPTS):
        faces = shapely.set_coordinates(coverage.faces.copy(), points[network.vertex])
        wrong = _wrong(faces, coverage, points[network.vertex])
        if not wrong.any():
            return shapely.remove_repeated_points(faces)
        stay = network.vertex[wrong]
        points[stay] = network.points[stay]
    logger.debug("The plan cannot be squared; it stays as it was.")
    return coverage.faces


def _wrong(
    faces: NDArray[np.object_], coverage: Coverage, coordinates: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Which coordinates cannot stay: all of those of spoilt faces, and those of sides that do not match."""
    inside_out = _turns_left(faces) != _turns_left(coverage.faces)
    spoilt = inside_out | (shapely.area(faces) < _LEAST_LEFT * shapely.area(coverage.faces))
    if not spoilt.any():
        mismatched = shapely.get_coordinates(shapely.coverage_invalid_edges(faces))
        if len(mismatched):
            return np.isin(coordinates @ [1, 1j], mismatched @ [1, 1j])
        spoilt = ~shapely.is_valid(faces)
    return np.repeat(spoilt, shapely.get_num_coordinates(faces))


def _turns_left(faces: NDArray[np.object_]) -> NDArray[np.bool_]:
    turns_left: NDArray[np.bool_] = shapely.is_ccw(shapely.get_exterior_ring(faces))
    return turns_left
