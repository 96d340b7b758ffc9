import copy
import pickle
import subprocess
import sys

import numpy as np
import pytest
import torch

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.result import SegmentationResult


def segment(id_, label_id, score=0.9):
    return {"id": id_, "label_id": label_id, "was_fused": False, "score": score}


@pytest.fixture
def result():
    """A picture of 4 x 3 pixels on a grid of 2 x 3 cells; segment 1 is covered by others."""
    return SegmentationResult(
        id_grid=np.array([[0, 0, -1], [2, -1, -1]], dtype=np.int32),
        row_index=np.array([0, 0, 1]),
        column_index=np.array([0, 1, 1, 2]),
        segments_info=[segment(0, 3), segment(1, 0, 0.5), segment(2, 3)],
        id2label={0: "room", 3: "door"},
    )


FULL_MAP = [[0, 0, 0, -1], [0, 0, 0, -1], [2, -1, -1, -1]]


def test_reads_like_the_dictionary_of_transformers(result):
    assert list(result) == ["segmentation", "segments_info"]
    assert len(result) == 2
    assert result["segmentation"].tolist() == FULL_MAP
    assert result["segmentation"].dtype == torch.int32
    assert [info["label_id"] for info in result["segments_info"]] == [3, 0, 3]
    assert result.get("masks") is None
    assert "segmentation" in result
    assert dict(result).keys() == {"segmentation", "segments_info"}
    with pytest.raises(KeyError, match="masks"):
        result["masks"]


def test_full_map_is_made_once(result):
    assert result["segmentation"] is result["segmentation"]


def test_sizes(result):
    assert (result.width, result.height) == result.image_size == (4, 3)


@pytest.mark.parametrize(("segment_id", "label"), [(0, "door"), (1, "room"), (2, "door")])
def test_label_of(result, segment_id, label):
    assert result.label_of(segment_id) == label


@pytest.mark.parametrize("segment_id", [-1, 3])
def test_label_of_nothing(result, segment_id):
    with pytest.raises(UsageError, match=str(segment_id)):
        result.label_of(segment_id)


def test_label_without_a_name_is_called_as_in_transformers(result):
    result["segments_info"].append(segment(3, 7))
    assert result.label_of(3) == "LABEL_7"


def test_pixel_counts(result):
    assert result.pixel_counts() == {0: 6, 1: 0, 2: 1}
    result["segments_info"].append(segment(3, 0))  # not even the last one need be seen
    assert result.pixel_counts() == {0: 6, 1: 0, 2: 1, 3: 0}


def test_pixel_counts_without_segments():
    result = SegmentationResult(
        id_grid=np.full((2, 2), -1, dtype=np.int32),
        row_index=np.arange(2),
        column_index=np.arange(2),
        segments_info=[],
        id2label={},
    )
    assert result.pixel_counts() == {}
    assert repr(result) == "<SegmentationResult 2 x 2 px, 0 segments>"


def test_pixel_counts_where_the_picture_does_not_show_every_cell(result):
    result.row_index = np.array([1])
    assert result.pixel_counts() == {0: 0, 1: 0, 2: 1}


def test_repr_says_what_was_found(result):
    assert repr(result) == "<SegmentationResult 4 x 3 px, 3 segments: 2 door, 1 room>"


@pytest.mark.parametrize("look_first", ["nothing", "segmentation"])
@pytest.mark.parametrize(
    "duplicate", [copy.deepcopy, copy.copy, lambda result: pickle.loads(pickle.dumps(result))]
)
def test_copies_are_equal(result, duplicate, look_first):
    result.get(look_first)
    twin = duplicate(result)
    assert twin == result
    assert twin["segmentation"].tolist() == FULL_MAP
    assert repr(twin) == repr(result)


def test_deep_copies_are_independent(result):
    twin = copy.deepcopy(result)
    twin["segments_info"].pop()
    twin.id_grid[:] = -1
    assert twin != result
    assert len(result["segments_info"]) == 3
    assert result["segmentation"].tolist() == FULL_MAP


def test_equality(result):
    other = copy.deepcopy(result)
    other.id_grid[0, 0] = 2
    assert result != other
    assert result != dict(result)


def test_import_does_not_load_torch():
    code = "import sys, kkg_area_detection.segmentation.result; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
