"""``kkg detect``: drawings in, areas out, as files for CAD, spreadsheets and the eye."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kkg_area_detection.cli.inputs import Input, find_documents, open_documents
from kkg_area_detection.cli.messages import show_error
from kkg_area_detection.cli.options import (
    OUTPUT,
    DetectTile,
    Device,
    Engine,
    Force,
    ModelName,
    ModelPath,
    Output,
    Precision,
    Threshold,
    check_model,
    load_model,
    parse_tile,
)
from kkg_area_detection.cli.report import Outcome, json_report, print_report
from kkg_area_detection.errors import KkgAreaDetectionError, UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas
    from kkg_area_detection.documents import Sheets


def detect(
    inputs: Annotated[
        list[str],
        typer.Argument(
            help="Images, PDFs (plan.pdf#page=2 for one page), folders, patterns.", show_default=False
        ),
    ],
    model_name: ModelName = None,
    model_path: ModelPath = None,
    device: Device = None,
    output: Output = OUTPUT,
    formats: Annotated[
        str,
        typer.Option(
            "--format", "-f", help="Of png, csv, xlsx, dxf, jww, geojson, json (COCO), svg; with commas."
        ),
    ] = "png,csv,dxf",
    scale: Annotated[
        str | None,
        typer.Option("--scale", "-s", help="1/100, 50px/m, 8.5mm/px, or two points: 100,80,530,80=3640mm."),
    ] = None,
    dpi: Annotated[
        float | None, typer.Option(help="Pixels per inch: of the scan, or at which a PDF page is drawn.")
    ] = None,
    page: Annotated[int | None, typer.Option(min=1, help="One page of each PDF or TIFF; else all.")] = None,
    password: Annotated[str | None, typer.Option(help="Of encrypted PDFs.")] = None,
    labels: Annotated[
        list[str] | None, typer.Option("--label", help="Only areas of this label; may be repeated.")
    ] = None,
    square: Annotated[
        bool, typer.Option("--square", help="Draw sides along the plan's main directions.")
    ] = False,
    simplify: Annotated[
        float,
        typer.Option(min=0.0, help="How much borders may be simplified, in cells of the network; 0 not."),
    ] = 1.0,
    dxf_version: Annotated[str, typer.Option(help="R2010, or jw for Jw_cad.")] = "R2010",
    japanese_layers: Annotated[
        bool, typer.Option("--japanese-layers", help="Name the layers of CAD files in Japanese.")
    ] = False,
    hatch: Annotated[bool, typer.Option("--hatch", help="Fill the areas of a DXF.")] = False,
    mat: Annotated[
        str, typer.Option(help="Kind of 帖: advertising (1.62 m2), kyoma, chukyoma, edoma, ...")
    ] = ("advertising"),
    tile: DetectTile = "auto",
    engine: Engine = None,
    precision: Precision = "auto",
    threshold: Threshold = 0.5,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print a JSON document in place of tables.")
    ] = False,
    force: Force = False,
) -> None:
    """Detect the areas of drawings: polygons, square metres, CAD files, pictures."""
    check_model(model_name, model_path)
    suffixes = _suffixes(formats)
    _check_words(scale, mat, dxf_version)
    detection = {
        "scale": scale,
        "dpi": dpi,
        "threshold": threshold,
        "tile": parse_tile(tile),
        "simplify": simplify,
        "square": square,
        "labels": labels,
    }
    saving = {
        "dxf_version": dxf_version,
        "japanese_layers": japanese_layers,
        "hatch": hatch,
        "mat": mat,
        "force": force,
    }
    documents, unreadable = open_documents(find_documents(inputs), page=page, dpi=dpi, password=password)
    for one in unreadable:
        show_error(one.error)
    outcomes = [Outcome(one.path, error=one.error) for one in unreadable]
    if documents:
        _check_targets(documents, output, suffixes, force=force)
        load_model(
            model_name=model_name, model_path=model_path, device=device, engine=engine, precision=precision
        )
        outcomes += _detected(documents, output, suffixes, detection, saving)
    if as_json:
        typer.echo(json_report(outcomes, mat))
    else:
        print_report(outcomes, mat)
    if any(outcome.error for outcome in outcomes):
        raise typer.Exit(1)


def _suffixes(formats: str) -> list[str]:
    """``png, dxf`` as file name suffixes."""
    from kkg_area_detection.areas.export import SUFFIXES

    names = [name.strip().lower().lstrip(".") for name in formats.split(",") if name.strip()]
    known = [suffix.lstrip(".") for suffix in SUFFIXES]
    unknown = [name for name in names if name not in known]
    if unknown or not names:
        raise UsageError(
            f"There is no format {', '.join(unknown) or repr(formats)}.",
            next_step=f"choose among {', '.join(known)}: --format png,dxf",
        )
    return [f".{name}" for name in dict.fromkeys(names)]


def _check_words(scale: str | None, mat: str, dxf_version: str) -> None:
    """Refuse what cannot be read, before a model is loaded."""
    from kkg_area_detection.areas.export import check_dxf_version
    from kkg_area_detection.areas.scale import parse_scale
    from kkg_area_detection.areas.units import mat_size

    if scale is not None:
        parse_scale(scale, dpi=300)  # the resolution of each drawing is not known yet
    mat_size(mat)
    check_dxf_version(dxf_version)


def _target(output: Path, stem: str, suffix: str) -> Path:
    # In the name, because a result must not take the place of a drawing beside it.
    return output / f"{stem}.areas{suffix}"


def _check_targets(documents: list[Input], output: Path, suffixes: list[str], *, force: bool) -> None:
    """Find out before the model is loaded what could not be written after it."""
    from kkg_area_detection.areas.output import check_target, prepare_directory

    prepare_directory(output)
    for path in (
        _target(output, stem, suffix)
        for document in documents
        for stem in document.stems
        for suffix in suffixes
    ):
        check_target(path)
        if path.exists() and not force:
            raise UsageError(f"{path} exists.", next_step="pass --force, or another --output.")


def _detected(
    documents: list[Input],
    output: Path,
    suffixes: list[str],
    detection: dict[str, Any],
    saving: dict[str, Any],
) -> list[Outcome]:
    """Detect the areas of all pages; what fails is said at once, and does not stop the rest."""
    from kkg_area_detection.progress import show_item_progress

    outcomes = []
    with show_item_progress() as progress:
        progress.start("Detecting areas", sum(len(document.stems) for document in documents))
        for document in documents:
            for name, stem in zip(document.names, document.stems, strict=True):
                files = tuple(_target(output, stem, suffix) for suffix in suffixes)
                began = time.perf_counter()
                try:
                    areas = _detect_page(document.sheets, files, detection, saving)
                except KkgAreaDetectionError as error:
                    show_error(error, name)
                    outcomes.append(Outcome(name, error=error))
                else:
                    outcomes.append(Outcome(name, areas, files, time.perf_counter() - began))
                progress.advance(1)
    return outcomes


def _detect_page(
    sheets: Sheets, files: tuple[Path, ...], detection: dict[str, Any], saving: dict[str, Any]
) -> Areas:
    import kkg_area_detection as kkg

    sheet = next(sheets)
    areas = kkg.detect_areas(sheet, progress=False, **detection)
    with ThreadPoolExecutor() as pool:  # compressing the picture takes longest, and holds no lock
        for done in [pool.submit(areas.save, file, image=sheet.image, **saving) for file in files]:
            done.result()
    return areas
