"""Units of floor space, and rounding as the trade does it: on decimal numbers, never on binary ones.

Sources: 不動産の表示に関する公正競争規約施行規則 (in advertising a 帖 has 1.62 m2 or more, on the area up to the
centre lines of the walls); the usual sizes of mats; 1 坪 = 400/121 m2, from the 尺 of 10/33 m.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import ROUND_DOWN, ROUND_HALF_UP, ROUND_UP, Context, Decimal
from typing import Literal, TypeAlias

from kkg_area_detection.errors import UsageError

Number: TypeAlias = Decimal | float | int

ADVERTISING = "規約"
MATS: dict[str, Decimal] = {
    ADVERTISING: Decimal("1.62"),
    "京間": Decimal("0.955") * Decimal("1.910"),
    "中京間": Decimal("0.910") * Decimal("1.820"),
    "江戸間": Decimal("0.880") * Decimal("1.760"),
    "団地間": Decimal("0.850") * Decimal("1.700"),
}
"""Square metres of one mat, by its name."""

_ENGLISH_MATS = {
    "advertising": ADVERTISING,
    "kyoma": "京間",
    "chukyoma": "中京間",
    "edoma": "江戸間",
    "danchima": "団地間",
}
_TSUBO_PER_SQUARE_METRE = Decimal("0.3025")  # 121/400, exactly
_MODES = {"down": ROUND_DOWN, "half_up": ROUND_HALF_UP, "up": ROUND_UP}
_ENOUGH_DIGITS = Context(prec=60)


@dataclass(frozen=True, slots=True)
class Rounding:
    """How a number is rounded.

    Attributes:
        digits: Behind the decimal point.
        mode: ``"down"`` cuts (切捨て), ``"half_up"`` rounds as at school (四捨五入), ``"up"`` counts what is begun
            (切上げ). All three treat negative numbers as their mirror images.
    """

    digits: int = 2
    mode: Literal["down", "half_up", "up"] = "down"

    def __post_init__(self) -> None:
        if self.mode not in _MODES or not 0 <= self.digits <= 12:
            raise UsageError(
                f"Rounding to {self.digits} digits by {self.mode!r} is not possible.",
                next_step=f"take 0 to 12 digits and one of {', '.join(_MODES)}.",
            )

    def apply(self, value: Number) -> Decimal:
        """Round a number.

        Raises:
            UsageError: It is infinite or not a number.

        Example:
            >>> Rounding(2, "down").apply(Decimal("73.926050")), Rounding(1, "half_up").apply(0.25)
            (Decimal('73.92'), Decimal('0.3'))
        """
        step = Decimal(1).scaleb(-self.digits)
        return exact(value).quantize(step, rounding=_MODES[self.mode], context=_ENOUGH_DIGITS)

    def text(self, value: Number) -> str:
        """Write a rounded number, with all its digits and without an exponent."""
        return f"{self.apply(value):f}"


def exact(value: Number) -> Decimal:
    """The decimal number that a value is written as: 0.1 is one tenth.

    Raises:
        UsageError: It is infinite or not a number.
    """
    if not math.isfinite(value):
        raise UsageError(f"{value} is not a number that can be rounded.")
    return value if isinstance(value, Decimal) else Decimal(str(value))


def mat_size(mat: str | Number = ADVERTISING) -> Decimal:
    """Square metres of a mat.

    Args:
        mat: A name of ``MATS`` or its English equivalent (``"advertising"``, ``"kyoma"``, ``"chukyoma"``,
            ``"edoma"``, ``"danchima"``), or square metres.

    Raises:
        UsageError: There is no mat of this name, or its size is not a positive number.
    """
    if isinstance(mat, str):
        name = _ENGLISH_MATS.get(mat.casefold(), mat)
        if name not in MATS:
            raise UsageError(
                f"There is no mat {mat!r}.", next_step=f"take one of {', '.join([*MATS, *_ENGLISH_MATS])}."
            )
        return MATS[name]
    size = exact(mat)
    if size <= 0:
        raise UsageError(f"A mat of {mat} m2 is not possible.")
    return size


def to_jo(square_metres: Number, mat: str | Number = ADVERTISING) -> Decimal:
    """How many mats (帖) an area has, unrounded.

    Example:
        >>> to_jo(Decimal("9.72")), Rounding(1).text(to_jo(9.72, "kyoma"))
        (Decimal('6'), '5.3')
    """
    return exact(square_metres) / mat_size(mat)


def to_tsubo(square_metres: Number) -> Decimal:
    """How many 坪 an area has, unrounded.

    Example:
        >>> to_tsubo(400)
        Decimal('121.0000')
    """
    return exact(square_metres) * _TSUBO_PER_SQUARE_METRE
