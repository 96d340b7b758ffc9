"""How far engines and precisions agree with transformers in float32, on the bundled model and generated plans.

    python benchmarks/agreement.py
    python benchmarks/agreement.py --plans 20 --engines native --precisions float32 bfloat16

Every plan is segmented by the reference engine first, then by each engine in each precision; full-size maps are
compared (`matching.py`). The plans are those of `plans.py`, the same on every run.
"""

from __future__ import annotations

import argparse
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from machine import describe_machine
from matching import LEAST_IOU, Agreement, compare
from plans import draw_plan

from kkg_area_detection import (
    KkgAreaDetectionError,
    demo_model_path,
    get_segmentation_result,
    initialize_model,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from kkg_area_detection import SegmentationResult

REFERENCE = ("reference", "float32")
PACKAGES = ("kkg-area-detection", "torch", "transformers", "openvino")


def main() -> None:
    logging.basicConfig(level=logging.WARNING)  # an engine that gives way to another one says so
    options = parse_options()
    model = "the bundled model" if options.model == demo_model_path() else options.model
    print(f"{describe_machine(*PACKAGES)}\n{options.plans} plans, {model}, {options.device}\n")
    references = list(results(options, *REFERENCE))
    labels = label_names(options.model)
    print(heading(labels))
    for engine in options.engines:
        for precision in options.precisions:
            try:
                agreements = [
                    agreement(*pair)
                    for pair in zip(references, results(options, engine, precision), strict=True)
                ]
            except KkgAreaDetectionError as error:
                print(f"| {engine} | {precision} | {error} |")
                continue
            print(row(engine, precision, agreements, labels), flush=True)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--plans", type=int, default=200, help="how many")
    parser.add_argument("--engines", nargs="+", default=["native", "openvino"])
    parser.add_argument("--precisions", nargs="+", default=["float32", "bfloat16", "float16"])
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--model", type=Path, default=demo_model_path(), help="a directory")
    return parser.parse_args()


def results(options: argparse.Namespace, engine: str, precision: str) -> Iterator[SegmentationResult]:
    """Segment all plans, one after the other.

    Raises:
        KkgAreaDetectionError: There is no such engine here, or not in this precision.
    """
    initialize_model(
        model_path=options.model, device=options.device, engine=engine, precision=precision, progress=False
    )
    for seed in range(options.plans):
        yield get_segmentation_result(draw_plan(seed))


def agreement(reference: SegmentationResult, other: SegmentationResult) -> Agreement:
    return compare(full_map(reference), label_ids(reference), full_map(other), label_ids(other))


def full_map(result: SegmentationResult) -> NDArray[np.int32]:
    """The map of `result["segmentation"]`, which would be kept for hundreds of results."""
    return result.id_grid[result.row_index][:, result.column_index]


def label_ids(result: SegmentationResult) -> list[int]:
    return [segment["label_id"] for segment in result["segments_info"]]


def label_names(model: Path) -> dict[int, str]:
    names = json.loads((model / "config.json").read_text())["id2label"]
    return {int(label): name for label, name in names.items()}


# --- what is shown --------------------------------------------------------------------------------------------


def heading(labels: dict[int, str]) -> str:
    areas = " | ".join(f"area of {name} off by" for name in labels.values())
    return (
        f"| engine | precision | equal pixels | in the worst plan | plans with every pixel equal "
        f"| segments of the reference | of the engine | the same (label, IoU > {LEAST_IOU}) | {areas} |\n"
        f"|{'---|' * (8 + len(labels))}"
    )


def row(engine: str, precision: str, agreements: list[Agreement], labels: dict[int, str]) -> str:
    equal = sum(one.equal_pixels for one in agreements) / sum(one.pixels for one in agreements)
    worst = min(one.equal_pixels / one.pixels for one in agreements)
    whole = sum(one.equal_pixels == one.pixels for one in agreements)
    theirs = sum(one.segments[0] for one in agreements)
    ours = sum(one.segments[1] for one in agreements)
    matched = sum(one.matched for one in agreements)
    areas = " | ".join(f"{area_difference(agreements, label):.3%}" for label in labels)
    return (
        f"| {engine} | {precision} | {equal:.4%} | {worst:.2%} | {whole} of {len(agreements)} "
        f"| {theirs} | {ours} | {matched} ({matched / theirs:.2%}) | {areas} |"
    )


def area_difference(agreements: list[Agreement], label: int) -> float:
    """By how much the area of a label differs in a plan, of its area in the reference; plans weighted by that."""
    pairs = [one.areas[label] for one in agreements if label in one.areas]
    total = sum(reference for reference, _ in pairs)
    return sum(abs(reference - other) for reference, other in pairs) / total if total else float("nan")


if __name__ == "__main__":
    main()
