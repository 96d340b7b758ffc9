"""Pictures to check a result at a glance."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from kkg_area_detection.areas.segments import id_map
from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation

# Okabe and Ito's palette, which people with any kind of colour vision can tell apart
# (https://jfly.uni-koeln.de/color/); its black is left out, because walls are black on paper.
PALETTE = (
    (86, 180, 233),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (0, 114, 178),
    (240, 228, 66),
)
_FILL_OPACITY = 0.4
_JAPANESE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansJP-Regular.otf",
    "YuGothM.ttc",
    "meiryo.ttc",
    "msgothic.ttc",
    "ヒラギノ角ゴシック W3.ttc",
    "ipagp.ttf",
    "ipaexg.ttf",
    "VL-PGothic-Regular.ttf",
)


def draw_segments(image: ImageLike, result: Segmentation) -> Image.Image:
    """Lay the segments over the drawing: translucent fills, crisp borders, each one's id, and a legend below.

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
    ids = id_map(result)
    if ids.shape != (drawing.height, drawing.width):
        raise UsageError(
            f"The image has {drawing.width} x {drawing.height} pixels, but the result is for "
            f"{ids.shape[1]} x {ids.shape[0]}.",
            next_step="pass the image that the result was made from.",
        )
    label_ids = {info["id"]: info["label_id"] for info in result["segments_info"]}
    painted = Image.fromarray(_paint(np.asarray(drawing), ids, label_ids))
    font_size = max(10, round(min(drawing.size) / 55))
    _write_ids(painted, ids, font_size)
    used = sorted(set(label_ids.values()))
    return _with_legend(painted, [(result.id2label[label], _colour(label)) for label in used], font_size)


def _paint(
    drawing: NDArray[np.uint8], ids: NDArray[np.int32], label_ids: dict[int, int]
) -> NDArray[np.uint8]:
    """Fill and outline the segments; shapes (H, W, 3), (H, W) -> (H, W, 3)."""
    lut = np.zeros((max(label_ids, default=-1) + 2, 3), dtype=np.uint8)  # the last row, -1, is background
    for segment_id, label_id in label_ids.items():
        lut[segment_id] = _colour(label_id)
    painted = drawing.copy()
    border_width = max(1, round(min(ids.shape) / 600))
    border = _border(ids, border_width)
    band = 512  # rows at a time, so that a 10000 x 7000 sheet needs no full-size float copies
    for top in range(0, ids.shape[0], band):
        rows = slice(top, top + band)
        colours = lut[ids[rows]]
        inside = ids[rows] >= 0
        mixed = painted[rows] * (1 - _FILL_OPACITY) + colours * _FILL_OPACITY
        painted[rows][inside] = mixed[inside].astype(np.uint8)
        painted[rows][border[rows]] = colours[border[rows]] // 2 + colours[border[rows]] // 4
    return painted


def _border(ids: NDArray[np.int32], width: int) -> NDArray[np.bool_]:
    """Pixels of a segment that lie within ``width`` of another id; shape (H, W)."""
    border = np.zeros(ids.shape, dtype=bool)
    for shift in range(1, width + 1):
        across = ids[:, shift:] != ids[:, :-shift]
        border[:, shift:] |= across
        border[:, :-shift] |= across
        down = ids[shift:] != ids[:-shift]
        border[shift:] |= down
        border[:-shift] |= down
    return border & (ids >= 0)


def _write_ids(image: Image.Image, ids: NDArray[np.int32], font_size: int) -> None:
    pen = ImageDraw.Draw(image)
    font = _font(font_size, "0123456789")
    for segment_id, x, y, room in _roomy_points(ids):
        text = str(segment_id)
        left, top, right, bottom = pen.textbbox((x, y), text, font=font, anchor="mm")
        if right - left <= 2 * room and bottom - top <= 2 * room:  # else the number would hide the drawing
            pad = font_size // 4
            pen.rounded_rectangle((left - pad, top - pad, right + pad, bottom + pad), pad, fill="white")
            pen.text((x, y), text, font=font, anchor="mm", fill="black")


def _roomy_points(ids: NDArray[np.int32]) -> Iterator[tuple[int, float, float, float]]:
    """For each visible segment, the point deepest inside it.

    Yields:
        Id, x, y (pixels) and the distance to the nearest border there, found on a coarse copy by peeling the
        segments like onions.
    """
    step = max(1, max(ids.shape) // 400)
    coarse = np.pad(ids[step // 2 :: step, step // 2 :: step], 1, constant_values=-2)
    alive = coarse >= 0
    deepest: dict[int, tuple[int, int, int]] = {}
    depth = 0
    while alive.any():
        depth += 1
        rows, columns = np.nonzero(alive)
        found = coarse[rows, columns]
        order = np.argsort(found, kind="stable")
        rows, columns, found = rows[order], columns[order], found[order]
        starts = np.flatnonzero(np.diff(found, prepend=-2))
        middles = (starts + np.append(starts[1:], found.size)) // 2
        for number in middles:
            deepest[int(found[number])] = (int(rows[number]), int(columns[number]), depth)
        core = alive.copy()
        for axis in (0, 1):
            for shift in (1, -1):
                core &= np.roll(alive, shift, axis) & (np.roll(coarse, shift, axis) == coarse)
        alive = core
    for segment_id, (row, column, depth_there) in deepest.items():
        yield segment_id, (column - 0.5) * step, (row - 0.5) * step, depth_there * step


def _with_legend(
    image: Image.Image, entries: list[tuple[str, tuple[int, int, int]]], font_size: int
) -> Image.Image:
    if not entries:
        return image
    font = _font(font_size, "".join(name for name, _ in entries))
    height = 2 * font_size
    framed = Image.new("RGB", (image.width, image.height + height), "white")
    framed.paste(image)
    pen = ImageDraw.Draw(framed)
    x, y = float(font_size // 2), image.height + height / 2
    for name, colour in entries:
        pen.rectangle((x, y - font_size / 2, x + font_size, y + font_size / 2), fill=colour)
        pen.text((x + 1.4 * font_size, y), name, font=font, anchor="lm", fill="black")
        x += 2.4 * font_size + pen.textlength(name, font=font)
    return framed


def _colour(label_id: int) -> tuple[int, int, int]:
    return PALETTE[label_id % len(PALETTE)]


def _font(size: int, text: str) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or for other scripts the first Japanese font that this machine has."""
    for name in () if text.isascii() else _JAPANESE_FONTS:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size)
