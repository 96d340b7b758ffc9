"""The cache: one plain directory a model, published whole or not at all.

::

    <MODEL_CACHE_DIR>/
        large/                  the model's own files, and nothing else
        .kkg/                   our bookkeeping
            staging/            downloads in progress, one directory each
            receipts/large.json where large/ came from, and what its files must be
            pending/large/      a newer large/ that could not take its place yet
            replaced/           models that people had copied in, kept for them
            locks/              saves two processes from fetching the same model twice

People may look into a model's directory, copy one in by hand, and delete one to have it fetched anew.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from kkg_area_detection.errors import CacheNotWritableError, InvalidModelError, ModelNotFoundError, UsageError
from kkg_area_detection.hub.names import CLUTTER
from kkg_area_detection.hub.receipt import Receipt, check_files, is_untouched, read_receipt, write_receipt
from kkg_area_detection.hub.staging import Staging, open_staging
from kkg_area_detection.model_directory import (
    CONFIG_NAME,
    INDEX_NAME,
    PROCESSOR_NAME,
    WEIGHTS_NAME,
    check_model_directory,
)

logger = logging.getLogger(__name__)

BOOKKEEPING = ".kkg"
_MODEL_FILES = (CONFIG_NAME, WEIGHTS_NAME, INDEX_NAME, PROCESSOR_NAME)
LOCK_TIMEOUT_S = 1800.0


class ModelCache:
    """Finds models in layers of directories and publishes new ones to the last writable layer.

    Args:
        layers: Directories; the first that has a model is read. They need not exist.
    """

    def __init__(self, layers: Sequence[Path]) -> None:
        self.layers = tuple(layers)
        self._writable: Path | None = None

    @classmethod
    def at(cls, configured: Sequence[Path]) -> ModelCache:
        """The cache at ``MODEL_CACHE_DIR``, or at its default places where that is empty."""
        return cls([layer.absolute() for layer in configured] or default_layers())

    def find(self, name: str) -> Path | None:
        """The directory of a complete, well-formed model; None where there is no directory of that name.

        Sizes and times are compared with the receipt; a file is hashed only where its time has changed.

        Raises:
            InvalidModelError: There is one, but a file in it is missing, truncated, edited or malformed.
        """
        damage: InvalidModelError | None = None
        for layer in self.layers:
            self._settle_pending(layer, name)
            for directory in (_pending(layer, name), layer / name):
                if not directory.is_dir():
                    continue
                try:
                    self.check(directory)
                except InvalidModelError as error:
                    damage = damage or error
                else:
                    return directory
        if damage is not None:
            raise damage
        return None

    def check(self, directory: Path, *, thoroughly: bool = False) -> None:
        """The load gate, then the receipt, where there is one.

        Args:
            directory: Of a model in this cache.
            thoroughly: Hash every file.

        Raises:
            ModelNotFoundError: There is no such directory.
            InvalidModelError: Something is wrong with it; the message names the file.
        """
        check_model_directory(directory)
        receipt = self.receipt_of(directory)
        if receipt is not None:
            check_files(receipt, directory, thoroughly=thoroughly)

    def derived(self) -> Path:
        """Where an engine may keep what it derives from a model; it may not be writable."""
        writable = [layer for layer in self.layers if _is_writable(layer)]
        return (writable or self.layers)[-1] / BOOKKEEPING / "derived"

    def receipt_of(self, directory: Path) -> Receipt | None:
        """The receipt of a model in this cache; None where it was copied in by hand."""
        return read_receipt(_receipt_path(directory), directory)

    @contextmanager
    def staging(self, name: str) -> Iterator[Staging]:
        """A staging directory on the disk of the cache, with what earlier downloads of the model left.

        Raises:
            CacheNotWritableError: No layer can be written.
        """
        with open_staging(self.layer_for(name) / BOOKKEEPING / "staging", name) as staging:
            yield staging

    def publish(self, staged: Path, name: str, receipt: Receipt, *, replace: bool = False) -> Path:
        """Make a complete staged directory the model of that name.

        Args:
            staged: A directory inside the staging directory; it is moved, not copied.
            name: Name of the model.
            receipt: Where it came from and what its files must be.
            replace: Whether a sound model of that name is replaced. If not, one that another process published
                in the meantime stays. A damaged one is replaced in any case.

        Returns:
            Where the model is now. Where the old one is in use and this system does not let it be moved, the
            new one waits beside it and takes its place later.
        """
        target = self.layer_for(name) / name
        if not replace and self._is_sound(target):
            return target
        self.check_place(name)
        try:
            target, aside = self._make_room(target, staged)
            try:
                _move_in(staged, target, receipt)
            except OSError:
                if aside is not None and not target.exists():
                    aside.rename(target)
                raise
        except OSError as error:
            if not replace and self._is_sound(target):  # another process was faster by a hair
                return target
            raise CacheNotWritableError(
                f"The model cannot be put into {target}: {error.strerror}.",
                cause="a program has the old model open, or you may not write there.",
                next_step="close programs that use the model and try again; what was fetched is kept.",
            ) from error
        return target

    def layer_for(self, name: str) -> Path:
        """Where a model of that name is published: where it is already, if that can be written.

        Raises:
            CacheNotWritableError: No layer can be written.
        """
        for layer in self.layers:
            if (layer / name).is_dir() and _is_writable(layer):
                return layer
        return self.writable_layer()

    def check_place(self, name: str) -> None:
        """Make sure that a model may be published under a name: the cache never removes what is no model.

        Raises:
            UsageError: A file, or a directory that is no model, has the name.
        """
        place = self.layer_for(name) / name
        if os.path.lexists(place) and not self.is_model(place):
            raise UsageError(
                f"{place} is in the way: it is not a model.",
                cause="the model has the name of something of yours, or MODEL_CACHE_DIR is not a cache.",
                next_step="rename it, or set MODEL_CACHE_DIR to a directory of its own.",
            )

    def is_model(self, place: Path) -> bool:
        """Whether a directory is a model, or what is left of one; nothing else is ever moved or removed."""
        if not place.is_dir():
            return False
        if self.receipt_of(place) is not None:
            return True
        return any((place / known).exists() for known in _MODEL_FILES) or not any(place.iterdir())

    def _make_room(self, target: Path, staged: Path) -> tuple[Path, Path | None]:
        """Move what is at the target out of the way; the place that is free then, and where the old one is."""
        if not os.path.lexists(target):
            return target, None
        aside = staged.parent / f"aside-{uuid.uuid4().hex[:12]}"  # goes with the staging directory
        if not self._is_ours(target):  # it is not ours to delete
            moment = time.strftime("%Y%m%d-%H%M%S")
            aside = (
                target.parent / BOOKKEEPING / "replaced" / f"{target.name}-{moment}-{uuid.uuid4().hex[:4]}"
            )
            aside.parent.mkdir(parents=True, exist_ok=True)
        try:
            target.rename(aside)
        except OSError:  # Windows: a file in it is open
            waiting = _pending(target.parent, target.name)
            waiting.parent.mkdir(parents=True, exist_ok=True)
            if waiting.exists():
                waiting.rename(aside)
            logger.warning("%s is in use; the new model waits in %s.", target, waiting)
            return waiting, None
        outdated = _pending(target.parent, target.name)
        with suppress(OSError):  # a newer one waited there, but not the newest any more
            outdated.rename(staged.parent / f"aside-{uuid.uuid4().hex[:12]}")
        if aside.parent.name == "replaced":
            logger.warning("%s was not fetched by this library; it is kept in %s.", target, aside)
        return target, aside

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
        """The last layer that can be written; created where it is not there yet.

        Raises:
            CacheNotWritableError: None can.
        """
        if self._writable is not None:
            return self._writable
        failure: OSError | None = None
        for layer in reversed(self.layers):
            try:
                _probe(layer)
            except OSError as error:
                failure = failure or error
                continue
            if failure is not None:
                logger.info("%s is not writable; models are kept in %s instead.", self.layers[-1], layer)
            self._writable = layer
            return layer
        raise CacheNotWritableError(
            f"The model cache {self.layers[-1]} cannot be written: {failure.strerror if failure else ''}.",
            cause="you may not write there, or the file system is read-only.",
            next_step="set MODEL_CACHE_DIR to a directory that you may write.",
        ) from failure

    def _is_ours(self, directory: Path) -> bool:
        """Whether all of a directory is what we published: not another with a recycled inode, nothing added."""
        if directory.is_symlink():
            return False
        receipt = self.receipt_of(directory) if directory.is_dir() else None
        if receipt is None or not any(is_untouched(file, directory) for file in receipt.files):
            return False
        known = {directory / file.path for file in receipt.files}
        return all(
            path in known or path.name in CLUTTER for path in directory.rglob("*") if not path.is_dir()
        )

    def _settle_pending(self, layer: Path, name: str) -> None:
        """Let a waiting model take its place, if nobody uses the old one any more."""
        waiting, target = _pending(layer, name), layer / name
        if not waiting.is_dir():
            return
        ours = self._is_ours(target)
        if not self._is_sound(waiting) or (os.path.lexists(target) and not ours):
            return  # it was damaged, or somebody put something else there meanwhile
        aside = layer / BOOKKEEPING / "staging" / f"removed-{uuid.uuid4().hex[:12]}"
        with suppress(OSError):
            receipt = read_receipt(_receipt_path(waiting), waiting)
            if ours:
                aside.parent.mkdir(parents=True, exist_ok=True)
                target.rename(aside)
            if receipt is not None:
                _move_in(waiting, target, receipt)
            else:
                waiting.rename(target)
        shutil.rmtree(aside, ignore_errors=True)

    def _is_sound(self, directory: Path) -> bool:
        try:
            self.check(directory)
        except (ModelNotFoundError, InvalidModelError):
            return False
        return True


def default_layers() -> list[Path]:
    """Where models are kept without ``MODEL_CACHE_DIR``: beside the package, else in the user's cache."""
    import platformdirs

    package = Path(__file__).parents[1]
    user_cache = Path(platformdirs.user_cache_dir("kkg-area-detection", appauthor=False))
    return [user_cache / "model_cache", package / "model_cache"]


