"""Drawings for the benchmarks: plan-like line drawings made from a seed, the same on every run.

A dwelling is a box of bold walls, split again and again into rooms, with doors, windows, names, fittings and
dimensions. `draw_plan` draws one; `draw_sheet` fills a sheet of paper at 1/100, with a frame and a title block.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from random import Random

from PIL import Image, ImageDraw, ImageFont

Box = tuple[float, float, float, float]  # left, top, right, bottom in metres; y runs downwards

SCALE = 100  # of a sheet: 1 m of the building is 1 cm of paper
MARGIN = 2.2  # around a dwelling, in metres: dimensions stand there
DOOR = 0.8  # width in metres
GRID = 0.455  # walls stand on half of a Japanese house's usual module
NAMES = ("LDK", "Bedroom", "Western 6.0", "Tatami 4.5", "Bath", "WC", "Hall", "Closet", "Store", "Office")
TINTS = ("#f6e3c3", "#dfe8bf", "#d6e9f3", "#f3ebdd", "#e5e4e1")
INK, THIN_INK, PAPER = "#1c1c1e", "#6a6b70", "#ffffff"


def draw_plan(seed: int) -> Image.Image:
    """Draw one dwelling with a margin: mode RGB, 600 to 1600 pixels a side, half of them tinted."""
    random = Random(seed)
    width, height = random.uniform(6, 13), random.uniform(5.5, 11)
    metre = random.uniform(60, 90)
    size = (round((width + 2 * MARGIN) * metre), round((height + 2 * MARGIN) * metre))
    image = Image.new("RGB", size, PAPER)
    box = (MARGIN, MARGIN, MARGIN + width, MARGIN + height)
    Dwelling(image, metre, random, tinted=random.random() < 0.5).draw(box)
    return image


def draw_sheet(width: int, height: int, dpi: int, seed: int) -> Image.Image:
    """Draw a sheet of dwellings side by side at 1/100, as a scanner in greyscale gives it: mode L.

    Args:
        width: In pixels.
        height: In pixels.
        dpi: Pixels an inch of paper.
        seed: The same seed gives the same pixels.
    """
    random = Random(seed)
    image = Image.new("L", (width, height), PAPER)
    metre = dpi / 25.4 * 1000 / SCALE
    frame = 1.0
    right, bottom = width / metre - frame, height / metre - frame
    columns, rows = max(1, round(right / 13)), max(1, round(bottom / 12))
    cell_width, cell_height = (right - frame) / columns, (bottom - 2 - frame) / rows
    for row in range(rows):
        for column in range(columns):
            left, top = frame + column * cell_width, frame + row * cell_height
            spare_x, spare_y = random.uniform(0.5, 1.5), random.uniform(0.5, 1.5)
            box = (left + MARGIN, top + MARGIN, left + cell_width - spare_x, top + cell_height - spare_y)
            Dwelling(image, metre, random, tinted=False).draw(box)
    sheet = Dwelling(image, metre, random, tinted=False)
    sheet.outline((frame, frame, right, bottom))
    sheet.outline((right - 12, bottom - 2, right, bottom))
    sheet.text((right - 6, bottom - 1), f"FLOOR PLAN  S=1/{SCALE}  No. {seed:03}", 0.6)
    return image


@dataclass
class Dwelling:
    """A pen that draws one dwelling onto an image, in metres."""

    image: Image.Image
    metre: float
    random: Random
    tinted: bool
    pen: ImageDraw.ImageDraw = field(init=False)
    rooms: list[Box] = field(default_factory=list)
    walls: list[Box] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.pen = ImageDraw.Draw(self.image)

    def draw(self, box: Box) -> None:
        """Draw everything that stands within the outer walls and beside them."""
        outer, inner = self.random.uniform(0.2, 0.32), self.random.uniform(0.1, 0.18)
        self.split(box)
        for room in self.rooms:
            self.furnish(room)
        for left, top, right, bottom in self.walls:
            self.fill((left - inner / 2, top - inner / 2, right + inner / 2, bottom + inner / 2), INK)
        for side in sides(box):
            self.fill(thickened(side, outer), INK)
        for wall in self.walls:
            self.door(wall, inner)
        entrance = self.random.randrange(4)
        for number, side in enumerate(sides(box)):
            if number == entrance:
                self.door(side, outer)
            else:
                self.window(side, outer)
        self.dimensions(box)

    def split(self, box: Box) -> None:
        """Split a box into rooms, along its longer side, until they are of the usual size."""
        left, top, right, bottom = box
        width, height = right - left, bottom - top
        if width * height < self.random.uniform(7, 22) or max(width, height) < 2.6:
            self.rooms.append(box)
            return
        share = self.random.uniform(0.36, 0.64)
        if width > height:
            x = left + round(width * share / GRID) * GRID
            self.walls.append((x, top, x, bottom))
            halves = (left, top, x, bottom), (x, top, right, bottom)
        else:
            y = top + round(height * share / GRID) * GRID
            self.walls.append((left, y, right, y))
            halves = (left, top, right, y), (left, y, right, bottom)
        for half in halves:
            self.split(half)

    def furnish(self, room: Box) -> None:
        """Tint a room, put a fitting or two along its walls, and write its name."""
        left, top, right, bottom = room
        if self.tinted:
            self.fill(room, self.random.choice(TINTS))
        x, y = left + 1.15, top + 0.25  # past the door
        for _ in range(self.random.randrange(3)):
            width, height = self.random.uniform(0.5, 1.2), self.random.uniform(0.4, 0.8)
            if x + width < right - 1 and y + height < bottom - 1.2:
                self.outline((x, y, x + width, y + height))
                self.oval((x + 0.1, y + 0.1, x + width - 0.1, y + height - 0.1))
            x += width + 0.1
        self.text(((left + right) / 2, (top + bottom) / 2), self.random.choice(NAMES), 0.28)

    def door(self, wall: Box, thickness: float) -> None:
        """Open a wall near one of its ends, where no other wall meets it; draw the leaf and its swing."""
        left, top, right, bottom = wall
        upright = left == right
        length = (bottom - top) if upright else (right - left)
        start = 0.25 if self.random.random() < 0.5 else length - 0.25 - DOOR
        across = self.random.choice((-1, 1))
        if upright:
            self.fill(thickened((left, top + start, left, top + start + DOOR), thickness, ends=0), PAPER)
            corner = (left, top + start)
            leaf = (left, top + start, left + across * DOOR, top + start)
        else:
            self.fill(thickened((left + start, top, left + start + DOOR, top), thickness, ends=0), PAPER)
            corner = (left + start, top)
            leaf = (left + start, top, left + start, top + across * DOOR)
        quarter = {(True, 1): 0, (True, -1): 90, (False, 1): 0, (False, -1): 270}[upright, across]
        x, y = corner
        self.pen.arc(
            self.pixels((x - DOOR, y - DOOR, x + DOOR, y + DOOR)), quarter, quarter + 90, INK, self.thin
        )
        self.line(leaf)

    def window(self, side: Box, thickness: float) -> None:
        """Open the middle third of an outer wall and draw two panes."""
        left, top, right, bottom = side
        third_x, third_y = (right - left) / 3, (bottom - top) / 3
        opening = (left + third_x, top + third_y, right - third_x, bottom - third_y)
        frame = thickened(opening, thickness, ends=0)
        self.fill(frame, PAPER)
        self.outline(frame)
        self.line(opening)

    def dimensions(self, box: Box) -> None:
        """Measures in millimetres above the dwelling and left of it."""
        left, top, right, bottom = box
        y, x = top - 0.9, left - 0.9
        self.line((left, y, right, y))
        self.line((x, top, x, bottom))
        for at in {left, right, *(wall[0] for wall in self.walls if wall[0] == wall[2])}:
            self.line((at, y - 0.2, at, y + 0.2))
        for at in {top, bottom, *(wall[1] for wall in self.walls if wall[1] == wall[3])}:
            self.line((x - 0.2, at, x + 0.2, at))
        self.text(((left + right) / 2, y - 0.3), f"{(right - left) * 1000:,.0f}", 0.22)
        self.text((x - 0.5, (top + bottom) / 2), f"{(bottom - top) * 1000:,.0f}", 0.22)

    # --- in pixels ---------------------------------------------------------------------------------------

    @property
    def thin(self) -> int:
        """Width of a thin line in pixels."""
        return max(1, round(self.metre * 0.02))

    def pixels(self, box: Box) -> tuple[int, int, int, int]:
        """A box in whole pixels, with its corners in order."""
        left, top, right, bottom = (round(value * self.metre) for value in box)
        return min(left, right), min(top, bottom), max(left, right), max(top, bottom)

    def fill(self, box: Box, ink: str) -> None:
        """Fill a box."""
        self.pen.rectangle(self.pixels(box), ink)

    def outline(self, box: Box) -> None:
        """Draw the border of a box with a thin line."""
        self.pen.rectangle(self.pixels(box), outline=THIN_INK, width=self.thin)

    def oval(self, box: Box) -> None:
        """Draw an ellipse with a thin line."""
        self.pen.ellipse(self.pixels(box), outline=THIN_INK, width=self.thin)

    def line(self, ends: Box) -> None:
        """Draw a thin line between two points."""
        self.pen.line([round(value * self.metre) for value in ends], THIN_INK, self.thin)

    def text(self, middle: tuple[float, float], text: str, height: float) -> None:
        """Write a text around a point."""
        x, y = middle
        font = ImageFont.load_default(math.ceil(height * self.metre))
        self.pen.text((x * self.metre, y * self.metre), text, INK, font, anchor="mm")


def sides(box: Box) -> list[Box]:
    """The four sides of a box, as flat boxes."""
    left, top, right, bottom = box
    return [
        (left, top, right, top),
        (right, top, right, bottom),
        (left, bottom, right, bottom),
        (left, top, left, bottom),
    ]


def thickened(line: Box, thickness: float, ends: float | None = None) -> Box:
    """The box around a flat one; its ends grow by half the thickness, or by so much as `ends` says."""
    left, top, right, bottom = line
    half = thickness / 2
    ends = half if ends is None else ends
    across, along = (half, ends) if left == right else (ends, half)
    return left - across, top - along, right + across, bottom + along
