"""The numbers of areas, in square metres, 帖 and 坪."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from kkg_area_detection.areas.uncertainty import Uncertainty, area_uncertainty
from kkg_area_detection.areas.units import ADVERTISING, Number, to_jo, to_tsubo
from kkg_area_detection.areas.wall_centre import Basis, wall_centre_polygons
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    import shapely

    from kkg_area_detection.areas.area import Areas


@dataclass(frozen=True, slots=True)
class Measures:
    """The numbers of one area.

    Attributes:
        id: Of the area.
        label: Of the area.
        inner: 内法: square metres of the area itself, between the faces of the walls.
        uncertainty: Of ``inner``, in square metres.
        perimeter: Length of its border in metres, holes included.
        wall_centre: 壁芯: square metres up to the centre lines of the walls; None where they are not known.
        wall_centre_polygon: The same as a polygon in pixels of the image.
    """

    id: int
    label: str
    inner: float
    uncertainty: Uncertainty
    perimeter: float
    wall_centre: float | None = None
    wall_centre_polygon: shapely.Polygon | shapely.MultiPolygon | None = None

    @property
    def floor_area(self) -> float:
        """Square metres: 壁芯, as rules on floor areas ask, where that is known; else 内法."""
        return self.inner if self.wall_centre is None else self.wall_centre

    @property
    def basis(self) -> Basis:
        """Which of the two ``floor_area``, 帖 and 坪 are of."""
        return "inner" if self.wall_centre is None else "wall_centre"

    def jo(self, mat: str | Number = ADVERTISING) -> Decimal:
        """How many mats (帖) the floor area has, unrounded.

        Args:
            mat: Kind of mat, or its square metres; see ``mat_size``. By default the 1.62 m2 of advertising.

        Raises:
            UsageError: There is no such mat.
        """
        return to_jo(self.floor_area, mat)

    @property
    def tsubo(self) -> Decimal:
        """How many 坪 the floor area has, unrounded."""
        return to_tsubo(self.floor_area)


def measure_areas(
    areas: Areas, *, vertex_error: float | None = None, boundary_shift: float | None = None
) -> tuple[Measures, ...]:
    """Measure the areas of a sheet.

    Args:
        areas: With a scale. Where they come with walls, rooms are also measured up to their centre lines.
        vertex_error: See ``area_uncertainty``.
        boundary_shift: See ``area_uncertainty``.

    Returns:
        In the order of the areas.

    Raises:
        UsageError: The scale is unknown, or an error is negative.
    """
    if areas.scale is None:
        raise UsageError(
            "Areas cannot be measured, because the scale of the drawing is unknown.",
            next_step='pass scale="1/100" and the resolution of the scan, or a known length: '
            'scale="100,80,530,80=3640mm".',
        )
    scale, cell = areas.scale, areas.cell
    grown = wall_centre_polygons(areas, areas.walls)
    measures = []
    for area in areas:
        uncertainty = area_uncertainty(
            area.polygon, scale, cell, vertex_error=vertex_error, boundary_shift=boundary_shift
        )
        wall_centre = grown.get(area.id)
        one = Measures(
            id=area.id,
            label=area.label,
            inner=scale.square_metres(area.polygon.area),
            uncertainty=uncertainty,
            perimeter=scale.metres(area.polygon.length),
            wall_centre=None if wall_centre is None else scale.square_metres(wall_centre.area),
            wall_centre_polygon=wall_centre,
        )
        measures.append(one)
    return tuple(measures)
