"""Draw the sample floor plans of ``examples/plans``.

A plan is data, in metres: walls, rooms, openings, fixtures and dimensions. One renderer turns it into a PNG,
and the same data gives the same bytes on every run.

    pip install pillow pylopdf-fonts-jp
    python tools/draw_sample_plans.py --output examples/plans
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

Point = tuple[float, float]
Box = tuple[float, float, float, float]  # left, top, right, bottom; a wall is the flat box of its centre line

OVERSAMPLING = 4  # drawn this much larger, then averaged down: that is the antialiasing
STROKE = 2  # line width, in pixels of the finished picture
SCAN_DPI = 300
PIXELS_PER_METRE_AT_1_100 = SCAN_DPI / 25.4 * 1000 / 100  # one pixel is 8.4667 mm of the building
LEAF = 0.06  # thickness of a door leaf or a sash, in metres
SIDES: dict[str, Point] = {"N": (0, -1), "E": (1, 0), "S": (0, 1), "W": (-1, 0)}
WHITE, INK, THIN_INK = "#ffffff", "#1c1c1e", "#55565a"
WOOD, TATAMI, WATER, HALL, STONE, STORAGE = "#f6e3c3", "#dfe8bf", "#d6e9f3", "#f3ebdd", "#e5e4e1", "#f1efea"

# fmt: off
# A symbol is a list of shapes in a unit square whose top edge stands against the wall.
SYMBOLS: dict[str, list[tuple[str, Box]]] = {
    "box": [("rect", (0, 0, 1, 1))],
    "seat": [("round", (0, 0, 1, 1))],
    "bath": [("rect", (0, 0, 1, 1)), ("round", (0.06, 0.13, 0.94, 0.87))],
    "toilet": [("oval", (0.1, 0.12, 0.9, 1)), ("oval", (0.26, 0.42, 0.74, 0.9)), ("rect", (0, 0, 1, 0.28))],
    "basin": [("rect", (0, 0, 1, 1)), ("oval", (0.2, 0.26, 0.8, 0.86)), ("line", (0.5, 0.08, 0.5, 0.36))],
    "washer": [("rect", (0, 0, 1, 1)), ("oval", (0.16, 0.16, 0.84, 0.84))],
    "counter": [
        ("rect", (0, 0, 1, 1)), ("round", (0.08, 0.2, 0.38, 0.82)), ("oval", (0.64, 0.4, 0.75, 0.8)),
        ("oval", (0.82, 0.4, 0.93, 0.8)), ("oval", (0.755, 0.12, 0.815, 0.34)),
    ],
    "fridge": [("rect", (0, 0, 1, 1)), ("line", (0.02, 0.84, 0.98, 0.84))],
    "desk": [("round", (0.34, 0.5, 0.66, 1)), ("rect", (0, 0, 1, 0.62))],
    "table": [("round", (x, 0, x + 0.24, 1)) for x in (0.07, 0.38, 0.69)] + [("rect", (0, 0.2, 1, 0.8))],
    "sofa": [("round", (0, 0, 1, 1)), ("line", (0.05, 0.32, 0.95, 0.32)), ("line", (0.5, 0.32, 0.5, 0.96))],
    "stairs": [("line", (0, step / 12, 1, step / 12)) for step in range(1, 13)]
    + [("line", (0.5, 0.04, 0.5, 1)), ("line", (0.5, 0.04, 0.36, 0.11)), ("line", (0.5, 0.04, 0.64, 0.11))],
    "mats 4.5": [
        ("line", (a / 3, b / 3, c / 3, d / 3))
        for a, b, c, d in ((0, 1, 2, 1), (2, 0, 2, 2), (1, 2, 3, 2), (1, 1, 1, 3))
    ],
    "mats 6": [
        ("line", (a / 4, b / 3, c / 4, d / 3))
        for a, b, c, d in ((1, 0, 1, 2), (3, 0, 3, 2), (1, 1, 3, 1), (0, 2, 4, 2), (2, 2, 2, 3))
    ],
}
# fmt: on


class Room(NamedTuple):
    """A floor: its label and where that stands, its colour, and its boxes (several make an L)."""

    label: str
    at: Point
    fill: str
    boxes: list[Box]


class Door(NamedTuple):
    """A hinged leaf: closed it reaches from the hinge towards ``closes``, open it points to ``opens``."""

    hinge: Point
    width: float
    closes: str
    opens: str

    @property
    def opening(self) -> Box:
        """The stretch of wall that the door replaces."""
        (x, y), (dx, dy) = self.hinge, SIDES[self.closes]
        return upright((x, y, x + dx * self.width, y + dy * self.width))


class Fixture(NamedTuple):
    """A symbol fitted into a box, turned clockwise by quarter turns."""

    symbol: str
    box: Box
    turns: int = 0


class Chain(NamedTuple):
    """A chain of dimensions along an axis, with grid bubbles when it has a prefix for their names."""

    axis: str
    at: float
    stops: list[float]
    prefix: str = ""


@dataclass(frozen=True)
class Plan:
    """Everything that is drawn on one sheet, in metres; y runs downwards."""

    name: str
    title: str
    title_at: Point
    north_at: Point
    sheet: Box
    pixels_per_metre: float
    outer_walls: list[Box]
    inner_walls: list[Box]
    outer_thickness: float
    inner_thickness: float
    label_size: float
    rooms: list[Room]
    entrances: list[Door]  # the doors in outer walls
    doors: list[Door]
    sliding_doors: list[Box]
    windows: list[Box]
    fixtures: list[Fixture]
    lines: list[Box]
    chains: list[Chain]
    colour: bool = False
    dpi: int | None = None


def upright(box: Box) -> Box:
    """The same box with its corners in order."""
    return min(box[::2]), min(box[1::2]), max(box[::2]), max(box[1::2])


def thicken(wall: Box, thickness: float, ends: float = 0.0) -> Box:
    """The box around a centre line, lengthened by ``ends`` at both ends."""
    left, top, right, bottom = wall
    along, across = (ends, thickness / 2) if top == bottom else (thickness / 2, ends)
    return left - along, top - across, right + along, bottom + across


@cache
def load_font(pixels: int) -> ImageFont.FreeTypeFont:
    """Noto Sans JP out of a package, so that every machine draws the same glyphs."""
    try:
        from pylopdf_fonts_jp import sans_path
    except ImportError:
        raise SystemExit("The labels need a Japanese font: pip install pylopdf-fonts-jp") from None
    return ImageFont.truetype(str(sans_path()), pixels)


class Sheet:
    """A canvas in metres. Straight edges fall on whole pixels of the finished picture, so they stay crisp."""

    def __init__(self, area: Box, pixels_per_metre: float) -> None:
        self.origin, self.scale = area[:2], pixels_per_metre
        self.size = self.pixel(area[2:])
        self.image = Image.new("RGB", (self.size[0] * OVERSAMPLING, self.size[1] * OVERSAMPLING), WHITE)
        self.pen = ImageDraw.Draw(self.image)

    def pixel(self, point: Point) -> tuple[int, int]:
        """A point in whole pixels of the finished picture."""
        (x, y), (left, top) = point, self.origin
        return round((x - left) * self.scale), round((y - top) * self.scale)

    def bounds(self, box: Box, grow: int = 0) -> tuple[int, int, int, int]:
        """A box on the oversampled canvas, as Pillow wants it: with its last pixel included."""
        (left, top), (right, bottom), n = self.pixel(box[:2]), self.pixel(box[2:]), OVERSAMPLING
        return (left - grow) * n, (top - grow) * n, (right + grow) * n - 1, (bottom + grow) * n - 1

    def shape(self, kind: str, box: Box, ink: str = THIN_INK, fill: str = WHITE) -> None:
        """A ``rect``, a ``round`` (rounded) one, an ``oval``, or the ``line`` between two corners."""
        bounds, width = self.bounds(upright(box)), STROKE * OVERSAMPLING
        if kind == "rect":
            self.pen.rectangle(bounds, fill, ink, width)
        elif kind == "round":
            radius = 0.3 * min(bounds[2] - bounds[0], bounds[3] - bounds[1])
            self.pen.rounded_rectangle(bounds, radius, fill, ink, width)
        elif kind == "oval":
            self.pen.ellipse(bounds, fill, ink, width)
        elif box[0] == box[2] or box[1] == box[3]:
            self.pen.rectangle(self.bounds(upright(box), STROKE // 2), ink)
        else:
            self.curve([box[:2], box[2:]], ink)

    def curve(self, points: list[Point], ink: str = THIN_INK) -> None:
        """A line through points that need not fall on pixels."""
        n, (left, top) = self.scale * OVERSAMPLING, self.origin
        path = [((x - left) * n, (y - top) * n) for x, y in points]
        self.pen.line(path, ink, STROKE * OVERSAMPLING, joint="curve")

    def text(self, middle: Point, text: str, size: float, upwards: bool = False) -> None:
        """Text centred on a point; ``upwards`` reads from bottom to top."""
        font = load_font(round(size * self.scale * OVERSAMPLING))
        left, top, right, bottom = self.pen.multiline_textbbox((0, 0), text, font, align="center")
        stencil = Image.new("L", (math.ceil(right - left), math.ceil(bottom - top)))
        ImageDraw.Draw(stencil).multiline_text((-left, -top), text, 255, font, align="center")
        if upwards:
            stencil = stencil.transpose(Image.Transpose.ROTATE_90)
        x, y = (v * OVERSAMPLING for v in self.pixel(middle))
        self.image.paste(INK, (x - stencil.width // 2, y - stencil.height // 2), stencil)


def draw_fixture(sheet: Sheet, fixture: Fixture) -> None:
    """The shapes of a symbol, from its unit square into the box."""
    left, top, right, bottom = fixture.box

    def place(u: float, v: float) -> Point:
        for _ in range(fixture.turns):
            u, v = 1 - v, u
        return left + u * (right - left), top + v * (bottom - top)

    for kind, (u0, v0, u1, v1) in SYMBOLS[fixture.symbol]:
        sheet.shape(kind, (*place(u0, v0), *place(u1, v1)))


def draw_walls(sheet: Sheet, plan: Plan) -> None:
    """All walls through one stencil: corners join cleanly, and floors stay visible in the openings."""
    stencil = Image.new("L", sheet.image.size)
    pen = ImageDraw.Draw(stencil)
    for wall in plan.inner_walls:
        pen.rectangle(sheet.bounds(thicken(wall, plan.inner_thickness, plan.inner_thickness / 2)), 255)
    for wall in plan.outer_walls:
        pen.rectangle(sheet.bounds(thicken(wall, plan.outer_thickness, plan.outer_thickness / 2)), 255)
    for opening in [door.opening for door in plan.entrances + plan.doors] + plan.sliding_doors + plan.windows:
        pen.rectangle(sheet.bounds(thicken(opening, plan.outer_thickness)), 0)
    sheet.image.paste(INK, (0, 0), stencil)


def draw_door(sheet: Sheet, door: Door, thickness: float) -> None:
    """An open leaf on the face of its wall, and the quarter circle that its edge sweeps."""
    (cx, cy), (ox, oy) = SIDES[door.closes], SIDES[door.opens]
    x, y, width = door.hinge[0] + ox * thickness / 2, door.hinge[1] + oy * thickness / 2, door.width
    turns = [(width * math.cos(math.radians(a)), width * math.sin(math.radians(a))) for a in range(0, 91, 3)]
    sheet.curve([(x + cx * c + ox * s, y + cy * c + oy * s) for c, s in turns])
    sheet.shape("rect", (x, y, x + ox * width + cx * LEAF, y + oy * width + cy * LEAF), INK)


def draw_sashes(sheet: Sheet, opening: Box, thickness: float) -> None:
    """A frame across the wall and two sliding panels that overlap in the middle."""
    left, top, right, bottom = opening
    sheet.shape("rect", thicken(opening, thickness), INK)
    for first, last, side in ((0.0, 0.53, -LEAF / 2), (0.47, 1.0, LEAF / 2)):
        if top == bottom:
            panel = left + (right - left) * first, top + side, left + (right - left) * last, top + side
        else:
            panel = left + side, top + (bottom - top) * first, left + side, top + (bottom - top) * last
        sheet.shape("rect", thicken(panel, LEAF), INK)


def draw_chain(sheet: Sheet, chain: Chain, size: float) -> None:
    """Measures in millimetres between dots; grid bubbles stand further out."""
    upwards, dot, bubble, reach = chain.axis == "y", 0.035, 0.24, 0.9 if chain.prefix else 0.15

    def place(along: float, outwards: float) -> Point:
        return (chain.at - outwards, along) if upwards else (along, chain.at - outwards)

    sheet.shape("line", (*place(chain.stops[0], 0), *place(chain.stops[-1], 0)))
    for number, stop in enumerate(chain.stops, 1):
        x, y = place(stop, 0)
        sheet.shape("line", (*place(stop, -0.3), *place(stop, reach)))
        sheet.shape("oval", (x - dot, y - dot, x + dot, y + dot), fill=THIN_INK)
        if chain.prefix:
            x, y = place(stop, reach + bubble)
            sheet.shape("oval", (x - bubble, y - bubble, x + bubble, y + bubble))
            sheet.text((x, y), f"{chain.prefix}{number}", size)
    for start, end in pairwise(chain.stops):
        sheet.text(place((start + end) / 2, 0.16), f"{(end - start) * 1000:,.0f}", size, upwards)


def draw_north(sheet: Sheet, middle: Point, size: float) -> None:
    """A circle with a needle, half of it filled, and its letter."""
    (x, y), r = middle, 0.3
    tip, notch = (x, y - r * 1.4), (x, y + r * 0.45)
    sheet.shape("oval", (x - r, y - r, x + r, y + r), INK)
    sheet.curve([tip, (x - r * 0.4, y + r * 0.8), notch], INK)
    corners = [sheet.pixel(p) for p in (tip, (x + r * 0.4, y + r * 0.8), notch)]
    sheet.pen.polygon([(px * OVERSAMPLING, py * OVERSAMPLING) for px, py in corners], INK)
    sheet.text((x, y - r * 2), "N", size)


def render(plan: Plan) -> Image.Image:
    """The finished picture: floors, then what stands on them, then walls, openings and text."""
    sheet = Sheet(plan.sheet, plan.pixels_per_metre)
    for room in plan.rooms:
        for box in room.boxes:
            sheet.pen.rectangle(sheet.bounds(box), room.fill)
    for line in plan.lines:
        sheet.shape("line", line)
    for fixture in plan.fixtures:
        draw_fixture(sheet, fixture)
    draw_walls(sheet, plan)
    for window in plan.windows:
        draw_sashes(sheet, window, plan.outer_thickness)
    for opening in plan.sliding_doors:
        draw_sashes(sheet, opening, plan.inner_thickness)
    for door in plan.entrances:
        draw_door(sheet, door, plan.outer_thickness)
    for door in plan.doors:
        draw_door(sheet, door, plan.inner_thickness)
    for room in plan.rooms:
        sheet.text(room.at, room.label, plan.label_size)
    for chain in plan.chains:
        draw_chain(sheet, chain, plan.label_size * 0.75)
    draw_north(sheet, plan.north_at, plan.label_size)
    sheet.text(plan.title_at, plan.title, plan.label_size * 1.3)
    return sheet.image.resize(sheet.size, Image.Resampling.BOX)


# fmt: off
APARTMENT = Plan(
    name="apartment-ja", title="2LDK　51.84㎡", title_at=(1.12, -0.75), north_at=(6.85, -0.68),
    sheet=(-1, -1.6, 8.275, 9), pixels_per_metre=128, colour=True,
    outer_thickness=0.26, inner_thickness=0.15, label_size=0.27,
    outer_walls=[(0, 0, 7.2, 0), (7.2, 0, 7.2, 7.2), (0, 7.2, 7.2, 7.2), (0, 0, 0, 7.2)],
    inner_walls=[
        (2.7, 0, 2.7, 7.2), (0, 3.6, 3.9, 3.6), (0, 4.5, 2.7, 4.5), (1.3, 3.6, 1.3, 4.5), (3.9, 0, 3.9, 3.6),
        (3.9, 1.8, 7.2, 1.8), (3.9, 2.8, 5.6, 2.8), (5.6, 0, 5.6, 2.8),
    ],
    rooms=[
        Room("LDK\n12.5帖", (4.9, 5.3), WOOD, [
            (2.7, 3.6, 7.2, 7.2), (3.9, 2.8, 7.2, 3.6), (5.6, 1.8, 7.2, 2.8),
        ]),
        Room("洋室\n6.0帖", (1.35, 1.75), WOOD, [(0, 0, 2.7, 3.6)]),
        Room("和室\n4.5帖", (1.375, 5.825), TATAMI, [(0, 4.5, 2.7, 7.2)]),
        Room("玄関", (3.3, 0.52), STONE, [(2.7, -0.13, 3.9, 0.95)]),
        Room("廊下", (3.3, 1.5), HALL, [(2.7, 0.95, 3.9, 3.6)]),
        Room("洗面室", (5.06, 1.2), WATER, [(3.9, 0, 5.6, 1.8)]),
        Room("浴室", (6.0, 0.55), WATER, [(5.6, 0, 7.2, 1.8)]),
        Room("トイレ", (4.4, 2.3), WATER, [(3.9, 1.8, 5.6, 2.8)]),
        Room("CL", (0.7, 4.05), STORAGE, [(0, 3.6, 1.3, 4.5)]),
        Room("押入", (2.0, 4.05), STORAGE, [(1.3, 3.6, 2.7, 4.5)]),
        Room("バルコニー", (3.6, 7.88), STONE, [(0, 7.2, 7.2, 8.5)]),
    ],
    entrances=[Door((2.9, 0), 0.8, "E", "N")],
    doors=[
        Door((2.7, 3.4), 0.75, "N", "W"), Door((2.9, 3.6), 0.8, "E", "S"), Door((3.9, 1.65), 0.62, "N", "E"),
        Door((3.9, 2.65), 0.62, "N", "W"), Door((5.6, 1.65), 0.62, "N", "E"),
    ],
    sliding_doors=[(2.7, 5.0, 2.7, 6.7), (1.45, 4.5, 2.55, 4.5), (0.22, 3.6, 1.15, 3.6)],
    windows=[
        (0.55, 0, 2.15, 0), (0.45, 7.2, 2.25, 7.2), (3.4, 7.2, 6.5, 7.2), (7.2, 0.55, 7.2, 1.25),
        (7.2, 4.7, 7.2, 6.2),
    ],
    fixtures=[
        Fixture("mats 4.5", (0.13, 4.575, 2.625, 7.07)), Fixture("bath", (6.36, 0.13, 7.07, 1.725), 1),
        Fixture("washer", (4.03, 0.18, 4.65, 0.8)), Fixture("basin", (4.75, 0.13, 5.5, 0.66)),
        Fixture("toilet", (4.86, 2.07, 5.52, 2.53), 1), Fixture("counter", (6.42, 1.875, 7.07, 4.2), 1),
        Fixture("fridge", (5.73, 1.92, 6.35, 2.58)), Fixture("table", (4.15, 3.65, 5.45, 4.85)),
    ],
    lines=[
        (2.9, -0.13, 3.7, -0.13), (2.7, 0.95, 3.9, 0.95), (0, 7.2, 0, 8.5), (0, 8.5, 7.2, 8.5),
        (7.2, 7.2, 7.2, 8.5), (0.1, 7.2, 0.1, 8.4), (0.1, 8.4, 7.1, 8.4), (7.1, 7.2, 7.1, 8.4),
    ],
    chains=[Chain("y", -0.52, [0, 3.6, 4.5, 7.2])],
)

HOUSE = Plan(
    name="house-ja", title="1階平面図　S=1/100", title_at=(1.67, 7.3), north_at=(9.6, 7.5),
    sheet=(-2.37, -2.23, 11.1766, 7.93), pixels_per_metre=PIXELS_PER_METRE_AT_1_100, dpi=SCAN_DPI,
    outer_thickness=0.26, inner_thickness=0.16, label_size=0.27,
    # walls stand on the 0.91 m grid of half a tatami mat
    outer_walls=[(0, 0, 10.01, 0), (10.01, 0, 10.01, 6.37), (0, 6.37, 10.01, 6.37), (0, 0, 0, 6.37)],
    inner_walls=[
        (0, 1.82, 5.46, 1.82), (1.82, 0, 1.82, 3.64), (4.095, 0, 4.095, 1.82), (5.46, 0, 5.46, 6.37),
        (1.82, 2.73, 3.64, 2.73), (0, 3.64, 3.64, 3.64), (3.64, 2.73, 3.64, 6.37),
    ],
    rooms=[
        Room("LDK\n17.5帖", (7.73, 4.3), WHITE, [(5.46, 0, 10.01, 6.37)]),
        Room("UP", (8.85, 0.5), WHITE, []),
        Room("和室\n6帖", (1.865, 4.98), WHITE, [(0, 3.64, 3.64, 6.37)]),
        Room("浴室", (0.62, 1.3), WHITE, [(0, 0, 1.82, 1.82)]),
        Room("洗面室", (2.5, 1.25), WHITE, [(1.82, 0, 4.095, 1.82)]),
        Room("トイレ", (4.78, 1.3), WHITE, [(4.095, 0, 5.46, 1.82)]),
        Room("納戸", (0.85, 3.0), WHITE, [(0, 1.82, 1.82, 3.64)]),
        Room("押入", (2.73, 3.185), WHITE, [(1.82, 2.73, 3.64, 3.64)]),
        Room("ホール", (4.5, 3.5), WHITE, [(3.64, 1.82, 5.46, 5.0), (1.82, 1.82, 3.64, 2.73)]),
        Room("玄関", (4.35, 5.6), WHITE, [(3.64, 5.0, 5.46, 6.37)]),
    ],
    entrances=[Door((3.9, 6.37), 0.9, "E", "S")],
    doors=[
        Door((5.46, 4.4), 0.8, "N", "E"), Door((1.82, 1.66), 0.65, "N", "W"),
        Door((3.95, 1.82), 0.7, "W", "N"), Door((4.45, 1.82), 0.65, "E", "S"),
        Door((1.82, 1.98), 0.65, "S", "W"),
    ],
    sliding_doors=[(3.64, 3.8, 3.64, 4.9), (1.98, 3.64, 3.48, 3.64)],
    windows=[
        (0.6, 0, 1.3, 0), (2.6, 0, 3.4, 0), (4.5, 0, 5.1, 0), (0, 4.4, 0, 5.6), (0.9, 6.37, 2.7, 6.37),
        (6.0, 6.37, 7.6, 6.37), (7.9, 6.37, 9.5, 6.37), (10.01, 1.3, 10.01, 2.5), (10.01, 3.9, 10.01, 5.6),
    ],
    fixtures=[
        Fixture("bath", (0.13, 0.13, 1.74, 0.88)), Fixture("toilet", (4.55, 0.13, 5.01, 0.83)),
        Fixture("washer", (1.97, 0.18, 2.59, 0.8)), Fixture("basin", (2.85, 0.13, 3.65, 0.66)),
        Fixture("counter", (9.23, 0.95, 9.88, 3.3), 1), Fixture("fridge", (9.21, 0.17, 9.83, 0.83), 1),
        Fixture("mats 6", (0.13, 3.72, 3.56, 6.24)), Fixture("stairs", (5.54, 0.13, 8.5, 0.93), 3),
        Fixture("box", (5.04, 5.08, 5.38, 6.24)), Fixture("table", (7.0, 1.95, 8.5, 3.3)),
    ],
    lines=[
        (5.46, 0.93, 8.5, 0.93), (3.64, 5.0, 5.46, 5.0), (3.9, 6.5, 4.8, 6.5),
        (3.55, 6.37, 3.55, 7.5), (3.55, 7.5, 5.55, 7.5), (5.55, 6.37, 5.55, 7.5),
    ],
    chains=[
        Chain("x", -0.65, [0, 1.82, 3.64, 5.46, 10.01], "X"), Chain("x", -1.1, [0, 10.01]),
        Chain("y", -0.65, [0, 1.82, 2.73, 3.64, 6.37], "Y"), Chain("y", -1.1, [0, 6.37]),
    ],
)

OFFICE = Plan(
    name="office-en", title="Ground floor, 126 m²", title_at=(2.6, 10.15), north_at=(13.7, 10.25),
    sheet=(-0.8, -1, 15.2, 11), pixels_per_metre=100, colour=True,
    outer_thickness=0.4, inner_thickness=0.22, label_size=0.36,
    outer_walls=[(0, 0, 14, 0), (14, 0, 14, 9), (0, 9, 14, 9), (0, 0, 0, 9)],
    inner_walls=[
        (0, 3.7, 14, 3.7), (0, 5.3, 14, 5.3), (4.6, 0, 4.6, 3.7), (7.8, 0, 7.8, 3.7), (9.8, 0, 9.8, 3.7),
        (11.8, 0, 11.8, 3.7), (4.6, 5.3, 4.6, 9),
    ],
    rooms=[
        Room("Meeting room", (1.8, 2.95), WHITE, [(0, 0, 4.6, 3.7)]),
        Room("Manager", (6.4, 2.35), WHITE, [(4.6, 0, 7.8, 3.7)]),
        Room("WC", (8.8, 2.1), WATER, [(7.8, 0, 9.8, 3.7)]),
        Room("WC", (10.8, 2.1), WATER, [(9.8, 0, 11.8, 3.7)]),
        Room("Store", (12.9, 1.9), STONE, [(11.8, 0, 14, 3.7)]),
        Room("Corridor", (7.0, 4.5), STONE, [(0, 3.7, 14.2, 5.3)]),
        Room("Reception", (2.1, 7.0), WHITE, [(0, 5.3, 4.6, 9)]),
        Room("Office", (9.3, 6.0), WHITE, [(4.6, 5.3, 14, 9)]),
    ],
    entrances=[Door((1.4, 9), 0.9, "E", "N"), Door((3.2, 9), 0.9, "W", "N"), Door((14, 4.05), 0.9, "S", "E")],
    doors=[
        Door((4.3, 3.7), 0.9, "W", "N"), Door((4.9, 3.7), 0.9, "E", "N"), Door((8.1, 3.7), 0.85, "E", "N"),
        Door((10.1, 3.7), 0.85, "E", "N"), Door((12.1, 3.7), 0.9, "E", "N"), Door((1.0, 5.3), 0.9, "E", "S"),
        Door((5.0, 5.3), 0.9, "E", "S"), Door((13.6, 5.3), 0.9, "W", "S"),
    ],
    sliding_doors=[],
    windows=[
        (0.8, 0, 3.8, 0), (5.2, 0, 7.2, 0), (8.4, 0, 9.2, 0), (10.4, 0, 11.2, 0), (5.4, 9, 8.4, 9),
        (9.8, 9, 12.8, 9), (14, 6.2, 14, 8.2), (0, 6.2, 0, 8.0),
    ],
    fixtures=[
        Fixture("table", (0.9, 0.75, 3.5, 2.35)), Fixture("desk", (5.5, 0.7, 7.1, 1.95)),
        Fixture("toilet", (8.1, 0.2, 8.6, 0.95)), Fixture("basin", (8.95, 0.2, 9.6, 0.7)),
        Fixture("toilet", (10.1, 0.2, 10.6, 0.95)), Fixture("basin", (10.95, 0.2, 11.6, 0.7)),
        Fixture("sofa", (3.7, 6.4, 4.45, 8.3), 1),
    ] + [
        Fixture("desk", (left, top, left + 1.5, top + 1.2), turns)
        for left in (5.6, 7.1, 10.0, 11.5) for top, turns in ((6.05, 2), (7.25, 0))
    ],
    lines=[(1.4, 9.2, 3.2, 9.2), (14.2, 4.05, 14.2, 4.95)],
    chains=[],
)
# fmt: on


def save(plan: Plan, folder: Path) -> Path:
    """Write a plan as a PNG, in greyscale unless it has colours."""
    picture, path = render(plan), folder / f"{plan.name}.png"
    if not plan.colour:
        picture = picture.convert("L")
    if plan.dpi:
        picture.info["dpi"] = (plan.dpi, plan.dpi)
    picture.save(path, optimize=True, dpi=picture.info.get("dpi"))
    return path


def main() -> None:
    """Draw every plan into the output folder."""
    parser = argparse.ArgumentParser(description="Draw the sample floor plans.")
    parser.add_argument("--output", type=Path, default=Path("examples/plans"), help="folder for the files")
    folder: Path = parser.parse_args().output
    folder.mkdir(parents=True, exist_ok=True)
    for plan in (APARTMENT, HOUSE, OFFICE):
        print(save(plan, folder))


if __name__ == "__main__":
    main()
