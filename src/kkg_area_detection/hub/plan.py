"""What a download will take: a listing in, a plan out. Pure: no network, no disk.

Everything that can be known to be wrong from the names, sizes and storage classes alone is an error here,
before the first byte is fetched.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from kkg_area_detection.errors import InvalidModelError, ObjectNotFoundError
from kkg_area_detection.hub.manifest import MANIFEST_NAME
from kkg_area_detection.hub.names import check_collisions, safe_relative_path
from kkg_area_detection.model_directory import (
    CONFIG_NAME,
    INDEX_NAME,
    PICKLE_SUFFIXES,
    WEIGHTS_NAME,
    pickle_refused,
)

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz")

_COMPANION_SUFFIXES = (".json", ".txt", ".md")
_ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})


@dataclass(frozen=True, slots=True)
class RemoteObject:
    """One object as S3 lists it: ``size`` in bytes, ``etag`` with its quotation marks, ISO 8601 date and time."""

    key: str
    size: int
    etag: str
    storage_class: str = "STANDARD"
    modified_at: str = ""


@dataclass(frozen=True, slots=True)
class PlannedFile:
    """One object and the path, relative to the model directory, that it will be stored under."""

    source: RemoteObject
    path: PurePosixPath


@dataclass(frozen=True, slots=True)
class DownloadPlan:
    """All that is needed to fetch one model."""

    bucket: str
    key: str
    files: tuple[PlannedFile, ...]
    is_archive: bool = False

    @property
    def uri(self) -> str:
        """The S3 URI of the prefix or object, for messages and receipts."""
        return s3_uri(self.bucket, self.key)

    @property
    def total_bytes(self) -> int:
        """Bytes to be fetched."""
        return sum(file.source.size for file in self.files)


def s3_uri(bucket: str, key: str) -> str:
    """The S3 URI of a key or prefix."""
    return f"s3://{bucket}/{key}"


def is_prefix(key: str) -> bool:
    """Whether ``S3_MODEL_KEY`` names a directory of objects."""
    return key.endswith("/")


def plan_prefix(bucket: str, prefix: str, listing: Sequence[RemoteObject]) -> DownloadPlan:
    """Plan the download of every object below a prefix.

    Args:
        bucket: Name of the bucket.
        prefix: The prefix, ending in ``/``.
        listing: All objects below it. Folder markers (keys that end in ``/``) are skipped.

    Raises:
        ObjectNotFoundError: Nothing lies below the prefix.
        InvalidModelError: There is no ``config.json`` directly below it, no weights, or an archived object.
        UnsafeKeyError: A key must not become a local path.
    """
    uri = s3_uri(bucket, prefix)
    objects = [item for item in listing if not item.key.endswith("/")]
    if not objects:
        raise ObjectNotFoundError(
            f"There is nothing below {uri}.",
            cause="S3_MODEL_KEY or the model name has a typo (keys are case-sensitive and do not begin with "
            "'/'), or the model was not uploaded yet.",
            next_step=f"compare with what lies there: kkg models list --remote, or aws s3 ls "
            f"{s3_uri(bucket, folder_above(prefix))}",
        )
    files = tuple(
        PlannedFile(item, safe_relative_path(item.key.removeprefix(prefix), s3_uri(bucket, item.key)))
        for item in objects
    )
    check_collisions((file.path for file in files), uri)
    plan = DownloadPlan(bucket, prefix, files)
    _check_contents(plan)
    _check_storage(plan)
    return plan


def plan_object(
    bucket: str, key: str, listing: Sequence[RemoteObject], siblings: Sequence[RemoteObject]
) -> DownloadPlan:
    """Plan the download of a model that is named by a single object.

    Args:
        bucket: Name of the bucket.
        key: The key, not ending in ``/``.
        listing: The objects whose keys begin with ``key``.
        siblings: The objects of the same folder; needed where the object is a weights file.

    Raises:
        ObjectNotFoundError: There is no such object.
        InvalidModelError: The object is neither an archive nor safetensors weights with their ``config.json``
            beside them, or is archived.
        UnsafeKeyError: A key must not become a local path.
    """
    uri = s3_uri(bucket, key)
    item = next((item for item in listing if item.key == key), None)
    if item is None:
        raise _no_such_object(uri, key, listing)
    name = safe_relative_path(key.rpartition("/")[2], uri)
    if name.name.lower().endswith(ARCHIVE_SUFFIXES):
        plan = DownloadPlan(bucket, key, (PlannedFile(item, name),), is_archive=True)
    elif name.suffix.lower() == ".safetensors":
        plan = _plan_lone_weights(bucket, item, siblings)
        _check_contents(plan)
    elif name.suffix.lower() in PICKLE_SUFFIXES:
        raise pickle_refused(uri)
    else:
        raise InvalidModelError(
            f"{uri} cannot become a model: it is neither a folder, an archive nor a weights file.",
            next_step="let S3_MODEL_KEY end in '/' (a folder), or name a .zip, .tar, .tar.gz or .safetensors "
            "object.",
        )
    _check_storage(plan)
    return plan


def _plan_lone_weights(bucket: str, weights: RemoteObject, siblings: Sequence[RemoteObject]) -> DownloadPlan:
    prefix = folder_above(weights.key)
    companions = [
        PlannedFile(item, safe_relative_path(item.key.removeprefix(prefix), s3_uri(bucket, item.key)))
        for item in siblings
        if item.key.endswith(_COMPANION_SUFFIXES) and not item.key.endswith((INDEX_NAME, MANIFEST_NAME))
    ]
    # The loader knows the weights by this name only; large.safetensors is a common one in buckets.
    files = (PlannedFile(weights, PurePosixPath(WEIGHTS_NAME)), *companions)
    check_collisions((file.path for file in files), s3_uri(bucket, prefix))
    return DownloadPlan(bucket, weights.key, files)


def folder_above(key: str) -> str:
    """The prefix of the folder that a key or prefix lies in; empty at the top of the bucket."""
    folder = key.rstrip("/").rpartition("/")[0]
    return f"{folder}/" if folder else ""


def _check_contents(plan: DownloadPlan) -> None:
    names = {str(file.path) for file in plan.files}
    if CONFIG_NAME not in names:
        nested = sorted({str(file.path.parent) for file in plan.files if file.path.name == CONFIG_NAME})
        if nested:
            raise InvalidModelError(
                f"{plan.uri} holds no {CONFIG_NAME}, but its folders do: {', '.join(nested[:5])}.",
                cause="S3_MODEL_KEY points to the folder above the models.",
                next_step="put the folder into S3_MODEL_KEY, or write {model_name} in it, as in "
                "S3_MODEL_KEY=models/{model_name}/",
            )
        raise InvalidModelError(
            f"{CONFIG_NAME} is missing in {plan.uri}.",
            cause="the upload is incomplete, or S3_MODEL_KEY points to another folder.",
            next_step="upload the whole folder that save_pretrained() wrote.",
        )
    if not names & {WEIGHTS_NAME, INDEX_NAME}:
        if any(file.path.suffix.lower() in PICKLE_SUFFIXES for file in plan.files):
            raise pickle_refused(plan.uri)
        raise InvalidModelError(
            f"{WEIGHTS_NAME} is missing in {plan.uri}.",
            cause="the upload is incomplete, or the weights have another name.",
            next_step=f"upload the weights as {WEIGHTS_NAME}.",
        )


def _check_storage(plan: DownloadPlan) -> None:
    for file in plan.files:
        if file.source.storage_class in _ARCHIVED_CLASSES:
            raise InvalidModelError(
                f"{s3_uri(plan.bucket, file.source.key)} is archived ({file.source.storage_class}).",
                next_step="restore it in the S3 console, or copy it to the STANDARD storage class.",
            )


def _no_such_object(uri: str, key: str, listing: Sequence[RemoteObject]) -> ObjectNotFoundError:
    below = sum(item.key.startswith(f"{key}/") for item in listing)
    if below:
        return ObjectNotFoundError(
            f"There is no object {uri}, but there is a folder of that name ({below} objects).",
            cause="the slash at the end is missing.",
            next_step=f"set S3_MODEL_KEY={key}/",
        )
    return ObjectNotFoundError(
        f"There is no object {uri}.",
        cause="S3_MODEL_KEY or the model name has a typo (keys are case-sensitive).",
        next_step="check the key; a folder must end in '/'.",
    )
