"""Opening drawings: whatever the caller holds becomes upright RGB pictures, one a page.

``sheets`` is the way in; ``raster`` reads image files and ``pdf`` draws PDF pages (``pdfium`` is the library
under it, ``pdf_scale`` the notes on scale that it cannot read). ``rgb`` brings every mode into one form,
``source`` finds files, and ``limits`` says how large is too large.
"""

from kkg_area_detection.documents.rgb import ImageLike
from kkg_area_detection.documents.sheet import Sheet, Viewport
from kkg_area_detection.documents.sheets import Sheets, count_pages, open_image, open_sheet, open_sheets
from kkg_area_detection.documents.source import find_image

__all__ = [
    "ImageLike",
    "Sheet",
    "Sheets",
    "Viewport",
    "count_pages",
    "find_image",
    "open_image",
    "open_sheet",
    "open_sheets",
]
