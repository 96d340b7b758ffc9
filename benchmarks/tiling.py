"""Large sheets through overlapping windows: what `tile=` changes, on generated sheets with known rooms.

    python benchmarks/tiling.py
    python benchmarks/tiling.py --papers A1 --tile 1536 384 --seeds 3
    python benchmarks/tiling.py --model /path/to/model --device cuda

Every sheet is segmented as a whole and through windows, with the same model at the same threshold. Panoptic
quality, PQ = SQ x RQ, is that of the rooms: a room is found where a segment labelled `room` and it have an IoU
above 0.5 (Kirillov et al., Panoptic Segmentation, CVPR 2019). Memory is the rise of the peak resident size
during segmentation, in a fresh process for each side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from machine import describe_machine
from PIL import Image
from postprocessing import peak_extra_bytes
from sheets import PAPERS_MM, Truth, draw_building, draw_dwellings, draw_hall

from kkg_area_detection.api import demo_model_path
from kkg_area_detection.segmentation.device import resolve_device
from kkg_area_detection.segmentation.probing import find_tiles
from kkg_area_detection.segmentation.result import SegmentationResult
from kkg_area_detection.segmentation.segmenter import Segmenter
from kkg_area_detection.segmentation.tiling import segment_tiled
from kkg_area_detection.segmentation.windows import TileOption

KINDS: dict[str, tuple[Callable[[str, int, int], tuple[Image.Image, Truth]], int]] = {
    "dwellings 1/100": (draw_dwellings, 100),
    "dwellings 1/50": (draw_dwellings, 50),
    "building 1/100": (draw_building, 100),
    "hall 1/100": (draw_hall, 100),
}
WALLS = ("exwall", "inwall")
SIDES = ("whole", "tiled")
FIRST_SEED = 100  # the rules of merging were chosen on sheets of other seeds
ROWS_AT_ONCE = 512


class Counts(NamedTuple):
    """What one side found on one or more sheets.

    Attributes:
        found: Rooms that were found.
        iou_sum: The sum of their IoUs.
        wrong: Segments labelled as rooms that are none.
        missed: Rooms that were not found.
        wall_common: Pixels of walls that are labelled so.
        wall_union: Pixels that are of a wall or labelled so.
        seconds: Wall clock.
        windows: How many windows there were.
    """

    found: int = 0
    iou_sum: float = 0
    wrong: int = 0
    missed: int = 0
    wall_common: int = 0
    wall_union: int = 0
    seconds: float = 0
    windows: int = 0

    def plus(self, other: Counts) -> Counts:
        """Both together."""
        return Counts(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))

    def row(self) -> str:
        """The line of the table."""
        segmentation_quality = self.iou_sum / max(self.found, 1)
        recognition_quality = self.found / max(self.found + (self.wrong + self.missed) / 2, 1)
        return (
            f"{segmentation_quality * recognition_quality:6.3f} {segmentation_quality:6.3f} "
            f"{recognition_quality:6.3f} {self.found:6} {self.wrong:6} {self.missed:6} "
            f"{self.wall_common / max(self.wall_union, 1):6.3f} {self.windows:8} {self.seconds:7.1f}"
        )


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    segmenter = Segmenter.load(options.model, resolve_device(options.device))
    if options.measure:
        side, sheet = options.measure
        print(json.dumps(peak_bytes(segmenter, options, side, sheet)))
        return
    print(
        f"{options.model.name} on {segmenter.engine.device}, tile={options.tile or 'auto'}, threshold "
        f"{options.threshold}, {options.seeds} sheet(s) of each kind, {options.threads} thread(s)\n"
        f"{describe_machine()}\n"
    )
    heads = ("PQ", "SQ", "RQ", "found", "wrong", "missed", "walls")
    print(f"{'':27}" + " ".join(f"{head:>6}" for head in heads) + "  windows seconds")
    totals = dict.fromkeys(SIDES, Counts())
    for paper in options.papers:
        for kind in options.kinds:
            for side, counts in measured(segmenter, options, paper, kind).items():
                print(f"{paper} {kind:16} {side:6} {counts.row()}", flush=True)
                totals[side] = totals[side].plus(counts)
    for side, counts in totals.items():
        print(f"{'all':19} {side:6} {counts.row()}")
    paper, kind = options.papers[-1], options.kinds[0]
    print(f"\nPeak memory of segmenting {paper} {kind}, the picture itself not counted, in MB")
    for side, peak in measured_peaks(paper, kind).items():
        print(f"{side:6} {peak / 1e6:6.0f}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=demo_model_path())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--threshold", type=float, default=0.5)
    parser.add_argument("--tile", nargs=2, type=int, metavar=("SIZE", "OVERLAP"), help="default: auto")
    parser.add_argument("--papers", nargs="+", choices=PAPERS_MM, default=list(PAPERS_MM))
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--seeds", type=int, default=1, help="sheets of each kind")
    parser.add_argument("--measure", nargs=2, metavar=("SIDE", "SHEET"), help=argparse.SUPPRESS)
    return parser.parse_args()


def drawn(paper: str, kind: str, seed: int) -> tuple[Image.Image, Truth]:
    draw, scale = KINDS[kind]
    image, truth = draw(paper, scale, seed)
    return image.convert("RGB"), truth


def measured(segmenter: Segmenter, options: argparse.Namespace, paper: str, kind: str) -> dict[str, Counts]:
    counts = dict.fromkeys(SIDES, Counts())
    for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
        image, truth = drawn(paper, kind, seed)
        for side in SIDES:
            began = time.perf_counter()
            progress = CountedItems()
            result = segmented(segmenter, image, options, side, progress)
            seconds = time.perf_counter() - began
            once = compared(result, truth)._replace(seconds=seconds, windows=progress.done)
            counts[side] = counts[side].plus(once)
    return counts


class CountedItems:
    """Progress that only counts."""

    done = 0

    def start(self, description: str, total_items: int | None, /) -> None:
        """Ignored."""

    def advance(self, n_items: int, /) -> None:
        """Count."""
        self.done += n_items


def segmented(
    segmenter: Segmenter, image: Image.Image, options: argparse.Namespace, side: str, progress: CountedItems
) -> SegmentationResult:
    tile: TileOption = (options.tile or "auto") if side == "tiled" else None
    tiles = find_tiles(tile, segmenter, image, options.threshold)
    if tiles is None:
        progress.advance(1)
        return segmenter.segment(image, options.threshold)
    return segment_tiled(segmenter, image, tiles, options.threshold, progress)


def compared(result: SegmentationResult, truth: Truth) -> Counts:
    """Compare a result with the truth, pixel by pixel."""
    infos = result["segments_info"]
    labels = [result.label_of(info["id"]) for info in infos] + ["background"]  # the last one is id -1
    is_wall = np.array([label in WALLS for label in labels])
    rooms = np.cumsum([label == "room" for label in labels])
    number = np.where([label == "room" for label in labels], rooms, 0)
    n_segments = int(rooms[-1])
    table = np.zeros((truth.n_rooms + 1) * (n_segments + 1), dtype=np.int64)
    wall_common = wall_union = 0
    for top in range(0, result.height, ROWS_AT_ONCE):
        rows = slice(top, top + ROWS_AT_ONCE)
        ids = result.id_grid[result.row_index[rows]][:, result.column_index]
        pairs = truth.rooms[rows].astype(np.int64) * (n_segments + 1) + number[ids]
        table += np.bincount(pairs.ravel(), minlength=len(table))
        wall_common += int(np.count_nonzero(truth.walls[rows] & is_wall[ids]))
        wall_union += int(np.count_nonzero(truth.walls[rows] | is_wall[ids]))
    found, iou_sum, n_true, n_shown = matched(table.reshape(truth.n_rooms + 1, n_segments + 1))
    return Counts(found, iou_sum, n_shown - found, n_true - found, wall_common, wall_union)


def matched(table: np.ndarray) -> tuple[int, float, int, int]:
    """Match rooms and segments, given their common pixels; row and column 0 are neither.

    Returns:
        How many pairs match, the sum of their IoUs, and how many rooms and segments have a pixel at all.
    """
    true_area, shown_area = table.sum(axis=1)[1:], table.sum(axis=0)[1:]
    common = table[1:, 1:]
    iou = common / np.maximum(true_area[:, None] + shown_area - common, 1)
    pairs = iou > 0.5  # no room can have two such segments, nor the other way round
    n_true, n_shown = np.count_nonzero(true_area), np.count_nonzero(shown_area)
    return int(pairs.sum()), float(iou[pairs].sum()), int(n_true), int(n_shown)


def measured_peaks(paper: str, kind: str) -> dict[str, int]:
    """Measure in fresh processes that only read the sheet: drawing it would hide the peak."""
    with tempfile.TemporaryDirectory() as directory:
        sheet = Path(directory) / "sheet.ppm"
        drawn(paper, kind, FIRST_SEED)[0].save(sheet)
        command = [sys.executable, __file__, *sys.argv[1:], "--measure"]
        outputs = {
            side: subprocess.run([*command, side, str(sheet)], check=True, capture_output=True).stdout
            for side in SIDES
        }
    return {side: int(json.loads(output)) for side, output in outputs.items()}


def peak_bytes(segmenter: Segmenter, options: argparse.Namespace, side: str, sheet: str) -> int:
    segmenter.warm_up()
    image = Image.open(sheet)
    image.load()
    return peak_extra_bytes(lambda: segmented(segmenter, image, options, side, CountedItems()))


if __name__ == "__main__":
    main()
