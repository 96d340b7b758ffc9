"""The workers of a download: what they share, how they are stopped, and the state of a file on its way."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kkg_area_detection.hub import integrity, tuning
from kkg_area_detection.hub.integrity import Checksum, RangeDigest
from kkg_area_detection.hub.retry import Renewable

if TYPE_CHECKING:
    from kkg_area_detection.hub.plan import PlannedFile, RemoteObject
    from kkg_area_detection.hub.staging import Staging
    from kkg_area_detection.progress import ByteProgress


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


@dataclass(frozen=True, slots=True)
class Transfer:
    """What the workers of one download share."""

    reader: ObjectReader
    bucket: str
    staging: Staging
    progress: ByteProgress
    jobs: queue.SimpleQueue[Callable[[Worker], None]] = field(default_factory=queue.SimpleQueue)
    fetched: dict[str, FetchedFile] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    changed: threading.Event = field(default_factory=threading.Event)
    cancelled: threading.Event = field(default_factory=threading.Event)

    def finished(self, result: FetchedFile) -> None:
        """Note a file that is complete and verified."""
        self.fetched[str(result.file.path)] = result
        self.changed.set()


class Worker(threading.Thread):
    """Takes jobs from the queue. A daemon, because a stalled server must not hold up the end of the process."""

    def __init__(self, transfer: Transfer, number: int) -> None:
        super().__init__(name=f"kkg-download-{number}", daemon=True)
        self.transfer = transfer
        self.buffer = memoryview(bytearray(tuning.CHUNK_BYTES))
        self.slow = False
        self._writing = threading.Lock()
        self._reading: tuple[Body, float] | None = None

    def run(self) -> None:
        """Work until the download is cancelled or a job fails."""
        while not self.transfer.cancelled.is_set():
            try:
                job = self.transfer.jobs.get(timeout=tuning.POLL_S)
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
        if reading is not None and time.monotonic() - reading[1] > tuning.SLOW_WINDOW_S:
            self.slow = True
            reading[0].give_up()

    @contextmanager
    def may_write(self) -> Iterator[None]:
        """Write inside this block only, so that nobody writes any more when the download has returned."""
        with self._writing:
            if self.transfer.cancelled.is_set():
                raise CancelledError
            yield

    def forbid_writing(self) -> None:
        """Return when the worker writes no more; call it when the download is cancelled."""
        with self._writing:
            pass


class CancelledError(Exception):
    """The download was ended by somebody else."""


@dataclass(slots=True)
class FileState:
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
        """Of the digests that are computed while bytes arrive."""
        return integrity.range_algorithm(self.checksum)

    @property
    def part_size(self) -> int:
        """Bytes a digest stands for; 0 for a whole range."""
        return self.checksum.part_size if self.checksum else 0

    def new_digest(self) -> RangeDigest:
        """An empty digest for one range."""
        return RangeDigest(self.algorithm, self.part_size)

    def all_pieces(self) -> list[tuple[bytes, int]]:
        """Digest and size of every piece of the file, in order."""
        return [piece for start in sorted(self.pieces) for piece in self.pieces[start]]
