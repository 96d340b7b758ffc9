"""Where on a sheet the plans are, and how the sheet was photographed or scanned."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kkg_area_detection.training.plans.frame import Bend, Box, Frame, Point, fit, random_bend
from kkg_area_detection.training.plans.look import Look
from kkg_area_detection.training.plans.rooms import Layout, plan_block, plan_rooms


@dataclass(frozen=True, slots=True)
class Place:
    """A place for one plan.

    Attributes:
        box: On the canvas, in pixels.
        rooms: How many it may have before closets are cut off.
        angle: In degrees; that of the whole sheet.
        squeeze: Width over height.
        lean: Perspective, see ``Frame``.
        middle: Of the canvas.
    """

    box: Box
    rooms: int
    angle: float
    squeeze: float
    lean: Point
    middle: Point


def arrange(random_: random.Random, canvas: tuple[int, int], look: Look) -> list[Place]:
    """One plan that fills the canvas more or less, two or three floors, or a sheet of flats.

    Args:
        random_: Everything is drawn from it.
        canvas: Width and height.
        look: Its style decides how many plans there may be.
    """
    width, height = canvas
    columns, rows = _grid(random_, width >= height, look.style)
    share = random_.uniform(0.5, 1.0) ** 0.5 if look.style != "cad" else random_.uniform(0.3, 0.95) ** 0.5
    if columns * rows > 1:
        share = random_.uniform(0.88, 1.0)
    elif random_.random() < 0.35:
        share = random_.uniform(0.93, 1.0)
    angle, lean = 0.0, (0.0, 0.0)
    if random_.random() < 0.35:
        angle = random_.gauss(0, 1.4) if random_.random() < 0.88 else random_.uniform(-20, 20)
    if random_.random() < 0.08:
        lean = (random_.gauss(0, 0.08) / width, random_.gauss(0, 0.08) / height)
    squeeze = random_.uniform(0.85, 1.18) if random_.random() < 0.2 else 1.0
    used = (width * share, height * share)
    left, top = random_.uniform(0, width - used[0]), random_.uniform(0, height - used[1])
    gap = random_.uniform(0.0, 0.16) if columns * rows > 1 else 0.0
    count = random_.randint(3, 13) if columns * rows < 6 else random_.randint(4, 9)
    if columns * rows == 1 and random_.random() < 0.18:
        count = random_.randint(12, 34)
    places = []
    for row in range(rows):
        for column in range(columns):
            cell = (used[0] / columns, used[1] / rows)
            x, y = left + column * cell[0], top + row * cell[1]
            box = (
                x + gap * cell[0] / 2,
                y + gap * cell[1] / 2,
                x + cell[0] * (1 - gap / 2),
                y + cell[1] * (1 - gap / 2),
            )
            rooms = max(3, count + random_.randint(-2, 2))
            places.append(Place(box, rooms, angle, squeeze, lean, (width / 2, height / 2)))
    if len(places) > 3 and random_.random() < 0.3:
        places.pop(random_.randrange(len(places)))
    return places


def _grid(random_: random.Random, wide: bool, style: str) -> tuple[int, int]:
    if style == "sheet":
        grid = random_.choice(((2, 2), (3, 2), (3, 2), (4, 2), (3, 3), (2, 1), (1, 1), (1, 1)))
    else:
        several = {"cad": 0.25, "western": 0.15, "listing": 0.12}.get(style, 0.1)
        grid = random_.choice(((2, 1), (2, 1), (3, 1), (2, 2))) if random_.random() < several else (1, 1)
    return grid if wide else (grid[1], grid[0])


def invent_layouts(random_: random.Random, places: list[Place], look: Look) -> list[Layout]:
    """A floor for each place: all their own, or one type of flat many times, or a block of flats."""
    options = {"closets": look.closets, "open_share": look.open_share}
    block = random_.random() < {"sheet": 0.75, "cad": 0.1, "line": 0.08}.get(look.style, 0.02)
    if len(places) == 1 and block:
        flats = random_.randint(2, 5)
        return [plan_block(random_, random_.randint(4, 9), flats, closets=look.closets)]
    layouts = [plan_rooms(random_, place.rooms, **options) for place in places]
    if len(places) > 1 and random_.random() < 0.3:
        layouts = [layouts[min(number % 2, random_.randrange(2))] for number in range(len(places))]
    return layouts


def place_layouts(
    random_: random.Random, places: list[Place], layouts: list[Layout], look: Look, bent_share: float
) -> list[Frame]:
    """Put each floor into its place, most sheets with all floors to one scale and the same way round.

    Args:
        random_: Where in their places, bent or mirrored.
        places: One for each floor.
        layouts: The floors.
        look: Width of lines, which is kept free around.
        bent_share: Share of the floors with oblique or curved walls.
    """
    turns = random_.randrange(4)
    bends: list[Bend | None] = [
        random_bend(random_, layout.width, layout.height) if random_.random() < bent_share else None
        for layout in layouts
    ]
    mirrored = [random_.random() < 0.5 for _ in layouts]

    def fitted(number: int, box: Box) -> Frame:
        layout, place = layouts[number], places[number]
        frame = fit(
            random_,
            (layout.width, layout.height),
            box,
            bend=bends[number],
            angle=place.angle,
            squeeze=place.squeeze,
            mirrored=mirrored[number],
            quarter_turns=turns,
        )
        frame.lean, frame.middle = place.lean, place.middle
        frame.tremble, frame.seed = look.tremble, number
        return frame

    margin = look.line * 3.0
    boxes = [
        (place.box[0] + margin, place.box[1] + margin, place.box[2] - margin, place.box[3] - margin)
        for place in places
    ]
    frames = [fitted(number, box) for number, box in enumerate(boxes)]
    if len(frames) > 1 and random_.random() < 0.7:
        smallest = max(min(frame.scale for frame in frames), 0.55 * max(frame.scale for frame in frames))
        for number, frame in enumerate(frames):
            if frame.scale > smallest:
                frames[number] = fitted(number, _smaller(boxes[number], smallest / frame.scale))
    return frames


def _smaller(box: Box, share: float) -> Box:
    """The same box, shrunk around its middle."""
    x, y = (box[0] + box[2]) / 2, (box[1] + box[3]) / 2
    half = (box[2] - box[0]) / 2 * share, (box[3] - box[1]) / 2 * share
    return x - half[0], y - half[1], x + half[0], y + half[1]
