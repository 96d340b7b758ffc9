"""The canvas, and a pen that draws in the plan's units."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kkg_area_detection.training.plans.frame import Box, Frame, Point, corners
from kkg_area_detection.training.plans.lettering import letters

if TYPE_CHECKING:
    from PIL import Image, ImageDraw

OVERSAMPLING = 2
"""The canvas is this much larger than the picture: that is the antialiasing."""

Colour = tuple[int, int, int]


@dataclass(slots=True)
class Pen:
    """Draws on one picture through one frame.

    Attributes:
        image: Mode RGB, the canvas.
        draw: On ``image``.
        frame: From units to pixels.
    """

    image: Image.Image
    draw: ImageDraw.ImageDraw
    frame: Frame

    def line(self, points: Sequence[Point], ink: Colour, width: int) -> None:
        """A line through ``points``."""
        self.draw.line(self.frame.path(points), fill=ink, width=width)

    def polygon(
        self, points: Sequence[Point], fill: Colour | None, ink: Colour | None = None, width: int = 1
    ) -> None:
        """A closed shape."""
        path = self.frame.loop(points)
        if fill is not None:
            self.draw.polygon(path, fill=fill)
        if ink is not None:
            self.draw.line([*path, path[0]], fill=ink, width=width)

    def box(self, box: Box, fill: Colour | None, ink: Colour | None = None, width: int = 1) -> None:
        """A rectangle."""
        self.polygon(corners(box), fill, ink, width)

    def ellipse(self, box: Box, fill: Colour | None, ink: Colour | None, width: int = 1) -> None:
        """What fits into ``box``."""
        x, y, rx, ry = (
            (box[0] + box[2]) / 2,
            (box[1] + box[3]) / 2,
            (box[2] - box[0]) / 2,
            (box[3] - box[1]) / 2,
        )
        self.polygon([(x + rx * c, y + ry * s) for c, s in _CIRCLE], fill, ink, width)

    def dashes(
        self, start: Point, end: Point, ink: Colour, width: int, *, pattern: tuple[float, ...]
    ) -> None:
        """A broken line: ``pattern`` is drawn and left out by turns, in pixels of the canvas."""
        (x0, y0), (x1, y1) = self.frame.points((start, end))
        length = math.hypot(x1 - x0, y1 - y0)
        if length < 1:
            return
        dx, dy = (x1 - x0) / length, (y1 - y0) / length
        at, turn = 0.0, 0
        while at < length:
            stop = min(at + pattern[turn % len(pattern)], length)
            if turn % 2 == 0:
                self.draw.line(
                    (x0 + dx * at, y0 + dy * at, x0 + dx * stop, y0 + dy * stop), fill=ink, width=width
                )
            at, turn = stop, turn + 1

    def text(
        self, text: str, at: Point, size: float, ink: Colour, *, turned: bool = False, font: int = 0
    ) -> None:
        """Words around ``at``, upright on the canvas however the plan is turned.

        Args:
            text: One line.
            at: In units.
            size: Height of the letters, in pixels of the canvas.
            ink: Colour.
            turned: From bottom to top.
            font: Any number: which of the fonts that there are.
        """
        self.write(text, self.frame.point(*at), size, ink, turned=turned, font=font)

    def write(
        self, text: str, at: Point, size: float, ink: Colour, *, turned: bool = False, font: int = 0
    ) -> None:
        """As ``text``, at a pixel of the canvas."""
        glyphs = letters(text, max(5, round(size)), font, turned=turned)
        self.image.paste(ink, (round(at[0] - glyphs.width / 2), round(at[1] - glyphs.height / 2)), glyphs)


_CIRCLE = tuple((math.cos(math.tau * i / 20), math.sin(math.tau * i / 20)) for i in range(20))


def arc_points(centre: Point, radius: float, start: float, end: float) -> list[Point]:
    """Vertices of a part of a circle, both ends included."""
    steps = max(3, round(abs(end - start) / 11))
    angles = [math.radians(start + (end - start) * i / steps) for i in range(steps + 1)]
    return [(centre[0] + radius * math.cos(a), centre[1] + radius * math.sin(a)) for a in angles]
