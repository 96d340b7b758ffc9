"""Segments with finer borders and without doubles: where areas matter more than equality with transformers.

What differs from ``postprocessing.find_segments``, whose scores and choice of segments stay:

1. Of two segments of one label that lie on each other, only the better one stays (mask non-maximum suppression).
2. The logits are interpolated bilinearly before they become masks, so that borders run between the cells on
   which the network saw them.
3. A cell goes to the segment that is most probable there, not to the one that was painted last.
4. Segments without a visible cell are left out.

``benchmarks/area_quality.py`` shows what each of them gains.
"""

from __future__ import annotations

import numpy as np
import torch
from torch.nn import functional

from kkg_area_detection.segmentation.postprocessing import (
    ScoredSegments,
    nearest_index,
    score_segments,
    segment_infos,
)
from kkg_area_detection.segmentation.result import BACKGROUND, SegmentationResult

REFINEMENT = 4
"""Cells of the painted grid along each side of a cell of the network: that is the network's own input grid."""

# Of the smaller one of two masks: from here on they show one thing.
_SAME = 0.6

# Cells around a mask: one into which it may grow, one for the interpolation.
_MARGIN = 2


def find_segments_finely(
    class_logits: torch.Tensor,
    mask_logits: torch.Tensor,
    *,
    image_shape: tuple[int, int],
    threshold: float,
    grid_shape: tuple[int, int] | None,
    id2label: dict[int, str],
) -> SegmentationResult:
    """Turn the logits of one picture into its segments, with borders as fine as the logits allow.

    Args:
        class_logits: Shape (Q, C + 1), floating point, any device; the last column is "no object".
        mask_logits: Shape (Q, h, w), floating point, any device.
        image_shape: Height and width of the picture in pixels.
        threshold: Least score of a segment.
        grid_shape: Height and width of the grid on which scores are taken: a value of ``PAINTING_GRIDS``.
        id2label: Class index to label.

    Returns:
        The segments, each with at least one pixel, on a grid ``REFINEMENT`` times as fine as the masks.
    """
    height, width = grid_shape or mask_logits.shape[-2:]
    rows, columns = nearest_index(height, image_shape[0]), nearest_index(width, image_shape[1])
    found = score_segments(
        class_logits,
        mask_logits,
        threshold=threshold,
        grid_shape=grid_shape,
        row_index=rows,
        column_index=columns,
    )
    kept = without_doubles(found)
    queries, scores = [found.queries[one] for one in kept], [found.scores[one] for one in kept]
    ids = paint_finely(mask_logits, queries, scores)
    row_index = nearest_index(ids.shape[0], image_shape[0])
    column_index = nearest_index(ids.shape[1], image_shape[1])
    shown = np.unique(ids.numpy()[np.ix_(np.unique(row_index), np.unique(column_index))])
    visible = shown[shown != BACKGROUND].tolist()
    numbers = torch.full((len(kept) + 1,), BACKGROUND, dtype=torch.int32)  # the last one is for BACKGROUND
    numbers[visible] = torch.arange(len(visible), dtype=torch.int32)
    seen = [kept[one] for one in visible]
    return SegmentationResult(
        id_grid=numbers[ids.long()].numpy(),
        row_index=row_index,
        column_index=column_index,
        segments_info=segment_infos([found.labels[one] for one in seen], [found.scores[one] for one in seen]),
        id2label=id2label,
        refinement=REFINEMENT,
    )


def without_doubles(found: ScoredSegments) -> list[int]:
    """Choose the better ones of segments of one label that lie on each other.

    Args:
        found: The segments.

    Returns:
        Places of those that stay, in painting order.
    """
    if not found.masks:
        return []
    masks = found.inside[found.masks].flatten(1).float()
    common, sizes = masks @ masks.T, masks.sum(1)
    labels = torch.tensor(found.labels, device=masks.device)
    same = common >= _SAME * torch.minimum(sizes[:, None], sizes[None])
    rivals = (same & (labels[:, None] == labels[None])).cpu()
    kept: list[int] = []
    for place in sorted(range(len(found.scores)), key=lambda place: -found.scores[place]):
        if not rivals[place, kept].any():
            kept.append(place)
    return sorted(kept)


def paint_finely(mask_logits: torch.Tensor, queries: list[int], scores: list[float]) -> torch.Tensor:
    """Paint masks on a finer grid, each cell for the mask that is most probable there.

    Args:
        mask_logits: Shape (Q, h, w), floating point, any device. Each mask is enlarged only where it is.
        queries: Which masks; the place in this list is the id that is painted.
        scores: Score of each of them. A cell belongs to the mask with the greatest product of score and mask
            probability.

    Returns:
        Shape (``REFINEMENT`` * h, ``REFINEMENT`` * w), int32, on the CPU: ids, -1 where no mask is positive.
    """
    height, width = mask_logits.shape[-2:]
    shape, device = (height * REFINEMENT, width * REFINEMENT), mask_logits.device
    ids = torch.full(shape, BACKGROUND, dtype=torch.int32, device=device)
    best = torch.zeros(shape, device=device)
    for id_, (query, score) in enumerate(zip(queries, scores, strict=True)):
        logits = mask_logits[query].float()
        top, bottom = _around((logits > 0).any(1))
        left, right = _around((logits > 0).any(0))
        fine = functional.interpolate(
            logits[None, None, top:bottom, left:right],
            scale_factor=REFINEMENT,
            mode="bilinear",
            align_corners=False,
        )[0, 0]
        window = (
            slice(top * REFINEMENT, bottom * REFINEMENT),
            slice(left * REFINEMENT, right * REFINEMENT),
        )
        probability = (fine.sigmoid() * score).masked_fill_(fine <= 0, 0)
        wins = probability > best[window]
        best[window] = torch.where(wins, probability, best[window])
        ids[window].masked_fill_(wins, id_)
    return ids.cpu()


def _around(used: torch.Tensor) -> tuple[int, int]:
    """The first row or column that a mask may reach, and the one after the last."""
    places = used.nonzero().flatten().tolist()
    return max(0, places[0] - _MARGIN), min(len(used), places[-1] + 1 + _MARGIN)
