"""Large sheets: many windows, each as sharp as a page of its own, and one look at the whole.

A network sees a picture at the size of its input, and an A1 sheet of small rooms has vanished by then. Here it
sees windows of the sheet that overlap, one after the other, each prepared like a picture. ``merging`` makes one
set of segments of what they show and of what the whole sheet shows. All masks are kept on one grid for the
sheet, whose cells are those of a window's masks, so that no mask ever has the size of the sheet's pixels.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kkg_area_detection.errors import DeviceError
from kkg_area_detection.progress import SilentProgress
from kkg_area_detection.segmentation.device import explained_out_of_memory
from kkg_area_detection.segmentation.merging import (
    CoarsePiece,
    merge_pieces,
    paint_pieces,
    piece_in_window,
    piece_of_sheet,
)
from kkg_area_detection.segmentation.postprocessing import (
    PAINTING_GRIDS,
    measure_masks,
    nearest_index,
    rank_candidates,
)
from kkg_area_detection.segmentation.result import SegmentationResult, SegmentInfo
from kkg_area_detection.segmentation.segmenter import Segmenter, check_threshold
from kkg_area_detection.segmentation.streaming import default_batch_size
from kkg_area_detection.segmentation.windows import Box, Layout, TileSettings, lay_out

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray
    from PIL import Image

    from kkg_area_detection.progress import ItemProgress

logger = logging.getLogger(__name__)


def segment_tiled(
    segmenter: Segmenter,
    image: Image.Image,
    tiles: TileSettings,
    threshold: float = 0.5,
    progress: ItemProgress | None = None,
) -> SegmentationResult:
    """Find the segments of a picture through overlapping windows.

    Args:
        segmenter: The loaded model.
        image: Mode RGB, any size.
        tiles: The windows; see ``choose_tiles``.
        threshold: Least score of a segment, 0 to 1; for what a window shows and for what the whole shows.
        progress: Told of each window, and of the whole as of one more.

    Returns:
        The segments, in the picture's own pixels. Where windows show parts of a segment, its score is the best
        of theirs. Two segments of one label never overlap.

    Raises:
        UsageError: The threshold is not within 0 to 1.
        ImageError: The image is not in mode RGB.
        DeviceError: The device's memory was not enough.
    """
    check_threshold(threshold)
    progress = progress or SilentProgress()
    layout = lay_out(image.size, tiles, segmenter.settings)
    progress.start("Segmenting windows", len(layout.windows) + 1)
    coarse_pieces = _look_at_sheet(segmenter, image, layout, threshold)
    progress.advance(1)
    pieces = []
    for window, found in _look_through_windows(segmenter, image, layout, threshold):
        placed = (piece_in_window(*each, window, layout.grid_shape) for each in found)
        pieces += [piece for piece in placed if piece is not None]
        progress.advance(1)
    merged = merge_pieces(pieces, coarse_pieces, layout.grid_shape)
    segments_info: list[SegmentInfo] = [
        {"id": id_, "label_id": piece.label, "was_fused": False, "score": round(piece.score, 6)}
        for id_, piece in enumerate(merged)
    ]
    return SegmentationResult(
        id_grid=paint_pieces(merged, layout.grid_shape),
        row_index=layout.rows.cell_of_pixel(),
        column_index=layout.columns.cell_of_pixel(),
        segments_info=segments_info,
        id2label=segmenter.engine.id2label,
    )


# --- what they show ----------------------------------------------------------------------------------------


class _Found(NamedTuple):
    """Something that one look shows: its label, its score, and its mask on the grid of the look."""

    label: int
    score: float
    inside: NDArray[np.bool_]


def _look_at_sheet(
    segmenter: Segmenter, image: Image.Image, layout: Layout, threshold: float
) -> list[CoarsePiece]:
    outputs = segmenter.run(torch.from_numpy(segmenter.prepare(image))[None])
    found = _find(segmenter, outputs.class_logits[0], outputs.mask_logits[0], threshold)
    if not found:
        return []
    height, width = found[0].inside.shape
    rows = nearest_index(height, image.height)[layout.rows.middle_pixels()]
    columns = nearest_index(width, image.width)[layout.columns.middle_pixels()]
    pieces = (piece_of_sheet(*each, rows, columns) for each in found)
    return [piece for piece in pieces if piece is not None]


def _look_through_windows(
    segmenter: Segmenter, image: Image.Image, layout: Layout, threshold: float
) -> Iterator[tuple[Box, list[_Found]]]:
    """Run the windows, several at a time where that pays, and say what each shows."""
    batch_size = default_batch_size(segmenter.engine.device)
    windows = layout.windows
    shape = layout.rows.window_cells, layout.columns.window_cells
    while windows:
        batch = windows[:batch_size]
        pixels = np.stack([segmenter.prepare(layout.crop(window, image)) for window in batch])
        try:
            outputs = segmenter.run(torch.from_numpy(pixels))
        except DeviceError as error:
            if len(batch) == 1:
                raise
            batch_size = len(batch) // 2
            logger.warning("%s Going on with batches of %d.", error.what, batch_size)
            continue
        for window, class_logits, mask_logits in zip(batch, *outputs, strict=True):
            found = _find(segmenter, class_logits, mask_logits, threshold)
            yield window, [_resampled(each, shape) for each in found]
        windows = windows[len(batch) :]


def _find(
    segmenter: Segmenter, class_logits: torch.Tensor, mask_logits: torch.Tensor, threshold: float
) -> list[_Found]:
    """Score the queries of one look as ``find_segments`` does, but keep whole masks instead of painting them."""
    with explained_out_of_memory(segmenter.engine.device, "while segments were made of its results"):
        grid_shape = PAINTING_GRIDS[segmenter.settings.kind]
        height, width = grid_shape or mask_logits.shape[-2:]
        candidates = rank_candidates(class_logits, threshold)
        queries, position = torch.unique(candidates.queries, return_inverse=True)
        masks = measure_masks(mask_logits, queries, grid_shape, np.arange(height), np.arange(width))
        scores = (candidates.probabilities * masks.probabilities[position]).double()
        inside = masks.inside.cpu().numpy()
    return [
        _Found(label, score, inside[mask])
        for label, score, mask in zip(
            candidates.labels.tolist(), scores.tolist(), position.tolist(), strict=True
        )
        if score >= threshold
    ]


def _resampled(found: _Found, shape: tuple[int, int]) -> _Found:
    """Bring a mask to the sheet's grid where a network has another one than expected."""
    height, width = found.inside.shape
    if (height, width) == shape:
        return found
    cells = np.ix_(nearest_index(height, shape[0]), nearest_index(width, shape[1]))
    return found._replace(inside=found.inside[cells])
