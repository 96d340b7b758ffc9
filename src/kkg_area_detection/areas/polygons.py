"""From a grid of segment ids to exact polygons that cover the picture without gaps or overlaps.

Nothing is traced at full size, and no segment is traced alone. The borders between unlike cells of the small
grid form one network of lines, whose faces are the polygons. So each border is there once, for both its sides. The
background is cut into faces as the segments are: that is what keeps everything together when it is simplified.

Cells are neighbours across their sides only. Two that touch at a corner belong to two faces, so that every face
is a valid polygon.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation

BACKGROUND = -1
_OUTSIDE = -2  # around the picture: its own border is a border too


@dataclass(frozen=True, slots=True)
class Cells:
    """The cells of a segmentation that have pixels, and where these are.

    Attributes:
        ids: Shape (h, w), int32: a segment's id, or -1 for background.
        x: Shape (w + 1,), float64: the pixel edges between which the columns of cells lie, from 0 to the width of
            the picture.
        y: Shape (h + 1,), float64: the same for rows, downwards.
    """

    ids: NDArray[np.int32]
    x: NDArray[np.float64]
    y: NDArray[np.float64]

    @classmethod
    def of(cls, result: Segmentation) -> Cells:
        """Leave out the cells without pixels; where the picture is smaller than the grid, there are some."""
        columns, x = np.unique(result.column_index, return_index=True)
        rows, y = np.unique(result.row_index, return_index=True)
        return cls(
            ids=result.id_grid[np.ix_(rows, columns)],
            x=np.append(x, len(result.column_index)).astype(np.float64),
            y=np.append(y, len(result.row_index)).astype(np.float64),
        )

    @property
    def side(self) -> float:
        """Side in pixels of a square as large as the average cell."""
        return float(np.sqrt(self.x[-1] * self.y[-1] / self.ids.size))

    @property
    def longest_side(self) -> float:
        """A length in pixels that no side of two cells falls short of, and hardly any side of one exceeds."""
        sides = np.concatenate((np.diff(self.x), np.diff(self.y)))
        return float(min(sides.max(), 2 * sides.min() - 0.5))


@dataclass(frozen=True, slots=True)
class Coverage:
    """A picture cut into faces, segments and background alike, that meet vertex to vertex.

    Attributes:
        faces: Shape (n,), ``shapely.Polygon`` with holes, in pixels, x right and y down. A segment in several
            parts has several faces.
        ids: Shape (n,), int32: the segment's id of each face, or -1 for background.
    """

    faces: NDArray[np.object_]
    ids: NDArray[np.int32]


def trace(cells: Cells) -> Coverage:
    """Cut the picture into faces along the sides of its cells.

    Args:
        cells: At least one.

    Returns:
        The faces. Their vertices are whole numbers, so their areas are the numbers of their pixels, exactly.
    """
    lines = np.asarray(shapely.linestrings(_borders(cells)))
    arcs = shapely.get_parts(shapely.line_merge(shapely.multilinestrings(lines)))  # a third less work
    faces = shapely.get_parts(shapely.polygonize(arcs))
    return Coverage(faces, _ids(faces, cells))


def _borders(cells: Cells) -> NDArray[np.float64]:
    """The borders between unlike cells, as straight lines from node to node.

    A node is where borders meet or turn. A border that runs straight along several cells is one line.

    Returns:
        Shape (n, 2, 2): start and end, x and y in pixels.
    """
    ids = np.pad(cells.ids, 1, constant_values=_OUTSIDE)
    upright = ids[1:-1, 1:] != ids[1:-1, :-1]  # (h, w + 1): the side left of a cell, or right of the last one
    level = ids[1:, 1:-1] != ids[:-1, 1:-1]  # (h + 1, w): the side above a cell, or below the last one
    # For each corner of the cells, shape (h + 1, w + 1): whether a border leaves it in that direction.
    up, down = np.pad(upright, ((1, 0), (0, 0))), np.pad(upright, ((0, 1), (0, 0)))
    left, right = np.pad(level, ((0, 0), (1, 0))), np.pad(level, ((0, 0), (0, 1)))
    node = (up | down) & (left | right)
    # In reading order, the n-th start belongs to the n-th end; upright lines are read column by column.
    y, start = np.nonzero(right & node)
    _, end = np.nonzero(left & node)
    level_lines = np.stack((cells.x[start], cells.y[y], cells.x[end], cells.y[y]), axis=1)
    x, start = np.nonzero((down & node).T)
    _, end = np.nonzero((up & node).T)
    upright_lines = np.stack((cells.x[x], cells.y[start], cells.x[x], cells.y[end]), axis=1)
    return np.concatenate((level_lines, upright_lines)).reshape(-1, 2, 2)


def _ids(faces: NDArray[np.object_], cells: Cells) -> NDArray[np.int32]:
    """The id of each face: that of the cell at the left end of its topmost side."""
    points, face = shapely.get_coordinates(shapely.get_exterior_ring(faces), return_index=True)
    # The first vertex of a face in reading order is the upper left corner of a cell inside it.
    order = np.lexsort((points[:, 0], points[:, 1], face))
    _, first = np.unique(face[order], return_index=True)
    x, y = points[order[first]].T
    ids: NDArray[np.int32] = cells.ids[np.searchsorted(cells.y, y), np.searchsorted(cells.x, x)]
    return ids
