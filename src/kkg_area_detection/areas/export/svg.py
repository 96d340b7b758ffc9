"""SVG that lies exactly on the image: one user unit is one pixel."""

from __future__ import annotations

from typing import TYPE_CHECKING
from xml.sax.saxutils import escape, quoteattr

import shapely

from kkg_area_detection.areas.export.frame import label_place, polygons_of
from kkg_area_detection.areas.palette import colour_of

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Area, Areas

_OPACITY = 0.35


def svg_document(areas: Areas, texts: dict[int, str], image_href: str | None = None) -> str:
    """Draw areas as SVG.

    Args:
        areas: The areas.
        texts: What is written into an area, by its id; lines are separated by line feeds.
        image_href: Address of the image to lay beneath, relative to the file, or a ``data:`` URI.

    Returns:
        The text of the file. Each area is a path of the class ``area`` with its id, label and score as ``data-``
        attributes; the even-odd rule keeps holes open.
    """
    width, height = areas.image_size
    colours = {area.label_id: colour_of(area.label_id) for area in areas}
    stroke = max(1.0, min(width, height) / 600)
    lines = [
        '<?xml version="1.0" encoding="UTF-8"?>',
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}">',
        f"<style>.area {{ fill-opacity: {_OPACITY}; fill-rule: evenodd; stroke-width: {stroke:g}; "
        "stroke-linejoin: round }} "
        ".name {{ font-family: sans-serif; text-anchor: middle; paint-order: stroke; stroke: white; fill: black }}"
        "</style>",
    ]
    if image_href is not None:
        lines.append(f'<image href={quoteattr(image_href)} width="{width}" height="{height}"/>')
    lines += [_path(area, colours[area.label_id]) for area in areas]
    lines += [_text(area, texts[area.id]) for area in areas if texts.get(area.id)]
    return "\n".join([*lines, "</svg>", ""])


def _path(area: Area, colour: tuple[int, int, int]) -> str:
    rings = [ring for part in polygons_of(area.polygon) for ring in (part.exterior, *part.interiors)]
    path = "".join(_ring(ring) for ring in rings)
    paint = "#{:02x}{:02x}{:02x}".format(*colour)
    title = escape(f"{area.id}: {area.label} ({area.score:.2f})")
    return (
        f'<path class="area" id="area-{area.id}" data-label={quoteattr(area.label)} data-score="{area.score:g}" '
        f'fill="{paint}" stroke="{paint}" d="{path}"><title>{title}</title></path>'
    )


def _ring(ring: shapely.LinearRing) -> str:
    points = shapely.get_coordinates(ring)[:-1]
    return "M" + "L".join(f"{x:.10g} {y:.10g}" for x, y in points.tolist()) + "Z"


def _text(area: Area, text: str) -> str:
    place, radius = label_place(area.polygon)
    lines = text.split("\n")
    size = max(6.0, 1.6 * radius / max(len(lines), *(0.6 * len(line) for line in lines)))
    spans = "".join(
        f'<tspan x="{place.x:.1f}" dy="{(1 - len(lines)) / 2 + 0.35 if number == 0 else 1.1:.2f}em">'
        f"{escape(line)}</tspan>"
        for number, line in enumerate(lines)
    )
    style = f'font-size="{size:.1f}" stroke-width="{size / 6:.1f}"'
    return f'<text class="name" x="{place.x:.1f}" y="{place.y:.1f}" {style}>{spans}</text>'
