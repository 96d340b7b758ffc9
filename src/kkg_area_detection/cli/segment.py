"""``kkg segment``: images in, overlay pictures and JSON files out."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kkg_area_detection.areas.segments import SegmentSummary


def segment(
    images: Annotated[list[Path], typer.Argument(help="Drawings: PNG, JPEG, TIFF, ...", show_default=False)],
    model_name: Annotated[
        str | None, typer.Option("--model-name", "-n", help="Model from the cache, or from S3.")
    ] = None,
    model_path: Annotated[
        Path | None, typer.Option("--model-path", "-p", help="Local model directory.")
    ] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="cuda, mps or cpu; without it the best one is used.")
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the results.")] = Path(
        "kkg-output"
    ),
    threshold: Annotated[float, typer.Option(min=0.0, max=1.0, help="Least score of a segment.")] = 0.5,
    force: Annotated[bool, typer.Option("--force", help="Overwrite results that are there.")] = False,
) -> None:
    """Segment drawings; write an overlay picture and a JSON file for each."""
    targets = _targets(images, output)
    if not force:
        _refuse_to_overwrite([path for pair in targets for path in pair])

    import kkg_area_detection as kkg
    from kkg_area_detection.areas.segments import summarize_segments

    began = time.perf_counter()
    kkg.initialize_model(model_path=model_path, device=device, model_name=model_name)
    typer.echo(f"Model ready in {time.perf_counter() - began:.1f} s.")
    output.mkdir(parents=True, exist_ok=True)
    for image, (picture_path, json_path) in zip(images, targets, strict=True):
        began = time.perf_counter()
        result = kkg.get_segmentation_result(image, threshold=threshold)
        elapsed = time.perf_counter() - began
        segments = summarize_segments(result)
        _print_table(f"{image.name}: {len(segments)} segments in {elapsed:.2f} s", segments)
        kkg.draw_segments(image, result).save(picture_path)
        width, height = result.image_size
        document = {
            "image": image.name,
            "width": width,
            "height": height,
            "segments": [asdict(one) for one in segments],
        }
        json_path.write_text(json.dumps(document, ensure_ascii=False, indent=1), encoding="utf-8")
        typer.echo(f"Wrote {picture_path} and {json_path}\n")


def _targets(images: list[Path], output: Path) -> list[tuple[Path, Path]]:
    """Picture and JSON path of each image; two images of one name get numbers."""
    seen: dict[str, int] = {}
    targets = []
    for image in images:
        number = seen[image.stem] = seen.get(image.stem, 0) + 1
        stem = image.stem if number == 1 else f"{image.stem}-{number}"
        targets.append((output / f"{stem}.segments.png", output / f"{stem}.segments.json"))
    return targets


def _refuse_to_overwrite(paths: list[Path]) -> None:
    existing = [path for path in paths if path.exists()]
    if existing:
        typer.echo(f"Error: {existing[0]} exists.\n  Next step: pass --force, or another --output.", err=True)
        raise typer.Exit(1)


def _print_table(title: str, segments: list[SegmentSummary]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(title=title, title_justify="left")
    for heading in ("id", "score", "share of drawing"):
        table.add_column(heading, justify="right")
    table.add_column("label")
    for one in segments:
        table.add_row(str(one.id), f"{one.score:.2f}", f"{one.share:.1%}", one.label)
    Console().print(table)
