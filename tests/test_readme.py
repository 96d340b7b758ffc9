"""The code listings of the documentation run as they stand."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from kkg_area_detection.demo.local_s3 import LocalS3

ROOT = Path(__file__).parents[1]
PAGES = [
    "README.md",
    "README.ja.md",
    "docs/s3-models.md",
    "docs/s3-models.ja.md",
    "docs/segmentation.md",
    "docs/segmentation.ja.md",
    "docs/areas.md",
    "docs/areas.ja.md",
    "docs/training.md",
    "docs/training.ja.md",
]


def listings() -> list[tuple[str, str]]:
    found = []
    for page in PAGES:
        text = (ROOT / page).read_text(encoding="utf-8")
        for number, code in enumerate(re.findall(r"```python\n(.*?)```", text, re.DOTALL), 1):
            found.append((f"{page}-{number}", code))
    return found


@pytest.mark.parametrize("code", [pytest.param(code, id=name) for name, code in listings()])
def test_listing(
    code: str,
    s3: LocalS3,
    prefix: str,
    demo_model: Path,
    sample_plans: dict[str, Path],
    reader_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    s3.upload(demo_model, f"{prefix}large/")
    with Image.open(sample_plans["apartment-ja"]) as plan:
        plan.convert("RGB").save("plan.jpg")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(("page", "least"), [("README.md", 2), ("README.ja.md", 2)])
def test_there_are_listings(page: str, least: int) -> None:
    assert sum(name.startswith(f"{page}-") for name, _ in listings()) >= least


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    path = ROOT / page
    for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", path.read_text(encoding="utf-8")):
        if not target.startswith(("http:", "https:", "mailto:")):
            assert (path.parent / target).exists(), target


@pytest.mark.parametrize("page", [page for page in PAGES if not page.endswith(".ja.md")])
def test_both_languages_have_the_same_sections_and_listings(page: str) -> None:
    japanese = page.replace(".md", ".ja.md")
    shapes = []
    for name in (page, japanese):
        text = (ROOT / name).read_text(encoding="utf-8")
        shapes.append((len(re.findall(r"^#+ ", text, re.MULTILINE)), text.count("```")))
    assert shapes[0] == shapes[1]
