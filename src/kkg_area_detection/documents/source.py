"""Finding the file behind what the caller passed, and the page that a path may carry."""

from __future__ import annotations

import contextlib
import io
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from kkg_area_detection.errors import ImageError, ImageNotFoundError

_PAGE = re.compile(r"#page=([0-9]{1,9})$")


@dataclass(frozen=True, slots=True)
class Source:
    """A file that is there, or the content of a file object.

    Attributes:
        path: The file, without a page; None for a file object.
        content: Of a file object.
        page: The page that the path names, if it does.
        name: Of the file, without its directory, for people: always printable.
        place: The whole path, for messages: always printable.
    """

    path: Path | None
    content: bytes
    page: int | None
    name: str
    place: str

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The file, opened for reading.

        Raises:
            ImageError: It cannot be opened.
        """
        with self._opened() as file:
            yield file

    def _opened(self) -> BinaryIO:
        if self.path is None:
            return io.BytesIO(self.content)
        try:
            return self.path.open("rb")
        except PermissionError as error:
            raise ImageError(
                f"{self.place} may not be read.",
                cause="its permissions do not allow it, or another program has it open.",
                next_step="check the file's permissions, and close it elsewhere.",
            ) from error
        except OSError as error:
            raise ImageError(
                f"{self.place} cannot be opened: {error.strerror}.",
                next_step="copy it to a local disk and try again.",
            ) from error


def find_image(path: Path) -> Path:
    """Look whether there is a file, without opening it.

    Args:
        path: May end in a page, such as ``plan.pdf#page=2``. A file that is really named so comes first.

    Returns:
        The path, with ``~`` for a home directory filled in, and with its page.

    Raises:
        ImageNotFoundError: There is no file at the path, and there cannot be one.
        ImageError: It is a directory.
    """
    return _locate(path)[0]


def find_source(path: Path) -> Source:
    """The file at a path that may carry a page. Raises as ``find_image`` does."""
    _, file, page = _locate(path)
    return Source(file, b"", page, printable(file.name), printable(str(file)))


def read_source(file: BinaryIO) -> Source:
    """Take over the content of a file object, from its beginning where it can go there.

    Raises:
        ImageError: It is closed, gives text, or cannot be read.
    """
    given = getattr(file, "name", "")
    name = printable(Path(given).name) if isinstance(given, str) and given else "image"
    try:
        if file.seekable():
            file.seek(0)
        content = file.read()
    except (OSError, ValueError) as error:
        raise ImageError(
            f"The file object {name} cannot be read: {error}",
            next_step="pass it while it is open, or pass the path of the file.",
        ) from error
    if not isinstance(content, bytes):
        raise ImageError(
            f"The file object {name} gives {type(content).__name__}, not bytes.",
            next_step='open the file with mode "rb".',
        )
    return Source(None, content, None, name, name)


def printable(text: str) -> str:
    """A name with what no encoding can write spelt out, as Linux file names may hold any bytes."""
    return text.encode("utf-8", "backslashreplace").decode()


def _locate(path: Path) -> tuple[Path, Path, int | None]:
    """The path with ``~`` filled in, the same without its page, and the page."""
    with contextlib.suppress(RuntimeError):  # `~$plan.png` is a file of an office program, and no one's home
        path = path.expanduser()
    page = _PAGE.search(path.name)
    if page is None or _is_there(path):
        _check_file(path)
        return path, path, None
    file = path.with_name(path.name[: page.start()]) if page.start() else path
    _check_file(file)
    return path, file, int(page[1])


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except (OSError, ValueError):
        return False
    return True


def _check_file(path: Path) -> None:
    try:
        mode = path.stat().st_mode
    except PermissionError as error:
        raise ImageError(
            f"{printable(str(path))} may not be read.", next_step="check the file's permissions."
        ) from error
    except (OSError, ValueError) as error:  # a file in the place of a directory, a name too long, a NUL byte
        raise ImageNotFoundError(
            f"There is no file {printable(str(path))}.", next_step=_how_to_find(path)
        ) from error
    if stat.S_ISDIR(mode):
        raise ImageError(
            f"{printable(str(path))} is a directory, not an image.",
            next_step="pass the path of one image file.",
        )


def _how_to_find(path: Path) -> str:
    pages = "; a page is written as plan.pdf#page=2" if "#" in path.name else ""
    try:
        return f"check the path{pages}; the working directory is {printable(str(Path.cwd()))}."
    except FileNotFoundError:  # it was deleted under us
        return f"check the path{pages}."
