"""Instance post-processing: this library against transformers, in alternation, in one run.

    python benchmarks/postprocessing.py
    python benchmarks/postprocessing.py --width 9933 --height 14043 --queries 200 --repeats 1

The logits are made up: smooth blobs, of which about a third pass the threshold. Both sides get the same ones,
their answers are compared, and the least time of the repeats counts. Memory is the rise of the peak resident
size in a fresh process for each side.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import torch
from machine import describe_machine, peak_resident_bytes
from torch.nn import functional
from transformers.models.mask2former.image_processing_pil_mask2former import Mask2FormerImageProcessorPil
from transformers.models.maskformer.image_processing_pil_maskformer import MaskFormerImageProcessorPil

from kkg_area_detection.segmentation.postprocessing import PAINTING_GRIDS, find_segments

PROCESSORS = {"maskformer": MaskFormerImageProcessorPil, "mask2former": Mask2FormerImageProcessorPil}
SIDES = ("transformers", "ours", "ours, no full map")
PACKAGES = ("kkg-area-detection", "torch", "transformers")
NUM_LABELS = 4
THRESHOLD = 0.5


def main() -> None:
    options = parse_options()
    torch.set_num_threads(options.threads)
    if options.measure:
        kind, side = options.measure
        print(json.dumps(peak_extra_bytes(sides(options, kind)[side])))
        return
    print(
        f"{options.width} x {options.height} px, {options.queries} queries, logits of "
        f"{options.grid_width} x {options.grid_height} cells, best of {options.repeats}, "
        f"{options.threads} thread(s)\n{describe_machine(*PACKAGES)}\n"
    )
    for kind in options.kinds:
        compare(options, kind)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--width", type=int, default=2480, help="of the picture (default: A4 at 300 dpi)")
    parser.add_argument("--height", type=int, default=3508)
    parser.add_argument("--grid-width", type=int, default=200, help="of the logits")
    parser.add_argument("--grid-height", type=int, default=288)
    parser.add_argument("--queries", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--kinds", nargs="+", choices=PROCESSORS, default=list(PROCESSORS))
    parser.add_argument("--measure", nargs=2, metavar=("KIND", "SIDE"), help=argparse.SUPPRESS)
    return parser.parse_args()


def made_up_logits(options: argparse.Namespace) -> tuple[torch.Tensor, torch.Tensor]:
    """Class logits (Q, 5) and mask logits (Q, h, w), the same for the same options."""
    generator = torch.Generator().manual_seed(0)
    class_logits = torch.randn(options.queries, NUM_LABELS + 1, generator=generator) * 3
    seeds = torch.randn(1, options.queries, 9, 7, generator=generator) * 4 - 4
    shape = (options.grid_height, options.grid_width)
    return class_logits, functional.interpolate(seeds, size=shape, mode="bicubic")[0]


def sides(options: argparse.Namespace, kind: str) -> dict[str, Callable[[], Any]]:
    class_logits, mask_logits = made_up_logits(options)
    outputs = SimpleNamespace(class_queries_logits=class_logits[None], masks_queries_logits=mask_logits[None])
    processor = PROCESSORS[kind]()
    image_shape = (options.height, options.width)

    def theirs() -> Any:
        return processor.post_process_instance_segmentation(
            outputs, threshold=THRESHOLD, target_sizes=[image_shape]
        )[0]

    def ours_without_map() -> Any:
        return find_segments(
            class_logits,
            mask_logits,
            image_shape=image_shape,
            threshold=THRESHOLD,
            grid_shape=PAINTING_GRIDS[kind],
            id2label={},
        )

    def ours() -> Any:
        result = ours_without_map()
        _ = result["segmentation"]
        return result

    return dict(zip(SIDES, (theirs, ours, ours_without_map), strict=True))


def compare(options: argparse.Namespace, kind: str) -> None:
    calls = sides(options, kind)
    cpu: dict[str, list[float]] = {side: [] for side in SIDES}
    wall: dict[str, list[float]] = {side: [] for side in SIDES}
    answers = {}
    for _ in range(options.repeats):
        for side, call in calls.items():
            cpu_start, wall_start = time.process_time(), time.perf_counter()
            answers[side] = call()
            cpu[side].append(time.process_time() - cpu_start)
            wall[side].append(time.perf_counter() - wall_start)
    theirs, ours = answers["transformers"], answers["ours"]
    equal = theirs["segments_info"] == ours["segments_info"] and torch.equal(
        theirs["segmentation"].int(), ours["segmentation"]
    )
    peaks = {side: measured_peak(kind, side) for side in SIDES}
    verdict = "equal" if equal else "DIFFERENT"
    print(f"{kind}: {len(ours['segments_info'])} segments; the answers are {verdict}")
    print(f"  {'':18} {'CPU ms':>10} {'wall ms':>10} {'peak MB':>10} {'CPU ratio':>10} {'peak ratio':>11}")
    for side in SIDES:
        cpu_ratio = min(cpu["transformers"]) / min(cpu[side])
        print(
            f"  {side:18} {min(cpu[side]) * 1e3:10.1f} {min(wall[side]) * 1e3:10.1f} "
            f"{peaks[side] / 1e6:10.1f} {cpu_ratio:10.1f} {peaks['transformers'] / peaks[side]:11.1f}"
        )
    print()
    if not equal:
        sys.exit(1)


def measured_peak(kind: str, side: str) -> int:
    command = [sys.executable, __file__, *sys.argv[1:], "--measure", kind, side]
    return int(json.loads(subprocess.run(command, check=True, capture_output=True).stdout))


def peak_extra_bytes(call: Callable[[], Any]) -> int:
    """Say by how much a call raises the highest resident size that this process ever had."""
    before = peak_resident_bytes()
    call()
    return max(1, peak_resident_bytes() - before)


if __name__ == "__main__":
    main()
