"""Drawing centre lines on through doors and windows, as the trade does."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.area import Wall
from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.areas.polygons import Cells
from kkg_area_detection.areas.segments import labels_by_id
from kkg_area_detection.areas.wall_graph import Plot
from kkg_area_detection.areas.walls import touching_ends

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation

_WIDEST = 25.0  # thicknesses: a wide sliding door in a thin wall
_FLAW = 2.0  # thicknesses: so short a gap is a flaw of the mask, door or not
_LEAST_SHARE = 0.25  # of a gap must be door or window
_LEAST_SHARE_BEHIND_A_WALL = 0.5  # where the wall does not end freely, but at another one
_LEAST_ANGLE = np.sin(np.radians(30.0))
_SQUARE = np.sin(np.radians(3.0))
_OVERHANG = 0.75  # thicknesses of the other wall
_TOUCHING = 1e-6  # pixels
_SAMPLES_A_CELL = 2


def bridge_openings(
    walls: Collection[Wall], result: Segmentation, labels: Collection[str] | None = None
) -> tuple[Wall, ...]:
    """Draw the centre lines of walls on through the openings in them.

    A wall is drawn on to the wall that it faces, straight on or across, where a door or a window is in between;
    where it ends freely, also across a gap that is hardly longer than the wall is thick.

    Args:
        walls: From ``find_walls``.
        result: The segmentation in which they were found.
        labels: Names of the classes that are openings. None takes what is called a door or a window in English or
            Japanese.

    Returns:
        The walls; two of one label that are joined in a straight line are one.
    """
    label_of = labels_by_id(result)
    if labels is None:
        ids = [id_ for id_, label in label_of.items() if kind_of(label) in ("door", "window")]
    else:
        ids = [id_ for id_, label in label_of.items() if label in labels]
    openings = _Openings(Cells.of(result), ids)
    bridged = list(walls)
    while gaps := sorted(_gaps(bridged, openings), key=lambda gap: gap.length):
        bridged = _closed(bridged, gaps)
    return tuple(_trimmed(bridged))


@dataclass(frozen=True, slots=True)
class _Gap:
    """What is between the end of a wall and another wall straight ahead.

    Attributes:
        wall: The one that ends.
        end: Which of its ends: 0 or 1.
        facing: The wall across the gap.
        start: The end of the wall, x and y in pixels.
        target: Where the line of the facing wall is met.
        facing_end: The end of the facing wall that is met where both are in a line, else None.
        length: In pixels.
    """

    wall: int
    end: int
    facing: int
    start: NDArray[np.float64]
    target: NDArray[np.float64]
    facing_end: int | None
    length: float


class _Openings:
    """The cells that are doors and windows."""

    def __init__(self, cells: Cells, ids: list[int]) -> None:
        self._mask = np.isin(cells.ids, ids)
        self._plot = Plot(cells)
        self._side = cells.side

    def share_of(self, gap: _Gap, thickness: float) -> float:
        """How much of a gap has an opening within the thickness of the wall; both in pixels."""
        ahead = (gap.target - gap.start) / np.hypot(*(gap.target - gap.start))
        side = np.array([-ahead[1], ahead[0]])
        n_along = int(np.ceil(gap.length / self._side * _SAMPLES_A_CELL))
        along = (np.arange(n_along) + 0.5) / n_along * gap.length
        across = np.linspace(-0.5, 0.5, 5) * thickness
        points = gap.start + along[:, None, None] * ahead + across[:, None] * side
        row, column, inside = self._plot.cells_at(points)
        return float((self._mask[row, column] & inside).any(axis=1).mean())


def _gaps(walls: list[Wall], openings: _Openings) -> list[_Gap]:
    """For each end of a wall, the gap to the nearest wall ahead, if there is reason to close it."""
    if not walls:
        return []
    lines = shapely.get_coordinates([wall.line for wall in walls]).reshape(-1, 2, 2)
    thickness = np.array([wall.thickness for wall in walls])
    touched = np.zeros((len(walls), 2))  # the thickness of what each end is on
    meeting, which, other = touching_ends(walls)
    np.maximum.at(touched, (meeting, which), thickness[other])
    found = []
    for number, own in enumerate(thickness.tolist()):
        for end in (0, 1):
            skipped = float(touched[number, end])  # what is already met here is not ahead
            gap = _nearest_gap(number, end, lines, thickness, skipped)
            if gap is None or gap.length > _WIDEST * own:
                continue
            is_flaw = not skipped and gap.length <= _FLAW * own
            least = _LEAST_SHARE_BEHIND_A_WALL if skipped else _LEAST_SHARE
            if is_flaw or openings.share_of(gap, own) >= least:
                found.append(gap)
    return found


def _nearest_gap(
    number: int, end: int, lines: NDArray[np.float64], thickness: NDArray[np.float64], skipped: float
) -> _Gap | None:
    """The gap between the end of a wall and the first wall straight ahead.

    Args:
        number: Of the wall.
        end: 0 or 1.
        lines: Shape (n, 2, 2): of all walls, their ends, x and y in pixels.
        thickness: Shape (n,).
        skipped: Walls that are no further away are not looked at.
    """
    here, behind = lines[number, end], lines[number, 1 - end]
    own_length = float(np.hypot(*(here - behind)))
    ahead = (here - behind) / own_length
    side = np.array([-ahead[1], ahead[0]])
    along, across = (lines - here) @ ahead, (lines - here) @ side  # (n, 2)
    length = np.hypot(*(lines[:, 1] - lines[:, 0]).T)
    reach = np.maximum(thickness, thickness[number]) / 2
    flaw = _FLAW * thickness[number]

    skew = across[:, 0] - across[:, 1]
    is_parallel = abs(skew) < _LEAST_ANGLE * length
    in_line = is_parallel & (abs(across).max(axis=1) <= reach)
    share = across[:, 0] / np.where(is_parallel, 1, skew)
    crossing = along[:, 0] + share * (along[:, 1] - along[:, 0])
    beyond = np.maximum(-share, share - 1) * length
    is_square = abs(along[:, 1] - along[:, 0]) < _SQUARE * length
    # A corner may be lost on both sides; and a short wall that is askew does not show the way.
    is_met = ~is_parallel & (beyond <= np.where(crossing <= flaw, flaw, reach))
    is_met &= is_square | (crossing <= own_length)

    distance = np.where(in_line, along.min(axis=1), np.where(is_met, crossing, np.inf))
    if np.any(in_line & (distance <= skipped) & (along.max(axis=1) > skipped)):  # it goes on as another wall
        return None
    distance[(distance <= max(skipped, _TOUCHING)) | (np.arange(len(lines)) == number)] = np.inf
    # Of a wall that goes on behind the gap and one that ends there, the first is the same wall.
    facing = int(np.where(in_line, distance - 2 * reach, distance).argmin())
    if not np.isfinite(distance[facing]):
        return None
    facing_end = int(along[facing].argmin()) if in_line[facing] else None
    target = here + crossing[facing] * ahead if facing_end is None else lines[facing, facing_end]
    return _Gap(number, end, facing, here, target, facing_end, float(distance[facing]))


def _closed(walls: list[Wall], gaps: list[_Gap]) -> list[Wall]:
    """Draw walls on through gaps, the first ones first; of a wall that has changed, no more gaps are closed."""
    walls_or_none: list[Wall | None] = list(walls)
    changed: set[int] = set()
    for gap in gaps:
        if gap.wall in changed or gap.facing in changed:
            continue
        changed |= {gap.wall, gap.facing}
        walls_or_none[gap.wall], walls_or_none[gap.facing] = _joined(walls[gap.wall], walls[gap.facing], gap)
    return [wall for wall in walls_or_none if wall is not None]


def _joined(wall: Wall, facing: Wall, gap: _Gap) -> tuple[Wall, Wall | None]:
    """The wall drawn on, and the one that it faces; None where both have become one."""
    ends, others = shapely.get_coordinates(wall.line), shapely.get_coordinates(facing.line)
    ends[gap.end] = gap.target
    if gap.facing_end is not None and wall.label == facing.label:
        ends[gap.end] = others[1 - gap.facing_end]
        lengths = wall.line.length, facing.line.length
        thickness = float(np.average((wall.thickness, facing.thickness), weights=lengths))
        return Wall(shapely.LineString(ends), thickness, wall.label), None
    if gap.facing_end is None and facing.line.distance(shapely.Point(gap.target)) > _TOUCHING:
        # It ends just before the meeting point.
        others[int(np.hypot(*(others - gap.target).T).argmin())] = gap.target
    return replace(wall, line=shapely.LineString(ends)), replace(facing, line=shapely.LineString(others))


def _trimmed(walls: list[Wall]) -> list[Wall]:
    """Cut off what hangs over a wall that was drawn on across the end of another."""
    lines = np.array([wall.line for wall in walls], dtype=object)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    meetings = shapely.intersection(lines[one], lines[other])
    trimmed = list(walls)
    for number, facing, meeting in zip(one.tolist(), other.tolist(), meetings, strict=True):
        if number == facing or meeting.geom_type != "Point":
            continue
        point = shapely.get_coordinates(meeting)[0]
        ends = shapely.get_coordinates(trimmed[number].line)
        away = np.hypot(*(ends - point).T)
        nearer = int(away.argmin())
        if 0 < away[nearer] <= _OVERHANG * walls[facing].thickness and away[1 - nearer] > away[nearer]:
            ends[nearer] = point
            trimmed[number] = replace(trimmed[number], line=shapely.LineString(ends))
    return trimmed
