"""The way back up: a local model directory becomes a model in S3 that others can fetch.

The order of the writes is what keeps a half-finished upload from being taken for a model:

1. the manifest with the state ``uploading``,
2. weights and other files, ``config.json`` last, each with a checksum that S3 verifies,
3. the manifest with the state ``complete``, once a listing shows that every file is there.

Each write of the manifest is conditional on the one before it: of two uploads to one place, the one that began
first is told. Nothing is ever deleted. Needs ``s3:ListBucket``, ``s3:GetObject`` and ``s3:PutObject``.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from kkg_area_detection.errors import (
    InvalidModelError,
    ObjectChangedError,
    ObjectNotFoundError,
    SettingsError,
    UsageError,
)
from kkg_area_detection.hub.local_files import LocalFile, files_to_publish
from kkg_area_detection.hub.manifest import (
    MANIFEST_NAME,
    MAX_MANIFEST_BYTES,
    Manifest,
    ManifestFile,
    dump,
    parse,
)
from kkg_area_detection.hub.names import check_model_name
from kkg_area_detection.hub.plan import is_prefix, s3_uri
from kkg_area_detection.hub.s3 import make_client
from kkg_area_detection.hub.s3_errors import Request, not_s3, translated
from kkg_area_detection.model_directory import CONFIG_NAME, check_model_directory
from kkg_area_detection.progress import ByteProgress, format_bytes
from kkg_area_detection.settings import MODEL_NAME_FIELD, Settings

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

logger = logging.getLogger(__name__)

PART_BYTES = 16 << 20
WORKERS = 8


def location_to_publish(name: str, settings: Settings) -> tuple[str, str]:
    """The bucket and the prefix that a model of this name belongs to.

    Raises:
        UsageError: The name cannot be a folder.
        SettingsError: The bucket or the key is not set, the key is not a folder with a place for the name, or
            ``KKG_OFFLINE`` forbids connections.
    """
    if settings.offline:
        raise SettingsError(
            f"Model {name!r} cannot be published: KKG_OFFLINE forbids connections.",
            next_step="unset KKG_OFFLINE.",
        )
    bucket, prefix = settings.location(check_model_name(name))
    key = settings.model_key or ""
    if not is_prefix(key) or MODEL_NAME_FIELD not in key:
        raise SettingsError(
            f"S3_MODEL_KEY is {key!r}, which leaves no folder for a model named {name!r}.",
            cause=f"it does not end in '/', or {MODEL_NAME_FIELD} does not occur in it.",
            next_step=f"set it to a folder with a place for the name: S3_MODEL_KEY=models/{MODEL_NAME_FIELD}/",
        )
    return bucket, prefix


def connect(settings: Settings) -> S3Client:
    """A client for ``publish_directory``, set up as for downloads.

    Raises:
        MissingDependencyError: boto3 is not installed.
        CredentialsError: ``AWS_PROFILE`` names a profile that does not exist.
        SettingsError: ``AWS_ENDPOINT_URL_S3`` is not a URL.
    """
    return make_client(settings.region)


def publish_directory(
    directory: Path,
    bucket: str,
    key_prefix: str,
    client: S3Client,
    progress: ByteProgress,
    *,
    force: bool = False,
) -> int:
    """Upload a model directory, so that readers see the whole model or none.

    Args:
        directory: Must pass the load gate. Links are refused; pickles, hidden files and the clutter of
            operating systems are left out.
        bucket: Name of the bucket.
        key_prefix: Where the files go, ending in ``/``.
        client: A boto3 client that may list, read and write there.
        progress: Told of every byte that was sent.
        force: Replace a model that is there. Until the upload has ended, readers are told to wait.

    Returns:
        The number of bytes in the model's files.

    Raises:
        ModelNotFoundError: There is no such directory.
        InvalidModelError: It does not hold a loadable model, or a file of it cannot be read.
        UnsafeKeyError: A file has a name that cannot exist on every system.
        UsageError: There is a model already, and ``force`` is not set.
        IntegrityError: A local file changed while it was uploaded.
        ObjectChangedError: Somebody else uploads to the same place.
        HubError: S3 or the network is at fault; the leaf says why.
    """
    check_model_directory(directory)
    place = _Place(client, bucket, key_prefix)
    previous = _refuse_to_replace(place) if not force else place.list().get(MANIFEST_NAME)
    files = files_to_publish(directory, leave_out=MANIFEST_NAME)
    entries = tuple(ManifestFile(file.name, file.size, file.sha256) for file in files)
    manifest = Manifest(entries, "uploading", datetime.now(UTC).isoformat(timespec="seconds"))
    total = sum(file.size for file in files)

    written = place.write_manifest(manifest, replaces=previous.etag if previous else None)
    progress.start(f"Publishing to {place.uri}", total)
    for file in sorted(files, key=lambda file: (file.name == CONFIG_NAME, file.name)):
        place.upload(file, progress)
    _check_arrived(place, files)
    place.write_manifest(replace(manifest, state="complete"), replaces=written)
    logger.info("Published %d files (%s) to %s.", len(files), format_bytes(total), place.uri)
    return total


@dataclass(frozen=True, slots=True)
class _Stored:
    """What a listing says about one object."""

    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class _Place:
    """The prefix that is published to. Every failure of S3 comes out as an error of our tree."""

    client: S3Client
    bucket: str
    prefix: str

    @property
    def uri(self) -> str:
        return s3_uri(self.bucket, self.prefix)

    def list(self) -> dict[str, _Stored]:
        """What lies below the prefix, by relative name; folder markers left out."""
        request = self._request("s3:ListBucket")
        found: dict[str, _Stored] = {}
        with translated(request):
            pages = self.client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=self.prefix, **_payer()
            )
            for page in pages:
                if "KeyCount" not in page:  # an HTML page with status 200 parses as an empty bucket
                    raise not_s3(request)
                for item in page.get("Contents", []):
                    if not item["Key"].endswith("/"):
                        name = item["Key"].removeprefix(self.prefix)
                        found[name] = _Stored(item["Size"], item["ETag"])
        return found

    def read_manifest(self) -> tuple[bytes, str]:
        """The bytes of the manifest that is there, and its ETag."""
        with translated(self._request("s3:GetObject", MANIFEST_NAME)):
            reply = self.client.get_object(Bucket=self.bucket, Key=self.prefix + MANIFEST_NAME, **_payer())
            with reply["Body"] as body:
                return body.read(MAX_MANIFEST_BYTES + 1), reply["ETag"]

    def write_manifest(self, manifest: Manifest, *, replaces: str | None) -> str:
        """Write the manifest in place of the one with the ETag ``replaces``, or of none; returns its ETag."""
        body = dump(manifest)
        condition: dict[str, Any] = {"IfMatch": replaces} if replaces else {"IfNoneMatch": "*"}
        try:
            with translated(self._request("s3:PutObject", MANIFEST_NAME)):
                return self.client.put_object(
                    Bucket=self.bucket,
                    Key=self.prefix + MANIFEST_NAME,
                    Body=body,
                    ContentType="application/json",
                    ChecksumAlgorithm=_checksum_algorithm(),
                    **condition,
                    **_payer(),
                )["ETag"]
        except (ObjectChangedError, ObjectNotFoundError) as error:
            # botocore repeats a request whose reply was lost; then it is our own write that is in the way.
            with suppress(ObjectNotFoundError):
                found, etag = self.read_manifest()
                if found == body:
                    return etag
            raise self.disturbed(f"The manifest of {self.uri} was replaced or removed") from error

    def upload(self, file: LocalFile, progress: ByteProgress) -> None:
        """Send one file, in parts where it is large."""
        from boto3.s3.transfer import TransferConfig

        config = TransferConfig(
            multipart_threshold=PART_BYTES,
            multipart_chunksize=PART_BYTES,
            max_concurrency=WORKERS,
            preferred_transfer_client="classic",  # the CRT one fails on endpoints that are bare addresses
        )
        try:
            with translated(self._request("s3:PutObject", file.name)), _bare_client_errors():
                self.client.upload_file(
                    str(file.path),
                    self.bucket,
                    self.prefix + file.name,
                    ExtraArgs={"ChecksumAlgorithm": _checksum_algorithm(), **_payer()},
                    Callback=progress.advance,
                    Config=config,
                )
        except Exception:
            file.refuse_if_changed()  # a file that shrinks under us looks like a fault of the network
            raise
        file.refuse_if_changed()

    def disturbed(self, what: str) -> ObjectChangedError:
        """The error for what only another writer can have done."""
        return ObjectChangedError(
            f"{what} meanwhile; this upload was not completed.",
            cause="somebody else writes to the same place.",
            next_step="wait until that has ended, and push again.",
        )

    def _request(self, action: str, name: str = "") -> Request:
        meta = self.client.meta
        return Request(action, self.bucket, self.prefix + name, meta.region_name, meta.endpoint_url)


def _refuse_to_replace(place: _Place) -> _Stored | None:
    """Pass where no model is there; returns the manifest of an upload that was never completed."""
    there = place.list()
    stored = there.get(MANIFEST_NAME)
    if stored is None:
        if CONFIG_NAME in there:
            raise _already_there(place, f"there is a {CONFIG_NAME}, uploaded with another tool")
        return None
    try:
        manifest = parse(place.read_manifest()[0], s3_uri(place.bucket, place.prefix + MANIFEST_NAME))
    except InvalidModelError as error:
        raise _already_there(place, f"its {MANIFEST_NAME} cannot be read") from error
    if manifest.state == "complete":
        raise _already_there(place, f"published {manifest.created_at}")
    logger.warning(
        "An upload to %s that began %s was not completed. Beginning anew.", place.uri, manifest.created_at
    )
    return stored


def _already_there(place: _Place, detail: str) -> UsageError:
    return UsageError(
        f"There is a model at {place.uri} already ({detail}).",
        next_step="choose another name, or replace it with --force (force=True).",
    )


def _check_arrived(place: _Place, files: Sequence[LocalFile]) -> None:
    """Every file is there with its size; what else is there is only reported."""
    there = place.list()
    for file in files:
        stored = there.pop(file.name, None)
        if stored is None or stored.size != file.size:
            raise place.disturbed(f"{s3_uri(place.bucket, place.prefix + file.name)} was replaced or removed")
    there.pop(MANIFEST_NAME, None)
    if there:
        logger.warning(
            "%s also holds what is not part of the model and was left alone: %s.", place.uri, _first_of(there)
        )


def _first_of(names: Iterable[str]) -> str:
    ordered = sorted(names)
    rest = len(ordered) - 5
    return ", ".join(ordered[:5]) + (f" and {rest} more" if rest > 0 else "")


@contextmanager
def _bare_client_errors() -> Iterator[None]:
    """boto3's upload wraps S3's answer in an error that keeps only its text; give the answer itself."""
    from boto3.exceptions import S3UploadFailedError

    try:
        yield
    except S3UploadFailedError as error:
        raise (error.__context__ or error) from None


def _checksum_algorithm() -> Literal["CRC64NVME", "CRC32"]:
    """CRC64NVME covers an object as a whole; without its library, CRC32 covers each part of a large one."""
    return "CRC64NVME" if find_spec("awscrt") else "CRC32"


def _payer() -> dict[str, Any]:
    payer = os.environ.get("AWS_REQUEST_PAYER")
    return {"RequestPayer": payer} if payer else {}
