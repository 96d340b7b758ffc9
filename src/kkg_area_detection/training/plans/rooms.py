"""Rooms: rectangles divided until there are enough, closets and wet cells cut from them, some joined to Ls."""

from __future__ import annotations

import random
from dataclasses import dataclass, field

from kkg_area_detection.training.plans.outline import IntBox, outline

WET = ("bath", "wash", "wc")
SHARED = -1
"""The flat of rooms that are in none, or in the only one."""

_NARROWEST = 16  # units; a toilet is 80 cm wide
_CORRIDOR = (17, 27)
_CLOSET_DEPTH = (13, 20)
_MOST_IN_A_BLOCK = 56  # rooms, before closets are cut off


@dataclass(slots=True)
class Cell:
    """A rectangle of floor, up to the middle of its walls.

    Attributes:
        box: In units.
        room: Number of the room. Several cells may make one.
    """

    box: IntBox
    room: int

    @property
    def width(self) -> int:
        """In units."""
        return self.box[2] - self.box[0]

    @property
    def height(self) -> int:
        """In units."""
        return self.box[3] - self.box[1]

    @property
    def area(self) -> int:
        """In square units."""
        return self.width * self.height


@dataclass(slots=True)
class Layout:
    """The floor of one building.

    Attributes:
        width: In units.
        height: In units.
        cells: Tile the building.
        kinds: What each room is used for.
        open_pairs: Rooms (smaller number first) that no wall divides, only a line or another floor.
        flats: Which flat a room is in; others are ``SHARED``.
    """

    width: int
    height: int
    cells: list[Cell]
    kinds: dict[int, str] = field(default_factory=dict)
    open_pairs: set[tuple[int, int]] = field(default_factory=set)
    flats: dict[int, int] = field(default_factory=dict)

    def joinable(self, first: int, second: int) -> bool:
        """Whether there may be a door between two rooms: not from one flat to another."""
        flats = self.flats.get(first, SHARED), self.flats.get(second, SHARED)
        return SHARED in flats or flats[0] == flats[1]

    def cells_of(self, room: int) -> list[Cell]:
        """The largest first."""
        return sorted((cell for cell in self.cells if cell.room == room), key=lambda cell: -cell.area)

    def areas(self) -> dict[int, int]:
        """Square units by room."""
        areas: dict[int, int] = {}
        for cell in self.cells:
            areas[cell.room] = areas.get(cell.room, 0) + cell.area
        return areas


def plan_rooms(random_: random.Random, rooms: int, *, closets: float, open_share: float) -> Layout:
    """Invent a floor.

    Args:
        random_: The floor is drawn from it.
        rooms: How many before closets are cut off; fewer where the floor is small.
        closets: Share of the living rooms and bedrooms that get one.
        open_share: Share of the pairs of neighbouring living rooms without a wall.

    Returns:
        Cells with rooms from 0 without gaps, and what each is for.
    """
    area = max(6.0, rooms * random_.uniform(6.0, 15.0)) * 400
    ratio = random_.choice(
        (random_.uniform(0.45, 0.8), random_.uniform(0.8, 1.25), random_.uniform(1.25, 2.2))
    )
    width, height = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
    width, height = max(width, 50), max(height, 50)
    template = random_.random()
    if template < 0.22 and rooms >= 5:
        cells = _flat(random_, width, height)
        width, height = max(cell[2] for cell in cells), max(cell[3] for cell in cells)
    else:
        cells = _divide(random_, outline(random_, width, height), rooms)
    layout = Layout(width, height, [Cell(box, number) for number, box in enumerate(cells)])
    _join(random_, layout)
    _name(random_, layout)
    _cut_closets(random_, layout, closets)
    _open(random_, layout, open_share)
    return layout


def plan_block(random_: random.Random, rooms: int, flats: int, *, closets: float) -> Layout:
    """Invent a block of flats: one or two rows of equal flats, every other one mirrored, at a common corridor.

    Args:
        random_: The floor is drawn from it.
        rooms: Of each flat, before closets are cut off.
        flats: In a row.
        closets: As in ``plan_rooms``.
    """
    if random_.random() < 0.5:
        cells = _flat(random_, 110, 190)
    else:
        cells = _divide(random_, [(0, 0, random_.randint(80, 140), random_.randint(120, 200))], rooms)
    width, height = max(cell[2] for cell in cells), max(cell[3] for cell in cells)
    broad = random_.randint(24, 36)
    layout = Layout(width * flats, height + broad, [Cell((0, 0, width * flats, broad), 0)], flats={0: SHARED})
    rows = random_.choice((1, 1, 2)) if 2 * flats * len(cells) <= _MOST_IN_A_BLOCK else 1
    if rows == 2:
        layout.height += height
        layout.cells[0].box = (0, height, width * flats, height + broad)
    for row in range(rows):
        for column in range(flats):
            for left, top, right, bottom in cells:
                if column % 2:
                    left, right = width - right, width - left  # noqa: PLW2901
                if rows == 2 and row == 0:
                    top, bottom = height - bottom, height - top  # noqa: PLW2901
                x, y = column * width, (height + broad if row == 1 else broad if rows == 1 else 0)
                number = len(layout.cells)
                layout.cells.append(Cell((left + x, top + y, right + x, bottom + y), number))
                layout.flats[number] = row * flats + column
    _name(random_, layout)
    layout.kinds[0] = "hall"
    _cut_closets(random_, layout, closets)
    return layout


