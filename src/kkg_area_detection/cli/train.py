"""``kkg train``: a run folder out of generated plans and annotated drawings."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kkg_area_detection.cli.options import parse_category
from kkg_area_detection.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import FrameType


def train(
    run_folder: Annotated[
        Path,
        typer.Argument(help="Where the run is kept. The same command goes on with it.", show_default=False),
    ],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="COCO folder (CVAT, Label Studio); may be repeated. Without one: generated plans alone."
        ),
    ] = None,
    mix: Annotated[
        float | None, typer.Option(help="Share of the images that come from --data (default 0.5).")
    ] = None,
    category: Annotated[
        list[str] | None, typer.Option(help="Category of --data that is a label: --category Zimmer=room.")
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(help="What to find, with commas; without it what --data or the generator knows."),
    ] = None,
    start: Annotated[
        str | None, typer.Option("--from", help="Model to go on from: a directory, or a name in cache or S3.")
    ] = None,
    preset: Annotated[
        str | None, typer.Option(help="Network from scratch: tiny, small (default) or swin-tiny.")
    ] = None,
    images: Annotated[int | None, typer.Option(help="Length of the run in images (default 100000).")] = None,
    hours: Annotated[
        float | None, typer.Option(help="Length of the run; how many images fit is measured first.")
    ] = None,
    size: Annotated[
        int | None, typer.Option(help="Longest edge that the model will see, in pixels (default 512).")
    ] = None,
    batch: Annotated[
        int | None, typer.Option(help="Images of a step (default 4; on a GPU 16 or more are quicker).")
    ] = None,
    learning_rate: Annotated[
        float | None, typer.Option(help="At its highest (default 8e-4; with --from 2e-4).")
    ] = None,
    precision: Annotated[str | None, typer.Option(help="auto, float32, bfloat16 or float16.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of everything random (default 0).")] = None,
    workers: Annotated[int | None, typer.Option(help="Processes that prepare images (default 1).")] = None,
    device: Annotated[
        str | None, typer.Option("--device", "-d", help="cuda, mps or cpu; without it the best one is used.")
    ] = None,
) -> None:
    """Train a model. Ctrl-C saves; the same command, or just the folder, goes on."""
    if mix is not None and not data:
        raise UsageError(
            "--mix says how much --data counts, but there is none.", next_step="pass --data FOLDER."
        )
    if start is not None and preset is not None:
        raise UsageError(
            "A model to go on from has its own network.", next_step="leave out --preset or --from."
        )
    given: dict[str, Any] = {
        "data": tuple(str(path.resolve()) for path in data) if data else None,
        "mix": mix,
        "category_labels": tuple(map(parse_category, category)) if category else None,
        "labels": tuple(label.strip() for label in labels.split(",")) if labels else None,
        "preset": preset,
        "images": images,
        "learning_rate": learning_rate,
        "precision": precision,
        "seed": seed,
        "workers": workers,
    }
    if start is not None:
        given["start"] = str(_model_directory(start))

    typer.echo("Loading ...", err=True)  # torch alone takes seconds to import
    _require_extra()
    from kkg_area_detection.progress import show_item_progress
    from kkg_area_detection.training.start import Wishes
    from kkg_area_detection.training.start import train as train_model

    fields = tuple((name, value) for name, value in given.items() if value is not None)
    with show_item_progress() as progress, _noted_signals() as noted:
        result = train_model(
            run_folder,
            Wishes(hours, size, batch, fields),
            device=device,
            progress=progress,
            stop=lambda: bool(noted),
        )
    if not result.finished:
        typer.echo(
            f"Stopped after {result.images} images; saved. To go on:  kkg train {run_folder}", err=True
        )
        raise typer.Exit(128 + noted[0])
    typer.echo(
        f"Trained on {result.images} images.\nWrote {result.model}\nTry it:  kkg segment DRAWING -p {result.model}"
    )


def _model_directory(start: str) -> Path:
    """A directory that is there, or else a model of that name."""
    if Path(start).is_dir() or "/" in start or "\\" in start:
        return Path(start).resolve()
    from kkg_area_detection.hub.resolve import resolve_model
    from kkg_area_detection.progress import show_progress

    with show_progress() as progress:
        return resolve_model(None, start, progress)


def _require_extra() -> None:
    try:
        import matplotlib  # noqa: F401
        import scipy  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            f"Training needs {error.name}.", next_step="pip install 'kkg-area-detection[training]'"
        ) from error


@contextmanager
def _noted_signals() -> Iterator[list[int]]:
    """Let the first Ctrl-C or SIGTERM only be noted, so that the step at hand is finished and saved.

    Yields:
        A list for the number of the signal.
    """
    noted: list[int] = []

    def note(number: int, _frame: FrameType | None) -> None:
        noted.append(number)
        typer.echo("Saving; once more to end at once.", err=True)
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield noted
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
