"""PDF pages as sheets: how large to draw them, and what their size can be believed to be."""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass

from kkg_area_detection.documents import pdf_scale
from kkg_area_detection.documents.limits import check_pixels
from kkg_area_detection.documents.pdf_scale import PageNotes
from kkg_area_detection.documents.pdfium import Embedded, Page, open_pdf
from kkg_area_detection.documents.raster import MM_PER_INCH, is_dpi_of_programs
from kkg_area_detection.documents.sheet import Sheet, Viewport, sheet_name
from kkg_area_detection.documents.source import Source
from kkg_area_detection.errors import ImageError

DEFAULT_DPI = 200.0
FINEST_DEFAULT_DPI = 300.0
DEFAULT_PIXELS = 40_000_000  # the most that a page gets unless the caller asks for more; A0 at 160 dpi

_POINTS_PER_INCH = 72.0
_LONGEST_INCHES = 100_000 / MM_PER_INCH  # 100 m
_COVERS_PAGE = 0.9
_ONE_BIT_DISCOUNT = 8

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scan:
    """The image that makes up a scanned page.

    Attributes:
        dpi: Its pixels per inch of the page.
        alone: Nothing is drawn over it but text.
    """

    dpi: float
    alone: bool


class PdfFile:
    """A PDF.

    Attributes:
        pages: How many it has; at least 1.
        place: For messages.

    Raises:
        MissingDependencyError: pypdfium2 is not installed.
        PasswordError: It is encrypted, and the password is missing or wrong.
        ImageError: It is damaged, or has no pages.
    """

    def __init__(self, source: Source, dpi: float | None, password: str | None, limit: float) -> None:
        self._source = source
        self._dpi = dpi
        self._password = password
        self._limit = limit
        self.place = source.place
        self._notes: tuple[PageNotes, ...] = ()
        with open_pdf(source, password) as pdf:
            self.pages = len(pdf)
        if self.pages < 1:
            raise ImageError(
                f"{self.place} is a PDF without pages.", next_step="open it in a viewer and save it anew."
            )

    def open(self, page: int) -> Sheet:
        """Draw a page. The file is opened for it alone, so that memory does not grow with the pages.

        Raises:
            ImageError: The page is damaged or too large, or has an image that is.
        """
        if not self._notes:
            self._notes = pdf_scale.read_notes(self._source, self._password, self.pages)
        with open_pdf(self._source, self._password) as pdf, pdf.page(page) as opened:
            return self._draw(opened, page, self._notes[page - 1])

    def _draw(self, page: Page, number: int, notes: PageNotes) -> Sheet:
        per_inch = _POINTS_PER_INCH / (notes.user_unit or 1.0)  # units of the page
        inches = page.size[0] / per_inch, page.size[1] / per_inch
        if not 0 < max(inches) <= _LONGEST_INCHES:
            raise _absurd(page.place, inches)
        images, has_lines = page.contents()
        for image in images:
            allowed = self._limit * (_ONE_BIT_DISCOUNT if image.one_bit else 1)
            check_pixels(f"An image in {page.place}", *image.pixels, allowed)
        scan = find_scan(images, page.size, per_inch, has_lines=has_lines)
        dpi = self._dpi or self._own_choice(page.place, inches, scan)
        width, height = _whole_pixels(page.place, inches, dpi, self._limit)
        picture = page.draw(width, height)
        if images and not has_lines and picture.getextrema() == ((255, 255),) * 3:
            logger.warning("%s is blank; its image may be damaged.", page.place)
        drawn_dpi = math.sqrt(width * height / math.prod(inches))
        believed = None if _is_without_size(scan, notes) else drawn_dpi
        return Sheet(
            image=picture,
            name=sheet_name(self._source.name, number, self.pages),
            path=self._source.path,
            page=number,
            pages=self.pages,
            dpi=believed,
            size_mm=None if believed is None else (inches[0] * MM_PER_INCH, inches[1] * MM_PER_INCH),
            viewports=_viewports(page, picture.size, per_inch / drawn_dpi, notes),
        )

    def _own_choice(self, place: str, inches: tuple[float, float], scan: Scan | None) -> float:
        dpi = default_dpi(scan)
        affordable = affordable_dpi(inches, min(DEFAULT_PIXELS, self._limit))
        if dpi <= affordable:
            return dpi
        logger.info("%s is large and is drawn at %.3g dpi.", place, affordable)
        return affordable


