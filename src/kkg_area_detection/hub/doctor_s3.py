"""What ``kkg doctor`` asks of the endpoint, the bucket and its objects.

One unsigned HEAD of the bucket tells whether the endpoint answers, what its clock says and, at Amazon, whether the
bucket exists and where. One signed listing tells whether S3 accepts the credentials and what lies there. One byte
of one object tells whether objects may be read. Nothing is retried, and every wait is short.
"""

from __future__ import annotations

import os
import re
import time
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kkg_area_detection.checkup import Finding, explained, failure, ok, skipped, warning
from kkg_area_detection.errors import AccessDeniedError, BucketNotFoundError
from kkg_area_detection.hub.doctor_case import Case, Reply
from kkg_area_detection.hub.plan import is_prefix, s3_uri
from kkg_area_detection.hub.s3_errors import Request, not_s3, translated
from kkg_area_detection.settings import MODEL_NAME_FIELD

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CLOCK_WARNING_S = 60
CLOCK_FAILURE_S = 15 * 60  # from here on Amazon refuses requests

_ASK_FOR_POLICY = "show whoever runs the bucket the output of 'kkg doctor --iam-policy', and ask for it."


def check_endpoint(case: Case) -> Finding:
    """Whether the endpoint answers, and its certificate is trusted."""
    from botocore.exceptions import ClientError
    from botocore.utils import get_environ_proxies

    client = case.client(signed=False)
    url = client.meta.endpoint_url
    began = time.monotonic()
    metadata: Any
    with translated(_request(client, "s3:ListBucket", case.bucket, "")):
        try:
            metadata = client.head_bucket(Bucket=case.bucket)["ResponseMetadata"]
        except ClientError as error:
            metadata = error.response["ResponseMetadata"]  # any answer is an answer
    elapsed = time.monotonic() - began
    status = int(metadata.get("HTTPStatusCode", 0))
    case.reply = Reply(status, metadata.get("HTTPHeaders", {}), time.time() - elapsed / 2)
    detail = f"{url} answers in {elapsed:.2f} s"
    if get_environ_proxies(url):
        detail += ", through a proxy"
    if status >= 500:
        return warning(f"{detail}, but with HTTP {status}.", "wait a minute, then try again.")
    parts = urlsplit(url)
    if parts.scheme == "https":
        return ok(f"{detail}; its certificate is trusted.")
    if parts.hostname in ("localhost", "127.0.0.1", "::1"):
        return ok(f"{detail}.")
    return warning(f"{detail}, but nothing is encrypted (http).", "use https:// in AWS_ENDPOINT_URL_S3.")


def check_clock(case: Case) -> Finding:
    """How far this machine's clock is from the server's."""
    assert case.reply is not None
    try:
        server_time = parsedate_to_datetime(case.reply.headers["date"]).timestamp()
    except (KeyError, ValueError):
        return skipped("the server does not tell the time.")
    ahead = case.reply.at - server_time
    if abs(ahead) < CLOCK_WARNING_S:
        return ok("agrees with the server's.")
    detail = f"this machine is {abs(ahead) / 60:.0f} min {'ahead of' if ahead > 0 else 'behind'} the server."
    advice = "set the clock: turn on automatic time (w32tm /resync, timedatectl set-ntp true)."
    return (failure if abs(ahead) >= CLOCK_FAILURE_S else warning)(detail, advice)


