"""DXF for CAD programs: R2010, UTF-8, millimetres of the building.

Jw_cad reads little of this; ``jw`` writes what it does read.
"""

from __future__ import annotations

import io
import logging
from typing import TYPE_CHECKING, Any

import ezdxf
import shapely
from ezdxf import units
from ezdxf.enums import TextEntityAlignment

from kkg_area_detection.areas.export.frame import Frame, label_place, polygons_of
from kkg_area_detection.areas.export.layers import centre_line_layer, layer_of, text_layer

if TYPE_CHECKING:
    from ezdxf.document import Drawing
    from ezdxf.layouts import Modelspace

    from kkg_area_detection.areas.area import Area, Areas
    from kkg_area_detection.areas.export.layers import Layer

logger = logging.getLogger(__name__)

_TEXT_STYLE = "KKG"
_FONT = "msgothic.ttc"  # on every Windows; other systems put one of their own in its place
_SMALLEST_TEXT = 50.0  # mm: half a millimetre on a plan of 1/100
_LARGEST_TEXT = 300.0


def dxf_document(
    areas: Areas, texts: dict[int, str], *, japanese_layers: bool = False, hatch: bool = False
) -> str:
    """Draw areas as DXF R2010.

    Args:
        areas: The areas. Without a scale, a unit of the drawing is a pixel, and it is marked as without unit.
        texts: What is written into an area, by its id; lines are separated by line feeds.
        japanese_layers: Name the layers in Japanese.
        hatch: Fill the areas with a translucent colour.

    Returns:
        The text of the file, to be written in UTF-8. Every ring is a closed LWPOLYLINE; x right, y up from the
        lower left corner of the image.
    """
    document = ezdxf.new("R2010", setup=False)
    frame = Frame.in_millimetres(areas)
    # ezdxf would call an unmarked drawing one in metres.
    document.units = units.MM if frame else 0
    document.styles.add(_TEXT_STYLE, font=_FONT)
    drawing = _Sheet(document, document.modelspace(), frame or Frame.in_pixels(areas), japanese_layers)
    if frame is None:
        logger.warning("The scale is unknown: the drawing is in pixels. Pass scale= to get millimetres.")
    for area in areas:
        drawing.outline(area, hatch=hatch)
        if texts.get(area.id):
            drawing.write(area, texts[area.id])
    for wall in areas.walls:
        drawing.centre_line(wall.line)
    text = io.StringIO()
    document.write(text)
    return text.getvalue()


class _Sheet:
    """The model space of a drawing, with its layers made as they are needed."""

    def __init__(self, document: Drawing, space: Modelspace, frame: Frame, japanese: bool) -> None:
        self._document = document
        self._space = space
        self._frame = frame
        self._japanese = japanese

    def outline(self, area: Area, *, hatch: bool) -> None:
        attributes = self._on(layer_of(area.label, area.label_id, japanese=self._japanese))
        for part in polygons_of(self._frame.place(area.polygon)):
            rings = [shapely.get_coordinates(ring)[:-1].tolist() for ring in (part.exterior, *part.interiors)]
            for ring in rings:
                self._space.add_lwpolyline(ring, close=True, dxfattribs=attributes)
            if hatch:
                filling = self._space.add_hatch(dxfattribs=attributes)
                filling.transparency = 0.7
                for number, ring in enumerate(rings):
                    filling.paths.add_polyline_path(ring, is_closed=True, flags=1 if number == 0 else 16)

    def write(self, area: Area, text: str) -> None:
        place, radius = label_place(self._frame.place(area.polygon))
        attributes = {**self._on(text_layer(japanese=self._japanese)), "style": _TEXT_STYLE}
        lines = text.split("\n")
        height = text_height(lines, radius, self._frame)
        for number, line in enumerate(lines):
            y = place.y + ((len(lines) - 1) / 2 - number) * height * 1.5
            entity = self._space.add_text(line, height=height, dxfattribs=attributes)
            entity.set_placement((place.x, y), align=TextEntityAlignment.MIDDLE_CENTER)

    def centre_line(self, line: shapely.LineString) -> None:
        attributes = self._on(centre_line_layer(japanese=self._japanese))
        points = shapely.get_coordinates(self._frame.place(line)).tolist()
        self._space.add_lwpolyline(points, dxfattribs=attributes)

    def _on(self, layer: Layer) -> dict[str, Any]:
        if layer.name not in self._document.layers:
            self._document.layers.add(layer.name, color=layer.colour)
        return {"layer": layer.name}


def text_height(lines: list[str], radius: float, frame: Frame) -> float:
    """How high letters may be to fit into a circle, in units of the drawing; legible, but not larger than need be.

    Args:
        lines: What is written.
        radius: Of the circle, in units of the drawing.
        frame: Of the drawing.
    """
    longest = max((sum(1.0 if ord(letter) > 0x2000 else 0.6 for letter in line) for line in lines), default=1)
    fitting = 1.6 * radius / max(longest, 1.5 * len(lines))
    per_millimetre = 1.0 if frame.units_per_pixel != 1.0 else 0.1
    return min(max(fitting, _SMALLEST_TEXT * per_millimetre), _LARGEST_TEXT * per_millimetre)