def find_scan(
    images: list[Embedded], page: tuple[float, float], units_per_inch: float, *, has_lines: bool
) -> Scan | None:
    """The finest image that covers a page, if there is one.

    Args:
        images: On the page.
        page: Width and height in its units.
        units_per_inch: Of the page.
        has_lines: Whether lines are drawn over the images.
    """
    finest = 0.0
    for image in images:
        if image.on_page and math.prod(image.on_page) >= _COVERS_PAGE * math.prod(page):
            pixels_per_unit = math.sqrt(math.prod(image.pixels) / math.prod(image.on_page))
            finest = max(finest, pixels_per_unit * units_per_inch)
    return Scan(finest, alone=not has_lines) if finest else None


def default_dpi(scan: Scan | None) -> float:
    """Pixels per inch for a page where the caller does not say.

    200, which is ample for a network that sees the page much smaller; for a scan its own resolution, but at
    most 300; for a scan with lines drawn over it the finer of the two.
    """
    if scan is None:
        return DEFAULT_DPI
    own = min(scan.dpi, FINEST_DEFAULT_DPI)
    return own if scan.alone else max(DEFAULT_DPI, own)


def affordable_dpi(inches: tuple[float, float], pixels: float) -> float:
    """Pixels per inch that give a page a number of pixels."""
    return math.sqrt(pixels / math.prod(inches))


def _whole_pixels(place: str, inches: tuple[float, float], dpi: float, limit: float) -> tuple[int, int]:
    width, height = (max(1, round(side * dpi)) for side in inches)
    if width * height <= limit:
        return width, height
    less_wide, less_high = (max(1, math.floor(side * dpi)) for side in inches)
    if less_wide * less_high <= limit:  # only rounding led past the limit
        return less_wide, less_high
    raise ImageError(
        f"{place} has too many pixels at {dpi:g} dpi: {width} x {height}.",
        cause="the page is large.",
        next_step=f"pass dpi={math.floor(affordable_dpi(inches, limit))} or less, or a higher max_pixels.",
    )


def _is_without_size(scan: Scan | None, notes: PageNotes) -> bool:
    """Whether the size of the page means nothing.

    A program that packs an image of unknown resolution into a PDF makes up a page at 72 or 96 dpi.
    """
    made_up = scan is not None and scan.alone and is_dpi_of_programs(scan.dpi)
    return made_up or notes.user_unit is None


def _viewports(
    page: Page, size: tuple[int, int], units_per_pixel: float, notes: PageNotes
) -> tuple[Viewport, ...]:
    viewports = []
    for one in notes.viewports:
        left, bottom, right, top = one.box
        x0, y0 = page.to_pixels(left, bottom, *size)
        x1, y1 = page.to_pixels(right, top, *size)
        box = float(min(x0, x1)), float(min(y0, y1)), float(max(x0, x1)), float(max(y0, y1))
        viewports.append(Viewport(box, one.mm_per_unit * units_per_pixel, one.ratio))
    return tuple(viewports)


def _absurd(place: str, inches: tuple[float, float]) -> ImageError:
    width, height = (side * MM_PER_INCH / 1000 for side in inches)
    return ImageError(
        f"{place} claims to be {width:.4g} m wide and {height:.4g} m high.",
        cause="the file is damaged, or it was plotted at full size instead of to a scale.",
        next_step="plot it again on a paper size such as A1.",
    )
