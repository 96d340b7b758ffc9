"""``find_walls``: the centre lines of walls, with their thickness, as an engineer would draw them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.area import Wall
from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.areas.polygons import Cells
from kkg_area_detection.areas.segments import labels_by_id
from kkg_area_detection.areas.wall_graph import WallBody, WallGraph
from kkg_area_detection.areas.wall_lines import Piece, fit_pieces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation

_SAMPLES = 32
_SAME_THICKNESS = 0.25  # of the thicker wall: those that differ by no more are one wall
_SHORT = 3.0  # thicknesses: shorter walls are measured too badly to tell
_BUMP = 1.25  # thicknesses: half of one is within the other wall
_TOUCHING = 1e-6  # pixels


def find_walls(result: Segmentation, labels: Collection[str] | None = None) -> tuple[Wall, ...]:
    """Find the centre lines of the walls of a plan.

    Args:
        result: What ``get_segmentation_result`` returned.
        labels: Names of the classes that are walls. None takes what is called a wall in English or Japanese.

    Returns:
        Straight walls. Those that continue each other, have one label and are about as thick are one; walls
        that meet share the point where they do. Bumps, and what is hardly longer than thick, are left out. Empty
        where there is no wall.
    """
    cells = Cells.of(result)
    label_of = labels_by_id(result)
    if labels is None:
        is_wall = {id_ for id_, label in label_of.items() if kind_of(label) in ("exwall", "inwall")}
    else:
        is_wall = {id_ for id_, label in label_of.items() if label in labels}
    body = WallBody(np.isin(cells.ids, list(is_wall)), cells)
    graph, pieces = fit_pieces(WallGraph.of(body), body)
    return _Joinery(graph, pieces, body, label_of).walls()


class _Joinery:
    """Joins straight pieces at their nodes."""

    def __init__(
        self, graph: WallGraph, pieces: list[Piece], body: WallBody, label_of: dict[int, str]
    ) -> None:
        self._graph = graph
        self._pieces = pieces
        self._body = body
        self._label_of = label_of
        self._at: defaultdict[int, list[Piece]] = defaultdict(list)
        for piece in pieces:
            self._at[piece.start].append(piece)
            self._at[piece.end].append(piece)

    def walls(self) -> tuple[Wall, ...]:
        lines: defaultdict[int, list[Wall]] = defaultdict(list)
        for piece in self._pieces:
            ends = np.stack((self._end(piece, piece.start), self._end(piece, piece.end)))
            if (ends[1] - ends[0]) @ piece.along > _TOUCHING:
                wall = Wall(shapely.LineString(ends), piece.thickness, self._label(ends))
                lines[piece.line].append(wall)
        walls = [wall for line in lines.values() for wall in _merged(line, self._body.side)]
        walls += self._jogs()
        return tuple(_without_bumps(walls))

    def _end(self, piece: Piece, node: int) -> NDArray[np.float64]:
        """Where a piece ends: at the furthest line that it meets at its node."""
        here = self._graph.nodes[node]
        outwards = piece.along if node == piece.end else -piece.along
        others = [other for other in self._at[node] if other is not piece]
        if not others:
            foot = piece.foot(here)
            further = self._body.reach(foot[None], outwards[None], 2 * piece.thickness + 2 * self._body.side)
            end: NDArray[np.float64] = foot + further[0] * outwards
            return end
        crossings = [piece.crossing(other) for other in others if not piece.is_parallel_to(other)]
        nearby = 2 * self._graph.radius[node] + piece.thickness + 2 * self._body.side
        crossings = [point for point in crossings if np.hypot(*(point - here)) <= nearby]
        if crossings:
            return max(crossings, key=lambda point: float(point @ outwards))
        if piece.on_axis and all(other.on_axis for other in others):
            return piece.foot(here)
        middle: NDArray[np.float64] = np.mean([other.foot(here) for other in self._at[node]], axis=0)
        return middle

    def _jogs(self) -> list[Wall]:
        """Short walls that join two parallel ones, where a wall goes on with an offset."""
        jogs = []
        for node, pieces in self._at.items():
            if len(pieces) != 2 or not pieces[0].is_parallel_to(pieces[1]):
                continue
            ends = np.stack([self._end(piece, node) for piece in pieces])
            if np.hypot(*(ends[1] - ends[0])) > _TOUCHING:
                thickness = min(piece.thickness for piece in pieces)
                jogs.append(Wall(shapely.LineString(ends), thickness, self._label(ends)))
        return jogs

    def _label(self, ends: NDArray[np.float64]) -> str:
        """The class that most of a wall is in."""
        share = np.linspace(0, 1, _SAMPLES + 2)[1:-1, None]
        row, column, _ = self._body.plot.cells_at(ends[0] * (1 - share) + ends[1] * share)
        ids = self._body.cells.ids[row, column][self._body.mask[row, column]].tolist()
        labels = [self._label_of[id_] for id_ in ids] or ["wall"]
        return max(sorted(set(labels)), key=labels.count)


def _without_bumps(walls: list[Wall]) -> list[Wall]:
    """Leave out what hardly sticks out of other walls, or is hardly longer than thick."""
    thickness = np.array([wall.thickness for wall in walls])
    length = np.array([wall.line.length for wall in walls])
    wall, end, other = touching_ends(walls)
    thickest = thickness.copy()
    np.maximum.at(thickest, wall, thickness[other])
    is_joined = np.zeros((len(walls), 2), dtype=bool)
    is_joined[wall, end] = True
    stays = is_joined.all(axis=1) | (length >= _BUMP * thickest)
    return [walls[number] for number in np.flatnonzero(stays).tolist()]


def touching_ends(
    walls: list[Wall],
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Find the ends of walls that are on other walls.

    Returns:
        Place of the wall in the list, which of its ends (0 or 1), and place of the other wall, for each meeting.
    """
    lines = np.array([wall.line for wall in walls], dtype=object)
    ends = shapely.points(shapely.get_coordinates(lines))
    point, other = shapely.STRtree(lines).query(ends, predicate="dwithin", distance=_TOUCHING)
    elsewhere = point // 2 != other
    return point[elsewhere] // 2, point[elsewhere] % 2, other[elsewhere]


def _merged(walls: list[Wall], side: float) -> list[Wall]:
    """Make one wall of those on a line that touch and are alike; ``side`` of a cell in pixels."""
    start, end = shapely.get_coordinates(walls[0].line)
    walls = sorted(
        walls, key=lambda wall: float((shapely.get_coordinates(wall.line)[0] - start) @ (end - start))
    )
    merged = [walls[0]]
    for wall in walls[1:]:
        last = merged[-1]
        thinner, thicker = sorted((wall.thickness, last.thickness))
        short = min(wall.line.length, last.line.length) < _SHORT * thicker
        alike = short or thicker - thinner <= max(_SAME_THICKNESS * thicker, side)
        if wall.label == last.label and alike and last.line.distance(wall.line) < _TOUCHING:
            ends = shapely.get_coordinates(last.line)[0], shapely.get_coordinates(wall.line)[1]
            lengths = last.line.length, wall.line.length
            thickness = float(np.average((last.thickness, wall.thickness), weights=lengths))
            merged[-1] = Wall(shapely.LineString(ends), thickness, wall.label)
        else:
            merged.append(wall)
    return merged
