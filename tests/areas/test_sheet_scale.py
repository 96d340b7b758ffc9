import logging

import pytest
from PIL import Image

from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.sheet_scale import scale_of_sheet
from kkg_area_detection.documents import Sheet, Viewport
from kkg_area_detection.errors import UsageError

HUNDREDTH = Viewport((0, 0, 50, 50), 8.5, "1:100")
SAME_ELSEWHERE = Viewport((50, 0, 90, 50), 8.5, "1:100")
FIFTIETH = Viewport((0, 50, 50, 90), 4.25, "1:50")
WITHOUT_WORDS = Viewport((0, 0, 9, 9), 5.0, "")


def sheet(*viewports: Viewport, dpi: float | None = None) -> Sheet:
    return Sheet(Image.new("RGB", (100, 100)), "plan.pdf", None, 1, 1, dpi, None, viewports)


@pytest.mark.parametrize(
    ("given", "scale", "dpi", "mm_per_pixel"),
    [
        pytest.param(sheet(dpi=254), "1/100", None, 10, id="the file says the resolution"),
        pytest.param(sheet(dpi=254), "1/100", 508, 5, id="the caller knows better"),
        pytest.param(sheet(), "1/100", 254, 10, id="only the caller knows"),
        pytest.param(sheet(dpi=254), 100, None, 10, id="a denominator"),
        pytest.param(sheet(dpi=254), 0.01, None, 10, id="a quotient"),
        pytest.param(sheet(), "8.5mm/px", None, 8.5, id="no resolution needed"),
        pytest.param(sheet(HUNDREDTH), Scale(3.0), None, 3.0, id="a Scale comes first"),
        pytest.param(sheet(HUNDREDTH), "2mm/px", None, 2.0, id="the caller comes before the file"),
        pytest.param(sheet(HUNDREDTH), None, None, 8.5, id="a note in the file"),
        pytest.param(sheet(HUNDREDTH, SAME_ELSEWHERE), None, None, 8.5, id="two notes that agree"),
        pytest.param(sheet(WITHOUT_WORDS), None, None, 5.0, id="a note without words"),
        pytest.param(sheet(HUNDREDTH, FIFTIETH), None, None, None, id="two that differ"),
        pytest.param(sheet(dpi=300), None, None, None, id="nobody says it"),
    ],
)
def test_scale_of_sheet(
    given: Sheet, scale: Scale | str | float | None, dpi: float | None, mm_per_pixel: float | None
) -> None:
    found = scale_of_sheet(given, scale, dpi)
    assert (found and found.mm_per_pixel) == (mm_per_pixel and pytest.approx(mm_per_pixel))


def test_what_was_noted_is_said(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    scale_of_sheet(sheet(HUNDREDTH))
    scale_of_sheet(sheet(HUNDREDTH, FIFTIETH))
    assert "1:100 noted in plan.pdf" in caplog.messages[0]
    assert "different scales (1:100, 1:50)" in caplog.messages[1]


@pytest.mark.parametrize("scale", ["1/100", 100])
def test_a_ratio_without_a_resolution(scale: str | float) -> None:
    with pytest.raises(UsageError, match="resolution"):
        scale_of_sheet(sheet(), scale)
