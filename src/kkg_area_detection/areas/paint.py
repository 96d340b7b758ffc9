"""Painting segments over a drawing, straight from the small grid on which they were found.

All pixels that show one cell of the grid look alike, but for those near another segment, which are its border. So
a sheet falls into stripes, across and down, within which nothing changes. What is to be painted is decided once for
each crossing of two stripes; then the drawing is blended stripe by stripe, and nothing but the picture is ever held
at full size.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from kkg_area_detection.areas.segments import Segmentation

# Opacities in 256ths: whole numbers in 16 bits are several times as fast as floats.
_OPAQUE = 256
_FILL = 102


def paint_segments(
    drawing: Image.Image,
    result: Segmentation,
    colours: Mapping[int, tuple[int, int, int]],
    sheet: Image.Image,
) -> None:
    """Paint a drawing and its segments, filled and outlined, onto the top of a sheet.

    Args:
        drawing: RGB.
        result: Its segments.
        colours: RGB colour of each segment id.
        sheet: RGB, as wide as the drawing and at least as high.
    """
    border_width = max(1, round(min(drawing.size) / 600))
    rows = _Stripes.along(result.row_index, border_width)
    columns = _Stripes.along(result.column_index, border_width)
    grid = result.id_grid[np.ix_(rows.cells, columns.cells)]
    ids = grid[np.ix_(rows.cell, columns.cell)]
    borders = _borders(grid, rows)[:, columns.cell] | _borders(grid.T, columns)[:, rows.cell].T
    opacity, ink = _style(ids, borders, colours)
    stripe_of_pixel = np.repeat(np.arange(len(columns.cell)), columns.length)
    tops = np.cumsum(rows.length) - rows.length
    for stripe, (top, height) in enumerate(zip(tops.tolist(), rows.length.tolist(), strict=True)):
        painted = _blend(
            np.asarray(drawing.crop((0, top, drawing.width, top + height))),
            opacity[stripe][stripe_of_pixel, None],
            ink[stripe][stripe_of_pixel],
        )
        sheet.paste(Image.fromarray(painted), (0, top))


@dataclass(frozen=True, slots=True)
class _Stripes:
    """One axis of the picture, cut into runs of pixels that look alike.

    Attributes:
        cells: The cells of the grid that have pixels. The attributes below are places in this list.
        cell: Cell of each stripe.
        first: First cell within reach of the stripe's pixels.
        last: Last one.
        length: Pixels of each stripe.
    """

    cells: NDArray[np.intp]
    cell: NDArray[np.intp]
    first: NDArray[np.intp]
    last: NDArray[np.intp]
    length: NDArray[np.intp]

    @classmethod
    def along(cls, index: NDArray[np.intp], reach: int) -> _Stripes:
        """Cut one axis.

        Args:
            index: Cell of each pixel; never decreases.
            reach: How many pixels away another segment makes a border.
        """
        cells, cell = np.unique(index, return_inverse=True)
        pixels = np.arange(len(index))
        first = cell[np.maximum(pixels - reach, 0)]
        last = cell[np.minimum(pixels + reach, len(index) - 1)]
        kinds = np.stack((cell, first, last))
        starts = np.flatnonzero(np.any(np.diff(kinds, prepend=-1), axis=0))
        length = np.diff(starts, append=len(index))
        return cls(cells, cell[starts], first[starts], last[starts], length)


def _borders(grid: NDArray[np.int32], stripes: _Stripes) -> NDArray[np.bool_]:
    """Where stripes lie within reach of another id; shape (number of stripes, grid's columns)."""
    changes = np.zeros(grid.shape, dtype=np.int32)
    np.cumsum(grid[1:] != grid[:-1], axis=0, out=changes[1:])
    return np.not_equal(changes[stripes.first], changes[stripes.last])


def _style(
    ids: NDArray[np.int32], borders: NDArray[np.bool_], colours: Mapping[int, tuple[int, int, int]]
) -> tuple[NDArray[np.uint16], NDArray[np.uint16]]:
    """How much of the drawing stays, shape (h, w), and what is added to it, (h, w, 3); both in 256ths."""
    table = np.zeros((max(colours, default=-1) + 2, 3), dtype=np.uint16)  # the last row, -1, is background
    for segment_id, colour in colours.items():
        table[segment_id] = colour
    inside = ids >= 0
    stays = np.where(inside, np.where(borders, 0, _OPAQUE - _FILL), _OPAQUE).astype(np.uint16)
    strength = np.where(inside, np.where(borders, _OPAQUE * 3 // 4, _FILL), 0).astype(np.uint16)
    return stays, table[ids] * strength[..., None]


def _blend(
    drawing: NDArray[np.uint8], stays: NDArray[np.uint16], ink: NDArray[np.uint16]
) -> NDArray[np.uint8]:
    mixed = np.multiply(drawing, stays, dtype=np.uint16)
    mixed += ink
    mixed >>= 8
    return mixed.astype(np.uint8)
