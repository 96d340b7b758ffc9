import io
import re
import zipfile
from dataclasses import replace
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from openpyxl import load_workbook
from shapely.geometry import Point, Polygon, box

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.export.xlsx import xlsx_workbook
from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.areas.schedule import Schedule, ScheduleRules, area_schedule
from kkg_area_detection.areas.units import Rounding
from tests.areas.export.conftest import EMPTY, area


def rounded(mode):
    """Excel rounds the shortest decimal that means the binary number."""
    return lambda value, digits: float(Decimal(repr(value)).quantize(Decimal(1).scaleb(-digits), mode))


FUNCTIONS = {
    "ROUND": rounded(ROUND_HALF_UP),
    "ROUNDDOWN": rounded(ROUND_DOWN),
    "ROUNDUP": rounded(ROUND_UP),
    "SUM": sum,
}


def computed(sheet, value):
    """A cell as Excel computes it: in binary numbers."""
    if not isinstance(value, str) or not value.startswith("="):
        return float(value)
    assert re.fullmatch(r"=[-+*/().,:0-9A-Z]+", value)
    text = re.sub(r"D(\d+):D(\d+)", r"cells(\1, \2)", value[1:])
    text = re.sub(r"\bF(\d+)\b", r"total(\1)", text)
    names = {
        "cells": lambda first, last: [
            computed(sheet, sheet[f"D{row}"].value) for row in range(first, last + 1)
        ],
        "total": lambda row: computed(sheet, sheet[f"F{row}"].value),
    }
    return float(eval(text, {**FUNCTIONS, **names}))


def books(areas, **options):
    """The workbook with its formulas, and with the values that were written beside them."""
    data = xlsx_workbook(areas, **options)
    return load_workbook(io.BytesIO(data)), load_workbook(io.BytesIO(data), data_only=True)


def assert_formulas_give(schedule, formulas, values):
    """Formulas, values and the schedule say the same."""
    lines = schedule.lines()
    assert [cell.value for cell in formulas[1]] == ["符号", "室名", "計算式", "面積", "小計", "合計"]
    assert formulas.max_row == len(lines) + 1
    for row, line in enumerate(lines, start=2):
        for column, text in enumerate(line, start=1):
            formula, value = formulas.cell(row, column), values.cell(row, column)
            if column < 4 or not text:
                assert (value.value or "") == text
                continue
            assert computed(formulas, formula.value) == pytest.approx(float(text), abs=1e-9)
            assert value.value == float(text)
            assert formula.number_format == re.sub(r"\d", "0", re.sub(r"^-?\d+", "0", text))
            if column == 6:
                assert computed(formulas, formula.value) == pytest.approx(float(text), abs=1e-12)


CENTIMETRE = Scale(10.0)


def rooms(*shapes, label="room"):
    areas = tuple(area(number, label, shape) for number, shape in enumerate(shapes))
    return Areas(areas, (3000, 3000), CENTIMETRE)


def test_the_schedule_of_a_real_application():
    formulas, values = books(rooms(box(0, 0, 1023, 656), box(0, 656, 275, 903.9)))
    sheet = formulas["求積表"]
    assert [sheet[f"D{row}"].value for row in (2, 3, 4)] == ["=10.230*6.560", "=2.750*2.479", "=SUM(D2:D3)"]
    assert sheet["F4"].value == "=ROUNDDOWN(ROUND(SUM(D2:D3),7),2)"
    assert values["求積表"]["D4"].value == 73.92605
    assert values["求積表"]["F4"].value == computed(sheet, sheet["F4"].value) == 73.92


def test_binary_noise_is_not_cut():
    """0.7 x 0.1 + 0.1 x 0.1 m2 are 0.08 m2; in binary numbers a little less."""
    assert 0.7 * 0.1 + 0.1 * 0.1 < 0.08
    formulas, _ = books(rooms(box(0, 0, 70, 10), box(0, 10, 10, 20)))
    assert computed(formulas["求積表"], formulas["求積表"]["F4"].value) == 0.08


sides = st.floats(10, 900)
L_SHAPE = Polygon([(0, 0), (600, 0), (600, 300), (301.3, 300), (301.3, 500), (0, 500)])
SLANTED = Polygon([(0, 0), (600, 0), (600, 300), (0, 512.7)], [[(100, 100), (200, 120), (130, 170)]])


