"""PDFium, through its C interface: one document at a time, closed when it is left, and Ctrl-C works.

PDFium keeps its state in global variables and is not safe to use in two threads, so a lock is held while a
document is open; Python code in other threads goes on meanwhile. A file is read by PDFium itself, and not
through a Python callback, because an interrupt that arrives in a callback is lost.
"""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import struct
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from kkg_area_detection.documents.source import Source
from kkg_area_detection.errors import ImageError, MissingDependencyError, PasswordError

_LOCK = threading.Lock()

_ONE_BIT_FILTERS = frozenset({"CCITTFaxDecode", "JBIG2Decode"})
_JPEG2000_FILTER = "JPXDecode"
_JPEG2000_SIZE = b"\xff\x4f\xff\x51"
_DEEPEST_FORM = 8


@dataclass(frozen=True, slots=True)
class Embedded:
    """An image on a page.

    Attributes:
        pixels: Width and height.
        one_bit: It is black and white, which takes an eighth of the memory of a grey one.
        on_page: Width and height that it covers, in units of the page and before the page's rotation; None
            where it is part of a group.
    """

    pixels: tuple[int, int]
    one_bit: bool
    on_page: tuple[float, float] | None


@contextlib.contextmanager
def open_pdf(source: Source, password: str | None) -> Iterator[Pdf]:
    """Open a PDF, and close it on leaving.

    Raises:
        MissingDependencyError: pypdfium2 is not installed.
        PasswordError: It is encrypted, and the password is missing or wrong.
        ImageError: It is damaged, or encrypted in a way that cannot be read.
    """
    pdfium = _pdfium()
    with _LOCK:
        secret = None if password is None else password.encode("utf-8", "surrogateescape")
        if source.path is None:
            handle = pdfium.FPDF_LoadMemDocument64(source.content, len(source.content), secret)
        else:
            handle = pdfium.FPDF_LoadDocument(os.fsencode(source.path), secret)
        if not handle:
            raise _refusal(pdfium, pdfium.FPDF_GetLastError(), source.place, password)
        try:
            yield Pdf(pdfium, handle, source.place)
        finally:
            pdfium.FPDF_CloseDocument(handle)


class Pdf:
    """An open document."""

    def __init__(self, pdfium: Any, handle: Any, place: str) -> None:
        self._pdfium = pdfium
        self._handle = handle
        self._place = place

    def __len__(self) -> int:
        return int(self._pdfium.FPDF_GetPageCount(self._handle))

    @contextlib.contextmanager
    def page(self, number: int) -> Iterator[Page]:
        """A page, from 1 on.

        Raises:
            ImageError: It is damaged.
        """
        handle = self._pdfium.FPDF_LoadPage(self._handle, number - 1)
        if not handle:
            raise ImageError(
                f"{self._place} (page {number}) cannot be opened.",
                cause="the file is damaged.",
                next_step="open it in a viewer, print it to a new PDF and try again.",
            )
        try:
            yield Page(self._pdfium, handle, f"{self._place} (page {number})")
        finally:
            self._pdfium.FPDF_ClosePage(handle)


