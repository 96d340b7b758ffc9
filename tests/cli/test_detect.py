"""``kkg detect`` in real processes, on real files."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import ezdxf
import pytest
from PIL import Image

FORMATS = ("png", "csv", "xlsx", "dxf", "jww", "geojson", "json", "svg")


def detect(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkg_area_detection", "detect", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


@pytest.fixture
def plan(sample_plans: dict[str, Path]) -> Path:
    """A drawing with a name in Japanese, at 1/100 and 254 dpi, and so 10 mm a pixel."""
    path = Path("図面 1階.png")
    with Image.open(sample_plans["house-ja"]) as image:
        image.save(path, dpi=(254, 254))
    return path


def test_one_drawing_in_all_formats(plan: Path, demo_model: Path) -> None:
    done = detect(plan, "-p", demo_model, "-d", "cpu", "-s", "1/100", "-f", ",".join(FORMATS), "-o", "結果")
    assert done.returncode == 0, done.stderr
    assert {path.name for path in Path("結果").iterdir()} == {
        f"図面 1階.areas.{suffix}" for suffix in FORMATS
    }
    for heading in ("m2", "±", "壁芯 m2", "帖", "坪", "all rooms"):
        assert heading in done.stdout
    document = ezdxf.readfile("結果/図面 1階.areas.dxf")
    assert len(document.modelspace().query('TEXT[layer=="A-AREA-IDEN"]')) >= 7
    coco = json.loads(Path("結果/図面 1階.areas.json").read_text(encoding="utf-8"))
    assert coco["images"][0]["file_name"] == "図面 1階.png"

    again = detect(plan, "-p", demo_model, "-d", "cpu", "-o", "結果")
    assert again.returncode == 1
    assert "結果/図面 1階.areas.png exists.\n  Next step: pass --force" in again.stderr
    assert "Loading" not in again.stderr


def test_a_batch_as_json(plan: Path, demo_model: Path) -> None:
    """A PDF of two pages of which one is asked for, a folder, a damaged file and one that is not there."""
    with Image.open(plan) as image:
        small = image.convert("RGB").resize((700, 500))
        small.save("two.pdf", save_all=True, append_images=[small], resolution=100)
        Path("scans").mkdir()
        small.save("scans/b.tif")
    Path("scans/a.png").write_bytes(b"\x89PNG\r\n\x1a\n and no more")
    done = detect("two.pdf#page=2", "scans", "gone.png", "-p", demo_model, "-d", "cpu", "-f", "csv", "--json")
    assert done.returncode == 1
    report = json.loads(done.stdout)
    assert [one["drawing"] for one in report["drawings"]] == ["two.pdf#page=2", "scans/b.tif"]
    assert {one["drawing"] for one in report["failed"]} == {"scans/a.png", "gone.png"}
    assert "There is no file gone.png" in done.stderr
    assert "Traceback" not in done.stderr
    first, second = report["drawings"]
    assert first["files"] == ["kkg-output/two-p2.areas.csv"]
    assert {area["label"] for area in second["areas"]} >= {"room", "exwall"}
    assert "inner_m2" not in second["areas"][0]
    assert {path.name for path in Path("kkg-output").iterdir()} == {"two-p2.areas.csv", "b.areas.csv"}


def test_several_drawings_in_one_table(plan: Path, demo_model: Path) -> None:
    shutil.copy(plan, "[bold]2F.png")
    done = detect(plan, "[bold]2F.png", "-p", demo_model, "-d", "cpu", "-f", "geojson", "--label", "room")
    assert done.returncode == 0, done.stderr
    assert "2 drawings" in done.stdout
    assert "[bold]2F.png" in done.stdout
    assert "door" not in done.stdout
    assert "pass --scale" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["x.png"], "No model was given"),
        (["gone.png", "-p", "m"], "There is no file gone.png"),
        (["x.png", "-p", "m", "-f", "dwg,png"], "There is no format dwg"),
        (["x.png", "-p", "m", "-f", ","], "There is no format ','"),
        (["x.png", "-p", "m", "-s", "1/100 at A1"], "not a scale that can be read"),
        (["x.png", "-p", "m", "--mat", "tatami"], "There is no mat 'tatami'"),
        (["x.png", "-p", "m", "--dxf-version", "R12"], "R2010, jw"),
        (["x.png", "-p", "m", "--tile", "big"], "--tile"),
        (["x.png", "-p", "m", "--page", "2"], "x.png has 1 page"),
        (["x.png", "-p", "m", "--dpi", "-3"], "dpi is -3"),
        (["x.png", "-p", "m", "-o", "x.png"], "Cannot write x.png"),
        (["empty", "-p", "m"], "empty holds no drawings"),
        (["*.dwg", "-p", "m"], "Nothing fits the pattern *.dwg"),
        (["locked.pdf", "-p", "m"], "--password"),
    ],
)
def test_what_cannot_work_is_said_before_anything_is_loaded(arguments: list[str], words: str) -> None:
    Image.new("L", (4, 4)).save("x.png")
    Path("empty").mkdir()
    from pypdf import PdfWriter

    writer = PdfWriter()
    writer.add_blank_page(100, 100)
    writer.encrypt("secret")
    writer.write("locked.pdf")
    done = detect(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Loading" not in done.stderr
    assert "Traceback" not in done.stderr


def test_a_ratio_without_a_resolution(plan: Path, demo_model: Path) -> None:
    """It is known only when the drawing is open, and costs this drawing only."""
    with Image.open(plan) as image:
        image.save("scan.png", dpi=(72, 72))
    done = detect("scan.png", plan, "-p", demo_model, "-d", "cpu", "-s", "1/100", "-f", "csv")
    assert done.returncode == 1
    assert "1/100 says nothing without the resolution" in done.stderr
    assert "1 of 2 drawings failed: scan.png" in done.stderr
    assert [path.name for path in Path("kkg-output").iterdir()] == ["図面 1階.areas.csv"]
