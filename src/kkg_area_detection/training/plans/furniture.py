"""Furniture in the rooms, and stairs."""

from __future__ import annotations

import random

from kkg_area_detection.training.plans.building import Building
from kkg_area_detection.training.plans.frame import Box, Point
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.pen import Colour, Pen
from kkg_area_detection.training.plans.symbols import PIECES, Piece

_IN: dict[str, tuple[str, ...]] = {
    "living": ("sofa", "sofa", "table", "round", "low_table", "rug", "armchair", "counter",
               "counter2", "shelf", "small_table"),
    "bedroom": ("bed", "single", "bed", "desk", "wardrobe", "shelf", "wardrobe2", "armchair", "piano"),
    "tatami": ("low_table", "shelf", "wardrobe"),
    "kitchen": ("counter", "counter2", "fridge", "fridge", "small_table", "shelf"),
    "bath": ("bath", "bath2", "unit_bath", "shower", "basin", "toilet"),
    "wash": ("basin", "washer", "washer2", "basin", "shelf"),
    "wc": ("toilet", "toilet2"),
    "hall": ("shelf",),
    "entrance": ("shelf", "wardrobe"),
    "closet": ("rack", "cross", "shelf"),
    "store": ("cross", "shelf", "washer"),
    "office": ("desk", "desk", "desk", "table", "table", "shelf", "wardrobe", "round"),
}  # fmt: skip
_ALWAYS = ("bath", "wc", "wash", "kitchen", "stairs")  # fixtures are drawn where furniture is not


def draw_furniture(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Furnish all rooms."""
    pad = building.outer_thickness / 2
    fixtures = random_.random() < 0.85
    fill: Colour | None = (255, 255, 255) if random_.random() < 0.45 else None
    for room, kind in building.layout.kinds.items():
        cell = building.layout.cells_of(room)[0]
        inner = (cell.box[0] + pad, cell.box[1] + pad, cell.box[2] - pad, cell.box[3] - pad)
        if min(inner[2] - inner[0], inner[3] - inner[1]) < 7:
            continue
        if kind == "stairs":
            _stairs(random_, pen, inner, look)
            continue
        if kind == "living" and fixtures and random_.random() < 0.5:
            _put(random_, pen, inner, PIECES[random_.choice(("counter", "counter2"))], look, fill=fill)
        mean = look.furniture * min(2.5, max(0.5, cell.area / 4000))
        count = int(mean) + (random_.random() < mean % 1)
        if kind in _ALWAYS and fixtures:
            count = max(count, 1)
        for _ in range(min(count, 9)):
            _put(random_, pen, inner, PIECES[random_.choice(_IN[kind])], look, fill=fill)


def _put(
    random_: random.Random, pen: Pen, inner: Box, piece: Piece, look: Look, *, fill: Colour | None
) -> None:
    """Draw a piece at a wall of a box, if it fits."""
    side = random_.randrange(4)
    left, top, right, bottom = inner
    length, room = (right - left, bottom - top) if side < 2 else (bottom - top, right - left)
    width, depth = random_.uniform(*piece.widths), random_.uniform(*piece.depths)
    if piece.widths[0] > length or depth > room:
        return
    width = min(width, length)
    start = random_.choice((0.0, length - width, random_.uniform(0, length - width)))
    off = random_.uniform(0, room - depth) if piece.free else 0.0

    def at(u: float, v: float) -> Point:
        along, away = start + u * width, off + v * depth
        if side == 0:
            return left + along, top + away
        if side == 1:
            return left + along, bottom - away
        return (left + away, top + along) if side == 2 else (right - away, top + along)

    for shape, u0, v0, u1, v1 in piece.strokes:
        (x0, y0), (x1, y1) = at(u0, v0), at(u1, v1)
        if shape == "line":
            pen.line(((x0, y0), (x1, y1)), look.fine_ink, look.fine_line)
            continue
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        (pen.box if shape == "box" else pen.ellipse)(box, fill, look.fine_ink, look.fine_line)


def _stairs(random_: random.Random, pen: Pen, inner: Box, look: Look) -> None:
    """Treads across the longer side, in one flight or two, with an arrow."""
    left, top, right, bottom = inner
    flat = right - left > bottom - top
    length, broad = (right - left, bottom - top) if flat else (bottom - top, right - left)

    def line(u0: float, v0: float, u1: float, v1: float) -> None:
        ends = (
            ((left + u0, top + v0), (left + u1, top + v1))
            if flat
            else ((left + v0, top + u0), (left + v1, top + u1))
        )
        pen.line(ends, look.fine_ink, look.fine_line)

    tread = max(random_.uniform(4.5, 6), 4.0 / pen.frame.scale)
    landing = random_.choice((0.0, min(broad, 0.35 * length)))
    at = landing
    while at < length * random_.uniform(0.9, 1.0):
        line(at, 0, at, broad)
        at += tread
    if broad > 28:
        line(landing, broad / 2, length, broad / 2)
    for share in (0.25, 0.75) if broad > 28 else (0.5,):
        line(landing / 2 + 2, broad * share, length - 2, broad * share)
    line(length - 6, broad * 0.62, length - 2, broad * 0.5)
