"""Areas as CAD programs of the plainer kind know them: straight strokes and lines of text, each on a layer."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import shapely

from kkg_area_detection.areas.export.dxf import text_height
from kkg_area_detection.areas.export.frame import Frame, label_place
from kkg_area_detection.areas.export.layers import Layer, centre_line_layer, layer_of, text_layer

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

Point: TypeAlias = tuple[float, float]


class Stroke(NamedTuple):
    """A straight line, in units of the drawing, y up."""

    layer: Layer
    start: Point
    end: Point


class Writing(NamedTuple):
    """A line of text; ``middle`` is its centre and ``height`` that of its letters, in units of the drawing."""

    layer: Layer
    text: str
    middle: Point
    height: float


def strokes_of(areas: Areas, frame: Frame, *, japanese_layers: bool) -> Iterator[Stroke]:
    """The sides of all areas, and the centre lines of walls."""
    for area in areas:
        layer = layer_of(area.label, area.label_id, japanese=japanese_layers)
        yield from _strokes(frame.place(area.polygon.boundary), layer)
    for wall in areas.walls:
        yield from _strokes(frame.place(wall.line), centre_line_layer(japanese=japanese_layers))


def writings_of(
    areas: Areas, texts: dict[int, str], frame: Frame, *, japanese_layers: bool
) -> Iterator[Writing]:
    """What is written into areas, line by line."""
    layer = text_layer(japanese=japanese_layers)
    for area in areas:
        if not texts.get(area.id):
            continue
        lines = texts[area.id].split("\n")
        place, radius = label_place(frame.place(area.polygon))
        height = text_height(lines, radius, frame)
        for number, line in enumerate(lines):
            y = place.y + ((len(lines) - 1) / 2 - number) * height * 1.5
            yield Writing(layer, line, (place.x, y), height)


def _strokes(geometry: shapely.Geometry, layer: Layer) -> Iterator[Stroke]:
    for part in shapely.get_parts(geometry):
        for (x0, y0), (x1, y1) in pairwise(shapely.get_coordinates(part).tolist()):
            yield Stroke(layer, (x0, y0), (x1, y1))
