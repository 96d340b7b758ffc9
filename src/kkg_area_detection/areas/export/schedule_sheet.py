"""The 求積表 as a sheet of a workbook, whose figures are Excel formulas of the printed sides."""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter

from kkg_area_detection.areas.schedule import COLUMNS

if TYPE_CHECKING:
    from openpyxl.worksheet.worksheet import Worksheet

    from kkg_area_detection.areas.schedule import FloorSchedule, Schedule
    from kkg_area_detection.areas.units import Rounding

_WIDTHS = (8, 24, 60, 16, 16, 12)
_FORMULA, _AREA, _SUBTOTAL, _TOTAL = 3, 4, 5, 6  # numbers of columns
_FUNCTIONS = {"down": "ROUNDDOWN", "half_up": "ROUND", "up": "ROUNDUP"}
_TO_EXCEL = str.maketrans("×÷", "*/")
_LONGEST_FORMULA = 8192 - 64  # characters; Excel's limit, less the rounding around it
_LONGEST_TEXT = 32_767  # characters; Excel's limit


class ScheduleSheet:
    """Fills a sheet, row after row.

    Args:
        sheet: An empty one.

    Attributes:
        values: What each formula gives, by the address of its cell.
    """

    def __init__(self, sheet: Worksheet) -> None:
        self.values: dict[str, Decimal] = {}
        self._sheet = sheet
        self._row = 1

    def fill(self, schedule: Schedule) -> None:
        """Write all floors, and the total of several."""
        for column, (name, width) in enumerate(zip(COLUMNS, _WIDTHS, strict=True), start=1):
            self._sheet.cell(1, column, name).font = Font(bold=True)
            self._sheet.column_dimensions[get_column_letter(column)].width = width
        self._sheet.freeze_panes = "A2"
        totals = [self._floor(floor) for floor in schedule.floors]
        if len(totals) > 1:
            self._begin("", "総合計")
            self._number(_TOTAL, "+".join(totals), schedule.total)

    def _floor(self, floor: FloorSchedule) -> str:
        """Write a floor.

        Returns:
            The address of its total.
        """
        digits = 2 * floor.rules.side_digits + 1  # of a product of two sides, halved
        first = self._row + 1
        first_of_room = first
        for row in floor.rows:
            self._begin(row.sign, row.name)
            text = row.formula
            if len(text) > _LONGEST_TEXT:
                text = "座標求積"
            write_text(self._sheet, self._row, _FORMULA, text)
            self._sheet.cell(self._row, _FORMULA).alignment = Alignment(wrap_text=True, vertical="top")
            formula = row.formula.translate(_TO_EXCEL)
            if len(formula) > _LONGEST_FORMULA:
                self._cell(_AREA, row.area)
            else:
                self._number(_AREA, _rounded(formula, floor.rules.row, digits), row.area)
            if row.subtotal is not None:
                self._number(_SUBTOTAL, f"SUM(D{first_of_room}:D{self._row})", row.subtotal)
            if row.subtotal is not None or "-" not in row.sign:
                first_of_room = self._row + 1
        cells = f"SUM(D{first}:D{self._row})" if floor.rows else "0"
        self._begin("", f"{floor.floor}合計")
        self._number(_AREA, cells, floor.exact_total)
        self._number(_TOTAL, _rounded(cells, floor.rules.total, digits), floor.total)
        return f"F{self._row}"

    def _begin(self, sign: str, name: str) -> None:
        self._row += 1
        write_text(self._sheet, self._row, 1, sign)
        write_text(self._sheet, self._row, 2, name)

    def _number(self, column: int, formula: str, value: Decimal) -> None:
        self._cell(column, value)
        cell = self._sheet.cell(self._row, column, f"={formula}")
        self.values[cell.coordinate] = value

    def _cell(self, column: int, value: Decimal) -> None:
        cell = self._sheet.cell(self._row, column, value)
        cell.number_format = number_format(max(0, -int(value.as_tuple().exponent)))


def number_format(digits: int) -> str:
    """Excel's format of a number with so many decimals."""
    return "0." + "0" * digits if digits else "0"


def write_text(sheet: Worksheet, row: int, column: int, text: str) -> None:
    """Write a text that is never taken for a formula, without what XML cannot hold."""
    cell = sheet.cell(row, column, ILLEGAL_CHARACTERS_RE.sub("", text))
    cell.data_type = "s"


def _rounded(formula: str, rounding: Rounding | None, exact_digits: int) -> str:
    """Round as the rules say; first away the noise of Excel's binary numbers, which would cut 73.92 to 73.91."""
    if rounding is None:
        return formula
    return f"{_FUNCTIONS[rounding.mode]}(ROUND({formula},{exact_digits}),{rounding.digits})"
