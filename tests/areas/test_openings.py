import numpy as np
import pytest
import shapely
from shapely.geometry import LineString, box

from kkg_area_detection.areas.area import Wall
from kkg_area_detection.areas.openings import bridge_openings
from kkg_area_detection.areas.walls import find_walls
from kkg_area_detection.segmentation.result import SegmentationResult
from tests.areas.segmentations import CELL, raster, segmentation


def gap(width: float, opening: int, thickness: float = 4) -> SegmentationResult:
    """A wall from 5 to 55 with a gap in its middle, filled with a segment of a label."""
    top, bottom = 30 - thickness / 2, 30 + thickness / 2
    left, right = 30 - width / 2, 30 + width / 2
    ids = raster(box(5, top, left, bottom), box(right, top, 55, bottom), box(left, 29, right, 31))
    return segmentation(ids, cell=CELL, labels=[2, 2, opening])


def bridged(result: SegmentationResult, labels: list[str] | None = None) -> tuple[Wall, ...]:
    return bridge_openings(find_walls(result), result, labels)


@pytest.mark.parametrize(
    ("width", "label", "thickness", "count"),
    [
        (10, 3, 4, 1),  # a door
        (10, 4, 4, 1),  # a window
        (32, 3, 2, 1),  # a sliding door in a thin wall
        (24, 0, 4, 2),  # a way through without a door
        (4, 0, 4, 1),  # a flaw of the mask
    ],
)
def test_gaps(width: float, label: int, thickness: float, count: int) -> None:
    result = gap(width, label, thickness)
    result.id2label = {**result.id2label, 4: "window"}
    walls = bridged(result)
    assert len(walls) == count
    whole = shapely.union_all([wall.line for wall in walls])
    assert whole.bounds == pytest.approx((50, 300, 550, 300), abs=CELL / 2)
    assert whole.length == pytest.approx(500 - (0 if count == 1 else width * CELL), abs=CELL)


def test_chosen_labels() -> None:
    result = gap(20, 0)
    assert len(bridged(result, ["room"])) == 1
    assert len(bridged(gap(20, 3), [])) == 2


def test_a_wall_is_drawn_on_to_the_one_across() -> None:
    ids = raster(box(8, 10, 52, 14), box(28, 24, 32, 50), box(28, 14, 32, 24))
    walls = bridged(segmentation(ids, cell=CELL, labels=[1, 2, 3]))
    (upright,) = [wall for wall in walls if wall.label == "inwall"]
    assert shapely.get_coordinates(upright.line)[:, 1].min() == pytest.approx(120, abs=CELL / 2)


def test_walls_of_two_labels_stay_two_and_meet() -> None:
    result = gap(10, 3)
    result["segments_info"][1]["label_id"] = 1
    first, second = bridged(result)
    assert {first.label, second.label} == {"exwall", "inwall"}
    assert first.line.distance(second.line) == pytest.approx(0, abs=1e-6)


def test_what_hangs_over_is_cut_off() -> None:
    result = segmentation(np.full((20, 20), -1), cell=CELL)
    walls = [
        Wall(LineString([(20, 50), (105, 50)]), 20, "inwall"),
        Wall(LineString([(100, 20), (100, 150)]), 20, "exwall"),
    ]
    first, second = bridge_openings(walls, result)
    assert shapely.get_coordinates(first.line).tolist() == [[20, 50], [100, 50]]
    assert second == walls[1]


def test_no_walls() -> None:
    assert bridge_openings((), segmentation([[0]])) == ()
