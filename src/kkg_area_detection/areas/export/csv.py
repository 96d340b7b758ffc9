"""CSV that Excel opens by a double click, on Japanese Windows too, and that scripts read without surprises."""

from __future__ import annotations

import csv
import io
from decimal import Decimal
from typing import TYPE_CHECKING

from kkg_area_detection.areas.export.table import Cell, area_table
from kkg_area_detection.areas.units import ADVERTISING, Number

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

_FORMULA_SIGNS = (
    "=",
    "+",
    "-",
    "@",
    "＝",
    "＋",
    "－",
    "＠",
)  # spreadsheets on Japanese systems read both widths


def csv_table(areas: Areas, mat: str | Number = ADVERTISING) -> bytes:
    """Write areas as a table, one row an area.

    A label that a spreadsheet would take for a formula, because it begins with ``=``, ``+``, ``-`` or ``@``, gets
    an apostrophe in front, the sign of spreadsheets for text.

    Args:
        areas: The areas. Without a scale there are no columns in metres.
        mat: Kind of mat (帖) or its square metres; see ``mat_size``.

    Returns:
        The file: UTF-8 with a byte order mark, lines that end in CR LF, decimal points, no thousands separators.

    Raises:
        UsageError: There is no such mat.
    """
    columns, rows = area_table(areas, mat)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(column.name for column in columns)
    writer.writerows([_text(cell) for cell in row] for row in rows)
    return text.getvalue().encode("utf-8-sig", errors="replace")


def _text(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return f"'{cell}" if cell.lstrip().startswith(_FORMULA_SIGNS) else cell
    return f"{cell:f}" if isinstance(cell, Decimal) else str(cell)
