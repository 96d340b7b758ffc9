"""Moves the bytes of a plan from S3 into a directory."""

from __future__ import annotations

import errno
import logging
import queue
import random
import threading
from collections.abc import Iterable, Iterator
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from kkg_area_detection.errors import DiskFullError, EndpointError, IntegrityError, TransferError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from kkg_area_detection.hub.plan import DownloadPlan, PlannedFile, RemoteObject
    from kkg_area_detection.hub.s3 import ByteStream
    from kkg_area_detection.progress import ByteProgress

logger = logging.getLogger(__name__)

WORKERS = 8
CHUNK_BYTES = 1 << 20
ATTEMPTS = 5
_TRANSIENT = (EndpointError, IntegrityError, TransferError)
_DISK_FULL = {errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC)}  # Windows knows no EDQUOT
_POLL_S = 0.2  # how long Ctrl-C may wait for the main thread


class ObjectReader(Protocol):
    """What this module needs of a store."""

    def open(self, bucket: str, item: RemoteObject) -> AbstractContextManager[ByteStream]:
        """Open one object in the version that was listed."""
        ...


def download(reader: ObjectReader, plan: DownloadPlan, directory: Path, progress: ByteProgress) -> None:
    """Fetch every file of the plan, several at a time, and check its size.

    On any error, and on Ctrl-C, the other transfers are told to stop and the call returns at once; the
    directory then holds an unusable part, which the caller owns.

    Raises:
        HubError: A file could not be fetched after several attempts.
        DiskFullError: The disk filled up on the way.
    """
    transfer = _Transfer(reader, plan.bucket, directory, progress)
    pending: queue.SimpleQueue[tuple[PlannedFile, Future[None]]] = queue.SimpleQueue()
    futures: list[Future[None]] = []
    # Largest first: the last worker to finish should not be the one that began a big file late.
    for file in sorted(plan.files, key=lambda file: -file.source.size):
        future: Future[None] = Future()
        pending.put((file, future))
        futures.append(future)

    def work() -> None:
        while not transfer.cancelled.is_set():
            try:
                file, future = pending.get_nowait()
            except queue.Empty:
                return
            try:
                transfer.fetch(file)
                future.set_result(None)
            except BaseException as error:  # noqa: BLE001 - it is raised again in the calling thread
                future.set_exception(error)

    # Daemons, because a pool's threads are joined at exit: a stalled server would then hold up Ctrl-C.
    for number in range(min(WORKERS, len(futures))):
        threading.Thread(target=work, name=f"kkg-download-{number}", daemon=True).start()
    try:
        _wait_for_all(futures)
    finally:
        transfer.cancelled.set()


def _wait_for_all(futures: Iterable[Future[None]]) -> None:
    """Return when all are done; raise the first error as soon as it is there."""
    pending = set(futures)
    while pending:
        # With a time-out, because on Windows an unlimited wait cannot be interrupted by Ctrl-C.
        done, pending = wait(pending, timeout=_POLL_S, return_when=FIRST_EXCEPTION)
        for future in done:
            future.result()


@dataclass(frozen=True, slots=True)
class _Transfer:
    """What the workers of one download share."""

    reader: ObjectReader
    bucket: str
    directory: Path
    progress: ByteProgress
    cancelled: threading.Event = field(default_factory=threading.Event)

    def fetch(self, file: PlannedFile) -> None:
        """Fetch one file, with a few attempts where the failure may pass."""
        target = self.directory / file.path
        with _disk_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
        for attempt in range(1, ATTEMPTS + 1):
            try:
                self._copy(file.source, target)
                return
            except _TRANSIENT as error:
                if attempt == ATTEMPTS or self.cancelled.is_set():
                    raise
                logger.warning("%s Attempt %d of %d follows.", error.what, attempt + 1, ATTEMPTS)
                self.cancelled.wait(random.uniform(0.5, 1.0) * 2 ** (attempt - 2))  # noqa: S311 - jitter

    def _copy(self, item: RemoteObject, target: Path) -> None:
        done = 0
        try:
            with self.reader.open(self.bucket, item) as body, _disk_errors(target), target.open("wb") as out:
                while chunk := body.read(CHUNK_BYTES):
                    if self.cancelled.is_set():
                        return
                    out.write(chunk)
                    done += len(chunk)
                    self.progress.advance(len(chunk))
            if done != item.size:
                raise IntegrityError(
                    f"{item.key} arrived with {done} of {item.size} bytes.",
                    cause="the connection was cut, or something on the way changed the reply.",
                    next_step="try again.",
                )
        except BaseException:
            self.progress.advance(-done)  # the file begins anew, or not at all
            raise


@contextmanager
def _disk_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno not in _DISK_FULL:
            raise
        raise DiskFullError(
            f"The disk filled up while writing {path}.",
            cause="something else used the space that was free when the download began, or a quota.",
            next_step="free some space, or set MODEL_CACHE_DIR to a larger disk.",
        ) from error
