"""COCO instance segmentation (https://cocodataset.org/#format-data), as CVAT and Label Studio import it.

The polygons of one COCO annotation are united, so a hole would be filled: areas with holes are written as
run-length encodings instead.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import shapely

from kkg_area_detection.areas.export.frame import polygons_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from kkg_area_detection.areas.area import Area, Areas

_FIRST_CATEGORY = 1  # to many programs category 0 is the background


def coco_document(areas: Areas, file_name: str) -> dict[str, Any]:
    """Describe areas as a COCO data set of one image.

    Args:
        areas: The areas.
        file_name: Of the image.

    Returns:
        A document ready for ``json.dumps``. Coordinates are pixels, x right and y down, on pixel edges. A
        category's id is the label id plus 1.
    """
    width, height = areas.image_size
    labels = {area.label_id: area.label for area in areas}
    return {
        "info": {"description": "kkg-area-detection"},
        "images": [{"id": 1, "file_name": file_name, "width": width, "height": height}],
        "categories": [
            {"id": label_id + _FIRST_CATEGORY, "name": label} for label_id, label in sorted(labels.items())
        ],
        "annotations": [_annotation(number, area, areas) for number, area in enumerate(areas, start=1)],
    }


def _annotation(number: int, area: Area, areas: Areas) -> dict[str, Any]:
    left, top, right, bottom = area.polygon.bounds
    return {
        "id": number,
        "image_id": 1,
        "category_id": area.label_id + _FIRST_CATEGORY,
        "segmentation": _segmentation(area.polygon, areas.image_size),
        "area": round(float(area.polygon.area), 3),
        "bbox": [round(value, 3) for value in (left, top, right - left, bottom - top)],
        "iscrowd": 0,
        "score": area.score,
    }


def _segmentation(polygon: shapely.Geometry, image_size: tuple[int, int]) -> Any:
    parts = polygons_of(polygon)
    if any(part.interiors for part in parts):
        width, height = image_size
        return {"size": [height, width], "counts": run_lengths(polygon, image_size)}
    rings = (shapely.get_coordinates(part.exterior)[:-1] for part in parts)
    return [[round(float(value), 3) for value in ring.ravel()] for ring in rings]


def run_lengths(polygon: shapely.Geometry, image_size: tuple[int, int]) -> list[int]:
    """Rasterise a polygon into COCO's uncompressed run-length encoding.

    A pixel is inside where its centre is. The rings are cut by the vertical line through the centres of each
    column of pixels; between the first and the second cut is inside, and so on.

    Args:
        polygon: In pixels, with holes and in parts as it may be.
        image_size: Width and height in pixels.

    Returns:
        Lengths of runs down the columns, from left to right, outside and inside in turn.
    """
    width, height = image_size
    column, y = _cuts(polygon, width)
    order = np.lexsort((y, column))
    # The first pixel whose centre lies behind a cut, as a place in the picture read column by column.
    row = np.clip(np.ceil(y[order] - 0.5), 0, height).astype(np.int64)
    places = column[order] * height + row
    lengths = np.diff(places, prepend=0, append=width * height)
    return _without_empty_runs(lengths)


def _cuts(polygon: shapely.Geometry, width: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Column and y of every place where a ring crosses the middle of a column of pixels."""
    rings = [ring for part in polygons_of(polygon) for ring in (part.exterior, *part.interiors)]
    starts = np.concatenate([shapely.get_coordinates(ring)[:-1] for ring in rings])
    ends = np.concatenate([shapely.get_coordinates(ring)[1:] for ring in rings])
    rightwards = starts[:, :1] <= ends[:, :1]
    (x0, y0), (x1, y1) = np.where(rightwards, starts, ends).T, np.where(rightwards, ends, starts).T
    first = np.clip(np.ceil(x0 - 0.5), 0, width).astype(np.int64)
    last = np.clip(np.ceil(x1 - 0.5), 0, width).astype(np.int64)  # exclusive
    edge = np.repeat(np.arange(len(first)), last - first)
    begin = np.cumsum(last - first) - (last - first)
    column = np.arange(len(edge)) - begin[edge] + first[edge]
    slope = (y1 - y0)[edge] / (x1 - x0)[edge]
    return column, y0[edge] + slope * (column + 0.5 - x0[edge])


def _without_empty_runs(lengths: NDArray[np.int64]) -> list[int]:
    """Join the runs on both sides of an empty one; only the first may be empty."""
    runs = [int(lengths[0])]
    inside = False
    for place, length in enumerate(lengths[1:].tolist(), start=1):
        if length == 0:
            continue
        if (place % 2 == 1) == inside:
            runs[-1] += length
        else:
            runs.append(length)
            inside = not inside
    return runs
