"""Generated plans: the same seed gives the same bits, and what the labels say can be seen."""

from __future__ import annotations

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image, ImageFilter

from kkg_area_detection.errors import UsageError
from kkg_area_detection.training.plans import STYLES, generate_plan, generate_plans
from kkg_area_detection.training.samples import LABELS, Sample

SEEDS = range(40)


@pytest.fixture(scope="module")
def samples() -> list[Sample]:
    return [generate_plan(seed) for seed in SEEDS]


def digest(sample: Sample) -> str:
    return hashlib.sha256(
        sample.image.tobytes() + sample.ids.tobytes() + repr(sample.labels).encode()
    ).hexdigest()


def mask_of(sample: Sample, *labels: str) -> np.ndarray:
    numbers = [number for number, label in enumerate(sample.labels, start=1) if label in labels]
    return np.isin(sample.ids, numbers)


def test_a_seed_gives_the_same_bits_in_every_process():
    code = (
        "import hashlib; from kkg_area_detection.training.plans import generate_plan\n"
        "for seed in (3, 1, 2):\n"
        "    s = generate_plan(seed, 192)\n"
        "    print(hashlib.sha256(s.image.tobytes() + s.ids.tobytes() + repr(s.labels).encode()).hexdigest())"
    )
    printed = [
        subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            check=True,
            env={"PYTHONHASHSEED": hash_seed},
        ).stdout.split()
        for hash_seed in ("1", "2")
    ]
    assert printed[0] == printed[1] == [digest(generate_plan(seed, 192)) for seed in (3, 1, 2)]


def test_seeds_differ(samples: list[Sample]):
    assert len({digest(sample) for sample in samples}) == len(samples)


def test_plans_follow_each_other():
    plans = generate_plans(7, 128, "mono")
    assert [digest(next(plans)) for _ in range(2)] == [
        digest(generate_plan(seed, 128, "mono")) for seed in (7, 8)
    ]


@pytest.mark.parametrize("size", [64, 128, 250, 384, 1024])
@pytest.mark.parametrize("style", STYLES)
def test_every_style_at_every_size(style: str, size: int):
    sample = generate_plan(5, size, style)
    assert max(sample.image.shape[:2]) == size
    assert sample.image.dtype == np.uint8
    assert sample.image.shape == (*sample.ids.shape, 3)
    assert sample.ids.dtype == np.uint16
    assert min(sample.ids.shape) % 8 == 0 or min(sample.ids.shape) == size
    assert "room" in sample.labels


@pytest.mark.parametrize(
    ("size", "style", "what"),
    [(256, "watercolour", "no style 'watercolour'"), (32, None, "32 pixels shows nothing")],
)
def test_what_cannot_be_drawn(size: int, style: str | None, what: str):
    with pytest.raises(UsageError, match=what):
        generate_plan(0, size, style)


def test_numbers_are_contiguous_and_labels_known(samples: list[Sample]):
    for sample in samples:
        assert set(np.unique(sample.ids)) - {0} == set(range(1, len(sample.labels) + 1)), sample.name
        assert set(sample.labels) <= set(LABELS), sample.name


def test_all_labels_appear(samples: list[Sample]):
    for label in LABELS:
        assert sum(label in sample.labels for sample in samples) > 0.8 * len(samples), label


def test_rooms_are_enclosed(samples: list[Sample]):
    """Rooms meet walls, doors and windows; at most the steps of thin oblique ones let the ground through."""
    for sample in samples:
        rooms = np.pad(mask_of(sample, "room"), 1)
        ground = np.pad(sample.ids == 0, 1)  # beyond the picture there is none
        beside = np.zeros_like(ground)
        for axis in (0, 1):
            for step in (-1, 1):
                beside |= np.roll(ground, step, axis)
        assert (rooms & beside).sum() < 0.02 * rooms.sum(), sample.name


def test_walls_can_be_seen(samples: list[Sample]):
    """Near every piece of wall there is both light and dark, whatever scanning did."""
    for sample in samples:
        grey = Image.fromarray(sample.image).convert("L").filter(ImageFilter.BoxBlur(0.6))
        light = np.asarray(grey.filter(ImageFilter.MaxFilter(19))).astype(int)
        dark = np.asarray(grey.filter(ImageFilter.MinFilter(19)))
        walls = mask_of(sample, "exwall", "inwall")
        assert ((light - dark)[walls] < 20).mean() < 0.005, sample.name


def test_picture_and_labels_lie_on_each_other():
    """Black walls are darkest where the labels are, not a pixel beside it, in any direction."""
    shifts = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
    darkness = np.zeros(len(shifts))
    for seed in SEEDS:
        sample = generate_plan(seed, 256, "mono")
        grey = 255 - sample.image.mean(axis=2)
        walls = mask_of(sample, "exwall")
        darkness += [np.roll(grey, shift, (0, 1))[walls].mean() for shift in shifts]
    assert darkness[0] > 1.04 * darkness[1:].max()


def test_sheets_have_as_many_rooms_as_real_ones():
    counts = [generate_plan(seed, 256, "sheet").labels.count("room") for seed in SEEDS]
    assert max(counts) >= 60
    assert np.median(counts) >= 25
