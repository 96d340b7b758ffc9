"""Moves the bytes of a plan from S3 into a staging directory, and checks every one of them.

Large files are fetched in ranges by several workers, small ones whole. While bytes arrive, the workers compute
the digests of which ``integrity`` puts an object's checksum together. A connection that breaks off goes on in
the middle of its range; a file that turns out to be wrong is fetched again.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kkg_area_detection.errors import EndpointError, ExpiredCredentialsError, IntegrityError
from kkg_area_detection.hub import integrity
from kkg_area_detection.hub.disk import disk_errors
from kkg_area_detection.hub.integrity import Checksum, RangeDigest
from kkg_area_detection.hub.journal import RangeRecord
from kkg_area_detection.hub.plan import s3_uri
from kkg_area_detection.hub.retry import TRANSIENT, Attempts, Renewable

if TYPE_CHECKING:
    from kkg_area_detection.hub.plan import DownloadPlan, PlannedFile, RemoteObject
    from kkg_area_detection.hub.staging import Staging
    from kkg_area_detection.progress import ByteProgress

logger = logging.getLogger(__name__)

WORKERS = 8
RANGE_BYTES = 32 << 20
CHUNK_BYTES = 1 << 20
FIRST_CHUNK_BYTES = 1 << 16
LEAST_CHUNK_BYTES = 1 << 13
VERIFY_ATTEMPTS = 3

# A connection that is slower than this for so long is given up, and another one tried.
SLOW_WINDOW_S = 15.0
SLOW_BYTES_PER_S = 8192

_POLL_S = 0.2  # how long Ctrl-C may wait for the main thread


class Body(Protocol):
    """Bytes of an object, and the headers that came with them."""

    @property
    def headers(self) -> Mapping[str, object]:
        """The reply as boto3 parses it."""
        ...

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer; returns how many bytes, 0 at the end."""
        ...

    def give_up(self) -> None:
        """Make a ``readinto`` that runs in another thread fail soon."""
        ...


class ObjectReader(Renewable, Protocol):
    """What this module needs of a store."""

    def checksum(self, bucket: str, item: RemoteObject) -> Checksum | None:
        """What the object's bytes can be checked against."""
        ...

    def read(
        self, bucket: str, item: RemoteObject, start: int = 0, end: int | None = None
    ) -> AbstractContextManager[Body]:
        """Open an object, or a range of it, in the version that was listed."""
        ...


@dataclass(frozen=True, slots=True)
class FetchedFile:
    """A file that arrived.

    Attributes:
        file: What was planned.
        checksum: What its bytes have.
        verified: Whether S3 offered that checksum. If not, it only tells whether the file changes later.
    """

    file: PlannedFile
    checksum: Checksum
    verified: bool


def download(
    reader: ObjectReader, plan: DownloadPlan, staging: Staging, progress: ByteProgress
) -> list[FetchedFile]:
    """Fetch every file of the plan, several at a time, and verify it.

    On any error, and on Ctrl-C, the workers are stopped and the call returns at once. What they wrote stays in
    the staging directory for the next attempt.

    Args:
        reader: Where the bytes come from.
        plan: What to fetch.
        staging: Where to write it. Verified ranges of earlier attempts are taken over.
        progress: Told of every byte, fetched or taken over.

    Returns:
        The files, in the order of the plan.

    Raises:
        HubError: A file could not be fetched after several attempts.
        DiskFullError: The disk filled up on the way.
    """
    transfer = _Transfer(reader, plan.bucket, staging, progress)
    # Large files first: the last worker to finish should not be the one that began a big file late.
    for file in sorted(plan.files, key=lambda file: -file.source.size):
        transfer.jobs.put(_prepare_job(transfer, file))
    workers = [_Worker(transfer, number) for number in range(min(WORKERS, _parallel_jobs(plan)))]
    for worker in workers:
        worker.start()
    try:
        while len(transfer.fetched) < len(plan.files):
            # With a time-out, because on Windows an unlimited wait cannot be interrupted by Ctrl-C.
            transfer.changed.wait(_POLL_S)
            transfer.changed.clear()
            for worker in workers:
                worker.give_up_slow_read()
            if transfer.errors:
                raise transfer.errors[0]
    finally:
        transfer.cancelled.set()
        for worker in workers:
            worker.forbid_writing()
    return [transfer.fetched[str(file.path)] for file in plan.files]


