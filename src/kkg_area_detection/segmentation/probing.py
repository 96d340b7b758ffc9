"""How closely a drawing must be looked at, found out by looking: for networks with a small input.

Such a network sees a dwelling best as a whole, however large the scan, and a sheet of sixty rooms hardly at all.
Neither the size of the paper nor the number of pixels tells the two apart; the network itself does. A look copes
with about two dozen things. Where more are found, windows of half the size are worth their time. So they are where
the network is not sure of what it finds, but surer in a window. Smaller ones are, while it is no less sure in them.

"Things" are the segments of the label that covers most of the drawing: rooms, on a floor plan.

The numbers were chosen with the bundled model, on generated plans and drawings of ``benchmarks/styles.py``, which
with and without ``--tile none`` shows what the rule is worth.
"""

from __future__ import annotations

from collections import Counter
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
_MANY = 24  # things in one look
_SURE = 0.8  # mean score of things
_LESS_SURE = 0.025  # is worth it where a look is too full
_PARTS = (2, 3, 4, 6, 8, 12)  # of the longer edge: windows that are tried
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
    return _probe(segmenter, image, threshold, large=by_size is not None)


def _probe(segmenter: Segmenter, image: Image.Image, threshold: float, *, large: bool) -> TileSettings | None:
    def look(part: Image.Image) -> NDArray[np.float64]:
        return _things(segmenter.segment(part, threshold, "fine"))

    longest = max(image.size)
    things = look(image)
    many = len(things) >= _MANY
    unsure = _sureness(things) < _SURE and (large or len(things) >= _MANY / 2)
    tiles, sureness = None, 0.0 if many else _sureness(things)
    for parts in _PARTS:
        size = -(-longest // parts)
        if size < max(_input_shape(segmenter, image)):  # there is no more detail to be seen
            break
        full = len(things) >= _MANY
        if not full and not unsure:
            break
        things = look(image.crop(_busiest_window(image, size)))
        if _sureness(things) < sureness - (_LESS_SURE if full else 0):
            break
        if len(things):
            tiles, sureness = TileSettings(size, size // 4), _sureness(things)
    return tiles


def _sureness(scores: NDArray[np.float64]) -> float:
    return float(scores.mean()) if len(scores) else 0.0


def _input_shape(segmenter: Segmenter, image: Image.Image) -> tuple[int, int]:
    return input_shape(image.height, image.width, segmenter.settings)


def _things(result: SegmentationResult) -> NDArray[np.float64]:
    """Scores of the segments whose label covers most of the picture."""
    pixels, counts = Counter[int](), result.pixel_counts()
    for info in result["segments_info"]:
        pixels[info["label_id"]] += counts[info["id"]]
    main = max(pixels, key=lambda label: pixels[label], default=None)
    return np.array([info["score"] for info in result["segments_info"] if info["label_id"] == main])


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
