"""``kkg evaluate`` in real processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def evaluate(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "kkg_area_detection", "evaluate", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, encoding="utf-8")


def test_generated_plans(demo_model: Path) -> None:
    done = evaluate("-p", demo_model, "-d", "cpu", "--plans", "4", "--size", "256", "-o", "報告", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert set(document["labels"]) == {"room", "exwall", "inwall", "door", "window"}
    assert document["labels"]["room"]["n_true"] >= 8
    assert 0 < document["labels"]["room"]["iou"] < 1
    assert {path.suffix for path in Path("報告").iterdir()} == {".html", ".json", ".png"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "No model was given"),
        (["-p", "m", "--scale", "-1"], "--scale is -1"),
        (["-p", "m", "--data", "nowhere"], "nowhere"),
        (["-p", "m", "--category", "Zimmer"], "NAME=LABEL"),
        (["-p", "m", "-o", "file"], "Cannot write file"),
    ],
)
def test_what_cannot_work_is_said_first(arguments: list[str], words: str) -> None:
    Path("file").touch()
    done = evaluate(*arguments)
    assert done.returncode == 1
    assert words in done.stderr
    assert "Loading" not in done.stderr
    assert "Traceback" not in done.stderr