def _parallel_jobs(plan: DownloadPlan) -> int:
    return sum(1 + file.source.size // RANGE_BYTES for file in plan.files)


@dataclass(frozen=True, slots=True)
class _Transfer:
    """What the workers of one download share."""

    reader: ObjectReader
    bucket: str
    staging: Staging
    progress: ByteProgress
    jobs: queue.SimpleQueue[Callable[[_Worker], None]] = field(default_factory=queue.SimpleQueue)
    fetched: dict[str, FetchedFile] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def finished(self, result: FetchedFile) -> None:
        self.fetched[str(result.file.path)] = result
        self.changed.set()


class _Worker(threading.Thread):
    """Takes jobs from the queue. A daemon, because a stalled server must not hold up the end of the process."""

    def __init__(self, transfer: _Transfer, number: int) -> None:
        super().__init__(name=f"kkg-download-{number}", daemon=True)
        self.transfer = transfer
        self.buffer = memoryview(bytearray(CHUNK_BYTES))
        self.slow = False
        self._writing = threading.Lock()
        self._reading: tuple[Body, float] | None = None

    def run(self) -> None:
        while not self.transfer.cancelled.is_set():
            try:
                job = self.transfer.jobs.get(timeout=_POLL_S)
            except queue.Empty:
                continue
            try:
                job(self)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the calling thread
                self.transfer.errors.append(error)
                self.transfer.changed.set()
                return

    def read(self, body: Body, n_bytes: int) -> memoryview:
        """The next bytes of a reply, as many as were asked for but at the end."""
        self._reading = (body, time.monotonic())
        try:
            return self.buffer[: body.readinto(self.buffer[:n_bytes])]
        finally:
            self._reading = None

    def give_up_slow_read(self) -> None:
        """Called by the main thread: a server that trickles never lets a read end, nor time out."""
        reading = self._reading
        if reading is not None and time.monotonic() - reading[1] > SLOW_WINDOW_S:
            self.slow = True
            reading[0].give_up()

    @contextmanager
    def may_write(self) -> Iterator[None]:
        """Write inside this block only, so that nobody writes any more when the download has returned."""
        with self._writing:
            if self.transfer.cancelled.is_set():
                raise _CancelledError
            yield

    def forbid_writing(self) -> None:
        """Return when the worker writes no more; call it when the download is cancelled."""
        with self._writing:
            pass


class _CancelledError(Exception):
    """The download was ended by somebody else."""


# --- one file ----------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _FileState:
    """One file on its way. The ranges are shared out among workers; the last to finish verifies."""

    file: PlannedFile
    target: Path
    checksum: Checksum | None = None
    failures: int = 0
    missing: int = 0
    pieces: dict[int, list[tuple[bytes, int]]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def algorithm(self) -> integrity.Algorithm:
        return integrity.range_algorithm(self.checksum)

    @property
    def part_size(self) -> int:
        return self.checksum.part_size if self.checksum else 0

    def new_digest(self) -> RangeDigest:
        return RangeDigest(self.algorithm, self.part_size)

    def all_pieces(self) -> list[tuple[bytes, int]]:
        return [piece for start in sorted(self.pieces) for piece in self.pieces[start]]


def _prepare_job(transfer: _Transfer, file: PlannedFile) -> Callable[[_Worker], None]:
    state = _FileState(file, transfer.staging.files / file.path)

    def prepare(worker: _Worker) -> None:
        with worker.may_write(), disk_errors(state.target):
            _preallocate(state.target, file.source.size)
        if file.source.size <= RANGE_BYTES:
            _fetch_whole(worker, state)
            return
        attempts = Attempts(transfer.reader, transfer.cancelled)
        while True:
            try:
                state.checksum = transfer.reader.checksum(transfer.bucket, file.source)
                break
            except (ExpiredCredentialsError, *TRANSIENT) as error:
                attempts.after(error)
        _share_out(worker, state)

    return prepare


def _preallocate(target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and target.stat().st_nlink > 1:
        target.unlink()  # an earlier refresh took it over from the published model, which must not change
    with target.open("r+b" if target.exists() else "w+b") as file:
        file.truncate(size)


def _fetch_whole(worker: _Worker, state: _FileState) -> None:
    """Fetch a small file in one request, whose reply brings the checksum along."""
    size = state.file.source.size
    if _take_over(worker, state, [(0, size)]) or _fetch_range(worker, state, 0, size):
        _finish(worker, state)


def _share_out(worker: _Worker, state: _FileState) -> None:
    """Queue the ranges of a large file that no earlier attempt has written."""
    transfer = worker.transfer
    wanted = ranges_of(state.file.source.size, state.part_size)
    taken = _take_over(worker, state, wanted)
    missing = [one for one in wanted if one not in taken]
    state.missing = len(missing)
    if not missing:
        _finish(worker, state)
    for start, end in missing:
        transfer.jobs.put(_range_job(state, start, end))


def _range_job(state: _FileState, start: int, end: int) -> Callable[[_Worker], None]:
    def fetch(worker: _Worker) -> None:
        if not _fetch_range(worker, state, start, end):
            return
        with state.lock:
            state.missing -= 1
            last = state.missing == 0
        if last:
            _finish(worker, state)

    return fetch


def ranges_of(size: int, part_size: int) -> list[tuple[int, int]]:
    """Cut a file into ranges of about ``RANGE_BYTES``, each beginning at a part where there are parts.

    >>> ranges_of(70 << 20, 0) == [(0, 32 << 20), (32 << 20, 64 << 20), (64 << 20, 70 << 20)]
    True
    """
    step = max(1, RANGE_BYTES // part_size) * part_size if part_size else RANGE_BYTES
    return [(start, min(start + step, size)) for start in range(0, size, step)]


def _finish(worker: _Worker, state: _FileState) -> None:
    """Verify a complete file; fetch it again where it is wrong."""
    transfer = worker.transfer
    uri = s3_uri(transfer.bucket, state.file.source.key)
    pieces = state.all_pieces()
    if state.checksum is None:
        logger.warning("S3 offers no checksum for %s; its bytes are unverified.", uri)
        value = integrity.combine("CRC64NVME", pieces)
        transfer.finished(FetchedFile(state.file, Checksum("CRC64NVME", value), verified=False))
    elif integrity.matches(state.checksum, pieces, state.target):
        transfer.finished(FetchedFile(state.file, state.checksum, verified=True))
    else:
        transfer.staging.journal.void(str(state.file.path))
        state.failures += 1
        if state.failures >= VERIFY_ATTEMPTS:
            raise IntegrityError(
                f"The bytes of {uri} do not match their checksum ({state.checksum.algorithm}).",
                cause="the object itself is damaged, or something on the way damages every reply.",
                next_step="upload the object again; if that does not help, try another network.",
            )
        logger.warning("The bytes of %s do not match their checksum; fetching it again.", uri)
        transfer.progress.advance(-state.file.source.size)
        state.pieces.clear()
        if state.file.source.size <= RANGE_BYTES:
            transfer.jobs.put(lambda worker: _fetch_whole(worker, state))
        else:
            transfer.jobs.put(lambda worker: _share_out(worker, state))


# --- one range ---------------------------------------------------------------------------------------------


def _fetch_range(worker: _Worker, state: _FileState, start: int, end: int) -> bool:
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
    except _CancelledError:
        return False
    state.pieces[start] = progress.digest.digests()
    _note(transfer, state, start, end)
    return True


@dataclass(slots=True)
class _RangeProgress:
    """How far one range is."""

    state: _FileState
    at: int
    digest: RangeDigest | None = None
    _seen: int = -1

    def take_news(self) -> bool:
        """Whether bytes arrived since the last call."""
        news, self._seen = self.at > self._seen, self.at
        return news


def _read_on(worker: _Worker, state: _FileState, progress: _RangeProgress, end: int, *, whole: bool) -> None:
    """One request for what is left of a range."""
    transfer, item = worker.transfer, state.file.source
    from_start = whole and progress.at == 0
    bounds = (0, None) if from_start else (progress.at, end)
    with transfer.reader.read(transfer.bucket, item, *bounds) as body:
        if progress.digest is None:
            if from_start:
                state.checksum = _checksum_of_reply(transfer, item, body)
            progress.digest = state.new_digest()
        pace = _Pace(LEAST_CHUNK_BYTES if worker.slow else FIRST_CHUNK_BYTES)
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


def _write(out: object, chunk: memoryview) -> None:
    """Write all of it; an unbuffered file may take less at a time."""
    while len(chunk):
        written: int = out.write(chunk)  # type: ignore[attr-defined]
        chunk = chunk[written:]


def _checksum_of_reply(transfer: _Transfer, item: RemoteObject, body: Body) -> Checksum | None:
    if integrity.is_multipart(body.headers, item.etag):
        return transfer.reader.checksum(
            transfer.bucket, item
        )  # the size of a part takes a request of its own
    return integrity.offered_checksum(body.headers, item.etag, item.size, 0)


class _Pace:
    """Reads about a second's worth at a time, and gives up a connection that trickles."""

    def __init__(self, first_bytes: int) -> None:
        self.next_bytes = min(first_bytes, CHUNK_BYTES)
        self._since = self._last = time.monotonic()
        self._bytes = 0

    def check(self, n_bytes: int, item: RemoteObject) -> None:
        """Count bytes.

        Raises:
            EndpointError: There were too few for too long.
        """
        now = time.monotonic()
        rate = n_bytes / max(now - self._last, 1e-6)
        self.next_bytes = int(min(max(rate, LEAST_CHUNK_BYTES), CHUNK_BYTES))
        self._last = now
        self._bytes += n_bytes
        elapsed = now - self._since
        if elapsed < SLOW_WINDOW_S:
            return
        if self._bytes < SLOW_BYTES_PER_S * elapsed:
            raise EndpointError(
                f"{item.key} arrives at less than {SLOW_BYTES_PER_S} bytes a second.",
                cause="a very slow or overloaded network.",
                next_step="try again on a better network; what arrived is kept.",
            )
        self._since, self._bytes = now, 0


# --- what earlier attempts left ----------------------------------------------------------------------------


def _take_over(worker: _Worker, state: _FileState, wanted: Sequence[tuple[int, int]]) -> set[tuple[int, int]]:
    """Verify the ranges that earlier attempts wrote, and copy those that lie in another directory."""
    transfer, taken = worker.transfer, set[tuple[int, int]]()
    records = [
        (source, record)
        for source, record in transfer.staging.leftovers
        if record.path == str(state.file.path) and record.etag == state.file.source.etag
    ]
    if state.failures or not records:
        return taken
    if state.file.source.size <= RANGE_BYTES and state.checksum is None:
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
    worker: _Worker, state: _FileState, source: Path, record: RangeRecord
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


def _note(transfer: _Transfer, state: _FileState, start: int, end: int) -> None:
    digests = tuple((value.hex(), size) for value, size in state.pieces[start])
    path, etag = str(state.file.path), state.file.source.etag
    transfer.staging.journal.add(
        RangeRecord(path, etag, start, end, state.algorithm, state.part_size, digests)
    )