@settings(max_examples=25, deadline=None)
@given(
    st.lists(
        st.tuples(sides, sides).map(lambda side: box(0, 0, *side)) | st.sampled_from([L_SHAPE, SLANTED])
    ),
    st.sampled_from([None, Rounding(2, "down"), Rounding(3, "half_up"), Rounding(2, "up")]),
    st.sampled_from([None, Rounding(2, "down"), Rounding(1, "half_up"), Rounding(2, "up")]),
)
def test_formulas_give_the_schedule(shapes, row, total):
    areas = rooms(*shapes)
    rules = ScheduleRules(row=row, total=total)
    floors = tuple(area_schedule(areas, floor, rules=rules) for floor in ("1階", "2階"))
    for schedule in (Schedule(floors), Schedule(floors[:1])):
        formulas, values = books(areas, schedule=schedule)
        assert_formulas_give(schedule, formulas["求積表"], values["求積表"])


@pytest.mark.parametrize(("corners", "text"), [(800, True), (4000, False)])
def test_a_formula_too_long_for_excel_is_a_number(corners, text):
    areas = rooms(Point(1000, 1000).buffer(900, quad_segs=corners // 4))
    formulas, values = books(areas)
    row = area_schedule(areas).rows[0]
    assert formulas["求積表"]["D2"].value == float(row.area)
    assert formulas["求積表"]["C2"].value == (row.formula if text else "座標求積")
    assert values["求積表"]["F3"].value == float(area_schedule(areas).total)


def test_the_table(sheet):
    table = books(sheet)[0]["Areas"]
    assert [cell.value for cell in table[1]] == [
        "id", "label", "score", "pixels", "area_inner_m2", "area_wall_centre_m2", "uncertainty_m2",
        "perimeter_m", "basis", "jo", "tsubo",
    ]  # fmt: skip
    assert [table.cell(row, 5).value for row in (2, 3, 4)] == [0.1373, 0.0939, 0.0822]
    assert table["E2"].number_format == "0.0000"
    assert (table.freeze_panes, table.auto_filter.ref) == ("A2", "A1:K4")


def test_what_the_numbers_mean(sheet):
    about = {row[0].value: row[1].value for row in books(sheet, mat="京間")[0]["About"]}
    assert about["Image"] == "100 x 120 pixels"
    assert about["Scale"] == "8.5 mm a pixel"
    assert "1.82405 m2" in about["jo"]
    assert about["Rounding"].endswith("rows exact, total of the floor cut (切捨て) to 2 decimals")


def test_without_a_scale(sheet):
    book, _ = books(replace(sheet, scale=None))
    assert book.sheetnames == ["Areas", "About"]
    assert [cell.value for cell in book["Areas"][1]] == ["id", "label", "score", "pixels"]
    assert book["About"]["B3"].value == "unknown: there are pixels only"


@pytest.mark.parametrize("label", ["=1+1", "+81", "@SUM(A1)", "=HYPERLINK(A1)"])
def test_labels_are_no_formulas(label):
    book, _ = books(rooms(box(0, 0, 100, 100), label=label))
    for cell, text in ((book["Areas"]["B2"], label), (book["求積表"]["B2"], f"{label} 0")):
        assert (cell.data_type, cell.value) == ("s", text)


def test_letters_that_xml_cannot_hold():
    assert books(rooms(box(0, 0, 9, 9), label="a\x07b"))[0]["Areas"]["B2"].value == "ab"


def test_nothing_found():
    formulas, values = books(EMPTY)
    assert formulas["Areas"].max_row == 1
    assert values["求積表"]["F2"].value == 0


def test_the_same_areas_give_the_same_bytes(sheet):
    assert xlsx_workbook(sheet) == xlsx_workbook(sheet)
    with zipfile.ZipFile(io.BytesIO(xlsx_workbook(sheet))) as file:
        assert {entry.date_time for entry in file.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert b"dcterms:" not in file.read("docProps/core.xml").replace(b"xmlns:dcterms", b"")


def test_excel_computes_when_it_opens(sheet):
    assert books(sheet)[0].calculation.fullCalcOnLoad
