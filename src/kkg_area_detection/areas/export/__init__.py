"""Files that other programs open: one format a module, chosen by the file's suffix."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from kkg_area_detection.areas.area import Areas
from kkg_area_detection.areas.output import check_target, replacing, save_json, save_picture
from kkg_area_detection.areas.texts import texts_of
from kkg_area_detection.areas.units import ADVERTISING, Number
from kkg_area_detection.documents import ImageLike, open_image
from kkg_area_detection.errors import UsageError

DxfVersion: TypeAlias = Literal["R2010", "jw"]
"""R2010 is for AutoCAD and its like; jw is the small part of R12 that Jw_cad reads."""

_JPEG_QUALITY = 85  # of a drawing inside an SVG


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """What a format may be told; each reads what concerns it.

    Attributes:
        image: The drawing the areas were found in.
        dxf_version: Which DXF to write.
        japanese_layers: Name the layers of CAD files in Japanese.
        hatch: Fill the areas of a DXF.
        mat: Kind of mat (帖) in tables, or its square metres.
    """

    image: ImageLike | None = None
    dxf_version: DxfVersion = "R2010"
    japanese_layers: bool = False
    hatch: bool = False
    mat: str | Number = ADVERTISING


def save_areas(areas: Areas, path: Path, options: SaveOptions, *, force: bool = False) -> None:
    """Write areas in the format that the suffix names; see ``Areas.save``."""
    write = writer_for(path)
    check_dxf_version(options.dxf_version)
    check_target(path)
    if path.exists() and not force:
        raise UsageError(f"{path} exists.", next_step="pass force=True, or another name.")
    write(areas, path, options)


def check_dxf_version(version: str) -> None:
    """Pass silently where there is such a version of DXF.

    Raises:
        UsageError: There is none, or it is not written.
    """
    if version not in get_args(DxfVersion):
        raise UsageError(
            f"The version of DXF is {version!r}.",
            next_step=f"pass one of {', '.join(get_args(DxfVersion))}.",
        )


def writer_for(path: Path) -> _Writer:
    """What writes files of this suffix.

    Raises:
        UsageError: Nothing does.
    """
    suffix = path.suffix.lower()
    if suffix not in _WRITERS:
        raise UsageError(
            f"Areas cannot be written as {suffix or 'a file without a suffix'}.",
            next_step=f"use a name that ends in one of {', '.join(_WRITERS)}.",
        )
    return _WRITERS[suffix]


def _save_geojson(areas: Areas, path: Path, _options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.geojson import geojson_document

    save_json(geojson_document(areas), path, indent=None)


def _save_coco(areas: Areas, path: Path, _options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.coco import coco_document

    save_json(coco_document(areas, areas.name or f"{path.stem}.png"), path, indent=None)


def _save_svg(areas: Areas, path: Path, options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.svg import svg_document

    href = None if options.image is None else _data_uri(options.image)
    _save(svg_document(areas, texts_of(areas), href).encode(), path)


def _save_dxf(areas: Areas, path: Path, options: SaveOptions) -> None:
    texts, japanese = texts_of(areas), options.japanese_layers
    if options.dxf_version == "jw":
        from kkg_area_detection.areas.export.jw import jw_document

        _save(jw_document(areas, texts, japanese_layers=japanese), path)
        return
    from kkg_area_detection.areas.export.dxf import dxf_document

    document = dxf_document(areas, texts, japanese_layers=japanese, hatch=options.hatch)
    _save(document.encode("utf-8", errors="replace"), path)


def _save_jww(areas: Areas, path: Path, options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.jww import jww_document

    _save(jww_document(areas, texts_of(areas), japanese_layers=options.japanese_layers), path)


def _save_csv(areas: Areas, path: Path, options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.csv import csv_table

    _save(csv_table(areas, mat=options.mat), path)


def _save_xlsx(areas: Areas, path: Path, options: SaveOptions) -> None:
    from kkg_area_detection.areas.export.xlsx import xlsx_workbook

    _save(xlsx_workbook(areas, mat=options.mat), path)


def _save_png(areas: Areas, path: Path, options: SaveOptions) -> None:
    from kkg_area_detection.areas.picture import draw_areas

    if options.image is None:
        raise UsageError(
            "A picture of areas needs the drawing beneath.",
            next_step="pass image=, the drawing they were found in.",
        )
    save_picture(draw_areas(options.image, areas), path)


_Writer: TypeAlias = Callable[[Areas, Path, SaveOptions], None]
_WRITERS: dict[str, _Writer] = {
    ".geojson": _save_geojson,
    ".json": _save_coco,
    ".svg": _save_svg,
    ".dxf": _save_dxf,
    ".jww": _save_jww,
    ".csv": _save_csv,
    ".xlsx": _save_xlsx,
    ".png": _save_png,
}
SUFFIXES = tuple(_WRITERS)


def _data_uri(image: ImageLike) -> str:
    data = io.BytesIO()
    open_image(image).save(data, format="JPEG", quality=_JPEG_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(data.getvalue()).decode("ascii")


def _save(data: bytes, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
