"""The directions in which the walls of a plan run."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.polygons import Coverage

Angles = TypeVar("Angles", float, "NDArray[np.float64]")

QUARTER = np.pi / 2
_BIN = np.radians(0.5)  # of the histogram of directions
_BLUR = 4  # bins
_APART = np.radians(15)  # the least difference of two main directions
_LEAST_SHARE = 0.2  # of the length of all sides, for a second main direction and further ones


def main_directions(coverage: Coverage, reach: float) -> list[float]:
    """Find the directions of the walls of a plan.

    Args:
        coverage: The whole picture.
        reach: Size of the steps that count for nothing, in pixels: about the side of a cell.

    Returns:
        Angles in radians, 0 <= angle < pi / 2, from x towards y, that is clockwise as seen; the most important one
        first. Each stands for itself and for the direction at right angles to it. None where there are only borders
        of the picture.
    """
    angle, length = _long_sides(coverage, reach)
    angle %= QUARTER
    # An end that is off by a cell turns a long side less: the variance of its angle falls with the length squared.
    weight = length**3
    n_bins = round(QUARTER / _BIN)
    histogram = np.bincount((angle / _BIN).astype(int) % n_bins, weight, n_bins)
    blurred = sum((_BLUR + 1 - abs(by)) * np.roll(histogram, by) for by in range(-_BLUR, _BLUR + 1))
    found: list[float] = []
    for peak in (np.argsort(-blurred) + 0.5) * _BIN:
        off = turn(angle, peak, QUARTER)
        near = abs(off) < 2 * _BLUR * _BIN
        if length[near].sum() <= (_LEAST_SHARE if found else 0) * length.sum():
            break
        if all(abs(turn(peak, other, QUARTER)) > _APART for other in found):
            found.append(float(peak + np.average(off[near], weights=weight[near])))
    # A plan that is upright as far as anyone can tell is upright.
    slight = reach / 2 / length.max(initial=reach)
    return [0.0 if abs(turn(one, 0, QUARTER)) < slight else one % QUARTER for one in found]


def turn(angle: Angles, other: Angles | float, period: float) -> Angles:
    """The turn from one direction to another, at most half a period either way."""
    return (angle - other + period / 2) % period - period / 2


def _long_sides(coverage: Coverage, reach: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Draw straight lines through the borders from corner to corner, those of the picture left out.

    Returns:
        Angle and length of each, shape (n,).
    """
    rings = shapely.get_rings(coverage.faces)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    # Douglas and Peucker's method finds the corners, however long the steps between them.
    corners, corner_ring = shapely.get_coordinates(shapely.simplify(rings, 1.5 * reach), return_index=True)
    apart = np.array([points.max() + 1, 0])  # a vertex may be a corner of one ring, and not of the next
    is_corner = np.isin(
        (points + ring[:, None] * apart) @ [1, 1j], (corners + corner_ring[:, None] * apart) @ [1, 1j]
    )
    line = np.cumsum(is_corner | (np.diff(ring, prepend=-1) != 0))[:-1]
    on_border = (points == points.min(axis=0)) | (points == points.max(axis=0))
    inside = (np.diff(ring) == 0) & ~np.any(on_border[1:] & on_border[:-1], axis=1)

    # The axis of least inertia of the sides between two corners, as if they were rods.
    _, line = np.unique(line[inside], return_inverse=True)
    rod, middle = np.diff(points, axis=0)[inside], (points[1:] + points[:-1])[inside] / 2
    mass = np.hypot(rod[:, 0], rod[:, 1])
    total = np.bincount(line, mass)
    centre = np.stack([np.bincount(line, mass * middle[:, axis]) for axis in (0, 1)], axis=1) / total[:, None]
    arm = middle - centre[line]
    xx, yy, xy = (
        np.bincount(line, mass * (arm[:, i] * arm[:, j] + rod[:, i] * rod[:, j] / 12)) / total
        for i, j in ((0, 0), (1, 1), (0, 1))
    )
    return np.arctan2(2 * xy, xx - yy) / 2, np.sqrt(12 * (xx + yy))
