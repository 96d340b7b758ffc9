"""From the pixels of the image to the coordinates of a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Areas


@dataclass(frozen=True, slots=True)
class Frame:
    """A coordinate system of files: origin at the lower left corner of the image, x right, y up.

    Attributes:
        height: Of the image, in pixels.
        units_per_pixel: Length of a pixel in the file's unit.
    """

    height: int
    units_per_pixel: float

    @classmethod
    def in_millimetres(cls, areas: Areas) -> Frame | None:
        """Millimetres of the building; None where the scale is unknown."""
        return None if areas.scale is None else cls(areas.image_size[1], areas.scale.mm_per_pixel)

    @classmethod
    def in_metres(cls, areas: Areas) -> Frame | None:
        """Metres of the building; None where the scale is unknown."""
        return None if areas.scale is None else cls(areas.image_size[1], areas.scale.mm_per_pixel / 1000)

    @classmethod
    def in_pixels(cls, areas: Areas) -> Frame:
        """Pixels, but with y up."""
        return cls(areas.image_size[1], 1.0)

    def place(self, geometry: shapely.Geometry) -> shapely.Geometry:
        """Bring a geometry from image pixels (y down) into this system."""

        def convert(points: NDArray[np.float64]) -> NDArray[np.float64]:
            return np.column_stack((points[:, 0], self.height - points[:, 1])) * self.units_per_pixel

        return shapely.transform(geometry, convert)


def polygons_of(geometry: shapely.Geometry) -> list[shapely.Polygon]:
    """The parts of a polygon or multi-polygon, in order; empty ones are left out."""
    return [part for part in shapely.get_parts(geometry) if not part.is_empty]


def label_place(geometry: shapely.Geometry) -> tuple[shapely.Point, float]:
    """Where a label fits best: the centre of the largest circle inside, and its radius.

    It is found to a hundredth of the extent (pole of inaccessibility, Garcia-Castellanos and Lombardo 2007).
    """
    largest = max(polygons_of(geometry), key=lambda part: float(part.area))
    left, bottom, right, top = largest.bounds
    radius = shapely.maximum_inscribed_circle(largest, tolerance=max(right - left, top - bottom) / 100)
    return shapely.Point(radius.coords[0]), float(radius.length)
