"""Files that other programs open: one format a module, chosen by the file's suffix."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection.areas.output import check_target, replacing, save_json, save_picture
from kkg_area_detection.areas.texts import texts_of
from kkg_area_detection.documents import ImageLike
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from PIL import Image

    from kkg_area_detection.areas.area import Areas

SUFFIXES = (".geojson", ".json", ".svg", ".dxf", ".png")


def save_areas(
    areas: Areas,
    path: Path,
    *,
    image: ImageLike | None = None,
    force: bool = False,
    jw: bool = False,
    japanese_layers: bool = False,
    hatch: bool = False,
) -> None:
    """Write areas in the format that the suffix names; see ``Areas.save``."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise UsageError(
            f"Areas cannot be written as {suffix or 'a file without a suffix'}.",
            next_step=f"use a name that ends in one of {', '.join(SUFFIXES)}.",
        )
    check_target(path)
    if path.exists() and not force:
        raise UsageError(f"{path} exists.", next_step="pass force=True, or another name.")
    match suffix:
        case ".geojson":
            from kkg_area_detection.areas.export.geojson import geojson_document

            save_json(geojson_document(areas), path, indent=None)
        case ".json":
            from kkg_area_detection.areas.export.coco import coco_document

            save_json(coco_document(areas, f"{path.stem}.png"), path, indent=None)
        case ".svg":
            from kkg_area_detection.areas.export.svg import svg_document

            _save(svg_document(areas, texts_of(areas)).encode(), path)
        case ".dxf":
            _save(_dxf(areas, jw=jw, japanese_layers=japanese_layers, hatch=hatch), path)
        case ".png":
            save_picture(_picture(areas, image), path)


def _dxf(areas: Areas, *, jw: bool, japanese_layers: bool, hatch: bool) -> bytes:
    if jw:
        from kkg_area_detection.areas.export.jw import jw_document

        return jw_document(areas, texts_of(areas), japanese_layers=japanese_layers)
    from kkg_area_detection.areas.export.dxf import dxf_document

    document = dxf_document(areas, texts_of(areas), japanese_layers=japanese_layers, hatch=hatch)
    return document.encode("utf-8", errors="replace")


def _picture(areas: Areas, image: ImageLike | None) -> Image.Image:
    from kkg_area_detection.areas.picture import draw_areas

    if image is None:
        raise UsageError(
            "A picture of areas needs the drawing beneath.",
            next_step="pass image=, the drawing they were found in.",
        )
    return draw_areas(image, areas)


def _save(data: bytes, path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_bytes(data)
