"""Walls between and around rooms, and what is in them: doors, windows, passages."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kkg_area_detection.training.plans.rooms import WET, Layout, shared_side

OUTSIDE = -1
_WIDEST_LEAVES = 34.0  # units, of two swinging leaves together


@dataclass(slots=True)
class Wall:
    """A straight piece of wall between two rooms, or between a room and the outside.

    Attributes:
        upright: Along y; else along x.
        at: x of an upright wall's middle, y of the others', in units.
        low: Where it begins, in units.
        high: Where it ends.
        before: The room on the side of smaller x or y, or ``OUTSIDE``.
        after: The other.
    """

    upright: bool
    at: int
    low: int
    high: int
    before: int
    after: int

    @property
    def outer(self) -> bool:
        """Whether the outside is on one side."""
        return OUTSIDE in (self.before, self.after)

    @property
    def length(self) -> int:
        """In units."""
        return self.high - self.low


@dataclass(slots=True)
class Opening:
    """A gap in a wall.

    Attributes:
        wall: Which.
        low: Where the gap begins, in units along the wall.
        high: Where it ends.
        kind: ``swing``, ``double``, ``slide``, ``fold``, ``passage`` or ``window``.
        hinge_low: The leaf is hung at ``low``.
        side: -1 if it opens towards smaller x or y, else 1.
    """

    wall: Wall
    low: float
    high: float
    kind: str
    hinge_low: bool = True
    side: int = 1


def walls_of(layout: Layout) -> tuple[list[Wall], list[Wall]]:
    """All walls of a floor, and the borders that have no wall.

    Returns:
        Walls, and borders of ``open_pairs``, each of one pair of cells.
    """
    walls: list[Wall] = []
    open_borders: list[Wall] = []
    cells = layout.cells
    covered: list[list[list[tuple[int, int]]]] = [[[] for _ in range(4)] for _ in cells]
    for i, first in enumerate(cells):
        for j in range(i + 1, len(cells)):
            second = cells[j]
            side = shared_side(first.box, second.box)
            if side is None:
                continue
            upright, at, low, high = side
            ahead = (first.box[2] if upright else first.box[3]) == at
            covered[i][_side(upright=upright, high=ahead)].append((low, high))
            covered[j][_side(upright=upright, high=not ahead)].append((low, high))
            if first.room == second.room:
                continue
            before, after = (first.room, second.room) if ahead else (second.room, first.room)
            wall = Wall(upright, at, low, high, before, after)
            pair = (min(before, after), max(before, after))
            (open_borders if pair in layout.open_pairs else walls).append(wall)
    for cell, sides in zip(cells, covered, strict=True):
        left, top, right, bottom = cell.box
        for side_number, (at, low, high) in enumerate(
            ((left, top, bottom), (right, top, bottom), (top, left, right), (bottom, left, right))
        ):
            rooms = (cell.room, OUTSIDE) if side_number % 2 else (OUTSIDE, cell.room)
            walls += [
                Wall(side_number < 2, at, a, b, *rooms) for a, b in _free(low, high, sides[side_number])
            ]
    return walls, open_borders


def _side(*, upright: bool, high: bool) -> int:
    """Left, right, top, bottom: 0 to 3."""
    return (0 if upright else 2) + high


def _free(low: int, high: int, covered: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """What of a range is not covered."""
    free = []
    for start, end in sorted(covered):
        if start > low:
            free.append((low, start))
        low = max(low, end)
    if high > low:
        free.append((low, high))
    return free


@dataclass(frozen=True, slots=True)
class Habits:
    """How openings are chosen in one drawing.

    Attributes:
        slide: Share of sliding doors.
        passage: Share of door openings without a leaf.
        window: Share of the outer walls with windows.
        wide_window: Windows may be as wide as the wall.
        extra: Share of the walls with a door beyond those that connect all rooms.
        margin: Least distance from the end of a wall, in units: half a wall and a little.
    """

    slide: float
    passage: float
    window: float
    wide_window: bool
    extra: float
    margin: float


def choose_openings(
    random_: random.Random, layout: Layout, walls: list[Wall], habits: Habits
) -> list[Opening]:
    """Connect all rooms with doors, one or more to the outside, and put windows into outer walls.

    Args:
        random_: They are drawn from it.
        layout: The rooms.
        walls: Of ``walls_of``.
        habits: How often what is chosen.

    Returns:
        Openings that do not overlap, at least a margin away from the ends of their walls.
    """
    group = {room: room for room in layout.kinds}

    def root(room: int) -> int:
        while group[room] != room:
            room = group[room]
        return room

    for first, second in layout.open_pairs:
        group[root(first)] = root(second)
    openings = []
    inner = [wall for wall in walls if not wall.outer and wall.length >= 11 + 2 * habits.margin]
    inner = [wall for wall in inner if layout.joinable(wall.before, wall.after)]
    random_.shuffle(inner)
    inner.sort(key=lambda wall: _stays_last(layout, wall))
    for wall in inner:
        first, second = root(wall.before), root(wall.after)
        if first != second or random_.random() < habits.extra:
            group[first] = second
            openings.append(_door(random_, layout, wall, habits))
    outer = [wall for wall in walls if wall.outer]
    random_.shuffle(outer)
    entrances = [wall for wall in outer if wall.length >= 18 + 2 * habits.margin]
    entrances.sort(key=lambda wall: layout.kinds[_inside(wall)] not in ("entrance", "hall"))
    count = random_.choices((0, 1, 2, 3), (5, 60, 25, 10))[0]
    doors = {id(wall): _entrance(random_, wall, habits) for wall in entrances[:count]}
    openings += doors.values()
    for wall in outer:
        openings += _windows(random_, layout, wall, doors.get(id(wall)), habits)
    return openings


def _inside(wall: Wall) -> int:
    return wall.after if wall.before == OUTSIDE else wall.before


def _stays_last(layout: Layout, wall: Wall) -> int:
    """Doors between bathrooms and closets only where nothing else connects them."""
    kinds = (layout.kinds[wall.before], layout.kinds[wall.after])
    poor = sum(kind in WET or kind == "closet" for kind in kinds)
    return 1 if poor == 2 else -("hall" in kinds or "closet" in kinds)


def _place(random_: random.Random, low: float, high: float, width: float) -> tuple[float, float]:
    """Put a gap at an end or anywhere."""
    start = random_.choice((low, high - width, random_.uniform(low, high - width)))
    return start, start + width


def _door(random_: random.Random, layout: Layout, wall: Wall, habits: Habits) -> Opening:
    low, high = wall.low + habits.margin, wall.high - habits.margin
    kinds = {layout.kinds[wall.before], layout.kinds[wall.after]}
    closet, tatami = "closet" in kinds, "tatami" in kinds
    roll = random_.random()
    if closet and roll < 0.75:
        width = (high - low) * random_.uniform(0.7, 1.0)
        kind = random_.choice(("slide", "fold", "fold", "double"))
        width = min(width, _WIDEST_LEAVES) if kind == "double" else width
    elif roll < habits.slide + 0.5 * tatami:
        width = min(random_.uniform(15, 40), high - low)
        kind = "slide"
    elif roll > 1 - habits.passage:
        width = min(random_.uniform(15, 60), high - low)
        kind = "passage"
    else:
        width = min(random_.uniform(12.5, 18), high - low)
        kind = "double" if high - low > 26 and random_.random() < 0.07 else "swing"
        width = min(width * 1.7, high - low, _WIDEST_LEAVES) if kind == "double" else width
    start, end = _place(random_, low, high, width)
    side = random_.choice((-1, 1))
    if closet:  # a closet's leaves open into the room
        side = 1 if layout.kinds[wall.before] == "closet" else -1
    return Opening(wall, start, end, kind, random_.random() < 0.5, side)


def _entrance(random_: random.Random, wall: Wall, habits: Habits) -> Opening:
    width = min(random_.uniform(15, 21), wall.length - 2 * habits.margin)
    kind = random_.choices(("swing", "double", "slide"), (80, 10, 10))[0]
    if kind != "swing":
        width = min(1.6 * width, wall.length - 2 * habits.margin)
    start, end = _place(random_, wall.low + habits.margin, wall.high - habits.margin, width)
    outwards = -1 if wall.before == OUTSIDE else 1
    side = outwards if random_.random() < 0.6 else -outwards
    return Opening(wall, start, end, kind, random_.random() < 0.5, side)


def _windows(
    random_: random.Random, layout: Layout, wall: Wall, door: Opening | None, habits: Habits
) -> list[Opening]:
    low, high = wall.low + habits.margin, wall.high - habits.margin
    if door is not None:  # in the longer part beside the door
        before, after = (low, door.low - 3), (door.high + 3, high)
        low, high = before if before[1] - before[0] > after[1] - after[0] else after
    kind = layout.kinds[_inside(wall)]
    small = kind in WET or kind in ("stairs", "hall", "entrance", "store")
    found: list[Opening] = []
    while high - low > 12 and random_.random() < habits.window * (0.6 if small or kind == "closet" else 1.0):
        most = high - low if habits.wide_window else min(40.0, 0.75 * (high - low))
        width = random_.uniform(8, min(14.0, most)) if small else random_.uniform(min(14.0, most * 0.8), most)
        start = (low + high - width) / 2 if random_.random() < 0.5 else random_.uniform(low, high - width)
        found.append(Opening(wall, start, start + width, "window"))
        low = start + width + random_.uniform(4, 14)
    return found
