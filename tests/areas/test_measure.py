from decimal import Decimal

import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from kkg_area_detection.areas.area import Area, Areas, Wall
from kkg_area_detection.areas.detect import areas_from_result
from kkg_area_detection.areas.measure import Measures, measure_areas
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.uncertainty import Uncertainty
from kkg_area_detection.errors import UsageError
from tests.areas.plan_4ldk import ROOMS, SCALE, plan_4ldk

CENTIMETRE = Scale(10.0)  # a pixel is a centimetre
_CORNERS = np.array([(0, 0), (364, 0), (364, 273), (0, 273), (0, 0)]) + 100
WALLS = tuple(Wall(LineString(_CORNERS[n : n + 2]), 12.0, "exwall") for n in range(4))
ROOM = box(106, 106, 458, 367)  # between walls of 12 cm


def sheet(*shapes: shapely.Geometry, walls: tuple[Wall, ...] = (), scale: Scale | None = CENTIMETRE) -> Areas:
    areas = tuple(Area(id_, 0, "room", 0.9, shape, 1) for id_, shape in enumerate(shapes))
    return Areas(areas, (2000, 2000), scale=scale, walls=walls, cell=4.0)


@pytest.mark.parametrize(
    ("shape", "inner", "perimeter"),
    [
        (ROOM, 9.1872, 12.26),
        (Polygon(box(0, 0, 500, 400).exterior, [box(100, 100, 200, 200).exterior]), 19.0, 22.0),  # a hole
        (MultiPolygon([box(0, 0, 100, 100), box(200, 0, 300, 200)]), 3.0, 10.0),  # two parts
    ],
)
def test_inner_areas(shape: shapely.Geometry, inner: float, perimeter: float) -> None:
    (one,) = measure_areas(sheet(shape))
    assert (one.inner, one.perimeter) == pytest.approx((inner, perimeter))
    assert (one.wall_centre, one.wall_centre_polygon, one.basis) == (None, None, "inner")
    assert one.floor_area == one.inner


def test_to_the_centre_lines() -> None:
    """3.64 x 2.73 m are 9.9372 m2: 6.1 mats of 1.62 m2, where 9.1872 m2 between the walls would be 5.6."""
    inside, outside = measure_areas(sheet(ROOM, box(1000, 1000, 1100, 1100), walls=WALLS))
    assert inside.wall_centre == inside.floor_area == pytest.approx(9.9372)
    assert inside.inner == pytest.approx(9.1872)
    assert (inside.basis, outside.basis) == ("wall_centre", "inner")
    assert inside.wall_centre_polygon is not None
    assert inside.wall_centre_polygon.area == pytest.approx(364 * 273)


@pytest.mark.parametrize(
    ("inner", "wall_centre", "mat", "jo", "tsubo"),
    [
        (9.0, 9.72, "規約", "6", "2.9403"),  # of the area to the centre lines
        (9.72, None, "規約", "6", "2.9403"),  # else of what is known
        (9.0, 18.2405, "kyoma", "10", "5.51775125"),
        (9.0, 8.1, Decimal("1.62"), "5", "2.45025"),
    ],
)
def test_jo_and_tsubo(inner: float, wall_centre: float | None, mat: str, jo: str, tsubo: str) -> None:
    one = Measures(0, "room", inner, Uncertainty(0, 0, 0), 12.0, wall_centre)
    assert (one.jo(mat), one.tsubo) == (Decimal(jo), Decimal(tsubo))


def test_uncertainty_of_the_cells() -> None:
    """Of 4 pixels; half as large where vertices and borders are known twice as well."""
    cells = measure_areas(sheet(ROOM))[0].uncertainty
    sigma = 4 / 12**0.5
    better = measure_areas(sheet(ROOM), vertex_error=sigma / 2, boundary_shift=sigma / 4)[0].uncertainty
    assert cells.boundary == pytest.approx(12.26 * sigma / 200)
    assert better.total == pytest.approx(cells.total / 2)


@pytest.mark.parametrize("angle", [0, 20])
def test_a_plan_with_known_areas(angle: float) -> None:
    """Rooms of a drawn plan, within three standard uncertainties between the walls and 1 % to their centres."""
    plan = plan_4ldk(angle=angle)
    areas = areas_from_result(plan.result, scale=SCALE)
    rooms = {one.id: one for one in measure_areas(areas) if one.label == "room"}
    assert len(rooms) == len(ROOMS)
    for true, (left, top, right, bottom) in zip(plan.rooms, ROOMS, strict=True):
        (one,) = (
            rooms[area.id] for area in areas if area.id in rooms and area.polygon.contains(true.centroid)
        )
        assert abs(one.inner - SCALE.square_metres(true.area)) < 3 * one.uncertainty.total
        assert one.wall_centre == pytest.approx((right - left) * (bottom - top) / 1e6, rel=0.01)


def test_what_cannot_be_measured() -> None:
    with pytest.raises(UsageError, match="scale of the drawing is unknown"):
        measure_areas(sheet(ROOM, scale=None))
    with pytest.raises(UsageError, match="negative"):
        measure_areas(sheet(ROOM), vertex_error=-1)
