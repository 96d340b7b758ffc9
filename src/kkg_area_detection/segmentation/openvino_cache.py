"""Compiled networks on disk, so that a second start need not compile anew.

::

    <cache directory>/openvino/
        large-1f0c2d9a/         of one model directory: its name, and a hash of its whole path
            5b0e....compiled    one network, for one input size, precision and kind of processor

A file says in its header what it was made from. It is used only where all of that is as it is now, its size is
right and so is its CRC-32. Files appear by a rename, so several processes may read and write at once. Whatever
goes wrong here costs time, never a result.

What is kept is bounded: the last four of each model, none made from weights or library versions that are no longer
there, and nothing of models that were deleted.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import struct
import time
import uuid
import zlib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from kkg_area_detection.model_directory import CONFIG_NAME, weights_files

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

logger = logging.getLogger(__name__)

MOST_FILES = 4
_SUFFIX = ".compiled"
_TEMPORARY = ".writing"
_ABANDONED_S = 3600.0
_MAGIC = b"kkg-ov-1"
_LENGTH = struct.Struct("<Q")
_LONGEST_HEADER = 100_000
_CHUNK = 1 << 20  # stays in the processor's cache between being read and being summed up


class CompiledFiles:
    """The compiled networks of one model directory.

    Args:
        cache_directory: Where derived files of all models are kept; need not exist.
        model_directory: A model directory that has passed the load gate.
        versions: What a compiled network depends on beside the model and its ``variant``: input size, precision and
            processor.
    """

    def __init__(self, cache_directory: Path, model_directory: Path, versions: Mapping[str, str]) -> None:
        model_directory = model_directory.resolve()
        path_hash = hashlib.sha256(str(model_directory).encode()).hexdigest()
        self._place = cache_directory / "openvino" / f"{model_directory.name}-{path_hash[:8]}"
        self._origin = {
            "model": str(model_directory),
            "files": _state(model_directory),
            "versions": dict(versions),
        }
        self._writable = True

    def read(self, variant: Mapping[str, Any], allocate: Callable[[int], memoryview]) -> bool:
        """Read a compiled network.

        Args:
            variant: What it is for.
            allocate: Gives as many writable bytes as it is asked for.

        Returns:
            Whether there is one, and it has arrived unharmed. A damaged one is removed.
        """
        path = self._path(variant)
        try:
            with path.open("rb") as file:
                header = _read_header(file)
                if header is None or (header.origin, header.variant) != (self._origin, variant):
                    return False
                sound = _read_checked(file, header, allocate)
            if sound:
                os.utime(path)  # those used last are kept longest
        except FileNotFoundError:
            return False
        except OSError as error:
            logger.info("%s: %s.", path, error.strerror)
            return False
        if not sound:
            self.discard(variant, "it is damaged")
        return sound

    def discard(self, variant: Mapping[str, Any], reason: str) -> None:
        """Remove a compiled network, and say why."""
        path = self._path(variant)
        logger.warning("%s is not used, because %s.", path, reason)
        _remove(path)

    def store(self, variant: Mapping[str, Any], export: Callable[[], memoryview]) -> None:
        """Keep a compiled network; where that is not possible, say so once.

        Args:
            variant: What it is for.
            export: Gives its bytes; called only where they can be written.
        """
        if not self._writable:
            return
        path = self._path(variant)
        temporary = path.with_name(f"{path.stem}-{uuid.uuid4().hex[:12]}{_TEMPORARY}")
        try:
            self._place.mkdir(parents=True, exist_ok=True)
            self._tidy()
            try:
                with temporary.open("xb") as file:
                    self._write(file, variant, export())
                os.replace(temporary, path)  # noqa: PTH105 - it replaces an older one on every system
            finally:
                _remove(temporary)
            self._drop_oldest()
        except OSError as error:
            self._writable = False
            logger.warning(
                "The compiled network cannot be kept in %s (%s); it will be compiled again next time.",
                self._place,
                error.strerror,
            )

    def _path(self, variant: Mapping[str, Any]) -> Path:
        key = json.dumps([self._origin, variant], sort_keys=True)
        return self._place / f"{hashlib.sha256(key.encode()).hexdigest()[:20]}{_SUFFIX}"

    def _write(self, file: BinaryIO, variant: Mapping[str, Any], compiled: memoryview) -> None:
        fields = {
            "origin": self._origin,
            "variant": variant,
            "size": compiled.nbytes,
            "crc32": zlib.crc32(compiled),
        }
        raw = json.dumps(fields).encode()
        file.write(_MAGIC + _LENGTH.pack(len(raw)) + raw)
        file.write(compiled)

    def _tidy(self) -> None:
        """Remove what nobody will use again."""
        for path in self._place.glob(f"*{_SUFFIX}"):
            header = _header_of(path)
            if header is None or header.origin != self._origin:
                _remove(path)
        for path in self._place.glob(f"*{_TEMPORARY}"):
            with suppress(OSError):
                if time.time() - path.stat().st_mtime > _ABANDONED_S:
                    _remove(path)
        for place in self._place.parent.iterdir():
            if place != self._place:
                _remove_orphans(place)

    def _drop_oldest(self) -> None:
        dated = []
        for path in self._place.glob(f"*{_SUFFIX}"):
            with suppress(OSError):  # another process was faster
                dated.append((path.stat().st_mtime_ns, path))
        for _, path in sorted(dated)[:-MOST_FILES]:
            _remove(path)


@dataclass(frozen=True)
class _Header:
    origin: dict[str, Any]
    variant: dict[str, Any]
    size: int
    crc32: int


def _state(directory: Path) -> list[list[Any]]:
    """What changes when the network does, without reading it all.

    Modification times can be set, and reproducible images have them all equal. So the inode and the time of the
    last change of status take part, which nobody can set. A difference that means nothing costs one compilation.
    """
    files = [directory / CONFIG_NAME, *weights_files(directory)]
    states = ((path.name, path.stat()) for path in files)
    return [
        [name, state.st_size, state.st_mtime_ns, state.st_ctime_ns, state.st_ino] for name, state in states
    ]


def _read_header(file: BinaryIO) -> _Header | None:
    """The header of a file that is then read up to where the compiled network begins; None if it is not sound."""
    try:
        if file.read(len(_MAGIC)) != _MAGIC:
            return None
        (length,) = _LENGTH.unpack(file.read(_LENGTH.size))
        if length > _LONGEST_HEADER:
            return None
        header = _Header(**json.loads(file.read(length)))
    except (struct.error, TypeError, ValueError):
        return None
    is_sound = isinstance(header.origin, dict) and type(header.size) is int and type(header.crc32) is int
    return header if is_sound else None


def _read_checked(file: BinaryIO, header: _Header, allocate: Callable[[int], memoryview]) -> bool:
    if os.fstat(file.fileno()).st_size != file.tell() + header.size:
        return False
    buffer = allocate(header.size)
    crc32 = 0
    for start in range(0, header.size, _CHUNK):
        chunk = buffer[start : start + _CHUNK]
        if file.readinto(chunk) != len(chunk):  # type: ignore[attr-defined] # BinaryIO lacks it
            return False
        crc32 = zlib.crc32(chunk, crc32)
    return crc32 == header.crc32


def _header_of(path: Path) -> _Header | None:
    try:
        with path.open("rb") as file:
            return _read_header(file)
    except OSError:
        return None


def _remove_orphans(place: Path) -> None:
    """Remove the files of a model that is no longer there."""
    for path in place.glob(f"*{_SUFFIX}"):
        header = _header_of(path)
        if header is None or not Path(str(header.origin.get("model"))).is_dir():
            _remove(path)
    with suppress(OSError):
        place.rmdir()  # where it is empty now


def _remove(path: Path) -> None:
    with suppress(OSError):
        path.unlink(missing_ok=True)
