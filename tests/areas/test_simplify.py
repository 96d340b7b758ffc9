import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from kkg_area_detection.areas.polygons import Cells, trace
from kkg_area_detection.areas.simplify import simplify
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.segmentations import assert_covers, drawn, segmentations, traced

CELL = 10


@given(segmentations(), st.sampled_from([0.1, 0.75, 1, 2, 5]))
def test_no_gaps_no_overlaps_and_nothing_vanishes(result: SegmentationResult, tolerance: float) -> None:
    cells = Cells.of(result)
    before = trace(cells)
    after = simplify(before, tolerance * cells.side, cells.longest_side)
    assert_covers(after, result)
    assert after.ids.tolist() == before.ids.tolist()
    for id_ in set(after.ids):
        assert shapely.is_valid(shapely.multipolygons(after.faces[after.ids == id_]))


@given(segmentations())
def test_neighbours_stay_neighbours(result: SegmentationResult) -> None:
    cells = Cells.of(result)
    before = trace(cells)
    after = simplify(before, 2 * cells.side, cells.longest_side)

    def neighbours(faces: np.ndarray) -> set[tuple[int, int]]:  # type: ignore[type-arg]
        one, other = shapely.STRtree(faces).query(faces, predicate="intersects")
        shared = shapely.length(shapely.intersection(faces[one], faces[other])) > 0
        return set(zip(one[shared].tolist(), other[shared].tolist(), strict=True))

    assert neighbours(after.faces) == neighbours(before.faces)


def simplified(ids: np.ndarray, tolerance: float = 1) -> dict[int, shapely.Geometry]:  # type: ignore[type-arg]
    coverage = simplify(traced(ids, CELL), tolerance * CELL, CELL)
    return {
        int(id_): shapely.union_all(coverage.faces[coverage.ids == id_])
        for id_ in set(coverage.ids)
        if id_ >= 0
    }


def below_a_line(slope: float, size: int = 40) -> np.ndarray:  # type: ignore[type-arg]
    """Cells whose middle lies below a line through the middle of the picture."""
    middles = np.arange(size) + 0.5 - size / 2
    return np.where(middles[:, None] > slope * middles[None, :], 0, -1)


@pytest.mark.parametrize("slope", [1, 1 / 2, 1 / 3, 0.3, 1 / 7, -0.4, 3, 2.5])
def test_a_slanted_border_has_no_stairs(slope: float) -> None:
    """Its vertices are on the line, but for the last step or two at its ends."""
    (face,) = shapely.get_parts(simplified(below_a_line(slope))[0])
    points = shapely.get_coordinates(face) / CELL - 20
    inside = points[np.all(np.abs(points) < 16, axis=1)]
    off = (inside[:, 1] - slope * inside[:, 0]) / np.hypot(1, slope)
    assert np.all(np.abs(off) <= 0.36)
    assert len(inside) < 8
    assert face.area == pytest.approx(np.count_nonzero(below_a_line(slope) == 0) * CELL**2, rel=0.01)


@pytest.mark.parametrize(
    "ids",
    [
        drawn("....", ".00.", ".00.", "...."),
        drawn("......", ".0000.", ".0000.", ".00...", ".00...", "......"),
        # walls of one cell
        drawn(".......", ".00000.", ".01110.", ".01110.", ".00000.", "......."),
        drawn("0001000", "0001000", "0001000"),
    ],
)
def test_right_angles_stay_as_they_are(ids: np.ndarray) -> None:  # type: ignore[type-arg]
    before = traced(ids, CELL)
    after = simplify(before, CELL, CELL)
    for face, simple in zip(before.faces, after.faces, strict=True):
        assert simple.equals(face)


def test_a_notch_at_the_end_of_a_wall_does_not_slant_all_of_it() -> None:
    ids = np.full((8, 34), -1)
    ids[2:6, 2:32] = 0
    ids[2, 30:32] = -1
    assert simplified(ids)[0].contains(box(20, 20, 300, 60))


def test_the_border_of_the_picture_stays() -> None:
    ids = drawn("01", "11")
    after = simplified(ids, tolerance=50)
    assert shapely.union_all(list(after.values())).equals(box(0, 0, 20, 20))
