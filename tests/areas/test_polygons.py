import numpy as np
import pytest
import shapely
from hypothesis import given
from scipy import ndimage
from shapely.geometry import MultiPolygon, Polygon, box

from kkg_area_detection.areas.polygons import Cells, trace
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.segmentations import assert_covers, drawn, full_map, segmentation, segmentations, traced


@given(segmentations())
def test_faces_are_the_pieces_of_the_full_size_map_to_the_pixel(result: SegmentationResult) -> None:
    coverage = trace(Cells.of(result))
    assert_covers(coverage, result)
    ids = full_map(result)
    for id_ in range(-1, 4):
        pieces, number = ndimage.label(ids == id_)
        areas = shapely.area(coverage.faces[coverage.ids == id_])
        assert sorted(areas) == sorted(np.bincount(pieces.ravel())[1:])
        assert len(areas) == number


@given(segmentations())
def test_vertices_are_on_pixel_edges_where_borders_turn_or_meet(result: SegmentationResult) -> None:
    coverage = trace(Cells.of(result))
    points = shapely.get_coordinates(coverage.faces)
    assert np.array_equal(points, points.round())
    ids = np.pad(full_map(result), 1, constant_values=-2)
    for x, y in {*map(tuple, points.astype(int))}:
        (upper_left, upper_right), (lower_left, lower_right) = ids[y : y + 2, x : x + 2]
        straight = (upper_left == upper_right and lower_left == lower_right) or (
            upper_left == lower_left and upper_right == lower_right
        )
        assert not straight


@pytest.mark.parametrize(
    ("ids", "segments"),
    [
        # one cell
        (drawn("0"), {0: box(0, 0, 2, 2)}),
        (drawn("."), {}),
        # neighbours share a side; the vertex where three meet is in all of them
        (
            drawn("01", "22"),
            {
                0: box(0, 0, 2, 2),
                1: box(2, 0, 4, 2),
                2: Polygon([(0, 2), (2, 2), (4, 2), (4, 4), (0, 4)]),
            },
        ),
        # corners do not connect
        (drawn("0.", ".0"), {0: MultiPolygon([box(0, 0, 2, 2), box(2, 2, 4, 4)])}),
        # a hole, with an island in it
        (
            drawn("00000", "0...0", "0.1.0", "0...0", "00000"),
            {0: box(0, 0, 10, 10) - box(2, 2, 8, 8), 1: box(4, 4, 6, 6)},
        ),
        # two holes that touch at a corner
        (
            drawn("0000", "0.00", "00.0", "0000"),
            {0: box(0, 0, 8, 8) - box(2, 2, 4, 4) - box(4, 4, 6, 6)},
        ),
        # a hole that touches the outside at a corner
        (
            drawn("000.", "0.0.", "00..", "...."),
            {0: box(0, 0, 6, 6) - box(2, 2, 4, 4) - box(4, 4, 6, 6)},
        ),
    ],
)
def test_small_pictures(ids: np.ndarray, segments: dict[int, shapely.Geometry]) -> None:  # type: ignore[type-arg]
    coverage = traced(ids, cell=2)
    found = {int(id_): shapely.union_all(coverage.faces[coverage.ids == id_]) for id_ in set(coverage.ids)}
    found.pop(-1, None)
    assert found.keys() == segments.keys()
    for id_, expected in segments.items():
        assert found[id_].equals(expected)


def test_a_vertex_where_three_meet_is_in_all_of_them() -> None:
    faces = traced(drawn("01", "22")).faces
    assert [(1.0, 1.0) in face.exterior.coords for face in faces] == [True] * 3


def test_cells_without_pixels_are_not_there() -> None:
    result = segmentation(drawn("012", "345", "678"))
    result.row_index, result.column_index = np.array([0, 2]), np.array([1, 1, 1, 2])
    cells = Cells.of(result)
    assert cells.ids.tolist() == [[1, 2], [7, 8]]
    assert cells.x.tolist() == [0, 3, 4]
    assert cells.y.tolist() == [0, 1, 2]
    assert cells.side == 2**0.5
    coverage = trace(cells)
    assert dict(zip(coverage.ids.tolist(), shapely.area(coverage.faces), strict=True)) == {
        1: 3, 2: 1, 7: 3, 8: 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("sides", "longest"),
    [([12, 13, 12], 13), ([5], 5), ([1, 2, 1], 1.5), ([1, 30], 1.5)],
    # two cells of 1 pixel are as long as one of 2, and must not pass for a single one
)
def test_longest_side_of_a_cell(sides: list[int], longest: float) -> None:
    edges = np.cumsum([0.0, *sides])
    assert Cells(np.zeros((len(sides),) * 2, np.int32), edges, edges).longest_side == longest
