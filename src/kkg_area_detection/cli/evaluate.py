"""``kkg evaluate``: a model against drawings whose segments are known."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kkg_area_detection.cli.options import (
    DetectTile,
    Device,
    Engine,
    ModelName,
    ModelPath,
    Precision,
    Threshold,
    check_model,
    load_model,
    parse_category,
    parse_tile,
)
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.result import SegmentationResult
    from kkg_area_detection.training.coco import CocoFolder
    from kkg_area_detection.training.evaluation.evaluate import Evaluation
    from kkg_area_detection.training.samples import Sample

_AS_IT_IS = 100_000  # pixels: no annotated drawing is reduced


def evaluate(
    model_name: ModelName = None,
    model_path: ModelPath = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(help="COCO folder (CVAT, Label Studio); may be repeated. Without one: generated plans."),
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Category of --data that is a label: --category Zimmer=room.")
    ] = None,
    plans: Annotated[
        int | None, typer.Option(min=1, help="How many generated plans (100 where there is no --data).")
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=800_000_000, help="Of the first plan. Training never sees these.")
    ] = 0,
    size: Annotated[int, typer.Option(min=64, help="Longest edge of generated plans in pixels.")] = 768,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the report.")] = Path(
        "kkg-evaluation"
    ),
    scale: Annotated[
        float | None, typer.Option(help="Millimetres a pixel of the drawings, for errors in m2.")
    ] = None,
    painting: Annotated[
        Literal["fine", "exact"], typer.Option(help="fine, as areas have it; or exact, as transformers does.")
    ] = ("fine"),
    device: Device = None,
    tile: DetectTile = "auto",
    engine: Engine = None,
    precision: Precision = "auto",
    threshold: Threshold = 0.5,
    worst: Annotated[int, typer.Option(min=0, help="How many of the worst drawings to show.")] = 12,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the numbers as JSON in place of a table.")
    ] = False,
) -> None:
    """Measure a model: PQ, F1, IoU, borders and areas, by label; with a report and the worst cases."""
    check_model(model_name, model_path)
    if scale is not None and scale <= 0:
        raise UsageError(f"--scale is {scale}.", next_step="pass millimetres a pixel: --scale 8.5")
    from kkg_area_detection.areas.output import prepare_directory
    from kkg_area_detection.training.coco import CocoFolder
    from kkg_area_detection.training.evaluation.report import as_document, write_report

    windows, names = parse_tile(tile), dict(map(parse_category, category or []))
    folders = [CocoFolder.open(folder, names) for folder in data or []]
    n_plans = plans if plans is not None else 0 if folders else 100
    prepare_directory(output)
    load_model(
        model_name=model_name, model_path=model_path, device=device, engine=engine, precision=precision
    )
    drawings = _Drawings(folders, n_plans, seed, size)
    evaluation = _evaluated(drawings, worst, threshold=threshold, tile=windows, painting=painting)
    about = {
        "model": str(model_path or model_name),
        "drawings": ", ".join([*map(str, data or []), *([f"{n_plans} generated plans"] if n_plans else [])]),
        "plans": f"seeds from {seed}, {size} px" if n_plans else "none",
        "threshold": f"{threshold:g}",
        "painting": painting,
        "windows": tile,
    }
    page = write_report(evaluation, output, about, scale)
    if as_json:
        typer.echo(json.dumps(as_document(evaluation, about, scale), ensure_ascii=False, indent=1))
    else:
        _print(evaluation)
    typer.echo(f"Wrote {page}", err=as_json)


class _Drawings:
    """Annotated drawings, and then generated plans."""

    def __init__(self, folders: list[CocoFolder], n_plans: int, seed: int, size: int) -> None:
        from kkg_area_detection.training.samples import LABELS

        self._folders = folders
        self._seeds = range(seed, seed + n_plans)
        self._size = size
        self.labels = [label for folder in folders for label in folder.labels]
        self.labels += LABELS if n_plans else ()

    def __len__(self) -> int:
        return sum(map(len, self._folders)) + len(self._seeds)

    def __iter__(self) -> Iterator[Sample]:
        from kkg_area_detection.training.plans import generate_plan

        for folder in self._folders:
            yield from (folder.read(index, _AS_IT_IS) for index in range(len(folder)))
        yield from (generate_plan(seed, self._size) for seed in self._seeds)


def _evaluated(drawings: _Drawings, n_worst: int, **options: Any) -> Evaluation:
    import numpy as np

    import kkg_area_detection as kkg
    from kkg_area_detection.progress import show_item_progress
    from kkg_area_detection.training.evaluation.evaluate import evaluate, shared_labels

    def segment(sample: Sample) -> SegmentationResult:
        return kkg.get_segmentation_result(sample.image, progress=False, **options)

    known = kkg.get_segmentation_result(np.full((64, 64, 3), 255, np.uint8)).id2label.values()
    labels, unknown = shared_labels(drawings.labels, known)
    if not labels:
        raise UsageError(
            f"The model knows {', '.join(known)}; the drawings have {', '.join(unknown)}.",
            next_step="say which category is which label: --category Zimmer=room",
        )
    if unknown:
        typer.echo(f"The model does not know {', '.join(unknown)}: left out.", err=True)
    with show_item_progress() as progress:
        progress.start("Evaluating", len(drawings))
        return evaluate(drawings, segment, labels, n_worst=n_worst, progress=progress)


def _print(evaluation: Evaluation) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from kkg_area_detection.training.evaluation.report import HEADINGS, rows_of

    title = f"{len(evaluation.images)} drawings, mean IoU {evaluation.mean_iou:.3f}"
    table = Table(title=title, title_justify="left", box=None, padding=(0, 1), pad_edge=False)
    table.add_column("label")
    for heading in HEADINGS:
        table.add_column(heading, justify="right")
    for label, *cells in rows_of(evaluation):
        table.add_row(Text(label), *cells)
    Console().print(table)
