"""Which files of a local model directory are published, and what is known about each."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from kkg_area_detection.errors import IntegrityError, InvalidModelError, UnsafeKeyError
from kkg_area_detection.hub.names import check_collisions, safe_relative_path
from kkg_area_detection.model_directory import PICKLE_SUFFIXES

logger = logging.getLogger(__name__)

_CLUTTER = frozenset({"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx", "__pycache__"})


@dataclass(frozen=True, slots=True)
class LocalFile:
    """A file as it was when it was read.

    Attributes:
        path: Where it is.
        name: Relative to the model directory, with ``/`` between the parts.
        size: In bytes.
        mtime_ns: Modification time in nanoseconds.
        sha256: Lower-case hex digest of its bytes.
    """

    path: Path
    name: str
    size: int
    mtime_ns: int
    sha256: str

    @classmethod
    def read(cls, path: Path, name: str) -> LocalFile:
        """Read a file once, for its digest.

        Raises:
            InvalidModelError: It cannot be read.
        """
        with _explained(path), path.open("rb") as file:
            # The status from before the reading: a change during it is then noticed by refuse_if_changed.
            status = path.stat()
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return cls(path, name, status.st_size, status.st_mtime_ns, digest)

    def refuse_if_changed(self) -> None:
        """Pass where the file still has the size and time it had.

        Raises:
            IntegrityError: It was changed or removed since.
        """
        try:
            status = self.path.stat()
            same = (status.st_size, status.st_mtime_ns) == (self.size, self.mtime_ns)
        except OSError:
            same = False
        if not same:
            raise IntegrityError(
                f"{self.path} changed while it was uploaded; the upload was not completed.",
                cause="a training run or another program still writes to this directory.",
                next_step="wait until it has ended, or publish a copy of the directory.",
            )


def files_to_publish(directory: Path, *, leave_out: str) -> list[LocalFile]:
    """Read every file of a model directory that belongs in S3, in the order of their names.

    Pickles, hidden files and the clutter of operating systems stay here; the log says so.

    Args:
        directory: The model directory.
        leave_out: Name of a file at its top that is made anew for every upload.

    Raises:
        UnsafeKeyError: A name cannot exist on every system.
        InvalidModelError: There is a link, or a file cannot be read.
    """
    names = {path: path.relative_to(directory).as_posix() for path in _walk(directory)}
    names = {path: name for path, name in names.items() if name != leave_out}
    try:
        check_collisions(
            [safe_relative_path(name, str(path)) for path, name in names.items()], str(directory)
        )
    except UnsafeKeyError as error:
        raise UnsafeKeyError(
            error.what,
            cause="such a name cannot exist on every system that may fetch the model.",
            next_step="rename or remove it and push again.",
        ) from error
    return [LocalFile.read(path, name) for path, name in sorted(names.items(), key=lambda item: item[1])]


def _walk(directory: Path) -> Iterator[Path]:
    with _explained(directory):
        entries = sorted(directory.iterdir())
    for path in entries:
        if path.name.startswith(".") or path.name.lower() in _CLUTTER:
            logger.debug("Left out %s.", path)
        elif path.is_symlink():
            raise InvalidModelError(
                f"{path} is a link, and links are not published.",
                cause="the directory is a cache of links, or points to files elsewhere.",
                next_step="publish a copy that holds the files themselves: cp -rL old new",
            )
        elif path.is_dir():
            yield from _walk(path)
        elif not path.is_file():
            logger.warning("Left out %s: it is not a regular file.", path)
        elif path.suffix.lower() in PICKLE_SUFFIXES:
            logger.warning(
                "Left out %s: pickles are never loaded. If it holds weights that matter, "
                "convert it first (kkg models push --convert).",
                path,
            )
        else:
            yield path


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidModelError(
            f"{path} cannot be read: {error.strerror}.", next_step="check its permissions, and push again."
        ) from error
