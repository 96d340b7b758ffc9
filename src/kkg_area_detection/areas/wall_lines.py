"""Straight centre lines, along the directions of the building, through crooked pieces of wall.

The skeleton says which pieces there are and how they hang together. Where exactly they run and how thick they are
is measured across the wall itself: the middle between its two faces, at many places, away from corners.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

import numpy as np

from kkg_area_detection.areas.directions import QUARTER, turn
from kkg_area_detection.areas.wall_graph import WallGraph

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.wall_graph import WallBody

_BIN = np.radians(1.0)  # of the histogram of directions
_NEAR = np.radians(4.0)
_APART = np.radians(15.0)  # the least difference of two directions of a building
_ASKEW = np.radians(30.0)  # a piece that is turned further from a direction does not run along it
_LEAST_SHARE = 0.2  # of the length of all walls, for a second direction and further ones
_SHARP = np.sin(np.radians(10.0))  # lines that meet at a sharper angle do not say where
_SHORTEST = 2.0  # cells or radii: shorter pieces are what a skeleton does at corners
_CHAMFER = 3.0  # cells or thicknesses: longer slants at corners are built so
_SLANT = np.sin(np.radians(20.0))
_SHORT = 4.0  # thicknesses: shorter pieces are measured badly
_STRAY = 1.5  # cells: an end that is off by no more may be on the axis
_MEASURES = 64
_WIDE = 1.6  # times the usual thickness: there another wall comes in
_ALIGNED = 0.25  # of the thickness: pieces that are off by no more are one straight wall
_STEP = 1.2  # cells: so are those that are off by a step of the grid
_FACING = 20.0  # thicknesses: how far walls that face each other are laid on one line


@dataclass(slots=True)
class Piece:
    """A piece of wall on its straight line.

    Attributes:
        start: Node at one end.
        end: Node at the other.
        along: Unit vector from start to end.
        offset: Of the line, along its normal, in pixels.
        length: Of the crooked piece, in pixels.
        thickness: In pixels.
        on_axis: Whether it runs along a direction of the building.
        line: Number of the straight wall that it is a part of.
    """

    start: int
    end: int
    along: NDArray[np.float64]
    offset: float
    length: float
    thickness: float
    on_axis: bool
    line: int = -1

    @property
    def normal(self) -> NDArray[np.float64]:
        """Unit vector across the wall: ``along`` turned from x towards y."""
        return np.array([-self.along[1], self.along[0]])

    def is_parallel_to(self, other: Piece) -> bool:
        """Whether the two lines are too much alike to say where they cross."""
        return bool(abs(self.along @ other.normal) < _SHARP)

    def crossing(self, other: Piece) -> NDArray[np.float64]:
        """Where the two lines cross; they must not be parallel."""
        normals = np.stack((self.normal, other.normal))
        return np.linalg.solve(normals, np.array([self.offset, other.offset]))

    def foot(self, point: NDArray[np.float64]) -> NDArray[np.float64]:
        """The nearest point of the line."""
        nearest: NDArray[np.float64] = point + (self.offset - point @ self.normal) * self.normal
        return nearest


def fit_pieces(graph: WallGraph, body: WallBody) -> tuple[WallGraph, list[Piece]]:
    """Lay a straight line through each piece of a graph, and one line through pieces that continue each other.

    Returns:
        The graph, without pieces too short to have a direction, and its pieces in the order of its edges.
    """
    graph = _without_short_edges(graph, body.side)
    axes = _directions(graph, body.side)
    pieces = [_fit(graph, edge, body, axes) for edge in range(len(graph.edges))]
    without = _without_artefacts(graph, pieces, body.side)
    if without is not graph:
        graph = without
        pieces = [_fit(graph, edge, body, axes) for edge in range(len(graph.edges))]
    _align(graph, pieces, body.side)
    return graph, pieces


def _without_short_edges(graph: WallGraph, side: float) -> WallGraph:
    """Leave out edges that are shorter than the wall is thick, the shortest first."""
    while len(graph.edges):
        length = np.hypot(*(graph.nodes[graph.edges[:, 1]] - graph.nodes[graph.edges[:, 0]]).T)
        radius = np.maximum(graph.radius[graph.edges].max(axis=1), graph.usual)
        least = _SHORTEST * np.maximum(side, radius)
        alone = (graph.degree()[graph.edges] == 1).all(axis=1)
        excess = np.where(alone, np.inf, length - least)
        if excess.min() >= 0:
            break
        graph, _ = _contracted(graph, int(excess.argmin()))
    return graph


def _without_artefacts(graph: WallGraph, pieces: list[Piece], side: float) -> WallGraph:
    """Leave out edges that are thicker than long, and those that only cut the corner between two walls."""
    while (edge := _artefact(graph, pieces, side)) is not None:
        graph, kept = _contracted(graph, edge)
        pieces = [pieces[number] for number in kept]
    return graph


def _artefact(graph: WallGraph, pieces: list[Piece], side: float) -> int | None:
    """The first such edge, if there is one."""
    at: defaultdict[int, list[int]] = defaultdict(list)
    for edge, ends in enumerate(graph.edges.tolist()):
        for node in ends:
            at[node].append(edge)
    for edge, (start, end) in enumerate(graph.edges.tolist()):
        if len(at[start]) == 1 and len(at[end]) == 1:
            continue
        chord = graph.nodes[end] - graph.nodes[start]
        length = float(np.hypot(*chord))
        if length < pieces[edge].thickness:
            return edge
        if len(at[start]) != 2 or len(at[end]) != 2:
            continue
        first, second = (pieces[other] for node in (start, end) for other in at[node] if other != edge)
        slant = min(abs(piece.normal @ chord) / length for piece in (first, second))
        short = length <= _CHAMFER * max(side, first.thickness, second.thickness)
        if short and slant > _SLANT and first.on_axis and second.on_axis and not first.is_parallel_to(second):
            return edge
    return None


def _contracted(graph: WallGraph, edge: int) -> tuple[WallGraph, list[int]]:
    """Make one node of the two ends of an edge: the one where more walls meet, or the point between them.

    Returns:
        The new graph, and the numbers that its edges had.
    """
    degree = graph.degree()
    stays, goes = sorted(graph.edges[edge].tolist(), key=lambda node: -degree[node])
    nodes = graph.nodes.copy()
    if degree[stays] == degree[goes]:
        nodes[stays] = (nodes[stays] + nodes[goes]) / 2
    edges = np.where(graph.edges == goes, stays, graph.edges)
    _, first = np.unique(np.sort(edges, axis=1), axis=0, return_index=True)
    kept = [number for number in sorted(first.tolist()) if edges[number, 0] != edges[number, 1]]
    paths = [graph.paths[number] for number in kept]
    return WallGraph(nodes, graph.radius, edges[kept], graph.usual[kept], paths), kept


def _directions(graph: WallGraph, side: float) -> list[float]:
    """The directions of a building, the most important one first.

    Skeletons tell them better than borders, which are more ragged.

    Args:
        graph: Of its walls.
        side: Of a cell, in pixels.

    Returns:
        Angles in radians, 0 <= angle < pi / 2, from x towards y. Each stands for itself and for the direction at
        right angles to it. One that may as well be that of the picture is that of the picture.
    """
    directions = [_direction(_inner_path(graph, edge)) for edge in range(len(graph.edges))]
    angle = np.array([np.arctan2(along[1], along[0]) for along in directions])
    length = np.array([float(np.hypot(*(path[-1] - path[0]))) for path in graph.paths])
    # An end that is off by a cell turns a long wall less: the variance of its angle falls with the length squared.
    weight = length**3
    found: list[float] = []
    while True:
        free = np.all([abs(turn(angle, axis, QUARTER)) > _APART for axis in found], axis=0) & (length > 0)
        if not free.any() or (found and length[free].sum() < _LEAST_SHARE * length.sum()):
            return found or [0.0]
        centres = np.arange(0, QUARTER, _BIN)
        off = np.array([abs(turn(angle[free], centre, QUARTER)) for centre in centres.tolist()])
        peak = float(centres[(np.maximum(_NEAR - off, 0) @ weight[free]).argmax()])
        from_peak = turn(angle[free], peak, QUARTER)
        near = abs(from_peak) < _NEAR
        if found and length[free][near].sum() < _LEAST_SHARE * length.sum():
            return found
        axis = peak + float(np.average(from_peak[near], weights=weight[free][near]))
        tilt = abs(turn(axis, 0.0, QUARTER))
        upright = tilt < _NEAR and tilt * length[free][near].max() < side
        found.append(0.0 if upright else float(axis % QUARTER))


def _inner_path(graph: WallGraph, edge: int) -> NDArray[np.float64]:
    """The skeleton of an edge without its ends, where it runs into corners; its middle third at least."""
    path = graph.paths[edge]
    ends = graph.radius[graph.edges[edge]]
    from_start = np.hypot(*(path - path[0]).T)
    from_end = np.hypot(*(path - path[-1]).T)
    inner = path[(from_start > ends[0]) & (from_end > ends[1])]
    third = len(path) // 3
    return inner if len(inner) > third else path[third : len(path) - third]


def _direction(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Unit vector along points that lie about on a line; along x where there is one point only."""
    centred = points - points.mean(axis=0)
    _, axes = np.linalg.eigh(centred.T @ centred)
    along: NDArray[np.float64] = axes[:, 1]
    return along if len(points) > 1 else np.array([1.0, 0.0])


