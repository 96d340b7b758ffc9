import io
import logging

import ezdxf
import pytest
from ezdxf import units
from shapely.geometry import Polygon

from kkg_area_detection.areas.export.dxf import dxf_document
from tests.areas.export.conftest import EMPTY, SCALE, TEXTS


def read(text: str):
    document = ezdxf.read(io.StringIO(text))
    assert not document.audit().errors
    return document


def test_areas_read_back(sheet):
    rings = read(dxf_document(sheet, TEXTS)).modelspace().query("LWPOLYLINE[flags==1]")
    found = [Polygon(ring.get_points("xy")).area / SCALE.mm_per_pixel**2 for ring in rings]
    assert found == pytest.approx([2000, 100, 1200, 100, sheet[2].polygon.area], rel=1e-9)


def test_millimetres_with_y_up(sheet):
    document = read(dxf_document(sheet, TEXTS))
    assert document.units == units.MM
    first = document.modelspace().query("LWPOLYLINE")[0]
    assert {(round(x, 6), round(y, 6)) for x, y in first.get_points("xy")} == {
        (85, 595), (510, 595), (510, 935), (85, 935)
    }  # fmt: skip


@pytest.mark.parametrize(
    ("japanese", "layers"),
    [
        (False, {"A-AREA-BDRY", "A-LABEL-7", "A-AREA-IDEN", "A-WALL-CNTR"}),
        (True, {"部屋", "階段_室", "室名", "壁芯"}),
    ],
)
def test_layers(sheet, japanese, layers):
    document = read(dxf_document(sheet, TEXTS, japanese_layers=japanese))
    assert {entity.dxf.layer for entity in document.modelspace()} == layers
    assert layers <= {layer.dxf.name for layer in document.layers}
    assert all(name.isascii() and len(name) <= 31 for name in layers) or japanese


def test_texts_and_centre_lines(sheet):
    space = read(dxf_document(sheet, TEXTS)).modelspace()
    assert [text.dxf.text for text in space.query("TEXT")] == ["LDK", "12.3 m²", "洋室 𠮷"]
    (line,) = space.query('LWPOLYLINE[layer=="A-WALL-CNTR"]')
    assert line.get_points("xy") == [(85.0, 977.5), (765.0, 977.5)]


def test_hatches_keep_holes_open(sheet):
    first, *_ = read(dxf_document(sheet, TEXTS, hatch=True)).modelspace().query("HATCH")
    assert len(first.paths) == 2


def test_without_a_scale_there_is_no_unit(sheet, caplog):
    from dataclasses import replace

    with caplog.at_level(logging.WARNING):
        document = read(dxf_document(replace(sheet, scale=None), TEXTS))
    assert document.units == 0
    assert "scale" in caplog.text


def test_nothing_found():
    assert len(read(dxf_document(EMPTY, {})).modelspace()) == 0
