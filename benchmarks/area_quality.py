"""How near the areas of rooms come to the truth, by the way masks become polygons.

    python benchmarks/area_quality.py
    python benchmarks/area_quality.py --plans 20 --model path/to/model

Dwellings are drawn from seeds (`sheets.py`), half of them tinted, each with the true polygon of every room. All
ways get the same logits of the network; the first one is what transformers does. Seeds and the network fix the
result, so there is nothing to repeat.

    found     rooms that a polygon has in common with the truth to more than half (IoU > 0.5), of all rooms
    false     polygons of rooms that match no room
    IoU       mean over the rooms that all ways find
    error     mean and median difference from the true area of these, as a share of it; and their mean with its sign
    vertices  a room
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
import torch
from machine import describe_machine
from PIL import Image
from plans import MARGIN, PAPER
from sheets import TrueDwelling, Truth

from kkg_area_detection import demo_model_path
from kkg_area_detection.areas.detect import areas_from_result
from kkg_area_detection.areas.polygons import Cells, trace
from kkg_area_detection.segmentation import fine_painting
from kkg_area_detection.segmentation.segmenter import Painting, Segmenter

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Areas
    from kkg_area_detection.segmentation.result import SegmentationResult

FIRST_SEED = 1000
LEAST_ROOM = 1.0  # square metres; smaller ones are left out of the truth
Paint = Callable[[Painting], "SegmentationResult"]


def main() -> None:
    options = parse_options()
    segmenter = Segmenter.load(options.model, torch.device("cpu"))
    scores = {name: Scores() for name in WAYS}
    n_rooms = 0
    for seed in range(FIRST_SEED, FIRST_SEED + options.plans):
        image, rooms = draw(seed)
        n_rooms += len(rooms)
        outputs = segmenter.run(torch.from_numpy(segmenter.prepare(image))[None])

        def paint(
            painting: Painting, image: Image.Image = image, outputs: object = outputs
        ) -> SegmentationResult:
            shape = (image.height, image.width)
            return segmenter.finish(outputs.class_logits[0], outputs.mask_logits[0], shape, 0.5, painting)

        for name, way in WAYS.items():
            scores[name].add(seed, rooms, way(paint))
    print(describe_machine("torch", "shapely"))
    print(f"{options.plans} plans, {n_rooms} rooms of {LEAST_ROOM:g} m2 and more")
    report(scores)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=80)
    parser.add_argument("--model", type=Path, default=demo_model_path())
    return parser.parse_args()


# --- the ways -----------------------------------------------------------------------------------------------


@contextmanager
def fine_but(**constants: float) -> Iterator[None]:
    """Fine painting without one of its parts."""
    before = {name: getattr(fine_painting, name) for name in constants}
    for name, value in constants.items():
        setattr(fine_painting, name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            setattr(fine_painting, name, value)


def most_probable(paint: Paint) -> Areas:
    with fine_but(REFINEMENT=1, _SAME=np.inf):
        return areas_from_result(paint("fine"), wall_labels=())


def without_doubles(paint: Paint) -> Areas:
    with fine_but(REFINEMENT=1):
        return areas_from_result(paint("fine"), wall_labels=())


def painted(painting: Painting, **options: Any) -> Callable[[Paint], Areas]:
    return lambda paint: areas_from_result(paint(painting), **{"wall_labels": (), **options})


WAYS: dict[str, Callable[[Paint], Areas]] = {
    "exact: as transformers": painted("exact"),
    "each cell to the most probable": most_probable,
    "... and no doubles": without_doubles,
    "... and finer: fine": painted("fine"),
    "... and rooms up to their walls": painted("fine", wall_labels=None),
    "all, every pixel's edge": painted("fine", wall_labels=None, simplify=0),
    "all, simplified by 0.5 cells": painted("fine", wall_labels=None, simplify=0.5),
    "all, simplified by 2 cells": painted("fine", wall_labels=None, simplify=2),
    "all, squared": painted("fine", wall_labels=None, square=True),
}


# --- the truth, and how near it -----------------------------------------------------------------------------


def draw(seed: int) -> tuple[Image.Image, list[shapely.Polygon]]:
    """A dwelling, and its rooms in pixels."""
    random = Random(seed)
    width, height, metre = random.uniform(6, 13), random.uniform(5.5, 11), random.uniform(60, 90)
    size = (round((width + 2 * MARGIN) * metre), round((height + 2 * MARGIN) * metre))
    image, truth = Image.new("RGB", size, PAPER), Truth.empty(*size)
    box = (MARGIN, MARGIN, MARGIN + width, MARGIN + height)
    TrueDwelling(image, metre, random, tinted=bool(seed % 2), truth=truth).draw(box)
    coverage = trace(
        Cells(truth.rooms.astype(np.int32) - 1, np.arange(size[0] + 1.0), np.arange(size[1] + 1.0))
    )
    parts = [shapely.union_all(coverage.faces[coverage.ids == room]) for room in range(truth.n_rooms)]
    return image, [part for part in parts if part.area > LEAST_ROOM * metre**2]


@dataclass
class Scores:
    """Of one way.

    Attributes:
        rooms: IoU and share of the area that is missing or too much, by seed and number of the room.
        n_polygons: Of rooms that were found.
        n_vertices: Of these.
    """

    rooms: dict[tuple[int, int], tuple[float, float]] = field(default_factory=dict)
    n_polygons: int = 0
    n_vertices: int = 0

    def add(self, seed: int, truth: list[shapely.Polygon], areas: Areas) -> None:
        """Match the polygons of a plan with its rooms."""
        polygons = np.array([area.polygon for area in areas if area.label == "room"], dtype=object)
        self.n_polygons += len(polygons)
        self.n_vertices += int(shapely.get_num_coordinates(polygons).sum())
        for number, room in enumerate(truth):
            common = shapely.area(shapely.intersection(polygons, room))
            iou: NDArray[np.float64] = common / (shapely.area(polygons) + room.area - common)
            if len(polygons) and iou.max() > 0.5:
                off = (polygons[iou.argmax()].area - room.area) / room.area
                self.rooms[seed, number] = (float(iou.max()), float(off))


def report(scores: dict[str, Scores]) -> None:
    common = sorted(set.intersection(*(set(one.rooms) for one in scores.values())))
    print(f"{len(common)} rooms are found by all ways\n")
    print(f"{'':32} found  false    IoU   error: mean  median  with sign  vertices")
    for name, one in scores.items():
        values = np.array([one.rooms[room] for room in common])
        off = values[:, 1]
        print(
            f"{name:32} {len(one.rooms):5} {one.n_polygons - len(one.rooms):6} {values[:, 0].mean():6.3f}"
            f" {np.abs(off).mean():13.2%} {np.median(np.abs(off)):7.2%} {off.mean():10.2%}"
            f" {one.n_vertices / one.n_polygons:9.1f}"
        )


if __name__ == "__main__":
    main()
