"""The cache: one plain directory a model, published whole or not at all.

::

    <MODEL_CACHE_DIR>/
        large/                  the model's own files, and nothing else
        .kkg/                   our bookkeeping
            staging/            downloads in progress, one directory each
            receipts/large.json where large/ came from, and its files' sizes
            locks/              saves two processes from fetching the same model twice

People may look into a model's directory, copy one in by hand, and delete one to have it fetched anew.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from kkg_area_detection.errors import CacheNotWritableError, InvalidModelError, ModelNotFoundError
from kkg_area_detection.model_directory import check_model_directory

logger = logging.getLogger(__name__)

BOOKKEEPING = ".kkg"
LOCK_TIMEOUT_S = 1800.0
STALE_AFTER_S = 3600.0


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """One file of a published model. ``path`` is relative, with ``/``; ``size`` is in bytes."""

    path: str
    size: int


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a published model came from. Written by ``publish``, read at every load."""

    source: str
    etags: dict[str, str]
    fetched_at: str
    files: tuple[ReceiptFile, ...] = ()
    directory_id: int = 0


class ModelCache:
    """Finds models in layers of directories and publishes new ones to the first writable layer.

    Args:
        layers: Directories, the preferred one first. They need not exist.
    """

    def __init__(self, layers: Sequence[Path]) -> None:
        self.layers = tuple(layers)

    @classmethod
    def at(cls, configured: Path | None) -> ModelCache:
        """The cache at ``MODEL_CACHE_DIR``, or at its default places where that is None."""
        return cls([configured.absolute()] if configured else default_layers())

    def find(self, name: str) -> Path | None:
        """The directory of a complete, well-formed model; None where there is no directory of that name.

        Raises:
            InvalidModelError: There is one, but a file in it is missing, truncated or malformed.
        """
        damage: InvalidModelError | None = None
        for layer in self.layers:
            directory = layer / name
            if not directory.is_dir():
                continue
            try:
                self._check(directory)
            except InvalidModelError as error:
                damage = damage or error
            else:
                return directory
        if damage is not None:
            raise damage
        return None

    def source_of(self, directory: Path) -> str | None:
        """The S3 URI a found model came from; None where it was copied in by hand."""
        receipt = self._read_receipt(directory)
        return receipt.source if receipt else None

    @contextmanager
    def staging(self, name: str) -> Iterator[Path]:
        """A new, empty directory on the disk of the cache, removed at the end with what is left in it.

        Raises:
            CacheNotWritableError: No layer can be written.
        """
        parent = self.writable_layer() / BOOKKEEPING / "staging"
        parent.mkdir(parents=True, exist_ok=True)
        _sweep(parent)
        directory = parent / f"{name}-{uuid.uuid4().hex[:12]}"
        directory.mkdir()
        try:
            yield directory
        finally:
            shutil.rmtree(directory, ignore_errors=True)

    def publish(self, staged: Path, name: str, receipt: Receipt) -> Path:
        """Make a complete staged directory the model of that name, in one rename.

        A sound model that another process published in the meantime stays; a damaged one is replaced.

        Args:
            staged: A directory inside ``staging``; it is moved, not copied.
            name: Name of the model.
            receipt: Where it came from; the files' sizes are filled in here.
        """
        target = self.writable_layer() / name
        files = tuple(
            ReceiptFile(path.relative_to(staged).as_posix(), path.stat().st_size)
            for path in sorted(staged.rglob("*"))
            if path.is_file()
        )
        if self._is_sound(target):
            return target
        if target.exists():
            target.rename(staged.parent / "replaced")  # goes with the staging directory
        try:
            staged.rename(target)
        except OSError:
            if self._is_sound(target):  # another process was faster by a hair
                return target
            raise
        written = Receipt(receipt.source, receipt.etags, receipt.fetched_at, files, target.stat().st_ino)
        _write_atomically(_receipt_path(target), json.dumps(asdict(written), indent=1))
        return target

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """Let one process at a time fetch a model.

        This only saves bandwidth: where locks do not work, or are held too long, the block runs without one
        and the result is still right, because publishing is a rename.
        """
        from filelock import FileLock, Timeout

        path = self.writable_layer() / BOOKKEEPING / "locks" / f"{name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = FileLock(path)
        try:
            try:
                lock.acquire(timeout=0.5)
            except Timeout:
                logger.warning("Another process is fetching model %r; waiting for it.", name)
                lock.acquire(timeout=LOCK_TIMEOUT_S)
        except (Timeout, OSError, NotImplementedError) as error:
            logger.warning("Fetching model %r without a lock (%s).", name, error)
        try:
            yield
        finally:
            lock.release()

    def writable_layer(self) -> Path:
        """The first layer that can be written; created where it is not there yet.

        Raises:
            CacheNotWritableError: None can.
        """
        failure: OSError | None = None
        for number, layer in enumerate(self.layers):
            try:
                _probe(layer)
            except OSError as error:
                failure = failure or error
                continue
            if number:
                logger.info("%s is not writable; models are kept in %s instead.", self.layers[0], layer)
                self.layers = (layer, *(other for other in self.layers if other != layer))
            return layer
        raise CacheNotWritableError(
            f"The model cache {self.layers[0]} cannot be written: {failure.strerror if failure else ''}.",
            cause="you may not write there, or the file system is read-only.",
            next_step="set MODEL_CACHE_DIR to a directory that you may write.",
        ) from failure

    def _is_sound(self, directory: Path) -> bool:
        try:
            self._check(directory)
        except (ModelNotFoundError, InvalidModelError):
            return False
        return True

    def _check(self, directory: Path) -> None:
        """The load gate, then the sizes that were published; both raise what they find."""
        check_model_directory(directory)
        receipt = self._read_receipt(directory)
        for file in receipt.files if receipt else ():
            path = directory / file.path
            size = path.stat().st_size if path.is_file() else None
            if size != file.size:
                raise InvalidModelError(
                    f"{path} " + ("is missing." if size is None else f"has {size} of {file.size} bytes."),
                    cause="it was edited, truncated or deleted after it was fetched.",
                    next_step=f"delete {directory} to have the model fetched anew.",
                )

    @staticmethod
    def _read_receipt(directory: Path) -> Receipt | None:
        try:
            raw: dict[str, Any] = json.loads(_receipt_path(directory).read_text(encoding="utf-8"))
            files = tuple(ReceiptFile(**file) for file in raw.pop("files"))
            receipt = Receipt(**raw, files=files)
        except (OSError, ValueError, TypeError, KeyError, AttributeError):
            return None  # no receipt, or not one of ours: the model stands for itself
        # A directory that people put in the place of ours is theirs; our receipt says nothing about it.
        return receipt if receipt.directory_id == directory.stat().st_ino else None


