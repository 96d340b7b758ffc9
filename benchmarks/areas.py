"""Polygons of segments: this library, the naive way, and supervision, in alternation, in one run.

    pip install -e '.[bench]'
    python benchmarks/areas.py
    python benchmarks/areas.py --sheets A4 --repeats 3

Plans are made up from a seed: rooms with outer and inner walls and doors, on the grid of a network, with ragged
borders. The naive way is `cv2.findContours` on a full-size mask of each segment, and shapely; supervision is its
`mask_to_polygons`, whose rings are united because they do not say which of them are holes. Both get the full-size
map for nothing; ours never needs it. Processor time of one thread. The ratio is that of the minima, and of the
medians in brackets.

    error     differences between segments' areas and their numbers of pixels, as a share of all these
    worst     the greatest such share of a room
    gaps      pixels of segments that no polygon covers; where borders are simplified, those more than a cell inside
              of all segments together, because the outline may move
    overlaps  the sum of all areas, less the area that they cover together
    invalid   segments whose polygon shapely calls invalid

At the end: what `kkg detect` does with a scan of A4 beyond opening and segmenting it, in seconds, the first time
(with imports) and after that.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np
import shapely
from machine import describe_load, describe_machine
from plans import draw_sheet

import kkg_area_detection as kkg
from kkg_area_detection.areas.detect import areas_from_result
from kkg_area_detection.segmentation.result import SegmentationResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Width and height of the picture, width and height of the grid, number of rooms. A network sees a sheet at about
# 1333 pixels, and its grid has a quarter of that.
SHEETS = {
    "A4": ((2480, 3508), (200, 288), 16),
    "A3": ((3508, 4961), (236, 333), 60),
    "A1": ((7016, 9933), (236, 333), 149),
}
PATIENCE = 60  # seconds after which no further round begins
ID2LABEL = {0: "room", 1: "exwall", 2: "inwall", 3: "door"}
Polygons = list[shapely.Geometry]
Made = TypeVar("Made")


def main() -> None:
    options = parse_options()
    cv2.setNumThreads(1)
    print(
        f"{describe_machine('numpy', 'shapely', 'opencv-python-headless', 'supervision')}\n{describe_load()}"
    )
    for name in options.sheets:
        compare(name, options.repeats)
    beyond_segmentation(options.repeats)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sheets", nargs="+", choices=SHEETS, default=list(SHEETS))
    parser.add_argument("--repeats", type=int, default=7)
    return parser.parse_args()


# --- what is measured ---------------------------------------------------------------------------------------


@dataclass
class Sheet:
    """A segmentation, and what is to be compared with."""

    result: SegmentationResult
    full_map: NDArray[np.int32]
    pixels: NDArray[np.intp]  # of each segment
    cell: float  # side in pixels

    @classmethod
    def made_up(cls, name: str) -> Sheet:
        """The same on every run."""
        (width, height), (columns, rows), n_rooms = SHEETS[name]
        grid, labels = draw_plan(rows, columns, n_rooms)
        result = SegmentationResult(
            id_grid=grid,
            row_index=np.arange(height) * rows // height,
            column_index=np.arange(width) * columns // width,
            segments_info=[
                {"id": id_, "label_id": label, "was_fused": False, "score": 0.9}
                for id_, label in enumerate(labels)
            ],
            id2label=ID2LABEL,
        )
        full_map = grid[np.ix_(result.row_index, result.column_index)]
        pixels = np.bincount(full_map.ravel() + 1, minlength=len(labels) + 1)[1:]
        return cls(result, full_map, pixels, (width * height / grid.size) ** 0.5)


def ours(sheet: Sheet, **options: object) -> Polygons:
    options = {"wall_labels": (), **options}  # the others find no centre lines either
    found = {area.id: area.polygon for area in areas_from_result(sheet.result, least_share=0, **options)}
    return [found.get(id_, shapely.Polygon()) for id_ in range(len(sheet.pixels))]


def naive(sheet: Sheet, tolerance: float) -> Polygons:
    """Contours of full-size masks, with their holes; simplified each alone."""
    polygons: Polygons = []
    for id_ in range(len(sheet.pixels)):
        mask = (sheet.full_map == id_).astype(np.uint8)
        contours, hierarchy = cv2.findContours(mask, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
        rings = [cv2.approxPolyDP(ring, tolerance, True) if tolerance else ring for ring in contours]
        parents = hierarchy[0][:, 3] if rings else []
        parts = [
            shapely.Polygon(
                ring[:, 0],
                [
                    hole[:, 0]
                    for hole, parent in zip(rings, parents, strict=True)
                    if parent == number and len(hole) > 2
                ],
            )
            for number, ring in enumerate(rings)
            if parents[number] == -1 and len(ring) > 2
        ]
        polygons.append(parts[0] if len(parts) == 1 else shapely.MultiPolygon(parts))
    return polygons


def supervision(sheet: Sheet) -> Polygons:
    """All of a mask's rings, outer and inner ones alike."""
    from supervision import mask_to_polygons

    return [
        shapely.union_all(
            [shapely.make_valid(shapely.Polygon(ring)) for ring in mask_to_polygons(sheet.full_map == id_)]
        )
        for id_ in range(len(sheet.pixels))
    ]


