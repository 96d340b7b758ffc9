"""What is around a plan: balconies, gardens, neighbours, dimension chains, axes, frames, title blocks and notes."""

from __future__ import annotations

import random
from itertools import pairwise

from kkg_area_detection.training.plans.building import Building, along
from kkg_area_detection.training.plans.frame import Box, Point
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.openings import OUTSIDE, Wall
from kkg_area_detection.training.plans.pen import Pen
from kkg_area_detection.training.plans.words import length_text, note, outdoor_name

_SMALLEST_LETTERS = 5.0  # pixels of the canvas


def draw_around(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Draw what is outside of a building, before the building itself covers it."""
    outer = [wall for wall in building.walls if wall.outer and wall.length > 24]
    for _ in range(look.surroundings):
        kind = random_.random()
        if kind < 0.65 and outer:
            _balcony(random_, pen, random_.choice(outer), building, look)
        elif kind < 0.8:
            _site(random_, pen, building, look)
        elif kind < 0.9:
            _neighbour(random_, pen, building, look)
        else:
            _plants(random_, pen, building, look)
    if look.grid:
        _axes(random_, pen, building, look)
    for side in range(4):
        if look.dimensions and random_.random() < 0.7:
            _chains(random_, pen, building, look, side)


def _balcony(random_: random.Random, pen: Pen, wall: Wall, building: Building, look: Look) -> None:
    """A slab with a railing, hatched or tiled or plain."""
    depth = random_.uniform(16, 34)
    outwards = -1 if wall.before == OUTSIDE else 1
    low, high = float(wall.low), float(wall.high)
    if random_.random() < 0.3:
        low += wall.length * 0.3 * random_.random()
    box = along(wall, low, high, depth if outwards < 0 else 0, depth if outwards > 0 else 0)
    fill = random_.choice((None, None, look.floor("closet"), look.floor("bath"), (235, 235, 235)))
    pen.box(box, fill, look.ink, look.line)
    if random_.random() < 0.5:  # the railing's other side
        rail = random_.uniform(1.0, 2.5)
        x0, y0, x1, y1 = box
        pen.box((x0 + rail, y0 + rail, x1 - rail, y1 - rail), None, look.fine_ink, look.fine_line)
    if random_.random() < 0.35:
        pitch = max(random_.uniform(3, 9), 6 / pen.frame.scale)
        _ruled(pen, box, pitch, look, crossed=random_.random() < 0.4)
    if random_.random() < 0.6:
        middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
        text = outdoor_name(random_, japanese=look.japanese)
        flat = box[2] - box[0] > box[3] - box[1]
        turned = not flat and building.frame.matrix[1] == 0
        pen.text(text, middle, look.letter_size * 0.85, look.letter_ink, turned=turned, font=look.font)


def _ruled(pen: Pen, box: Box, pitch: float, look: Look, *, crossed: bool) -> None:
    x0, y0, x1, y1 = box
    x, y = x0 + pitch, y0 + pitch
    while x < x1:
        pen.line(((x, y0), (x, y1)), look.fine_ink, 1)
        x += pitch
    while crossed and y < y1:
        pen.line(((x0, y), (x1, y)), look.fine_ink, 1)
        y += pitch


def _site(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """The boundary of the site, in a chain of dashes, and a road."""
    width, height = building.layout.width, building.layout.height
    a, b, c, d = (random_.uniform(10, 60) for _ in range(4))
    points = [(-a, -b), (width + c, -b * 0.8), (width + c, height + d), (-a * 1.1, height + d), (-a, -b)]
    for start, end in pairwise(points):
        pen.dashes(start, end, look.ink, look.line, pattern=(16, 4, 3, 4))


def _neighbour(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Another building, as a plain or hatched block: no plan."""
    width, height = building.layout.width, building.layout.height
    x = random_.choice((-random_.uniform(60, 110), width + random_.uniform(25, 60)))
    y = random_.uniform(-0.2, 0.8) * height
    box = (x, y, x + random_.uniform(40, 100), y + random_.uniform(40, 120))
    level = random_.randint(190, 245)
    pen.box(box, (level, level, level) if random_.random() < 0.6 else None, look.fine_ink, look.line)
    if random_.random() < 0.4:
        _ruled(pen, box, max(5.0, 6 / pen.frame.scale), look, crossed=False)


def _plants(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    width, height = building.layout.width, building.layout.height
    green = random_.random() < 0.5 and look.floors is not None
    for _ in range(random_.randint(2, 9)):
        radius = random_.uniform(4, 16)
        edge = random_.randrange(4)
        u, off = random_.uniform(0, 1), random_.uniform(radius, 40)
        x, y = ((-off, u * height), (width + off, u * height), (u * width, -off), (u * width, height + off))[
            edge
        ]
        fill = (196, 222, 170) if green else None
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill, look.fine_ink, look.fine_line)
        if random_.random() < 0.5:
            pen.ellipse(
                (x - radius / 4, y - radius / 4, x + radius / 4, y + radius / 4), None, look.fine_ink, 1
            )


def _stations(building: Building, *, upright: bool) -> list[int]:
    """Where walls are, along x or y."""
    walls = {wall.at for wall in building.walls if wall.upright == upright}
    return sorted(walls)


def _chains(random_: random.Random, pen: Pen, building: Building, look: Look, side: int) -> None:
    """Dimension chains along one side, the nearest with most divisions."""
    across = side < 2
    stations = _stations(building, upright=across)
    far = building.layout.height if across else building.layout.width
    gap = max(random_.uniform(7, 16), look.letter_size * 1.2 / pen.frame.scale)
    tick = random_.randrange(3)
    for level in range(look.dimensions):
        marks = (
            stations
            if level == 0
            else (
                [stations[0], *stations[2:-1:2], stations[-1]] if level == 1 else [stations[0], stations[-1]]
            )
        )
        if level == look.dimensions - 1 and level > 0:
            marks = [stations[0], stations[-1]]
        v = -gap * (level + 1.3) if side % 2 == 0 else far + gap * (level + 1.3)

        def at(u: float, v: float) -> Point:
            return (u, v) if across else (v, u)

        pen.line((at(marks[0], v), at(marks[-1], v)), look.fine_ink, look.fine_line)
        for mark in marks:
            reach = gap * 0.35
            pen.line((at(mark, v - reach), at(mark, v + reach)), look.fine_ink, look.fine_line)
            x, y = pen.frame.point(*at(mark, v))
            if tick == 0:
                pen.draw.line((x - 3, y + 3, x + 3, y - 3), fill=look.ink, width=look.line)
            elif tick == 1:
                pen.draw.ellipse((x - 2, y - 2, x + 2, y + 2), fill=look.ink)
        for low, high in pairwise(marks):
            middle = pen.frame.point(*at((low + high) / 2, v - gap * 0.38))
            ends = pen.frame.points((at(low, v), at(high, v)))
            flat = abs(ends[1][0] - ends[0][0]) > abs(ends[1][1] - ends[0][1])
            size = max(7.0, look.letter_size * 0.7)
            if max(abs(ends[1][0] - ends[0][0]), abs(ends[1][1] - ends[0][1])) > 2.2 * size:
                text = length_text(random_, high - low, look.dimension_style)
                pen.write(text, middle, size, look.letter_ink, turned=not flat, font=look.font)


def _axes(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Axes through the whole building, with bubbles at their ends."""
    width, height = building.layout.width, building.layout.height
    reach = random_.uniform(14, 50)
    radius = max(5.0, look.letter_size * 0.75)
    japanese = random_.random() < 0.5
    for upright in (True, False):
        stations = _stations(building, upright=upright)
        kept = [stations[0], *(mark for mark in stations[1:-1] if random_.random() < 0.5), stations[-1]]
        for number, mark in enumerate(kept):
            ends = (
                ((mark, -reach), (mark, height + reach * 0.5))
                if upright
                else ((-reach, mark), (width + reach * 0.5, mark))
            )
            pen.dashes(ends[0], ends[1], look.fine_ink, 1, pattern=(14, 4, 3, 4))
            x, y = pen.frame.point(*ends[0])
            pen.draw.ellipse(
                (x - radius, y - radius, x + radius, y + radius), fill=look.paper, outline=look.ink
            )
            text = (
                f"{'XY'[not upright]}{number + 1}"
                if japanese
                else (str(number + 1) if upright else "ABCDEFGHJK"[number % 10])
            )
            pen.write(text, (x, y), radius * 1.1, look.letter_ink, font=look.font)


def draw_sheet(random_: random.Random, pen: Pen, look: Look) -> None:
    """Frame and title block, before any plan: a plan is never covered by them."""
    width, height = pen.image.size
    if random_.random() < (0.5 if look.style in ("cad", "sheet") else 0.1):
        off = random_.uniform(0.008, 0.025) * width
        pen.draw.rectangle((off, off, width - off, height - off), outline=look.ink, width=look.line)
    if random_.random() < (0.35 if look.style in ("cad", "sheet") else 0.04):
        _title_block(random_, pen, look)


def draw_notes(random_: random.Random, pen: Pen, look: Look) -> None:
    """North arrow and lines of text near the edges of the sheet."""
    width, height = pen.image.size
    for _ in range(look.notes):
        size = max(7.0, look.letter_size * random_.choice((0.6, 0.7, 0.8, 1.0, 1.5)))
        edge = random_.randrange(4)
        u, off = random_.uniform(0.1, 0.9), random_.uniform(0.015, 0.05)
        x, y = ((u, off), (u, 1 - off), (off + 0.06, u), (1 - off - 0.06, u))[edge]
        for line in range(random_.choice((1, 1, 2, 4)) if edge > 1 else 1):
            text = note(random_, japanese=look.japanese)
            pen.write(
                text, (x * width, y * height + line * 1.4 * size), size, look.letter_ink, font=look.font
            )
    if random_.random() < 0.15:
        _north(random_, pen, look)


def _north(random_: random.Random, pen: Pen, look: Look) -> None:
    width, height = pen.image.size
    radius = random_.uniform(0.015, 0.035) * width
    x, y = random_.choice((0.06, 0.94)) * width, random_.choice((0.07, 0.93)) * height
    pen.draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=look.ink, width=look.fine_line)
    pen.draw.polygon(
        ((x, y - 1.4 * radius), (x - 0.4 * radius, y + radius), (x + 0.4 * radius, y + radius)),
        fill=look.ink if random_.random() < 0.5 else None,
        outline=look.ink,
    )


def _title_block(random_: random.Random, pen: Pen, look: Look) -> None:
    """A table in the lower right corner, or a strip along the right or the lower edge."""
    width, height = pen.image.size
    kind = random_.randrange(3)
    across, down = ((0.3, 0.1), (0.09, 0.96), (0.96, 0.06))[kind]
    right, bottom = width * 0.98, height * 0.98
    left, top = right - across * width, bottom - down * height
    rows, columns = ((3, 2), (9, 1), (1, 6))[kind]
    pen.draw.rectangle((left, top, right, bottom), fill=look.paper, outline=look.ink, width=look.line)
    for row in range(rows):
        for column in range(columns):
            box = (
                left + (right - left) * column / columns,
                top + (bottom - top) * row / rows,
                left + (right - left) * (column + 1) / columns,
                top + (bottom - top) * (row + 1) / rows,
            )
            pen.draw.rectangle(box, outline=look.ink, width=look.fine_line)
            size = min(look.letter_size * 0.7, 0.6 * (box[3] - box[1]), 0.14 * (box[2] - box[0]))
            if size >= _SMALLEST_LETTERS and random_.random() < 0.8:
                middle = ((box[0] + box[2]) / 2, (box[1] + box[3]) / 2)
                pen.write(
                    note(random_, japanese=look.japanese), middle, size, look.letter_ink, font=look.font
                )
