"""How one drawing looks: all that a drawing's author decides once. Each decision is drawn independently."""

from __future__ import annotations

import random
from dataclasses import dataclass

from kkg_area_detection.training.plans.lettering import writes_japanese
from kkg_area_detection.training.plans.openings import Habits
from kkg_area_detection.training.plans.pen import OVERSAMPLING, Colour

STYLES = ("listing", "mono", "cad", "western", "line", "sheet")
"""Coloured and black-and-white property listings, dense construction drawings, European and American plans,
drawings with thin walls, and sheets with several plans."""

_PASTELS: tuple[Colour, ...] = (
    (250, 232, 190), (255, 246, 214), (236, 206, 160), (222, 236, 198), (198, 226, 244), (255, 214, 206),
    (244, 226, 238), (232, 232, 226), (255, 236, 150), (206, 236, 226),
    (226, 214, 190), (216, 196, 166), (190, 214, 150),
    (255, 202, 140),
)  # fmt: skip
_USUAL: dict[str, tuple[Colour, ...]] = {
    "living": ((250, 226, 180), (255, 244, 214), (236, 206, 160), (255, 228, 196), (222, 184, 135)),
    "bedroom": ((255, 246, 220), (250, 232, 200), (244, 222, 180), (255, 240, 200), (226, 196, 150)),
    "tatami": ((206, 226, 166), (190, 214, 150), (222, 232, 180), (214, 222, 160)),
    "wet": ((200, 228, 246), (214, 238, 250), (184, 216, 240), (226, 240, 246)),
    "closet": ((240, 236, 226), (226, 222, 214), (255, 255, 255), (216, 206, 190)),
    "hall": ((244, 226, 190), (236, 226, 214), (250, 240, 224), (222, 190, 146)),
    "entrance": ((214, 210, 204), (196, 196, 196), (226, 206, 190), (232, 228, 220)),
}
_AS = {
    "office": "living",
    "kitchen": "living",
    "stairs": "hall",
    "store": "closet",
    "bath": "wet",
    "wash": "wet",
    "wc": "wet",
}


@dataclass(frozen=True, slots=True)
class WallStyle:
    """How walls are filled.

    Attributes:
        kind: ``solid``, ``outline``, ``hatch`` or ``cross``.
        fill: Inside of the lines.
        ink: Of outline and hatching. Solid walls have none.
        pitch: Of the hatching, in pixels of the canvas.
        line: Width of the outline, in pixels of the canvas.
    """

    kind: str
    fill: Colour
    ink: Colour
    pitch: int
    line: int


@dataclass(slots=True)
class Look:
    """The author's habits. Lengths are in pixels of the canvas where nothing else is said.

    Attributes:
        style: One of ``STYLES``.
        japanese: Whose conventions.
        paper: Colour around the plan.
        ink: Of the important lines.
        fine_ink: Of furniture.
        letter_ink: Of text.
        line: Width of lines.
        fine_line: Width of furniture's lines.
        floors: Colour of the floor by kind of room; None leaves the paper.
        texture: Share of the rooms with a floor pattern.
        outer_wall: Style of the outer walls.
        inner_wall: Style of the inner walls.
        outer_thickness: In units, before the limits of what can be seen.
        inner_thickness: In units.
        pillars: Share of the outer walls' ends that have a pillar.
        openings: What doors and windows there are.
        open_share: See ``plan_rooms``.
        closets: See ``plan_rooms``.
        furniture: Pieces in an average room.
        names: Share of the rooms with a name.
        letter_size: Of room names, in pixels of the canvas.
        font: Which font.
        dimensions: Chains on each of the four sides, at most.
        dimension_style: How lengths are written.
        grid: Axes with bubbles.
        surroundings: Number of things around the plan.
        notes: Lines of text around the plan.
        window_style: A number below 5.
        door_style: A number below 4.
        door_fill: Colour of what a door sweeps, if any.
        tremble: Of a hand, in pixels of the canvas.
    """

    style: str
    japanese: bool
    paper: Colour
    ink: Colour
    fine_ink: Colour
    letter_ink: Colour
    line: int
    fine_line: int
    floors: dict[str, Colour] | None
    texture: float
    outer_wall: WallStyle
    inner_wall: WallStyle
    outer_thickness: float
    inner_thickness: float
    pillars: float
    openings: Habits
    open_share: float
    closets: float
    furniture: float
    names: float
    letter_size: float
    font: int
    dimensions: int
    dimension_style: int
    grid: bool
    surroundings: int
    notes: int
    window_style: int
    door_style: int
    door_fill: Colour | None
    tremble: float

    def floor(self, kind: str) -> Colour | None:
        """Colour of a room's floor."""
        return None if self.floors is None else self.floors[kind]


