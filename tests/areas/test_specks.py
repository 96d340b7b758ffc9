import numpy as np
import pytest

from kkg_area_detection.areas.polygons import Cells, trace
from kkg_area_detection.areas.specks import fill_specks
from tests.areas.segmentations import drawn, segmentation

IN_A_ROOM = drawn("00000", "01..0", "00000")
BETWEEN_TWO = drawn("0001111", "0022111", "0000111")
CHAIN = drawn("1....", "01...", "001..", "0001.", "00001")
ALONE = drawn("....", ".00.", "....")


@pytest.mark.parametrize(
    ("ids", "least", "filled", "number"),
    [
        (IN_A_ROOM, 1, IN_A_ROOM, 0),
        (IN_A_ROOM, 2, drawn("00000", "00..0", "00000"), 1),
        # a hole is no piece of a segment, but is closed as well
        (IN_A_ROOM, 3, drawn("00000", "00000", "00000"), 1),
        (BETWEEN_TWO, 2, BETWEEN_TWO, 0),
        # each cell goes to the id on most of its sides
        (BETWEEN_TWO, 3, drawn("0001111", "0001111", "0000111"), 1),
        # a slanted wall of single cells is one piece, and so is the slanted gap
        (CHAIN, 5, CHAIN, 0),
        (ALONE, 3, drawn("....", "....", "...."), 1),
        # nothing is large enough
        (drawn("01"), 2, drawn(".."), 2),
        (drawn("."), 2, drawn("."), 0),
    ],
)
def test_small_pieces_go_to_what_surrounds_them(
    ids: np.ndarray,  # type: ignore[type-arg]
    least: float,
    filled: np.ndarray,  # type: ignore[type-arg]
    number: int,
) -> None:
    cells = Cells.of(segmentation(ids, cell=3))
    new, specks = fill_specks(cells, trace(cells), least * 9)
    assert new.ids.tolist() == filled.tolist()
    assert specks == number


def test_the_cells_that_were_passed_stay() -> None:
    cells = Cells.of(segmentation(IN_A_ROOM))
    fill_specks(cells, trace(cells), 4)
    assert cells.ids.tolist() == IN_A_ROOM.tolist()
