"""The table of areas that both ``.csv`` and ``.xlsx`` hold: one row an area."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, TypeAlias

from kkg_area_detection.areas.measure import Measures, measure_areas
from kkg_area_detection.areas.texts import rooms_of
from kkg_area_detection.areas.units import Number, Rounding, mat_size

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Area, Areas

Cell: TypeAlias = str | int | Decimal | None
"""What a row holds in a column; None where there is nothing to say."""

_NEAREST = {digits: Rounding(digits, "half_up") for digits in (3, 4)}
_CUT = Rounding(2, "down")  # 5.999 mats must not be sold as 6


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        name: Its heading, with the unit; the same in every release.
        digits: Decimals of its numbers; None for texts.
    """

    name: str
    digits: int | None = None


PIXEL_COLUMNS = (Column("id", 0), Column("label"), Column("score", 4), Column("pixels", 0))
METRE_COLUMNS = (
    Column("area_inner_m2", 4),
    Column("area_wall_centre_m2", 4),
    Column("uncertainty_m2", 4),
    Column("perimeter_m", 3),
    Column("basis"),
    Column("jo", 2),
    Column("tsubo", 2),
)


def area_table(areas: Areas, mat: str | Number) -> tuple[tuple[Column, ...], list[list[Cell]]]:
    """Put areas into a table.

    Args:
        areas: The areas.
        mat: Kind of mat (帖) or its square metres; see ``mat_size``.

    Returns:
        The columns, without those in metres where the scale is unknown; and the rows, with numbers rounded to the
        digits of their column. 帖 and 坪 are cut, of rooms only, and of the area that ``basis`` names.

    Raises:
        UsageError: There is no such mat.
    """
    mat = mat_size(mat)
    if areas.scale is None:
        return PIXEL_COLUMNS, [_pixels(area) for area in areas]
    rooms = {room.id for room in rooms_of(areas)}
    rows = [
        [*_pixels(area), *_metres(one), *(_floor(one, mat) if area.id in rooms else (None, None, None))]
        for area, one in zip(areas, measure_areas(areas), strict=True)
    ]
    return (*PIXEL_COLUMNS, *METRE_COLUMNS), rows


def _pixels(area: Area) -> list[Cell]:
    return [area.id, area.label, _NEAREST[4].apply(area.score), area.pixels]


def _metres(one: Measures) -> list[Cell]:
    return [
        _NEAREST[4].apply(one.inner),
        None if one.wall_centre is None else _NEAREST[4].apply(one.wall_centre),
        _NEAREST[4].apply(one.uncertainty.total),
        _NEAREST[3].apply(one.perimeter),
    ]


def _floor(one: Measures, mat: Decimal) -> tuple[Cell, ...]:
    return one.basis, _CUT.apply(one.jo(mat)), _CUT.apply(one.tsubo)
