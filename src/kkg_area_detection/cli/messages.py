"""How the command speaks: errors go to standard error, and ``--verbose`` shows what lies under them."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import typer

from kkg_area_detection.errors import KkgAreaDetectionError

logger = logging.getLogger(__name__)


def configure_logging(*, verbose: bool) -> None:
    """Show the library's log on standard error: what it does, or with ``verbose`` every detail."""
    form = "%(levelname)s %(name)s: %(message)s" if verbose else "%(message)s"
    logging.basicConfig(level=logging.WARNING, format=form, stream=sys.stderr)
    logging.getLogger("kkg_area_detection").setLevel(logging.DEBUG if verbose else logging.INFO)


def show_error(error: KkgAreaDetectionError, drawing: str = "") -> None:
    """Say what went wrong, and with which drawing; with ``--verbose``, also where."""
    about = f"{drawing}: " if Path(drawing).name not in str(error) else ""
    typer.echo(f"Error: {about}{error}", err=True)
    logger.debug("This is where it came from.", exc_info=error.__cause__ or error)