def _fit(graph: WallGraph, edge: int, body: WallBody, axes: list[float]) -> Piece:
    start, end = graph.edges[edge].tolist()
    path = _inner_path(graph, edge)
    chord = graph.nodes[end] - graph.nodes[start]
    along = _direction(path)
    along = along * (np.sign(along @ chord) or 1)
    length = float(np.hypot(*chord))
    radius = max(float(graph.usual[edge]), body.side / 2)
    angle = np.arctan2(along[1], along[0])
    turns = np.array([turn(angle, axis, QUARTER) for axis in axes])
    nearest = abs(turns).argmin()
    off = abs(turns[nearest])
    stray = length / 2 * np.sin(off)
    straight = off < _ASKEW and stray <= max(_STRAY * body.side, radius)
    on_axis = bool(straight or length < _SHORT * 2 * radius)
    if on_axis:
        # Lines that run the same way must have the same normal, whichever end comes first.
        direction = axes[nearest] + round((angle - axes[nearest]) / QUARTER) % 2 * QUARTER
        snapped = np.array([np.cos(direction), np.sin(direction)])
        if snapped @ along < 0:
            start, end = end, start
        along = snapped
    piece = Piece(start, end, along, 0.0, length, 2 * radius, on_axis)
    _measure(piece, path, body)
    return piece