def check_bucket(case: Case) -> Finding:
    """Whether S3 accepts the credentials, the bucket exists, and where. Keeps the listing."""
    assert case.reply is not None
    client = case.client(signed=True)
    request = _request(client, "s3:ListBucket", case.bucket, case.listed)
    region = case.reply.headers.get("x-amz-bucket-region")
    try:
        with translated(request):
            page = client.list_objects_v2(Bucket=case.bucket, Prefix=case.listed, **_payer())
    except AccessDeniedError as error:
        if case.reply.status == 404:
            raise BucketNotFoundError(
                f"There is no bucket {case.bucket!r} (endpoint {request.endpoint}).",
                next_step="check S3_BUCKET_NAME, and AWS_ENDPOINT_URL_S3 if it is set.",
            ) from error
        case.denied = error
        if not region:
            return warning(
                f"S3 does not say whether {case.bucket!r} exists; it denies the listing.",
                "check S3_BUCKET_NAME for a typo.",
            )
    else:
        if "KeyCount" not in page:  # an HTML page with status 200 parses as an empty bucket
            raise not_s3(request)
        case.keys = [(item["Key"], item["Size"]) for item in page.get("Contents", [])]
        case.truncated = page.get("IsTruncated", False)
    if region and region != request.region:
        return warning(
            f"{case.bucket} is in {region}, but {request.region} is configured.",
            f"set AWS_REGION={region}",
        )
    return ok(f"{case.bucket} exists" + (f" in {region}." if region else "."))


def check_list(case: Case) -> Finding:
    """Whether the prefix may be listed, and whether anything there fits ``S3_MODEL_KEY``."""
    place = s3_uri(case.bucket, case.listed)
    if case.denied is not None:
        denial = explained(case.denied)
        return failure(denial.detail, f"check S3_BUCKET_NAME; if it is right, {_ASK_FOR_POLICY}")
    fitting = [match for key, _ in case.keys if (match := _fits(case.key, key))]
    if fitting:
        names = sorted({match["name"] for match in fitting if "name" in match.groupdict()})
        return ok(f"{place} may be listed" + (f"; models: {', '.join(names)}" if names else "."))
    if not is_prefix(case.key) and any(key.startswith(f"{case.key}/") for key, _ in case.keys):
        return failure(
            f"there is no object {place}, but a folder of that name.", f"set S3_MODEL_KEY={case.key}/"
        )
    if case.truncated:
        return warning(
            f"{place} may be listed; none of the first {len(case.keys)} keys fits S3_MODEL_KEY={case.key}",
            "check S3_MODEL_KEY, or try 'kkg models pull' with the name of a model.",
        )
    return failure(
        f"{place} may be listed, but nothing there fits S3_MODEL_KEY={case.key}",
        "check S3_MODEL_KEY (keys are case-sensitive and do not begin with '/'), or upload a model.",
    )


def check_get(case: Case) -> Finding:
    """Whether an object may be read: its first byte."""
    client = case.client(signed=True)
    key = next((key for key, size in case.keys if size and _fits(case.key, key)), None)
    if key is None:
        return skipped("there is no object with content to try it on.")
    try:
        with translated(_request(client, "s3:GetObject", case.bucket, key)):
            body = client.get_object(Bucket=case.bucket, Key=key, Range="bytes=0-0", **_payer())["Body"]
            with body:
                body.read()
    except AccessDeniedError as error:
        return failure(explained(error).detail, _ASK_FOR_POLICY)
    return ok(f"{s3_uri(case.bucket, key)} may be read.")


def _fits(model_key: str, key: str) -> re.Match[str] | None:
    """Match a key against ``S3_MODEL_KEY``; the group ``name`` is the model's name, where it varies."""
    head, field_, tail = model_key.partition(MODEL_NAME_FIELD)
    pattern = re.escape(head)
    if field_:
        pattern += "(?P<name>[^/]+)" + "(?P=name)".join(map(re.escape, tail.split(MODEL_NAME_FIELD)))
    return re.compile(pattern + ("." if is_prefix(model_key) else r"\Z"), re.DOTALL).match(key)


def _payer() -> dict[str, Any]:
    payer = os.environ.get("AWS_REQUEST_PAYER")
    return {"RequestPayer": payer} if payer else {}


def _request(client: S3Client, action: str, bucket: str, key: str) -> Request:
    return Request(action, bucket, key, region=client.meta.region_name, endpoint=client.meta.endpoint_url)