class Page:
    """An open page. Its unit is 1/72 inch, unless it has a ``/UserUnit``, which PDFium does not read.

    Attributes:
        place: For messages.
        size: Width and height as it is shown, rotated and cropped.
    """

    def __init__(self, pdfium: Any, handle: Any, place: str) -> None:
        self._pdfium = pdfium
        self._handle = handle
        self.place = place
        self.size = (
            float(pdfium.FPDF_GetPageWidthF(handle)),
            float(pdfium.FPDF_GetPageHeightF(handle)),
        )

    def contents(self) -> tuple[list[Embedded], bool]:
        """The images, and whether there are lines or fills besides."""
        pdfium = self._pdfium
        images: list[Embedded] = []
        kinds: set[int] = set()
        for item, kind, depth in self._objects(
            self._handle, pdfium.FPDFPage_CountObjects, pdfium.FPDFPage_GetObject
        ):
            kinds.add(kind)
            if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
                images.append(self._embedded(item, depth))
        return images, not kinds.isdisjoint((pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_SHADING))

    def _objects(
        self, holder: Any, count: Callable[[Any], int], get: Callable[[Any, int], Any], depth: int = 0
    ) -> Iterator[tuple[Any, int, int]]:
        """Objects with their kind and how deep in groups they are. A plan can have a million of them."""
        pdfium = self._pdfium
        kind_of, group = pdfium.FPDFPageObj_GetType, pdfium.FPDF_PAGEOBJ_FORM
        for number in range(count(holder)):
            item = get(holder, number)
            kind = kind_of(item)
            yield item, kind, depth
            if kind == group and depth < _DEEPEST_FORM:
                yield from self._objects(
                    item, pdfium.FPDFFormObj_CountObjects, pdfium.FPDFFormObj_GetObject, depth + 1
                )

    def _embedded(self, item: Any, depth: int) -> Embedded:
        width, height = ctypes.c_uint(), ctypes.c_uint()
        self._pdfium.FPDFImageObj_GetImagePixelSize(item, width, height)
        pixels = width.value, height.value
        filters = self._filters(item)
        if _JPEG2000_FILTER in filters:  # the dictionary may say less than the data will need
            pixels = max(pixels, self._jpeg2000_size(item), key=math.prod)
        matrix = self._pdfium.FS_MATRIX()
        on_page = None
        if depth == 0 and self._pdfium.FPDFPageObj_GetMatrix(item, matrix):
            on_page = math.hypot(matrix.a, matrix.b), math.hypot(matrix.c, matrix.d)
        return Embedded(pixels, not _ONE_BIT_FILTERS.isdisjoint(filters), on_page)

    def _filters(self, item: Any) -> set[str]:
        name = ctypes.create_string_buffer(64)
        filters = set()
        for number in range(self._pdfium.FPDFImageObj_GetImageFilterCount(item)):
            self._pdfium.FPDFImageObj_GetImageFilter(item, number, name, len(name))
            filters.add(name.value.decode("latin-1"))
        return filters

    def _jpeg2000_size(self, item: Any) -> tuple[int, int]:
        """Width and height in the SIZ marker of the code stream (ISO/IEC 15444-1, A.5.1)."""
        data = ctypes.create_string_buffer(self._pdfium.FPDFImageObj_GetImageDataDecoded(item, None, 0))
        self._pdfium.FPDFImageObj_GetImageDataDecoded(item, data, len(data))
        start = data.raw.find(_JPEG2000_SIZE)
        fields = data.raw[start + 8 : start + 16]  # after the lengths and the capabilities
        return struct.unpack(">II", fields) if start >= 0 and len(fields) == 8 else (0, 0)

    def to_pixels(self, x: float, y: float, width: int, height: int) -> tuple[int, int]:
        """Where a point of the page lies in a picture of it."""
        across, down = ctypes.c_int(), ctypes.c_int()
        self._pdfium.FPDF_PageToDevice(self._handle, 0, 0, width, height, 0, x, y, across, down)
        return across.value, down.value

    def draw(self, width: int, height: int) -> Image.Image:
        """The page on white paper, in RGB.

        Raises:
            ImageError: PDFium cannot draw it at this size.
        """
        pdfium = self._pdfium
        pixels = np.full((height, width, 3), 255, np.uint8)
        bitmap = pdfium.FPDFBitmap_CreateEx(
            width, height, pdfium.FPDFBitmap_BGR, pixels.ctypes.data, width * 3
        )
        try:
            if not bitmap or not self._render(bitmap, width, height):
                raise ImageError(
                    f"{self.place} cannot be drawn with {width} x {height} pixels.",
                    cause="it needs more memory than PDFium can address.",
                    next_step="pass a lower dpi.",
                )
        finally:
            pdfium.FPDFBitmap_Destroy(bitmap)
        return Image.fromarray(pixels)

    def _render(self, bitmap: Any, width: int, height: int) -> bool:
        """Draw in small steps, so that Python sees Ctrl-C between them."""
        pdfium = self._pdfium
        pause = pdfium.IFSDK_PAUSE(version=1)
        # Any C function that answers 1. A Python function would swallow the interrupt.
        pause.NeedToPauseNow = ctypes.cast(ctypes.pythonapi.Py_IsInitialized, type(pause.NeedToPauseNow))
        flags = pdfium.FPDF_ANNOT | pdfium.FPDF_REVERSE_BYTE_ORDER
        status = pdfium.FPDF_RenderPageBitmap_Start(
            bitmap, self._handle, 0, 0, width, height, 0, flags, pause
        )
        try:
            while status == pdfium.FPDF_RENDER_TOBECONTINUED:
                status = pdfium.FPDF_RenderPage_Continue(self._handle, pause)
        finally:
            pdfium.FPDF_RenderPage_Close(self._handle)
        return bool(status == pdfium.FPDF_RENDER_DONE)


def _pdfium() -> Any:
    try:
        import pypdfium2.raw
    except ImportError as error:
        raise MissingDependencyError(
            "PDF files cannot be read without pypdfium2.",
            next_step="pip install pypdfium2, or export the page as PNG at 200 dpi.",
        ) from error
    return pypdfium2.raw


def _refusal(pdfium: Any, code: int, place: str, password: str | None) -> ImageError:
    if code == pdfium.FPDF_ERR_PASSWORD and password is None:
        return PasswordError(
            f"{place} is encrypted and needs a password.",
            next_step="pass password=... (--password), or save a copy without one.",
        )
    if code == pdfium.FPDF_ERR_PASSWORD:
        return PasswordError(
            f"{place} is encrypted, and this is not its password.",
            next_step="check the password; upper and lower case differ.",
        )
    if code == pdfium.FPDF_ERR_SECURITY:
        return ImageError(
            f"{place} is encrypted in a way that cannot be read.",
            cause="it is protected by a certificate or a rights server, not by a password.",
            next_step="print it to a new PDF in the program that can open it.",
        )
    return ImageError(
        f"{place} is a PDF that cannot be read.",
        cause="the file is damaged or was not copied completely.",
        next_step="open it in a viewer, print it to a new PDF and try again.",
    )
