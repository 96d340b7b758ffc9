"""The floor that a door's leaf sweeps, which is floor of the room.

Models learn a door as one thing, the gap in the wall and the quarter of a circle before it, as plans show it. In an
area schedule the leaf has no area: a toilet would lose a third of its floor.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.areas.polygons import Cells

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Wall

_LEAST_IN_WALL = 0.05  # of a door: one in no known wall is left as it is
_NO_ROOM = -2


def return_swept_floor(cells: Cells, walls: Collection[Wall], label_of: Mapping[int, str]) -> Cells:
    """Give the cells of doors that lie before walls, not in them, to the rooms that they touch.

    Args:
        cells: The picture.
        walls: Drawn on through openings.
        label_of: Label of each segment by its id.

    Returns:
        The cells; doors are gaps in walls there. What is neither wall nor door nor window counts as a room.
    """
    kind = {id_: kind_of(label) for id_, label in label_of.items()}
    doors = [id_ for id_ in kind if kind[id_] == "door"]
    rooms = [id_ for id_ in kind if kind[id_] not in ("door", "window", "exwall", "inwall")]
    y, x = np.nonzero(np.isin(cells.ids, doors))
    if not len(y) or not walls or not rooms:
        return cells
    # A cell more on each side: borders of masks are not better known.
    bands = [shapely.buffer(wall.line, wall.thickness / 2 + cells.side, cap_style="flat") for wall in walls]
    in_wall = shapely.contains_xy(
        shapely.union_all(bands), (cells.x[x] + cells.x[x + 1]) / 2, (cells.y[y] + cells.y[y + 1]) / 2
    )
    door = cells.ids[y, x]
    share = np.bincount(door, in_wall) / np.maximum(np.bincount(door), 1)
    swept = ~in_wall & (share[door] >= _LEAST_IN_WALL)
    return replace(cells, ids=_grown(cells.ids, y[swept], x[swept], rooms))


def _grown(
    ids: NDArray[np.int32], y: NDArray[np.intp], x: NDArray[np.intp], rooms: list[int]
) -> NDArray[np.int32]:
    """Let rooms grow into cells, one cell at a time; of several rooms, the one on most sides."""
    ids = ids.copy()
    while len(y):
        padded = np.pad(ids, 1, constant_values=_NO_ROOM)
        around = np.stack((padded[y, x + 1], padded[y + 1, x], padded[y + 1, x + 2], padded[y + 2, x + 1]))
        votes = np.where(np.isin(around, rooms), np.sum(around[:, None] == around, axis=1), 0)
        reached = votes.max(axis=0) > 0
        if not reached.any():
            break
        best = np.take_along_axis(around, votes.argmax(axis=0)[None], axis=0)[0]
        ids[y[reached], x[reached]] = best[reached]
        y, x = y[~reached], x[~reached]
    return ids
