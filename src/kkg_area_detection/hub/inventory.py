"""Which models there are: in the cache, and in S3. Looking after them: verify, remove, clear away."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from kkg_area_detection.errors import (
    CacheNotWritableError,
    KkgAreaDetectionError,
    ModelNotFoundError,
    SettingsError,
)
from kkg_area_detection.hub.cache import BOOKKEEPING, ModelCache
from kkg_area_detection.hub.disk import free_bytes
from kkg_area_detection.hub.integrity import Checksum
from kkg_area_detection.hub.names import check_model_name
from kkg_area_detection.hub.plan import DownloadPlan
from kkg_area_detection.hub.retry import with_attempts
from kkg_area_detection.hub.s3 import S3Store
from kkg_area_detection.hub.source import LIST_ATTEMPTS, ModelSource
from kkg_area_detection.hub.staging import abandoned, discard
from kkg_area_detection.settings import MODEL_NAME_FIELD, Settings


@dataclass(frozen=True, slots=True)
class LocalModel:
    """A model in the cache.

    Attributes:
        name: Its name.
        directory: Where it is.
        size: Bytes of all its files.
        problem: Why it cannot be loaded; empty where it can.
        source: S3 URI it was fetched from; empty where it was copied in by hand.
        fetched_at: Date and time in ISO 8601, or empty.
        verified: Whether every byte was checked against something that S3 or the publisher gave.
    """

    name: str
    directory: Path
    size: int
    problem: str
    source: str
    fetched_at: str
    verified: bool


@dataclass(frozen=True, slots=True)
class RemoteModel:
    """A model in S3: its name, the bytes of its objects, and when the newest of them was written (ISO 8601)."""

    name: str
    size: int
    modified_at: str


@dataclass(frozen=True, slots=True)
class Preview:
    """What fetching a model would take.

    Attributes:
        plan: The files.
        checksums: What each file, by path, can be checked against; None where S3 offers nothing.
        free_bytes: On the disk of the cache.
    """

    plan: DownloadPlan
    checksums: dict[str, Checksum | None]
    free_bytes: int


def local_models(cache: ModelCache) -> Iterator[LocalModel]:
    """The models of all layers, sound or not."""
    for layer in cache.layers:
        if not layer.is_dir():
            continue
        for directory in sorted(layer.iterdir()):
            if not directory.name.startswith(".") and cache.is_model(directory):
                yield _describe(cache, directory)


def remote_models(settings: Settings) -> list[RemoteModel]:
    """The models in S3, as far as ``S3_MODEL_KEY`` tells them apart.

    Raises:
        SettingsError: The bucket or key is not set, or the key has no ``{model_name}``.
        HubError: The listing failed.
    """
    bucket, template = settings.location(MODEL_NAME_FIELD)
    before, field, after = template.partition(MODEL_NAME_FIELD)
    if not field:
        raise SettingsError(
            f"S3_MODEL_KEY={template} names one model, so there is nothing to list.",
            next_step="write {model_name} in it, as in S3_MODEL_KEY=models/{model_name}/",
        )
    store = S3Store(settings.region)
    listing = with_attempts(store, lambda: store.list_objects(bucket, before), limit=LIST_ATTEMPTS)
    pattern = re.compile(re.escape(before) + "([^/]+)" + re.escape(after).replace(r"\{model_name\}", r"\1"))
    found: dict[str, RemoteModel] = {}
    for item in listing:
        match = pattern.match(item.key)
        if match is None or (not after.endswith("/") and match.end() != len(item.key)):
            continue
        known = found.get(match[1], RemoteModel(match[1], 0, ""))
        newest = max(known.modified_at, item.modified_at)
        found[match[1]] = RemoteModel(match[1], known.size + item.size, newest)
    return list(found.values())


def preview(name: str, settings: Settings, cache: ModelCache) -> Preview:
    """What fetching a model would take, without fetching anything.

    Raises:
        HubError: S3 could not be asked, or nothing is there.
        InvalidModelError: What is there cannot become a model.
    """
    bucket, key = settings.location(check_model_name(name))
    store = S3Store(settings.region)
    plan, promised = ModelSource(store, bucket, key).plan()
    checksums: dict[str, Checksum | None] = {}
    for file in plan.files:
        path = str(file.path)
        offered = partial(store.checksum, bucket, file.source)
        checksums[path] = promised.get(path) or with_attempts(store, offered, limit=LIST_ATTEMPTS)
    return Preview(plan, checksums, free_bytes(cache.writable_layer()))


def find_local(cache: ModelCache, name: str) -> Path:
    """The directory of a cached model, sound or not.

    Raises:
        ModelNotFoundError: There is none of that name.
    """
    check_model_name(name)
    for layer in cache.layers:
        if cache.is_model(layer / name):
            return layer / name
    raise ModelNotFoundError(
        f"Model {name!r} is not in the cache ({', '.join(map(str, cache.layers))}).",
        next_step="'kkg models list' shows what is there.",
    )


def remove(cache: ModelCache, name: str) -> int:
    """Remove a model from the cache; it disappears in one rename.

    Returns:
        Bytes freed.

    Raises:
        ModelNotFoundError: There is none of that name.
        CacheNotWritableError: It may not be removed.
    """
    directory = find_local(cache, name)
    size = _size_of(directory)
    bookkeeping = directory.parent / BOOKKEEPING
    try:
        (bookkeeping / "staging").mkdir(parents=True, exist_ok=True)
        grave = bookkeeping / "staging" / f"removed-{uuid.uuid4().hex[:12]}"
        waiting = bookkeeping / "pending" / name
        if waiting.is_dir():
            waiting.rename(grave.with_name(f"removed-{uuid.uuid4().hex[:12]}"))
        directory.rename(grave)
        (bookkeeping / "receipts" / f"{name}.json").unlink(missing_ok=True)
    except OSError as error:
        raise CacheNotWritableError(
            f"{directory} cannot be removed: {error.strerror}.",
            cause="you may not write there, or a program is using the model.",
            next_step="close programs that use the model, or ask whoever owns the directory.",
        ) from error
    for one in (bookkeeping / "staging").glob("removed-*"):
        discard(one)
    return size


def prune(cache: ModelCache) -> int:
    """Clear away what killed downloads and removed models left in the bookkeeping.

    Returns:
        Bytes freed.
    """
    freed = 0
    for layer in cache.layers:
        bookkeeping = layer / BOOKKEEPING
        for leftover in abandoned(bookkeeping / "staging"):
            freed += _size_of(leftover)
            discard(leftover)
        for receipt in bookkeeping.glob("receipts/*.json"):
            name = receipt.name.removesuffix(".json").removesuffix(".pending")
            if not (layer / name).is_dir() and not (bookkeeping / "pending" / name).is_dir():
                with suppress(OSError):  # a read-only layer
                    size = receipt.stat().st_size
                    receipt.unlink()
                    freed += size
    return freed


def _describe(cache: ModelCache, directory: Path) -> LocalModel:
    problem = ""
    try:
        cache.check(directory)
    except KkgAreaDetectionError as error:
        problem = error.what
    receipt = cache.receipt_of(directory)
    return LocalModel(
        name=directory.name,
        directory=directory,
        size=_size_of(directory),
        problem=problem,
        source=receipt.source if receipt else "",
        fetched_at=receipt.fetched_at if receipt else "",
        verified=receipt.verified if receipt else False,
    )


def _size_of(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
