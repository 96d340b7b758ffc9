"""求積表: a table of areas that anyone can add up again by hand.

Everything is computed from the figures that are printed, in decimal numbers. Sides and coordinates are rounded to
the millimetre first; a shape with right angles is cut into rectangles, any other is worked out from its coordinates
(座標求積). So every row is exactly what its formula says, and every total is exactly the sum of what stands above.

The rounding of each figure can be chosen; by default it is that of applications for building permits (建築確認):
rows exact, and the total of a floor cut at the third decimal (昭和 41 年住指発第 87 号).
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from kkg_area_detection.areas.printed_shape import PrintedShape, Vertex
from kkg_area_detection.areas.texts import rooms_of
from kkg_area_detection.areas.units import Rounding
from kkg_area_detection.areas.wall_centre import Basis, wall_centre_polygons
from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

COLUMNS = ("符号", "室名", "計算式", "面積", "小計", "合計")
_MOST_RECTANGLES = 12  # a shape of more is quicker checked from its coordinates
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_MOST_DIGITS = 6


@dataclass(frozen=True, slots=True)
class ScheduleRules:
    """How the figures of a schedule are rounded.

    Attributes:
        side_digits: Decimals of sides and coordinates in metres, up to 6; 3 is millimetres.
        row: For the area of each row; None keeps it exact.
        total: For the sum of a floor; None keeps it exact.

    Raises:
        UsageError: ``side_digits`` is out of range.
    """

    side_digits: int = 3
    row: Rounding | None = None
    total: Rounding | None = field(default_factory=lambda: Rounding(2, "down"))

    def __post_init__(self) -> None:
        if not 0 <= self.side_digits <= _MOST_DIGITS:
            raise UsageError(f"Sides cannot be printed with {self.side_digits} decimals.")


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """A row.

    Attributes:
        sign: 符号: a letter for the room; where it has several rows they are numbered, ``"B-2"``.
        name: 室名.
        formula: 計算式, of printed numbers, ``+ - × ÷`` and parentheses only.
        area: 面積: what the formula gives, in square metres, rounded where the rules say so.
        subtotal: 小計: the sum of a room of several rows, in its last one; else None.
    """

    sign: str
    name: str
    formula: str
    area: Decimal
    subtotal: Decimal | None = None


@dataclass(frozen=True, slots=True)
class FloorSchedule:
    """The rows of a floor.

    Attributes:
        floor: Its name; may be empty.
        rows: One or more for each room.
        total: 合計: the sum of the rows, rounded by the rules.
        rules: How its figures are rounded.
    """

    floor: str
    rows: tuple[ScheduleRow, ...]
    total: Decimal
    rules: ScheduleRules = field(default_factory=ScheduleRules)

    @property
    def exact_total(self) -> Decimal:
        """The sum of the rows before it is rounded."""
        return sum((row.area for row in self.rows), Decimal(0))

    def lines(self) -> list[tuple[str, ...]]:
        """The rows as texts, in the order of ``COLUMNS``, and the total."""
        lines = [
            (
                row.sign,
                row.name,
                row.formula,
                f"{row.area:f}",
                "" if row.subtotal is None else f"{row.subtotal:f}",
                "",
            )
            for row in self.rows
        ]
        return [*lines, ("", f"{self.floor}合計", "", f"{self.exact_total:f}", "", f"{self.total:f}")]


@dataclass(frozen=True, slots=True)
class Schedule:
    """The 求積表 of a building.

    Attributes:
        floors: In the order of the table.
    """

    floors: tuple[FloorSchedule, ...]

    @property
    def total(self) -> Decimal:
        """The sum of the totals of the floors, as they are printed."""
        return sum((floor.total for floor in self.floors), Decimal(0))

    def lines(self) -> list[tuple[str, ...]]:
        """All floors as texts, in the order of ``COLUMNS``, and the total of several."""
        lines = [line for floor in self.floors for line in floor.lines()]
        return [*lines, ("", "総合計", "", "", "", f"{self.total:f}")] if len(self.floors) > 1 else lines


def area_schedule(
    areas: Areas,
    floor: str = "",
    *,
    names: Mapping[int, str] | None = None,
    labels: Collection[str] | None = None,
    basis: Basis | None = None,
    rules: ScheduleRules | None = None,
) -> FloorSchedule:
    """Make the 求積表 of a floor.

    Args:
        areas: With a scale. Borders that are squared give rectangles; others are worked out from coordinates.
        floor: What the floor is called: ``"1階"``.
        names: What rooms are called, by the ids of the areas. By default their labels and ids.
        labels: Names of the classes to list. None takes rooms; where no label is recognised as one, all that are
            neither wall, door nor window.
        basis: How far rooms reach. None takes 壁芯 where the areas come with walls.
        rules: How figures are rounded; by default as for 建築確認.

    Returns:
        The rows; those of several floors go together into a ``Schedule``.

    Raises:
        UsageError: The scale is unknown, or 壁芯 is asked for and the walls are not known.
    """
    if areas.scale is None:
        raise UsageError(
            "There is no 求積表 without a scale.",
            next_step='pass scale="1/100" and the resolution of the scan.',
        )
    if basis == "wall_centre" and not areas.walls:
        raise UsageError(
            "Rooms cannot be taken to the centre lines of walls that are not known.",
            next_step='detect the areas with their walls, or take basis="inner".',
        )
    rules = rules or ScheduleRules()
    grown = {} if basis == "inner" else wall_centre_polygons(areas, areas.walls)
    listed = rooms_of(areas) if labels is None else [area for area in areas if area.label in labels]
    rows: list[ScheduleRow] = []
    for number, area in enumerate(listed):
        shape = PrintedShape.of(grown.get(area.id, area.polygon), areas.scale, rules.side_digits)
        name = (names or {}).get(area.id, f"{area.label} {area.id}")
        rows += _rows(_sign(number), name, shape, rules)
    total = sum((row.area for row in rows), Decimal(0))
    return FloorSchedule(floor, tuple(rows), rules.total.apply(total) if rules.total else total, rules)


def _sign(number: int) -> str:
    """A, B, ... Z, AA, AB and so on."""
    rest, last = divmod(number, len(_LETTERS))
    return (_sign(rest - 1) if rest else "") + _LETTERS[last]


def _rows(sign: str, name: str, shape: PrintedShape, rules: ScheduleRules) -> list[ScheduleRow]:
    formulas = list(_formulas(shape))
    areas = [rules.row.apply(area) if rules.row else area for _, area in formulas]
    if len(formulas) == 1:
        return [ScheduleRow(sign, name, formulas[0][0], areas[0])]
    rows = [
        ScheduleRow(f"{sign}-{number}", name, formula, area)
        for number, ((formula, _), area) in enumerate(zip(formulas, areas, strict=True), start=1)
    ]
    return [*rows[:-1], replace(rows[-1], subtotal=sum(areas, Decimal(0)))] if rows else []


def _formulas(shape: PrintedShape) -> Iterator[tuple[str, Decimal]]:
    """Formulas and what they give."""
    rectangles = shape.rectangles()
    if rectangles is None or len(rectangles) > _MOST_RECTANGLES:
        yield from (_by_coordinates(ring, shape) for ring in shape.rings)
    else:
        yield from ((f"{width:f}×{height:f}", width * height) for width, height in rectangles)


def _by_coordinates(ring: tuple[Vertex, ...], shape: PrintedShape) -> tuple[str, Decimal]:
    """座標求積: the sum of Xn × (Yn+1 - Yn-1), divided by 2. That of a hole is negative."""
    terms: list[str] = []
    doubled = Decimal(0)
    for number, (x, _) in enumerate(ring):
        width = shape.metres(x)
        following = shape.metres(ring[(number + 1) % len(ring)][1])
        previous = shape.metres(ring[number - 1][1])
        if width and following != previous:
            terms.append(f"{width:f}×({following:f}-{previous:f})")
            doubled += width * (following - previous)
    return f"({'+'.join(terms)})÷2", doubled / 2
