"""Drawing plans with matplotlib, in styles that are not those of the plan generator; for `styles.py`."""

from __future__ import annotations

import io
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
import shapely
from matplotlib import pyplot
from matplotlib.patches import Arc, Circle, PathPatch, Rectangle
from matplotlib.path import Path as Outline
from PIL import Image

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from style_plans import Plan

OUTER, INNER = 0.18, 0.10  # thickness of walls in metres
DPI = 100


@dataclass(frozen=True)
class Style:
    """How a plan is drawn.

    Attributes:
        wall: Fill of walls; None leaves them open between two lines.
        line: Colour of lines.
        paper: Colour of the paper.
        width: Of lines, in points.
        hatch: Of walls, in matplotlib's letters.
        floors: Colours of rooms in turn; empty leaves them white.
        swings: Whether doors show their swing.
        dimensions: Whether there are dimensions and a grid.
        furniture: Whether there are things in the rooms.
        sketchy: Whether lines wobble.
        texts: Whether rooms have names.
    """

    wall: str | None = "black"
    line: str = "black"
    paper: str = "white"
    width: float = 0.7
    hatch: str = ""
    floors: tuple[str, ...] = ()
    swings: bool = True
    dimensions: bool = False
    furniture: bool = True
    sketchy: bool = False
    texts: bool = True


STYLES = {
    "solid": Style(),
    "bare": Style(swings=False, furniture=False, texts=False),
    "double lines": Style(wall=None, width=0.6, dimensions=True),
    "hatched": Style(wall="white", hatch="////", dimensions=True),
    "grey": Style(wall="#9a9a9a", line="#444444"),
    "listing": Style(
        wall="#3b3734", floors=("#f7e4c1", "#dcebc8", "#cfe4f2", "#f4d9d3", "#ece6da"), width=0.5
    ),
    "blueprint": Style(wall="#e8eefc", line="#e8eefc", paper="#1d3f8f", dimensions=True),
    "sketch": Style(wall=None, width=1.2, sketchy=True, furniture=False),
}


def draw(plan: Plan, style: Style, pixels: int) -> tuple[Image.Image, list[shapely.Polygon]]:
    """Draw a plan.

    Args:
        plan: The plan.
        style: How.
        pixels: Of the longer side.

    Returns:
        The picture, and the free floor of every room in its pixels.
    """
    polygons = plan.polygons()
    building = shapely.union_all(polygons)
    floors = [
        shapely.intersection(
            polygon.buffer(-INNER / 2, join_style="mitre"), building.buffer(-OUTER / 2, join_style="mitre")
        )
        for polygon in polygons
    ]
    openings = [shapely.box(*_opening(door)) for door in plan.doors]
    panes = [shapely.box(*_pane(window)) for window in plan.windows]
    walls = building.buffer(OUTER / 2, join_style="mitre") - shapely.union_all([*floors, *openings, *panes])

    margin = 3.0 if style.dimensions else 1.2
    left, bottom, right, top = building.bounds
    width, height = right - left + 2 * margin, top - bottom + 2 * margin
    metre = pixels / max(width, height)
    with mpl.rc_context({"path.sketch": (1.5, 120, 2) if style.sketchy else None, "hatch.linewidth": 0.4}):
        figure = pyplot.figure(
            figsize=(width * metre / DPI, height * metre / DPI), dpi=DPI, facecolor=style.paper
        )
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set(xlim=(left - margin, right + margin), ylim=(bottom - margin, top + margin))
        axes.axis("off")
        _Artist(axes, style, metre).draw(plan, floors, walls, panes)
        data = io.BytesIO()
        figure.savefig(data, dpi=DPI, facecolor=style.paper)
        pyplot.close(figure)
    image = Image.open(data).convert("RGB")
    scale = np.array([image.width / width, -image.height / height])
    origin = np.array([left - margin, top + margin])
    return image, [shapely.transform(floor, lambda points: (points - origin) * scale) for floor in floors]


def _opening(door: tuple[float, float, float, str]) -> tuple[float, float, float, float]:
    x, y, width, way = door
    dx, dy = {"r": (1, 0), "l": (-1, 0), "u": (0, 1), "d": (0, -1)}[way]
    end_x, end_y = x + dx * width, y + dy * width
    pad_x, pad_y = abs(dy) * OUTER * 0.6, abs(dx) * OUTER * 0.6
    return min(x, end_x) - pad_x, min(y, end_y) - pad_y, max(x, end_x) + pad_x, max(y, end_y) + pad_y


def _pane(window: tuple[float, float, float, str]) -> tuple[float, float, float, float]:
    x, y, width, way = window
    half_x, half_y = (width / 2, OUTER / 2) if way == "h" else (OUTER / 2, width / 2)
    return x - half_x, y - half_y, x + half_x, y + half_y


