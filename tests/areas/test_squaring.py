import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.affinity import rotate
from shapely.geometry import Polygon, box

from kkg_area_detection.areas import squaring
from kkg_area_detection.areas.polygons import Cells, Coverage, trace
from kkg_area_detection.areas.simplify import simplify
from kkg_area_detection.areas.specks import fill_specks
from kkg_area_detection.areas.squaring import square
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.segmentations import (
    CELL,
    SIZE,
    assert_covers,
    drawn,
    house,
    raster,
    segmentation,
    segmentations,
    simplified,
    traced,
)


def face(coverage: Coverage, id_: int) -> Polygon:
    """The only face of an id, in cells."""
    (only,) = coverage.faces[coverage.ids == id_]
    return shapely.transform(only, lambda points: points / CELL)


@given(segmentations(), st.sampled_from([0.1, 1, 2]))
def test_no_gaps_no_overlaps_and_nothing_vanishes(result: SegmentationResult, tolerance: float) -> None:
    cells = Cells.of(result)
    before = simplify(trace(cells), tolerance * cells.side, cells.longest_side)
    after = square(before, cells.side)
    assert_covers(after, result)
    assert after.ids.tolist() == before.ids.tolist()
    assert np.all(shapely.area(after.faces) >= 0.45 * shapely.area(before.faces))


@pytest.mark.parametrize("angle", [0, 3, 10, 30, 45, 75])
def test_rooms_become_rectangles_in_place(angle: float) -> None:
    shapes = house(angle)
    squared = square(simplified(raster(*shapes)), CELL)
    for id_ in (1, 2):
        room = face(squared, id_)
        points = shapely.get_coordinates(room)
        assert len(points) == 5
        sides = np.diff(points, axis=0)
        assert np.abs(np.sum(sides[1:] * sides[:-1], axis=1)) == pytest.approx(0, abs=1e-3)
        assert room.symmetric_difference(shapes[id_]).area < 0.05 * room.area
    assert len(face(squared, 0).exterior.coords) == 5


def test_ragged_borders_become_straight() -> None:
    """A tenth of the cells along the borders show what is beside them."""
    upright, length, vertices, off = (np.zeros(2) for _ in range(4))
    for seed in range(8):
        random = np.random.default_rng(seed)
        ids = raster(*house(0))
        for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
            ids = np.where(random.random(ids.shape) < 0.1, np.roll(ids, shift, axis), ids)
        cells = Cells.of(segmentation(ids, cell=CELL))
        cells, _ = fill_specks(cells, trace(cells), 1.5 * CELL**2)
        ragged = simplify(trace(cells), CELL, CELL)
        for number, coverage in enumerate((ragged, square(ragged, CELL))):
            for id_ in (1, 2):
                room = max(coverage.faces[coverage.ids == id_], key=shapely.area)
                sides = np.diff(shapely.get_coordinates(room), axis=0)
                upright[number] += np.abs(sides)[np.any(np.abs(sides) < 1e-6, axis=1)].sum()
                length[number] += room.length
                vertices[number] += len(sides)
                true = shapely.transform(house(0)[id_], lambda points: points * CELL)
                off[number] += room.symmetric_difference(true).area
    assert upright[0] / length[0] < 0.75
    assert upright[1] / length[1] > 0.85
    assert vertices[1] < 0.8 * vertices[0]
    assert off[1] < off[0]


def test_a_wall_in_no_main_direction_stays() -> None:
    """The corner that is cut off at 30 degrees keeps its slope."""
    cut = Polygon([(10, 10), (50, 10), (50, 50), (44, 50), (10, 30)])
    squared = face(square(simplified(raster(cut)), CELL), 0)
    assert squared.symmetric_difference(cut).area < 20
    assert squared.area == pytest.approx(cut.area, rel=0.01)


def test_a_wall_that_leaves_its_line_by_cells_stays() -> None:
    slanted = Polygon([(10, 10), (50, 10), (50, 50), (10, 46)])
    squared = face(square(simplified(raster(slanted)), CELL), 0)
    assert squared.symmetric_difference(slanted).area < 15
    assert squared.area == pytest.approx(slanted.area, rel=0.01)


@pytest.mark.parametrize(
    ("ids", "tolerance"),
    [
        # sides that would cross
        (drawn(".2.", ".21", "202", ".02"), 1),
        # a face that would shrink to a sliver
        (drawn("..1", "110", "101", "121", "211"), 1),
    ],
)
def test_what_would_spoil_a_face_is_left_out(ids: np.ndarray, tolerance: float) -> None:  # type: ignore[type-arg]
    before = simplify(traced(ids, CELL), tolerance * CELL, CELL)
    after = square(before, CELL)
    assert_covers(after, segmentation(ids, cell=CELL))
    assert np.all(shapely.area(after.faces) >= 0.45 * shapely.area(before.faces))


def test_what_cannot_be_squared_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(squaring, "_ATTEMPTS", 0)
    before = simplified(raster(*house(10)))
    assert shapely.equals(square(before, CELL).faces, before.faces).all()


def test_a_wall_of_one_cell_is_not_crushed() -> None:
    walls = [box(10, 20, 50, 21), box(30, 21, 31, 50)]
    squared = square(simplified(np.maximum(raster(walls[0]), raster(walls[1]))), CELL)
    assert face(squared, 0).equals(shapely.union_all(walls))


def test_vertices_on_the_border_of_the_picture_stay() -> None:
    ids = raster(rotate(box(-20, 20, 80, 40), 5, origin=(30, 30)))
    before = simplified(ids)
    after = square(before, CELL)

    def on_border(coverage: Coverage) -> set[tuple[float, float]]:
        points = shapely.get_coordinates(coverage.faces)
        return set(map(tuple, points[np.any((points == 0) | (points == SIZE * CELL), axis=1)]))

    assert on_border(after) == on_border(before)
