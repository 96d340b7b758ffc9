"""``kkg models``: the models in S3 and on this machine."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from kkg_area_detection.hub.cache import ModelCache
    from kkg_area_detection.hub.inventory import LocalModel, RemoteModel

models = typer.Typer(
    name="models",
    help="Work with models in S3 and on this machine.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@models.command()
def push(
    directory: Annotated[Path, typer.Argument(help="Model directory.", show_default=False)],
    name: Annotated[str, typer.Option("--name", "-n", help="Name that the model gets.", show_default=False)],
    convert: Annotated[
        bool,
        typer.Option("--convert", help="Turn a pickle checkpoint (.bin, .pt, .pth) into safetensors first."),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace a model of that name.")] = False,
) -> None:
    """Check a model directory and upload it to S3, with checksums."""
    import kkg_area_detection as kkg
    from kkg_area_detection.segmentation.convert import converted

    with converted(directory) if convert else nullcontext(directory) as ready:
        uri = kkg.publish_model(ready, name, force=force)
    typer.echo(f"Published {name} to {uri}")


_AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
_Name = Annotated[str, typer.Argument(help="Name of the model.", show_default=False)]


@models.command("list")
def list_models(
    remote: Annotated[bool, typer.Option("--remote", help="Those in S3, not those on this machine.")] = False,
    as_json: _AsJson = False,
) -> None:
    """Show the models on this machine, or in S3."""
    from kkg_area_detection.hub.cache import ModelCache
    from kkg_area_detection.hub.inventory import local_models, remote_models
    from kkg_area_detection.settings import Settings

    settings = Settings.load()
    found = remote_models(settings) if remote else list(local_models(ModelCache.at(settings.cache_dirs)))
    if as_json:
        typer.echo(json.dumps([asdict(one) for one in found], default=str, ensure_ascii=False, indent=1))
    elif not found:
        typer.echo("There are no models.")
    else:
        _print_rows(found)


@models.command()
def path(name: _Name) -> None:
    """Print the directory of a model on this machine."""
    from kkg_area_detection.hub.inventory import find_local

    typer.echo(find_local(_cache(), name))


@models.command()
def pull(
    name: _Name,
    refresh: Annotated[bool, typer.Option("--refresh", help="Fetch what has changed in S3.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only show what would be fetched.")] = False,
) -> None:
    """Bring a model from S3 to this machine."""
    from kkg_area_detection.hub.resolve import resolve_model
    from kkg_area_detection.progress import show_progress

    if dry_run:
        _print_preview(name)
        return
    with show_progress() as sink:
        directory = resolve_model(None, name, sink, refresh=refresh)
    typer.echo(directory)


@models.command()
def verify(
    name: _Name,
    deep: Annotated[bool, typer.Option("--deep", help="Also compare the tensors with config.json.")] = False,
) -> None:
    """Read every byte of a model on this machine and compare it with what was fetched."""
    from kkg_area_detection.hub.inventory import find_local

    cache = _cache()
    directory = find_local(cache, name)
    cache.check(directory, thoroughly=True)
    if deep:
        from kkg_area_detection.segmentation.weights_check import check_weights_fit

        check_weights_fit(directory)
    receipt = cache.receipt_of(directory)
    if receipt is None:
        typer.echo(
            f"{name} is well-formed. It was copied in by hand, so there is nothing to compare it with."
        )
        return
    for file in receipt.files:
        typer.echo(f"{file.path}: {file.checksum}" + ("" if file.verified else " (S3 offered no checksum)"))
    typer.echo(f"{name} is what was fetched from {receipt.source} on {receipt.fetched_at}.")


@models.command()
def remove(
    name: _Name,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> None:
    """Remove a model from this machine. S3 is not touched."""
    from kkg_area_detection.hub import inventory
    from kkg_area_detection.progress import format_bytes

    cache = _cache()
    directory = inventory.find_local(cache, name)
    if not yes:
        typer.confirm(f"Remove {directory}?", abort=True)
    typer.echo(f"Removed {directory}, {format_bytes(inventory.remove(cache, name))}.")


@models.command()
def prune() -> None:
    """Clear away what broken downloads left."""
    from kkg_area_detection.hub.inventory import prune as clear
    from kkg_area_detection.progress import format_bytes

    typer.echo(f"Freed {format_bytes(clear(_cache()))}.")


def _cache() -> ModelCache:
    from kkg_area_detection.hub.cache import ModelCache
    from kkg_area_detection.settings import Settings

    return ModelCache.at(Settings.load().cache_dirs)


def _print_rows(found: Sequence[LocalModel | RemoteModel]) -> None:
    from rich.console import Console
    from rich.table import Table

    from kkg_area_detection.hub.inventory import LocalModel
    from kkg_area_detection.progress import format_bytes

    table = Table("name", "size", "date", "source", "state")
    for one in found:
        if isinstance(one, LocalModel):
            by_hand = "copied in by hand" if not one.source else "unverified"
            state = one.problem or ("verified" if one.verified else by_hand)
            table.add_row(one.name, format_bytes(one.size), one.fetched_at[:10], one.source, state)
        else:
            table.add_row(one.name, format_bytes(one.size), one.modified_at[:10], "S3", "")
    Console().print(table)


def _print_preview(name: str) -> None:
    from rich.console import Console
    from rich.table import Table

    from kkg_area_detection.hub.inventory import preview
    from kkg_area_detection.progress import format_bytes
    from kkg_area_detection.settings import Settings

    found = preview(name, Settings.load(), _cache())
    table = Table("file", "size", "checked against")
    for file in found.plan.files:
        checksum = found.checksums[str(file.path)]
        described = "nothing: S3 offers no checksum"
        if checksum is not None:
            described = str(checksum.algorithm) + (f" of {checksum.parts} parts" if checksum.parts else "")
        table.add_row(str(file.path), format_bytes(file.source.size), described)
    Console().print(table)
    typer.echo(
        f"{found.plan.uri}: {len(found.plan.files)} files, {format_bytes(found.plan.total_bytes)}; "
        f"{format_bytes(found.free_bytes)} are free. Nothing was fetched."
    )
