"""From a segmentation to areas."""

from __future__ import annotations

import logging
from collections.abc import Collection
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import shapely

from kkg_area_detection.areas.area import Area, Areas
from kkg_area_detection.areas.openings import bridge_openings
from kkg_area_detection.areas.polygons import BACKGROUND, Cells, Coverage, trace
from kkg_area_detection.areas.rooms import complete_rooms
from kkg_area_detection.areas.segments import labels_by_id
from kkg_area_detection.areas.simplify import simplify as simplify_coverage
from kkg_area_detection.areas.specks import fill_specks
from kkg_area_detection.areas.squaring import square as square_coverage
from kkg_area_detection.areas.walls import find_walls
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.scale import Scale
    from kkg_area_detection.areas.segments import Segmentation

logger = logging.getLogger(__name__)

# On generated plans, pieces below it are right less often than wrong.
LEAST_SHARE = 0.00005
_LEAST_CELLS = 1.5


def areas_from_result(
    result: Segmentation,
    *,
    simplify: float = 1.0,
    square: bool = False,
    least_share: float | None = None,
    labels: Collection[str] | None = None,
    wall_labels: Collection[str] | None = None,
    scale: Scale | None = None,
    name: str = "",
) -> Areas:
    """Turn segments into areas: polygons that share their borders, without gaps or overlaps.

    Args:
        result: What ``get_segmentation_result`` returned.
        simplify: How much the borders may be simplified, in cells of the network's grid. 0 keeps every pixel's
            edge; 1 takes the stairs out.
        square: Whether to draw sides along the plan's main directions, where they nearly run so. They move by
            about a cell, or by as many as ``simplify`` says.
        least_share: Share of the picture that a piece has at least. Smaller ones are given to what surrounds
            them, and a log line says so. None means 0.00005 (0.03 m2 of an A4 sheet at 1/100), but more than a
            single cell; 0 keeps everything.
        labels: Which labels to return; None returns all. The others are there when borders are simplified all the
            same, so each label has the same polygons whatever the others are.
        wall_labels: Labels of which to find centre lines. None takes what is called a wall in English or Japanese;
            an empty collection finds none. Where walls are known, rooms reach to their faces, and under the
            leaves of doors; a door is the gap in the wall.
        scale: Millimetres a pixel, to be kept with the areas.
        name: Of the drawing, to be kept with the areas.

    Returns:
        The areas in the order of their ids. Segments that others cover entirely are left out.

    Raises:
        UsageError: A number cannot be what it was passed for, or the model has no such label.
    """
    _check(simplify, square, least_share)
    _check_labels(result, labels)
    _check_labels(result, wall_labels)
    walls = bridge_openings(find_walls(result, wall_labels), result)
    cells = complete_rooms(Cells.of(result), walls, labels_by_id(result))
    image_size = (len(result.column_index), len(result.row_index))
    coverage, specks = _without_specks(cells, least_share, image_size[0] * image_size[1])
    pixels = shapely.area(coverage.faces)
    cell = cells.side * result.refinement
    if simplify:
        coverage = simplify_coverage(coverage, simplify * cell, cells.longest_side)
    if square:
        coverage = square_coverage(coverage, max(simplify, 1) * cell)
    return Areas(
        areas=_gather(coverage, pixels, result, labels),
        image_size=image_size,
        scale=scale,
        walls=walls,
        cell=cell,
        specks=specks,
        name=name,
    )


def _check(simplify: float, square: bool, least_share: float | None) -> None:
    if not 0 <= simplify < np.inf:
        raise UsageError(f"simplify is {simplify}.", next_step="pass a number of cells, such as 1, or 0.")
    if least_share is not None and not 0 <= least_share < 1:
        raise UsageError(
            f"least_share is {least_share}.", next_step="pass a share of the picture, such as 0.0001, or 0."
        )
    if square and not simplify:
        raise UsageError(
            "Borders cannot be squared and keep every pixel's edge.",
            cause="square=True moves what simplify=0 keeps.",
            next_step="leave simplify out, or square.",
        )


def _check_labels(result: Segmentation, labels: Collection[str] | None) -> None:
    if isinstance(labels, str):
        raise UsageError(f"{labels!r} is a single string.", next_step=f'pass a list: ["{labels}"].')
    known = set(result.id2label.values())
    if labels is not None and not known.issuperset(labels):
        unknown = ", ".join(sorted(set(labels) - known))
        raise UsageError(
            f"The model has no label {unknown}.", next_step=f"choose among {', '.join(sorted(known))}."
        )


def _without_specks(cells: Cells, least_share: float | None, n_pixels: int) -> tuple[Coverage, int]:
    """Trace the segments, and once more where small pieces were given to others; and count those."""
    least = max(LEAST_SHARE * n_pixels, _LEAST_CELLS * cells.side**2)
    if least_share is not None:
        least = least_share * n_pixels
    coverage = trace(cells)
    if not np.any(shapely.area(coverage.faces) < least):
        return coverage, 0
    cells, number = fill_specks(cells, coverage, least)
    if number:
        logger.info(
            "%d piece%s of less than %.4f %% of the picture went to what surrounds %s.",
            number,
            "" if number == 1 else "s",
            100 * least / n_pixels,
            "it" if number == 1 else "them",
        )
    return trace(cells), number


def _gather(
    coverage: Coverage,
    pixels: np.ndarray[tuple[int], np.dtype[np.float64]],
    result: Segmentation,
    labels: Collection[str] | None,
) -> tuple[Area, ...]:
    """Put the faces of each segment together."""
    segments = {info["id"]: info for info in result["segments_info"]}
    label_of = labels_by_id(result)
    order = np.argsort(coverage.ids, kind="stable")
    ids, faces, counts = coverage.ids[order], coverage.faces[order], pixels[order]
    areas = []
    for start, end in pairwise([*np.flatnonzero(np.diff(ids, prepend=BACKGROUND - 1)), len(ids)]):
        if ids[start] == BACKGROUND:
            continue
        info = segments[int(ids[start])]
        label = label_of[info["id"]]
        if labels is not None and label not in labels:
            continue
        area = Area(
            id=info["id"],
            label_id=info["label_id"],
            label=label,
            score=info["score"],
            polygon=faces[start] if end == start + 1 else shapely.MultiPolygon(list(faces[start:end])),
            pixels=int(counts[start:end].sum()),
        )
        areas.append(area)
    return tuple(areas)
