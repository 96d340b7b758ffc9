"""Whatever is done to a drawing, its segments stay where they are in it."""

import numpy as np
import pytest

from kkg_area_detection.training.augmentation import (
    fitted,
    framed,
    resampled,
    turned,
    view,
    with_other_colours,
)
from kkg_area_detection.training.samples import Sample

from .conftest import drawing

COLOURS = np.array([(250, 250, 250), (200, 220, 240), (20, 20, 20), (200, 220, 240)], np.uint8)


def agreement(sample: Sample) -> float:
    """Share of the pixels whose colour is that of their segment."""
    difference = np.abs(sample.image.astype(int) - COLOURS[sample.ids]).max(axis=2)
    return float((difference < 60).mean())


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("change", [turned, lambda sample, rng: framed(sample, 96, 64, rng)])
def test_ids_move_with_the_picture(seed, change):
    changed = change(drawing(seed, 80, 60), np.random.default_rng(seed))
    assert changed.image.shape[:2] == changed.ids.shape
    assert agreement(changed) > 0.93


def test_all_eight_turns_occur():
    sample = drawing(0)
    ids = {turned(sample, np.random.default_rng(seed)).ids.tobytes() for seed in range(60)}
    assert len(ids) == 4  # the drawing itself is the same upside down


@pytest.mark.parametrize(
    ("height", "width", "expected"),
    [
        (64, 64, (64, 64)),
        (1000, 500, (64, 32)),
        (500, 1000, (32, 64)),
        (100, 99, (64, 64)),
        (10, 1000, (32, 64)),
    ],
)
def test_fits_as_the_finished_model_will_see_it(height, width, expected):
    assert (
        fitted(drawing(0, height, width) if height > 16 else _stripe(height, width), 64).ids.shape == expected
    )


def _stripe(height: int, width: int) -> Sample:
    return Sample(np.zeros((height, width, 3), np.uint8), np.zeros((height, width), np.uint16), ())


def test_what_lies_outside_is_paper_and_no_segment():
    sample = drawing(0)
    wide = resampled(sample, (-32, -32, 96, 96), 64, 64)
    assert (wide.ids[:16] == 0).all()
    assert (wide.image[:14] == 250).all()
    assert (wide.ids == 1).sum() == pytest.approx((sample.ids == 1).sum() / 4, rel=0.15)


def test_a_view_depends_on_its_random_numbers_alone():
    one, same, other = (view(drawing(0), 64, 64, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert (one.image == same.image).all()
    assert (one.ids == same.ids).all()
    assert (one.image != other.image).any()


@pytest.mark.parametrize("seed", range(8))
def test_other_colours_leave_the_drawing_readable(seed):
    sample = drawing(3)
    image = with_other_colours(sample, np.random.default_rng(seed)).image.astype(int).mean(axis=2)
    wall, room, paper = (float(np.median(image[sample.ids == id_])) for id_ in (2, 1, 0))
    assert image.shape == (64, 64)
    assert abs(wall - room) > 60
    assert abs(wall - paper) > 60
