import logging
import re
from itertools import pairwise

import ezdxf
import pytest

from kkg_area_detection.areas.export.jw import jw_document
from tests.areas.export.conftest import EMPTY, SCALE, TEXTS


def read(data: bytes, tmp_path):
    path = tmp_path / "jw.dxf"
    path.write_bytes(data)
    document = ezdxf.readfile(path)
    assert not document.audit().errors
    return document


def test_the_form_that_jw_cad_reads(sheet):
    data = jw_document(sheet, TEXTS)
    text = data.decode("cp932")
    assert b"\n" not in data.replace(b"\r\n", b"")
    tags = re.findall(r"^ *(\d+)\r\n(.*)\r\n", text, flags=re.MULTILINE)
    assert "".join(f"{int(code):>3}\r\n{value}\r\n" for code, value in tags) == text
    assert [value for code, value in tags if code == "0" and value in ("LTYPE", "LAYER", "STYLE", "VPORT")]
    assert [value for before, value in pairwise(tags) if before == ("0", "TABLE")] == [
        ("2", "LTYPE"), ("2", "LAYER"), ("2", "STYLE")
    ]  # fmt: skip
    assert not [
        code for code, _ in tags if code in ("5", "100", "330")
    ]  # no handles, nothing of later releases
    entities = text.partition("ENTITIES")[2]
    assert set(re.findall(r"^  0\r\n(\w+)", entities, flags=re.MULTILINE)) == {
        "LINE",
        "TEXT",
        "ENDSEC",
        "EOF",
    }


def test_another_program_reads_it(sheet, tmp_path):
    document = read(jw_document(sheet, TEXTS), tmp_path)
    space = document.modelspace()
    assert document.dxfversion == "AC1009"
    assert [text.dxf.text for text in space.query("TEXT")] == ["LDK", "12.3 m2", "洋室 〓"]
    outline = list(space.query('LINE[layer=="A-AREA-BDRY"]'))
    doubled = sum(line.dxf.start.x * line.dxf.end.y - line.dxf.end.x * line.dxf.start.y for line in outline)
    assert abs(doubled) / 2 / SCALE.mm_per_pixel**2 == pytest.approx(1900 + 1300, rel=1e-6)


def test_letters_outside_the_code_page_are_named(sheet, caplog):
    with caplog.at_level(logging.WARNING):
        jw_document(sheet, TEXTS)
    assert "𠮷" in caplog.text
    assert "²" not in caplog.text  # it has an equal


def test_japanese_layers(sheet, tmp_path):
    document = read(jw_document(sheet, TEXTS, japanese_layers=True), tmp_path)
    assert {entity.dxf.layer for entity in document.modelspace()} == {"部屋", "階段_室", "室名", "壁芯"}


def test_nothing_found(tmp_path):
    assert len(read(jw_document(EMPTY, {}), tmp_path).modelspace()) == 0
