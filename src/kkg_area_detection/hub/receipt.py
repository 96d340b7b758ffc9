"""The receipt of a published model: where it came from, and what its files must be.

A receipt makes later loads cheap: sizes and times are compared, and a file is hashed again only where its time
has changed. It lies beside the models, never among their files.
"""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from kkg_area_detection.errors import InvalidModelError
from kkg_area_detection.hub.integrity import Checksum, file_matches


@dataclass(frozen=True, slots=True)
class ReceiptFile:
    """One file of a published model.

    Attributes:
        path: Relative, with ``/``.
        size: Bytes.
        mtime_ns: Modification time in nanoseconds.
        etag: Of the object it came from; empty for a member of an archive.
        checksum: What its bytes must have.
        verified: Whether S3, or the manifest, gave that checksum. If not, it was only computed here.
    """

    path: str
    size: int
    mtime_ns: int
    etag: str
    checksum: Checksum
    verified: bool


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a published model came from.

    Attributes:
        source: S3 URI of the prefix or object.
        fetched_at: Date and time in ISO 8601.
        files: The model's files.
        etags: ETag of each object that was fetched, by key; for an archive, only the archive's.
        directory_id: Inode of the directory that the receipt was written for.
    """

    source: str
    fetched_at: str
    files: tuple[ReceiptFile, ...]
    etags: dict[str, str]
    directory_id: int = 0

    @property
    def verified(self) -> bool:
        """Whether every byte was checked against something that S3 or the manifest gave."""
        return all(file.verified for file in self.files)


def write_receipt(path: Path, receipt: Receipt, directory: Path) -> None:
    """Write a receipt for a directory that was just published, at once or not at all."""
    files = tuple(
        replace(file, mtime_ns=(directory / file.path).stat().st_mtime_ns) for file in receipt.files
    )
    complete = replace(receipt, files=files, directory_id=directory.stat().st_ino)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{uuid.uuid4().hex[:12]}")
    text = json.dumps(asdict(complete), default=bytes.hex, ensure_ascii=False, indent=1)
    temporary.write_text(text, encoding="utf-8")
    os.replace(temporary, path)  # noqa: PTH105 - it replaces an older one on every system


def read_receipt(path: Path, directory: Path) -> Receipt | None:
    """The receipt of a directory; None where there is none of ours for just this directory.

    A directory that people put in the place of ours is theirs: our receipt says nothing about it.
    """
    try:
        raw: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        receipt = Receipt(**{**raw, "files": tuple(_file(entry) for entry in raw["files"])})
        ours = receipt.directory_id == directory.stat().st_ino
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return receipt if ours else None


def is_untouched(file: ReceiptFile, directory: Path) -> bool:
    """Whether a file has the size and time that the receipt gives."""
    try:
        status = (directory / file.path).stat()
    except OSError:
        return False
    return (status.st_size, status.st_mtime_ns) == (file.size, file.mtime_ns)


def check_files(receipt: Receipt, directory: Path, *, thoroughly: bool = False) -> None:
    """Compare a directory with its receipt.

    Args:
        receipt: Of that directory.
        directory: The model.
        thoroughly: Hash every file, not only those whose time has changed.

    Raises:
        InvalidModelError: A file was deleted, truncated or edited; the message names it.
    """
    for file in receipt.files:
        path = directory / file.path
        try:
            status = path.stat()
        except FileNotFoundError:
            raise _changed(path, directory, "is missing") from None
        if status.st_size != file.size:
            raise _changed(path, directory, f"has {status.st_size} of {file.size} bytes")
        touched = status.st_mtime_ns != file.mtime_ns
        if (thoroughly or touched) and not file_matches(file.checksum, path):
            raise _changed(
                path, directory, f"does not have the checksum it was fetched with ({file.checksum.algorithm})"
            )


def unchanged_files(receipt: Receipt, etags: Iterable[tuple[str, str]]) -> dict[str, ReceiptFile]:
    """The files of a receipt that have the ETag given for their path, by path."""
    known = {(file.path, file.etag): file for file in receipt.files if file.etag}
    return {path: known[path, etag] for path, etag in etags if (path, etag) in known}


def _file(entry: dict[str, Any]) -> ReceiptFile:
    checksum = dict(entry["checksum"])
    checksum["value"] = bytes.fromhex(checksum["value"])
    return ReceiptFile(**{**entry, "checksum": Checksum(**checksum)})


def _changed(path: Path, directory: Path, what: str) -> InvalidModelError:
    return InvalidModelError(
        f"{path} {what}.",
        cause="it was edited, truncated or deleted after it was fetched.",
        next_step=f"delete {directory} to have the model fetched anew.",
    )
