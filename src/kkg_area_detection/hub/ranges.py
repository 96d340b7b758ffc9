"""One range of a file: fetched, going on in the middle where a connection breaks off, or taken over."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection.errors import EndpointError, ExpiredCredentialsError
from kkg_area_detection.hub import integrity, tuning
from kkg_area_detection.hub.disk import disk_errors
from kkg_area_detection.hub.journal import RangeRecord
from kkg_area_detection.hub.plan import s3_uri
from kkg_area_detection.hub.retry import TRANSIENT, Attempts
from kkg_area_detection.hub.workers import CancelledError, FileState, Transfer, Worker

if TYPE_CHECKING:
    from kkg_area_detection.hub.integrity import Checksum, RangeDigest
    from kkg_area_detection.hub.plan import RemoteObject
    from kkg_area_detection.hub.workers import Body


def ranges_of(size: int, part_size: int) -> list[tuple[int, int]]:
    """Cut a file into ranges of about ``RANGE_BYTES``, each beginning at a part where there are parts.

    >>> ranges_of(70 << 20, 0) == [(0, 32 << 20), (32 << 20, 64 << 20), (64 << 20, 70 << 20)]
    True
    """
    step = max(1, tuning.RANGE_BYTES // part_size) * part_size if part_size else tuning.RANGE_BYTES
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def fetch_range(worker: Worker, state: FileState, start: int, end: int) -> bool:
    """Fetch a range, going on in the middle where the connection breaks off; False where it was cancelled."""
    transfer = worker.transfer
    whole = (start, end) == (0, state.file.source.size)
    progress = _RangeProgress(state, start)
    attempts = Attempts(transfer.reader, transfer.cancelled)
    try:
        while progress.at < end or progress.digest is None:
            try:
                _read_on(worker, state, progress, end, whole=whole)
            except (ExpiredCredentialsError, *TRANSIENT) as error:
                if progress.take_news():
                    attempts.progressed()
                attempts.after(error)
    except CancelledError:
        return False
    state.pieces[start] = progress.digest.digests()
    _note(transfer, state, start, end)
    return True


@dataclass(slots=True)
class _RangeProgress:
    """How far one range is."""

    state: FileState
    at: int
    digest: RangeDigest | None = None
    _seen: int = -1

    def take_news(self) -> bool:
        """Whether bytes arrived since the last call."""
        news, self._seen = self.at > self._seen, self.at
        return news


def _read_on(worker: Worker, state: FileState, progress: _RangeProgress, end: int, *, whole: bool) -> None:
    """One request for what is left of a range."""
    transfer, item = worker.transfer, state.file.source
    from_start = whole and progress.at == 0
    bounds = (0, None) if from_start else (progress.at, end)
    with transfer.reader.read(transfer.bucket, item, *bounds) as body:
        if progress.digest is None:
            if from_start:
                state.checksum = _checksum_of_reply(transfer, item, body)
            progress.digest = state.new_digest()
        pace = _Pace(tuning.LEAST_CHUNK_BYTES if worker.slow else tuning.FIRST_CHUNK_BYTES)
        worker.slow = False
        with disk_errors(state.target), state.target.open("r+b", buffering=0) as out:
            out.seek(progress.at)
            while progress.at < end:
                chunk = worker.read(body, min(pace.next_bytes, end - progress.at))
                if not chunk:
                    raise EndpointError(
                        f"The reply for {s3_uri(transfer.bucket, item.key)} ended too early.",
                        cause="the server or a proxy closed the connection.",
                        next_step="try again.",
                    )
                with worker.may_write():
                    _write(out, chunk)
                progress.digest.update(chunk)
                progress.at += len(chunk)
                transfer.progress.advance(len(chunk))
                pace.check(len(chunk), item)


def _write(out: FileIO, chunk: memoryview) -> None:
    """Write all of it; an unbuffered file may take less at a time."""
    while len(chunk):
        chunk = chunk[out.write(chunk) :]


def _checksum_of_reply(transfer: Transfer, item: RemoteObject, body: Body) -> Checksum | None:
    if integrity.is_multipart(body.headers, item.etag):
        # The size of a part takes a request of its own.
        return transfer.reader.checksum(transfer.bucket, item)
    return integrity.offered_checksum(body.headers, item.etag, item.size, 0)


class _Pace:
    """Reads at most about a second's worth at a time, and gives up a connection that trickles."""

    def __init__(self, first_bytes: int) -> None:
        self.next_bytes = min(first_bytes, tuning.CHUNK_BYTES)
        self._since = self._last = time.monotonic()
        self._bytes = 0

    def check(self, n_bytes: int, item: RemoteObject) -> None:
        """Count bytes.

        Raises:
            EndpointError: There were too few for too long.
        """
        now = time.monotonic()
        # Powers of two, because odd sizes make every read and write cost half as much again.
        if now - self._last < 1.0:
            self.next_bytes = min(2 * self.next_bytes, tuning.CHUNK_BYTES)
        else:
            self.next_bytes = max(self.next_bytes // 2, tuning.LEAST_CHUNK_BYTES)
        self._last = now
        self._bytes += n_bytes
        elapsed = now - self._since
        if elapsed < tuning.SLOW_WINDOW_S:
            return
        if self._bytes < tuning.SLOW_BYTES_PER_S * elapsed:
            raise EndpointError(
                f"{item.key} arrives at less than {tuning.SLOW_BYTES_PER_S} bytes a second.",
                cause="a very slow or overloaded network.",
                next_step="try again on a better network; what arrived is kept.",
            )
        self._since, self._bytes = now, 0


# --- what earlier attempts left ----------------------------------------------------------------------------


def take_over(worker: Worker, state: FileState, wanted: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Verify the ranges that earlier attempts wrote, and copy those that lie in another directory."""
    transfer, taken = worker.transfer, set[tuple[int, int]]()
    records = [
        (source, record)
        for source, record in transfer.staging.leftovers
        if record.path == str(state.file.path) and record.etag == state.file.source.etag
    ]
    if state.failures or not records:
        return taken
    if state.file.source.size <= tuning.RANGE_BYTES and state.checksum is None:
        state.checksum = transfer.reader.checksum(transfer.bucket, state.file.source)
    for source, record in reversed(records):
        bounds = (record.start, record.end)
        fits = record.algorithm == state.algorithm and record.part_size == state.part_size
        if bounds not in wanted or bounds in taken or not fits:
            continue
        pieces = _verified_copy(worker, state, source, record)
        if pieces is not None:
            taken.add(bounds)
            state.pieces[record.start] = pieces
            if source != state.target:
                _note(transfer, state, record.start, record.end)
            transfer.progress.advance(record.end - record.start)
    return taken


def _verified_copy(
    worker: Worker, state: FileState, source: Path, record: RangeRecord
) -> list[tuple[bytes, int]] | None:
    """Hash a range again; None where it is not what its record says."""
    digest = state.new_digest()
    left = record.end - record.start
    try:
        with source.open("rb", buffering=0) as read, state.target.open("r+b", buffering=0) as write:
            read.seek(record.start)
            write.seek(record.start)
            while left and (count := read.readinto(worker.buffer[:left])):
                chunk = worker.buffer[:count]
                digest.update(chunk)
                left -= count
                if source != state.target:
                    with worker.may_write(), disk_errors(state.target):
                        _write(write, chunk)
    except FileNotFoundError:
        return None
    pieces = digest.digests()
    sound = not left and [(value.hex(), size) for value, size in pieces] == [tuple(d) for d in record.digests]
    return pieces if sound else None


def _note(transfer: Transfer, state: FileState, start: int, end: int) -> None:
    digests = tuple((value.hex(), size) for value, size in state.pieces[start])
    path, etag = str(state.file.path), state.file.source.etag
    transfer.staging.journal.add(
        RangeRecord(path, etag, start, end, state.algorithm, state.part_size, digests)
    )
