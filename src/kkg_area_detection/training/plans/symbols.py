"""Furniture and sanitary fixtures as tables of strokes."""

from __future__ import annotations

from dataclasses import dataclass

Stroke = tuple[str, float, float, float, float]
"""``box``, ``oval`` or ``line`` and its extent: 0 to 1 along the wall, and 0 at the wall to 1 in the room."""


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of furniture.

    Attributes:
        widths: Least and greatest, along the wall, in units.
        depths: From the wall.
        strokes: The symbol, drawn in order; boxes and ovals cover what is below.
        free: It stands anywhere rather than at a wall.
    """

    widths: tuple[float, float]
    depths: tuple[float, float]
    strokes: tuple[Stroke, ...]
    free: bool = False


def _seats(row: int) -> tuple[Stroke, ...]:
    """Chairs on both long sides of a table."""
    width = 0.7 / row
    starts = [(i + 0.5) / row - width / 2 for i in range(row)]
    return tuple(("box", start, v, start + width, v + 0.2) for start in starts for v in (0.0, 0.8))


_WHOLE: Stroke = ("box", 0, 0, 1, 1)

PIECES: dict[str, Piece] = {
    "bed": Piece((18, 36), (38, 42), (_WHOLE, ("box", 0.08, 0.03, 0.46, 0.2), ("box", 0.54, 0.03, 0.92,
        0.2), ("line", 0, 0.3, 1, 0.3))),
    "single": Piece((18, 22), (38, 42), (_WHOLE, ("box", 0.15, 0.03, 0.85, 0.18), ("line", 0, 0.3, 1,
        0.55))),
    "sofa": Piece((28, 46), (15, 19), (_WHOLE, ("box", 0.1, 0.3, 0.5, 1), ("box", 0.5, 0.3, 0.9, 1))),
    "armchair": Piece((14, 18), (14, 18), (_WHOLE, ("box", 0.2, 0.25, 0.8, 1))),
    "table": Piece((22, 40), (22, 30), (*_seats(3), ("box", 0, 0.2, 1, 0.8)), free=True),
    "small_table": Piece((14, 20), (22, 28), (*_seats(2), ("box", 0, 0.2, 1, 0.8)), free=True),
    "round": Piece((20, 26), (20, 26), (("oval", 0.4, 0, 0.6, 0.2), ("oval", 0.4, 0.8, 0.6, 1), ("oval",
        0, 0.4, 0.2, 0.6), ("oval", 0.8, 0.4, 1, 0.6), ("oval", 0.14, 0.14, 0.86, 0.86)), free=True),
    "low_table": Piece((16, 24), (10, 14), (_WHOLE,), free=True),
    "rug": Piece((30, 50), (24, 40), (_WHOLE, ("box", 0.05, 0.06, 0.95, 0.94)), free=True),
    "counter": Piece((36, 56), (12, 14), (_WHOLE, ("box", 0.06, 0.2, 0.36, 0.8), ("oval", 0.62, 0.15,
        0.72, 0.5), ("oval", 0.78, 0.15, 0.88, 0.5), ("oval", 0.7, 0.55, 0.8, 0.9))),
    "counter2": Piece((36, 60), (12, 15), (_WHOLE, ("box", 0.55, 0.15, 0.9, 0.85), ("box", 0.08, 0.1,
        0.34, 0.9), ("oval", 0.1, 0.2, 0.2, 0.5), ("oval", 0.22, 0.5, 0.32, 0.8))),
    "fridge": Piece((12, 14), (12, 14), (_WHOLE, ("line", 0, 0, 1, 1), ("line", 1, 0, 0, 1))),
    "bath": Piece((22, 32), (13, 16), (_WHOLE, ("oval", 0.05, 0.1, 0.95, 0.9))),
    "bath2": Piece((22, 32), (14, 17), (_WHOLE, ("box", 0.07, 0.14, 0.93, 0.86))),
    "unit_bath": Piece((24, 32), (24, 32), (_WHOLE, ("box", 0.04, 0.04, 0.96, 0.48), ("oval", 0.1, 0.09,
        0.9, 0.43), ("oval", 0.7, 0.7, 0.78, 0.78))),
    "shower": Piece((15, 20), (15, 20), (_WHOLE, ("line", 0, 0, 1, 1), ("line", 1, 0, 0, 1), ("oval", 0.4,
        0.4, 0.6, 0.6))),
    "toilet": Piece((8, 9), (13, 15), (("box", 0, 0, 1, 0.28), ("oval", 0.08, 0.26, 0.92, 1))),
    "toilet2": Piece((8, 9), (12, 14), (("oval", 0.05, 0.1, 0.95, 1), ("box", 0.1, 0, 0.9, 0.25), ("oval",
        0.25, 0.35, 0.75, 0.9))),
    "basin": Piece((12, 22), (9, 11), (_WHOLE, ("oval", 0.25, 0.2, 0.75, 0.85))),
    "washer": Piece((12, 14), (12, 14), (_WHOLE, ("oval", 0.15, 0.15, 0.85, 0.85))),
    "washer2": Piece((12, 14), (12, 14), (_WHOLE, ("box", 0.1, 0.1, 0.9, 0.9), ("line", 0.1, 0.1, 0.9,
        0.9))),
    "desk": Piece((20, 30), (20, 24), (("box", 0, 0, 1, 0.55), ("oval", 0.35, 0.6, 0.65, 1))),
    "wardrobe": Piece((20, 50), (11, 13), (_WHOLE, ("line", 0, 0.5, 1, 0.5))),
    "wardrobe2": Piece((20, 50), (11, 13), (_WHOLE, ("line", 0, 0, 1, 1))),
    "shelf": Piece((12, 40), (5, 9), (_WHOLE,)),
    "piano": Piece((28, 30), (12, 14), (_WHOLE, ("line", 0, 0.7, 1, 0.7))),
    "car": Piece((32, 36), (80, 92), (("box", 0.05, 0, 0.95, 1), ("box", 0.15, 0.25, 0.85, 0.7)),
        free=True),
    "rack": Piece((20, 60), (11, 16), (("line", 0, 0.5, 1, 0.5),)),
    "cross": Piece((14, 60), (11, 16), (("line", 0, 0, 1, 1), ("line", 1, 0, 0, 1))),
}  # fmt: skip
"""By name."""
