"""Whole processes from the start of Python to segments: this library and plain transformers, in alternation.

    pip install -e '.[bench]'
    python benchmarks/segmentation.py
    python benchmarks/segmentation.py --models swin-l --sizes a4 --repeats 1

Every measurement is a fresh process (`segmentation_worker.py`); files are in the system's cache, as on a warm
start. transformers runs as `from_pretrained` gives it, in float32, with its PIL processor. The Swin models have the
published shapes and random weights (`models.py`), the sheets are drawn (`plans.py`); both sides get the same, on
the same number of processors, and their answers are compared. Medians of the repeats count.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machine import describe_load, describe_machine, plain_environment
from matching import LEAST_IOU, compare
from PIL import Image, ImageDraw, ImageFont
from plans import draw_sheet

from kkg_area_detection.api import demo_model_path

HERE = Path(__file__).parent
PICTURE = HERE.parent / "docs" / "images" / "segmentation-benchmark.png"
SIDES = ("theirs", "ours")
STAGES = ("import", "load", "prepare", "forward", "post-process")
SUMS = {"start to ready": STAGES[:2], "total": STAGES}
ROWS = ("import", "load", "start to ready", "prepare", "forward", "post-process", "total")
PACKAGES = ("kkg-area-detection", "torch", "transformers", "openvino")
KILLED, NO_MEMORY = -9, "can't allocate memory"  # what Linux, and torch, say when memory runs out


class Sheet(NamedTuple):
    """A size of paper, lying on its long side."""

    title: str
    width: int
    height: int
    dpi: int


SHEETS = {
    "a4": Sheet("A4 300 dpi", 3508, 2480, 300),
    "a3": Sheet("A3 300 dpi", 4961, 3508, 300),
    "a1": Sheet("A1 200 dpi", 6622, 4677, 200),
}
MODELS = {
    "swin-t": "Swin-T, 100 queries",
    "swin-l": "Swin-L, 200 queries",
    "bundled": "bundled model, 200 queries",
}


class Usage(NamedTuple):
    """Seconds, processor seconds, bytes."""

    wall: float
    cpu: float
    peak: float


@dataclass(frozen=True)
class Run:
    """What one process took, and what it found."""

    stages: dict[str, Usage]
    labels: list[int]
    beyond_map: float = 0.0

    def usage(self, row: str) -> Usage:
        """What a stage took, or several together."""
        stages = [self.stages[name] for name in SUMS.get(row, (row,))]
        wall, cpu, peak = zip(*stages, strict=True)
        return Usage(sum(wall), sum(cpu), max(peak))


@dataclass
class Case:
    """A model and a sheet, and the runs of both sides. No runs of theirs: memory was not enough for them."""

    model: str
    size: str
    directory: Path
    sheet: Path
    runs: dict[str, list[Run]] = field(default_factory=lambda: {side: [] for side in SIDES})
    verdict: str = ""

    @property
    def title(self) -> str:
        """Model and sheet."""
        return f"{MODELS[self.model]}, {SHEETS[self.size].title}"

    def median(self, side: str, row: str) -> Usage:
        """Medians of the repeats."""
        usages = [run.usage(row) for run in self.runs[side]]
        return Usage(*(statistics.median(values) for values in zip(*usages, strict=True)))


def main() -> None:
    options = parse_options()
    with workplace(options.directory) as name:
        directory = Path(name)
        print(f"{describe_machine(*PACKAGES)}\n{describe_choice(options)}\n", flush=True)
        cases = make_cases(options, directory)
        print(f"Before: {describe_load()}.\n", flush=True)
        for model in options.models:
            measure([case for case in cases if case.model == model], options, directory)
    for case in cases:
        print(stages_table(case))
    print(targets_table(cases))
    print(f"After: {describe_load()}.")
    draw(cases, options.picture)
    print(f"Picture: {options.picture}")


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=["swin-t", "bundled"])
    parser.add_argument("--sizes", nargs="+", choices=SHEETS, default=list(SHEETS))
    parser.add_argument("--engine", help="of ours; left out, the library chooses")
    parser.add_argument("--precision", help="of ours; left out, the library chooses")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="processors for either side")
    parser.add_argument("--directory", type=Path, help="keep models and sheets here for the next time")
    parser.add_argument("--picture", type=Path, default=PICTURE)
    return parser.parse_args()


def workplace(directory: Path | None) -> AbstractContextManager[str | Path]:
    if directory is None:
        return tempfile.TemporaryDirectory(prefix="kkg-bench-")
    directory.mkdir(parents=True, exist_ok=True)
    return nullcontext(directory.absolute())


def choice_of(options: argparse.Namespace) -> dict[str, str]:
    """What `initialize_model` is told about engine and precision."""
    given = {"engine": options.engine, "precision": options.precision}
    return {name: value for name, value in given.items() if value is not None}


def describe_choice(options: argparse.Namespace) -> str:
    choice = ", ".join(f"{name} {value}" for name, value in choice_of(options).items())
    return f"{options.threads} thread(s), medians of {options.repeats}, ours with {choice or 'its defaults'}"


# --- what is measured ---------------------------------------------------------------------------------------


def make_cases(options: argparse.Namespace, directory: Path) -> list[Case]:
    """Draw the sheets and make the models that are not there yet."""
    sheets = {size: directory / f"{size}.png" for size in options.sizes}
    for size, path in sheets.items():
        if not path.exists():
            draw_sheet(*SHEETS[size][1:], seed=1).save(path)
    models = {}
    for model in options.models:
        models[model] = demo_model_path() if model == "bundled" else directory / model
        if not models[model].exists():
            program = [sys.executable, str(HERE / "models.py")]
            subprocess.run(
                [*program, model, str(models[model]), str(next(iter(sheets.values())))], check=True
            )
    return [
        Case(model, size, models[model], sheets[size]) for model in options.models for size in options.sizes
    ]


def measure(cases: list[Case], options: argparse.Namespace, directory: Path) -> None:
    """Run both sides of all cases of a model, in alternation."""
    start(cases[0], "theirs", options, picture=None)  # files get into the system's cache
    for case in cases:  # and what an engine compiles for a shape, into its own
        start(case, "ours", options, picture=case.sheet)
    for repeat in range(options.repeats):
        for case in cases:
            maps = {side: directory / f"{side}.npy" for side in SIDES if repeat == 0}
            for side in SIDES if repeat % 2 else SIDES[::-1]:
                if repeat == 0 or case.runs[side]:  # not twice where memory was not enough
                    case.runs[side] += run_once(case, side, options, maps.get(side))
            if repeat == 0:
                case.verdict = verdict(case, maps)
        print(f"{MODELS[cases[0].model]}: round {repeat + 1} of {options.repeats}", file=sys.stderr)


def run_once(case: Case, side: str, options: argparse.Namespace, map_path: Path | None) -> list[Run]:
    """Run one side in a fresh process; an empty list where memory was not enough."""
    report = start(case, side, options, picture=case.sheet, map_path=map_path)
    if report is None:
        return []
    stages = {name: Usage(**usage) for name, usage in report["stages"].items()}
    return [Run(stages, report["labels"], report.get("beyond_map", 0.0))]


def start(
    case: Case, side: str, options: argparse.Namespace, picture: Path | None, map_path: Path | None = None
) -> dict[str, Any] | None:
    """Start the worker and wait for its report.

    Args:
        case: Whose model to load.
        side: One of `SIDES`.
        options: Of the command line.
        picture: What to segment; None ends once the model is loaded.
        map_path: Where to write the full-size map.

    Returns:
        The report; None where memory was not enough.
    """
    order = {
        "side": side,
        "model": str(case.directory),
        "picture": picture and str(picture),
        "threads": options.threads,
        "choice": choice_of(options),
        "map": map_path and str(map_path),
        "began": time.monotonic(),
    }
    environment = plain_environment() | {
        "OMP_NUM_THREADS": str(options.threads),
        "HF_HUB_OFFLINE": "1",
        "MODEL_CACHE_DIR": str(case.sheet.parent / "cache"),  # where an engine keeps what it compiled
    }
    command = [sys.executable, str(HERE / "segmentation_worker.py"), json.dumps(order)]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    if done.returncode == KILLED or NO_MEMORY in done.stderr:
        return None
    if done.returncode:
        sys.exit(f"{case.title}, {side}:\n{done.stderr}")
    report: dict[str, Any] = json.loads(done.stdout)
    return report


def verdict(case: Case, maps: dict[str, Path]) -> str:
    """Say whether both sides found the same."""
    if not case.runs["theirs"]:
        return f"{len(case.runs['ours'][0].labels)} segments; memory was not enough for transformers"
    labels = {side: case.runs[side][0].labels for side in SIDES}
    found = compare(np.load(maps["theirs"]), labels["theirs"], np.load(maps["ours"]), labels["ours"])
    return (
        f"segments: transformers {len(labels['theirs'])}, ours {len(labels['ours'])}; "
        f"{found.matched} of {found.segments[0]} visible ones the same (label, IoU > {LEAST_IOU}); "
        f"{found.equal_pixels / found.pixels:.4%} of the pixels equal"
    )


# --- what is shown --------------------------------------------------------------------------------------------


def stages_table(case: Case) -> str:
    lines = [
        f"{case.title} ({SHEETS[case.size].width} x {SHEETS[case.size].height} px). {case.verdict}.\n",
        "| | CPU s: transformers | ours | times less | wall s: transformers | ours | times less "
        "| peak MB: transformers | ours | ours / theirs |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        ours = case.median("ours", row)
        theirs = case.median("theirs", row) if case.runs["theirs"] else Usage(*(float("nan"),) * 3)
        times = " | ".join(
            f"{one:.3f} | {other:.3f} | {one / other:.1f}"
            for one, other in ((theirs.cpu, ours.cpu), (theirs.wall, ours.wall))
        )
        peaks = f"{theirs.peak / 1e6:.0f} | {ours.peak / 1e6:.0f} | {ours.peak / theirs.peak:.2f}"
        lines.append(f"| {row} | {times} | {peaks} |")
    return "\n".join(lines) + "\n"


def targets_table(cases: list[Case]) -> str:
    """How each case stands to what was aimed at. Of two numbers, the worse one is judged."""
    lines = [
        "| CPU, wall | post-processing: at least 150 times less CPU | its memory beyond the map: at most 40 MB "
        "| start to ready: at most 0.4 of theirs | forward: at least 1.7 times faster "
        "| whole process: at least 4 times faster | peak memory: at most 0.4 of theirs |",
        "|---|---|---|---|---|---|---|",
    ]
    for case in cases:
        beyond = statistics.median(run.beyond_map for run in case.runs["ours"]) / 1e6
        cells = [judged([beyond], "MB", at_most=40)]
        if case.runs["theirs"]:
            start, forward, total = (speedups(case, row) for row in ("start to ready", "forward", "total"))
            peak = case.median("ours", "total").peak / case.median("theirs", "total").peak
            cells = [
                judged(speedups(case, "post-process")[:1], at_least=150),
                *cells,
                judged([1 / value for value in start], at_most=0.4),
                judged(forward, at_least=1.7),
                judged(total, at_least=4),
                judged([peak], at_most=0.4),
            ]
        else:
            cells = ["", *cells, *[""] * 4]
        lines.append(f"| {case.title} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def speedups(case: Case, row: str) -> list[float]:
    """How many times less CPU and less wall time ours takes."""
    theirs, ours = case.median("theirs", row), case.median("ours", row)
    return [theirs.cpu / ours.cpu, theirs.wall / ours.wall]


def judged(
    values: list[float], unit: str = "", *, at_least: float = float("-inf"), at_most: float = float("inf")
) -> str:
    met = all(at_least <= value <= at_most for value in values)
    return (
        " / ".join(f"{value:.3g}" for value in values)
        + (f" {unit}" if unit else "")
        + ("" if met else " **missed**")
    )


COLOURS = {
    "import": "#c3cdd1",
    "load": "#93a1a8",
    "prepare": "#e3b23c",
    "forward": "#1f6f8b",
    "post-process": "#c8553d",
}
NAMES = {"theirs": "transformers", "ours": "kkg-area-detection"}
INK, FAINT, PAPER = "#22292f", "#5d6a72", "#ffffff"
WIDTH, MARGIN, LEFT, RIGHT, TOP = 1200, 40, 320, 110, 130
BAR, BETWEEN_BARS, GROUP, HEADING = 26, 6, 92, 46


def draw(cases: list[Case], path: Path) -> None:
    """Two stacked bars a sheet, wall clock; every model has a scale of its own."""
    font, bold = ImageFont.load_default(20), ImageFont.load_default(26)
    models = list(dict.fromkeys(case.model for case in cases))
    height = TOP + HEADING * len(models) + GROUP * len(cases) + MARGIN // 2
    image = Image.new("RGB", (WIDTH, height), PAPER)
    canvas = ImageDraw.Draw(image)
    canvas.text((MARGIN, 28), "Seconds from the start of Python to segments (shorter is better)", INK, bold)
    draw_legend(canvas, font)
    y = TOP
    for model in models:
        group = [case for case in cases if case.model == model]
        longest = max(case.median(side, "total").wall for case in group for side in SIDES if case.runs[side])
        scale = (WIDTH - LEFT - MARGIN - RIGHT) / longest
        canvas.text((MARGIN, y + 8), MODELS[model], INK, ImageFont.load_default(22))
        y += HEADING
        for case in group:
            draw_case(canvas, case, y, scale, font)
            y += GROUP
    path.parent.mkdir(parents=True, exist_ok=True)
    image.save(path, optimize=True)


def draw_case(
    canvas: ImageDraw.ImageDraw, case: Case, y: int, scale: float, font: ImageFont.FreeTypeFont
) -> None:
    for side in SIDES:
        x = float(LEFT)
        middle = y + BAR / 2
        canvas.text((LEFT - 14, middle), NAMES[side], FAINT, ImageFont.load_default(17), anchor="rm")
        if case.runs[side]:
            for stage in STAGES:
                length = case.median(side, stage).wall * scale
                canvas.rectangle((round(x), y, max(round(x), round(x + length) - 1), y + BAR), COLOURS[stage])
                x += length
            text = f"{case.median(side, 'total').wall:.1f} s"
        else:
            text = "not enough memory"
        canvas.text((x + 10, middle), text, INK, font, anchor="lm")
        y += BAR + BETWEEN_BARS
    canvas.text((MARGIN, y - BAR - BETWEEN_BARS - 3), SHEETS[case.size].title, INK, font, anchor="lm")


def draw_legend(canvas: ImageDraw.ImageDraw, font: ImageFont.FreeTypeFont) -> None:
    x = MARGIN
    for stage, colour in COLOURS.items():
        canvas.rectangle((x, 78, x + 20, 98), colour)
        canvas.text((x + 30, 88), stage, INK, font, anchor="lm")
        x += int(canvas.textlength(stage, font)) + 70


if __name__ == "__main__":
    main()
