"""The priority rule: a given path, then the cache, then S3."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

from kkg_area_detection.errors import InvalidModelError, ModelNotFoundError, UsageError
from kkg_area_detection.hub.cache import ModelCache
from kkg_area_detection.hub.names import check_model_name
from kkg_area_detection.hub.plan import s3_uri
from kkg_area_detection.model_directory import check_model_directory
from kkg_area_detection.progress import ByteProgress
from kkg_area_detection.settings import Settings

logger = logging.getLogger(__name__)


def resolve_model(
    model_path: str | os.PathLike[str] | None,
    model_name: str | None,
    progress: ByteProgress,
    *,
    refresh: bool = False,
) -> Path:
    """The directory to load a model from.

    * ``model_path`` is given: that directory; neither the cache nor S3 is touched.
    * ``model_name`` is given: the cached model if it is there, complete and sound; else the one in S3.
    * Neither is given: an error.

    Args:
        model_path: A local directory.
        model_name: Name of a model.
        progress: Told of every byte that is fetched.
        refresh: Compare a cached model with S3, and fetch what has changed.

    Raises:
        UsageError: Neither is given, or the name cannot be a folder.
        ModelNotFoundError: There is no directory at ``model_path``.
        InvalidModelError: The directory, or what lies in S3, is not a loadable model.
        SettingsError: The model is not cached and S3 is not configured.
        HubError: The model could not be fetched.
    """
    if model_path is not None and str(model_path):
        return _local_model(model_path)
    if model_name is not None:
        return _named_model(check_model_name(model_name), progress, refresh)
    raise UsageError(
        "initialize_model needs to know which model to load.",
        next_step="pass model_name='large' (from the cache or S3) or model_path='/path/to/model'.",
    )


def _local_model(model_path: str | os.PathLike[str]) -> Path:
    directory = Path(model_path)
    with suppress(RuntimeError):  # no such user: then it is a name like any other
        directory = directory.expanduser()
    check_model_directory(directory)
    return directory


def _named_model(name: str, progress: ByteProgress, refresh: bool) -> Path:
    settings = Settings.load()
    cache = ModelCache.at(settings.cache_dirs)
    try:
        directory = cache.find(name)
    except InvalidModelError as damage:
        if settings.offline or not (settings.bucket and settings.model_key):
            raise
        logger.warning("%s Fetching model %r anew.", damage.what, name)
        directory = None
    if settings.offline:
        if directory is None:
            raise ModelNotFoundError(
                f"Model {name!r} is not in the cache, and KKG_OFFLINE forbids fetching it.",
                next_step=f"unset KKG_OFFLINE, or copy the model to {cache.layers[-1] / name}",
            )
        return directory
    if directory is None or refresh:
        from kkg_area_detection.hub.fetch import fetch_model

        return fetch_model(name, settings, cache, progress, refresh=refresh)
    receipt = cache.receipt_of(directory)
    _remark_other_source(name, settings, receipt.source if receipt else None)
    return directory


def _remark_other_source(name: str, settings: Settings, source: str | None) -> None:
    if source and settings.bucket and settings.model_key:
        configured = s3_uri(*settings.location(name))
        if configured != source:
            logger.warning(
                "Model %r was fetched from %s, but the settings now name %s: 'kkg models pull %s --refresh'.",
                name,
                source,
                configured,
                name,
            )
