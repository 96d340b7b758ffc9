"""``Sheet``: one page as a picture, with what its file says about its size."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image


@dataclass(frozen=True, slots=True)
class Viewport:
    """A part of a PDF page that was drawn to a scale, as the program that plotted it noted.

    Attributes:
        box: Left, top, right and bottom in pixels of the sheet's image.
        mm_per_pixel: Millimetres of the building that one pixel shows.
        ratio: The scale in the words of the file, such as ``"1:100"``; may be empty.
    """

    box: tuple[float, float, float, float]
    mm_per_pixel: float
    ratio: str


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """One page of a document.

    Attributes:
        image: The page, upright, in RGB.
        name: For people and for file names in tables: ``"plan.png"``, or ``"plan.pdf#page=2"`` where the
            document has several pages.
        path: The file, without the page; None where the document did not come from a path.
        page: Number of the page, from 1 on.
        pages: How many pages the document has.
        dpi: Pixels of ``image`` per inch of the sheet, or None where the file does not say it or cannot be
            believed: 72 and 96 are what programs write when they do not know, photographs have no
            resolution, and neither have image files whose two directions differ.
        size_mm: Width and height of the sheet in millimetres; None where ``dpi`` is.
        viewports: Parts of a PDF page with a scale of their own; where they overlap, the last one counts.
    """

    image: Image.Image
    name: str
    path: Path | None
    page: int
    pages: int
    dpi: float | None
    size_mm: tuple[float, float] | None
    viewports: tuple[Viewport, ...] = ()


def sheet_name(name: str, page: int, pages: int) -> str:
    """``"plan.pdf#page=2"``; the bare name where there is one page only."""
    return f"{name}#page={page}" if pages > 1 else name
