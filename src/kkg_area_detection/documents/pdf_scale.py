"""What a PDF notes about the size and the scale of its pages: ``/UserUnit`` and ``/Measure``.

PDFium reads neither, so pypdf does, where it is installed and where there is something to read: hardly any
plan has a ``/UserUnit``, and few programs write ``/Measure``.
"""

from __future__ import annotations

import logging
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from kkg_area_detection.documents.source import Source

_USER_UNIT = b"/UserUnit"
_OPAQUE = b"/ObjStm"
_NOTES = re.compile(rb"/UserUnit(?!\s+1(?:\.0*)?\s*[/>])|/Measure\b")  # a unit of 1 is none
_OBJECT_STREAM = re.compile(rb"/ObjStm\b.{0,500}?stream\r?\n", re.DOTALL)
_LARGEST_TO_SEARCH = 64 << 20
_LARGEST_OBJECT_STREAM = 16 << 20

_MM = {
    "mm": 1.0,
    "cm": 10.0,
    "m": 1000.0,
    "km": 1_000_000.0,
    "in": 25.4,
    "inch": 25.4,
    '"': 25.4,
    "ft": 304.8,
    "'": 304.8,
    "yd": 914.4,
}

# What pypdf raises on damaged and encrypted files. The page can be drawn all the same.
_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    zlib.error,
)

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class NotedViewport:
    """A part of a page with a scale.

    Attributes:
        box: Left, bottom, right and top in units of the page, not rotated.
        mm_per_unit: Millimetres of the building that one unit of the page shows.
        ratio: The scale in words.
    """

    box: tuple[float, float, float, float]
    mm_per_unit: float
    ratio: str


@dataclass(frozen=True, slots=True)
class PageNotes:
    """What is noted for a page.

    Attributes:
        user_unit: 1/72 inches in a unit of the page; None where there is a note that cannot be read.
        viewports: Parts of the page with a scale.
    """

    user_unit: float | None = 1.0
    viewports: tuple[NotedViewport, ...] = ()


def read_notes(source: Source, password: str | None, pages: int) -> tuple[PageNotes, ...]:
    """What is noted for each page of a PDF. What cannot be read is left out, and logged.

    Args:
        source: The file.
        password: Of an encrypted file.
        pages: How many it has.
    """
    found = _search(source)
    if not found:
        return (PageNotes(),) * pages
    try:
        return _read(source, password, pages)
    except _FAILURES as error:
        unknown = any(name.startswith(_USER_UNIT) for name in found)
        level = logging.WARNING if unknown else logging.DEBUG
        logger.log(
            level, "The unit of %s cannot be read, so its size is unknown: %s", source.place, _reason(error)
        )
        return (PageNotes(user_unit=None if unknown else 1.0),) * pages


def _search(source: Source) -> set[bytes]:
    """Names in the file that speak of notes; ``/ObjStm`` where it cannot be looked into."""
    with source.open() as file:
        data = file.read(_LARGEST_TO_SEARCH + 1)
    if len(data) > _LARGEST_TO_SEARCH:
        return {_OPAQUE}
    found = set(_NOTES.findall(data))
    for match in _OBJECT_STREAM.finditer(data):
        try:
            objects = zlib.decompressobj().decompress(memoryview(data)[match.end() :], _LARGEST_OBJECT_STREAM)
        except zlib.error:  # encrypted, or packed in another way
            found.add(_OPAQUE)
        else:
            found.update(_NOTES.findall(objects))
    return found


def _read(source: Source, password: str | None, pages: int) -> tuple[PageNotes, ...]:
    from pypdf import PdfReader
    from pypdf.errors import DependencyError, PyPdfError

    with source.open() as file:
        try:
            reader = PdfReader(file, password=password)
            notes = tuple(_page_notes(page) for page in reader.pages)
        except (PyPdfError, DependencyError) as error:
            raise ValueError(_reason(error)) from error
    if len(notes) != pages:
        raise ValueError(f"{len(notes)} pages are found instead of {pages}")
    return notes


def _page_notes(page: Any) -> PageNotes:
    user_unit = float(_entry(page, "/UserUnit", 1.0))
    return PageNotes(user_unit if user_unit > 0 else 1.0, tuple(_viewports(page)))


def _viewports(page: Any) -> Iterator[NotedViewport]:
    """Viewports with a rectilinear measure (ISO 32000-1, 12.9): the first entry of X leads to its unit."""
    for item in _entry(page, "/VP", ()):
        viewport = item.get_object()
        measure = _entry(viewport, "/Measure", {})
        across = _entry(measure, "/X", ())
        if not across:
            continue
        x = across[0].get_object()
        y = _entry(measure, "/Y", across)[0].get_object()
        mm_per_unit = float(x["/C"]) * _MM.get(str(x["/U"]).strip().lower(), 0.0)
        if mm_per_unit > 0 and (x["/C"], x["/U"]) == (y["/C"], y["/U"]):
            left, bottom, right, top = (float(value) for value in viewport["/BBox"])
            yield NotedViewport((left, bottom, right, top), mm_per_unit, str(_entry(measure, "/R", "")))


def _entry(dictionary: Any, key: str, default: Any) -> Any:
    """Unlike ``get``, indexing follows references to other objects."""
    if key in dictionary:
        return dictionary[key]
    return default


def _reason(error: Exception) -> str:
    if isinstance(error, ImportError):
        return "pypdf is not installed."
    return str(error) or type(error).__name__
