"""The only module that speaks to boto3."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

from kkg_area_detection.errors import MissingDependencyError, SettingsError
from kkg_area_detection.hub.plan import RemoteObject
from kkg_area_detection.hub.s3_errors import Request, credentials_failure, not_s3, translated
from kkg_area_detection.settings import DEFAULT_REGION

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 20
MAX_CONNECTIONS = 16


class ByteStream(Protocol):
    """The body of an object."""

    def read(self, amt: int) -> bytes:
        """At most ``amt`` bytes; none at the end."""
        ...


class S3Store:
    """Lists and reads objects; every failure comes out as an error of our tree.

    Credentials, endpoint, certificates and proxies are boto3's own business: environment, profiles, SSO,
    process, container and instance roles all work. ``AWS_REQUEST_PAYER=requester`` and
    ``AWS_NO_SIGN_REQUEST=true`` stand for what boto3 takes as arguments only.

    Args:
        region: Region of the bucket; None leaves it to the profile, then to ``ap-northeast-1``.

    Raises:
        MissingDependencyError: boto3 is not installed.
        CredentialsError: ``AWS_PROFILE`` names a profile that does not exist.
        SettingsError: ``AWS_ENDPOINT_URL_S3`` is not a URL.
    """

    def __init__(self, region: str | None = None) -> None:
        self._client = _make_client(region)
        payer = os.environ.get("AWS_REQUEST_PAYER")
        self._common: dict[str, Any] = {"RequestPayer": payer} if payer else {}

    def list_objects(self, bucket: str, prefix: str, *, recursive: bool = True) -> list[RemoteObject]:
        """All objects whose keys begin with the prefix, in the order of their keys.

        Args:
            bucket: Name of the bucket.
            prefix: Need not end in ``/``.
            recursive: False leaves out what lies in folders below the prefix.

        Raises:
            HubError: The listing failed; the leaf says why.
        """
        request = self._request("s3:ListBucket", bucket, prefix)
        arguments = {"Bucket": bucket, "Prefix": prefix, **self._common}
        if not recursive:
            arguments["Delimiter"] = "/"
        objects: list[RemoteObject] = []
        with translated(request):
            for page in self._client.get_paginator("list_objects_v2").paginate(**arguments):
                if "KeyCount" not in page:  # an HTML page with status 200 parses as an empty bucket
                    raise not_s3(request)
                objects.extend(_remote_object(entry) for entry in page.get("Contents", []))
        return objects

    @contextmanager
    def open(self, bucket: str, item: RemoteObject) -> Iterator[ByteStream]:
        """Read an object in exactly the version that was listed.

        botocore checks the body against the object's checksum as it is read, where S3 offers one for a
        whole object.

        Raises:
            HubError: The read failed; the leaf says why. ``ObjectChangedError`` where another version is
                there now.
        """
        request = self._request("s3:GetObject", bucket, item.key)
        with translated(request):
            reply = self._client.get_object(
                Bucket=bucket, Key=item.key, IfMatch=item.etag, ChecksumMode="ENABLED", **self._common
            )
            body = reply["Body"]
            try:
                yield body
            finally:
                body.close()

    def _request(self, action: str, bucket: str, key: str) -> Request:
        meta = self._client.meta
        return Request(action, bucket, key, region=meta.region_name, endpoint=meta.endpoint_url)


def _make_client(region: str | None) -> S3Client:
    try:
        import boto3
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError as error:
        raise MissingDependencyError(
            "boto3 is not installed, so models cannot be fetched from S3.",
            next_step="pip install boto3, or pass model_path=... to load a local directory.",
        ) from error

    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 3},
        user_agent_extra="kkg-area-detection",
    )
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes"):
        config = config.merge(Config(signature_version=UNSIGNED))
    try:
        session = boto3.Session()
        region = region or session.region_name or DEFAULT_REGION
        return session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        at_fault = credentials_failure(error, "S3")
        if at_fault is not None:
            raise at_fault from error
        raise SettingsError(
            f"The S3 client cannot be set up: {error}",
            cause="AWS_ENDPOINT_URL_S3, AWS_REGION or a line of ~/.aws/config is malformed.",
            next_step="an endpoint is a full URL, for example https://s3.example.com:9000",
        ) from error


def _remote_object(entry: ObjectTypeDef) -> RemoteObject:
    return RemoteObject(
        key=entry["Key"],
        size=entry["Size"],
        etag=entry["ETag"],
        storage_class=entry.get("StorageClass", "STANDARD"),
    )
