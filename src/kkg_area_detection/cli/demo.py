"""``kkg demo``: the whole way, from a real S3 server to a picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def demo(
    images: Annotated[
        list[Path] | None, typer.Argument(help="Drawings; without them, sample plans.", show_default=False)
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Directory for the results.")] = Path(
        "demo-output"
    ),
) -> None:
    """Fetch the bundled model from a local S3 server, detect areas in sample plans, run again from the cache."""
    from kkg_area_detection.demo.walkthrough import run_demo

    run_demo(images or [], output, typer.echo)
