import numpy as np
import pytest
import shapely
from shapely.geometry import MultiPolygon, Polygon, box

from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.uncertainty import Uncertainty, area_uncertainty
from kkg_area_detection.errors import UsageError

METRE = Scale(1000.0)  # a pixel is a metre
L_SHAPE = Polygon([(0, 0), (6, 0), (6, 3), (3, 3), (3, 5), (0, 5)])
WITH_HOLE = Polygon(box(0, 0, 10, 8).exterior, [box(2, 2, 5, 4).exterior])
SHAPES = [
    box(0, 0, 4, 3),
    L_SHAPE,
    WITH_HOLE,
    Polygon([(0, 0), (5, 1), (3, 6)]),
    MultiPolygon([box(0, 0, 2, 2), box(5, 0, 8, 4)]),
]


@pytest.mark.parametrize("shape", SHAPES)
def test_vertices_that_are_off_on_their_own(shape: shapely.Geometry) -> None:
    """Against areas of shapes whose vertices were moved at random."""
    error = 0.02
    random = np.random.default_rng(1)
    parts = list(getattr(shape, "geoms", [shape]))
    rings = [np.array(ring.coords)[:-1] for part in parts for ring in (part.exterior, *part.interiors)]
    areas = np.zeros(20_000)
    for ring in rings:
        moved = ring + random.normal(scale=error, size=(len(areas), *ring.shape))
        x, y = moved[..., 0], moved[..., 1]
        areas += (x * (np.roll(y, -1, axis=1) - np.roll(y, 1, axis=1))).sum(axis=1) / 2
    vertex = area_uncertainty(shape, METRE, vertex_error=error, boundary_shift=0).vertex
    assert vertex == pytest.approx(areas.std(), rel=0.03)


@pytest.mark.parametrize("shape", [box(0, 0, 4, 3), L_SHAPE, WITH_HOLE])
def test_a_border_that_is_off_as_a_whole(shape: Polygon) -> None:
    shift = 0.001
    grown = shape.buffer(shift, join_style="mitre").area - shape.area
    boundary = area_uncertainty(shape, METRE, vertex_error=0, boundary_shift=shift).boundary
    assert boundary == pytest.approx(grown, rel=1e-3)


def test_a_scale_that_is_off() -> None:
    shape = box(0, 0, 400, 300)
    error = 0.004
    term = area_uncertainty(shape, Scale(10.0, error), vertex_error=0, boundary_shift=0).scale
    assert term == pytest.approx(
        Scale(10.0 * (1 + error)).square_metres(shape.area) - Scale(10.0).square_metres(shape.area), rel=0.01
    )


def test_a_room_on_cells() -> None:
    """6.0 x 4.0 m in cells of 10 cm: sigma is 100 mm / sqrt(12), and half of it for the border as a whole."""
    uncertainty = area_uncertainty(box(0, 0, 600, 400), Scale(10.0, 0.001), cell=10)
    sigma = 0.1 / 12**0.5
    assert uncertainty.vertex == pytest.approx(sigma / 2 * (4 * (6**2 + 4**2)) ** 0.5)
    assert uncertainty.boundary == pytest.approx(20 * sigma / 2)
    assert uncertainty.scale == pytest.approx(24 * 0.002)
    assert uncertainty.total == pytest.approx(0.3591, abs=0.0001)


def test_terms_are_added_in_quadrature() -> None:
    assert Uncertainty(vertex=2.0, boundary=3.0, scale=6.0).total == 7.0


@pytest.mark.parametrize("wrong", [{"cell": 0}, {"vertex_error": -1}, {"boundary_shift": float("nan")}])
def test_errors_that_cannot_be(wrong: dict[str, float]) -> None:
    with pytest.raises(UsageError):
        area_uncertainty(box(0, 0, 1, 1), METRE, **wrong)
