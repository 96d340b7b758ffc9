"""One building on the canvas, and its segments: what every pixel of it is.

What is labelled, by convention:

* ``room``: the free floor between the faces of the walls, one segment a room; furniture does not interrupt it.
  Halls, stairs, closets, bathrooms and toilets are rooms. Balconies and terraces are background. Rooms that only a
  line divides are separate. A passage without a leaf belongs to the rooms it joins.
* ``exwall`` and ``inwall``: all outer walls of a building are one segment, all inner walls another, walls between
  flats among them. Pillars in outer walls belong to these.
* ``door``: the gap in the wall and, for swinging leaves, what the leaf sweeps, which is cut out of the room.
  Sliding and folding doors reach a little beyond the wall.
* ``window``: the gap in the outer wall.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from kkg_area_detection.training.plans.frame import Box, Frame, Point, corners
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.openings import Opening, Wall, choose_openings, walls_of
from kkg_area_detection.training.plans.pen import OVERSAMPLING, arc_points
from kkg_area_detection.training.plans.rooms import Layout

if TYPE_CHECKING:
    from PIL import ImageDraw

_THINNEST_OUTER, _THINNEST_INNER = 1.5, 1.2  # pixels of the finished picture
_THICKEST = 8.0 / 256  # of the longest edge
_BESIDE = 1.5  # units by which the segments of sliding doors reach beyond the wall
_FOLD = 3.5  # units by which a folded leaf stands out


@dataclass(slots=True)
class Building:
    """A floor with its place on the canvas.

    Attributes:
        layout: The rooms.
        frame: Where on the canvas.
        walls: All walls.
        borders: Where rooms meet without a wall.
        openings: In the walls.
        outer_thickness: In units.
        inner_thickness: In units.
        pillars: Boxes, in units.
    """

    layout: Layout
    frame: Frame
    walls: list[Wall]
    borders: list[Wall]
    openings: list[Opening]
    outer_thickness: float
    inner_thickness: float
    pillars: list[Box]

    def thickness(self, wall: Wall) -> float:
        """In units."""
        return self.outer_thickness if wall.outer else self.inner_thickness


def construct(random_: random.Random, layout: Layout, frame: Frame, look: Look, size: int) -> Building:
    """Build walls of a thickness that can be seen, with doors and windows.

    Args:
        random_: Openings are drawn from it.
        layout: The rooms.
        frame: Where they are drawn.
        look: Thickness of walls, habits.
        size: Longest edge of the finished picture.
    """
    most = _THICKEST * size * OVERSAMPLING / frame.scale
    outer = min(max(look.outer_thickness, _THINNEST_OUTER * OVERSAMPLING / frame.scale), most)
    inner = min(max(look.inner_thickness, _THINNEST_INNER * OVERSAMPLING / frame.scale), outer)
    walls, borders = walls_of(layout)
    habits = replace(look.openings, margin=outer / 2 + random_.uniform(0.8, 2.5))
    pillars = []
    if look.pillars:
        half = outer * random_.uniform(0.7, 1.3)
        for wall in walls:
            if wall.outer and random_.random() < look.pillars:
                x, y = (wall.at, wall.low) if wall.upright else (wall.low, wall.at)
                pillars.append((x - half, y - half, x + half, y + half))
        habits = replace(habits, margin=max(habits.margin, half + 0.5))
    openings = choose_openings(random_, layout, walls, habits)
    return Building(layout, frame, walls, borders, openings, outer, inner, pillars)


def along(wall: Wall, low: float, high: float, before: float, after: float) -> Box:
    """A box on a wall: from ``low`` to ``high`` along it, and so much before and after its middle."""
    if wall.upright:
        return wall.at - before, low, wall.at + after, high
    return low, wall.at - before, high, wall.at + after


def pieces(building: Building) -> Iterator[tuple[Wall, Box]]:
    """The parts of all walls between their openings, which overlap where walls meet."""
    gaps: dict[int, list[Opening]] = {}
    for opening in building.openings:
        gaps.setdefault(id(opening.wall), []).append(opening)
    for wall in building.walls:
        half = building.thickness(wall) / 2
        start = wall.low - half
        trim = 0.5 / building.frame.scale  # Pillow fills both borders of a polygon
        for gap in sorted(gaps.get(id(wall), []), key=lambda gap: gap.low):
            yield wall, along(wall, start, gap.low - trim, half - trim, half - trim)
            start = gap.high + trim
        yield wall, along(wall, start, wall.high + half, half - trim, half - trim)


def swept(opening: Opening) -> list[tuple[Point, float, float, float]]:
    """What leaves sweep: hinge, length, and the angles of the closed and the open leaf, in degrees.

    Args:
        opening: A swinging door of one or two leaves.
    """
    wall = opening.wall
    both = opening.kind == "double"
    length = (opening.high - opening.low) / (2 if both else 1)
    leaves = []
    for hinge_low in (True, False) if both else (opening.hinge_low,):
        at = opening.low if hinge_low else opening.high
        hinge = (float(wall.at), at) if wall.upright else (at, float(wall.at))
        if wall.upright:
            closed, opened = (90.0 if hinge_low else -90.0), (0.0 if opening.side > 0 else 180.0)
        else:
            closed, opened = (0.0 if hinge_low else 180.0), (90.0 if opening.side > 0 else -90.0)
        if opened - closed > 180:
            opened -= 360
        elif closed - opened > 180:
            closed -= 360
        leaves.append((hinge, length, closed, opened))
    return leaves


def folded(opening: Opening) -> list[list[Point]]:
    """The triangles of folded leaves, in units."""
    wall, triangles = opening.wall, []
    count = 1 if opening.high - opening.low < 16 else 2
    step = (opening.high - opening.low) / count
    depth = min(_FOLD + step * 0.12, step)
    for number in range(count):
        hinge = opening.low + step * (number if number == 0 else number + 1)
        inwards = 1 if number == 0 else -1
        line = [(0.0, hinge), (depth, hinge + inwards * step * 0.2), (0.0, hinge + inwards * step * 0.4)]
        triangles.append(
            [
                (wall.at + opening.side * v, u) if wall.upright else (u, wall.at + opening.side * v)
                for v, u in line
            ]
        )
    return triangles


def register(building: Building, ids: ImageDraw.ImageDraw, labels: list[str]) -> None:
    """Paint the segments of a building.

    Args:
        building: What is painted.
        ids: On an image of mode I that has the canvas's size.
        labels: Of the segments so far; those of the building are appended.
    """
    frame = building.frame
    numbers = {}
    for room in building.layout.kinds:
        labels.append("room")
        numbers[room] = len(labels)
    for cell in building.layout.cells:
        ids.polygon(frame.loop(corners(cell.box)), fill=numbers[cell.room])
    labels += ["exwall", "inwall"]
    outer, inner = len(labels) - 1, len(labels)
    doors = _register_leaves(building, ids, labels)
    for wall, box in sorted(pieces(building), key=lambda piece: piece[0].outer):
        ids.polygon(frame.loop(corners(box)), fill=outer if wall.outer else inner)
    for box in building.pillars:
        ids.polygon(frame.loop(corners(box)), fill=outer)
    trim = 0.5 / frame.scale
    for opening in building.openings:
        if opening.kind == "passage":
            continue
        half = building.thickness(opening.wall) / 2 - trim
        half += _BESIDE if opening.kind == "slide" else 0.0
        if opening.kind == "window":
            labels.append("window")
        number = doors.get(id(opening), len(labels))
        box = along(opening.wall, opening.low, opening.high - trim, half, half)
        ids.polygon(frame.loop(corners(box)), fill=number)


def _register_leaves(building: Building, ids: ImageDraw.ImageDraw, labels: list[str]) -> dict[int, int]:
    """Paint what leaves sweep, which walls then cover in part; the numbers of the doors."""
    doors = {}
    for opening in building.openings:
        if opening.kind in ("window", "passage"):
            continue
        labels.append("door")
        doors[id(opening)] = len(labels)
        areas = folded(opening) if opening.kind == "fold" else []
        if opening.kind in ("swing", "double"):
            areas = [[hinge, *arc_points(hinge, *leaf)] for hinge, *leaf in swept(opening)]
        for area in areas:
            ids.polygon(building.frame.points(area), fill=len(labels))
    return doors