def compare(name: str, repeats: int) -> None:
    sheet = Sheet.made_up(name)
    height, width = sheet.full_map.shape
    grid = sheet.result.id_grid.shape
    print(f"\n{name}, {width} x {height} px, {len(sheet.pixels)} segments on {grid[1]} x {grid[0]} cells")
    tolerance = sheet.cell
    run(
        sheet,
        "every pixel's edge",
        repeats,
        0,
        {
            "ours": lambda: ours(sheet, simplify=0),
            "naive": lambda: naive(sheet, 0),
            "supervision": lambda: supervision(sheet),
        },
    )
    run(
        sheet,
        "simplified by one cell",
        repeats,
        tolerance,
        {
            "ours": lambda: ours(sheet, simplify=1),
            "ours, squared": lambda: ours(sheet, simplify=1, square=True),
            "ours, and the walls": lambda: ours(sheet, simplify=1, wall_labels=None),
            "naive": lambda: naive(sheet, tolerance),
        },
    )


def run(
    sheet: Sheet, title: str, repeats: int, depth: float, sides: dict[str, Callable[[], Polygons]]
) -> None:
    """Time the sides in turns, and judge what each made."""
    times: dict[str, list[float]] = {side: [] for side in sides}
    made = {side: make() for side, make in sides.items()}  # the first time also imports things
    start = time.perf_counter()
    for number in range(repeats):
        if number and time.perf_counter() - start > PATIENCE:
            break
        for side, make in sides.items():
            began = time.process_time()
            make()
            times[side].append(time.process_time() - began)
    print(
        f"  {title:24} CPU ms     ours is faster       error   worst      gaps   overlaps  invalid  vertices"
    )
    least, middle = min(times["ours"]), statistics.median(times["ours"])
    inside = shapely.union_all(ours(sheet, simplify=0)).buffer(-depth)
    for side, polygons in made.items():
        ratio = f"{min(times[side]) / least:6.1f} x ({statistics.median(times[side]) / middle:6.1f} x)"
        print(f"    {side:20} {min(times[side]) * 1000:8.1f} {ratio} {judge(polygons, sheet, inside)}")


def judge(polygons: Polygons, sheet: Sheet, inside: shapely.Geometry) -> str:
    areas = shapely.area(polygons)
    off = np.abs(areas - sheet.pixels)
    error = off.sum() / sheet.pixels.sum()
    rooms = [info["id"] for info in sheet.result["segments_info"] if info["label_id"] == 0]
    worst = np.max(off[rooms] / sheet.pixels[rooms])
    sound = shapely.make_valid(polygons)
    covered = shapely.union_all(sound)
    overlaps = shapely.area(sound).sum() - covered.area
    gaps = inside.difference(covered).area
    invalid = np.count_nonzero(~shapely.is_valid(polygons))
    vertices = shapely.get_num_coordinates(polygons).sum()
    return f"{error:8.3%} {worst:7.2%} {gaps:9,.0f} {abs(overlaps):10,.0f} {invalid:8} {vertices:9,}"


