"""What a download has done so far, on disk, so that another process can go on where this one was killed.

A journal is a text file of lines ``<crc32 of the rest> <JSON>``. The first names the plan, each further one a
range that was written and its digests. Lines are appended whole and never changed; a torn last line is ignored.
The journal is a hint and never believed: every range it names is hashed again before it is taken over.
"""

from __future__ import annotations

import json
import os
import threading
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class RangeRecord:
    """A range that was written.

    Attributes:
        path: Relative path of the file, with ``/``.
        etag: Of the object, so that two versions are never mixed.
        start: First byte.
        end: First byte behind the range.
        algorithm: Of the digests.
        part_size: Bytes a digest stands for; 0 for one digest of the whole range.
        digests: Digest, in hexadecimal, and number of bytes of each piece.
    """

    path: str
    etag: str
    start: int
    end: int
    algorithm: str
    part_size: int
    digests: tuple[tuple[str, int], ...]


class Journal:
    """Appends records; threads may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()

    def begin(self, identity: dict[str, Any]) -> None:
        """Start the file with what the download is about."""
        self._append(identity)

    def add(self, record: RangeRecord) -> None:
        """Note a range, after its bytes were written."""
        self._append(
            {
                "path": record.path,
                "etag": record.etag,
                "range": [record.start, record.end],
                "algorithm": record.algorithm,
                "part_size": record.part_size,
                "digests": record.digests,
            }
        )

    def void(self, path: str) -> None:
        """Take back all that was noted of a file: it turned out to be wrong."""
        self._append({"void": path})

    def touch(self) -> None:
        """Show that the download is alive."""
        os.utime(self._path)

    def _append(self, content: dict[str, Any]) -> None:
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        line = f"{zlib.crc32(text):08x} ".encode() + text + b"\n"
        with self._lock, self._path.open("ab", buffering=0) as file:
            file.write(line)


def read_journal(path: Path) -> tuple[dict[str, Any], list[RangeRecord]]:
    """Identity and records of a journal; empty ones where there is none that can be read."""
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError:
        return {}, []
    contents = list(_sound(lines))
    if not contents:
        return {}, []
    records: list[RangeRecord] = []
    for content in contents[1:]:
        if "void" in content:
            records = [record for record in records if record.path != content["void"]]
        elif (record := _record(content)) is not None:
            records.append(record)
    return contents[0], records


def _sound(lines: list[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        checksum, _, text = line.partition(b" ")
        try:
            if int(checksum, 16) == zlib.crc32(text):
                content = json.loads(text)
                if isinstance(content, dict):
                    yield content
        except ValueError:
            continue


def _record(content: dict[str, Any]) -> RangeRecord | None:
    try:
        start, end = content["range"]
        digests = tuple((str(digest), int(size)) for digest, size in content["digests"])
        return RangeRecord(
            path=str(content["path"]),
            etag=str(content["etag"]),
            start=int(start),
            end=int(end),
            algorithm=str(content["algorithm"]),
            part_size=int(content["part_size"]),
            digests=digests,
        )
    except (KeyError, TypeError, ValueError):
        return None
