"""Unpacks an archive of a model without trusting it."""

from __future__ import annotations

import gzip
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, cast

from kkg_area_detection.errors import DiskFullError, InvalidModelError, UnsafeKeyError
from kkg_area_detection.hub.disk import disk_errors, free_bytes
from kkg_area_detection.hub.names import CLUTTER, check_collisions, safe_relative_path
from kkg_area_detection.model_directory import CONFIG_NAME
from kkg_area_detection.progress import format_bytes

MAX_MEMBERS = 10_000

_DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    gzip.BadGzipFile,
    EOFError,
    zlib.error,
    NotImplementedError,
)


@dataclass(frozen=True, slots=True)
class _Member:
    name: str
    size: int
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, directory: Path, origin: str) -> Path:
    """Unpack a ``.zip`` or (compressed) ``.tar`` and find the model in it.

    Args:
        archive: The file.
        directory: Where to unpack it; created, must not exist yet.
        origin: What to call the archive in messages.

    Returns:
        The directory that holds ``config.json``: ``directory`` itself, or the only folder in it, because many
        people pack the folder and not its contents.

    Raises:
        InvalidModelError: The archive is damaged, encrypted, or has too many members.
        UnsafeKeyError: A member has an unsafe name, or is a link or a device.
        DiskFullError: What it would unpack to does not fit on the disk.
    """
    directory.mkdir()
    with _archive_errors(origin), _members(archive, origin) as members:
        paths = [safe_relative_path(member.name, f"{origin}!{member.name}") for member in members]
        check_collisions(paths, origin)
        _check_space(members, directory, origin)
        for member, path in zip(members, paths, strict=True):
            _write(member, directory / path, origin)
    return _model_root(directory)


@contextmanager
def _members(archive: Path, origin: str) -> Iterator[list[_Member]]:
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened_zip:
            yield _checked(_zip_members(opened_zip, origin), origin)
        return
    with archive.open("rb") as plain, _decompressed(plain) as stream:
        with tarfile.open(fileobj=stream, mode="r:") as opened_tar:
            yield _checked(_tar_members(opened_tar, origin), origin)
        while stream.read(1 << 20):  # the checksum of a gzip stream is looked at when its end is read
            pass


@contextmanager
def _decompressed(plain: IO[bytes]) -> Iterator[IO[bytes]]:
    is_gzip = plain.read(2) == b"\x1f\x8b"
    plain.seek(0)
    if not is_gzip:
        yield plain
        return
    with gzip.GzipFile(fileobj=plain) as stream:
        yield cast(IO[bytes], stream)


def _zip_members(opened: zipfile.ZipFile, origin: str) -> Iterator[_Member]:
    for info in opened.infolist():
        if info.flag_bits & 0x1:
            raise InvalidModelError(f"{origin} is encrypted.", next_step="upload it without a password.")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InvalidModelError(
                f"{origin} is compressed in a rare way (method {info.compress_type}).",
                next_step="pack it as an ordinary .zip, or as .tar.gz.",
            )
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind and not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
            raise _not_a_file(origin, info.filename)
        if not info.is_dir():
            yield _Member(info.filename, info.file_size, partial(opened.open, info))


def _tar_members(opened: tarfile.TarFile, origin: str) -> Iterator[_Member]:
    for info in opened:
        if info.isdir():
            continue
        if not info.isreg():
            raise _not_a_file(origin, info.name)
        name = info.name.removeprefix("./")  # what `tar -C folder .` writes
        yield _Member(name, info.size, partial(_open_tar_member, opened, info))


def _open_tar_member(opened: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    stream = opened.extractfile(info)
    assert stream is not None  # only regular files get here
    return stream


def _checked(members: Iterator[_Member], origin: str) -> list[_Member]:
    kept = []
    for member in members:
        if member.name.startswith("__MACOSX/") or PurePosixPath(member.name).name in CLUTTER:
            continue
        kept.append(member)
        if len(kept) > MAX_MEMBERS:
            raise InvalidModelError(
                f"{origin} has more than {MAX_MEMBERS} members, so it is not a model.",
                next_step="pack the folder that save_pretrained() wrote, and nothing else.",
            )
    return kept


def _check_space(members: list[_Member], directory: Path, origin: str) -> None:
    needed = sum(member.size for member in members)
    free = free_bytes(directory)
    if needed > free:
        raise DiskFullError(
            f"{origin} unpacks to {format_bytes(needed)}, but only {format_bytes(free)} are free.",
            next_step=f"free {format_bytes(needed - free)}, or set MODEL_CACHE_DIR to a larger disk.",
        )


def _write(member: _Member, target: Path, origin: str) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    written = 0
    with member.open() as source, disk_errors(target), target.open("xb") as out:
        while chunk := source.read(1 << 20):
            written += len(chunk)
            if written > member.size:  # the declared sizes were checked against the disk
                break
            out.write(chunk)
    if written != member.size:
        raise InvalidModelError(
            f"{origin} is damaged: {member.name} does not have the size it declares.",
            next_step="pack and upload the model again.",
        )


def _model_root(directory: Path) -> Path:
    if (directory / CONFIG_NAME).exists():
        return directory
    entries = list(directory.iterdir())
    if len(entries) == 1 and (entries[0] / CONFIG_NAME).is_file():
        return entries[0]
    return directory


def _not_a_file(origin: str, name: str) -> UnsafeKeyError:
    return UnsafeKeyError(
        f"{origin} contains {name!r}, which is a link or a device. Nothing was written.",
        next_step="pack plain files only (tar --dereference, zip without -y).",
    )


@contextmanager
def _archive_errors(origin: str) -> Iterator[None]:
    try:
        yield
    except _DAMAGE as error:
        raise InvalidModelError(
            f"{origin} cannot be unpacked: {error}",
            cause="it is damaged, was not uploaded completely, or has another format than its name says.",
            next_step="pack and upload the model again as .zip, .tar or .tar.gz.",
        ) from error
