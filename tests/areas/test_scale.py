import logging

import pytest

from kkg_area_detection.areas.scale import Scale, parse_scale
from kkg_area_detection.errors import UsageError


@pytest.mark.parametrize(
    ("text", "dpi", "mm_per_pixel"),
    [
        ("1/100", 300, 25.4 / 300 * 100),
        ("1:100", 254, 10.0),
        ("S=1/50", 254, 5.0),
        ("縮尺：１／２００", 254, 20.0),
        ("100", 254, 10.0),
        ("1/1,000", 254, 100.0),
        ("50px/m", None, 20.0),
        ("8.5 mm/px", None, 8.5),
        ("100,80,464,80=3640mm", None, 10.0),
        ("0,0,30,40=0.5m", None, 10.0),
    ],
)
def test_what_people_type(text: str, dpi: float | None, mm_per_pixel: float) -> None:
    assert parse_scale(text, dpi).mm_per_pixel == pytest.approx(mm_per_pixel)


@pytest.mark.parametrize(
    ("text", "dpi", "words"),
    [
        ("large", 300, "not a scale"),
        ("1/0", 300, "not a scale"),
        ("A1: 1/100, A3: 1/200", 300, "several"),
        ("1/100", None, "resolution"),
        ("1/100", 0, "not possible"),
        ("0px/m", None, "not possible"),
        ("0mm/px", None, "not possible"),
        ("5,5,5,5=3m", None, "too close"),
    ],
)
def test_what_gives_no_scale(text: str, dpi: float | None, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_scale(text, dpi)


@pytest.mark.parametrize("ratio", [100, 0.01, "1/100"])
def test_ratios_as_numbers(ratio: str | float) -> None:
    assert Scale.from_ratio(ratio, dpi=254).mm_per_pixel == pytest.approx(10.0)


@pytest.mark.parametrize(("ratio", "dpi", "words"), [("1/5", 300, "unusual"), ("1/100", 96, "do not know")])
def test_doubts_are_said(ratio: str, dpi: float, words: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        Scale.from_ratio(ratio, dpi)
    assert words in caplog.text


def test_lengths_and_areas() -> None:
    scale = Scale(10.0)
    assert (scale.pixels_per_metre, scale.metres(364), scale.square_metres(10_000)) == (100, 3.64, 1.0)


def test_the_uncertainty_of_two_points() -> None:
    """Each end is known to the pixel: 1 / sqrt(12), and both count."""
    scale = Scale.from_points((0, 0), (1000, 0), 10_000)
    assert scale.relative_uncertainty == pytest.approx((2 / 12) ** 0.5 / 1000)


@pytest.mark.parametrize("uncertainty", [-0.1, float("nan")])
def test_an_uncertainty_that_cannot_be(uncertainty: float) -> None:
    with pytest.raises(UsageError, match="uncertainty"):
        Scale(10.0, uncertainty)
