"""From the plan's units to pixels of the canvas: scale, turn, mirror, lean, bend and tremble."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, top, right, bottom."""

UNITS_A_METRE = 20
"""Plans are laid out on a grid of 5 cm: walls that should meet then do, with integers."""

_STEP = 12.0  # units between the vertices of a bent line


@dataclass(frozen=True, slots=True)
class Bend:
    """What makes some walls oblique or curved, before everything else.

    Attributes:
        kink: Beyond ``start``, y moves by this much for each unit of x (a building with a bent wing).
        start: In units, along x.
        radius: Radius of an arc on which the building stands, in units; 0 is straight.
        swapped: x and y change roles.
    """

    kink: float = 0.0
    start: float = 0.0
    radius: float = 0.0
    swapped: bool = False

    def __call__(self, x: float, y: float) -> Point:
        """Move one point."""
        if self.swapped:
            x, y = y, x
        if self.kink:
            y += self.kink * max(0.0, x - self.start)
        if self.radius:
            angle = (x - self.start) / self.radius
            x, y = (
                self.start + (self.radius + y) * math.sin(angle),
                (self.radius + y) * math.cos(angle) - self.radius,
            )
        return (y, x) if self.swapped else (x, y)


@dataclass(slots=True)
class Frame:
    """A mapping of points: ``bend``, then an affine one, then perspective, then a trembling hand.

    Attributes:
        matrix: (a, b, c, d, e, f): x' = a x + b y + c, y' = d x + e y + f.
        scale: Pixels of the canvas for a unit.
        lean: Perspective: what is divided by grows by these for each pixel from ``middle``.
        middle: Of the canvas.
        tremble: Largest error of a vertex, in pixels of the canvas.
        seed: Of the trembling. A point always trembles alike, so that lines still meet.
    """

    matrix: tuple[float, float, float, float, float, float]
    scale: float
    bend: Bend | None = None
    lean: Point = (0.0, 0.0)
    middle: Point = (0.0, 0.0)
    tremble: float = 0.0
    seed: int = 0

    def point(self, x: float, y: float) -> Point:
        """One point on the canvas."""
        if self.bend is not None:
            x, y = self.bend(x, y)
        a, b, c, d, e, f = self.matrix
        x, y = a * x + b * y + c, d * x + e * y + f
        if self.lean != (0.0, 0.0):
            dx, dy = x - self.middle[0], y - self.middle[1]
            depth = 1.0 + self.lean[0] * dx + self.lean[1] * dy
            x, y = self.middle[0] + dx / depth, self.middle[1] + dy / depth
        if self.tremble:
            noise = random.Random(int(x * 8) * 7919 + int(y * 8) * 104729 + self.seed)  # noqa: S311
            x += noise.uniform(-self.tremble, self.tremble)
            y += noise.uniform(-self.tremble, self.tremble)
        return x, y

    def points(self, points: Iterable[Point]) -> list[Point]:
        """Vertices on the canvas; lines between them stay as they are."""
        if self.bend is None and self.lean == (0.0, 0.0) and not self.tremble:
            a, b, c, d, e, f = self.matrix
            return [(a * x + b * y + c, d * x + e * y + f) for x, y in points]
        return [self.point(x, y) for x, y in points]

    def path(self, points: Sequence[Point]) -> list[Point]:
        """A line through ``points`` on the canvas, with more vertices where the plan is bent."""
        if self.bend is None:
            return self.points(points)
        dense = [points[0]]
        for (x0, y0), (x1, y1) in pairwise(points):
            steps = max(1, round(max(abs(x1 - x0), abs(y1 - y0)) / _STEP))
            dense += [(x0 + (x1 - x0) * i / steps, y0 + (y1 - y0) * i / steps) for i in range(1, steps + 1)]
        return self.points(dense)

    def loop(self, points: Sequence[Point]) -> list[Point]:
        """A closed polygon on the canvas, with more vertices where the plan is bent."""
        return self.points(points) if self.bend is None else self.path([*points, points[0]])


def corners(box: Box) -> tuple[Point, Point, Point, Point]:
    """The four corners in order."""
    left, top, right, bottom = box
    return (left, top), (right, top), (right, bottom), (left, bottom)


def bounds(points: Iterable[Point]) -> Box:
    """The box around ``points``."""
    xs, ys = zip(*points, strict=True)
    return min(xs), min(ys), max(xs), max(ys)


def random_bend(random_: random.Random, width: float, height: float) -> Bend:
    """A building with a bent wing, or one on an arc."""
    swapped = random_.random() < 0.5
    length = height if swapped else width
    sign = random_.choice((-1, 1))
    if random_.random() < 0.6:
        return Bend(sign * random_.uniform(0.12, 0.5), random_.uniform(0.25, 0.7) * length, 0.0, swapped)
    depth = width if swapped else height
    radius = sign * (random_.uniform(0.8, 3.0) * length + (depth if sign < 0 else 0.0))
    return Bend(0.0, length / 2, radius, swapped)


def fit(
    random_: random.Random,
    size: tuple[float, float],
    into: Box,
    *,
    bend: Bend | None = None,
    angle: float = 0.0,
    squeeze: float = 1.0,
    mirrored: bool = False,
    quarter_turns: int = 0,
) -> Frame:
    """The mapping that puts a plan into a box of the canvas, somewhere in what room is left.

    Args:
        random_: Where in the box.
        size: Width and height of the plan, in units.
        into: In pixels of the canvas.
        bend: Applied first.
        angle: Of the turn, in degrees.
        squeeze: Width over height, beyond the plan's own.
        mirrored: Left and right change sides.
        quarter_turns: Clockwise.

    Returns:
        A mapping without perspective.
    """
    width, height = size
    turn = math.radians(angle + 90 * quarter_turns)
    cosine, sine = math.cos(turn), math.sin(turn)
    across = (-1.0 if mirrored else 1.0) * squeeze
    raw = Frame((cosine * across, -sine, 0, sine * across, cosine, 0), 1.0, bend)
    x0, y0, x1, y1 = bounds(
        raw.path([(0, 0), (width / 2, 0), (width, 0), (width, height), (0, height), (0, 0)])
    )
    left, top, right, bottom = into
    scale = min((right - left) / (x1 - x0), (bottom - top) / (y1 - y0))
    dx = left - x0 * scale + random_.random() * (right - left - (x1 - x0) * scale)
    dy = top - y0 * scale + random_.random() * (bottom - top - (y1 - y0) * scale)
    a, b, _, d, e, _ = raw.matrix
    return Frame((a * scale, b * scale, dx, d * scale, e * scale, dy), scale * math.sqrt(squeeze), bend)
