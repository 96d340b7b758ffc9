import numpy as np
import pytest
import shapely
from hypothesis import given
from shapely.affinity import rotate
from shapely.geometry import LineString, Polygon, box

from kkg_area_detection.areas.area import Wall
from kkg_area_detection.areas.openings import bridge_openings
from kkg_area_detection.areas.polygons import Cells
from kkg_area_detection.areas.walls import find_walls
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.plan_4ldk import plan_4ldk
from tests.areas.segmentations import CELL, LABELS, raster, segmentation, segmentations

THICK = 4  # cells


def seen(*shapes: Polygon) -> tuple[Wall, ...]:
    """The walls found where shapes, in cells, are outer wall."""
    return find_walls(segmentation(raster(shapely.union_all(shapes)), cell=CELL, labels=[1]))


def bar(*ends: tuple[float, float], thickness: float = THICK) -> Polygon:
    return LineString(ends).buffer(thickness / 2, cap_style="square", join_style="mitre")


def lines(walls: tuple[Wall, ...]) -> shapely.Geometry:
    return shapely.union_all([shapely.transform(wall.line, lambda points: points / CELL) for wall in walls])


STRAIGHT = [[(12, 20), (48, 20)]]
ELL = [[(12, 14), (46, 14), (46, 46)]]
TEE = [[(12, 14), (48, 14)], [(30, 14), (30, 46)]]
CROSS = [[(12, 30), (48, 30)], [(30, 12), (30, 48)]]
RING = [[(12, 12), (48, 12), (48, 46), (12, 46), (12, 12)]]
TWO_ROOMS = [*RING, [(30, 12), (30, 46)]]


BENT = pytest.mark.xfail(
    strict=True, reason="Walls of a few thicknesses that lean by a cell bend at junctions."
)


@pytest.mark.parametrize(
    ("chains", "count", "angle"),
    [
        pytest.param(
            chains, count, angle, marks=BENT if angle == 3 and chains in (TEE, CROSS, TWO_ROOMS) else ()
        )
        for chains, count in ((STRAIGHT, 1), (ELL, 2), (TEE, 2), (CROSS, 2), (RING, 4), (TWO_ROOMS, 5))
        for angle in (0, 3, 30, 45)
    ],
)
def test_centre_lines_and_thickness(
    chains: list[list[tuple[float, float]]], count: int, angle: float
) -> None:
    drawn = [rotate(LineString(chain), angle, origin=(30, 30)) for chain in chains]
    walls = seen(*(bar(*line.coords) for line in drawn))
    assert len(walls) == count
    # A free end is seen half a wall further on: nobody knows where a wall that meets nothing is meant to end.
    assert shapely.hausdorff_distance(lines(walls), shapely.union_all(drawn), densify=0.05) < THICK / 2 + 1
    inner = [shapely.line_interpolate_point(line, (0.3, 0.5, 0.7), normalized=True) for line in drawn]
    assert shapely.distance(np.concatenate(inner), lines(walls)).max() < 0.5
    assert [wall.thickness / CELL for wall in walls] == pytest.approx([THICK] * count, abs=0.5)


def test_walls_that_meet_share_a_point() -> None:
    walls = seen(*(bar(*chain) for chain in TWO_ROOMS))
    assert shapely.get_num_geometries(shapely.polygonize([lines(walls)])) == 2


def test_a_thick_wall_beside_a_thin_one() -> None:
    walls = seen(bar((12, 12), (48, 12), thickness=6), bar((30, 12), (30, 46), thickness=2))
    assert sorted(wall.thickness / CELL for wall in walls) == pytest.approx([2, 6], abs=0.3)


def test_ragged_borders() -> None:
    random = np.random.default_rng(0)
    ids = raster(bar((12, 30), (48, 30)))
    for shift in (1, -1):
        ids = np.where(random.random(ids.shape) < 0.15, np.roll(ids, shift, 0), ids)
    (wall,) = find_walls(segmentation(ids, cell=CELL, labels=[1]))
    assert shapely.get_coordinates(wall.line)[:, 1] / CELL == pytest.approx(30, abs=0.5)
    assert wall.thickness / CELL == pytest.approx(THICK, abs=0.7)


def test_a_pillar_is_no_wall() -> None:
    assert seen(box(28, 28, 32, 32)) == ()


def test_labels() -> None:
    ids = raster(bar((12, 20), (48, 20)), bar((12, 40), (48, 40)))
    result = segmentation(ids, cell=CELL, labels=[1, 3])
    assert [wall.label for wall in find_walls(result)] == ["exwall"]
    assert [wall.label for wall in find_walls(result, labels=["door"])] == ["door"]
    assert find_walls(result, labels=[]) == ()


@pytest.mark.parametrize(
    ("grid", "label"),
    [
        (np.full((5, 5), -1), 1),  # nothing
        (np.zeros((5, 5)), 0),  # a room without walls
        (np.zeros((40, 40)), 1),  # everything is wall
        (np.zeros((1, 1)), 1),
        (np.eye(12) - 1, 1),
        (np.pad(np.zeros((1, 20)), 5, constant_values=-1), 1),  # one pixel thick
    ],
)
def test_degenerate_pictures(grid: np.ndarray, label: int) -> None:  # type: ignore[type-arg]
    assert_sound(segmentation(grid, labels=[label]))


@given(segmentations())
def test_any_picture(result: SegmentationResult) -> None:
    for number, info in enumerate(result["segments_info"]):
        info["label_id"] = (1, 2, 0, 3)[number % len(LABELS)]
    assert_sound(result)


def assert_sound(result: SegmentationResult) -> None:
    """Finite lines in the picture, to a cell's diagonal, of some length and thickness."""
    found = find_walls(result)
    height, width = len(result.row_index), len(result.column_index)
    cells = Cells.of(result)
    diagonal = np.hypot(np.diff(cells.x).max(), np.diff(cells.y).max())
    for wall in (*found, *bridge_openings(found, result)):
        points = shapely.get_coordinates(wall.line)
        assert np.isfinite(points).all()
        assert wall.line.length > 0
        assert 0 < wall.thickness < np.inf
        half = wall.thickness / 2 + diagonal
        assert (points >= -half).all()
        assert (points <= np.array([width, height]) + half).all()


@pytest.mark.parametrize("angle", [0, 10, 45])
def test_a_whole_flat(angle: float) -> None:
    plan = plan_4ldk(3, angle)
    walls = bridge_openings(find_walls(plan.result), plan.result)
    assert len(walls) == 8
    found = shapely.union_all([wall.line for wall in walls])
    assert shapely.hausdorff_distance(found, plan.centre_lines, densify=0.01) < 3  # a cell
    assert [wall.thickness for wall in walls] == pytest.approx([plan.thickness] * 8, abs=1.5)
