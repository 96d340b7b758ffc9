"""From the network's logits to segments: transformers' instance post-processing, exactly, without its cost.

``post_process_instance_segmentation`` of transformers scores every query, enlarges every query's binary mask
to the size of the picture, and paints the masks one over the other. Nearest-neighbour enlargement only
repeats cells, so painting first and enlarging once gives the same map; and a query whose class probability is
below the threshold can never reach it, because its mask probability is at most 1. Hence the order here:

1. ``rank_candidates``: which queries may become segments, by class probability alone (a few hundred numbers);
2. ``measure_masks``: their masks and mean mask probabilities, on the network's grid;
3. ``paint``: ids on that grid. ``SegmentationResult`` enlarges it when somebody asks.

Kept from the original, because models and thresholds were tuned with it: the score, ``>=``, the painting
order of an unsorted ``topk``, a query that appears under two labels, covered segments that stay listed, and
segments left out because their mask vanishes when it is reduced.

The equality is exact on the CPU, for contiguous logits on a grid of a multiple of 32 cells, as networks give
them. On other grids the last few numbers of a tensor go through torch's scalar code, which rounds a sigmoid
differently, so that now and then a score differs in its sixth digit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch.nn import functional

from kkg_area_detection.segmentation.result import BACKGROUND, SegmentationResult, SegmentInfo

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from kkg_area_detection.segmentation.preprocessing import ProcessorKind

# The Mask2Former processor first resizes the logits to this grid; the MaskFormer processor does not.
PAINTING_GRIDS: Mapping[ProcessorKind, tuple[int, int] | None] = {
    "maskformer": None,
    "mask2former": (384, 384),
}

# Masks measured at a time: enough to keep the processor busy, few enough to keep the peak at some megabytes.
_MASKS_AT_ONCE = 8

# torch takes other code paths, with other roundings, for summing a single row and, on one thread, for
# resizing exactly three masks (as if they were red, green and blue). A smaller batch is filled up to this
# many, so that each mask gets the bits that it would get among all.
_FEWEST_ROWS = 4


class Candidates(NamedTuple):
    """Pairs of query and label whose class probability reaches the threshold, in painting order, on the CPU.

    Attributes:
        queries: Shape (K,), int64. A query may appear more than once, under different labels.
        labels: Shape (K,), int64.
        probabilities: Shape (K,), dtype of the class logits.
    """

    queries: torch.Tensor
    labels: torch.Tensor
    probabilities: torch.Tensor


class MeasuredMasks(NamedTuple):
    """The masks of some queries.

    Attributes:
        inside: Shape (K, h, w), bool, on the device of the mask logits.
        probabilities: Shape (K,), float32, on the CPU: mean probability inside the mask, 0 for an empty mask.
        visible: Shape (K,), bool, on the CPU: whether at least one pixel of the picture shows the mask.
    """

    inside: torch.Tensor
    probabilities: torch.Tensor
    visible: torch.Tensor


class ScoredSegments(NamedTuple):
    """Segments in painting order. A query may be there more than once, under different labels.

    Attributes:
        inside: Shape (K, h, w), bool: the masks of the queries that take part.
        masks: For each segment, the place of its mask in ``inside``.
        queries: For each segment, its query.
        labels: For each segment, its class index.
        scores: For each segment, its score.
    """

    inside: torch.Tensor
    masks: list[int]
    queries: list[int]
    labels: list[int]
    scores: list[float]


def find_segments(
    class_logits: torch.Tensor,
    mask_logits: torch.Tensor,
    *,
    image_shape: tuple[int, int],
    threshold: float,
    grid_shape: tuple[int, int] | None,
    id2label: dict[int, str],
) -> SegmentationResult:
    """Turn the logits of one picture into its segments.

    Args:
        class_logits: Shape (Q, C + 1), floating point, any device; the last column is "no object".
        mask_logits: Shape (Q, h, w), floating point, any device.
        image_shape: Height and width of the picture in pixels.
        threshold: Least score of a segment.
        grid_shape: Height and width of the grid to paint on: a value of ``PAINTING_GRIDS``.
        id2label: Class index to label.

    Returns:
        The segments. NaN logits never become one.
    """
    grid_height, grid_width = grid_shape or mask_logits.shape[-2:]
    row_index = nearest_index(grid_height, image_shape[0])
    column_index = nearest_index(grid_width, image_shape[1])
    found = score_segments(
        class_logits,
        mask_logits,
        threshold=threshold,
        grid_shape=grid_shape,
        row_index=row_index,
        column_index=column_index,
    )
    return SegmentationResult(
        id_grid=paint(found.inside, found.masks),
        row_index=row_index,
        column_index=column_index,
        segments_info=segment_infos(found.labels, found.scores),
        id2label=id2label,
    )


def score_segments(
    class_logits: torch.Tensor,
    mask_logits: torch.Tensor,
    *,
    threshold: float,
    grid_shape: tuple[int, int] | None,
    row_index: NDArray[np.intp],
    column_index: NDArray[np.intp],
) -> ScoredSegments:
    """Find the segments of one picture and their scores, without painting them.

    Args:
        class_logits: Shape (Q, C + 1).
        mask_logits: Shape (Q, h, w).
        threshold: Least score of a segment.
        grid_shape: Height and width of the grid to resize the mask logits to first, or None.
        row_index: The row of the grid that each row of the picture shows.
        column_index: The same for columns.

    Returns:
        The segments in painting order.
    """
    candidates = rank_candidates(class_logits, threshold)
    queries, position = torch.unique(candidates.queries, return_inverse=True)
    masks = measure_masks(mask_logits, queries, grid_shape, row_index, column_index)
    scores = candidates.probabilities * masks.probabilities[position]
    # In float64, as Python's own numbers: a threshold rounded to float32 could change the answer.
    chosen = (scores.double() >= threshold) & masks.visible[position]
    return ScoredSegments(
        inside=masks.inside,
        masks=position[chosen].tolist(),
        queries=candidates.queries[chosen].tolist(),
        labels=candidates.labels[chosen].tolist(),
        scores=scores[chosen].tolist(),
    )


def segment_infos(labels: Iterable[int], scores: Iterable[float]) -> list[SegmentInfo]:
    """Describe segments as transformers does; their ids are their places."""
    return [
        {"id": id_, "label_id": label, "was_fused": False, "score": round(score, 6)}
        for id_, (label, score) in enumerate(zip(labels, scores, strict=True))
    ]


def rank_candidates(class_logits: torch.Tensor, threshold: float) -> Candidates:
    """Choose what may become a segment, by class probability alone.

    It happens on the CPU wherever the logits are: these are a few hundred numbers, and the order in which an
    unsorted ``topk`` gives them, which is the painting order, would differ on another device.

    Args:
        class_logits: Shape (Q, C + 1).
        threshold: Least score of a segment.

    Returns:
        Of the Q most probable pairs of query and label, those that reach the threshold, in painting order.
    """
    num_queries = class_logits.shape[0]
    num_labels = class_logits.shape[1] - 1
    probabilities = class_logits.cpu().softmax(dim=-1)[:, :-1].flatten()
    best, pairs = probabilities.topk(num_queries, sorted=False)
    possible = best.double() >= threshold
    best, pairs = best[possible], pairs[possible]
    return Candidates(queries=pairs // num_labels, labels=pairs % num_labels, probabilities=best)


def measure_masks(
    mask_logits: torch.Tensor,
    queries: torch.Tensor,
    grid_shape: tuple[int, int] | None,
    row_index: NDArray[np.intp],
    column_index: NDArray[np.intp],
) -> MeasuredMasks:
    """Binarise some masks and measure them, a few at a time.

    Args:
        mask_logits: Shape (Q, h, w), floating point, any device.
        queries: Shape (K,), int64, on the CPU: which masks.
        grid_shape: Height and width to resize the logits to first, or None.
        row_index: The row of the grid that each row of the picture shows.
        column_index: The same for columns.

    Returns:
        The K masks, in the order of ``queries``.
    """
    height, width = grid_shape or mask_logits.shape[-2:]
    inside = torch.empty((len(queries), height, width), dtype=torch.bool, device=mask_logits.device)
    probabilities = torch.empty(len(queries), device=mask_logits.device)
    for start in range(0, len(queries), _MASKS_AT_ONCE):
        batch = queries[start : start + _MASKS_AT_ONCE]
        rows = slice(start, start + len(batch))
        logits = mask_logits[_filled_up(batch, mask_logits.shape[0]).to(mask_logits.device)]
        if grid_shape is not None:
            logits = _resized(logits, grid_shape)
        inside[rows] = (logits > 0)[: len(batch)]
        probabilities[rows] = mean_probability(logits)[: len(batch)]
    return MeasuredMasks(
        inside=inside, probabilities=probabilities.cpu(), visible=_visible(inside, row_index, column_index)
    )


def mean_probability(mask_logits: torch.Tensor) -> torch.Tensor:
    """Average each mask's probability over its inside, with transformers' own formula and dtypes.

    Args:
        mask_logits: Shape (K, h, w), floating point.

    Returns:
        Shape (K,), float32, at most 1. 0 for an empty mask, NaN where a logit is NaN.
    """
    inside = (mask_logits > 0).float().flatten(1)
    return (mask_logits.sigmoid().flatten(1) * inside).sum(1) / (inside.sum(1) + 1e-6)


def paint(inside: torch.Tensor, masks: list[int]) -> NDArray[np.int32]:
    """Paint masks one over the other.

    Args:
        inside: Shape (K, h, w), bool, any device.
        masks: Which masks, in painting order; the place in this list is the id that is painted.

    Returns:
        Shape (h, w), int32: the id that was painted last, -1 where none was.
    """
    grid = torch.full(inside.shape[1:], BACKGROUND, dtype=torch.int32, device=inside.device)
    for id_, mask in enumerate(masks):
        grid.masked_fill_(inside[mask], id_)
    painted: NDArray[np.int32] = grid.cpu().numpy()
    return painted


def nearest_index(source: int, target: int) -> NDArray[np.intp]:
    """Say which source cell each target pixel shows in a nearest-neighbour resize along one side.

    The rule is taken from torch itself by resizing a ramp: it computes in float32, and doing the division
    differently would shift a border here and there by a pixel.

    Args:
        source: Number of cells; at most 2 ** 24, up to where float32 can count.
        target: Number of pixels.

    Returns:
        Shape (target,): never decreasing, from 0 to at most ``source - 1``.
    """
    ramp = torch.arange(source, dtype=torch.float32).view(1, 1, source, 1)
    index: NDArray[np.intp] = (
        functional.interpolate(ramp, size=(target, 1), mode="nearest").view(-1).numpy().astype(np.intp)
    )
    return index


def _resized(logits: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """Resize (K, h, w) logits bilinearly."""
    return functional.interpolate(logits[None], size=shape, mode="bilinear", align_corners=False)[0]


def _filled_up(batch: torch.Tensor, num_queries: int) -> torch.Tensor:
    """Repeat a query until the batch is as large as needed, or as large as all queries together."""
    missing = min(num_queries, _FEWEST_ROWS) - len(batch)
    return torch.cat([batch, batch[:1].expand(missing)]) if missing > 0 else batch


def _visible(
    inside: torch.Tensor, row_index: NDArray[np.intp], column_index: NDArray[np.intp]
) -> torch.Tensor:
    """Say which of (K, h, w) masks keep a cell in the picture; where it is small, not all cells are shown."""
    rows, columns = np.unique(row_index), np.unique(column_index)
    if len(rows) < inside.shape[1]:
        inside = inside[:, torch.from_numpy(rows).to(inside.device)]
    if len(columns) < inside.shape[2]:
        inside = inside[:, :, torch.from_numpy(columns).to(inside.device)]
    return inside.flatten(1).any(dim=1).cpu()
