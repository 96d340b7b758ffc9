"""Pieces too small to mean anything, and what becomes of them.

Masks have crumbs: single cells of a wall in the middle of a room, slivers of background between a room and its
wall. They are given to what surrounds them, because leaving them out would only turn them into holes.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.network import Network
from kkg_area_detection.areas.polygons import BACKGROUND, Cells, Coverage

if TYPE_CHECKING:
    from numpy.typing import NDArray

_OPEN = -2  # a cell whose new id is not known yet


def fill_specks(cells: Cells, coverage: Coverage, least: float) -> tuple[Cells, int]:
    """Give the cells of small pieces to the nearest larger piece.

    Args:
        cells: The picture.
        coverage: Traced from it.
        least: Pixels that a piece has at least, of a segment or of background. Faces of a segment that touch at
            corners are one piece: a thin slanted wall is a chain of them.

    Returns:
        The cells with larger pieces only, and the number of segments' pieces that are gone. Where no piece is large
        enough, everything is background.
    """
    small = shapely.area(coverage.faces) < least
    if small.any():
        small = _piece_areas(coverage) < least
    ids = cells.ids.copy()
    for face in coverage.faces[small]:
        rows, columns, inside = _inside(face, cells)
        ids[rows, columns][inside] = _OPEN
    return replace(cells, ids=_filled(ids)), int(np.count_nonzero(coverage.ids[small] != BACKGROUND))


def _piece_areas(coverage: Coverage) -> NDArray[np.float64]:
    """For each face, the area of the piece that it belongs to."""
    network = Network.of(coverage)
    face = network.ring_face[network.ring]
    at_crossing = network.degree()[network.vertex] == 4
    vertex, face = network.vertex[at_crossing], face[at_crossing]
    order = np.lexsort((coverage.ids[face], vertex))
    vertex, face = vertex[order], face[order]
    touching = (np.diff(vertex) == 0) & (np.diff(coverage.ids[face]) == 0)
    one, other = face[:-1][touching], face[1:][touching]
    piece = np.arange(len(coverage.faces))
    while np.any(piece[one] != piece[other]):
        least = np.minimum(piece[one], piece[other])
        np.minimum.at(piece, one, least)
        np.minimum.at(piece, other, least)
    areas = np.zeros(len(piece))
    np.add.at(areas, piece, shapely.area(coverage.faces))
    return areas[piece]


def _inside(face: shapely.Polygon, cells: Cells) -> tuple[slice, slice, NDArray[np.bool_]]:
    """The rows and columns that a face reaches, and which of the cells there it covers."""
    left, top, right, bottom = face.bounds
    rows = slice(*np.searchsorted(cells.y, (top, bottom)))
    columns = slice(*np.searchsorted(cells.x, (left, right)))
    x, y = (cells.x[:-1] + cells.x[1:]) / 2, (cells.y[:-1] + cells.y[1:]) / 2
    return rows, columns, shapely.contains_xy(face, *np.meshgrid(x[columns], y[rows]))


def _filled(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """Let the ids around open cells grow into them, a cell at a time; of several, the one on most sides."""
    ids = ids.copy()
    if np.all(ids == _OPEN):
        ids[:] = BACKGROUND
    while np.any(ids == _OPEN):
        y, x = np.nonzero(ids == _OPEN)
        padded = np.pad(ids, 1, constant_values=_OPEN)
        around = np.stack((padded[y, x + 1], padded[y + 1, x], padded[y + 1, x + 2], padded[y + 2, x + 1]))
        votes = np.where(around == _OPEN, 0, np.sum(around[:, None] == around, axis=1))
        ids[y, x] = np.take_along_axis(around, votes.argmax(axis=0)[None], axis=0)[0]
    return ids
