import io
import sys

import pytest

from kkg_area_detection.documents import Sheet, open_sheet, pdf_scale
from tests.documents.canned_pdf import encrypted_pdf, packed_pdf, pdf

BOX = "/MediaBox[0 0 720 360]"


def viewport(measure: str, box: str = "72 36 360 180") -> str:
    return f"<</Type/Viewport/BBox[{box}]/Measure<</Type/Measure/Subtype/RL{measure}>>>>"


ONE_TO_HUNDRED = viewport("/R(1:100)/X[<</U(mm)/C 35.27778/D 1>>]")


def opened(content: bytes) -> Sheet:
    return open_sheet(io.BytesIO(content), dpi=100)


@pytest.mark.parametrize(
    ("entries", "box"),
    [
        ("", (100, 250, 500, 450)),
        ("/Rotate 90", (50, 100, 250, 500)),
        ("/CropBox[36 0 720 360]", (50, 250, 450, 450)),
    ],
)
def test_where_a_viewport_lies(entries: str, box: tuple[int, int, int, int]) -> None:
    (found,) = opened(pdf((f"{BOX}{entries}/VP[{ONE_TO_HUNDRED}]", ""))).viewports
    assert found.box == pytest.approx(box, abs=1)
    assert found.ratio == "1:100"
    assert found.mm_per_pixel == pytest.approx(25.4)  # 1/100 at 100 dpi


@pytest.mark.parametrize(
    ("measure", "mm_per_pixel"),
    [
        ("/X[<</U(mm)/C 35.27778>>]", 25.4),
        ("/X[<</U(cm)/C 3.527778>>]", 25.4),
        ("/X[<</U(m)/C 0.03527778>>]", 25.4),
        ("/X[<</U(M)/C 0.03527778>>]", 25.4),
        ("/X[<</U(ft)/C 0.01388889>>]", 3.048),  # 1 inch = 1 foot
        ("/X[<</U(mm)/C 35.27778>>]/Y[<</U(mm)/C 35.27778>>]", 25.4),
    ],
)
def test_units(measure: str, mm_per_pixel: float) -> None:
    (found,) = opened(pdf((f"{BOX}/VP[{viewport(measure)}]", ""))).viewports
    assert found.mm_per_pixel == pytest.approx(mm_per_pixel)


@pytest.mark.parametrize(
    "measure",
    [
        "",
        "/X[]",
        "/X[<</U(rod)/C 1>>]",
        "/X[<</U(mm)/C 0>>]",
        "/X[<</U(mm)/C -5>>]",
        "/X[<</U(mm)/C 35>>]/Y[<</U(mm)/C 36>>]",  # stretched
    ],
)
def test_measures_that_give_no_scale(measure: str) -> None:
    sheet = opened(pdf((f"{BOX}/VP[{viewport(measure)}]", "")))
    assert (sheet.viewports, sheet.dpi) == ((), 100)


def test_viewports_keep_their_order() -> None:
    both = viewport("/X[<</U(mm)/C 1>>]"), viewport("/X[<</U(mm)/C 2>>]")
    assert [one.mm_per_pixel for one in opened(pdf((f"{BOX}/VP[{''.join(both)}]", ""))).viewports] == [
        pytest.approx(0.72),
        pytest.approx(1.44),
    ]


def test_each_page_has_its_own_notes() -> None:
    content = pdf((BOX, ""), (f"{BOX}/UserUnit 2/VP[{ONE_TO_HUNDRED}]", ""), (BOX, ""))
    sheets = [open_sheet(io.BytesIO(content), page=page, dpi=100) for page in (1, 2, 3)]
    assert [sheet.image.width for sheet in sheets] == [1000, 2000, 1000]
    assert [len(sheet.viewports) for sheet in sheets] == [0, 1, 0]
    assert sheets[1].viewports[0].mm_per_pixel == pytest.approx(12.7)  # a pixel is half a unit now


def test_dictionaries_that_are_packed() -> None:
    sheet = opened(packed_pdf(f"{BOX}/UserUnit 2.5/VP[{ONE_TO_HUNDRED}]"))
    assert sheet.size_mm == pytest.approx((635, 317.5))
    assert [one.ratio for one in sheet.viewports] == ["1:100"]


def test_notes_of_an_encrypted_file() -> None:
    content = encrypted_pdf(pdf((f"{BOX}/UserUnit 2/VP[{ONE_TO_HUNDRED}]", "")), "himitsu", "AES-256")
    sheet = open_sheet(io.BytesIO(content), dpi=100, password="himitsu")
    assert sheet.size_mm == pytest.approx((508, 254))
    assert [one.ratio for one in sheet.viewports] == ["1:100"]


def test_a_file_that_is_too_large_to_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pdf_scale, "_LARGEST_TO_SEARCH", 10)
    assert opened(pdf((f"{BOX}/UserUnit 2", ""))).image.size == (2000, 1000)
    monkeypatch.setitem(sys.modules, "pypdf", None)
    assert opened(pdf((BOX, ""))).dpi == 100


@pytest.mark.parametrize(
    ("content", "needed"),
    [
        (pdf((BOX, "")), False),
        (pdf((f"{BOX}/UserUnit 1", "")), False),
        (pdf((f"{BOX}/UserUnit 1.0", "")), False),
        (packed_pdf(BOX), False),
        (packed_pdf(f"{BOX}/UserUnit 2"), True),
        (pdf((f"{BOX}/UserUnit 2", "")), True),
        (pdf((f"{BOX}/UserUnit 10", "")), True),
        (pdf((f"{BOX}/UserUnit 3 0 R", ""), objects=(b"2",)), True),
    ],
)
def test_pypdf_is_only_asked_where_it_has_something_to_say(
    content: bytes, needed: bool, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    sheet = opened(content)
    assert (sheet.dpi is None) == needed == ("pypdf is not installed" in caplog.text)
    assert sheet.image.size == (1000, 500)


def test_a_measure_that_cannot_be_read_does_no_harm(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pypdf", None)
    sheet = opened(pdf((f"{BOX}/VP[{ONE_TO_HUNDRED}]", "")))
    assert (sheet.dpi, sheet.viewports) == (100, ())


@pytest.mark.parametrize(
    "entries", ["/UserUnit(two)", "/UserUnit 2/VP 7", "/UserUnit 2/VP[7]", "/UserUnit[2]"]
)
def test_notes_that_are_damaged(entries: str) -> None:
    assert opened(pdf((BOX + entries, ""))).dpi is None


@pytest.mark.parametrize("user_unit", ["0", "-3"])
def test_units_that_are_none(user_unit: str) -> None:
    assert opened(pdf((f"{BOX}/UserUnit {user_unit}", ""))).dpi == 100
