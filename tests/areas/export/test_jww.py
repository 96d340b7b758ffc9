from pathlib import Path
from typing import Any

import ezjww
import pytest
import shapely

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.export.jww import _fitting, jww_document
from tests.areas.export.conftest import EMPTY, TEXTS


@pytest.fixture
def read(tmp_path: Path) -> Any:
    def read(document: bytes) -> Any:
        (tmp_path / "drawing.jww").write_bytes(document)
        return ezjww.readfile(tmp_path / "drawing.jww").source_document

    return read


def on_layer(document: Any, kind: str, name: str) -> list[Any]:
    layers = [layer["name"] for layer in document["header"]["layer_groups"][0]["layers"]]
    return [
        one for one in document["entities"] if one["type"] == kind and layers[one["base"]["layer"]] == name
    ]


def test_it_reads_back_to_the_same_areas(sheet: Areas, read: Any) -> None:
    """The sheet of 850 x 1020 mm is on paper at 1/5, the middle of the image in the middle of the paper."""
    document = read(jww_document(sheet, TEXTS))
    assert document["header"]["layer_groups"][0]["scale"] == 5.0
    sides = [
        shapely.linestrings([(one["start_x"], one["start_y"]), (one["end_x"], one["end_y"])])
        for one in on_layer(document, "LINE", "A-AREA-BDRY")
    ]
    # Neighbours have a side in common. The hole is a face of its own.
    once = shapely.get_parts(shapely.union_all(sides))
    faces = shapely.area(shapely.get_parts(shapely.polygonize(once))) / (8.5 / 5) ** 2
    assert sorted(faces) == pytest.approx([100, 100, 1200, 1900], rel=1e-9)
    (wall,) = on_layer(document, "LINE", "A-WALL-CNTR")
    assert [wall["start_x"], wall["start_y"]] == pytest.approx([(10 - 50) * 1.7, (60 - 5) * 1.7])
    assert document["diagnostics"] == []


def test_texts(sheet: Areas, read: Any, caplog: pytest.LogCaptureFixture) -> None:
    document = read(jww_document(sheet, TEXTS, japanese_layers=True))
    texts = on_layer(document, "TEXT", "室名")
    assert [one["content"] for one in texts] == ["LDK", "12.3 m2", "洋室 〓"]
    assert "lacks 𠮷" in caplog.text
    assert on_layer(document, "LINE", "部屋")


def test_nothing_to_draw(read: Any) -> None:
    assert read(jww_document(EMPTY, {}))["entities"] == []


@pytest.mark.parametrize(
    ("size", "denominator"),
    [
        ((0.1, 0.1), 1),
        ((42_000.0, 29_700.0), 100),
        ((42_001.0, 10.0), 150),
        ((10.0, 29_701.0), 150),
        ((1e8, 1.0), 238_096),
    ],
)
def test_the_largest_scale_that_fits_on_a3(size: tuple[float, float], denominator: int) -> None:
    assert _fitting(size) == denominator
