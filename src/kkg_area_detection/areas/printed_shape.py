"""Shapes as they are printed: upright, with sides and coordinates of so many digits and no more."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
import shapely

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.scale import Scale

Vertex: TypeAlias = tuple[int, int]


@dataclass(frozen=True, slots=True)
class PrintedShape:
    """A polygon in whole steps of the last digit that is printed, x right and y up.

    Attributes:
        rings: Their vertices, the first one not repeated; outer rings counterclockwise, holes clockwise.
        digits: A step is 10 ** -digits metres.
    """

    rings: tuple[tuple[Vertex, ...], ...]
    digits: int

    @classmethod
    def of(cls, polygon: shapely.Polygon | shapely.MultiPolygon, scale: Scale, digits: int) -> PrintedShape:
        """Turn a polygon upright, so that most of its border runs along the axes, and round its coordinates.

        Args:
            polygon: In pixels, y down.
            scale: Of the drawing.
            digits: Decimals in metres.
        """
        polygon = shapely.orient_polygons(polygon, exterior_cw=True)  # counterclockwise, once y is up
        points, ring = shapely.get_coordinates(
            shapely.get_rings(shapely.get_parts(polygon)), return_index=True
        )
        x, y = _direction(points, ring)
        turned = np.stack((points @ [x, y], points @ [y, -x]), axis=1)
        steps = np.round((turned - turned.min(axis=0)) * scale.metres(10**digits)).astype(np.int64)
        rings = (_without_straight_vertices(steps[ring == one][:-1].tolist()) for one in np.unique(ring))
        return cls(tuple(tuple(one) for one in rings if _has_area(one)), digits)

    def metres(self, steps: int) -> Decimal:
        """A length as it is printed."""
        return Decimal(steps).scaleb(-self.digits)

    def rectangles(self) -> list[tuple[Decimal, Decimal]] | None:
        """Widths and heights in metres of rectangles that make up the shape, from the bottom upwards.

        Returns:
            None where a side slants.
        """
        sides = [side for ring in self.rings for side in pairwise([*ring, ring[0]])]
        if any(start[0] != end[0] and start[1] != end[1] for start, end in sides):
            return None
        return [
            (self.metres(right - left), self.metres(top - bottom))
            for left, right, bottom, top in _slabs(sides)
            if left < right
        ]


def _direction(points: NDArray[np.float64], ring: NDArray[np.intp]) -> tuple[float, float]:
    """Unit vector along the longest side in the main direction, or across it: whichever is nearer to x."""
    sides = np.diff(points, axis=0)[np.diff(ring) == 0]
    lengths = np.hypot(sides[:, 0], sides[:, 1])
    turns = np.round(np.degrees(np.arctan2(sides[:, 1], sides[:, 0]))).astype(int) % 90
    is_main = turns == np.bincount(turns, lengths).argmax()
    x, y = sides[np.where(is_main, lengths, 0).argmax()].tolist()
    if abs(x) < abs(y):
        x, y = y, -x
    length = math.copysign(math.hypot(x, y), x)
    return x / length, y / length


def _without_straight_vertices(ring: Sequence[Sequence[int]]) -> list[Vertex]:
    """Leave out vertices that repeat the last one, or that lie on a straight side."""
    kept: list[Vertex] = []
    for x, y in ring:
        while len(kept) > 1 and _is_straight(kept[-2], kept[-1], (x, y)):
            kept.pop()
        if not kept or kept[-1] != (x, y):
            kept.append((x, y))
    while len(kept) > 2 and _is_straight(kept[-2], kept[-1], kept[0]):
        kept.pop()
    while len(kept) > 2 and _is_straight(kept[-1], kept[0], kept[1]):
        kept.pop(0)
    return kept


def _has_area(ring: Sequence[Vertex]) -> bool:
    """Whether rounding left anything of a ring."""
    return sum(a[0] * b[1] - b[0] * a[1] for a, b in zip(ring, [*ring[1:], *ring[:1]], strict=True)) != 0


def _is_straight(a: Vertex, b: Vertex, c: Vertex) -> bool:
    return (b[0] - a[0]) * (c[1] - b[1]) == (b[1] - a[1]) * (c[0] - b[0])


def _slabs(sides: Sequence[tuple[Vertex, Vertex]]) -> Iterator[tuple[int, int, int, int]]:
    """Cut a shape with right angles into rectangles.

    Yields:
        Left, right, bottom and top.
    """
    upright = [(a[0], min(a[1], b[1]), max(a[1], b[1])) for a, b in sides if a[0] == b[0]]
    heights = sorted({y for _, low, high in upright for y in (low, high)})
    begun: dict[tuple[int, int], int] = {}  # at which height each stretch across began
    for bottom, top in pairwise(heights):
        crossed = sorted(x for x, low, high in upright if low <= bottom and high >= top)
        stretches = list(zip(crossed[::2], crossed[1::2], strict=True))
        for left, right in [stretch for stretch in begun if stretch not in stretches]:
            yield left, right, begun.pop((left, right)), bottom
        for stretch in stretches:
            begun.setdefault(stretch, bottom)
    for (left, right), bottom in begun.items():
        yield left, right, bottom, heights[-1]
