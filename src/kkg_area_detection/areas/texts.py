"""What is written into areas on pictures and in files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kkg_area_detection.areas.labels import kind_of

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Area, Areas

_SQUARE_MM_PER_SQUARE_M = 1_000_000


def rooms_of(areas: Areas) -> list[Area]:
    """The rooms; where no label is recognised as one, all areas that are no wall, door or window either."""
    rooms = [area for area in areas if kind_of(area.label) == "room"]
    return rooms or [area for area in areas if kind_of(area.label) is None]


def texts_of(areas: Areas) -> dict[int, str]:
    """The name and number of each room, and its square metres, where the scale is known; by the ids of the areas.

    Walls, doors and windows are what lies between rooms: nothing is written into them. Where no label is
    recognised as a room, all areas are named.
    """
    named = rooms_of(areas)
    scale = areas.scale
    if scale is None:
        return {area.id: f"{area.label} {area.id}" for area in named}
    square_metres = scale.mm_per_pixel**2 / _SQUARE_MM_PER_SQUARE_M
    # "m2", because many fonts of CAD programs, and Pillow's own, lack the letter for a square.
    return {area.id: f"{area.label} {area.id}\n{area.polygon.area * square_metres:.2f} m2" for area in named}
