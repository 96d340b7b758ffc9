"""Large sheets for the benchmarks, with the truth about every room and wall.

A sheet is drawn as in `plans.py`, and the same strokes draw the truth: what fills a wall on the picture takes
it from the rooms, and what opens a wall takes it from the walls.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image
from plans import INK, MARGIN, PAPER, Box, Dwelling

if TYPE_CHECKING:
    from numpy.typing import NDArray

DPI = 200
PAPERS_MM = {"A4": (297, 210), "A3": (420, 297), "A2": (594, 420), "A1": (841, 594), "A0": (1189, 841)}
CELL = (13.0, 12.0)  # about what a dwelling gets, in metres
FRAME = 1.0  # from the edge of the paper, in metres at 1/100
CORRIDOR = 2.0  # width in metres


@dataclass
class Truth:
    """What is where on a sheet.

    Attributes:
        rooms: Shape (H, W), int16: a room's number, counted from 1, or 0.
        walls: Shape (H, W), bool: within a wall, doors and windows left out.
        n_rooms: How many rooms there are.
    """

    rooms: NDArray[np.int16]
    walls: NDArray[np.bool_]
    n_rooms: int = 0

    @classmethod
    def empty(cls, width: int, height: int) -> Truth:
        """Nothing but paper."""
        return cls(np.zeros((height, width), np.int16), np.zeros((height, width), bool))


@dataclass
class TrueDwelling(Dwelling):
    """A dwelling that draws its truth beside its picture."""

    truth: Truth = field(kw_only=True)

    def furnish(self, room: Box) -> None:
        """Furnish a room and number it."""
        self.truth.n_rooms += 1
        self.truth.rooms[self.slices(room)] = self.truth.n_rooms
        super().furnish(room)

    def fill(self, box: Box, ink: str) -> None:
        """Fill a box; ink is wall, and paper opens a wall."""
        super().fill(box, ink)
        if ink == INK:
            self.truth.rooms[self.slices(box)] = 0
        if ink in (INK, PAPER):
            self.truth.walls[self.slices(box)] = ink == INK

    def slices(self, box: Box) -> tuple[slice, slice]:
        """A box as rows and columns of the picture, with the last pixel that Pillow draws."""
        left, top, right, bottom = self.pixels(box)
        return slice(top, bottom + 1), slice(left, right + 1)


class TrueBuilding(TrueDwelling):
    """A large floor: corridors from end to end, with a row of small rooms on both sides of each."""

    def split(self, box: Box) -> None:
        """Split a box into wings, and a wing into two rows of rooms and the corridor between them."""
        left, top, right, bottom = box
        wings = max(1, round((bottom - top) / 13))
        for wing in range(wings):
            wing_top = top + (bottom - top) * wing / wings
            wing_bottom = top + (bottom - top) * (wing + 1) / wings
            if wing:
                self.walls.append((left, wing_top, right, wing_top))
            middle = (wing_top + wing_bottom) / 2 + self.random.uniform(-0.8, 0.8)
            upper, lower = middle - CORRIDOR / 2, middle + CORRIDOR / 2
            self.rooms.append((left, upper, right, lower))
            self.row_of_rooms((left, wing_top, right, upper), corridor=upper)
            self.row_of_rooms((left, lower, right, wing_bottom), corridor=lower)

    def row_of_rooms(self, box: Box, corridor: float) -> None:
        """Split a box across into rooms, each with a wall of its own, and so a door, to the corridor."""
        left, top, right, bottom = box
        while right - left > 0.5:
            width = self.random.choice((2.7, 3.6, 3.6, 4.5, 6.0))
            end = right if right - left - width < 2.7 else left + width
            self.rooms.append((left, top, end, bottom))
            self.walls.append((left, corridor, end, corridor))
            if end < right:
                self.walls.append((end, top, end, bottom))
            left = end


class TrueHall(TrueBuilding):
    """A factory floor: one hall from end to end, between two rows of small rooms."""

    def split(self, box: Box) -> None:
        """Split a box into the hall and the rows above and below it."""
        left, top, right, bottom = box
        upper, lower = top + self.random.uniform(4, 6), bottom - self.random.uniform(4, 6)
        self.rooms.append((left, upper, right, lower))
        self.row_of_rooms((left, top, right, upper), corridor=upper)
        self.row_of_rooms((left, lower, right, bottom), corridor=lower)


def draw_dwellings(paper: str, scale: int, seed: int) -> tuple[Image.Image, Truth]:
    """Draw a sheet of dwellings side by side.

    Args:
        paper: A key of ``PAPERS_MM``; the sheet lies on its long side.
        scale: 100 for 1/100.
        seed: The same seed gives the same pixels.

    Returns:
        The sheet as a scanner in greyscale at 200 dpi gives it (mode L), and its truth.
    """
    random, image, truth, metre = _blank(paper, scale, seed)
    edge = FRAME * scale / 100
    right, bottom = image.width / metre - edge, image.height / metre - edge
    columns, rows = max(1, round(right / CELL[0])), max(1, round(bottom / CELL[1]))
    cell_width, cell_height = (right - edge) / columns, (bottom - edge) / rows
    for cell in range(rows * columns):
        left, top = edge + cell % columns * cell_width, edge + cell // columns * cell_height
        box = (
            left + MARGIN,
            top + MARGIN,
            left + cell_width - random.uniform(0.3, 1),
            top + cell_height - random.uniform(0.3, 1),
        )
        TrueDwelling(image, metre, random, tinted=False, truth=truth).draw(box)
    _draw_frame(image, metre, edge)
    return image, truth


def draw_building(paper: str, scale: int, seed: int) -> tuple[Image.Image, Truth]:
    """Draw a sheet with one large floor; arguments and result as for ``draw_dwellings``."""
    return _draw_floor(TrueBuilding, paper, scale, seed)


def draw_hall(paper: str, scale: int, seed: int) -> tuple[Image.Image, Truth]:
    """Draw a sheet with one factory floor; arguments and result as for ``draw_dwellings``."""
    return _draw_floor(TrueHall, paper, scale, seed)


def _draw_floor(kind: type[TrueDwelling], paper: str, scale: int, seed: int) -> tuple[Image.Image, Truth]:
    random, image, truth, metre = _blank(paper, scale, seed)
    edge = FRAME * scale / 100
    box = (edge + 3, edge + 3, image.width / metre - edge - 3, image.height / metre - edge - 3)
    kind(image, metre, random, tinted=False, truth=truth).draw(box)
    _draw_frame(image, metre, edge)
    return image, truth


def _blank(paper: str, scale: int, seed: int) -> tuple[Random, Image.Image, Truth, float]:
    width, height = (round(side / 25.4 * DPI) for side in PAPERS_MM[paper])
    metre = DPI / 25.4 * 1000 / scale
    return Random(seed), Image.new("L", (width, height), PAPER), Truth.empty(width, height), metre


def _draw_frame(image: Image.Image, metre: float, edge: float) -> None:
    frame = Dwelling(image, metre, Random(0), tinted=False)
    frame.outline((edge, edge, image.width / metre - edge, image.height / metre - edge))
