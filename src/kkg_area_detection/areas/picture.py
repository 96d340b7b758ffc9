"""``draw_areas``: a picture to check the areas of a sheet at a glance."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import shapely
from PIL import Image, ImageDraw

from kkg_area_detection.areas.export.frame import label_place, polygons_of
from kkg_area_detection.areas.lettering import font_for, write_legend
from kkg_area_detection.areas.palette import Colour, colour_of
from kkg_area_detection.areas.texts import texts_of
from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Area, Areas

_FILL, _BORDER = 0.35, 0.85  # how much of the colour covers the drawing
_ROWS_AT_ONCE = 64
_MOST_LABELS = 127  # a byte holds the fill and the border of as many
_SMALLEST_FONT = 9


def draw_areas(
    image: ImageLike,
    areas: Areas,
    *,
    labels: Collection[str] | None = None,
    colours: Mapping[str, Colour] | None = None,
    outline_only: bool = False,
    texts: Mapping[int, str] | None = None,
) -> Image.Image:
    """Lay the areas over the drawing: translucent fills, crisp borders, names and square metres, and a legend.

    Args:
        image: The image in which they were detected; see ``get_segmentation_result`` for the kinds accepted.
        areas: What ``detect_areas`` returned for it.
        labels: Draw these only; None draws all.
        colours: Red, green and blue (0 to 255) by label, in place of our own.
        outline_only: Leave the areas open.
        texts: What is written into an area, by its id; lines are separated by line feeds. None writes the name
            and, where the scale is known, the square metres into rooms.

    Returns:
        An RGB image as wide as the drawing and a little higher, because of the legend.

    Raises:
        UsageError: The image has another size than the one the areas were detected in.
        ImageError: The image cannot be read.
    """
    drawing = open_image(image)
    if drawing.size != areas.image_size:
        raise UsageError(
            f"The image has {drawing.width} x {drawing.height} pixels, but the areas are for "
            f"{areas.image_size[0]} x {areas.image_size[1]}.",
            next_step="pass the image that the areas were detected in.",
        )
    shown = [area for area in areas if labels is None or area.label in labels]
    paints = _paints(shown, colours or {})
    font_size = max(10, round(min(drawing.size) / 55))
    sheet = Image.new("RGB", (drawing.width, drawing.height + (2 * font_size if shown else 0)), "white")
    _blend(drawing, _plan_of_paints(shown, paints, drawing.size, outline_only), paints, sheet)
    texts = texts_of(areas) if texts is None else texts
    _Writer(sheet, font_size).write(shown, texts)
    legend = [(name, paint.colour) for name, paint in paints.items()]
    write_legend(sheet, drawing.height + font_size, legend, font_size)
    return sheet


@dataclass(frozen=True, slots=True)
class _Paint:
    """The colour of a label, and its numbers in the plan of paints; 0 is no paint."""

    colour: Colour
    fill: int
    border: int


def _paints(areas: list[Area], colours: Mapping[str, Colour]) -> dict[str, _Paint]:
    labels = {area.label: area.label_id for area in sorted(areas, key=lambda area: area.label_id)}
    return {
        label: _Paint(colours.get(label, colour_of(label_id)), fill=2 * number + 1, border=2 * number + 2)
        for number, (label, label_id) in enumerate(list(labels.items())[:_MOST_LABELS])
    }


def _plan_of_paints(
    areas: list[Area], paints: dict[str, _Paint], size: tuple[int, int], outline_only: bool
) -> Image.Image:
    """Which paint each pixel gets: one byte a pixel, however large the sheet and many the areas."""
    plan = Image.new("L", size, 0)
    pen = ImageDraw.Draw(plan)
    parts = [(part, paints[area.label]) for area in areas for part in polygons_of(area.polygon)]
    # What lies in a hole is smaller than what is around it, and so is painted after the hole was cleared.
    parts.sort(key=lambda item: -shapely.Polygon(item[0].exterior).area)
    if not outline_only:
        for part, paint in parts:
            pen.polygon(_points(part.exterior), fill=paint.fill)
            for hole in part.interiors:
                pen.polygon(_points(hole), fill=0)
    width = max(1, round(min(size) / 600))
    for part, paint in parts:
        for ring in (part.exterior, *part.interiors):
            pen.line(_points(ring), fill=paint.border, width=width, joint="curve")
    return plan


def _points(ring: shapely.LinearRing) -> list[tuple[float, float]]:
    """From pixel edges to what Pillow means by coordinates: the middles of pixels."""
    return [(x - 0.5, y - 0.5) for x, y in shapely.get_coordinates(ring).tolist()]


def _blend(drawing: Image.Image, plan: Image.Image, paints: dict[str, _Paint], sheet: Image.Image) -> None:
    """Mix drawing and paints onto the sheet, a few rows at a time."""
    strength, palette = [0] * 256, [(0, 0, 0)] * 256
    for paint in paints.values():
        for number, share in ((paint.fill, _FILL), (paint.border, _BORDER)):
            strength[number], palette[number] = round(255 * share), paint.colour
    plan.putpalette([value for colour in palette for value in colour])
    for top in range(0, drawing.height, _ROWS_AT_ONCE):
        box = (0, top, drawing.width, min(top + _ROWS_AT_ONCE, drawing.height))
        strip = plan.crop(box)
        numbers = Image.frombytes("L", strip.size, strip.tobytes())
        mixed = Image.composite(strip.convert("RGB"), drawing.crop(box), numbers.point(strength))
        sheet.paste(mixed, (0, top))


class _Writer:
    """Writes into areas, as large as they allow and not larger than need be."""

    def __init__(self, sheet: Image.Image, font_size: int) -> None:
        self._pen = ImageDraw.Draw(sheet)
        self._font_size = font_size

    def write(self, areas: list[Area], texts: Mapping[int, str]) -> None:
        for area in areas:
            text = texts.get(area.id)
            if text:
                place, radius = label_place(area.polygon)
                self._write(text, place, radius)

    def _write(self, text: str, place: shapely.Point, radius: float) -> None:
        for size in range(self._font_size, _SMALLEST_FONT - 1, -1):
            font = font_for(text, size)
            halo = max(1, size // 8)
            box = self._pen.multiline_textbbox((0, 0), text, font=font, stroke_width=halo, align="center")
            # Twice the radius is the width of the circle; text may stick out of it a little.
            if max(box[2] - box[0], box[3] - box[1]) <= 2.2 * radius:
                # Black letters with a white halo can be read on paper and on dark plans alike.
                self._pen.multiline_text(
                    (place.x, place.y), text, font=font, anchor="mm", align="center",
                    fill="black", stroke_width=halo, stroke_fill="white",
                )  # fmt: skip
                return
