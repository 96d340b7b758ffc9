"""How closely a drawing must be looked at, found out by looking: for networks with a small input.

Such a network sees a sheet of sixty rooms too coarsely to find many, and a single dwelling well. Neither the size
of the paper nor the number of pixels tells the two apart; the network itself does. Where it finds many things on
the whole drawing but is not sure of them, windows of half its size are worth their time. Where the things in the
busiest window are small, too, smaller windows are.

"Things" are the segments of the label that covers most of the drawing: rooms, on a floor plan.

The numbers were chosen with the bundled model, on 40 generated plans and 28 drawings of ``benchmarks/styles.py``.
On 60 other generated plans they raise the mean F1 of rooms from 0.54 to 0.66, while walls, of which each window
shows a piece, get a little worse.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from kkg_area_detection.segmentation.preprocessing import input_shape
from kkg_area_detection.segmentation.windows import TileOption, TileSettings, choose_tiles

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

    from kkg_area_detection.segmentation.result import SegmentationResult
    from kkg_area_detection.segmentation.segmenter import Segmenter

_SMALL_INPUT = 640  # pixels of the longer edge; for larger networks, the size of the paper decides
_MANY = 6  # things on the whole drawing
_SURE = 0.9  # mean score of things
# Into how many windows the longer edge is divided, and the share of a window that a thing has at least.
_LEVELS = ((2, 0.03), (3, 0.015), (4, 0.015), (6, 0.015), (8, 0.015), (12, 0.0))
_POSITIONS = 5  # along each side, at which windows are compared
_THUMBNAIL = 512  # pixels: enough to see where the ink is
_EDGE = 40  # levels of grey from a pixel to the next


def find_tiles(
    tile: TileOption, segmenter: Segmenter, image: Image.Image, threshold: float = 0.5
) -> TileSettings | None:
    """Decide whether a picture is seen through windows, and through which.

    Args:
        tile: As for ``choose_tiles``. ``"auto"`` probes the picture where the network's input is small.
        segmenter: The loaded model.
        image: Mode RGB.
        threshold: Least score of a segment, 0 to 1.

    Returns:
        The windows; None where the picture is seen as a whole.

    Raises:
        UsageError: ``tile`` is none of these, or a size or overlap cannot be one.
        DeviceError: The device's memory was not enough.
    """
    by_size = choose_tiles(tile, image.size, segmenter.settings)
    if tile != "auto" or max(_input_shape(segmenter, image)) > _SMALL_INPUT:
        return by_size
    by_look = _probe(segmenter, image, threshold)
    return min((one for one in (by_size, by_look) if one), key=lambda one: one.size, default=None)


def _probe(segmenter: Segmenter, image: Image.Image, threshold: float) -> TileSettings | None:
    scores, _ = _things(segmenter.segment(image, threshold, "fine"))
    if len(scores) < _MANY or scores.mean() >= _SURE:
        return None
    longest, tiles = max(image.size), None
    for parts, least_share in _LEVELS:
        size = -(-longest // parts)
        if size < max(_input_shape(segmenter, image)):  # there is no more detail to be seen
            break
        tiles = TileSettings(size, size // 4)
        left, top, right, bottom = _busiest_window(image, size)
        _, shares = _things(segmenter.segment(image.crop((left, top, right, bottom)), threshold, "fine"))
        if not len(shares) or np.median(shares) >= least_share:
            break
    return tiles


def _input_shape(segmenter: Segmenter, image: Image.Image) -> tuple[int, int]:
    return input_shape(image.height, image.width, segmenter.settings)


def _things(result: SegmentationResult) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Scores of the segments of the main label; and, of those that no border cuts, the shares of the picture."""
    counts, borders = result.pixel_counts(), _border_ids(result)
    total: defaultdict[int, int] = defaultdict(int)
    for info in result["segments_info"]:
        total[info["label_id"]] += counts[info["id"]]
    main = max(total, key=lambda label: total[label], default=None)
    things = [info for info in result["segments_info"] if info["label_id"] == main]
    pixels = result.width * result.height
    shares = [counts[info["id"]] / pixels for info in things if info["id"] not in borders]
    return np.array([info["score"] for info in things]), np.array(shares)


def _border_ids(result: SegmentationResult) -> set[int]:
    """Ids of segments that touch the border of the picture."""
    grid = result.id_grid[np.ix_(np.unique(result.row_index), np.unique(result.column_index))]
    return {*grid[0].tolist(), *grid[-1].tolist(), *grid[:, 0].tolist(), *grid[:, -1].tolist()}


def _busiest_window(image: Image.Image, size: int) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the window with the most edges, among some; no larger than the picture."""
    scale = min(1.0, _THUMBNAIL / max(image.size))
    small = image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))))
    grey = np.asarray(small.convert("L"), dtype=np.int16)  # small first: a copy of the picture would be large
    edges = np.zeros(grey.shape, dtype=np.int64)
    edges[:, 1:] += np.abs(np.diff(grey, axis=1)) > _EDGE
    edges[1:] += np.abs(np.diff(grey, axis=0)) > _EDGE
    sums = np.pad(edges.cumsum(axis=0).cumsum(axis=1), ((1, 0), (1, 0)))
    height, width = min(size, image.height), min(size, image.width)
    best = (-1, (0, 0, width, height))
    for top in np.linspace(0, image.height - height, _POSITIONS).astype(int).tolist():
        for left in np.linspace(0, image.width - width, _POSITIONS).astype(int).tolist():
            rows, columns = (
                np.round(np.array(ends) * scale).astype(int)
                for ends in ((top, top + height), (left, left + width))
            )
            corners = sums[np.ix_(rows.clip(max=len(grey)), columns.clip(max=grey.shape[1]))]
            number = int(corners[1, 1] - corners[0, 1] - corners[1, 0] + corners[0, 0])
            best = max(best, (number, (left, top, left + width, top + height)))
    return best[1]
