import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.demo.local_s3 import LocalS3

SCRIPT = Path(__file__).parents[2] / "examples" / "basic_usage.py"


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_by_path(demo_model: Path, sample_plans: dict[str, Path], tmp_path: Path) -> None:
    out = tmp_path / "overlay.png"
    done = run("-i", sample_plans["house-ja"], "-p", demo_model, "-d", "cpu", "-o", out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("room") >= 5
    with Image.open(out) as picture:
        assert picture.width == 1600


def test_by_name(
    s3: LocalS3,
    prefix: str,
    demo_model: Path,
    sample_plans: dict[str, Path],
    reader_environment: dict[str, str],
) -> None:
    s3.upload(demo_model, f"{prefix}large/")
    done = run("-i", sample_plans["office-en"], "-n", "large", "-d", "cpu")
    assert done.returncode == 0, done.stderr
    assert "exwall" in done.stdout


def test_a_picture_that_cannot_be_written(demo_model: Path, sample_plans: dict[str, Path]) -> None:
    Path("dir.png").mkdir()
    done = run("-i", sample_plans["house-ja"], "-p", demo_model, "-d", "cpu", "-o", "dir.png")
    assert done.returncode == 1
    assert "Error: Cannot write dir.png" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-i", "gone.png"], "required"),
        (["-i", "gone.png", "-n", "a", "-p", "b"], "not allowed with"),
        (["-i", "gone.png", "-p", "nowhere"], "Error: There is no model directory nowhere"),
        (["-i", "gone.png", "-p", "nowhere", "-o", "out.xyz"], "out.xyz must end in .png"),
        (["-i", "gone.png", "-p", "nowhere", "-o", "out"], "out must end in .png"),
        (["-i", "gone.png", "-p", "nowhere", "-o", "no/x.png"], "there is no directory no"),
        (["-i", "gone.png", "-n", "large"], "S3_BUCKET_NAME and S3_MODEL_KEY not set"),
    ],
)
def test_wrong_use(arguments: list[str], words: str) -> None:
    done = run(*arguments)
    assert done.returncode != 0
    assert words in done.stderr
    assert "Traceback" not in done.stderr
