"""The manifest of a published model: its files with their sizes and SHA-256. Pure: bytes in, facts out.

It lies beside the files it describes, as ``kkg-manifest.json``::

    {"version": 1,
     "state": "complete",
     "created_at": "2026-01-31T09:00:00+00:00",
     "files": [{"path": "config.json", "size": 2048, "sha256": "9f86d0..."}, ...]}

An upload writes it twice: first with the state ``uploading``, so that whoever comes meanwhile knows that the
files are not yet a model, and at the very end with the state ``complete``. The manifest does not list itself.
"""

from __future__ import annotations

import json
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import PurePosixPath
from typing import Any, Literal, TypeGuard

from kkg_area_detection.errors import InvalidModelError, UnsafeKeyError
from kkg_area_detection.hub.names import check_collisions, safe_relative_path

MANIFEST_NAME = "kkg-manifest.json"
MAX_MANIFEST_BYTES = 16_000_000  # some 80 000 files; a larger one is refused before it is parsed

FORMAT_VERSION = 1
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class ManifestFile:
    """One file.

    Attributes:
        path: Relative to the model, with ``/`` between the parts.
        size: In bytes.
        sha256: Lower-case hex digest.
    """

    path: str
    size: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Manifest:
    """What a published model consists of.

    Attributes:
        files: The files, the manifest itself excepted.
        state: ``complete``, or ``uploading`` while the files may still be missing, old or mixed.
        created_at: When the upload began: date and time in ISO 8601 with an offset from UTC.
    """

    files: tuple[ManifestFile, ...]
    state: Literal["uploading", "complete"]
    created_at: str


def dump(manifest: Manifest) -> bytes:
    """The manifest as it is stored; the same manifest gives the same bytes."""
    fields = {
        "version": FORMAT_VERSION,
        "state": manifest.state,
        "created_at": manifest.created_at,
        "files": [asdict(file) for file in manifest.files],
    }
    return (json.dumps(fields, ensure_ascii=False, indent=1) + "\n").encode()


def parse(raw: bytes, origin: str) -> Manifest:
    """Read a stored manifest, and trust nothing in it.

    Args:
        raw: The bytes of the object.
        origin: What to call it in an error message, for example its S3 URI.

    Returns:
        The manifest. Its paths are safe to use as local paths on every system.

    Raises:
        InvalidModelError: It is not a manifest of this format; the message says what is wrong.
    """
    if len(raw) > MAX_MANIFEST_BYTES:
        raise _malformed(origin, f"it is {len(raw)} bytes long")
    try:
        fields = json.loads(raw.decode("utf-8"))
    except (UnicodeDecodeError, ValueError, RecursionError) as error:
        raise _malformed(origin, "it is not JSON") from error
    if not isinstance(fields, dict):
        raise _malformed(origin, "it is not a JSON object")
    version = fields.get("version")
    if not _is_integer(version):
        raise _malformed(origin, "it has no version")
    if version != FORMAT_VERSION:
        raise InvalidModelError(
            f"{origin} has the format version {version}, but this release reads {FORMAT_VERSION} only.",
            cause="the model was published by a newer release.",
            next_step="upgrade kkg-area-detection, or publish the model again with this release.",
        )
    state = fields.get("state")
    if state not in ("uploading", "complete"):
        raise _malformed(origin, f"its state is {_shown(state)}")
    entries = fields.get("files")
    if not isinstance(entries, list) or not entries:
        raise _malformed(origin, "it lists no files")
    files = tuple(_file(entry, origin) for entry in entries)
    _check_paths(files, origin)
    return Manifest(files, state, _timestamp(fields.get("created_at"), origin))


def _file(entry: Any, origin: str) -> ManifestFile:
    if not isinstance(entry, dict):
        raise _malformed(origin, f"{_shown(entry)} is not the entry of a file")
    path, size, sha256 = entry.get("path"), entry.get("size"), entry.get("sha256")
    if not isinstance(path, str):
        raise _malformed(origin, "a file has no path")
    if not _is_integer(size) or size < 0:
        raise _malformed(origin, f"the size of {_shown(path)} is {_shown(size)}")
    if not isinstance(sha256, str) or not _SHA256.fullmatch(sha256):
        raise _malformed(origin, f"the sha256 of {_shown(path)} is {_shown(sha256)}")
    return ManifestFile(path, size, sha256)


def _check_paths(files: tuple[ManifestFile, ...], origin: str) -> None:
    try:
        paths = [safe_relative_path(file.path, f"{file.path!r} in {origin}") for file in files]
        # A file of the manifest's own name would be two things at once.
        check_collisions([PurePosixPath(MANIFEST_NAME), *paths], origin)
    except UnsafeKeyError as error:
        raise InvalidModelError(error.what, cause=_LIKELY_CAUSE, next_step=_NEXT_STEP) from error


def _timestamp(value: Any, origin: str) -> str:
    try:
        if isinstance(value, str) and datetime.fromisoformat(value).utcoffset() is not None:
            return value
    except ValueError:
        pass
    raise _malformed(origin, f"its created_at is {_shown(value)}")


def _is_integer(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


_LIKELY_CAUSE = "it was edited by hand, or something else than kkg-area-detection wrote it."
_NEXT_STEP = "publish the model again with `kkg models push`."


def _malformed(origin: str, reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"{origin} is not a sound manifest: {reason}.", cause=_LIKELY_CAUSE, next_step=_NEXT_STEP
    )
