"""Names of rooms, written into them."""

from __future__ import annotations

import random

from kkg_area_detection.training.plans.building import Building
from kkg_area_detection.training.plans.lettering import letters
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.pen import Pen
from kkg_area_detection.training.plans.rooms import Cell
from kkg_area_detection.training.plans.words import room_name

_SMALLEST = 7.0  # pixels of the canvas: below it letters are dots


def draw_names(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Write into the rooms what they are, how large, and now and then a number in a circle."""
    layout = building.layout
    boxed = random_.random() < 0.06
    for room, area in layout.areas().items():
        if random_.random() > look.names:
            continue
        cell = layout.cells_of(room)[0]
        lines = room_name(random_, layout.kinds[room], area / 400, japanese=look.japanese)
        _write(random_, pen, cell, lines, look, boxed=boxed)
    if look.style == "cad" and random_.random() < 0.5:
        _tags(random_, pen, building, look)


def _write(
    random_: random.Random, pen: Pen, cell: Cell, lines: tuple[str, ...], look: Look, *, boxed: bool
) -> None:
    left, top, right, bottom = cell.box
    x = (left + right) / 2 + random_.uniform(-0.1, 0.1) * (right - left)
    y = (top + bottom) / 2 + random_.uniform(-0.15, 0.15) * (bottom - top)
    at = pen.frame.point(x, y)
    (x0, y0), (x1, y1) = pen.frame.points(((left, top), (right, bottom)))
    width, height = abs(x1 - x0) * 0.92, abs(y1 - y0) * 0.92
    size = look.letter_size
    widest = max(letters(line, max(5, round(size)), look.font, turned=False).width for line in lines)
    turned = width < widest and height > 1.6 * width
    if turned:
        width, lines = height, lines[:1]
    if widest > width:
        size = size * width / widest
    if size < _SMALLEST:
        return
    if boxed and not turned:
        half = min(widest, width) / 2 + 2
        pen.draw.rectangle(
            (at[0] - half, at[1] - 0.7 * size, at[0] + half, at[1] + 0.7 * size),
            fill=(255, 255, 255),
            outline=look.ink,
        )
    for number, line in enumerate(lines):
        drop = (number - (len(lines) - 1) / 2) * size * 1.25
        pen.write(line, (at[0], at[1] + drop), size, look.letter_ink, turned=turned, font=look.font)


def _tags(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Numbers of doors and windows in circles, as schedules of construction drawings want them."""
    radius = max(5.0, look.letter_size * 0.7)
    for opening in building.openings:
        if random_.random() < 0.5:
            continue
        wall, middle = opening.wall, (opening.low + opening.high) / 2
        off = (building.outer_thickness + radius / pen.frame.scale) * random_.choice((-1.2, 1.2))
        x, y = pen.frame.point(*((wall.at + off, middle) if wall.upright else (middle, wall.at + off)))
        pen.draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=look.fine_ink)
        pen.write(str(random_.randrange(1, 30)), (x, y), radius * 1.1, look.fine_ink, font=look.font)
