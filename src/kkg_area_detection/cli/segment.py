"""``kkg segment``: images in, overlay pictures and JSON files out."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from kkg_area_detection.cli.inputs import free_name
from kkg_area_detection.cli.messages import show_error
from kkg_area_detection.cli.options import (
    OUTPUT,
    Device,
    Engine,
    Force,
    ModelName,
    ModelPath,
    Output,
    Precision,
    Threshold,
    Tile,
    check_model,
    load_model,
    parse_tile,
)
from kkg_area_detection.errors import ImageError, ImageNotFoundError, KkgAreaDetectionError, UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.segments import SegmentSummary
    from kkg_area_detection.segmentation.windows import TileOption


class _Job(NamedTuple):
    image: Path
    picture: Path
    document: Path


def segment(
    images: Annotated[list[Path], typer.Argument(help="Drawings: PNG, JPEG, TIFF, ...", show_default=False)],
    model_name: ModelName = None,
    model_path: ModelPath = None,
    device: Device = None,
    tile: Tile = None,
    output: Output = OUTPUT,
    engine: Engine = None,
    precision: Precision = "auto",
    threshold: Threshold = 0.5,
    force: Force = False,
) -> None:
    """Segment drawings; write an overlay picture and a JSON file for each."""
    check_model(model_name, model_path)
    jobs = _jobs(images, output)
    _check(jobs, output, force=force)
    windows = parse_tile(tile)
    seconds = load_model(
        model_name=model_name, model_path=model_path, device=device, engine=engine, precision=precision
    )
    typer.echo(f"Model ready in {seconds:.1f} s.")
    failed = [job.image for job in jobs if not _done(job, threshold, windows)]
    if failed:
        if len(jobs) > 1:
            names = ", ".join(map(str, failed))
            typer.echo(f"{len(failed)} of {len(jobs)} drawings failed: {names}", err=True)
        raise typer.Exit(1)


def _jobs(images: list[Path], output: Path) -> list[_Job]:
    """What becomes of each image; where two would share a name, the later one gets a number."""
    taken: set[str] = set()
    jobs = []
    for image in images:
        stem = free_name(image.stem, taken)
        jobs.append(_Job(image, output / f"{stem}.segments.png", output / f"{stem}.segments.json"))
    return jobs


def _check(jobs: list[_Job], output: Path, *, force: bool) -> None:
    """Find out before the model is loaded what would go wrong after it."""
    from kkg_area_detection.areas.output import check_target, prepare_directory

    _check_images([job.image for job in jobs])
    prepare_directory(output)
    for path in (path for job in jobs for path in (job.picture, job.document)):
        check_target(path)
        if path.exists() and not force:
            raise UsageError(f"{path} exists.", next_step="pass --force, or another --output.")


def _check_images(images: list[Path]) -> None:
    from kkg_area_detection.documents import find_image

    problems: list[ImageError] = []
    for image in images:
        try:
            find_image(image)
        except ImageError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    if problems:
        kind = ImageNotFoundError if isinstance(problems[0], ImageNotFoundError) else ImageError
        raise kind("\n".join(problem.what for problem in problems), next_step=problems[0].next_step)


def _done(job: _Job, threshold: float, tile: TileOption) -> bool:
    """Segment one drawing; say what was found, or what went wrong."""
    try:
        _segment(job, threshold, tile)
    except KkgAreaDetectionError as error:  # the other drawings do not depend on this one
        show_error(error)
        return False
    return True


def _segment(job: _Job, threshold: float, tile: TileOption) -> None:
    import kkg_area_detection as kkg
    from kkg_area_detection.areas.output import save_json, save_picture
    from kkg_area_detection.areas.segments import summarize_segments
    from kkg_area_detection.documents import open_image

    began = time.perf_counter()
    drawing = open_image(job.image)
    result = kkg.get_segmentation_result(drawing, threshold=threshold, tile=tile)
    elapsed = time.perf_counter() - began
    segments = summarize_segments(result)
    save_picture(kkg.draw_segments(drawing, result), job.picture)
    document = {
        "image": job.image.name,
        "width": drawing.width,
        "height": drawing.height,
        "segments": [asdict(one) for one in segments],
    }
    save_json(document, job.document)
    _print_table(f"{job.image.name}: {len(segments)} segments in {elapsed:.2f} s", segments)
    typer.echo(f"Wrote {job.picture} and {job.document}\n")


def _print_table(title: str, segments: list[SegmentSummary]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    # Text, because in a plain string rich would take [1F] for an instruction.
    table = Table(title=Text(title), title_justify="left")
    for heading in ("id", "score", "share of drawing"):
        table.add_column(heading, justify="right")
    table.add_column("label")
    for one in segments:
        table.add_row(str(one.id), f"{one.score:.2f}", f"{one.share:.1%}", Text(one.label))
    Console().print(table)
