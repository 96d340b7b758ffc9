"""Rooms reach to the faces of their walls.

A model gives the floor under a door's leaf to the door, as plans show it, and a strip along the walls to nothing,
because it is sure of neither room nor wall there. In an area schedule both are floor of the room.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.areas.polygons import BACKGROUND, Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Wall

_LEAST_IN_WALL = 0.05  # of a door: one in no known wall is left as it is
_STRIP_AT_LEAF = 0.3  # of the door's side: so wide may the strip between leaf and room be


def complete_rooms(cells: Cells, walls: Collection[Wall], label_of: Mapping[int, str]) -> Cells:
    """Let rooms grow to the faces of the walls, under the leaves of doors, too.

    Strips are filled that are at most as wide as walls usually are: what is wider may be another room, and what no
    wall is beside may be a wall that was not found.

    Args:
        cells: The picture.
        walls: Drawn on through openings.
        label_of: Label of each segment by its id.

    Returns:
        The cells; doors are gaps in walls there. What is neither wall nor door nor window counts as a room.
    """
    kind = {id_: kind_of(label) for id_, label in label_of.items()}
    rooms = [id_ for id_ in kind if kind[id_] not in ("door", "window", "exwall", "inwall")]
    if not walls or not rooms:
        return cells
    doors = [id_ for id_ in kind if kind[id_] == "door"]
    return _grown_to_walls(_grown_under_leaves(cells, walls, doors, rooms), walls, rooms)


def _grown_under_leaves(cells: Cells, walls: Collection[Wall], doors: list[int], rooms: list[int]) -> Cells:
    y, x = np.nonzero(np.isin(cells.ids, doors))
    if not len(y):
        return cells
    band = _band(walls, cells.side)  # a cell more on each side: borders of masks are not better known
    ids = cells.ids.copy()
    order = np.argsort(ids[y, x], kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(ids[y, x][order])) + 1):
        door = ids[y[part[0]], x[part[0]]]
        reach = int(np.ceil(_STRIP_AT_LEAF * np.sqrt(len(part))))
        rows, columns = (
            slice(max(0, at.min() - reach), min(size, at.max() + reach + 1))
            for at, size in zip((y[part], x[part]), ids.shape, strict=True)
        )
        around = ids[rows, columns]
        in_wall = _within(band, cells, *np.mgrid[rows, columns])
        if np.mean(in_wall[around == door]) < _LEAST_IN_WALL:
            continue
        leaf = (around == door) & ~in_wall
        strip = _dilated(leaf, reach) & (around == BACKGROUND) & ~in_wall
        ids[rows, columns] = _filled(around, leaf | strip, rooms)
    return replace(cells, ids=ids)


def _grown_to_walls(cells: Cells, walls: Collection[Wall], rooms: list[int]) -> Cells:
    width = _usual_thickness(walls)
    strip = _closed(cells.ids != BACKGROUND, max(1, round(width / cells.side))) & (cells.ids == BACKGROUND)
    y, x = np.nonzero(strip)
    strip[y, x] = _within(_band(walls, width), cells, y, x) & ~_within(_band(walls, 0), cells, y, x)
    return replace(cells, ids=_filled(cells.ids, strip, rooms))


def _usual_thickness(walls: Collection[Wall]) -> float:
    """The median of the thicknesses, in pixels, of walls weighted by their length."""
    ordered = sorted(walls, key=lambda wall: wall.thickness)
    lengths = np.cumsum([wall.line.length for wall in ordered])
    return ordered[int(np.searchsorted(lengths, lengths[-1] / 2))].thickness


def _band(walls: Collection[Wall], margin: float) -> shapely.Geometry:
    """Where walls are, and their openings: their lines in full thickness, and pixels more on each side."""
    band = shapely.union_all(
        [shapely.buffer(wall.line, wall.thickness / 2 + margin, cap_style="flat") for wall in walls]
    )
    shapely.prepare(band)
    return band


def _within(
    band: shapely.Geometry, cells: Cells, y: NDArray[np.intp], x: NDArray[np.intp]
) -> NDArray[np.bool_]:
    return shapely.contains_xy(band, (cells.x[x] + cells.x[x + 1]) / 2, (cells.y[y] + cells.y[y + 1]) / 2)


def _closed(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """Morphological closing: gaps of up to twice as many cells are True."""
    padded = np.pad(mask, steps)
    return ~_dilated(~_dilated(padded, steps), steps)[steps:-steps, steps:-steps]


def _dilated(mask: NDArray[np.bool_], steps: int) -> NDArray[np.bool_]:
    """True up to so many cells away, in x and in y."""
    for _ in range(2):
        near = mask.copy()
        for step in range(1, min(steps, len(mask) - 1) + 1):
            near[step:] |= mask[:-step]
            near[:-step] |= mask[step:]
        mask = near.T
    return mask


def _filled(ids: NDArray[np.int32], floor: NDArray[np.bool_], rooms: list[int]) -> NDArray[np.int32]:
    """Let rooms grow into floor, one cell a step; of several, the room on most sides. What none reaches stays."""
    padded = np.pad(ids, 1, constant_values=BACKGROUND)
    y, x = (places + 1 for places in np.nonzero(floor))
    while len(y):
        beside = np.stack((padded[y - 1, x], padded[y, x - 1], padded[y, x + 1], padded[y + 1, x]))
        votes = np.where(np.isin(beside, rooms), np.sum(beside[:, None] == beside, axis=1), 0)
        reached = votes.max(axis=0) > 0
        if not reached.any():
            break
        best = np.take_along_axis(beside, votes.argmax(axis=0)[None], axis=0)[0]
        padded[y[reached], x[reached]] = best[reached]
        y, x = y[~reached], x[~reached]
    return padded[1:-1, 1:-1]
