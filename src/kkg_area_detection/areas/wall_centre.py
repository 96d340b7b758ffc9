"""壁芯: rooms grown to the centre lines of their walls.

What lies between a room (内法) and the centre lines around it is added, wall by wall. Where no wall was found at a
side of a room, half the thickness of its other walls is added there. So the result is never smaller than the room,
and no two of them overlap.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias, cast

import numpy as np
import shapely

from kkg_area_detection.areas.labels import kind_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Area, Wall

Basis: TypeAlias = Literal["wall_centre", "inner"]
"""How far a room reaches: to the centre lines of its walls (壁芯) or to their faces (内法)."""

_NEAR = 1.5  # thicknesses: how far from the centre line a room at a wall is looked for
_LEAST_CONTACT = 0.02  # of the strip along a wall that a room at that wall covers
_ONE_SIDED = 4.0  # times as much of a room on one side of a wall as on the other
_MITRE_LIMIT = 1.42  # right angles stay, sharper ones are cut
_NARROW = 0.25  # thicknesses on both sides
_SMALLEST = 1e-6  # square pixels


def wall_centre_polygons(
    areas: Sequence[Area], walls: Sequence[Wall], labels: Collection[str] | None = None
) -> dict[int, shapely.Polygon | shapely.MultiPolygon]:
    """Grow rooms to the centre lines of the walls around them.

    Args:
        areas: Of the sheet, without overlaps.
        walls: From ``find_walls``, drawn on through doors with ``bridge_openings``.
        labels: Names of the classes to grow. None takes all that are neither wall, door nor window.

    Returns:
        Polygons in pixels by the id of the area. An area without any wall beside it is left out.
    """
    if labels is None:
        rooms = [area for area in areas if kind_of(area.label) in ("room", None)]
    else:
        rooms = [area for area in areas if area.label in labels]
    if not rooms or not walls:
        return {}
    segments = _segments(walls)
    lines = np.array([segment.line for segment in segments], dtype=object)
    polygons = np.array([room.polygon for room in rooms], dtype=object)
    thickest = max(segment.thickness for segment in segments)
    wall_tree, room_tree = shapely.STRtree(lines), shapely.STRtree(polygons)
    grown: dict[int, shapely.Polygon | shapely.MultiPolygon] = {}
    for number, polygon in enumerate(polygons):
        nearby = wall_tree.query(polygon, predicate="dwithin", distance=_NEAR * thickest)
        bigger = _grown(polygon, [segments[place] for place in sorted(nearby.tolist())])
        if bigger is None:
            continue
        # Others may have grown towards it.
        around = room_tree.query(bigger, predicate="dwithin", distance=2 * _NEAR * thickest)
        others = shapely.union_all(
            [grown.get(other, polygons[other]) for other in around.tolist() if other != number]
        )
        grown[number] = _connected(shapely.difference(bigger, others), polygon, others)
    return {rooms[number].id: polygon for number, polygon in grown.items()}


@dataclass(frozen=True, slots=True)
class _Segment:
    """A stretch of a wall between two meetings with other walls."""

    line: shapely.LineString
    thickness: float

    def strip(self, side: int, depth: float, beyond: float) -> shapely.Polygon:
        """The strip along one side of the centre line.

        Args:
            side: 1 or -1.
            depth: Width of the strip in pixels.
            beyond: How far it is drawn beyond both ends.
        """
        start, end = shapely.get_coordinates(self.line)
        along = (end - start) / self.line.length
        across = side * depth * np.array([-along[1], along[0]])
        start, end = start - beyond * along, end + beyond * along
        return shapely.Polygon([start, end, end + across, start + across])

    def sides_of(self, room: shapely.Geometry) -> list[int]:
        """On which sides a room lies: 1, -1, both or none."""
        depth = _NEAR * self.thickness
        contact = {
            side: float(shapely.intersection(self.strip(side, depth, 0.0), room).area) for side in (1, -1)
        }
        most = max(contact.values())
        if most < _LEAST_CONTACT * depth * self.line.length:
            return []
        return [side for side, area in contact.items() if area * _ONE_SIDED > most]


def _segments(walls: Sequence[Wall]) -> list[_Segment]:
    """Cut walls where others meet them: a room is beside some stretches of a long wall only."""
    lines = np.array([wall.line for wall in walls], dtype=object)
    one, other = shapely.STRtree(lines).query(lines, predicate="intersects")
    cuts: defaultdict[int, set[float]] = defaultdict(set)
    for number, line in enumerate(lines):
        cuts[number] = {0.0, float(line.length)}
    for number, crossing in zip(one.tolist(), shapely.intersection(lines[one], lines[other]), strict=True):
        points = shapely.points(shapely.get_coordinates(crossing))
        cuts[number] |= set(shapely.line_locate_point(lines[number], points).tolist())
    segments = []
    for number, wall in enumerate(walls):
        places = np.array(sorted(cuts[number]))
        places = places[np.diff(places, prepend=-np.inf) > _SMALLEST]
        ends = shapely.get_coordinates(shapely.line_interpolate_point(wall.line, places))
        segments += [
            _Segment(shapely.LineString(ends[place : place + 2]), wall.thickness)
            for place in range(len(ends) - 1)
        ]
    return segments


def _grown(room: shapely.Geometry, segments: list[_Segment]) -> shapely.Geometry | None:
    """A room with its share of the walls around it, and maybe of what is beyond them where walls are missing."""
    beside = [(segment, sides) for segment in segments if (sides := segment.sides_of(room))]
    if not beside:
        return None
    thickness = _median(
        np.array([segment.thickness for segment, _ in beside]),
        np.array([segment.line.length for segment, _ in beside]),
    )
    most = max(segment.thickness for segment, _ in beside)
    within_reach = _outwards(room, _NEAR * most)
    own, foreign = [room, _outwards(room, thickness / 2)], []
    for segment, sides in beside:
        half = segment.thickness / 2
        # To the face of the wall and a little further, because rooms do not always reach it.
        strips = [segment.strip(side, segment.thickness, half) for side in sides]
        own += [shapely.intersection(strip, within_reach) for strip in strips]
        if len(sides) == 1:
            foreign.append(segment.strip(-sides[0], _NEAR * most + half, 0.0))
    grown = shapely.difference(shapely.union_all(own), shapely.union_all(foreign))
    # What is left beside the ends of centre lines is narrow.
    return _outwards(_outwards(grown, -_NARROW * thickness), _NARROW * thickness)


def _outwards(room: shapely.Geometry, distance: float) -> shapely.Geometry:
    """Move the border of a room by some pixels; inwards, if negative."""
    return shapely.buffer(room, distance, join_style="mitre", mitre_limit=_MITRE_LIMIT)


def _median(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    order = np.argsort(values)
    total = np.cumsum(weights[order])
    return float(values[order][np.searchsorted(total, total[-1] / 2)])


def _connected(
    bigger: shapely.Geometry, room: shapely.Geometry, others: shapely.Geometry
) -> shapely.Polygon | shapely.MultiPolygon:
    """The room, and what of the bigger shape hangs together with it; doors and columns inside are a part of it."""
    filled = shapely.polygons(shapely.get_exterior_ring(_polygons(shapely.union(bigger, room))))
    parts = _polygons(shapely.difference(shapely.union_all(filled), others))
    connected = shapely.union_all(parts[shapely.area(shapely.intersection(parts, room)) > _SMALLEST])
    return cast("shapely.Polygon | shapely.MultiPolygon", connected)


def _polygons(geometry: shapely.Geometry) -> NDArray[np.object_]:
    parts: NDArray[np.object_] = shapely.get_parts(geometry)
    polygons: NDArray[np.object_] = parts[shapely.get_dimensions(parts) == 2]
    return polygons
