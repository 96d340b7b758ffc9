"""Writing results: a directory that is known to be writable, and files that are there whole or not at all."""

from __future__ import annotations

import json
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kkg_area_detection.errors import KkgAreaDetectionError

if TYPE_CHECKING:
    from PIL import Image


class OutputError(KkgAreaDetectionError, OSError):
    """A result cannot be written."""


def prepare_directory(directory: Path) -> None:
    """Create a directory for results where it is missing, and try whether a file can be written in it.

    Raises:
        OutputError: It cannot be created, or nothing can be written there.
    """
    with _explained(directory):
        directory.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=directory):
            pass


def check_target(path: Path) -> None:
    """Refuse a path that no file can be put at.

    Raises:
        OutputError: It is a directory, or its name is not one that a file can have.
    """
    with _explained(path):
        if path.is_dir():
            raise OutputError(
                f"Cannot write {path}: it is a directory.",
                next_step="move it away, or choose another directory for the results.",
            )


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a PNG.

    Raises:
        OutputError: It cannot be written.
    """
    with replacing(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=1)  # half the time, an eighth more bytes


def save_json(document: Any, path: Path, *, indent: int | None = 1) -> None:
    """Write a JSON file in UTF-8.

    Raises:
        OutputError: It cannot be written.
    """
    text = json.dumps(document, ensure_ascii=False, indent=indent)
    with replacing(path) as temporary:
        # File names on Linux may hold bytes that are no text; JSON has an escape for what Python makes of them.
        temporary.write_text(text, encoding="utf-8", errors="backslashreplace")


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside a file, which takes the file's place at the end if all went well.

    Raises:
        OutputError: It cannot be written.
    """
    temporary = path.with_name(f".kkg-{secrets.token_hex(8)}.part")
    with _explained(path):
        try:
            yield temporary
            temporary.replace(path)
        finally:
            temporary.unlink(missing_ok=True)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OutputError:
        raise
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise OutputError(
            f"Cannot write {path}: {reason}.",
            next_step="check that the path is a directory you may write to and that the disk is not full, "
            "or choose another one.",
        ) from error
