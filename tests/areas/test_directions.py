import numpy as np
import pytest
from shapely.affinity import rotate
from shapely.geometry import box

from kkg_area_detection.areas.directions import main_directions
from kkg_area_detection.areas.squaring import square
from tests.areas.segmentations import CELL, house, raster, simplified, traced


@pytest.mark.parametrize("angle", [0, 0.3, 3, 10, 20, 45, 60, 89])
def test_main_direction(angle: float) -> None:
    (found,) = main_directions(simplified(raster(*house(angle))), CELL)
    assert (np.degrees(found) - angle + 45) % 90 - 45 == pytest.approx(0, abs=1)


def test_two_main_directions() -> None:
    wing = rotate(box(2, 20, 28, 32), 30, origin=(28, 32))
    found = np.degrees(main_directions(simplified(raster(box(28, 5, 56, 55), wing)), CELL))
    assert found == pytest.approx([0, 30], abs=1.5)


@pytest.mark.parametrize("angle", [0, 10, 45])
def test_stairs_do_not_hide_the_direction(angle: float) -> None:
    (found,) = main_directions(traced(raster(*house(angle)), CELL), CELL)
    assert np.degrees(found) == pytest.approx(angle, abs=1)


def test_nothing_but_the_border_of_the_picture_has_no_direction() -> None:
    empty = simplified(raster())
    assert main_directions(empty, CELL) == []
    assert square(empty, CELL).faces[0].equals(empty.faces[0])