def _flat(random_: random.Random, width: int, height: int) -> list[IntBox]:
    """A Japanese flat: hall down the middle, bedrooms beside the entrance, living room at the balcony."""
    width, height = max(width, 110), max(height, 170)
    hall = random_.randint(*_CORRIDOR)
    left = round((width - hall) * random_.uniform(0.38, 0.62))
    right = left + hall
    first = round(height * random_.uniform(0.28, 0.36))
    second = round(height * random_.uniform(0.52, 0.62))
    entrance = random_.randint(18, 30)
    cells: list[IntBox] = [
        (0, 0, left, first),
        (right, 0, width, first),
        (left, 0, right, entrance),
        (left, entrance, right, second),
    ]
    wet_left = random_.random() < 0.5
    x0, x1 = (0, left) if wet_left else (right, width)
    y = first + round((second - first) * random_.uniform(0.45, 0.6))
    x = x0 + round((x1 - x0) * random_.uniform(0.4, 0.6))
    cells += [(x0, first, x1, y), (x0, y, x, second), (x, y, x1, second)]
    other = (right, first, width, second) if wet_left else (0, first, left, second)
    cells.append(other)
    if random_.random() < 0.7:
        split = round(width * random_.uniform(0.45, 0.68))
        cells += [(0, second, split, height), (split, second, width, height)]
    else:
        cells.append((0, second, width, height))
    return cells


def _divide(random_: random.Random, boxes: list[IntBox], rooms: int) -> list[IntBox]:
    """Split rectangles, large ones sooner, until there are ``rooms``."""
    cells = list(boxes)
    corridor = random_.random() < 0.5
    smallest = random_.randint(20, 34)
    lines: tuple[list[int], list[int]] = ([], [])
    for _ in range(rooms * 5):
        if len(cells) >= rooms:
            break
        weights = [float((box[2] - box[0]) * (box[3] - box[1])) ** 1.5 for box in cells]
        index = random_.choices(range(len(cells)), weights)[0]
        left, top, right, bottom = cells[index]
        width, height = right - left, bottom - top
        if corridor and min(width, height) > 85:
            corridor = False
            cells[index : index + 1] = _with_corridor(random_, cells[index])
            continue
        upright = width > height * random_.uniform(0.7, 1.4)
        length, start = (width, left) if upright else (height, top)
        if length < 2 * smallest:
            smallest = max(_NARROWEST, smallest - 1)
            continue
        at = _where(random_, start, length, lines[upright])
        lines[upright].append(at)
        if upright:
            cells[index : index + 1] = [(left, top, at, bottom), (at, top, right, bottom)]
        else:
            cells[index : index + 1] = [(left, top, right, at), (left, at, right, bottom)]
    return cells


def _where(random_: random.Random, start: int, length: int, lines: list[int]) -> int:
    """Where to split: in line with another wall where one is near."""
    share = random_.uniform(0.35, 0.65) if random_.random() < 0.7 else random_.choice((0.25, 0.75))
    at = start + min(max(round(length * share), _NARROWEST), length - _NARROWEST)
    for line in lines:
        if abs(line - at) < 10 and start + _NARROWEST <= line <= start + length - _NARROWEST:
            return line
    return at


def _with_corridor(random_: random.Random, box: IntBox) -> list[IntBox]:
    """Two halves and a corridor between them."""
    left, top, right, bottom = box
    broad = random_.randint(*_CORRIDOR)
    if (right - left > bottom - top) == (random_.random() < 0.8):
        at = top + round((bottom - top - broad) * random_.uniform(0.35, 0.65))
        return [(left, top, right, at), (left, at, right, at + broad), (left, at + broad, right, bottom)]
    at = left + round((right - left - broad) * random_.uniform(0.35, 0.65))
    return [(left, top, at, bottom), (at, top, at + broad, bottom), (at + broad, top, right, bottom)]


def shared_side(first: IntBox, second: IntBox) -> tuple[bool, int, int, int] | None:
    """Where two rectangles touch: upright or not, where, from and to; None where they do not."""
    for a, b in ((first, second), (second, first)):
        if a[2] == b[0]:
            low, high = max(a[1], b[1]), min(a[3], b[3])
            if high > low:
                return True, a[2], low, high
        if a[3] == b[1]:
            low, high = max(a[0], b[0]), min(a[2], b[2])
            if high > low:
                return False, a[3], low, high
    return None


