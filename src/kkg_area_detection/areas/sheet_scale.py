"""The scale of a sheet: what the caller says about it, or else what its file says."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from kkg_area_detection.areas.scale import Scale, parse_scale

if TYPE_CHECKING:
    from kkg_area_detection.documents import Sheet

logger = logging.getLogger(__name__)


def scale_of_sheet(
    sheet: Sheet, scale: Scale | str | float | None = None, dpi: float | None = None
) -> Scale | None:
    """Find out how many millimetres of the building a pixel of a sheet shows.

    Args:
        sheet: The sheet.
        scale: A ``Scale``; or a text for ``parse_scale``, such as ``"1/100"``; or the denominator of a ratio. None
            takes what a program noted in the PDF, where that is one scale for the whole page.
        dpi: Pixels an inch of the sheet, for a ratio. None takes that of the file.

    Returns:
        The scale; None where nobody says it.

    Raises:
        UsageError: The scale cannot be read, or is a ratio and nobody knows the resolution.
    """
    if isinstance(scale, Scale):
        return scale
    if isinstance(scale, str):
        return parse_scale(scale, sheet.dpi if dpi is None else dpi)
    if scale is not None:
        return Scale.from_ratio(scale, sheet.dpi if dpi is None else dpi)
    return _noted_scale(sheet)


def _noted_scale(sheet: Sheet) -> Scale | None:
    noted = {round(viewport.mm_per_pixel, 9): viewport for viewport in sheet.viewports}
    if len(noted) > 1:
        scales = ", ".join(viewport.ratio or f"{scale:g} mm/px" for scale, viewport in noted.items())
        logger.warning(
            "%s has parts of different scales (%s); pass the one of the part that counts.", sheet.name, scales
        )
        return None
    for viewport in noted.values():
        source = f"{viewport.ratio or 'a scale'} noted in {sheet.name}"
        logger.info("%s: %s.", sheet.name, source)
        return Scale(viewport.mm_per_pixel, source=source)
    return None
