import numpy as np
import pytest

from kkg_area_detection.training.samples import Sample
from kkg_area_detection.training.targets import targets_of

CLASS_OF = {"room": 0, "door": 1}


def sample(ids, *labels):
    ids = np.array(ids, np.uint16)
    return Sample(np.zeros((*ids.shape, 3), np.uint8), ids, labels)


def test_counts_the_pixels_of_each_cell():
    ids = np.zeros((8, 8), np.uint16)
    ids[:4, :4] = 1  # all of the first cell
    ids[:4, 4:6] = 2  # half of the second
    ids[6:, 6:] = 2  # a quarter of the last
    targets = targets_of(sample(ids, "room", "door"), CLASS_OF)
    assert targets.classes.tolist() == [0, 1]
    assert targets.coverage.tolist() == [[[16, 0], [0, 0]], [[0, 8], [0, 4]]]


@pytest.mark.parametrize(
    ("labels", "classes"),
    [
        (("room", "room"), [0, 0]),
        (("stairs", "door"), [1]),  # not a class: background
        (("stairs", "stairs"), []),
        (("room", "room", "door"), [0, 0]),  # segment 3 has no pixel
    ],
)
def test_keeps_what_the_model_knows(labels, classes):
    ids = np.repeat(np.array([[1, 2]]), [4, 4], axis=1).repeat(4, axis=0)
    assert targets_of(sample(ids, *labels), CLASS_OF).classes.tolist() == classes


def test_leaves_out_what_scaling_has_made_tiny():
    ids = np.ones((8, 8), np.uint16)
    ids[0, :3] = 2
    assert targets_of(sample(ids, "room", "door"), CLASS_OF).classes.tolist() == [0]
