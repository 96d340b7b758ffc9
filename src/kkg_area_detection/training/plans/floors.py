"""Floors: colours, tiles, planks and tatami."""

from __future__ import annotations

import random

from kkg_area_detection.training.plans.building import Building
from kkg_area_detection.training.plans.frame import corners
from kkg_area_detection.training.plans.look import Look, luminance
from kkg_area_detection.training.plans.pen import Colour, Pen
from kkg_area_detection.training.plans.rooms import WET, Cell

_CLOSEST = 5.0  # pixels of the canvas between the lines of a pattern


def draw_floors(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Colour the rooms and draw patterns on some floors."""
    layout = building.layout
    share = look.texture
    for room, kind in layout.kinds.items():
        colour = look.floor(kind) or look.paper
        cells = layout.cells_of(room)
        if look.floors is not None:
            for cell in cells:
                pen.draw.polygon(pen.frame.loop(corners(cell.box)), fill=colour)
        if kind == "tatami" and random_.random() < 0.75:
            edge = _darker(colour, random_.uniform(0.2, 0.6)) if random_.random() < 0.6 else look.fine_ink
            for cell in cells:
                _tatami(pen, cell, edge, look.fine_line)
        elif random_.random() < share:
            line = _darker(colour, random_.uniform(0.08, 0.35))
            tiled = kind in WET or kind in ("entrance", "kitchen", "store") or random_.random() < 0.3
            pitch = max(random_.uniform(3, 9), _CLOSEST / pen.frame.scale)
            upright = random_.random() < 0.5
            for cell in cells:
                (_tiles if tiled else _planks)(random_, pen, cell, pitch, line, upright=upright)


def _darker(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(level * (1 - share)) for level in colour)
    if luminance(colour) < 90:
        red, green, blue = (min(255, level + 60) for level in colour)
    return (red, green, blue)


def _tiles(random_: random.Random, pen: Pen, cell: Cell, pitch: float, ink: Colour, *, upright: bool) -> None:
    left, top, right, bottom = cell.box
    tall = pitch * (2 if upright and random_.random() < 0.3 else 1)
    x, y = left + pitch / 2, top + tall / 2
    while x < right:
        pen.line(((x, top), (x, bottom)), ink, 1)
        x += pitch
    while y < bottom:
        pen.line(((left, y), (right, y)), ink, 1)
        y += tall


def _planks(
    random_: random.Random, pen: Pen, cell: Cell, pitch: float, ink: Colour, *, upright: bool
) -> None:
    left, top, right, bottom = cell.box
    low, high, start, end = (left, right, top, bottom) if upright else (top, bottom, left, right)
    joints = random_.random() < 0.6
    at = low + pitch / 2
    while at < high:
        pen.line(((at, start), (at, end)) if upright else ((start, at), (end, at)), ink, 1)
        if joints:
            joint = random_.uniform(start, end)
            ends = ((at, joint), (min(at + pitch, high), joint))
            pen.line(ends if upright else [(y, x) for x, y in ends], ink, 1)
        at += pitch


def _tatami(pen: Pen, cell: Cell, ink: Colour, width: int) -> None:
    """Mats of two to one, laid around each other as far as the room allows."""
    left, top, _, _ = cell.box
    flat = cell.width >= cell.height
    long, short = (cell.width, cell.height) if flat else (cell.height, cell.width)
    columns = max(1, round(long / 18))
    rows = max(1, round(short / 18))
    step_u, step_v = long / columns, short / rows

    def line(u0: float, v0: float, u1: float, v1: float) -> None:
        ends = (
            ((left + u0, top + v0), (left + u1, top + v1))
            if flat
            else ((left + v0, top + u0), (left + v1, top + u1))
        )
        pen.line(ends, ink, width)

    for row in range(0, rows, 2):
        for column in range(0, columns, 2):
            u0, v0 = column * step_u, row * step_v
            u1, v1 = min(u0 + 2 * step_u, long), min(v0 + 2 * step_v, short)
            line(u0, v0, u1, v0)
            line(u0, v0, u0, v1)
            if (row + column) // 2 % 2 and rows - row > 1:
                line(u0 + step_u, v0, u0 + step_u, v1)
            elif rows - row > 1:
                line(u0, v0 + step_v, u1, v0 + step_v)