class _Artist:
    def __init__(self, axes: Axes, style: Style, metre: float) -> None:
        self.axes, self.style = axes, style
        self.font = max(4.0, min(11.0, 0.28 * metre * 72 / DPI))

    def draw(
        self,
        plan: Plan,
        floors: list[shapely.Geometry],
        walls: shapely.Geometry,
        panes: list[shapely.Polygon],
    ) -> None:
        style = self.style
        for number, floor in enumerate(floors):
            if style.floors:
                self.area(floor, facecolor=style.floors[number % len(style.floors)], linewidth=0)
        face = "none" if style.wall is None else style.wall
        self.area(
            walls, facecolor=face, edgecolor=style.line, linewidth=style.width, hatch=style.hatch or None
        )
        for pane in panes:
            self.pane(pane)
        for door in plan.doors:
            self.door(*door)
        for (name, _), floor in zip(plan.rooms, floors, strict=True):
            middle = shapely.maximum_inscribed_circle(floor).coords[0]
            if style.furniture:
                self.furniture(name, floor)
            if style.texts:
                self.axes.text(*middle, name, fontsize=self.font, color=style.line, ha="center", va="center")
        if style.dimensions:
            self.dimensions(plan)

    def area(self, geometry: shapely.Geometry, **how: object) -> None:
        for part in shapely.get_parts(geometry):
            rings = [np.array(ring.coords) for ring in (part.exterior, *part.interiors)]
            path = Outline.make_compound_path(*(Outline(ring, closed=True) for ring in rings))
            self.axes.add_patch(PathPatch(path, **how))

    def line(self, x: list[float], y: list[float], **how: object) -> None:
        self.axes.plot(x, y, color=self.style.line, **{"linewidth": self.style.width, **how})

    def pane(self, pane: shapely.Polygon) -> None:
        left, bottom, right, top = pane.bounds
        self.axes.add_patch(
            Rectangle(
                (left, bottom),
                right - left,
                top - bottom,
                fill=False,
                edgecolor=self.style.line,
                linewidth=self.style.width,
            )
        )
        if right - left > top - bottom:
            self.line([left, right], [(bottom + top) / 2] * 2)
        else:
            self.line([(left + right) / 2] * 2, [bottom, top])

    def door(self, x: float, y: float, width: float, way: str) -> None:
        if not self.style.swings:
            return
        angle = {"r": 0, "u": 90, "l": 180, "d": 270}[way]
        leaf = np.radians(angle + 90)
        self.line([x, x + width * np.cos(leaf)], [y, y + width * np.sin(leaf)])
        arc = Arc(
            (x, y),
            2 * width,
            2 * width,
            theta1=angle,
            theta2=angle + 90,
            color=self.style.line,
            linewidth=self.style.width * 0.7,
        )
        self.axes.add_patch(arc)

    def furniture(self, name: str, floor: shapely.Geometry) -> None:
        left, bottom, right, top = floor.bounds
        how = {"fill": False, "edgecolor": self.style.line, "linewidth": self.style.width * 0.7}
        kind = name.split(maxsplit=1)[0].lower()
        if kind in ("bath", "ub"):
            self.axes.add_patch(
                Rectangle((left + 0.1, bottom + 0.1), 0.65, min(1.5, top - bottom - 0.2), **how)
            )
        elif kind in ("wc", "wash"):
            self.axes.add_patch(Circle((left + 0.4, top - 0.45), 0.22, **how))
        elif kind in ("k", "kitchen", "ldk"):
            self.axes.add_patch(
                Rectangle((right - 0.65, bottom + 0.1), 0.6, min(2.4, top - bottom - 0.2), **how)
            )
        elif kind in ("bed", "bedroom", "master", "room"):
            self.axes.add_patch(Rectangle((left + 0.15, top - 2.1), 1.4, 1.95, **how))
            self.axes.add_patch(Rectangle((left + 0.3, top - 0.55), 0.5, 0.3, **how))
        elif kind in ("living", "great"):
            self.axes.add_patch(Rectangle((left + 0.2, bottom + 0.3), 2.0, 0.85, **how))
            self.axes.add_patch(Rectangle((left + 0.5, bottom + 1.5), 1.2, 0.6, **how))
        elif kind.isdigit():
            self.axes.add_patch(Rectangle((left + 0.4, bottom + 1.5), 1.4, 0.7, **how))

    def dimensions(self, plan: Plan) -> None:
        polygons = plan.polygons()
        left, _, right, top = shapely.total_bounds(polygons)
        for axis, at, sign in ((0, top + 1.2, 1), (1, left - 1.2, -1)):
            ticks = np.unique(np.round([polygon.bounds[axis] for polygon in polygons], 3))
            ticks = np.append(ticks, right if axis == 0 else top)
            along, across = [ticks[0], ticks[-1]], [at, at]
            self.line(*((along, across) if axis == 0 else (across, along)), linewidth=0.4)
            for tick in ticks:
                stem = (
                    ([tick, tick], [at - 0.2, at + 1.0 * sign])
                    if axis == 0
                    else ([at - 0.2, at + 1.0 * sign], [tick, tick])
                )
                self.line(*stem, linewidth=0.4)
            for one, other in pairwise(ticks):
                place = ((one + other) / 2, at + 0.1) if axis == 0 else (at - 0.25, (one + other) / 2)
                self.axes.text(
                    *place, f"{(other - one) * 1000:.0f}", fontsize=self.font * 0.7, color=self.style.line,
                    ha="center", va="bottom", rotation=90 * axis,
                )  # fmt: skip
