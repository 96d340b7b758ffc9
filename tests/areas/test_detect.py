import logging

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from shapely.geometry import box

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.detect import areas_from_result
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.segmentations import drawn, full_map, segmentation, segmentations

# A room with a column in it and a crumb of wall, and a wall in two parts.
PLAN = drawn(
    "..........",
    ".11111111.",
    ".10000000.",
    ".10220000.",
    ".10220030.",
    ".10000000.",
    "..........",
    "....1111..",
    "..........",
)
PLAN_LABELS = [0, 1, 2, 3, 0]  # the last one is nowhere to be seen


@pytest.fixture
def plan() -> SegmentationResult:
    return segmentation(PLAN, cell=10, labels=PLAN_LABELS)


@given(segmentations())
def test_every_pixel(result: SegmentationResult) -> None:
    areas = areas_from_result(result, simplify=0, least_share=0)
    counts = result.pixel_counts()
    assert [area.id for area in areas] == [id_ for id_, pixels in counts.items() if pixels]
    assert [area.polygon.area for area in areas] == [counts[area.id] for area in areas]
    assert [area.pixels for area in areas] == [counts[area.id] for area in areas]
    polygons = [area.polygon for area in areas]
    assert all(polygon.is_valid for polygon in polygons)
    assert shapely.coverage_is_valid(polygons)
    assert shapely.union_all(polygons).area == np.count_nonzero(full_map(result) >= 0)


@given(segmentations(), st.booleans(), st.sampled_from([None, 0, 0.05, 0.9]))
def test_simplified_areas_are_sound(
    result: SegmentationResult, square: bool, least_share: float | None
) -> None:
    areas = areas_from_result(result, square=square, least_share=least_share)
    polygons = [area.polygon for area in areas]
    assert all(polygon.is_valid and not polygon.is_empty for polygon in polygons)
    assert shapely.coverage_is_valid(polygons)
    assert all(area.pixels >= (least_share or 0) * full_map(result).size for area in areas)
    assert areas.image_size == full_map(result).shape[::-1]


def test_areas_are_what_segments_info_says(plan: SegmentationResult) -> None:
    plan["segments_info"][2]["score"] = 0.75
    areas = areas_from_result(plan, simplify=0, least_share=0, wall_labels=())
    assert [(area.id, area.label_id, area.label, area.score, area.pixels) for area in areas] == [
        (0, 0, "room", 0.9, 2300),
        (1, 1, "exwall", 0.9, 1600),
        (2, 2, "inwall", 0.75, 400),
        (3, 3, "door", 0.9, 100),
    ]
    room, wall, column, door = (area.polygon for area in areas)
    assert room.equals(box(20, 20, 90, 60) - box(30, 30, 50, 50) - box(70, 40, 80, 50))
    assert wall.geom_type == "MultiPolygon"
    assert column.equals(box(30, 30, 50, 50))
    assert door.equals(box(70, 40, 80, 50))


def test_what_areas_say_of_the_sheet(plan: SegmentationResult) -> None:
    scale = Scale(8.5)
    areas = areas_from_result(plan, scale=scale)
    assert areas.scale is scale
    assert areas.image_size == (100, 90)
    assert areas.cell == 10


@pytest.mark.parametrize(
    ("least_share", "ids", "specks", "pixels_of_room"),
    [
        (0, [0, 1, 2, 3], 0, 2300),
        # a single cell is a speck
        (None, [0, 1, 2], 1, 2400),
        (0.045, [0, 1], 3, 2800),  # also the second part of the wall
        (0.5, [], 5, None),
    ],
)
def test_specks(
    plan: SegmentationResult,
    least_share: float | None,
    ids: list[int],
    specks: int,
    pixels_of_room: int | None,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with caplog.at_level(logging.INFO):
        areas = areas_from_result(plan, least_share=least_share, wall_labels=())
    assert [area.id for area in areas] == ids
    assert areas.specks == specks
    assert [area.pixels for area in areas if area.id == 0] == ([pixels_of_room] if pixels_of_room else [])
    assert [str(specks) in record.message for record in caplog.records] == [True] * bool(specks)


@pytest.mark.parametrize(
    ("labels", "ids"),
    [(None, [0, 1, 2]), (["room"], [0]), ({"inwall", "exwall"}, [1, 2]), (["door"], []), ([], [])],
)
def test_labels(plan: SegmentationResult, labels: list[str] | None, ids: list[int]) -> None:
    everything = {area.id: area for area in areas_from_result(plan, square=True)}
    areas = areas_from_result(plan, square=True, labels=labels)
    assert [area.id for area in areas] == ids
    assert all(area.polygon.equals_exact(everything[area.id].polygon) for area in areas)


def test_a_label_without_a_name_is_called_as_in_transformers() -> None:
    result = segmentation(drawn("0"), labels=[7])
    assert [area.label for area in areas_from_result(result, least_share=0)] == ["LABEL_7"]


@pytest.mark.parametrize("ids", [drawn("."), drawn("..", "..")])
def test_nothing_found(ids: np.ndarray) -> None:  # type: ignore[type-arg]
    assert list(areas_from_result(segmentation(ids), square=True)) == []


def test_a_picture_of_one_pixel() -> None:
    result = segmentation(np.zeros((5, 7)))
    result.row_index, result.column_index = np.array([3]), np.array([2])
    (area,) = areas_from_result(result, least_share=0)
    assert area.polygon.equals(box(0, 0, 1, 1))


def test_the_full_size_map_is_never_made(plan: SegmentationResult, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: SegmentationResult) -> None:
        raise AssertionError("the full-size map was asked for")

    monkeypatch.setattr(SegmentationResult, "_full_map", refuse)
    assert isinstance(areas_from_result(plan, square=True), Areas)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"simplify": -1}, "simplify is -1"),
        ({"simplify": float("nan")}, "simplify is nan"),
        ({"simplify": float("inf")}, "simplify is inf"),
        ({"least_share": 1}, "least_share is 1"),
        ({"least_share": -0.1}, "least_share is -0.1"),
        ({"simplify": 0, "square": True}, "cannot be squared"),
        ({"labels": "room"}, r'pass a list: \["room"\]'),
        ({"wall_labels": ["roof"]}, "no label roof"),
        ({"labels": ["roof", "room", "window"]}, "no label roof, window"),
    ],
)
def test_arguments_that_make_no_sense(
    plan: SegmentationResult, options: dict[str, object], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        areas_from_result(plan, **options)  # type: ignore[arg-type]
