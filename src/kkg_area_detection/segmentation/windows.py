"""Where the windows stand through which a large sheet is seen. Pure numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

import numpy as np

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.postprocessing import PAINTING_GRIDS
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings, input_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL import Image

_MASK_STRIDE = 4  # a cell of a mask is so many pixels of the network's input wide
_LEAST_SIZE = 64

# What "auto" goes by: a page of A4 at 200 dpi, the longer side first.
_A4 = (2339, 1654)
# At 200 dpi and 1/100, an inner wall of 10 cm is 8 pixels thick. Reduced by more than this, it has less than
# 2 pixels of the input and half a cell of a mask.
_MOST_REDUCTION = 4.0
# A sheet one size larger than A4 is reduced 1.4 times as much; two sizes larger, twice as much.
_WORTH_TILING = 1.75


@dataclass(frozen=True)
class TileSettings:
    """The windows through which a sheet is seen.

    Attributes:
        size: Side of a window in pixels of the picture, at least 64.
        overlap: Width of the zone that neighbouring windows both see, in pixels: at least 1, at most half of
            ``size``. What is smaller than the zone is whole in some window.

    Raises:
        UsageError: One of them is not a whole number, too small, or too large.
    """

    size: int
    overlap: int

    def __post_init__(self) -> None:
        if not (_is_whole_number(self.size) and _is_whole_number(self.overlap)):
            raise _bad_tiles(self.size, self.overlap, "both must be whole numbers of pixels.")
        if self.size < _LEAST_SIZE:
            raise _bad_tiles(self.size, self.overlap, f"a window must be at least {_LEAST_SIZE} pixels wide.")
        if not 1 <= self.overlap <= self.size // 2:
            raise _bad_tiles(
                self.size, self.overlap, "the overlap must be at least 1 pixel and at most half of the size."
            )


TileOption: TypeAlias = TileSettings | tuple[int, int] | Literal["auto"] | None


def choose_tiles(
    tile: TileOption, image_size: tuple[int, int], settings: ProcessorSettings
) -> TileSettings | None:
    """Decide whether a picture is seen through windows, and through which.

    ``"auto"`` wants the sheet as sharp as the model sees a page of A4 at 200 dpi, or reduced to a quarter where
    it sees that more coarsely. A picture that is reduced less than 1.75 times as much is not tiled: one of A3
    at 200 dpi, or of A4 at 300 dpi, for a model whose input is about 1000 pixels wide.

    Args:
        tile: The windows, their size and overlap in pixels, ``"auto"``, or None for none.
        image_size: Width and height of the picture in pixels.
        settings: How the model wants its images.

    Returns:
        The windows; None where the picture is seen as a whole, because it is asked for, or is small.

    Raises:
        UsageError: ``tile`` is none of these, or a size or overlap cannot be one.
    """
    match tile:
        case None:
            return None
        case "auto":
            tiles = _automatic_tiles(image_size, settings)
        case TileSettings():
            tiles = tile
        case (size, overlap):
            tiles = TileSettings(size, overlap)
        case _:
            raise UsageError(
                f"tile is {tile!r}.",
                next_step='pass "auto", or the size and the overlap of the windows in pixels: (2048, 512).',
            )
    return None if tiles is None or max(image_size) <= tiles.size else tiles


def _automatic_tiles(image_size: tuple[int, int], settings: ProcessorSettings) -> TileSettings | None:
    if not settings.do_resize:
        return None
    width, height = image_size
    page = _A4 if height >= width else _A4[::-1]
    reduction = min(max(_reduction(*page, settings), 1.0), _MOST_REDUCTION)
    if _reduction(height, width, settings) <= _WORTH_TILING * reduction:
        return None
    size = max(round(reduction * min(input_shape(_A4[0], _A4[0], settings))), _LEAST_SIZE)
    return TileSettings(size, size // 4)


def _reduction(height: int, width: int, settings: ProcessorSettings) -> float:
    """How many pixels of a picture become one of the network's input."""
    input_height, input_width = input_shape(height, width, settings)
    return max(height / input_height, width / input_width)


