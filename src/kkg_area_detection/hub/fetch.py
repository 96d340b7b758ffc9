"""One download from end to end: list, plan, check the disk, transfer, unpack, check, publish."""

from __future__ import annotations

import logging
import shutil
from datetime import UTC, datetime
from pathlib import Path

from kkg_area_detection.errors import DiskFullError, InvalidModelError
from kkg_area_detection.hub.archive import unpack
from kkg_area_detection.hub.cache import ModelCache, Receipt
from kkg_area_detection.hub.plan import DownloadPlan, folder_above, is_prefix, plan_object, plan_prefix
from kkg_area_detection.hub.s3 import S3Store
from kkg_area_detection.hub.transfer import download
from kkg_area_detection.model_directory import check_model_directory
from kkg_area_detection.progress import ByteProgress, format_bytes
from kkg_area_detection.settings import Settings

logger = logging.getLogger(__name__)


def fetch_model(name: str, settings: Settings, cache: ModelCache, progress: ByteProgress) -> Path:
    """Bring a model from S3 into the cache.

    Returns:
        The published directory. Where another process published a sound model of this name in the meantime,
        that one.

    Raises:
        SettingsError: The bucket or the key is not set.
        MissingDependencyError: boto3 is not installed.
        HubError: S3, the network, the disk or the cache is at fault; the leaf says which.
        InvalidModelError: What lies in S3 is not a loadable model.
    """
    bucket, key = settings.location(name)
    store = S3Store(settings.region)
    with cache.lock(name):
        published = _published_meanwhile(cache, name)
        if published is not None:
            return published
        plan = make_plan(store, bucket, key)
        with cache.staging(name) as staging:
            _check_disk(plan, staging)
            progress.start(f"Fetching model {name!r}", plan.total_bytes)
            staged = _stage(store, plan, staging, progress)
            etags = {item.source.key: item.source.etag for item in plan.files}
            now = datetime.now(UTC).isoformat(timespec="seconds")
            directory = cache.publish(staged, name, Receipt(plan.uri, etags, now))
    logger.info("Model %r is in %s (%s).", name, directory, format_bytes(plan.total_bytes))
    return directory


def make_plan(store: S3Store, bucket: str, key: str) -> DownloadPlan:
    """List what is needed to decide, and decide.

    Raises:
        HubError: The listing failed, nothing is there, or a key is unsafe.
        InvalidModelError: What is there cannot become a model.
    """
    listing = store.list_objects(bucket, key)
    if is_prefix(key):
        return plan_prefix(bucket, key, listing)
    siblings = store.list_objects(bucket, folder_above(key), recursive=False)
    return plan_object(bucket, key, listing, siblings)


def _published_meanwhile(cache: ModelCache, name: str) -> Path | None:
    try:
        return cache.find(name)
    except InvalidModelError:
        return None


def _check_disk(plan: DownloadPlan, staging: Path) -> None:
    # An archive and its contents lie side by side for a while; weights hardly compress.
    needed = plan.total_bytes * (2 if plan.is_archive else 1)
    free = shutil.disk_usage(staging).free
    if needed > free:
        raise DiskFullError(
            f"{plan.uri} needs {format_bytes(needed)}, but only {format_bytes(free)} are free for the cache "
            f"{staging.parents[2]}.",
            next_step=f"free {format_bytes(needed - free)}, or set MODEL_CACHE_DIR to a larger disk.",
        )


def _stage(store: S3Store, plan: DownloadPlan, staging: Path, progress: ByteProgress) -> Path:
    """Download and unpack; the directory that is returned has passed the load gate."""
    arrived = staging / "download"
    arrived.mkdir()
    download(store, plan, arrived, progress)
    staged = (
        unpack(arrived / plan.files[0].path, staging / "unpacked", plan.uri) if plan.is_archive else arrived
    )
    try:
        check_model_directory(staged)
    except InvalidModelError as error:
        # Name the place the user knows, not a staging directory that is gone by now.
        what = error.what.replace(f"{staged}/", plan.uri.rstrip("/") + "/").replace(str(staged), plan.uri)
        raise InvalidModelError(
            what, cause=error.cause, next_step="upload a complete, sound model."
        ) from error
    return staged
