"""``generate_plan``: a seed in, a drawing of one or several plans with all of its segments out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image, ImageDraw

from kkg_area_detection.errors import UsageError
from kkg_area_detection.training.plans.building import Building, construct, register
from kkg_area_detection.training.plans.floors import draw_floors
from kkg_area_detection.training.plans.furniture import draw_furniture
from kkg_area_detection.training.plans.leaves import draw_openings
from kkg_area_detection.training.plans.look import STYLES, Look, WallStyle, invent_look, luminance
from kkg_area_detection.training.plans.margins import draw_around, draw_notes, draw_sheet
from kkg_area_detection.training.plans.names import draw_names
from kkg_area_detection.training.plans.pen import OVERSAMPLING, Pen
from kkg_area_detection.training.plans.scan import degrade
from kkg_area_detection.training.plans.sheet import arrange, invent_layouts, place_layouts
from kkg_area_detection.training.plans.walls import paint_walls
from kkg_area_detection.training.samples import LABELS, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

_WEIGHTS = {"listing": 26, "mono": 18, "cad": 22, "western": 16, "line": 8, "sheet": 10}
_SMALLEST = 64  # pixels along the longest edge
_FEWEST_PIXELS = 6  # of a segment that is kept
_MULTIPLE = 8  # of which the shorter edge is one, as networks like it


def generate_plan(seed: int, size: int = 256, style: str | None = None) -> Sample:
    """Draw a floor plan that nobody has seen.

    Args:
        seed: The same one gives the same bits with the same fonts, Pillow and NumPy (see ``lettering``).
        size: Longest edge of the picture, in pixels; 64 or more.
        style: One of ``STYLES``; by default drawn from the seed.

    Returns:
        The drawing; labels are those of ``LABELS``. See ``building`` for what each means.

    Raises:
        UsageError: ``style`` is unknown or ``size`` too small.
    """
    if style is not None and style not in STYLES:
        raise UsageError(f"There is no style {style!r}.", next_step=f"name one of {', '.join(STYLES)}.")
    if size < _SMALLEST:
        raise UsageError(f"A plan of {size} pixels shows nothing.", next_step=f"ask for {_SMALLEST} or more.")
    random_ = random.Random(seed)  # noqa: S311
    drawn = random_.choices(tuple(_WEIGHTS), tuple(_WEIGHTS.values()))[0]
    look = invent_look(random_, style or drawn, size)
    edges = _edges(random_, size)
    canvas = (edges[0] * OVERSAMPLING, edges[1] * OVERSAMPLING)
    image = Image.new("RGB", canvas, look.paper)
    numbers = Image.new("I", canvas, 0)
    labels: list[str] = []
    places = arrange(random_, canvas, look)
    layouts = invent_layouts(random_, places, look)
    bent_share = 0.08 if look.style in ("listing", "mono") else 0.14
    frames = place_layouts(random_, places, layouts, look, bent_share)
    buildings = [
        construct(random_, layout, frame, look, size) for layout, frame in zip(layouts, frames, strict=True)
    ]
    for building in buildings:
        register(building, ImageDraw.Draw(numbers), labels)
    _draw(random_, image, buildings, look, _codes(np.asarray(numbers), labels))
    small = image.reduce(OVERSAMPLING)
    small = degrade(random_, small, *_tones(look))
    ids, kept = _renumbered(np.asarray(numbers)[::OVERSAMPLING, ::OVERSAMPLING], labels)
    pixels = np.asarray(small)
    turns = random_.choices((0, 1, 2, 3), (85, 7, 1, 7))[0]
    return Sample(
        np.ascontiguousarray(np.rot90(pixels, turns)),
        np.ascontiguousarray(np.rot90(ids, turns)),
        kept,
        str(seed),
    )


def generate_plans(first_seed: int, size: int = 256, style: str | None = None) -> Iterator[Sample]:
    """``generate_plan`` for ``first_seed`` and all that follow, without end."""
    seed = first_seed
    while True:
        yield generate_plan(seed, size, style)
        seed += 1


def _edges(random_: random.Random, size: int) -> tuple[int, int]:
    ratio = random_.choice((1.0, random_.uniform(0.55, 1.0), random_.uniform(0.68, 0.8), 0.707))
    short = max(_MULTIPLE, round(size * ratio / _MULTIPLE) * _MULTIPLE)
    return (size, short) if random_.random() < 0.55 else (short, size)


def _codes(numbers: NDArray[np.int32], labels: list[str]) -> NDArray[np.uint8]:
    """Places in ``LABELS``, from 1."""
    return np.array([0, *(LABELS.index(label) + 1 for label in labels)], dtype=np.uint8)[numbers]


def _draw(
    random_: random.Random,
    image: Image.Image,
    buildings: list[Building],
    look: Look,
    codes: NDArray[np.uint8],
) -> None:
    draw = ImageDraw.Draw(image)
    pens = [Pen(image, draw, building.frame) for building in buildings]
    draw_sheet(random_, pens[0], look)
    for pen, building in zip(pens, buildings, strict=True):
        draw_around(random_, pen, building, look)
    for pen, building in zip(pens, buildings, strict=True):
        draw_floors(random_, pen, building, look)
        draw_furniture(random_, pen, building, look)
    outer, inner = (codes == LABELS.index(label) + 1 for label in ("exwall", "inwall"))
    paint_walls(image, outer, inner, look)
    for pen, building in zip(pens, buildings, strict=True):
        draw_openings(random_, pen, building, look)
        draw_names(random_, pen, building, look)
    draw_notes(random_, pens[0], look)


def _tones(look: Look) -> tuple[float, float]:
    walls = [_tone(style) for style in (look.outer_wall, look.inner_wall)]
    grounds = [luminance(look.paper), *(luminance(colour) for colour in (look.floors or {}).values())]
    return max(walls), min(grounds)


def _tone(style: WallStyle) -> float:
    return luminance(style.fill if style.kind == "solid" else style.ink)


def _renumbered(numbers: NDArray[np.int32], labels: list[str]) -> tuple[NDArray[np.uint16], tuple[str, ...]]:
    """Leave out segments of which next to nothing is left."""
    sizes = np.bincount(numbers.ravel(), minlength=len(labels) + 1)
    kept = [number for number in range(1, len(labels) + 1) if sizes[number] >= _FEWEST_PIXELS]
    new = np.zeros(len(labels) + 1, dtype=np.uint16)
    new[kept] = np.arange(1, len(kept) + 1)
    return new[numbers], tuple(labels[number - 1] for number in kept)
