"""Options that several sub-commands share, and what they mean."""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import typer

from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.windows import TileOption

ModelName: TypeAlias = Annotated[
    str | None, typer.Option("--model-name", "-n", help="Model from the cache, or from S3.")
]
ModelPath: TypeAlias = Annotated[
    Path | None, typer.Option("--model-path", "-p", help="Local model directory.")
]
Device: TypeAlias = Annotated[
    str | None, typer.Option("--device", "-d", help="cuda, mps or cpu; without it the best one is used.")
]
Engine: TypeAlias = Annotated[
    str | None, typer.Option(help="auto, native, openvino or reference (transformers).")
]
Precision: TypeAlias = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Tile: TypeAlias = Annotated[
    str | None, typer.Option(help="Windows for large sheets: auto, or size,overlap in pixels (2048,512).")
]
DetectTile: TypeAlias = Annotated[
    str, typer.Option(help="Windows for large sheets: auto, none, or size,overlap in pixels (2048,512).")
]
Threshold: TypeAlias = Annotated[float, typer.Option(min=0.0, max=1.0, help="Least score of a segment.")]
Output: TypeAlias = Annotated[Path, typer.Option("--output", "-o", help="Directory for the results.")]
Force: TypeAlias = Annotated[bool, typer.Option("--force", help="Overwrite results that are there.")]

OUTPUT = Path("kkg-output")


def check_model(model_name: str | None, model_path: Path | None) -> None:
    """Pass silently where a model was named.

    Raises:
        UsageError: None was.
    """
    if model_name is None and model_path is None:
        raise UsageError(
            "No model was given.", next_step="pass --model-name (-n) NAME, or --model-path (-p) DIRECTORY."
        )


def load_model(
    *,
    model_name: str | None,
    model_path: Path | None,
    device: str | None,
    engine: str | None,
    precision: str,
) -> float:
    """Load the model, and say on standard error that it takes a while.

    Returns:
        The seconds it took.
    """
    typer.echo("Loading ...", err=True)  # torch alone takes seconds to import
    import kkg_area_detection as kkg

    began = time.perf_counter()
    kkg.initialize_model(
        model_path=model_path, device=device, model_name=model_name, engine=engine, precision=precision
    )
    return time.perf_counter() - began


def parse_tile(tile: str | None) -> TileOption:
    """What ``--tile`` says, for the library to judge.

    Raises:
        UsageError: It is neither a word nor two numbers.
    """
    if tile is None or tile.strip().lower() in ("auto", "none"):
        return "auto" if tile is not None and tile.strip().lower() == "auto" else None
    match = re.fullmatch(r"\s*(\d+)\s*[,x:]\s*(\d+)\s*", tile)
    if match is None:
        raise UsageError(
            f"--tile is {tile!r}.",
            next_step="pass auto, none, or size and overlap in pixels: --tile 2048,512",
        )
    return int(match[1]), int(match[2])


def parse_category(text: str) -> tuple[str, str]:
    """The name of a category and the label that it is: ``Zimmer=room``.

    Raises:
        UsageError: It is something else.
    """
    name, equals, label = text.rpartition("=")
    if not equals or not name.strip() or not label.strip():
        raise UsageError(f"--category is {text!r}.", next_step="pass NAME=LABEL: --category Zimmer=room")
    return name.strip(), label.strip()
