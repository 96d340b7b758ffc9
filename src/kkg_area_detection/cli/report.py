"""What ``kkg detect`` says at the end: a table for people, or a JSON document for programs."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkg_area_detection.areas.units import Rounding

if TYPE_CHECKING:
    from rich.table import Table

    from kkg_area_detection.areas.area import Area, Areas
    from kkg_area_detection.areas.measure import Measures
    from kkg_area_detection.errors import KkgAreaDetectionError

# 5.999 mats must not be sold as 6.
_ONE_DIGIT, _TWO_DIGITS = Rounding(1, "down"), Rounding(2, "down")


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one drawing.

    Attributes:
        name: Of the drawing, for people.
        areas: What was found; None where it failed.
        files: What was written.
        seconds: That it took.
        error: Why it failed.
    """

    name: str
    areas: Areas | None = None
    files: tuple[Path, ...] = ()
    seconds: float = 0.0
    error: KkgAreaDetectionError | None = None


def json_report(outcomes: Sequence[Outcome], mat: str) -> str:
    """One document for all drawings.

    Args:
        outcomes: In the order of the drawings.
        mat: Kind of mat (帖).
    """
    drawings = [_as_json(one, one.areas, mat) for one in outcomes if one.areas is not None]
    failed = [{"drawing": one.name, "error": str(one.error)} for one in outcomes if one.error is not None]
    return json.dumps({"drawings": drawings, "failed": failed}, ensure_ascii=False, indent=1)


def _as_json(outcome: Outcome, areas: Areas, mat: str) -> dict[str, Any]:
    measures = _measured(areas)
    scale = areas.scale
    return {
        "drawing": outcome.name,
        "width": areas.image_size[0],
        "height": areas.image_size[1],
        "mm_per_pixel": scale.mm_per_pixel if scale else None,
        "scale": scale.source if scale else None,
        "areas": [
            {
                "id": area.id,
                "label": area.label,
                "score": area.score,
                "pixels": round(area.polygon.area, 1),
                **(_numbers(measures[area.id], mat) if area.id in measures else {}),
            }
            for area in areas
        ],
        "wall_lines": len(areas.walls),
        "files": [str(file) for file in outcome.files],
        "seconds": round(outcome.seconds, 3),
    }


def _numbers(measures: Measures, mat: str) -> dict[str, Any]:
    centre = measures.wall_centre
    return {
        "inner_m2": round(measures.inner, 3),
        "uncertainty_m2": round(measures.uncertainty.total, 3),
        "wall_centre_m2": None if centre is None else round(centre, 3),
        "perimeter_m": round(measures.perimeter, 3),
        "jo": float(_TWO_DIGITS.apply(measures.jo(mat))),
        "tsubo": float(_TWO_DIGITS.apply(measures.tsubo)),
    }


def print_report(outcomes: Sequence[Outcome], mat: str) -> None:
    """Print a table: of the areas where there is one drawing, of the drawings where there are several."""
    from rich.console import Console

    done = [(one, one.areas) for one in outcomes if one.areas is not None]
    console = Console()
    if len(done) == 1:
        outcome, areas = done[0]
        console.print(_table_of_areas(outcome, areas, mat))
    elif done:
        console.print(_table_of_drawings(done))
    if done and not any(areas.scale for _, areas in done):
        console.print("Square metres need the scale of the drawing: pass --scale.", highlight=False)
    files = [file for outcome, _ in done for file in outcome.files]
    if files:
        folders = ", ".join(dict.fromkeys(str(file.parent) for file in files))
        names = ", ".join(file.name for file in files) if len(done) == 1 else f"{len(files)} files"
        console.print(f"Wrote {names} into {folders}", markup=False, highlight=False, soft_wrap=True)
    failed = [outcome.name for outcome in outcomes if outcome.error is not None]
    if failed and len(outcomes) > 1:
        text = f"{len(failed)} of {len(outcomes)} drawings failed: {', '.join(failed)}"
        Console(stderr=True).print(text, markup=False, highlight=False, soft_wrap=True)


def _table_of_areas(outcome: Outcome, areas: Areas, mat: str) -> Table:
    """Areas of one drawing; 帖 and 坪 for rooms only, because nobody lives in a wall."""
    from kkg_area_detection.areas.texts import rooms_of

    measures, rooms = _measured(areas), {room.id for room in rooms_of(areas)}
    table = _table(f"{outcome.name}: {len(areas)} areas in {outcome.seconds:.2f} s")
    table.add_column("label")
    for heading in ("id", "score", *(("m2", "±", "壁芯 m2", "帖", "坪") if measures else ("pixels",))):
        table.add_column(heading, justify="right")
    for area in areas:
        table.add_row(
            _plain(area.label), str(area.id), f"{area.score:.2f}", *_cells(area, measures, rooms, mat)
        )
    if measures and rooms:
        table.add_section()
        inner, centre, tsubo = _sums(areas, rooms_of(areas))
        table.add_row("all rooms", "", "", inner, "", centre, "", tsubo)
    return table


def _cells(area: Area, measures: dict[int, Measures], rooms: set[int], mat: str) -> list[str]:
    if area.id not in measures:
        return [f"{area.polygon.area:,.0f}"]
    one = measures[area.id]
    cells = [f"{one.inner:.2f}", f"{one.uncertainty.total:.2f}"]
    if area.id not in rooms:
        return cells
    centre = "" if one.wall_centre is None else f"{one.wall_centre:.2f}"
    return [*cells, centre, _ONE_DIGIT.text(one.jo(mat)), f"{one.tsubo:.2f}"]


def _sums(areas: Areas, rooms: list[Area]) -> list[str]:
    """All rooms together: square metres between and up to the middle of walls, and 坪."""
    measures = _measured(areas)
    of_rooms = [measures[room.id] for room in rooms]
    inner, floor = sum(one.inner for one in of_rooms), sum(one.floor_area for one in of_rooms)
    return [f"{inner:.2f}", f"{floor:.2f}", f"{sum(one.tsubo for one in of_rooms):.2f}"]


def _table_of_drawings(done: Sequence[tuple[Outcome, Areas]]) -> Table:
    from kkg_area_detection.areas.texts import rooms_of

    has_scale = any(areas.scale for _, areas in done)
    table = _table(f"{len(done)} drawings")
    table.add_column("drawing")
    for heading in ("rooms", *(("m2", "壁芯 m2", "坪") if has_scale else ()), "s"):
        table.add_column(heading, justify="right")
    table.add_column("found")
    for outcome, areas in done:
        rooms = rooms_of(areas)
        cells = [str(len(rooms))]
        if has_scale:
            cells += _sums(areas, rooms) if areas.scale else ["", "", ""]
        found = ", ".join(f"{n} {label}" for label, n in Counter(area.label for area in areas).most_common())
        table.add_row(_plain(outcome.name), *cells, f"{outcome.seconds:.2f}", _plain(found))
    return table


def _measured(areas: Areas) -> dict[int, Measures]:
    from kkg_area_detection.areas.measure import measure_areas

    return {} if areas.scale is None else {one.id: one for one in measure_areas(areas)}


def _table(title: str) -> Table:
    from rich.table import Table

    return Table(title=_plain(title), title_justify="left")


def _plain(text: str) -> Any:
    from rich.text import Text

    return Text(text)  # in a plain string rich would take [1F] for an instruction