def _is_whole_number(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _bad_tiles(size: object, overlap: object, cause: str) -> UsageError:
    return UsageError(
        f"Windows of {size!r} pixels with an overlap of {overlap!r} cannot be used.",
        cause=cause,
        next_step='pass tile="auto", or a size and an overlap such as (2048, 512).',
    )


# --- on the sheet's grid -----------------------------------------------------------------------------------


class Box(NamedTuple):
    """A rectangle of cells of the sheet's grid; ``bottom`` and ``right`` are the first ones outside."""

    top: int
    left: int
    bottom: int
    right: int

    def intersection(self, other: Box) -> Box:
        """What both share; it may be upside down where they share nothing."""
        return Box(
            max(self.top, other.top),
            max(self.left, other.left),
            min(self.bottom, other.bottom),
            min(self.right, other.right),
        )

    def slices(self, origin: Box) -> tuple[slice, slice]:
        """The rectangle as rows and columns of an array that begins where ``origin`` does."""
        return (
            slice(max(self.top - origin.top, 0), max(self.bottom - origin.top, 0)),
            slice(max(self.left - origin.left, 0), max(self.right - origin.left, 0)),
        )


class Side(NamedTuple):
    """One side of the sheet, cut into cells and windows.

    Attributes:
        length: Of the sheet, in pixels.
        window: Length of a window in pixels.
        window_cells: Length of a window in cells.
        starts: The first cell of each window.
    """

    length: int
    window: int
    window_cells: int
    starts: list[int]

    @property
    def cells(self) -> int:
        """Length of the sheet in whole cells. Less than one cell may be left over at the end."""
        return self.starts[-1] + self.window_cells

    def first_pixel(self, cell: int) -> int:
        """The first pixel of a cell."""
        return -(-cell * self.window // self.window_cells)

    def cell_of_pixel(self) -> NDArray[np.intp]:
        """The cell of each pixel, shape (length,); what is left over at the end shows the last one."""
        pixels = np.arange(self.length, dtype=np.intp)
        return np.minimum(pixels * self.window_cells // self.window, self.cells - 1)

    def middle_pixels(self) -> NDArray[np.intp]:
        """The pixel in the middle of each cell, shape (cells,)."""
        first = -(-np.arange(self.cells + 1, dtype=np.intp) * self.window // self.window_cells)
        return (first[:-1] + first[1:] - 1) // 2


class Layout(NamedTuple):
    """The sheet's grid and the windows on it."""

    rows: Side
    columns: Side

    @property
    def grid_shape(self) -> tuple[int, int]:
        """Rows and columns of the sheet's grid."""
        return self.rows.cells, self.columns.cells

    @property
    def windows(self) -> list[Box]:
        """The windows in cells, row by row."""
        height, width = self.rows.window_cells, self.columns.window_cells
        return [
            Box(top, left, top + height, left + width)
            for top in self.rows.starts
            for left in self.columns.starts
        ]

    def crop(self, window: Box, image: Image.Image) -> Image.Image:
        """Cut a window out of the sheet."""
        left, top = self.columns.first_pixel(window.left), self.rows.first_pixel(window.top)
        return image.crop((left, top, left + self.columns.window, top + self.rows.window))


def lay_out(image_size: tuple[int, int], tiles: TileSettings, settings: ProcessorSettings) -> Layout:
    """Place windows evenly on a sheet, so that neighbours share at least the overlap.

    They stand at whole cells of their masks, so that these need not be resampled. All have the same size; along
    a side that is shorter than a window, they are as long as the side.

    Args:
        image_size: Width and height of the sheet in pixels.
        tiles: The windows.
        settings: How the model wants its images.

    Returns:
        The layout.
    """
    width, height = (min(side, tiles.size) for side in image_size)
    grid = PAINTING_GRIDS[settings.kind]
    if grid is None:
        input_height, input_width = (
            input_shape(height, width, settings) if settings.do_resize else (height, width)
        )
        grid = -(-input_height // _MASK_STRIDE), -(-input_width // _MASK_STRIDE)
    return Layout(
        rows=_side(image_size[1], height, min(grid[0], height), tiles),
        columns=_side(image_size[0], width, min(grid[1], width), tiles),
    )


def _side(length: int, window: int, window_cells: int, tiles: TileSettings) -> Side:
    spare = length * window_cells // window - window_cells  # cells that the first window does not see
    shared = min(-(-tiles.overlap * window_cells // window), window_cells - 1)
    steps = -(-spare // (window_cells - shared))
    return Side(length, window, window_cells, [step * spare // max(steps, 1) for step in range(steps + 1)])
