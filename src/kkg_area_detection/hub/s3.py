"""The only module that speaks to boto3 for reading."""

from __future__ import annotations

import os
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from kkg_area_detection.errors import (
    EndpointError,
    MissingDependencyError,
    SettingsError,
    UnexpectedReplyError,
)
from kkg_area_detection.hub.integrity import Checksum, is_multipart, offered_checksum
from kkg_area_detection.hub.plan import RemoteObject, s3_uri
from kkg_area_detection.hub.s3_errors import Request, credentials_failure, not_s3, translated
from kkg_area_detection.settings import DEFAULT_REGION, Settings, load_dotenv

if TYPE_CHECKING:
    from botocore.response import StreamingBody
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_s3.type_defs import ObjectTypeDef

CONNECT_TIMEOUT_S = 5
READ_TIMEOUT_S = 10
REPLY_DEADLINE_S = 30.0  # for the headers of a reply, or a page of a listing
MAX_CONNECTIONS = 16

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ObjectBody:
    """The bytes that were asked for, and what the reply says of the whole object."""

    _stream: StreamingBody
    _request: Request
    headers: Mapping[str, object]

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer with the next bytes; returns how many, 0 at the end.

        Raises:
            HubError: The connection broke off.
        """
        with translated(self._request):
            return self._stream.readinto(buffer)  # type: ignore[arg-type]  # the stubs know no buffers

    def give_up(self) -> None:
        """Make a call of ``readinto`` in another thread fail soon: it takes too long."""
        with suppress(AttributeError, OSError, ValueError):  # it has just ended by itself
            self._stream.set_socket_timeout(0.001)


class S3Store:
    """Lists and reads objects; every failure comes out as an error of our tree.

    Credentials, endpoint, certificates and proxies are boto3's own business: environment, profiles, SSO,
    process, container and instance roles all work. ``AWS_REQUEST_PAYER=requester`` and
    ``AWS_NO_SIGN_REQUEST=true`` stand for what boto3 takes as arguments only.

    Nothing is tried again here: whoever calls knows better what is worth a second attempt.

    Args:
        region: Region of the bucket; None leaves it to the profile, then to ``ap-northeast-1``.

    Raises:
        MissingDependencyError: boto3 is not installed.
        CredentialsError: ``AWS_PROFILE`` names a profile that does not exist.
        SettingsError: ``AWS_ENDPOINT_URL_S3`` is not a URL.
    """

    def __init__(self, region: str | None = None) -> None:
        self._region = region
        self._renewing = threading.Lock()
        self._client = make_client(region)
        self.generation = 0
        payer = os.environ.get("AWS_REQUEST_PAYER")
        self._common: dict[str, Any] = {"RequestPayer": payer} if payer else {}

    def renew(self, generation: int) -> None:
        """Read ``.env`` and boto3's chain again, because credentials have expired.

        Args:
            generation: The ``generation`` whose credentials failed; where another thread has renewed them
                since, nothing is done.
        """
        with self._renewing:
            if generation == self.generation:
                load_dotenv()
                self._client = make_client(self._region)
                self.generation += 1

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
            pages = iter(self._client.get_paginator("list_objects_v2").paginate(**arguments))
            while (page := _within_deadline(partial(next, pages, None), request)) is not None:
                if "KeyCount" not in page:  # an HTML page with status 200 parses as an empty bucket
                    raise not_s3(request)
                objects.extend(_remote_object(entry) for entry in page.get("Contents", []))
        return objects

    def checksum(self, bucket: str, item: RemoteObject) -> Checksum | None:
        """The strongest checksum that S3 offers for an object; None where it offers none that can be checked.

        Raises:
            HubError: The request failed. ``ObjectChangedError`` where another version is there now.
        """
        request = self._request("s3:GetObject", bucket, item.key)
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": item.key, "IfMatch": item.etag, **self._common}
        with translated(request):
            head = partial(self._client.head_object, **arguments)
            headers: Mapping[str, Any] = _within_deadline(partial(head, ChecksumMode="ENABLED"), request)
            part_size = 0
            if is_multipart(headers, item.etag):
                part_size = _within_deadline(partial(head, PartNumber=1), request)["ContentLength"]
        return offered_checksum(headers, item.etag, item.size, part_size)

    @contextmanager
    def read(
        self, bucket: str, item: RemoteObject, start: int = 0, end: int | None = None
    ) -> Iterator[ObjectBody]:
        """Read an object, or a range of it, in exactly the version that was listed.

        Args:
            bucket: Name of the bucket.
            item: The object, as it was listed.
            start: First byte.
            end: First byte behind the range; None for all of the object.

        Raises:
            HubError: The read failed. ``ObjectChangedError`` where another version is there now,
                ``TransferError`` where the reply is not what was asked for.
        """
        request = self._request("s3:GetObject", bucket, item.key)
        arguments: dict[str, Any] = {"Bucket": bucket, "Key": item.key, "IfMatch": item.etag, **self._common}
        if end is not None:
            arguments["Range"] = f"bytes={start}-{end - 1}"
        else:
            arguments["ChecksumMode"] = "ENABLED"
        with translated(request):
            reply: Mapping[str, Any] = _within_deadline(
                partial(self._client.get_object, **arguments), request
            )
        stream = reply["Body"]
        try:
            _check_reply(reply, item, start, end, request)
            yield ObjectBody(stream, request, reply)
        finally:
            stream.close()

    def _request(self, action: str, bucket: str, key: str) -> Request:
        meta = self._client.meta
        return Request(action, bucket, key, region=meta.region_name, endpoint=meta.endpoint_url)


def _within_deadline(call: Callable[[], _T], request: Request) -> _T:
    """Call in a thread of its own, and leave it alone where it takes too long.

    The time-outs of boto3 are for single reads: a server that sends a byte a second never runs into one.

    Raises:
        EndpointError: It took longer than ``REPLY_DEADLINE_S``.
    """
    result: Future[_T] = Future()

    def run() -> None:
        try:
            result.set_result(call())
        except BaseException as error:  # noqa: BLE001 - it is raised again in the calling thread
            result.set_exception(error)

    threading.Thread(target=run, name="kkg-request", daemon=True).start()
    try:
        return result.result(timeout=REPLY_DEADLINE_S)
    except FutureTimeoutError as error:
        if result.done():
            raise
        raise EndpointError(
            f"{request.endpoint} answers too slowly.",
            cause="the server or the network is overloaded.",
            next_step="try again in a minute.",
        ) from error


def _check_reply(
    reply: Mapping[str, Any], item: RemoteObject, start: int, end: int | None, request: Request
) -> None:
    """Refuse a reply that is not the range, or not the object, that was asked for; boto3 does not look."""
    stop = item.size if end is None else end
    expected: dict[str, object] = {"ContentLength": stop - start, "ETag": item.etag}
    if end is not None:
        expected["ContentRange"] = f"bytes {start}-{end - 1}/{item.size}"
    status = reply["ResponseMetadata"]["HTTPStatusCode"]
    wrong = [name for name, value in expected.items() if reply.get(name) != value]
    if status != (200 if end is None else 206):
        wrong.append(f"HTTP status {status}")
    if wrong:
        raise UnexpectedReplyError(
            f"The reply for {s3_uri(request.bucket, request.key)} is not what was asked for ({', '.join(wrong)}).",
            cause="a proxy or the server changed it.",
            next_step="try again; if it stays, connect without the proxy.",
        )


def make_client(region: str | None) -> S3Client:
    """A client with our time-outs and no attempts of its own.

    Raises:
        MissingDependencyError: boto3 is not installed.
        CredentialsError: ``AWS_PROFILE`` names a profile that does not exist.
        SettingsError: The endpoint or the region is malformed.
    """
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

    if Settings.load().offline:
        raise SettingsError("KKG_OFFLINE forbids connections.", next_step="unset KKG_OFFLINE.")
    config = Config(
        connect_timeout=CONNECT_TIMEOUT_S,
        read_timeout=READ_TIMEOUT_S,
        max_pool_connections=MAX_CONNECTIONS,
        retries={"mode": "standard", "total_max_attempts": 1},
        user_agent_extra="kkg-area-detection",
    )
    if os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes"):
        config = config.merge(Config(signature_version=UNSIGNED))
    try:
        session = boto3.Session()
        region = region or session.region_name or DEFAULT_REGION
        client = session.client("s3", region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        at_fault = credentials_failure(error, "S3")
        if at_fault is not None:
            raise at_fault from error
        raise SettingsError(
            f"The S3 client cannot be set up: {_without_password(str(error))}",
            cause="AWS_ENDPOINT_URL_S3, AWS_REGION or a line of ~/.aws/config is malformed.",
            next_step="an endpoint is a full URL, for example https://s3.example.com:9000",
        ) from error
    if "@" in client.meta.endpoint_url:
        raise SettingsError(
            "The S3 endpoint contains a user name or password.",
            next_step="remove them from AWS_ENDPOINT_URL_S3; S3 takes AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.",
        )
    return client


def _without_password(text: str) -> str:
    return re.sub(r"//[^/@\s]+@", "//", text)


def _remote_object(entry: ObjectTypeDef) -> RemoteObject:
    return RemoteObject(
        key=entry["Key"],
        size=entry["Size"],
        etag=entry["ETag"],
        storage_class=entry.get("StorageClass", "STANDARD"),
        modified_at=entry["LastModified"].isoformat() if "LastModified" in entry else "",
    )
