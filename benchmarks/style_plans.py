"""Floor plans written by hand, for `styles.py`: rooms in metres, up to the centre lines of the walls."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.affinity import translate


@dataclass(frozen=True)
class Plan:
    """A floor.

    Attributes:
        name: For people.
        rooms: Name and corners (or left, bottom, right, top) in metres, up to the centre lines of walls.
        doors: Hinge x and y, width and direction (r, l, u or d: where the opening goes from the hinge).
        windows: Middle x and y, width, and h or v.
    """

    name: str
    rooms: list[tuple[str, tuple[float, ...]]]
    doors: list[tuple[float, float, float, str]]
    windows: list[tuple[float, float, float, str]]

    def polygons(self) -> list[shapely.Polygon]:
        """The rooms up to the centre lines."""
        return [
            shapely.box(*corners) if len(corners) == 4 else shapely.Polygon(np.reshape(corners, (-1, 2)))
            for _, corners in self.rooms
        ]


STUDIO = Plan(
    "studio, 1K",
    [
        ("Room 8.0", (0, 0, 3.4, 4.4)),
        ("K", (0, 4.4, 2.0, 7.0)),
        ("Ent", (0, 7.0, 1.2, 8.2)),
        ("UB", (2.0, 5.4, 3.4, 8.2)),
        ("CL", (2.0, 4.4, 3.4, 5.4)),
        ("WC", (1.2, 7.0, 2.0, 8.2)),
    ],
    [
        (0.3, 4.4, 0.75, "r"),
        (2.0, 5.7, 0.65, "u"),
        (1.2, 7.2, 0.6, "u"),
        (0.2, 8.2, 0.8, "r"),
        (0.2, 7.0, 0.7, "r"),
    ],
    [(1.7, 0, 2.4, "h")],
)
FLAT = Plan(
    "flat, 3LDK",
    [
        ("LDK", (0, 0, 5.4, 4.2)),
        ("Bed 1", (5.4, 0, 8.4, 3.2)),
        ("Bed 2", (0, 6.2, 2.8, 9.4)),
        ("Bed 3", (2.8, 6.2, 5.6, 9.4)),
        ("Hall", (0, 4.2, 3.0, 4.2, 3.0, 5.2, 6.6, 5.2, 6.6, 9.4, 5.6, 9.4, 5.6, 6.2, 0, 6.2)),
        ("Bath", (6.6, 5.2, 8.4, 7.0)),
        ("Wash", (6.6, 3.2, 8.4, 5.2)),
        ("WC", (6.6, 7.0, 8.4, 8.0)),
        ("Store", (6.6, 8.0, 8.4, 9.4)),
        ("Closet", (5.4, 3.2, 6.6, 5.2)),
        ("Pantry", (3.0, 4.2, 5.4, 5.2)),
    ],
    [
        (1.0, 4.2, 0.8, "r"), (5.4, 1.6, 0.8, "u"), (0.8, 6.2, 0.8, "r"), (3.4, 6.2, 0.8, "r"),
        (5.8, 9.4, 0.75, "r"), (6.6, 5.6, 0.65, "u"), (6.6, 7.2, 0.65, "u"), (6.6, 8.3, 0.7, "u"),
        (5.6, 5.2, 0.7, "r"), (3.6, 4.2, 0.8, "r"), (7.0, 5.2, 0.7, "r"),
    ],
    [(2.7, 0, 3.0, "h"), (6.9, 0, 1.6, "h"), (1.4, 9.4, 1.6, "h"), (4.2, 9.4, 1.6, "h"), (0, 2.1, 1.2, "v")],
)  # fmt: skip
HOUSE = Plan(
    "house with a slanting side",
    [
        ("Living", (0, 0, 6.0, 0, 6.0, 5.0, 0, 5.0)),
        ("Kitchen", (6.0, 0, 9.5, 3.4)),
        ("Study", (6.0, 3.4, 9.5, 3.4, 11.0, 6.4, 6.0, 6.4)),
        ("Hall", (0, 5.0, 6.0, 6.4)),
        ("Bedroom", (0, 6.4, 4.0, 10.0)),
        ("Bedroom", (4.0, 6.4, 8.0, 10.0)),
        ("Bath", (8.0, 6.4, 11.0, 6.4, 12.8, 10.0, 8.0, 10.0)),
    ],
    [
        (1.0, 5.0, 0.9, "r"), (6.0, 1.0, 0.9, "u"), (6.0, 5.3, 0.9, "u"), (1.6, 6.4, 0.85, "r"),
        (4.6, 6.4, 0.85, "r"), (8.4, 6.4, 0.75, "r"), (0, 5.3, 0.95, "u"),
    ],
    [(3.0, 0, 3.2, "h"), (7.7, 0, 1.4, "h"), (2.0, 10, 1.8, "h"), (6.0, 10, 1.8, "h"), (0, 2.5, 2.0, "v")],
)  # fmt: skip
COTTAGE = Plan(
    "cottage",
    [
        ("Great room", (0, 0, 7.2, 0, 7.2, 3.0, 5.0, 3.0, 5.0, 6.0, 0, 6.0)),
        ("Kitchen", (5.0, 3.0, 8.6, 6.0)),
        ("Master", (8.6, 0, 12.8, 4.2)),
        ("Bath", (8.6, 4.2, 11.0, 6.0)),
        ("Closet", (11.0, 4.2, 12.8, 6.0)),
        ("Foyer", (7.2, 0, 8.6, 3.0)),
    ],
    [(7.2, 1.0, 0.9, "u"), (8.6, 1.4, 0.85, "u"), (7.4, 0, 0.95, "r"), (9.0, 4.2, 0.75, "r"), (11.4, 4.2, 0.7, "r"),
     (5.4, 3.0, 1.2, "r")],
    [(3.5, 0, 2.4, "h"), (2.5, 6, 2.0, "h"), (12.8, 2.1, 1.8, "v"), (6.8, 6, 1.4, "h"), (0, 3.0, 2.0, "v")],
)  # fmt: skip


def office(columns: int, rows: int) -> Plan:
    """Corridors with rooms on both sides."""
    rooms: list[tuple[str, tuple[float, ...]]] = []
    doors: list[tuple[float, float, float, str]] = []
    width, depth, corridor = 3.6, 5.2, 1.8
    for row in range(rows):
        bottom = row * (2 * depth + corridor)
        rooms.append(("Corridor", (0, bottom + depth, columns * width, bottom + depth + corridor)))
        for column in range(columns):
            left = column * width
            rooms.append((f"{row + 1}{column + 1:02}", (left, bottom, left + width, bottom + depth)))
            top = bottom + depth + corridor
            rooms.append((f"{row + 1}{column + 51:02}", (left, top, left + width, top + depth)))
            doors += [(left + 0.5, bottom + depth, 0.9, "r"), (left + 0.5, top, 0.9, "r")]
    windows = [((column + 0.5) * width, 0.0, 2.0, "h") for column in range(columns)]
    return Plan(f"office, {len(rooms)} rooms", rooms, doors, windows)


def sheet_of(plan: Plan, columns: int, rows: int, step: tuple[float, float]) -> Plan:
    """The same plan several times on a sheet."""
    rooms, doors, windows = [], [], []
    for row in range(rows):
        for column in range(columns):
            dx, dy = column * step[0], row * step[1]
            for (name, _), polygon in zip(plan.rooms, plan.polygons(), strict=True):
                moved = shapely.get_coordinates(translate(polygon, dx, dy))[:-1]
                rooms.append((name, tuple(moved.ravel().tolist())))
            doors += [(x + dx, y + dy, width, way) for x, y, width, way in plan.doors]
            windows += [(x + dx, y + dy, width, way) for x, y, width, way in plan.windows]
    return Plan(f"{rows * columns} x {plan.name}", rooms, doors, windows)


PLANS = [STUDIO, FLAT, HOUSE, COTTAGE, office(6, 2), sheet_of(STUDIO, 5, 2, (5.0, 11.0)), office(9, 3)]
