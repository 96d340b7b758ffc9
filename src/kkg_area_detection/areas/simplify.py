"""Taking the stairs out of traced borders, without opening gaps between neighbours.

First, single steps become slopes. Where a border that runs along the cells shifts by one of them, the true border
most likely passed through the middle of the step. On slanted walls this does what a ruler would do, whatever the
slant. Corners stay: their turns have the same sense.

Then corners that matter little go, by Visvalingam and Whyatt's method (1993): the one that spans the smallest
triangle with its neighbours is the next to go. It runs on the whole coverage at once, so that a border stays one
border for both its sides, nothing crosses, nothing vanishes, and the points where three faces meet stay.
"""

from __future__ import annotations

import numpy as np
import shapely

from kkg_area_detection.areas.network import Network
from kkg_area_detection.areas.polygons import Coverage

_EVEN = 1 / 3  # how the lengths of the runs before and after a step of a slanted line compare, at least


def simplify(coverage: Coverage, tolerance: float, step: float) -> Coverage:
    """Draw borders with fewer vertices.

    Args:
        coverage: As traced.
        tolerance: In pixels. Triangles that are smaller than a square of this side go.
        step: Greatest length in pixels of a single step: ``Cells.longest_side``.

    Returns:
        As many faces, in the same order. The border of the picture stays.
    """
    sloped = _slope_steps(coverage, step)
    faces = shapely.coverage_simplify(sloped.faces, tolerance, simplify_boundary=False)
    return Coverage(faces, coverage.ids)


def _slope_steps(coverage: Coverage, step: float) -> Coverage:
    """Put a vertex into the middle of each step, instead of the two at its ends.

    No border is moved by more than half a cell, and that only at the step itself, so none meets another.
    """
    network = Network.of(coverage)
    closing = np.append(np.diff(network.ring) != 0, True)  # a ring's last coordinate repeats its first
    vertex, ring = network.vertex[~closing], network.ring[~closing]
    point = network.points[vertex]
    start = np.flatnonzero(np.diff(ring, prepend=-1))
    following = np.roll(np.arange(len(ring)), -1)
    following[np.append(start[1:], len(ring)) - 1] = start
    previous = np.argsort(following)

    side = point[following] - point  # from each vertex to the following one
    turn = side[previous][:, 0] * side[:, 1] - side[previous][:, 1] * side[:, 0]
    # Where more than two sides meet, or on the picture's border, a vertex must stay.
    free = (network.degree()[vertex] == 2) & ~network.on_border[vertex]
    length = abs(side).max(axis=1)
    before, after = length[previous], length[following]
    even = np.minimum(before, after) >= _EVEN * np.maximum(before, after)
    is_step = even & free & free[following] & (turn * turn[following] < 0) & np.all(abs(side) <= step, axis=1)

    candidates = np.stack((point, point + side / 2), axis=1).reshape(-1, 2)
    kept = np.stack((~is_step & ~is_step[previous], is_step), axis=1).ravel()
    rings = shapely.linearrings(candidates[kept], indices=np.repeat(ring, 2)[kept])
    return Coverage(shapely.polygons(rings, indices=network.ring_face), coverage.ids)
