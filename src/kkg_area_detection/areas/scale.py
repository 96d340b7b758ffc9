"""The scale of a drawing: how many millimetres of the building a pixel of its picture shows.

A trap that no program can see: an A1 sheet printed on A3 is half as large, so what it calls 1/100 acts as 1/200.
Title blocks often give both. Compare with a printed dimension, or take the scale from one: ``Scale.from_points``.
"""

from __future__ import annotations

import logging
import math
import re
import unicodedata
from dataclasses import dataclass

from kkg_area_detection.errors import UsageError

logger = logging.getLogger(__name__)

MM_PER_INCH = 25.4
PIXEL_UNCERTAINTY = 1 / math.sqrt(12)
"""Standard uncertainty of a coordinate that is known to the pixel: that of a uniform distribution of width 1."""

_USUAL_DENOMINATORS = (10, 2500)  # from details to site plans
_DPI_OF_PROGRAMS = (72, 96)
_NUMBER = r"(\d+(?:\.\d+)?)"
_SIGNED = r"([+-]?\d+(?:\.\d+)?)"
_RATIO = re.compile(rf"(?:(?:s|scale|縮尺)[=:]?)?(?:1[/:])?{_NUMBER}")
_PIXELS_A_METRE = re.compile(rf"{_NUMBER}px/m")
_MM_A_PIXEL = re.compile(rf"{_NUMBER}mm/px")
_POINTS = re.compile(rf"{_SIGNED},{_SIGNED},{_SIGNED},{_SIGNED}={_NUMBER}(mm|cm|m)")
_MM_PER_UNIT = {"mm": 1, "cm": 10, "m": 1000}
_SAME_SIGN = str.maketrans({"∶": ":", "⁄": "/", "∕": "/", "−": "-", "、": ","})
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")


@dataclass(frozen=True, slots=True)
class Scale:
    """How pixels become millimetres of the building.

    Attributes:
        mm_per_pixel: Millimetres of the building that one pixel shows.
        relative_uncertainty: Standard uncertainty of ``mm_per_pixel``, as a share of it.
        source: Where it comes from, for people: ``"1/100 at 300 dpi"``.

    Raises:
        UsageError: ``mm_per_pixel`` is not a positive number, or the uncertainty is negative.
    """

    mm_per_pixel: float
    relative_uncertainty: float = 0.0
    source: str = ""

    def __post_init__(self) -> None:
        if not (math.isfinite(self.mm_per_pixel) and self.mm_per_pixel > 0):
            raise UsageError(
                f"A scale of {self.mm_per_pixel} mm a pixel is not possible.",
                next_step='pass a positive number, or take one of the ways of Scale: from_ratio("1/100", dpi=300).',
            )
        if not (math.isfinite(self.relative_uncertainty) and self.relative_uncertainty >= 0):
            raise UsageError(f"An uncertainty of {self.relative_uncertainty} is not possible.")

    @classmethod
    def from_ratio(cls, ratio: str | float, dpi: float | None, relative_uncertainty: float = 0.0) -> Scale:
        """Take the scale that the title block gives, and the resolution of the scan.

        Args:
            ratio: ``"1/100"``, ``"1:100"``, ``"S=1/100"``, full-width ``"１／１００"``, the denominator (100) or
                the quotient (0.01).
            dpi: Pixels an inch of the paper on which the ratio is true. It is the sheet that counts: of an A1
                sheet printed on A3, half the resolution of the scan.
            relative_uncertainty: Of paper, printer and scanner, as a share. By default they are taken as exact.

        Raises:
            UsageError: The ratio cannot be read, or the resolution is unknown.
        """
        denominator = _denominator(ratio)
        if dpi is None:
            raise UsageError(
                f"A scale of 1/{denominator:g} says nothing without the resolution of the picture.",
                cause="the file gives none, or only the 72 or 96 dpi that programs write when they do not know.",
                next_step='pass the resolution of the scan (dpi=300), or a known length: "100,80,530,80=3640mm".',
            )
        if not (math.isfinite(dpi) and dpi > 0):
            raise UsageError(
                f"A resolution of {dpi} dpi is not possible.", next_step="pass dpi=300 or the like."
            )
        low, high = _USUAL_DENOMINATORS
        if not low <= denominator <= high:
            logger.warning("A scale of 1/%g is unusual for a plan; areas may be far off.", denominator)
        if any(abs(dpi - usual) < 0.5 for usual in _DPI_OF_PROGRAMS):
            logger.warning(
                "%g dpi is what programs write when they do not know the resolution; compare an area with a "
                "printed dimension.",
                dpi,
            )
        source = f"1/{denominator:g} at {dpi:g} dpi"
        return cls(MM_PER_INCH / dpi * denominator, relative_uncertainty, source)

    @classmethod
    def from_pixels_per_metre(cls, pixels: float, relative_uncertainty: float = 0.0) -> Scale:
        """Take how many pixels show a metre of the building.

        Raises:
            UsageError: It is not a positive number.
        """
        if not pixels > 0:
            raise UsageError(f"A scale of {pixels} pixels a metre is not possible.")
        return cls(1000 / pixels, relative_uncertainty, f"{pixels:g} px/m")

    @classmethod
    def from_points(
        cls,
        first: tuple[float, float],
        second: tuple[float, float],
        distance_mm: float,
        point_uncertainty: float = PIXEL_UNCERTAINTY,
    ) -> Scale:
        """Measure a printed dimension: two points and how far they are apart in the building.

        Args:
            first: x and y in pixels of the image.
            second: The other end.
            distance_mm: Millimetres of the building between them.
            point_uncertainty: Standard uncertainty of each coordinate in pixels. By default that of points which
                are known to the pixel.

        Raises:
            UsageError: The points are the same or nearly so, or the distance is not a positive number.
        """
        pixels = math.dist(first, second)
        if not pixels >= 1:
            raise UsageError(
                f"The points {first} and {second} are too close to give a scale.",
                next_step="take the ends of a dimension that is as long as possible.",
            )
        # Both ends count along the line only: the variance of the distance is twice that of a coordinate.
        relative = math.sqrt(2) * point_uncertainty / pixels
        return cls(distance_mm / pixels, relative, f"{distance_mm:g} mm in {pixels:.1f} px")

    @property
    def pixels_per_metre(self) -> float:
        """Pixels that show a metre of the building."""
        return 1000 / self.mm_per_pixel

    def metres(self, pixels: float) -> float:
        """Metres of the building that a length in pixels shows."""
        return pixels * self.mm_per_pixel / 1000

    def square_metres(self, square_pixels: float) -> float:
        """Square metres of the building that an area in pixels shows."""
        return square_pixels * self.mm_per_pixel**2 / 1_000_000


