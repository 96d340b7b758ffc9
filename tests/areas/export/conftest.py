"""A sheet with everything that is hard to write: a hole, two parts, walls, labels in two languages."""

import pytest
import shapely
from shapely.geometry import LineString, MultiPolygon, Polygon, box

from kkg_area_detection.areas.area import Area, Areas, Wall
from kkg_area_detection.areas.scale import Scale

SCALE = Scale(8.5)  # 1/100 at about 300 dpi


def area(number: int, label: str, polygon: shapely.Geometry, label_id: int = 0) -> Area:
    polygon = shapely.orient_polygons(polygon)
    return Area(number, label_id, label, 0.9, polygon, round(polygon.area))


@pytest.fixture
def sheet() -> Areas:
    with_hole = Polygon(box(10, 10, 60, 50).exterior, [box(20, 20, 30, 30).exterior])
    in_two_parts = MultiPolygon([box(60, 10, 90, 50), box(0, 80, 10, 90)])
    return Areas(
        areas=(
            area(0, "room", with_hole),
            area(1, "部屋", in_two_parts, 1),
            area(3, "階段 室", Polygon([(10, 50), (60, 50), (60, 70), (10, 75.5)]), 7),
        ),
        image_size=(100, 120),
        scale=SCALE,
        walls=(Wall(LineString([(10, 5), (90, 5)]), 4.0, "exwall"),),
    )


TEXTS = {0: "LDK\n12.3 m²", 1: "洋室 𠮷", 3: ""}
EMPTY = Areas((), (30, 20), SCALE)
