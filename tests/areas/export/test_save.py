from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.output import OutputError
from kkg_area_detection.errors import UsageError


@pytest.mark.parametrize(
    ("name", "beginning"),
    [
        ("areas.geojson", b'{"type": "FeatureCollection"'),
        ("areas.json", b'{"info"'),
        ("平面図.SVG", b"<?xml"),
        ("areas.dxf", b"  0\nSECTION"),
        ("areas.png", b"\x89PNG"),
    ],
)
def test_the_suffix_names_the_format(sheet: Areas, tmp_path: Path, name: str, beginning: bytes) -> None:
    sheet.save(tmp_path / name, image=Image.new("RGB", (100, 120)))
    assert (tmp_path / name).read_bytes().startswith(beginning)
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == [name]


def test_dxf_for_jw_cad(sheet: Areas, tmp_path: Path) -> None:
    sheet.save(tmp_path / "jw.dxf", jw=True)
    assert b"AC1009" in (tmp_path / "jw.dxf").read_bytes()


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