def parse_scale(text: str, dpi: float | None = None) -> Scale:
    """Read a scale as people type it.

    Args:
        text: ``"1/100"`` and the like, ``"50px/m"``, ``"8.5mm/px"``, or two points of the image and the distance
            between them: ``"100,80,530,80=3640mm"`` (or ``m``, ``cm``). Full-width letters are read as well.
        dpi: Resolution of the image, for a ratio.

    Raises:
        UsageError: The text cannot be read, or is a ratio and there is no resolution.

    Example:
        >>> parse_scale("1/100", dpi=254)
        Scale(mm_per_pixel=10.0, relative_uncertainty=0.0, source='1/100 at 254 dpi')
        >>> parse_scale("0,0,364,0=3.64m").mm_per_pixel
        10.0
    """
    plain = _plain(text)
    if match := _PIXELS_A_METRE.fullmatch(plain):
        return Scale.from_pixels_per_metre(float(match[1]))
    if match := _MM_A_PIXEL.fullmatch(plain):
        return Scale(float(match[1]), source=f"{match[1]} mm/px")
    if match := _POINTS.fullmatch(plain):
        x0, y0, x1, y1 = (float(match[number]) for number in range(1, 5))
        return Scale.from_points((x0, y0), (x1, y1), float(match[5]) * _MM_PER_UNIT[match[6]])
    return Scale.from_ratio(text, dpi)


def _denominator(ratio: str | float) -> float:
    """The 100 of 1/100."""
    if isinstance(ratio, str):
        match = _RATIO.fullmatch(_THOUSANDS.sub("", _plain(ratio)))
        if not match or not float(match[1]):
            raise _unreadable(ratio)
        ratio = float(match[1])
    if not (math.isfinite(ratio) and ratio > 0):
        raise _unreadable(str(ratio))
    # 1/100 is 0.01 where it is typed into a program.
    return ratio if ratio >= 1 else float(f"{1 / ratio:.9g}")


def _plain(text: str) -> str:
    """Half-width, in small letters, without spaces."""
    half_width = unicodedata.normalize("NFKC", text.translate(_SAME_SIGN)).translate(_SAME_SIGN)
    return re.sub(r"\s+", "", half_width).lower()


def _unreadable(text: str) -> UsageError:
    several = len(re.findall(r"\d[/:]\d", unicodedata.normalize("NFKC", text))) > 1
    return UsageError(
        f"{text!r} is not a scale that can be read.",
        cause="it names several: title blocks give one for each size of paper." if several else "",
        next_step='write it as "1/100", "50px/m", "8.5mm/px" or "100,80,530,80=3640mm" (x, y, x, y in pixels).',
    )
