"""The vertices and sides of a coverage, each once.

Faces of a coverage hold copies of the vertices that they share. Whoever moves a vertex or leaves one out must do it
in all of them alike, and so must know which are the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.polygons import Coverage


@dataclass(frozen=True, slots=True)
class Network:
    """The vertices and sides of a coverage.

    Attributes:
        points: Shape (n, 2), float64: the vertices.
        sides: Shape (m, 2): two places in ``points`` each.
        vertex: Shape (k,): for each coordinate of the coverage, in shapely's order, its place in ``points``.
        ring: Shape (k,): for each coordinate, the number of its ring.
        ring_face: Shape (number of rings,): for each ring, its place in ``faces``; a face's exterior comes first.
        on_border: Shape (n,), bool: whether a vertex is on the border of the picture.
    """

    points: NDArray[np.float64]
    sides: NDArray[np.intp]
    vertex: NDArray[np.intp]
    ring: NDArray[np.intp]
    ring_face: NDArray[np.intp]
    on_border: NDArray[np.bool_]

    @classmethod
    def of(cls, coverage: Coverage) -> Network:
        """Find what the faces share."""
        rings, ring_face = shapely.get_rings(coverage.faces, return_index=True)
        coordinates, ring = shapely.get_coordinates(rings, return_index=True)
        # As complex numbers, because sorting those is many times faster than sorting rows.
        as_numbers, vertex = np.unique(coordinates @ [1, 1j], return_inverse=True)
        points = np.stack((as_numbers.real, as_numbers.imag), axis=1)
        within_ring = np.diff(ring) == 0
        ends = np.sort(np.stack((vertex[:-1], vertex[1:]), axis=1)[within_ring], axis=1)
        sides = np.stack(np.divmod(np.unique(ends @ [len(points), 1]), len(points)), axis=1)
        on_border = np.any((points == points.min(axis=0)) | (points == points.max(axis=0)), axis=1)
        return cls(points, sides, vertex, ring, ring_face, on_border)

    def steps(self) -> NDArray[np.float64]:
        """Shape (m, 2): the way from the first end of each side to the second."""
        return self.points[self.sides[:, 1]] - self.points[self.sides[:, 0]]

    def degree(self) -> NDArray[np.intp]:
        """Shape (n,): how many sides meet at each vertex."""
        return np.bincount(self.sides.ravel(), minlength=len(self.points))