def _join(random_: random.Random, layout: Layout) -> None:
    """Make some Ls of two neighbours."""
    cells = layout.cells
    for _ in range(random_.choice((0, 0, 1, 1, 2, 3))):
        first, second = random_.choice(cells), random_.choice(cells)
        side = shared_side(first.box, second.box)
        if side is None or first.room == second.room or side[3] - side[2] < 18 or len(layout.areas()) < 4:
            continue
        if sum(cell.room in (first.room, second.room) for cell in cells) > 3:
            continue
        old = second.room
        for cell in cells:
            if cell.room == old:
                cell.room = first.room
    numbers = {old: new for new, old in enumerate(dict.fromkeys(cell.room for cell in cells))}
    for cell in cells:
        cell.room = numbers[cell.room]


def _name(random_: random.Random, layout: Layout) -> None:
    """Say what rooms are for, by their size and shape."""
    areas = layout.areas()
    largest = max(areas, key=lambda room: areas[room])
    office = random_.random() < 0.1
    for room, area in areas.items():
        metres = area / 400
        cell = layout.cells_of(room)[0]
        narrow, long = sorted((cell.width, cell.height))
        if room == largest:
            kind = "office" if office else "living"
        elif narrow < 30 and long > 2 * narrow:
            kind = random_.choice(("hall", "hall", "hall", "stairs", "closet", "kitchen"))
        elif metres < 2.2:
            kind = random_.choice(("wc", "wc", "closet", "entrance", "store"))
        elif metres < 4.5:
            kind = random_.choice(("bath", "wash", "entrance", "closet", "stairs", "wc", "store"))
        elif metres < 7.5:
            kind = random_.choice(("bedroom", "kitchen", "bath", "tatami", "entrance", "stairs", "office"))
        else:
            kind = random_.choice(("bedroom", "bedroom", "tatami", "kitchen", "living", "office"))
        layout.kinds[room] = "office" if office and kind in ("bedroom", "tatami", "living") else kind


def _cut_closets(random_: random.Random, layout: Layout, share: float) -> None:
    """Cut closets from living rooms and bedrooms, along a side or part of it."""
    for cell in list(layout.cells):
        if layout.kinds[cell.room] not in ("bedroom", "tatami", "living", "entrance", "hall"):
            continue
        if min(cell.width, cell.height) < 36 or random_.random() > share:
            continue
        depth = random_.randint(*_CLOSET_DEPTH)
        left, top, right, bottom = cell.box
        side = random_.randrange(4)
        if side == 0:
            closet, rest = (left, top, right, top + depth), (left, top + depth, right, bottom)
        elif side == 1:
            closet, rest = (left, bottom - depth, right, bottom), (left, top, right, bottom - depth)
        elif side == 2:
            closet, rest = (left, top, left + depth, bottom), (left + depth, top, right, bottom)
        else:
            closet, rest = (right - depth, top, right, bottom), (left, top, right - depth, bottom)
        cell.box = rest
        room = max(layout.kinds) + 1
        parts = [Cell(closet, room)]
        length = closet[2] - closet[0] if side < 2 else closet[3] - closet[1]
        if length > 44 and random_.random() < 0.55:
            parts = _part(random_, closet, room, cell.room, upright=side >= 2)
        layout.kinds[room] = "closet"
        layout.flats[room] = layout.flats.get(cell.room, SHARED)
        layout.cells += parts


def _part(random_: random.Random, box: IntBox, room: int, rest: int, *, upright: bool) -> list[Cell]:
    """A closet on part of a strip; the remainder belongs to the room, or is a second closet."""
    left, top, right, bottom = box
    share = random_.uniform(0.4, 0.7)
    if upright:
        at = top + round((bottom - top) * share)
        halves = [(left, top, right, at), (left, at, right, bottom)]
    else:
        at = left + round((right - left) * share)
        halves = [(left, top, at, bottom), (at, top, right, bottom)]
    if random_.random() < 0.5:
        halves.reverse()
    return [Cell(halves[0], room), Cell(halves[1], rest)]


def _open(random_: random.Random, layout: Layout, share: float) -> None:
    """Take the wall from between some rooms."""
    cells = layout.cells
    for index, first in enumerate(cells):
        for second in cells[index + 1 :]:
            if first.room == second.room:
                continue
            kinds = {layout.kinds[first.room], layout.kinds[second.room]}
            if not kinds <= {"living", "kitchen", "hall", "entrance", "office", "tatami"}:
                continue
            side = shared_side(first.box, second.box)
            if side is not None and random_.random() < share:
                layout.open_pairs.add((min(first.room, second.room), max(first.room, second.room)))