def beyond_segmentation(repeats: int) -> None:
    """Time what follows a segmentation, with the formats that `kkg detect` writes by default."""
    sheet = draw_sheet(2480, 3508, 300, seed=0).convert("RGB")
    kkg.initialize_model(model_path=kkg.demo_model_path(), device="cpu", progress=False)
    times: dict[str, list[float]] = {"segmentation": [], "areas": [], "files": []}

    def timed(step: str, work: Callable[[], Made]) -> Made:
        began = time.perf_counter()
        made = work()
        times[step].append(time.perf_counter() - began)
        return made

    def save(areas: kkg.Areas, directory: str) -> None:
        with ThreadPoolExecutor() as pool:  # as the command does
            paths = [Path(directory) / f"sheet{suffix}" for suffix in (".png", ".csv", ".dxf")]
            list(pool.map(partial(areas.save, image=sheet, force=True), paths))

    with tempfile.TemporaryDirectory() as directory:
        for _ in range(1 + repeats):
            result = timed("segmentation", lambda: kkg.get_segmentation_result(sheet, painting="fine"))
            areas = timed("areas", partial(areas_from_result, result, scale=kkg.Scale(8.5)))
            timed("files", partial(save, areas, directory))
    print(
        f"\nkkg detect, A4 at 300 dpi, {len(areas)} areas: seconds the first time, and the median after that"
    )
    for step, seconds in times.items():
        print(f"    {step:20} {seconds[0]:6.3f} {statistics.median(seconds[1:]):6.3f}")
    beyond = [sum(steps) for steps in zip(times["areas"], times["files"], strict=True)]
    print(f"    {'beyond segmentation':20} {beyond[0]:6.3f} {statistics.median(beyond[1:]):6.3f}")


# --- made-up plans ------------------------------------------------------------------------------------------


def draw_plan(rows: int, columns: int, n_rooms: int) -> tuple[NDArray[np.int32], list[int]]:
    """Rooms, a door for each of them, and two segments of wall.

    Returns:
        Segment ids of shape (rows, columns), -1 for paper, and the label of each id.
    """
    random = Random(n_rooms)
    labels = [1, 2]  # outer and inner walls
    grid = np.full((rows, columns), -1, np.int32)
    top, left = rows // 12, columns // 12
    grid[top : rows - top, left : columns - left] = 0
    boxes = [(top + 3, left + 3, rows - top - 3, columns - left - 3)]
    doors = [(top, left + 8, top + 3, left + 12)]  # the entrance
    while len(boxes) < n_rooms:
        box = max(boxes, key=lambda box: (box[2] - box[0]) * (box[3] - box[1]))
        boxes.remove(box)
        y0, x0, y1, x1 = box
        if y1 - y0 > x1 - x0:
            y = round(y0 + (y1 - y0) * random.uniform(0.4, 0.6))
            boxes += [(y0, x0, y - 1, x1), (y + 1, x0, y1, x1)]
            x = random.randint(x0 + 1, x1 - 5)
            doors.append((y - 1, x, y + 1, x + 4))
        else:
            x = round(x0 + (x1 - x0) * random.uniform(0.4, 0.6))
            boxes += [(y0, x0, y1, x - 1), (y0, x + 1, y1, x1)]
            y = random.randint(y0 + 1, y1 - 5)
            doors.append((y, x - 1, y + 4, x + 1))
        grid[y0:y1, x0:x1] = 1
    for label, kind in ((0, boxes), (3, doors)):
        for y0, x0, y1, x1 in kind:
            grid[y0:y1, x0:x1] = len(labels)
            labels.append(label)
    return with_ragged_borders(grid), labels


def with_ragged_borders(grid: NDArray[np.int32]) -> NDArray[np.int32]:
    """Let one cell in twelve show what its neighbour does."""
    random = np.random.default_rng(0)
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        grid = np.where(random.random(grid.shape) < 1 / 12, np.roll(grid, shift, axis), grid)
    return grid


if __name__ == "__main__":
    main()