def _measure(piece: Piece, path: NDArray[np.float64], body: WallBody) -> None:
    """Find the middle and the thickness of a wall at many places, and its direction where no axis gives it."""
    # Between the cells, too: the faces of slanted walls are stairs, and their steps must not keep time.
    places = np.linspace(0, len(path) - 1, _MEASURES)
    points = np.stack([np.interp(places, np.arange(len(path)), values) for values in path.T], axis=1)
    limit = 2 * piece.thickness + 2 * body.side
    across = np.tile(piece.normal, (len(points), 1))
    left, right = body.reach(points, -across, limit), body.reach(points, across, limit)
    if not np.any(left + right > 0):  # it runs along a slot that was filled
        piece.offset = float((points @ piece.normal).mean())
        return
    width = left + right
    usual = (width > 0) & (width <= _WIDE * np.quantile(width[width > 0], 0.25) + body.side / 2)
    middles = points[usual] + ((right - left) / 2)[usual, None] * piece.normal
    piece.thickness = float(width[usual].mean())
    if not piece.on_axis:
        along = _direction(middles)
        piece.along = along * (np.sign(along @ piece.along) or 1)
    piece.offset = float((middles @ piece.normal).mean())


def _align(graph: WallGraph, pieces: list[Piece], side: float) -> None:
    """Lay pieces that continue each other onto one line, the longest first."""
    order = sorted(range(len(pieces)), key=lambda number: -pieces[number].length)
    for number in order:
        pieces[number].line = number
    lines = {number: [pieces[number]] for number in order}
    for one, other, touching in _neighbours(graph, pieces, order):
        first, second = pieces[one], pieces[other]
        if first.line == second.line or not (first.on_axis and second.on_axis):
            continue
        if first.along @ second.along < np.cos(np.radians(1)):
            continue
        both = lines[first.line] + lines[second.line]
        offsets = [piece.offset for piece in both]
        thickness = max(first.thickness, second.thickness)
        badly_measured = touching and min(first.length, second.length) < _SHORT * thickness
        most = max(_STEP * side, _ALIGNED * thickness) * (2 if badly_measured else 1)
        if max(offsets) - min(offsets) <= most:
            del lines[second.line]
            for piece in lines[first.line] + both[len(lines[first.line]) :]:
                piece.line = first.line
            lines[first.line] = both
    for line in lines.values():
        weights = [piece.length**2 for piece in line]
        offset = float(np.average([piece.offset for piece in line], weights=weights))
        for piece in line:
            piece.offset = offset


def _neighbours(graph: WallGraph, pieces: list[Piece], order: list[int]) -> list[tuple[int, int, bool]]:
    """Pairs of pieces that share a node, and then those whose free ends face each other, with False."""
    at: defaultdict[int, list[int]] = defaultdict(list)
    for number in order:
        at[pieces[number].start].append(number)
        at[pieces[number].end].append(number)
    touching = [(one, other, True) for here in at.values() for one, other in combinations(here, 2)]
    free = [(node, here[0]) for node, here in at.items() if len(here) == 1]
    facing = [
        (one, other, False)
        for (node, one), (opposite, other) in combinations(free, 2)
        if one != other and _faces(graph, pieces[one], node, pieces[other], opposite)
    ]
    return touching + facing


def _faces(graph: WallGraph, first: Piece, node: int, second: Piece, opposite: int) -> bool:
    """Whether the second piece begins not far ahead of where the first one ends."""
    outwards = first.along if node == first.end else -first.along
    ahead = float((graph.nodes[opposite] - graph.nodes[node]) @ outwards)
    return 0 <= ahead <= _FACING * min(first.thickness, second.thickness)
