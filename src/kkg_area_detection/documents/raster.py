"""Image files: every format that Pillow reads, and all pages of a TIFF."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator

from PIL import ExifTags, Image, UnidentifiedImageError
from PIL.TiffImagePlugin import TiffImageFile

from kkg_area_detection.documents.limits import check_pixels, pillow_limit, too_many_pixels
from kkg_area_detection.documents.rgb import to_rgb
from kkg_area_detection.documents.sheet import Sheet, sheet_name
from kkg_area_detection.documents.source import Source
from kkg_area_detection.errors import ImageError

MM_PER_INCH = 25.4

_NEW_SUBFILE_TYPE = 254
_NO_PAGE = 0b101  # a smaller copy of another page, or a transparency mask
_BELIEVABLE_DPI = (25.0, 4800.0)
_DPI_OF_PROGRAMS = (72.0, 96.0)

# What the first bytes of files give away that people take for images.
_OTHER_KINDS = (
    (b"AC10", "it is a DWG drawing; plot it to PDF first."),
    (b"JwwData", "it is a Jw_cad drawing; print it to PDF first."),
    (b"PK\x03\x04", "it is a ZIP archive or an Office document; export the page as PDF first."),
    (b"\xd0\xcf\x11\xe0", "it is an Office document; export the page as PDF first."),
    (b"{\\rtf", "it is a text document; export the page as PDF first."),
)
_HEIF_BRANDS = (b"heic", b"heix", b"mif1", b"msf1", b"hevc")


class RasterFile:
    """An image file.

    Attributes:
        pages: 1, or the number of pages of a TIFF, smaller copies of pages not counted.
        place: For messages.

    Raises:
        ImageError: It is no image, is damaged, or is too large.
    """

    def __init__(self, source: Source, limit: float) -> None:
        self._source = source
        self._limit = limit
        self.place = source.place
        with self._image() as image:
            self._frames = _page_frames(image)
        self.pages = len(self._frames)

    def open(self, page: int) -> Sheet:
        """Decode a page.

        Raises:
            ImageError: The page is damaged or too large.
        """
        with self._image() as image:
            if self._frames[page - 1]:
                image.seek(self._frames[page - 1])
            check_pixels(self.place, image.width, image.height, self._limit)
            dpi = believable_dpi(image)
            picture = to_rgb(image)
        name = sheet_name(self._source.name, page, self.pages)
        return Sheet(picture, name, self._source.path, page, self.pages, dpi, size_mm(picture, dpi))

    @contextlib.contextmanager
    def _image(self) -> Iterator[Image.Image]:
        with self._source.open() as file, explained(self.place), pillow_limit(self._limit):
            try:
                image = Image.open(file)
            except UnidentifiedImageError as error:
                file.seek(0)
                raise ImageError(
                    f"{self.place} is not an image in a format that can be read.",
                    cause=_kind(file.read(512)),
                    next_step="save it as PNG, JPEG, TIFF or PDF and try again.",
                ) from error
            with image:
                yield image


@contextlib.contextmanager
def explained(name: str) -> Iterator[None]:
    """Turn whatever Pillow raises into an error that says what to do."""
    try:
        yield
    except ImageError:
        raise
    except Image.DecompressionBombError as error:
        raise too_many_pixels(f"{name} has too many pixels to be opened safely: {error}") from error
    except Exception as error:  # for damaged files, Pillow's plugins raise whatever happens to them
        raise ImageError(
            f"{name} cannot be decoded: {str(error) or type(error).__name__}",
            cause="the file is damaged or was not copied completely.",
            next_step="open it in a viewer, save it anew and try again.",
        ) from error


def believable_dpi(image: Image.Image) -> float | None:
    """Pixels per inch of a scan, or None where the file gives none or one that means nothing.

    Pillow has turned centimetres and metres into inches, and leaves out ratios without a unit.
    """
    try:
        across, down = (float(value) for value in image.info["dpi"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    low, high = _BELIEVABLE_DPI
    if not (low <= across <= high and math.isclose(across, down, rel_tol=0.01)):
        return None
    if is_dpi_of_programs(across) or _is_photograph(image):
        return None
    return math.sqrt(across * down)


def is_dpi_of_programs(dpi: float) -> bool:
    """Whether it is what programs write when they do not know: 72 or 96."""
    return any(abs(dpi - usual) < 0.5 for usual in _DPI_OF_PROGRAMS)


def size_mm(image: Image.Image, dpi: float | None) -> tuple[float, float] | None:
    """Width and height of the sheet that an image shows, where its resolution is known."""
    return None if dpi is None else (image.width / dpi * MM_PER_INCH, image.height / dpi * MM_PER_INCH)


def _is_photograph(image: Image.Image) -> bool:
    """Cameras note an aperture, scanners do not; what a camera gives as resolution is a constant."""
    details = image.getexif().get_ifd(ExifTags.IFD.Exif)
    return ExifTags.Base.FNumber in details or ExifTags.Base.ExposureTime in details


def _page_frames(image: Image.Image) -> list[int]:
    if not isinstance(image, TiffImageFile):  # frames of a GIF are no pages
        return [0]
    frames = []
    for frame in range(image.n_frames):
        image.seek(frame)
        if not int(image.tag_v2.get(_NEW_SUBFILE_TYPE, 0)) & _NO_PAGE:
            frames.append(frame)
    return frames or [0]


def _kind(head: bytes) -> str:
    if not head:
        return "the file is empty."
    for start, words in _OTHER_KINDS:
        if head.startswith(start):
            return words
    if head[4:8] == b"ftyp" and head[8:12] in _HEIF_BRANDS:
        return "it is a HEIC photograph; `pip install pillow-heif` and register it, or save it as JPEG."
    if head.lstrip()[:1] == b"0" and b"SECTION" in head:
        return "it is a DXF drawing; plot it to PDF first."
    if b"<svg" in head.lower():
        return "it is an SVG drawing; export it as PDF or PNG first."
    if b"<html" in head.lower() or b"<?xml" in head.lower():
        return "it is a web page or an XML file, perhaps an error page saved under an image's name."
    return "it is damaged, or of another kind than its name says."
