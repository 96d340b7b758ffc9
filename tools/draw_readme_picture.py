"""Draw the picture of the README: a sample plan, and the areas that the bundled model finds on it, side by side."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

import kkg_area_detection

ROOT = Path(__file__).parents[1]
WIDTH = 1200
GAP = 40


def main() -> None:
    """Write ``docs/images/apartment.png``."""
    kkg_area_detection.initialize_model(model_path=kkg_area_detection.demo_model_path(), device="cpu")
    path = ROOT / "examples" / "plans" / "apartment-ja.png"
    with Image.open(path) as opened:
        plan = opened.convert("RGB")
    found = kkg_area_detection.draw_areas(plan, kkg_area_detection.detect_areas(path, scale="128px/m"))
    sheet = Image.new("RGB", (plan.width + GAP + found.width, found.height), "white")
    sheet.paste(plan, (0, 0))
    sheet.paste(found, (plan.width + GAP, 0))
    sheet.thumbnail((WIDTH, WIDTH), Image.Resampling.LANCZOS)
    target = ROOT / "docs" / "images" / "apartment.png"
    sheet.save(target, optimize=True)
    print(f"Wrote {target}")


if __name__ == "__main__":
    main()
