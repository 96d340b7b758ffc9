from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import Polygon, box

from kkg_area_detection.areas.area import Area, Areas
from kkg_area_detection.areas.palette import PALETTE
from kkg_area_detection.areas.picture import draw_areas
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.texts import texts_of
from kkg_area_detection.errors import UsageError

RING = Polygon(box(10, 10, 90, 90).exterior, [box(30, 30, 70, 70).exterior])
SHEET = Areas(
    areas=(
        Area(0, 0, "room", 0.9, RING, 4800),
        Area(1, 1, "inwall", 0.8, box(40, 40, 60, 60), 400),  # within the hole of the other
    ),
    image_size=(100, 100),
)


def pixels(**options: object) -> np.ndarray:
    return np.asarray(draw_areas(Image.new("RGB", (100, 100), "white"), SHEET, texts={}, **options))


@pytest.mark.parametrize(
    ("x", "y", "expected"),
    [
        (5, 5, (255, 255, 255)),  # outside
        (20, 50, tuple(round(255 * 0.65 + value * 0.35) for value in PALETTE[0])),
        (35, 50, (255, 255, 255)),  # in the hole
        (50, 50, tuple(round(255 * 0.65 + value * 0.35) for value in PALETTE[1])),
        (9, 50, tuple(round(255 * 0.15 + value * 0.85) for value in PALETTE[0])),  # a border
    ],
)
def test_colours(x: int, y: int, expected: tuple[int, ...]) -> None:
    assert np.abs(pixels()[y, x].astype(int) - expected).max() <= 2


def test_outline_only() -> None:
    drawn = pixels(outline_only=True)
    assert (drawn[50, 20] == 255).all()
    assert not (drawn[50, 9] == 255).all()


def test_chosen_labels_and_colours() -> None:
    drawn = pixels(labels=["inwall"], colours={"inwall": (255, 0, 0)})
    assert (drawn[50, 20] == 255).all()
    assert drawn[50, 50][0] == pytest.approx(255, abs=2)
    assert drawn[50, 50][1] < 180


@pytest.mark.parametrize("paper", ["white", "black"])
def test_texts_are_legible_on_any_paper(paper: str) -> None:
    sheet = replace(SHEET, image_size=(1000, 1000), areas=(Area(0, 0, "room", 0.9, box(0, 0, 999, 999), 1),))
    drawn = draw_areas(Image.new("RGB", (1000, 1000), paper), sheet).crop((420, 450, 580, 550)).convert("L")
    darkest, brightest = drawn.getextrema()
    assert (darkest, brightest) == (0, 255)


def test_a_text_that_does_not_fit_is_left_out() -> None:
    small = replace(SHEET, areas=(Area(0, 0, "room", 0.9, box(10, 10, 14, 14), 16),))
    with_text = draw_areas(Image.new("RGB", (100, 100)), small, texts={0: "Western-style room"})
    assert with_text == draw_areas(Image.new("RGB", (100, 100)), small, texts={})


@pytest.mark.parametrize(
    ("labels", "scale", "expected"),
    [
        (["room", "inwall"], None, {0: "room 0"}),
        (["部屋", "外壁"], Scale(10.0), {0: "部屋 0\n0.48 m2"}),
        (["stairs", "door"], None, {0: "stairs 0"}),
    ],
)
def test_what_is_written(labels: list[str], scale: Scale | None, expected: dict[int, str]) -> None:
    areas = tuple(replace(area, label=label) for area, label in zip(SHEET, labels, strict=True))
    assert texts_of(replace(SHEET, areas=areas, scale=scale)) == expected


def test_nothing_found() -> None:
    nothing = replace(SHEET, areas=())
    assert draw_areas(Image.new("RGB", (100, 100)), nothing).size == (100, 100)


def test_an_image_of_another_size() -> None:
    with pytest.raises(UsageError, match="90 x 100 pixels, but the areas are for 100 x 100"):
        draw_areas(Image.new("RGB", (90, 100)), SHEET)