def default_layers() -> list[Path]:
    """Where models are kept without ``MODEL_CACHE_DIR``: beside the package, else in the user's cache."""
    import platformdirs

    package = Path(__file__).parents[1]
    user_cache = Path(platformdirs.user_cache_dir("kkg-area-detection", appauthor=False))
    return [package / "model_cache", user_cache / "model_cache"]


def _receipt_path(directory: Path) -> Path:
    return directory.parent / BOOKKEEPING / "receipts" / f"{directory.name}.json"


def _probe(layer: Path) -> None:
    """Raise OSError where a file cannot be made below the layer."""
    bookkeeping = layer / BOOKKEEPING
    bookkeeping.mkdir(parents=True, exist_ok=True)
    probe = bookkeeping / f"probe-{uuid.uuid4().hex[:12]}"
    probe.touch()
    probe.unlink()


def _write_atomically(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}")
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105 - Path.replace says less


def _sweep(staging: Path) -> None:
    """Remove what killed downloads left behind; a running one has touched its directory recently."""
    deadline = time.time() - STALE_AFTER_S
    for leftover in staging.iterdir():
        with suppress(OSError):
            newest = max(path.stat().st_mtime for path in (leftover, *leftover.rglob("*")))
            if newest < deadline:
                shutil.rmtree(leftover, ignore_errors=True)
