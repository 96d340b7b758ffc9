"""An Excel workbook: the table of areas, the 求積表 with live formulas, and what the numbers mean."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING

from openpyxl import Workbook
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from kkg_area_detection.areas.export.schedule_sheet import ScheduleSheet, number_format, write_text
from kkg_area_detection.areas.export.table import Cell, Column, area_table
from kkg_area_detection.areas.measure import measure_areas
from kkg_area_detection.areas.schedule import Schedule, ScheduleRules, area_schedule
from kkg_area_detection.areas.texts import rooms_of
from kkg_area_detection.areas.units import ADVERTISING, Number, Rounding, mat_size

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

    from kkg_area_detection.areas.area import Areas

_USUAL_RULE = "default as for permits: rows exact, total cut at the third decimal (昭和 41 年住指発第 87 号)"
_MODES = {"down": "cut (切捨て)", "half_up": "rounded (四捨五入)", "up": "rounded up (切上げ)"}
_FORMULA = re.compile(r'(<c r="([A-Z]+[0-9]+)"[^>]*><f>[^<]*</f>)<v\s*(?:/>|></v>)')
_DATES = re.compile(r"<dcterms:(created|modified)[^>]*>[^<]*</dcterms:\1>")


def xlsx_workbook(
    areas: Areas, mat: str | Number = ADVERTISING, *, schedule: Schedule | None = None
) -> bytes:
    """Write areas as an Excel workbook.

    Its sheets are "Areas", one row an area; "求積表", where the scale is known; and "About". The 求積表 has Excel
    formulas of the printed sides, and the values that they give, for programs that do not compute.

    Args:
        areas: The areas. Without a scale there are neither columns in metres nor a 求積表.
        mat: Kind of mat (帖) or its square metres; see ``mat_size``.
        schedule: Another 求積表 than that of these areas with the usual rules, such as one of several floors.

    Returns:
        The file. The same areas give the same bytes.

    Raises:
        UsageError: There is no such mat.
    """
    if schedule is None and areas.scale is not None:
        schedule = Schedule((area_schedule(areas),))
    workbook = Workbook()
    workbook.properties.creator = "kkg-area-detection"
    workbook.remove(workbook.worksheets[0])
    columns, rows = area_table(areas, mat)
    _fill_areas(workbook.create_sheet("Areas"), columns, rows)
    values: dict[str, Mapping[str, Decimal]] = {}
    if schedule is not None:
        sheet = ScheduleSheet(workbook.create_sheet("求積表"))
        sheet.fill(schedule)
        values["xl/worksheets/sheet2.xml"] = sheet.values
    _fill_about(workbook.create_sheet("About"), _about(areas, mat, schedule))
    data = io.BytesIO()
    workbook.save(data)
    return _finished(data, values)


def _fill_areas(sheet: Worksheet, columns: tuple[Column, ...], rows: list[list[Cell]]) -> None:
    for place, column in enumerate(columns, start=1):
        sheet.cell(1, place, column.name).font = Font(bold=True)
        width = max(10, len(column.name) + 4)  # beside the arrow of the filter
        sheet.column_dimensions[get_column_letter(place)].width = width
    for number, row in enumerate(rows, start=2):
        for place, (value, column) in enumerate(zip(row, columns, strict=True), start=1):
            if isinstance(value, str):
                write_text(sheet, number, place, value)
            elif value is not None:
                sheet.cell(number, place, value).number_format = number_format(column.digits or 0)
    sheet.freeze_panes = "A2"
    sheet.auto_filter.ref = sheet.dimensions


def _about(areas: Areas, mat: str | Number, schedule: Schedule | None) -> list[tuple[str, str]]:
    width, height = areas.image_size
    facts = [("Drawing", areas.name), ("Image", f"{width} x {height} pixels")]
    scale = areas.scale
    if scale is None or schedule is None:
        return [*facts, ("Scale", "unknown: there are pixels only")]
    rooms = {room.id for room in rooms_of(areas)}
    measures = [one for one in measure_areas(areas) if one.id in rooms]
    to_centres = sum(one.basis == "wall_centre" for one in measures)
    rounding = [
        (f"Rounding, {floor.floor}" if floor.floor else "Rounding", _rounding(floor.rules))
        for floor in schedule.floors
    ]
    return [
        *facts,
        ("Scale", f"{scale.mm_per_pixel:.6g} mm a pixel"),
        ("Source of the scale", scale.source),
        ("Uncertainty of the scale", f"{scale.relative_uncertainty:.2%}"),
        ("area_inner_m2", "内法: between the faces of the walls"),
        ("area_wall_centre_m2", "壁芯: up to the centre lines of the walls, where walls were found"),
        (
            "basis",
            f"Of jo and tsubo, rooms only: 壁芯 where it is known ({to_centres} of {len(measures)} rooms), "
            "else 内法",
        ),
        ("jo", f"帖 of {mat_size(mat).normalize():f} m2, cut at two decimals"),
        ("tsubo", "坪 of 400/121 m2, cut at two decimals"),
        (
            "uncertainty_m2",
            "One standard uncertainty of area_inner_m2, of vertices, borders and scale: about two in three true "
            "areas lie within it, 95 % within twice as much. A room that was taken for another is not in it.",
        ),
        ("求積表", "Computed from the printed sides or coordinates in metres; " + _USUAL_RULE),
        *rounding,
    ]


def _rounding(rules: ScheduleRules) -> str:
    row = _words(rules.row)
    return f"sides to {rules.side_digits} decimals, rows {row}, total of the floor {_words(rules.total)}"


def _words(rounding: Rounding | None) -> str:
    return "exact" if rounding is None else f"{_MODES[rounding.mode]} to {rounding.digits} decimals"


def _fill_about(sheet: Worksheet, facts: list[tuple[str, str]]) -> None:
    sheet.column_dimensions["A"].width = 26
    sheet.column_dimensions["B"].width = 90
    for row, (name, text) in enumerate(facts, start=1):
        write_text(sheet, row, 1, name)
        write_text(sheet, row, 2, text)
        sheet.cell(row, 1).font = Font(bold=True)
        sheet.cell(row, 2).alignment = Alignment(wrap_text=True, vertical="top")


def _finished(data: io.BytesIO, values: dict[str, Mapping[str, Decimal]]) -> bytes:
    """Write the values of formulas beside them, and take out the time of writing."""
    finished = io.BytesIO()
    with zipfile.ZipFile(data) as source, zipfile.ZipFile(finished, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            content = source.read(name)
            if name in values:
                content = _with_values(content.decode(), values[name]).encode()
            elif name == "docProps/core.xml":
                content = _DATES.sub("", content.decode()).encode()
            target.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)  # of 1980-01-01
    return finished.getvalue()


def _with_values(sheet: str, values: Mapping[str, Decimal]) -> str:
    return _FORMULA.sub(lambda match: f"{match[1]}<v>{values[match[2]]:f}</v>", sheet)
