"""How far an area may be off: three terms that have nothing to do with each other, added in quadrature.

All are standard uncertainties (one sigma): about two in three true areas lie within them, and 95 % within twice as
much. What they do not know of is a segment that is wrong as a whole, such as a cupboard counted to a room.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.scale import PIXEL_UNCERTAINTY
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.scale import Scale


@dataclass(frozen=True, slots=True)
class Uncertainty:
    """The terms of the standard uncertainty of an area, in square metres.

    Attributes:
        vertex: Of vertices that are off on their own, each in any direction.
        boundary: Of a border that is off as a whole, outwards or inwards.
        scale: Of the scale.
    """

    vertex: float
    boundary: float
    scale: float

    @property
    def total(self) -> float:
        """All three together, in square metres."""
        return math.hypot(self.vertex, self.boundary, self.scale)


def area_uncertainty(
    polygon: shapely.Polygon | shapely.MultiPolygon,
    scale: Scale,
    cell: float = 1.0,
    *,
    vertex_error: float | None = None,
    boundary_shift: float | None = None,
) -> Uncertainty:
    """Work out how far the area of a polygon may be off.

    Args:
        polygon: In pixels.
        scale: With its own uncertainty.
        cell: Side in pixels of the cells on which the borders were found. What is somewhere within a cell has a
            standard error of its side over the root of 12: that of a uniform distribution.
        vertex_error: Standard error of each coordinate of a vertex, in pixels. None takes that of a cell.
        boundary_shift: Standard error of the border as a whole, in pixels. None takes half of that of a cell: so
            much is the mean shift of four sides that are off each on its own. Where a comparison with known
            areas says how a model draws borders, pass that.

    Raises:
        UsageError: A number is negative.
    """
    if not cell > 0:
        raise UsageError(f"A cell of {cell} pixels is not possible.")
    vertex_error = cell * PIXEL_UNCERTAINTY if vertex_error is None else vertex_error
    boundary_shift = cell * PIXEL_UNCERTAINTY / 2 if boundary_shift is None else boundary_shift
    if not (vertex_error >= 0 and boundary_shift >= 0):
        raise UsageError("An error of vertices or borders cannot be negative.")
    return Uncertainty(
        vertex=scale.square_metres(vertex_error / 2 * _lever(polygon)),
        boundary=scale.square_metres(boundary_shift * polygon.length),
        scale=scale.square_metres(polygon.area) * 2 * scale.relative_uncertainty,
    )


def _lever(polygon: shapely.Polygon | shapely.MultiPolygon) -> float:
    """Root of the sum of the squared distances between the neighbours of each vertex.

    By the shoelace formula, a vertex that moves changes the area by half that distance times its way across.
    """
    total = 0.0
    for ring in shapely.get_rings(shapely.get_parts(polygon)):
        points = shapely.get_coordinates(ring)[:-1]
        total += float(np.sum((np.roll(points, -1, axis=0) - np.roll(points, 1, axis=0)) ** 2))
    return math.sqrt(total)
