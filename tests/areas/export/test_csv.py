import csv
import io
from dataclasses import replace

import pytest

from kkg_area_detection.areas.export.csv import csv_table
from kkg_area_detection.errors import UsageError
from tests.areas.export.conftest import EMPTY


def read(data):
    assert data.startswith(b"\xef\xbb\xbf")
    assert data.count(b"\n") == data.count(b"\r\n")
    return list(csv.DictReader(io.StringIO(data.decode("utf-8-sig"), newline="")))


def test_a_row_an_area(sheet):
    rows = read(csv_table(sheet))
    assert [row["label"] for row in rows] == ["room", "部屋", "階段 室"]
    # 1900 and 1300 square pixels of 8.5 mm
    assert [row["area_inner_m2"] for row in rows] == ["0.1373", "0.0939", "0.0822"]
    assert [row["score"] for row in rows] == ["0.9000"] * 3
    assert rows[0]["pixels"] == "1900"
    assert rows[0]["perimeter_m"] == "1.870"  # 180 + 40 pixels
    # Stairs are not a room beside others.
    assert [bool(row["jo"]) for row in rows] == [True, True, False]


def test_mats_of_the_area_that_is_known(sheet):
    for walls, basis in ((sheet.walls, "area_wall_centre_m2"), ((), "area_inner_m2")):
        row = read(csv_table(replace(sheet, walls=walls), mat=0.01))[0]
        assert row["basis"] == basis.removeprefix("area_").removesuffix("_m2")
        assert float(row["jo"]) == pytest.approx(float(row[basis]) / 0.01, abs=0.02)
        assert float(row["tsubo"]) <= float(row[basis]) * 0.3025


def test_mats_are_cut(sheet):
    """0.137275 m2 are 13.7275 mats of 0.01 m2."""
    assert read(csv_table(replace(sheet, walls=()), mat=0.01))[0]["jo"] == "13.72"


def test_without_a_scale(sheet):
    rows = read(csv_table(replace(sheet, scale=None)))
    assert list(rows[0]) == ["id", "label", "score", "pixels"]
    assert [row["id"] for row in rows] == ["0", "1", "3"]


@pytest.mark.parametrize(
    ("label", "written"),
    [
        ("=1+1", "'=1+1"),
        ("+81", "'+81"),
        ("-2", "'-2"),
        ("@SUM(A1)", "'@SUM(A1)"),
        ("\t=1", "'\t=1"),
        ("＝1", "'＝1"),
        ("洋室,6帖", "洋室,6帖"),
        ('"=1"', '"=1"'),
        ("two\nlines", "two\nlines"),
        ("A=1", "A=1"),
    ],
)
def test_labels_are_no_formulas(sheet, label, written):
    areas = replace(sheet, areas=(replace(sheet[0], label=label),))
    data = csv_table(replace(areas, scale=None))
    assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))[1][1] == written


def test_nothing_found():
    assert csv_table(EMPTY).decode("utf-8-sig").split(",")[0] == "id"
    assert read(csv_table(EMPTY)) == []


def test_no_such_mat(sheet):
    with pytest.raises(UsageError, match="mat"):
        csv_table(sheet, mat="大間")
