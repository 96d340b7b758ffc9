"""The way in: ``open_image`` for one picture, ``open_sheets`` for all pages of a document."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Protocol

import numpy as np
from PIL import Image

from kkg_area_detection.documents.limits import pixel_limit
from kkg_area_detection.documents.pdf import PdfFile
from kkg_area_detection.documents.raster import RasterFile, believable_dpi, explained, size_mm
from kkg_area_detection.documents.rgb import ImageLike, check_open, from_array, to_rgb
from kkg_area_detection.documents.sheet import Sheet
from kkg_area_detection.documents.source import Source, find_source, read_source
from kkg_area_detection.errors import ImageError, UsageError

_PDF_HEADER = b"%PDF-"
_PDF_HEADER_WITHIN = 1024  # bytes; Acrobat and PDFium allow as many before it
_IMAGE_HEADERS = (
    b"\x89PNG",
    b"\xff\xd8\xff",
    b"II*\0",
    b"MM\0*",
    b"II+\0",
    b"MM\0+",
    b"GIF8",
    b"BM",
    b"RIFF",
)

logger = logging.getLogger(__name__)


def open_image(
    source: ImageLike,
    *,
    page: int | None = None,
    dpi: float | None = None,
    password: str | None = None,
    max_pixels: int | None = None,
) -> Image.Image:
    """Bring an image into the form that the models read.

    Args:
        source: A path, which may carry a page (``plan.pdf#page=2``); a ``PIL.Image`` of any mode and size; a
            uint8 array of shape (H, W), (H, W, 3) or (H, W, 4), channels in the order red, green, blue,
            alpha; or a binary file object.
        page: Of a PDF or TIFF with several, from 1 on. None means the one that the path carries, or else the
            first, with a warning in the log where there are more.
        dpi: Pixels per inch at which a PDF page is drawn; see ``open_sheet``.
        password: Of an encrypted PDF.
        max_pixels: The most pixels that the image may have; see ``open_sheet``.

    Returns:
        An RGB image. The EXIF orientation is applied, transparency is laid on white paper, and 16-bit and
        floating-point greys are scaled to 8 bits. The caller's own image is never changed.

    Raises:
        ImageNotFoundError: There is no file at the path.
        PasswordError: The PDF is encrypted, and the password is missing or wrong.
        ImageError: The file is no image, is damaged, has no such page, or is too large; or the object is
            empty, closed, or of a type, shape or dtype other than those above.
        MissingDependencyError: It is a PDF, and pypdfium2 is not installed.
        UsageError: An argument makes no sense, or two pages are named.
    """
    return open_sheet(source, page=page, dpi=dpi, password=password, max_pixels=max_pixels).image


def open_sheet(
    source: ImageLike,
    *,
    page: int | None = None,
    dpi: float | None = None,
    password: str | None = None,
    max_pixels: int | None = None,
) -> Sheet:
    """Open one page with what its file says about its size.

    Args:
        source: As for ``open_image``.
        page: As for ``open_image``.
        dpi: Pixels per inch at which a PDF page is drawn; image files keep their pixels. None means 200, or a
            scan's own resolution up to 300, and less on large pages, so that they have at most 40 million
            pixels (A0 is drawn at 160).
        password: Of an encrypted PDF.
        max_pixels: The most pixels that the page may have, and each image on a PDF page (black-and-white ones
            eight times as many). None means the environment variable ``KKG_MAX_PIXELS``, or else twice
            ``PIL.Image.MAX_IMAGE_PIXELS``: 179 million, which A0 at 300 dpi stays below.

    Returns:
        The page; its ``image`` is what ``open_image`` returns.

    Raises:
        Exception: As ``open_image``.
    """
    document, named = _open(source, page, dpi, password, max_pixels)
    if named is None and document.pages > 1:
        logger.warning("%s has %d pages; only the first is read.", document.place, document.pages)
    return document.open(1 if named is None else named)


def open_sheets(
    source: ImageLike,
    *,
    page: int | None = None,
    dpi: float | None = None,
    password: str | None = None,
    max_pixels: int | None = None,
) -> Sheets:
    """Open the pages of a document one after the other; memory does not grow with their number.

    Args:
        source: As for ``open_image``.
        page: One page only, from 1 on. None means the one that the path carries, or else all.
        dpi: As for ``open_sheet``.
        password: As for ``open_sheet``.
        max_pixels: As for ``open_sheet``.

    Returns:
        An iterator over the sheets. Each page is opened when it is asked for; between two pages the file is
        closed. Where a page cannot be opened, ``next`` raises, and goes on with the one after when it is
        called again.

    Raises:
        Exception: As ``open_image``; what is wrong with a single page is raised when it is asked for.

    Example:
        >>> for sheet in open_sheets("plans.pdf"):  # doctest: +SKIP
        ...     print(sheet.name, sheet.image.size, sheet.dpi)
    """
    document, named = _open(source, page, dpi, password, max_pixels)
    if named is None:
        return Sheets(document, range(1, document.pages + 1))
    return Sheets(document, range(named, named + 1))


def count_pages(source: ImageLike, *, password: str | None = None) -> int:
    """How many sheets ``open_sheets`` will give. No page is drawn or decoded.

    Raises:
        Exception: As ``open_image``.
    """
    return len(open_sheets(source, password=password))


class Document(Protocol):
    """What has pages that can be opened.

    Attributes:
        pages: How many; at least 1.
        place: For messages.
    """

    pages: int
    place: str

    def open(self, page: int) -> Sheet:
        """A page, from 1 on."""
        ...


class Sheets(Iterator[Sheet]):
    """The pages of a document, opened one at a time; see ``open_sheets``. Its length is how many are left.

    Attributes:
        total: How many pages the document has.
    """

    def __init__(self, document: Document, pages: range) -> None:
        self.total = document.pages
        self._document = document
        self._left = pages

    @property
    def left(self) -> range:
        """The numbers of the pages that are left, from 1 on."""
        return self._left

    def __len__(self) -> int:
        return len(self._left)

    def __next__(self) -> Sheet:
        if not self._left:
            raise StopIteration
        page, self._left = self._left[0], self._left[1:]
        return self._document.open(page)


class _Picture:
    """An image that the caller holds: a document of one page."""

    pages = 1
    place = "The image"

    def __init__(self, image: Image.Image) -> None:
        self._image = image

    def open(self, page: int) -> Sheet:
        with explained("the image"):
            dpi = believable_dpi(self._image)
            picture = to_rgb(self._image)
        return Sheet(picture, "image", None, page, 1, dpi, size_mm(picture, dpi))


def _open(
    source: ImageLike, page: int | None, dpi: float | None, password: str | None, max_pixels: int | None
) -> tuple[Document, int | None]:
    """The document, and the page that is asked for, if one is."""
    if dpi is not None and not 0 < dpi < math.inf:
        raise UsageError(f"dpi is {dpi}.", next_step="pass a positive number, such as 200.")
    limit = pixel_limit(max_pixels)
    document: Document
    if isinstance(source, Image.Image):
        check_open(source)
        document = _Picture(source)
    elif isinstance(source, np.ndarray):
        document = _Picture(from_array(source))
    else:
        file = _find(source)
        if page is not None and file.page is not None and page != file.page:
            raise UsageError(
                f"Page {page} is asked for, and the path names page {file.page}.",
                next_step="name one of them.",
            )
        page = file.page if page is None else page
        document = PdfFile(file, dpi, password, limit) if _is_pdf(file) else RasterFile(file, limit)
    if page is not None and not 1 <= page <= document.pages:
        raise _no_such_page(document, page)
    return document, page


def _find(source: str | os.PathLike[str] | BinaryIO) -> Source:
    if isinstance(source, (str, os.PathLike)):
        return find_source(Path(source))
    if hasattr(source, "read") and hasattr(source, "seekable"):
        return read_source(source)
    raise ImageError(
        f"An image of type {type(source).__name__} cannot be read.",
        next_step="pass a path, a PIL.Image, a file opened in binary mode, or a uint8 numpy array of shape "
        "(H, W), (H, W, 3) or (H, W, 4).",
    )


def _is_pdf(source: Source) -> bool:
    """By its content, because names lie."""
    with source.open() as file:
        head = file.read(_PDF_HEADER_WITHIN)
    return _PDF_HEADER in head and not head.startswith(_IMAGE_HEADERS)


def _no_such_page(document: Document, page: int) -> ImageError:
    pages = document.pages
    has = "1 page" if pages == 1 else f"{pages} pages"
    return ImageError(
        f"{document.place} has {has}, so there is no page {page}.",
        next_step="leave the page out." if pages == 1 else f"pass a page from 1 to {pages}.",
    )
