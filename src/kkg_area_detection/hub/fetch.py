"""One download from end to end: list, plan, check the disk, transfer, unpack, check, publish."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from kkg_area_detection.errors import (
    DiskFullError,
    InvalidModelError,
    ObjectChangedError,
    ObjectNotFoundError,
    UnexpectedReplyError,
)
from kkg_area_detection.hub.archive import unpack
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.disk import free_bytes
from kkg_area_detection.hub.integrity import Checksum, digest_of, file_matches
from kkg_area_detection.hub.plan import DownloadPlan
from kkg_area_detection.hub.receipt import Receipt, ReceiptFile, is_untouched, unchanged_files
from kkg_area_detection.hub.s3 import S3Store
from kkg_area_detection.hub.source import ModelSource
from kkg_area_detection.hub.staging import Staging
from kkg_area_detection.hub.transfer import download
from kkg_area_detection.hub.workers import FetchedFile
from kkg_area_detection.model_directory import check_model_directory
from kkg_area_detection.progress import ByteProgress, format_bytes
from kkg_area_detection.settings import Settings

logger = logging.getLogger(__name__)

SNAPSHOT_ATTEMPTS = 3


def fetch_model(
    name: str, settings: Settings, cache: ModelCache, progress: ByteProgress, *, refresh: bool = False
) -> Path:
    """Bring a model from S3 into the cache.

    Args:
        name: Name of the model.
        settings: Where it lies in S3.
        cache: Where it goes.
        progress: Told of every byte.
        refresh: Compare a sound model that is there with S3, and fetch what has changed. Without it, a sound
            model that another process published in the meantime is returned as it is.

    Returns:
        The published directory.

    Raises:
        SettingsError: The bucket or the key is not set.
        MissingDependencyError: boto3 is not installed.
        HubError: S3, the network, the disk or the cache is at fault; the leaf says which.
        InvalidModelError: What lies in S3 is not a loadable model.
    """
    bucket, key = settings.location(name)
    source = ModelSource(S3Store(settings.region), bucket, key)
    with cache.lock(name):
        cached = _sound_model(cache, name)
        if cached is not None and not refresh:
            return cached
        cache.check_place(name)
        for attempt in range(1, SNAPSHOT_ATTEMPTS + 1):
            try:
                return _fetch_snapshot(name, source, cache, cached, progress)
            except ObjectChangedError as error:
                if attempt == SNAPSHOT_ATTEMPTS:
                    raise
                logger.warning("%s Listing it again.", error.what)
                cached = _sound_model(cache, name)
    raise AssertionError("unreachable")


def _sound_model(cache: ModelCache, name: str) -> Path | None:
    try:
        return cache.find(name)
    except InvalidModelError:
        return None


def _fetch_snapshot(
    name: str,
    source: ModelSource,
    cache: ModelCache,
    cached: Path | None,
    progress: ByteProgress,
) -> Path:
    """Fetch what the listing shows now; ``ObjectChangedError`` where it shows something else at the end."""
    plan, promised = source.plan()
    etags = {file.source.key: file.source.etag for file in plan.files}
    receipt = cache.receipt_of(cached) if cached is not None else None
    if cached is not None and receipt is not None and receipt.etags == etags:
        logger.info("Model %r is up to date.", name)
        return cached
    known = _known_files(receipt, plan)
    with cache.staging(name) as staging:
        wanted = replace(plan, files=tuple(file for file in plan.files if str(file.path) not in known))
        _check_disk(plan, wanted, staging)
        progress.start(f"Fetching model {name!r}", wanted.total_bytes)
        if cached is not None:
            try:
                _reuse(cached, staging, known)
            except FileNotFoundError as error:
                raise ObjectChangedError(
                    f"{cached} was changed meanwhile.", next_step="try again."
                ) from error
        fetched = _download(source, wanted, staging, progress)
        _check_promises(fetched, promised, staging)
        staged, files = _finish(plan, staging, fetched, known, promised)
        source.check_unchanged(plan)
        for one in known.values():
            if not is_untouched(one, staged) and not file_matches(one.checksum, staged / one.path):
                raise ObjectChangedError(f"{cached} was edited meanwhile.", next_step="try again.")
        now = datetime.now(UTC).isoformat(timespec="seconds")
        directory = cache.publish(
            staged, name, Receipt(plan.uri, now, tuple(files), etags), replace=cached is not None
        )
    unverified = sum(not file.verified for file in files)
    remark = f", {unverified} files unverified" if unverified else ", verified"
    logger.info("Model %r is in %s (%s%s).", name, directory, format_bytes(plan.total_bytes), remark)
    return directory


def _download(
    source: ModelSource, plan: DownloadPlan, staging: Staging, progress: ByteProgress
) -> list[FetchedFile]:
    """Download; what does not fit the listing is a change since, and worth another listing."""
    try:
        return download(source.store, plan, staging, progress)
    except (ObjectNotFoundError, UnexpectedReplyError) as error:
        raise ObjectChangedError(error.what, cause=error.cause, next_step=error.next_step) from error


def _finish(
    plan: DownloadPlan,
    staging: Staging,
    fetched: list[FetchedFile],
    known: Mapping[str, ReceiptFile],
    promised: Mapping[str, Checksum],
) -> tuple[Path, list[ReceiptFile]]:
    """Unpack where needed; the directory that is returned has passed the load gate."""
    staged = staging.files
    if plan.is_archive:
        unpacked = staging.directory / "unpacked"
        shutil.rmtree(unpacked, ignore_errors=True)
        staged = unpack(staging.files / plan.files[0].path, unpacked, plan.uri)
    else:
        _remove_strangers(staged, {str(file.path) for file in plan.files})
    try:
        check_model_directory(staged)
    except InvalidModelError as error:
        # Name the place the user knows, not a staging directory.
        what = error.what.replace(f"{staged}{os.sep}", plan.uri.rstrip("/") + "/").replace(
            str(staged), plan.uri
        )
        raise InvalidModelError(
            what, cause=error.cause, next_step="upload a complete, sound model."
        ) from error
    if plan.is_archive:
        return staged, [_receipt_of_member(path, staged, fetched[0].verified) for path in _all_files(staged)]
    return staged, [*known.values(), *(_receipt_of(file, promised) for file in fetched)]


def _receipt_of(one: FetchedFile, promised: Mapping[str, Checksum]) -> ReceiptFile:
    path = str(one.file.path)
    checksum = promised.get(path, one.checksum)
    verified = one.verified or path in promised
    return ReceiptFile(path, one.file.source.size, 0, one.file.source.etag, checksum, verified)


def _receipt_of_member(path: Path, root: Path, verified: bool) -> ReceiptFile:
    checksum = Checksum("CRC64NVME", digest_of(path, "CRC64NVME"))
    return ReceiptFile(path.relative_to(root).as_posix(), path.stat().st_size, 0, "", checksum, verified)


def _all_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.rglob("*") if path.is_file())


def _remove_strangers(directory: Path, wanted: set[str]) -> None:
    """A staging directory that was taken over may hold files that the model no longer has."""
    for path in _all_files(directory):
        if path.relative_to(directory).as_posix() not in wanted:
            path.unlink()


def _check_promises(fetched: list[FetchedFile], promised: Mapping[str, Checksum], staging: Staging) -> None:
    """Compare with the SHA-256 of the manifest, which alone notices a wrong upload."""
    for one in fetched:
        path = str(one.file.path)
        checksum = promised.get(path)
        if checksum is not None and digest_of(staging.files / path, "SHA256") != checksum.value:
            staging.journal.void(path)
            raise ObjectChangedError(
                f"{one.file.source.key} is not the file that the model's manifest names.",
                cause="it was replaced after the model was published, or an upload is going on.",
                next_step="publish the model again: kkg models push DIRECTORY --name NAME --force",
            )


# --- what is there already ---------------------------------------------------------------------------------


def _known_files(receipt: Receipt | None, plan: DownloadPlan) -> dict[str, ReceiptFile]:
    """Files of the cached model that are still the same in S3."""
    if receipt is None or plan.is_archive:
        return {}
    return unchanged_files(receipt, ((str(file.path), file.source.etag) for file in plan.files))


def _reuse(cached: Path, staging: Staging, known: Mapping[str, ReceiptFile]) -> None:
    """Take unchanged files over: as links where the file system has them, else as copies."""
    for path in known:
        target = staging.files / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)
        try:
            target.hardlink_to(cached / path)
        except OSError:
            shutil.copy2(cached / path, target)


def _check_disk(plan: DownloadPlan, wanted: DownloadPlan, staging: Staging) -> None:
    # An archive and its contents lie side by side for a while; weights hardly compress.
    needed = wanted.total_bytes * (2 if plan.is_archive else 1) - _taken(staging.files)
    free = free_bytes(staging.directory)
    if needed > free:
        raise DiskFullError(
            f"{plan.uri} needs {format_bytes(needed)}, but only {format_bytes(free)} are free for the cache "
            f"{staging.directory.parents[2]}.",
            next_step=f"free {format_bytes(needed - free)}, or set MODEL_CACHE_DIR to a larger disk.",
        )


def _taken(directory: Path) -> int:
    """Bytes on the disk that a download which is taken over has used already."""
    return sum(getattr(path.stat(), "st_blocks", 0) * 512 for path in _all_files(directory))
