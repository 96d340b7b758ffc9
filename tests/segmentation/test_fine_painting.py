"""Masks whose true outline is known: what finer painting must win, and what it must keep."""

import numpy as np
import pytest
import torch

from kkg_area_detection.segmentation.fine_painting import REFINEMENT, find_segments_finely
from kkg_area_detection.segmentation.postprocessing import PAINTING_GRIDS, find_segments
from kkg_area_detection.segmentation.result import SegmentationResult

GRID = (16, 24)


def disc(row: float, column: float, radius: float, *, slope: float = 4.0, top: float = 9.0) -> torch.Tensor:
    """Logits that are 0 on a circle and change by so much a cell; at most ``top``."""
    y, x = torch.meshgrid(torch.arange(GRID[0]) + 0.5, torch.arange(GRID[1]) + 0.5, indexing="ij")
    distance = torch.hypot(y - row, x - column)
    return (slope * (radius - distance)).clamp(max=top)


def painted(
    masks: list[torch.Tensor],
    labels: list[int],
    probabilities: list[float],
    *,
    exactly: bool = False,
    shape: tuple[int, int] = (160, 240),
    kind: str = "maskformer",
) -> SegmentationResult:
    """Every query has its label with the given probability, and else no object."""
    classes = torch.full((len(masks), 3), 1e-9)
    for query, (label, probability) in enumerate(zip(labels, probabilities, strict=True)):
        classes[query, label], classes[query, 2] = probability, 1 - probability
    find = find_segments if exactly else find_segments_finely
    return find(
        classes.log(),
        torch.stack(masks),
        image_shape=shape,
        threshold=0.4,
        grid_shape=PAINTING_GRIDS[kind],
        id2label={0: "room", 1: "wall"},
    )


@pytest.mark.parametrize("radius", [3.3, 4.7, 6.1])
@pytest.mark.parametrize("kind", sorted(PAINTING_GRIDS))
def test_borders_run_between_cells(radius: float, kind: str) -> None:
    masks = [disc(8.3, 11.6, radius)]
    off = {}
    for exactly in (False, True):
        result = painted(masks, [0], [0.9], exactly=exactly, kind=kind)
        y, x = np.mgrid[:160, :240] + 0.5
        true = np.hypot(y - 83, x - 116) < 10 * radius
        off[exactly] = np.count_nonzero((result["segmentation"].numpy() == 0) != true) / true.sum()
    assert off[False] < 0.05
    if kind == "maskformer":  # the other one paints on finer cells anyway
        assert off[False] < off[True] / 2


@pytest.mark.parametrize("kind", sorted(PAINTING_GRIDS))
def test_scores_are_those_of_transformers(kind: str) -> None:
    masks = [disc(6, 6, 4), disc(9, 17, 5)]
    fine, exact = (painted(masks, [0, 1], [0.9, 0.8], exactly=one, kind=kind) for one in (False, True))
    assert fine["segments_info"] == exact["segments_info"]
    assert (fine.refinement, exact.refinement) == (REFINEMENT, 1)
    assert fine.id_grid.shape == (GRID[0] * REFINEMENT, GRID[1] * REFINEMENT)


@pytest.mark.parametrize(
    ("masks", "labels", "probabilities", "scores"),
    [
        pytest.param([(8, 8, 5), (8, 9, 5)], [0, 0], [0.7, 0.9], [0.9], id="the better one of two stays"),
        pytest.param([(8, 8, 5), (8, 9, 5)], [0, 1], [0.7, 0.9], [0.7, 0.9], id="labels are apart"),
        pytest.param([(8, 8, 6), (8, 8, 3)], [0, 0], [0.9, 0.7], [0.9], id="one inside the other"),
        pytest.param([(8, 6, 4), (8, 13, 4)], [0, 0], [0.9, 0.7], [0.9, 0.7], id="neighbours"),
        pytest.param([(8, 8, 5), (8, 9, 5), (8, 18, 4)], [0] * 3, [0.9, 0.7, 0.8], [0.9, 0.8], id="three"),
        pytest.param([(8, 8, 5), (8, 9, 5)], [0, 0], [0.3, 0.2], [], id="nothing good enough"),
    ],
)
def test_doubles(
    masks: list[tuple[float, float, float]],
    labels: list[int],
    probabilities: list[float],
    scores: list[float],
) -> None:
    result = painted([disc(*mask) for mask in masks], labels, probabilities)
    found = result["segments_info"]
    # Mask probabilities are a little below 1, so that scores are a little below class probabilities.
    assert sorted(one["score"] for one in found) == pytest.approx(sorted(scores), rel=0.15)
    assert [one["id"] for one in found] == list(range(len(scores)))
    assert set(np.unique(result.id_grid)) - {-1} == set(range(len(scores)))


def test_a_cell_goes_to_the_most_probable() -> None:
    """Where two overlap, the border runs in the middle, whichever comes first."""
    masks = [disc(8, 8, 5, slope=1), disc(8, 14, 5, slope=1)]
    for order in (1, -1):
        result = painted(masks[::order], [0, 1], [0.9, 0.9])
        shown = result["segmentation"][80, [30, 109, 110, 189]].tolist()
        labels = [result["segments_info"][id_]["label_id"] for id_ in shown]
        assert labels == [0, 0, 1, 1][::order]


def test_what_others_cover_is_left_out() -> None:
    result = painted([disc(8, 8, 2, top=0.5), disc(8, 8, 6)], [0, 1], [0.9, 0.95])
    assert [one["label_id"] for one in result["segments_info"]] == [1]
    assert result.pixel_counts()[0] > 0


@pytest.mark.parametrize("shape", [(1, 1), (1, 50), (7, 3), (64, 96), (333, 100)])
def test_any_size(shape: tuple[int, int]) -> None:
    result = painted([disc(8, 12, 20), disc(3, 3, 2)], [0, 1], [0.9, 0.9], shape=shape)
    assert result["segmentation"].shape == shape
    assert all(count > 0 for count in result.pixel_counts().values())


def test_nan_logits_become_nothing() -> None:
    result = painted([torch.full(GRID, torch.nan)], [0], [0.9])
    assert result["segments_info"] == []
