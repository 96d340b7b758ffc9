"""The command's entry point: sub-commands, exit codes, and how errors are shown."""

from __future__ import annotations

import io
import signal
import sys
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer
from typer.core import TyperGroup

from kkg_area_detection.cli.demo import demo
from kkg_area_detection.cli.detect import detect
from kkg_area_detection.cli.doctor import doctor
from kkg_area_detection.cli.evaluate import evaluate
from kkg_area_detection.cli.messages import configure_logging, show_error
from kkg_area_detection.cli.models import models
from kkg_area_detection.cli.segment import segment
from kkg_area_detection.cli.train import train
from kkg_area_detection.errors import KkgAreaDetectionError


class _Commands(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:  # beyond this point typer would end without a word
            typer.echo("Interrupted.", err=True)
            raise typer.Exit(128 + signal.SIGINT) from None


app = typer.Typer(
    name="kkg",
    cls=_Commands,
    help="Turn drawings of buildings into areas.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command()(detect)
app.command()(segment)
app.command()(train)
app.command()(evaluate)
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
        bool, typer.Option("--verbose", "-v", help="Show details, and where an error came from.")
    ] = False,
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """Options of every sub-command."""
    configure_logging(verbose=verbose)


def main() -> None:
    """Run the command.

    Exit status: 0 done, 1 an error that was explained, 2 wrong arguments, 129 terminal closed, 130 Ctrl-C,
    143 SIGTERM.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A name that the console cannot show must not end the work. Standard error is lenient by itself.
        sys.stdout.reconfigure(errors="replace")
    _end_in_order_on("SIGTERM")
    _end_in_order_on("SIGHUP")
    try:
        app()
    except KkgAreaDetectionError as error:
        show_error(error)
        sys.exit(1)


def _end_in_order_on(name: str) -> None:
    number = getattr(signal, name, None)  # Windows has no SIGHUP
    if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # nohup has it ignored
        signal.signal(number, _stop)


def _stop(number: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(128 + number)  # an exception, so that temporary files and processes are cleared away
