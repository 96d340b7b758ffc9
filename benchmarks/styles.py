"""Plans written by hand and drawn with matplotlib, in styles that are not those of the plan generator.

    pip install -e '.[bench]'
    python benchmarks/styles.py --model path/to/model
    python benchmarks/styles.py --tile none                # each drawing as a whole
    python benchmarks/styles.py --draw-into pictures/      # look at them

Each plan is a list of rooms in metres (`style_plans.py`); walls, doors and windows follow from them. It is drawn in
every style (`style_drawing.py`). A room counts as found where a segment with the label `room` has an IoU above 0.5
with the truth, the free floor between the walls; F1 is the harmonic mean of precision and recall.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Literal

import numpy as np
import shapely
from machine import describe_machine
from style_drawing import STYLES, draw
from style_plans import PLANS

import kkg_area_detection as kkg


def score(areas: kkg.Areas, rooms: list[shapely.Polygon]) -> tuple[int, int, int]:
    """How many rooms are found, how many are there, and how many segments say that they are one."""
    found = np.array([area.polygon for area in areas if area.label == "room"], dtype=object)
    hits = 0
    for room in rooms:
        common = shapely.area(shapely.intersection(found, room))
        hits += bool(len(found)) and bool(np.any(common > 0.5 * (shapely.area(found) + room.area - common)))
    return hits, len(rooms), len(found)


def f1(counts: list[tuple[int, int, int]]) -> float:
    hits, there, said = np.sum(counts, axis=0)
    return float(2 * hits / max(1, there + said))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=kkg.demo_model_path())
    parser.add_argument("--draw-into", type=Path)
    parser.add_argument("--pixels", type=int, default=1200)
    parser.add_argument("--tile", choices=("auto", "none"), default="auto")
    options = parser.parse_args()
    if options.draw_into:
        options.draw_into.mkdir(parents=True, exist_ok=True)
        for plan in PLANS:
            for name, style in STYLES.items():
                draw(plan, style, options.pixels)[0].save(options.draw_into / f"{plan.name} - {name}.png")
        return
    kkg.initialize_model(model_path=options.model, device="cpu", progress=False)
    tile: Literal["auto"] | None = "auto" if options.tile == "auto" else None
    print(describe_machine("torch", "matplotlib"))
    print(f"room F1 at IoU 0.5\n{'':28}" + "".join(f"{name:>14}" for name in STYLES) + f"{'all':>8}")
    by_style: dict[str, list[float]] = {name: [] for name in STYLES}
    for plan in PLANS:
        counts = []
        for name, style in STYLES.items():
            image, rooms = draw(plan, style, options.pixels)
            counts.append(score(kkg.detect_areas(image, tile=tile, wall_labels=()), rooms))
            by_style[name].append(f1([counts[-1]]))
        print(f"{plan.name:28}" + "".join(f"{f1([one]):14.2f}" for one in counts) + f"{f1(counts):8.2f}")
    means = [float(np.mean(values)) for values in by_style.values()]
    print(f"{'mean of the plans':28}" + "".join(f"{mean:14.2f}" for mean in means) + f"{np.mean(means):8.2f}")


if __name__ == "__main__":
    main()
