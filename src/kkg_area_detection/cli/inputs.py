"""Which drawings a command's arguments mean: files, folders, patterns; pages of documents; names of results."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from kkg_area_detection.errors import ImageNotFoundError, KkgAreaDetectionError

if TYPE_CHECKING:
    from kkg_area_detection.documents import Sheets

# Of what a folder holds. A file that is named itself may be called anything.
SUFFIXES = frozenset(
    (".pdf", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".heic")
)
_RESULT = re.compile(r"\.(areas|segments)\.\w+$")  # what this command has made, maybe in the same folder
_PAGE = re.compile(r"#page=\d+$")


class Input(NamedTuple):
    """A document.

    Attributes:
        path: As it was given.
        sheets: Its pages, to be read once.
        names: Of its pages, for people.
        stems: Beginnings of the names of what is made of each page; no two inputs share one.
    """

    path: str
    sheets: Sheets
    names: list[str]
    stems: list[str]


class BadInput(NamedTuple):
    """A document that cannot be read."""

    path: str
    error: KkgAreaDetectionError


def find_documents(arguments: Sequence[str]) -> list[str]:
    """Find the documents that arguments mean.

    Args:
        arguments: Files (``plan.pdf#page=2`` for one page), folders (their drawings, not those of folders below)
            and patterns such as ``scans/*.tif``, which shells on Windows leave to the program.

    Returns:
        Paths in the order of the arguments, each once; those of a folder or a pattern are sorted. Whether a file
        that was named itself exists is not looked at.

    Raises:
        ImageNotFoundError: A folder holds no drawing, or nothing fits a pattern.
    """
    found = [path for argument in arguments for path in _documents(argument)]
    return list(dict.fromkeys(found))


def open_documents(
    paths: Sequence[str], *, page: int | None = None, dpi: float | None = None, password: str | None = None
) -> tuple[list[Input], list[BadInput]]:
    """Look into documents without reading a page.

    Args:
        paths: From ``find_documents``.
        page: One page of each; None means the one that the path names, or else all.
        dpi: At which PDF pages will be drawn.
        password: Of encrypted PDFs.

    Returns:
        Those that can be read, and those that cannot.
    """
    from kkg_area_detection.documents import open_sheets

    good, bad = [], []
    taken: set[str] = set()
    for path in paths:
        try:
            sheets = open_sheets(path, page=page, dpi=dpi, password=password)
        except KkgAreaDetectionError as error:
            bad.append(BadInput(path, error))
            continue
        file = _PAGE.sub("", path)
        own_stem, digits = Path(file).stem or file, len(str(sheets.total))
        many = sheets.total > 1
        names = [f"{file}#page={number}" if many else path for number in sheets.left]
        stems = [own_stem + (f"-p{number:0{digits}}" if many else "") for number in sheets.left]
        good.append(Input(path, sheets, names, [free_name(stem, taken) for stem in stems]))
    return good, bad


def free_name(stem: str, taken: set[str]) -> str:
    """A name that is not taken yet: the same, or with a number."""
    free, number = stem, 1
    while free.casefold() in taken:  # Windows and macOS know no difference between A.png and a.png
        number += 1
        free = f"{stem}-{number}"
    taken.add(free.casefold())
    return free


def _documents(argument: str) -> Iterator[str]:
    path = Path(argument).expanduser()
    if path.is_dir():
        drawings = sorted(str(file) for file in path.iterdir() if _is_drawing(file))
        if not drawings:
            raise ImageNotFoundError(
                f"{argument} holds no drawings.",
                cause=f"drawings are files that end in {', '.join(sorted(SUFFIXES))}.",
                next_step="pass another folder, or the files themselves.",
            )
        yield from drawings
    elif glob.has_magic(argument) and not path.exists():
        matches = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207 - Path.glob takes no absolute pattern
        if not matches:
            raise ImageNotFoundError(
                f"Nothing fits the pattern {argument}.", next_step=f"check it; the folder is {Path.cwd()}."
            )
        yield from (match for match in matches if Path(match).is_file() and not _RESULT.search(match))
    else:
        yield argument


def _is_drawing(file: Path) -> bool:
    return file.suffix.lower() in SUFFIXES and not _RESULT.search(file.name)
