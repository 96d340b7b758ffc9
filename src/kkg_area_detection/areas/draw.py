"""Pictures to check a result at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from kkg_area_detection.areas.lettering import font_for, write_legend
from kkg_area_detection.areas.paint import paint_segments
from kkg_area_detection.areas.palette import colour_of
from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation


def draw_segments(image: ImageLike, result: Segmentation) -> Image.Image:
    """Lay the segments over the drawing: translucent fills, crisp borders, each one's id, and a legend below.

    Beside the drawing and the picture returned it needs a few megabytes only, whatever their size.

    Args:
        image: The image that was segmented; see ``get_segmentation_result`` for the kinds accepted.
        result: What ``get_segmentation_result`` returned for it.

    Returns:
        An RGB image as wide as the drawing and a little higher, because of the legend. A label has the same
        colour in every picture of the same model.

    Raises:
        UsageError: Image and result differ in size.
        ImageError: The image cannot be read.
    """
    drawing = open_image(image)
    size = (len(result.column_index), len(result.row_index))
    if drawing.size != size:
        raise UsageError(
            f"The image has {drawing.width} x {drawing.height} pixels, but the result is for "
            f"{size[0]} x {size[1]}.",
            next_step="pass the image that the result was made from.",
        )
    labels = {info["id"]: info["label_id"] for info in result["segments_info"]}
    font_size = max(10, round(min(drawing.size) / 55))
    legend_height = 2 * font_size if labels else 0
    sheet = Image.new("RGB", (drawing.width, drawing.height + legend_height), None)  # painted over anyway
    paint_segments(drawing, result, {id_: colour_of(label) for id_, label in labels.items()}, sheet)
    sheet.paste("white", (0, drawing.height, sheet.width, sheet.height))
    _write_ids(sheet, result, font_size)
    entries = [(result.id2label[label], colour_of(label)) for label in sorted(set(labels.values()))]
    write_legend(sheet, drawing.height + legend_height / 2, entries, font_size)
    return sheet


def _write_ids(sheet: Image.Image, result: Segmentation, font_size: int) -> None:
    pen = ImageDraw.Draw(sheet)
    font = font_for("0123456789", font_size)
    for segment_id, x, y, room in _roomy_points(result):
        text = str(segment_id)
        left, top, right, bottom = pen.textbbox((x, y), text, font=font, anchor="mm")
        if right - left <= 2 * room and bottom - top <= 2 * room:  # else the number would hide the drawing
            pad = font_size // 4
            pen.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), pad, fill="white")
            pen.text((x, y), text, font=font, anchor="mm", fill="black")


def _roomy_points(result: Segmentation) -> Iterator[tuple[int, float, float, float]]:
    """For each visible segment, the point deepest inside it, found on a coarse copy.

    Yields:
        Id, x, y (pixels) and the distance to the nearest border there.
    """
    height, width = len(result.row_index), len(result.column_index)
    step = max(1, max(height, width) // 400)
    sample = slice(step // 2, None, step)
    coarse = result.id_grid[np.ix_(result.row_index[sample], result.column_index[sample])]
    depth = _depth(coarse)
    rows, columns = np.nonzero(depth)
    ids, depths = coarse[rows, columns], depth[rows, columns]
    order = np.lexsort((depths, ids))
    rows, columns, ids, depths = rows[order], columns[order], ids[order], depths[order]
    starts = np.flatnonzero(np.diff(ids, prepend=-1))
    for start, end in pairwise([*starts, ids.size]):
        deepest = depths[end - 1]
        first = start + np.searchsorted(depths[start:end], deepest)
        middle = (first + end) // 2  # of the points that are equally deep
        x, y = (columns[middle] + 0.5) * step, (rows[middle] + 0.5) * step
        yield int(ids[middle]), float(x), float(y), float(deepest * step)


def _depth(ids: NDArray[np.int32]) -> NDArray[np.int32]:
    """How many steps each cell of a segment is from another id, by peeling the segments like onions."""
    padded = np.pad(ids, 1, constant_values=-2)
    inside = padded[1:-1, 1:-1]
    alike = (
        (padded[:-2, 1:-1] == inside)
        & (padded[2:, 1:-1] == inside)
        & (padded[1:-1, :-2] == inside)
        & (padded[1:-1, 2:] == inside)
    )
    alive = np.pad(ids >= 0, 1)
    depth = np.zeros(ids.shape, dtype=np.int32)
    while alive.any():
        core = alive[1:-1, 1:-1]
        depth += core
        core = alike & core & alive[:-2, 1:-1] & alive[2:, 1:-1] & alive[1:-1, :-2] & alive[1:-1, 2:]
        alive = np.pad(core, 1)
    return depth