def luminance(colour: Colour) -> float:
    """How light a colour is, from 0 to 255 (ITU-R BT.601)."""
    return 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]


def invent_look(random_: random.Random, style: str, size: int) -> Look:
    """Decide everything.

    Args:
        random_: The decisions are drawn from it.
        style: One of ``STYLES``.
        size: Longest edge of the picture.

    Returns:
        A look whose walls differ from floors and paper by at least 60 levels of grey.
    """
    scale = OVERSAMPLING * size / 256
    japanese = writes_japanese() and random_.random() < {"western": 0.0, "listing": 0.85, "mono": 0.85}.get(
        style, 0.55
    )
    paper = _paper(random_, style)
    ink = _ink(random_, style)
    floors = _floors(random_, style, paper)
    lightest = min((luminance(c) for c in (floors.values() if floors else [paper])), default=255.0)
    lightest = min(lightest, luminance(paper))
    outer, inner = _wall_styles(random_, style, ink, lightest, scale)
    thin = style == "line" or (style == "cad" and random_.random() < 0.4)
    thick = random_.uniform(1.6, 3.2) if thin else random_.uniform(2.6, 8.0)
    line = max(1, round(scale * random_.choice((0.5, 0.5, 0.5, 0.8, 1.1))))
    fine = max(1, round(scale * random_.choice((0.35, 0.5, 0.5, 0.8))))
    fine_ink = ink if random_.random() < 0.55 else _lighter(ink, random_.uniform(0.2, 0.65))
    dense = style == "cad"
    slide = random_.uniform(0.1, 0.6) if japanese else random_.uniform(0, 0.15)
    return Look(
        style=style,
        japanese=japanese,
        paper=paper,
        ink=ink,
        fine_ink=fine_ink,
        letter_ink=ink if random_.random() < 0.75 else _lighter(ink, 0.3),
        line=line,
        fine_line=min(fine, line + 1),
        floors=floors,
        texture=random_.choice((0, 0, 0.2, 0.6)) if style != "line" else 0.05,
        outer_wall=outer,
        inner_wall=inner,
        outer_thickness=thick,
        inner_thickness=thick * random_.choice((1.0, random_.uniform(0.4, 0.9), random_.uniform(0.35, 0.6))),
        pillars=random_.uniform(0.2, 0.8) if random_.random() < (0.3 if japanese else 0.08) else 0.0,
        openings=Habits(
            slide,
            random_.choice((0.03, 0.1, 0.3)),
            random_.uniform(0.35, 0.95),
            random_.random() < 0.35,
            random_.uniform(0, 0.15),
            thick / 2 + 1.5,
        ),
        open_share=random_.choice((0.0, 0.15, 0.5)),
        closets=random_.uniform(0.3, 0.95) if japanese else random_.uniform(0, 0.6),
        furniture=random_.choice((0.0, 0.5, 1.0, 2.0, 3.0)) if not dense else random_.choice((0.5, 1.5, 3.0)),
        names=random_.choice((0.0, 0.6, 0.95, 1.0)),
        letter_size=max(8.0, scale * random_.uniform(3.5, 8.5)),
        font=random_.randrange(100),
        dimensions=random_.choice((1, 2, 3)) if dense else random_.choices((0, 1, 2), (70, 18, 12))[0],
        dimension_style=random_.choice((0, 0, 3, 3, 1)) if japanese else random_.randrange(4),
        grid=random_.random() < (0.55 if dense else 0.06),
        surroundings=random_.choice((0, 0, 1, 1, 2, 4)),
        notes=random_.choice((0, 0, 0, 1, 3, 6)) if not dense else random_.choice((1, 3, 8)),
        window_style=random_.randrange(5),
        door_style=random_.randrange(4),
        door_fill=None if random_.random() < 0.8 else (255, 255, 255),
        tremble=random_.uniform(0.4, 1.2) * scale / 2 if random_.random() < 0.05 else 0.0,
    )


