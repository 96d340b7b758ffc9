"""GeoJSON (RFC 7946), in metres of the building where the scale is known, else in pixels.

RFC 7946 means positions on the Earth. A building on paper has none, so the file says in a member of its own,
``coordinates``, what its numbers are; programs that do not know the member draw the right shapes all the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import shapely

from kkg_area_detection.areas.export.frame import Frame

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Area, Areas

_DECIMALS = {"metre": 6, "pixel": 3}


def geojson_document(areas: Areas) -> dict[str, Any]:
    """Describe areas as a FeatureCollection.

    Args:
        areas: The areas.

    Returns:
        A document ready for ``json.dumps``. With a scale, coordinates are metres, x right and y up from the
        lower left corner of the image; else pixels, x right and y down from its upper left corner. Outer rings
        run counterclockwise in these coordinates, holes clockwise, as RFC 7946 (section 3.1.6) asks.
    """
    frame = Frame.in_metres(areas)
    width, height = areas.image_size
    return {
        "type": "FeatureCollection",
        "coordinates": {
            "unit": "pixel" if frame is None else "metre",
            "y": "down" if frame is None else "up",
            "image_size": [width, height],
            "mm_per_pixel": None if areas.scale is None else areas.scale.mm_per_pixel,
        },
        "features": [_feature(area, frame) for area in areas],
    }


def _feature(area: Area, frame: Frame | None) -> dict[str, Any]:
    geometry = area.polygon if frame is None else frame.place(area.polygon)
    geometry = shapely.orient_polygons(geometry, exterior_cw=False)
    decimals = _DECIMALS["pixel" if frame is None else "metre"]
    mapping = shapely.geometry.mapping(geometry)  # type: ignore[arg-type] # its stubs know no common base
    return {
        "type": "Feature",
        "id": area.id,
        "geometry": {"type": mapping["type"], "coordinates": _rounded(mapping["coordinates"], decimals)},
        "properties": {
            "label": area.label,
            "label_id": area.label_id,
            "score": area.score,
            "pixels": area.pixels,
        },
    }


def _rounded(coordinates: Any, decimals: int) -> Any:
    if isinstance(coordinates, float):
        return round(coordinates, decimals)
    return [_rounded(item, decimals) for item in coordinates]
