import numpy as np
import pytest
from shapely.geometry import Polygon, box

from kkg_area_detection.areas.area import Wall
from kkg_area_detection.areas.detect import areas_from_result
from kkg_area_detection.areas.openings import bridge_openings
from kkg_area_detection.areas.polygons import Cells
from kkg_area_detection.areas.rooms import complete_rooms
from kkg_area_detection.areas.segments import labels_by_id
from kkg_area_detection.areas.walls import find_walls
from tests.areas.segmentations import CELL, raster, segmentation

LEFT, RIGHT, DOOR, WALL_LABEL = 0, 1, 2, 2
WALL = (box(28, 5, 32, 24), box(28, 36, 32, 55))
GAP = box(28, 24, 32, 36)
# The gap, and a leaf that opens to the right.
SWING = GAP.union(Polygon([(32, 24), (44, 24), (41, 32), (32, 36)]))
ROOMS = (box(5, 5, 28, 55), box(32, 5, 55, 55))


def returned(ids: np.ndarray, labels: list[int]) -> np.ndarray:  # type: ignore[type-arg]
    result = segmentation(ids, cell=CELL, labels=labels)
    walls: tuple[Wall, ...] = bridge_openings(find_walls(result), result)
    return complete_rooms(Cells.of(result), walls, labels_by_id(result)).ids


@pytest.mark.parametrize(
    "door", [pytest.param(SWING, id="a swing door"), pytest.param(GAP, id="a sliding door")]
)
def test_the_door_is_the_gap_in_the_wall(door: Polygon) -> None:
    before = raster(*ROOMS, door, *WALL)
    after = returned(before, [0, 0, 3, WALL_LABEL, WALL_LABEL])
    in_gap, before_wall = (slice(24, 36), slice(28, 32)), (slice(24, 36), slice(34, 60))
    assert (after[in_gap] == DOOR).all()
    assert not (after[before_wall] == DOOR).any()
    np.testing.assert_array_equal(after[before != DOOR], before[before != DOOR])


def test_the_room_that_the_leaf_opens_into_gets_its_floor() -> None:
    before = raster(*ROOMS, SWING, *WALL)
    after = returned(before, [0, 0, 3, WALL_LABEL, WALL_LABEL])
    swept = before[:, 34:] == DOOR
    assert swept.any()
    assert (after[:, 34:][swept] == RIGHT).all()


@pytest.mark.parametrize(
    ("strip", "filled"),
    [
        pytest.param(0, True, id="none"),
        pytest.param(2, True, id="narrow"),
        pytest.param(8, False, id="as wide as the leaf"),
    ],
)
def test_a_strip_between_leaf_and_room_that_is_neither(strip: int, filled: bool) -> None:
    leaf = SWING.difference(GAP)
    before = raster(ROOMS[0], ROOMS[1].difference(leaf.buffer(strip, join_style="mitre")), SWING, *WALL)
    after = returned(before, [0, 0, 3, WALL_LABEL, WALL_LABEL])
    floor = raster(leaf) == 0
    assert (after[:, 34:][floor[:, 34:]] == (RIGHT if filled else DOOR)).all()


@pytest.mark.parametrize(
    ("shapes", "labels"),
    [
        pytest.param([*ROOMS, SWING], [0, 0, 3], id="without walls"),
        pytest.param([SWING, *WALL], [3, WALL_LABEL, WALL_LABEL], id="without rooms"),
        pytest.param([*ROOMS, *WALL], [0, 0, WALL_LABEL, WALL_LABEL], id="without doors"),
        pytest.param(
            [*ROOMS, box(46, 20, 52, 30), *WALL],
            [0, 0, 3, WALL_LABEL, WALL_LABEL],
            id="a door in no known wall",
        ),
        pytest.param(
            [*ROOMS, SWING, *WALL], [0, 0, 4, WALL_LABEL, WALL_LABEL], id="a window, which sweeps nothing"
        ),
    ],
)
def test_left_as_it_is(shapes: list[Polygon], labels: list[int]) -> None:
    ids = raster(*shapes)
    result = segmentation(ids, cell=CELL, labels=labels)
    result.id2label = {**result.id2label, 4: "window"}
    walls = bridge_openings(find_walls(result), result)
    np.testing.assert_array_equal(complete_rooms(Cells.of(result), walls, labels_by_id(result)).ids, ids)


def test_a_leaf_outdoors_stays_a_door() -> None:
    """There is no room to give its floor to."""
    before = raster(ROOMS[0], SWING, *WALL)
    after = returned(before, [0, 3, WALL_LABEL, WALL_LABEL])
    np.testing.assert_array_equal(after[:, 34:], before[:, 34:])


@pytest.mark.parametrize(
    ("strip", "filled"),
    [
        pytest.param(2, True, id="narrower than the wall"),
        pytest.param(4, True, id="as wide as the wall"),
        pytest.param(9, False, id="wide enough for a room"),
    ],
)
def test_a_strip_between_room_and_wall(strip: int, filled: bool) -> None:
    before = raster(ROOMS[0], box(32 + strip, 5, 55, 55), box(28, 5, 32, 55))
    after = returned(before, [0, 0, WALL_LABEL])
    assert (after[5:55, 32 : 32 + strip] == (RIGHT if filled else -1)).all()
    np.testing.assert_array_equal(after[:, :32], before[:, :32])


def test_two_rooms_with_an_unknown_wall_between_them_do_not_meet() -> None:
    before = raster(box(5, 5, 27, 50), box(31, 5, 55, 50), box(5, 50, 55, 54))
    after = returned(before, [0, 0, WALL_LABEL])
    assert (after[5:46, 27:31] == -1).all()


def test_a_door_at_the_border_of_the_picture() -> None:
    before = raster(box(32, 0, 60, 60), box(28, 24, 60, 40), box(28, 0, 32, 24), box(28, 40, 32, 60))
    after = returned(before, [0, 3, WALL_LABEL, WALL_LABEL])
    assert (after[:, 34:] == 0).all()


@pytest.mark.parametrize(("wall_labels", "grows"), [(None, True), ((), False)])
def test_areas(wall_labels: tuple[str, ...] | None, grows: bool) -> None:
    result = segmentation(raster(*ROOMS, SWING, *WALL), cell=CELL, labels=[0, 0, 3, WALL_LABEL, WALL_LABEL])
    areas = areas_from_result(result, simplify=0, square=False, wall_labels=wall_labels)
    room = next(area for area in areas if area.id == RIGHT)
    door = next(area for area in areas if area.id == DOOR)
    drawn = np.count_nonzero(result.id_grid == RIGHT) * CELL**2
    assert bool(room.polygon.area > drawn) == grows
    whole = np.count_nonzero(np.isin(result.id_grid, (RIGHT, DOOR))) * CELL**2
    assert room.polygon.area + door.polygon.area == pytest.approx(whole)
