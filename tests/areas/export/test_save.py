import base64
import io
import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.output import OutputError
from kkg_area_detection.errors import MissingDependencyError, UsageError


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("areas.geojson", b'{"type": "FeatureCollection"'),
        ("areas.json", b'{"info"'),
        ("平面図.SVG", b"<?xml"),
        ("areas.dxf", b"  0\nSECTION"),
        ("areas.jww", b"JwwData."),
        ("areas.csv", b"\xef\xbb\xbf"),
        ("areas.xlsx", b"PK"),
        ("areas.png", b"\x89PNG"),
    ],
)
def test_the_suffix_names_the_format(sheet: Areas, tmp_path: Path, name: str, beginning: bytes) -> None:
    sheet.save(tmp_path / name, image=Image.new("RGB", (100, 120)))
    assert (tmp_path / name).read_bytes().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


def test_dxf_for_jw_cad(sheet: Areas, tmp_path: Path) -> None:
    sheet.save(tmp_path / "jw.dxf", dxf_version="jw")
    assert b"AC1009" in (tmp_path / "jw.dxf").read_bytes()
    with pytest.raises(UsageError, match="R2010, jw"):
        sheet.save(tmp_path / "other.dxf", dxf_version="R12")  # type: ignore[arg-type]


def test_svg_with_the_drawing_beneath(sheet: Areas, tmp_path: Path) -> None:
    sheet.save(tmp_path / "bare.svg")
    sheet.save(tmp_path / "full.svg", image=Image.new("RGB", (100, 120), "red"))
    assert "<image" not in (tmp_path / "bare.svg").read_text()
    text = (tmp_path / "full.svg").read_text()
    data = base64.b64decode(text.split("base64,")[1].split('"')[0])
    with Image.open(io.BytesIO(data)) as image:
        assert image.size == (100, 120)


def test_coco_names_the_drawing(sheet: Areas, tmp_path: Path) -> None:
    for name, expected in (("", "areas.png"), ("図.pdf#page=2", "図.pdf#page=2")):
        replace(sheet, name=name).save(tmp_path / "areas.json", force=True)
        document = json.loads((tmp_path / "areas.json").read_text(encoding="utf-8"))
        assert document["images"][0]["file_name"] == expected


def test_jww_needs_its_extra(sheet: Areas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ezjww", None)
    with pytest.raises(MissingDependencyError, match=r"kkg-area-detection\[jww\]"):
        sheet.save(tmp_path / "areas.jww")
    assert not list(tmp_path.glob("*.jww"))


@pytest.mark.parametrize(
    ("name", "error", "words"),
    [
        ("areas.xls", UsageError, "xls"),
        ("areas", UsageError, "without a suffix"),
        ("areas.png", UsageError, "image="),
        ("there.svg", UsageError, "force"),
        ("nowhere/areas.svg", OutputError, "nowhere"),
    ],
)
def test_what_cannot_be_written(
    sheet: Areas, tmp_path: Path, name: str, error: type[Exception], words: str
) -> None:
    (tmp_path / "there.svg").write_text("mine")
    with pytest.raises(error, match=words):
        sheet.save(tmp_path / name)
    assert (tmp_path / "there.svg").read_text() == "mine"
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["there.svg"]


def test_force_replaces(sheet: Areas, tmp_path: Path) -> None:
    (tmp_path / "there.svg").write_text("mine")
    sheet.save(tmp_path / "there.svg", force=True)
    assert (tmp_path / "there.svg").read_bytes().startswith(b"<?xml")
