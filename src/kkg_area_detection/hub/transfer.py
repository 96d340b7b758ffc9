"""Moves the bytes of a plan from S3 into a staging directory, and checks every one of them.

Large files are fetched in ranges by several workers, small ones whole. While bytes arrive, the workers compute
the digests of which ``integrity`` puts an object's checksum together. A connection that breaks off goes on in
the middle of its range; a file that turns out to be wrong is fetched again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection.errors import ExpiredCredentialsError, IntegrityError
from kkg_area_detection.hub import integrity, tuning
from kkg_area_detection.hub.disk import disk_errors
from kkg_area_detection.hub.integrity import Checksum
from kkg_area_detection.hub.plan import s3_uri
from kkg_area_detection.hub.ranges import fetch_range, ranges_of, take_over
from kkg_area_detection.hub.retry import TRANSIENT, Attempts
from kkg_area_detection.hub.workers import FetchedFile, FileState, ObjectReader, Transfer, Worker

if TYPE_CHECKING:
    from kkg_area_detection.hub.plan import DownloadPlan, PlannedFile
    from kkg_area_detection.hub.staging import Staging
    from kkg_area_detection.progress import ByteProgress

logger = logging.getLogger(__name__)


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
    transfer = Transfer(reader, plan.bucket, staging, progress)
    # Large files first: the last worker to finish should not be the one that began a big file late.
    for file in sorted(plan.files, key=lambda file: -file.source.size):
        transfer.jobs.put(_prepare_job(transfer, file))
    workers = [Worker(transfer, number) for number in range(min(tuning.WORKERS, _parallel_jobs(plan)))]
    for worker in workers:
        worker.start()
    try:
        while len(transfer.fetched) < len(plan.files):
            # With a time-out, because on Windows an unlimited wait cannot be interrupted by Ctrl-C.
            transfer.changed.wait(tuning.POLL_S)
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
    return sum(1 + file.source.size // tuning.RANGE_BYTES for file in plan.files)


def _prepare_job(transfer: Transfer, file: PlannedFile) -> Callable[[Worker], None]:
    state = FileState(file, transfer.staging.files / file.path)

    def prepare(worker: Worker) -> None:
        with worker.may_write(), disk_errors(state.target):
            _preallocate(state.target, file.source.size)
        if file.source.size <= tuning.RANGE_BYTES:
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


def _fetch_whole(worker: Worker, state: FileState) -> None:
    """Fetch a small file in one request, whose reply brings the checksum along."""
    size = state.file.source.size
    if take_over(worker, state, [(0, size)]) or fetch_range(worker, state, 0, size):
        _finish(worker, state)


def _share_out(worker: Worker, state: FileState) -> None:
    """Queue the ranges of a large file that no earlier attempt has written."""
    transfer = worker.transfer
    wanted = ranges_of(state.file.source.size, state.part_size)
    taken = take_over(worker, state, wanted)
    missing = [one for one in wanted if one not in taken]
    state.missing = len(missing)
    if not missing:
        _finish(worker, state)
    for start, end in missing:
        transfer.jobs.put(_range_job(state, start, end))


def _range_job(state: FileState, start: int, end: int) -> Callable[[Worker], None]:
    def fetch(worker: Worker) -> None:
        if not fetch_range(worker, state, start, end):
            return
        with state.lock:
            state.missing -= 1
            last = state.missing == 0
        if last:
            _finish(worker, state)

    return fetch


def _finish(worker: Worker, state: FileState) -> None:
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
        if state.failures >= tuning.VERIFY_ATTEMPTS:
            raise IntegrityError(
                f"The bytes of {uri} do not match their checksum ({state.checksum.algorithm}).",
                cause="the object itself is damaged, or something on the way damages every reply.",
                next_step="upload the object again; if that does not help, try another network.",
            )
        logger.warning("The bytes of %s do not match their checksum; fetching it again.", uri)
        transfer.progress.advance(-state.file.source.size)
        state.pieces.clear()
        if state.file.source.size <= tuning.RANGE_BYTES:
            transfer.jobs.put(lambda worker: _fetch_whole(worker, state))
        else:
            transfer.jobs.put(lambda worker: _share_out(worker, state))