def _pending(layer: Path, name: str) -> Path:
    return layer / BOOKKEEPING / "pending" / name


def _receipt_path(directory: Path) -> Path:
    if directory.parent.name == "pending" and directory.parents[1].name == BOOKKEEPING:
        return directory.parents[1] / "receipts" / f"{directory.name}.pending.json"
    return directory.parent / BOOKKEEPING / "receipts" / f"{directory.name}.json"


def _move_in(source: Path, target: Path, receipt: Receipt) -> None:
    """The receipt first: it fits the directory, whose inode moves along, and nothing else."""
    path = _receipt_path(target)
    before = path.read_bytes() if path.exists() else None
    write_receipt(path, receipt, source)
    try:
        source.rename(target)
    except OSError:
        if before is not None:
            path.write_bytes(before)
        raise


def _is_writable(layer: Path) -> bool:
    try:
        _probe(layer)
    except OSError:
        return False
    return True


def _probe(layer: Path) -> None:
    """Raise OSError where a file cannot be made below the layer."""
    bookkeeping = layer / BOOKKEEPING
    bookkeeping.mkdir(parents=True, exist_ok=True)
    probe = bookkeeping / f"probe-{os.getpid()}-{uuid.uuid4().hex[:12]}"
    probe.touch()
    probe.unlink()
