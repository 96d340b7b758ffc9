"""The command's entry point: sub-commands, exit codes, and how errors are shown."""

from __future__ import annotations

import logging
import signal
import sys
from types import FrameType
from typing import Annotated, NoReturn

import typer

from kkg_area_detection.cli.demo import demo
from kkg_area_detection.cli.doctor import doctor
from kkg_area_detection.cli.models import models
from kkg_area_detection.cli.segment import segment
from kkg_area_detection.errors import KkgAreaDetectionError

app = typer.Typer(
    name="kkg",
    help="Turn drawings of buildings into areas.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(segment)
app.command()(demo)
app.command()(doctor)
app.add_typer(models)


def _print_version(wanted: bool) -> None:
    if wanted:
        from kkg_area_detection import __version__

        typer.echo(f"kkg-area-detection {__version__}")
        raise typer.Exit


@app.callback()
def common(
    verbose: Annotated[
        bool, typer.Option("--verbose", "-v", help="Show more of what is being done.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every sub-command."""
    logging.basicConfig(level=logging.WARNING, format="%(message)s", stream=sys.stderr)
    logging.getLogger("kkg_area_detection").setLevel(logging.DEBUG if verbose else logging.INFO)


def main() -> None:
    """Run the command.

    Exit status: 0 done, 1 an error that was explained, 2 wrong arguments, 130 Ctrl-C, 143 SIGTERM.
    """
    signal.signal(signal.SIGTERM, _stop)
    try:
        app()
    except KkgAreaDetectionError as error:
        typer.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except KeyboardInterrupt:
        typer.echo("Interrupted.", err=True)
        sys.exit(130)


def _stop(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + signal.SIGTERM)  # an exception, so that temporary files and processes are cleared away
