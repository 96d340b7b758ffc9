"""Doors and windows as they are drawn."""

from __future__ import annotations

import random

from kkg_area_detection.training.plans.building import Building, along, folded, swept
from kkg_area_detection.training.plans.frame import Point
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.openings import Opening, Wall
from kkg_area_detection.training.plans.pen import Colour, Pen, arc_points

_TELLS_FLOORS_APART = 25  # levels of a colour
_WHITE: Colour = (255, 255, 255)


def draw_openings(random_: random.Random, pen: Pen, building: Building, look: Look) -> None:
    """Draw all doors and windows, and the lines where rooms meet without a wall."""
    for border in building.borders:
        _border(pen, building, border, look)
    for opening in building.openings:
        if opening.kind == "window":
            _window(pen, building, opening, look)
        elif opening.kind == "slide":
            _sliding(pen, building, opening, look)
        elif opening.kind == "fold":
            _jambs(pen, building, opening, look)
            ends = (_on(opening.wall, opening.low, 0), _on(opening.wall, opening.high, 0))
            pen.line(ends, look.fine_ink, look.fine_line)
            for triangle in folded(opening):
                pen.line(triangle, look.ink, look.line)
        elif opening.kind == "passage":
            _passage(random_, pen, building, opening, look)
        else:
            _jambs(pen, building, opening, look)
            _swinging(pen, opening, look)


def _on(wall: Wall, u: float, v: float) -> Point:
    """A point ``u`` along the wall and ``v`` from its middle."""
    return (wall.at + v, u) if wall.upright else (u, wall.at + v)


def _border(pen: Pen, building: Building, wall: Wall, look: Look) -> None:
    """Rooms that no wall divides: a broken or a thin line, or only another floor."""
    floors = [look.floor(building.layout.kinds[room]) for room in (wall.before, wall.after)]
    if (
        look.door_style == 3
        and floors[0] is not None
        and floors[1] is not None
        and max(abs(a - b) for a, b in zip(floors[0], floors[1], strict=True)) >= _TELLS_FLOORS_APART
    ):
        return
    start, end = _on(wall, wall.low, 0), _on(wall, wall.high, 0)
    if look.door_style % 2:
        pen.dashes(start, end, look.ink, look.line, pattern=(6.0 + 2 * look.line, 4.0 + look.line))
    else:
        pen.line((start, end), look.ink, look.line)


def _jambs(pen: Pen, building: Building, opening: Opening, look: Look) -> None:
    """Lines across the gap along both faces, where the drawing shows a sill."""
    if look.door_style < 2:
        return
    half = building.thickness(opening.wall) / 2
    for v in (-half, half):
        ends = (_on(opening.wall, opening.low, v), _on(opening.wall, opening.high, v))
        pen.line(ends, look.fine_ink, look.fine_line)


def _passage(random_: random.Random, pen: Pen, building: Building, opening: Opening, look: Look) -> None:
    roll = random_.random()
    half = building.thickness(opening.wall) / 2
    for v in (-half, half):
        ends = (_on(opening.wall, opening.low, v), _on(opening.wall, opening.high, v))
        if roll < 0.4:
            pen.dashes(*ends, look.fine_ink, look.fine_line, pattern=(5.0, 4.0))
        elif roll < 0.6:
            pen.line(ends, look.fine_ink, look.fine_line)


def _swinging(pen: Pen, opening: Opening, look: Look) -> None:
    for hinge, length, closed, opened in swept(opening):
        arc = arc_points(hinge, length, closed, opened)
        if look.door_fill is not None:
            pen.polygon([hinge, *arc], look.door_fill)
        if look.door_style != 3 or opening.kind == "double":
            pen.line(arc, look.ink, look.fine_line)
        else:
            pen.line((arc[0], arc[-1]), look.ink, look.fine_line)
        tip = arc[-1]
        if look.door_style == 1:
            thick = 0.8
            side = (arc[0][0] - hinge[0]) / length * thick, (arc[0][1] - hinge[1]) / length * thick
            far = (tip[0] + side[0], tip[1] + side[1]), (hinge[0] + side[0], hinge[1] + side[1])
            pen.polygon((hinge, tip, *far), _WHITE, look.ink, look.fine_line)
        else:
            pen.line((hinge, tip), look.ink, look.line + (1 if look.door_style == 2 else 0))


def _sliding(pen: Pen, building: Building, opening: Opening, look: Look) -> None:
    """Two leaves that overlap in the middle, or one beside the gap."""
    wall, low, high = opening.wall, opening.low, opening.high
    half = building.thickness(wall) / 2
    leaf = min(max(1.0, half * 0.45), 2.0)
    middle, lap = (low + high) / 2, (high - low) * 0.04
    if look.door_style >= 2:
        pen.box(along(wall, low, high, half, half), _WHITE, look.ink, look.fine_line)
    if high - low > 18 or look.door_style % 2:
        pen.box(along(wall, low, middle + lap, leaf, 0), _WHITE, look.ink, look.fine_line)
        pen.box(along(wall, middle - lap, high, 0, leaf), _WHITE, look.ink, look.fine_line)
        return
    v = half * opening.side
    pen.box(along(wall, low, high, leaf / 2 - v, leaf / 2 + v), _WHITE, look.ink, look.fine_line)


def _window(pen: Pen, building: Building, opening: Opening, look: Look) -> None:
    wall, low, high = opening.wall, opening.low, opening.high
    half = building.thickness(wall) / 2
    style = look.window_style
    fill: Colour = (214, 232, 246) if style == 4 else _WHITE
    narrow = 2 * half * pen.frame.scale < 5 * look.line + 2
    pen.box(along(wall, low, high, half, half), fill, look.ink if style != 3 else look.fine_ink, look.line)
    if narrow or style == 4:
        if style == 3:
            pen.line((_on(wall, low, 0), _on(wall, high, 0)), look.ink, look.line)
        return
    if style == 2:  # two sashes that overlap
        middle, sash = (low + high) / 2, half * 0.35
        pen.line((_on(wall, low, -sash), _on(wall, middle + 1, -sash)), look.ink, look.line)
        pen.line((_on(wall, middle - 1, sash), _on(wall, high, sash)), look.ink, look.line)
        return
    for share in ((0.0,), (-0.33, 0.33), (), (0.0,))[style]:
        v = half * share
        pen.line((_on(wall, low, v), _on(wall, high, v)), look.ink, look.line)
