import math

import numpy as np
import pytest

from kkg_area_detection.training.targets import Targets
from kkg_area_detection.training.validation import Segments, panoptic_quality, truth_of

ROOM, WALL = 0, 1


def segments(ids, *classes):
    return Segments(np.array(ids, np.int64), np.array(classes, np.int64))


TRUE = segments([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0]], ROOM, ROOM)


@pytest.mark.parametrize(
    ("predicted", "pq", "f1"),
    [
        (TRUE, 1, 1),
        (segments([[2, 2, 2, 2, 1, 1, 1, 1, 0, 0]], ROOM, ROOM), 1, 1),  # the order does not matter
        (segments([[1, 1, 1, 0, 0, 0, 0, 0, 0, 0]], ROOM), 0.75 / 1.5, 1 / 1.5),  # one found, IoU 3/4
        (segments([[1, 1, 1, 1, 1, 1, 1, 1, 0, 0]], ROOM), 0, 0),  # two in one: IoU is only 1/2
        (segments([[1, 1, 1, 1, 2, 2, 2, 2, 3, 3]], ROOM, ROOM, ROOM), 2 / 2.5, 2 / 2.5),
        (segments([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0]], ROOM, ROOM, ROOM), 1, 1),  # covered ones do not count
        (segments([[1, 1, 1, 1, 2, 2, 2, 2, 0, 0]], WALL, ROOM), 1 / 1.5, 1 / 1.5),
        (segments([[0] * 10]), 0, 0),
    ],
)
def test_panoptic_quality_of_rooms(predicted, pq, f1):
    assert panoptic_quality([(predicted, TRUE)], 2)[ROOM] == pytest.approx((pq, f1))


def test_nothing_to_find():
    empty = segments([[0, 0]])
    assert all(math.isnan(value) for pair in panoptic_quality([(empty, empty)], 2) for value in pair)


def test_a_cell_is_of_whom_has_most_of_it():
    coverage = np.array([[[16, 8, 7, 4]], [[0, 4, 6, 12]]], np.uint8)
    assert truth_of(Targets(np.array([0, 1]), coverage)).ids.tolist() == [[1, 1, 0, 2]]