def _paper(random_: random.Random, style: str) -> Colour:
    roll = random_.random()
    if roll < (0.72 if style != "listing" else 0.8):
        return (255, 255, 255)
    if roll < 0.9:
        level = random_.randint(228, 254)
        return (level, level, level)
    return (random_.randint(215, 255), random_.randint(215, 255), random_.randint(200, 250))


def _ink(random_: random.Random, style: str) -> Colour:
    roll = random_.random()
    if roll < 0.08 or (style == "cad" and roll < 0.14):
        return (random_.randint(0, 100), random_.randint(0, 90), random_.randint(0, 130))
    level = random_.randint(0, 60) if roll < 0.85 else random_.randint(60, 110)
    return (level, level, level)


def _lighter(colour: Colour, share: float) -> Colour:
    red, green, blue = (round(level + (235 - level) * share) for level in colour)
    return (red, green, blue)


def _floors(random_: random.Random, style: str, paper: Colour) -> dict[str, Colour] | None:
    share = {"listing": 0.93, "western": 0.3, "mono": 0.15, "sheet": 0.3}.get(style, 0.08)
    if random_.random() > share:
        return (
            None
            if paper == (255, 255, 255) or random_.random() < 0.5
            else dict.fromkeys(_JOINT, (255, 255, 255))
        )
    roll = random_.random()
    if roll < 0.15 or style == "mono":
        level = random_.randint(215, 255)
        return dict.fromkeys(_JOINT, (level, level, level) if style == "mono" else random_.choice(_PASTELS))
    usual = roll < 0.7
    floors = {kind: random_.choice(_USUAL[_AS.get(kind, kind)] if usual else _PASTELS) for kind in _JOINT}
    if random_.random() < 0.2:  # strong colours, as some listings have
        floors = {kind: _deeper(colour, random_.uniform(0.0, 0.25)) for kind, colour in floors.items()}
    for kind in floors:
        if random_.random() < 0.12:
            floors[kind] = (255, 255, 255)
    return floors


_JOINT = (
    "living", "bedroom", "tatami", "kitchen", "bath", "wash", "wc", "hall", "entrance", "closet",
    "stairs", "store", "office",
)  # fmt: skip


def _deeper(colour: Colour, share: float) -> Colour:
    """Further from grey, and darker."""
    grey = luminance(colour)
    red, green, blue = (
        round(min(255, max(0, (grey + (level - grey) * (1 + 3 * share)) * (1 - share / 2))))
        for level in colour
    )
    return (red, green, blue)


def _wall_styles(
    random_: random.Random, style: str, ink: Colour, floor: float, scale: float
) -> tuple[WallStyle, WallStyle]:
    weights = {
        "listing": (70, 14, 8, 3, 5),
        "mono": (72, 10, 12, 4, 2),
        "cad": (22, 8, 44, 22, 4),
        "western": (50, 25, 8, 12, 5),
        "line": (45, 5, 50, 0, 0),
    }.get(style, (50, 12, 22, 10, 6))
    outer = _wall_style(random_, weights, ink, floor, scale)
    inner = outer if random_.random() < 0.65 else _wall_style(random_, weights, ink, floor, scale)
    return outer, inner


def _wall_style(
    random_: random.Random, weights: tuple[int, ...], ink: Colour, floor: float, scale: float
) -> WallStyle:
    kind = random_.choices(("solid", "grey", "outline", "hatch", "colour"), weights)[0]
    line = max(1, round(scale * random_.choice((0.5, 0.5, 0.8))))
    pitch = max(4, round(scale * random_.uniform(1.6, 4)))
    darkest = max(0, min(190, int(floor) - 60))
    if kind == "solid":
        return WallStyle("solid", ink, ink, pitch, line)
    if kind == "grey":
        level = random_.randint(min(60, darkest), darkest)
        return WallStyle(random_.choice(("solid", "outline")), (level, level, level), ink, pitch, line)
    if kind == "colour":
        hue = (random_.randint(20, 200), random_.randint(20, 170), random_.randint(20, 200))
        over = max(0.0, luminance(hue) - darkest)
        red, green, blue = (max(0, round(level - over)) for level in hue)
        return WallStyle(random_.choice(("solid", "outline")), (red, green, blue), ink, pitch, line)
    fill = random_.choice(((255, 255, 255), (255, 255, 255), (225, 225, 225), (205, 205, 205)))
    return WallStyle(
        "outline" if kind == "outline" else random_.choice(("hatch", "cross")), fill, ink, pitch, line
    )
