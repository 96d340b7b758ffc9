from decimal import Decimal

import pytest
import shapely
from shapely.affinity import rotate, translate
from shapely.geometry import MultiPolygon, Polygon, box

from kkg_area_detection.areas.printed_shape import PrintedShape
from kkg_area_detection.areas.scale import Scale

CENTIMETRE = Scale(10.0)  # a pixel is a centimetre
TRAPEZIUM = Polygon([(0, 0), (400, 0), (400, 200), (0, 300)])


def printed(shape: shapely.Geometry, digits: int = 3) -> PrintedShape:
    return PrintedShape.of(shape, CENTIMETRE, digits)


@pytest.mark.parametrize("angle", [0, 0.4, -0.4, 30, 44, -44])
def test_shapes_are_turned_upright(angle: float) -> None:
    """By two sides at right angles, although the slanted one is the longest."""
    (ring,) = printed(translate(rotate(TRAPEZIUM, angle), 700, 800)).rings
    assert set(ring) == {(0, 0), (4000, 1000), (4000, 3000), (0, 3000)}


@pytest.mark.parametrize(
    ("shape", "rings"),
    [
        (box(5, 5, 105, 55), [4]),
        # a vertex on a straight side, one that is there twice once rounded, and a step too small to be printed
        (Polygon([(0, 0), (50, 0), (100, 0), (100, 50), (99.99, 50), (0, 50.01)]), [4]),
        (Polygon([(50, 0), (100, 0), (100, 50), (0, 50), (0, 0)]), [4]),  # begins on a straight side
        (Polygon(box(0, 0, 100, 100).exterior, [box(20, 20, 30, 30).exterior]), [4, 4]),
        # parts and holes that are too small to be printed
        (MultiPolygon([box(0, 0, 100, 100), box(200, 0, 200.01, 10)]), [4]),
        (Polygon(box(0, 0, 100, 100).exterior, [box(20, 20, 20.01, 30).exterior]), [4]),
    ],
)
def test_rings(shape: shapely.Geometry, rings: list[int]) -> None:
    assert [len(ring) for ring in printed(shape).rings] == rings


@pytest.mark.parametrize("shape", [box(0, 0, 0.02, 0.02), MultiPolygon([box(0, 0, 0.01, 0.01)])])
def test_nothing_left(shape: shapely.Geometry) -> None:
    assert printed(shape) == PrintedShape((), 3)
    assert printed(shape).rectangles() == []


@pytest.mark.parametrize(
    ("shape", "rectangles"),
    [
        (box(0, 0, 364, 182), ["3.640 1.820"]),
        (
            Polygon([(0, 0), (300, 0), (300, 100), (100, 100), (100, 250), (0, 250)]),
            ["1.000 1.500", "3.000 1.000"],
        ),
        # two rectangles side by side whose tops differ, and a bay on the second
        (
            Polygon([(0, 0), (300, 0), (300, 200), (200, 200), (200, 150), (100, 150), (100, 200), (0, 200)]),
            ["1.000 0.500", "1.000 0.500", "3.000 1.500"],
        ),
        # a hole that is flush with the border once rounded
        (
            Polygon(box(0, 0, 300, 200).exterior, [box(0.01, 50, 100, 150).exterior]),
            ["3.000 0.500", "2.000 1.000", "3.000 0.500"],
        ),
        # parts that touch
        (MultiPolygon([box(0, 0, 100, 200), box(100.01, 0, 300, 200)]), ["1.000 2.000", "2.000 2.000"]),
    ],
)
def test_rectangles(shape: shapely.Geometry, rectangles: list[str]) -> None:
    found = printed(shape).rectangles()
    assert found is not None
    assert sorted(f"{width} {height}" for width, height in found) == sorted(rectangles)


def test_slanted_shapes_have_no_rectangles() -> None:
    assert printed(TRAPEZIUM).rectangles() is None


@pytest.mark.parametrize(("digits", "metres"), [(3, "1.235"), (2, "12.35"), (0, "1235")])
def test_metres(digits: int, metres: str) -> None:
    assert PrintedShape((), digits).metres(1235) == Decimal(metres)
