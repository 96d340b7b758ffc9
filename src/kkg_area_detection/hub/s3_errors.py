"""From botocore's failures to our error tree: no bare botocore text reaches a user."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from kkg_area_detection.errors import (
    AccessDeniedError,
    BucketNotFoundError,
    CredentialsError,
    EndpointError,
    ExpiredCredentialsError,
    HubError,
    IntegrityError,
    InvalidModelError,
    ObjectChangedError,
    ObjectNotFoundError,
    RegionError,
    SettingsError,
    TransferError,
)
from kkg_area_detection.hub.plan import s3_uri

if TYPE_CHECKING:
    from botocore.exceptions import ClientError

_CREDENTIALS_HELP = (
    "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY in the environment or in .env, choose a profile with "
    "AWS_PROFILE, or attach an IAM role to the machine."
)


@dataclass(frozen=True, slots=True)
class Request:
    """What was asked, for the message. ``action`` is the IAM action it needs."""

    action: str
    bucket: str
    key: str
    region: str
    endpoint: str

    @property
    def place(self) -> str:
        """URI, region and endpoint in one phrase."""
        return f"{s3_uri(self.bucket, self.key)} (region {self.region}, endpoint {self.endpoint})"


@contextmanager
def translated(request: Request) -> Iterator[None]:
    """Turn every failure of botocore and of the connection into an error of our tree, chained."""
    from botocore.exceptions import BotoCoreError, ClientError
    from urllib3.exceptions import HTTPError

    try:
        yield
    except ClientError as error:
        raise _from_reply(error, request) from error
    except (BotoCoreError, HTTPError) as error:
        if "Invalid header value" in str(error):
            # Not chained: the text underneath holds the credentials.
            raise CredentialsError(
                f"The credentials used for {request.place} contain a line break or another control character.",
                cause="they were copied with something around them.",
                next_step="copy AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN again.",
            ) from None
        raise _from_failure(error, request) from error
    except ConnectionError as error:
        raise _interrupted(request, error) from error
    except ValueError as error:  # botocore parses dates and numbers of a reply that came damaged
        raise not_s3(request) from error
    except RecursionError as error:  # botocore follows redirects without end
        raise not_s3(request) from error


# --- S3 answered with an error ---------------------------------------------------------------------------


def _from_reply(error: ClientError, request: Request) -> HubError | InvalidModelError | SettingsError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    build = _BY_CODE.get(code)
    if build is not None:
        return build(error, request)
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    message = error.response.get("Error", {}).get("Message", "")
    return TransferError(
        f"S3 answered {code or 'without a code'} (HTTP {status}) for {request.place}: {message}",
        cause="the server is overloaded or has a fault." if status >= 500 else "",
        next_step="try again in a minute; if it stays, show this message to whoever runs the bucket.",
    )


def _wrong_key_id(_: ClientError, request: Request) -> HubError:
    return CredentialsError(
        f"S3 does not know the access key id that was used for {request.place}.",
        cause="AWS_ACCESS_KEY_ID has a typo, was deleted, or belongs to another account or endpoint.",
        next_step="check AWS_ACCESS_KEY_ID, and AWS_SESSION_TOKEN if you use temporary keys.",
    )


def _wrong_secret(_: ClientError, request: Request) -> HubError:
    return CredentialsError(
        f"S3 rejects the signature of the request for {request.place}.",
        cause="AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID, or has a typo or a stray space.",
        next_step="copy the secret again; if it is lost, create a new key pair.",
    )


def _expired(_: ClientError, request: Request) -> HubError:
    return ExpiredCredentialsError(
        f"The temporary credentials used for {request.place} have expired or are not valid.",
        cause="AWS_SESSION_TOKEN is old, or was left over beside newer keys.",
        next_step="sign in again (aws sso login, or fetch new temporary keys) and repeat the call.",
    )


def _clock(error: ClientError, request: Request) -> HubError:
    server_time = error.response.get("Error", {}).get("ServerTime", "unknown")
    return CredentialsError(
        f"S3 rejects the request for {request.place}: this machine's clock is wrong (server: {server_time}).",
        next_step="set the clock (turn on automatic time) and try again.",
    )


def _access_denied(_: ClientError, request: Request) -> HubError:
    if request.action == "s3:ListBucket":
        cause = "the policy lacks s3:ListBucket for this prefix, or the bucket name has a typo."
    elif request.action == "s3:PutObject":
        cause = "the policy lacks s3:PutObject for this key (readers do not need it), or the KMS key refuses."
    else:
        cause = "the policy lacks s3:GetObject for this key, or the object is encrypted with a KMS key."
    return AccessDeniedError(
        f"Access to {request.place} is denied.",
        cause=cause,
        next_step=f"ask for {request.action} on it; 'kkg doctor --iam-policy' prints the policy to copy.",
    )


def _no_bucket(_: ClientError, request: Request) -> HubError:
    return BucketNotFoundError(
        f"There is no bucket {request.bucket!r} (region {request.region}, endpoint {request.endpoint}).",
        cause="S3_BUCKET_NAME has a typo, or the endpoint belongs to another provider.",
        next_step="check S3_BUCKET_NAME, and AWS_ENDPOINT_URL_S3 if it is set.",
    )


def _bad_bucket_name(_: ClientError, request: Request) -> SettingsError:
    return SettingsError(
        f"{request.bucket!r} is not a valid bucket name.",
        next_step="check S3_BUCKET_NAME: 3 to 63 lower-case letters, digits, dots and hyphens.",
    )


def _no_object(_: ClientError, request: Request) -> HubError:
    return ObjectNotFoundError(
        f"There is no object {request.place}.",
        cause="it was deleted since it was listed, or S3_MODEL_KEY has a typo.",
        next_step="check S3_MODEL_KEY; keys are case-sensitive.",
    )


def _wrong_region(error: ClientError, request: Request) -> HubError:
    headers = error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    details: Mapping[str, object] = error.response.get("Error", {})
    region = headers.get("x-amz-bucket-region") or details.get("Region")
    return RegionError(
        f"Bucket {request.bucket!r} is not in region {request.region}.",
        cause=f"it lives in {region}." if region else "AWS_REGION names another region.",
        next_step=f"set AWS_REGION={region or 'to the region of the bucket'}",
    )


def _changed(_: ClientError, request: Request) -> HubError:
    return ObjectChangedError(
        f"{request.place} was replaced while it was being downloaded.",
        cause="somebody is uploading a new version of the model.",
        next_step="wait until the upload has ended and try again.",
    )


def _archived(_: ClientError, request: Request) -> InvalidModelError:
    return InvalidModelError(
        f"{request.place} is archived and cannot be read.",
        next_step="restore it in the S3 console, or copy it to the STANDARD storage class.",
    )


_Builder = Callable[["ClientError", Request], HubError | InvalidModelError | SettingsError]
_BY_CODE: dict[str, _Builder] = {
    "InvalidAccessKeyId": _wrong_key_id,
    "SignatureDoesNotMatch": _wrong_secret,
    "ExpiredToken": _expired,
    "ExpiredTokenException": _expired,
    "TokenRefreshRequired": _expired,
    "InvalidToken": _expired,
    "RequestExpired": _expired,
    "RequestTimeTooSkewed": _clock,
    "AccessDenied": _access_denied,
    "AllAccessDisabled": _access_denied,
    "403": _access_denied,
    "NoSuchBucket": _no_bucket,
    "InvalidBucketName": _bad_bucket_name,
    "NoSuchKey": _no_object,
    "404": _no_object,
    "PermanentRedirect": _wrong_region,
    "TemporaryRedirect": _wrong_region,
    "AuthorizationHeaderMalformed": _wrong_region,
    "IllegalLocationConstraintException": _wrong_region,
    "301": _wrong_region,
    "PreconditionFailed": _changed,
    "412": _changed,
    "InvalidObjectState": _archived,
}


# --- no answer, or one that broke off --------------------------------------------------------------------


def _from_failure(error: Exception, request: Request) -> HubError | SettingsError:
    from botocore import exceptions as boto

    at_fault = credentials_failure(error, request.place)
    if at_fault is not None:
        return at_fault
    match error:
        case boto.FlexibleChecksumError():
            return IntegrityError(
                f"The bytes of {request.place} do not match their checksum.",
                cause="the network or a proxy damaged them.",
                next_step="try again; if it stays, the object itself is damaged: upload it again.",
            )
        case boto.ParamValidationError():
            return SettingsError(
                f"boto3 rejects the bucket or key of {request.place}: {error}",
                next_step="check S3_BUCKET_NAME and S3_MODEL_KEY.",
            )
        case boto.SSLError():
            return _tls(request, error)
        case boto.ProxyConnectionError():
            return EndpointError(
                f"The proxy on the way to {request.endpoint} could not be reached.",
                next_step="check HTTPS_PROXY and HTTP_PROXY, or add the host to NO_PROXY.",
            )
        case boto.ConnectTimeoutError():
            return EndpointError(
                f"{request.endpoint} did not answer in time.",
                cause="no network, a firewall, or a VPN that is not connected.",
                next_step="check the network and try again; set HTTPS_PROXY if you need a proxy.",
            )
        case boto.EndpointConnectionError():
            return _unreachable(request, error)
    return _interrupted(request, error)


def credentials_failure(error: Exception, place: str) -> CredentialsError | None:
    """The error for credentials that boto3 could not find or obtain; None for any other failure."""
    from botocore import exceptions as boto

    match error:
        case boto.NoCredentialsError():
            return CredentialsError(
                f"No AWS credentials were found for {place}.",
                cause="nothing in the environment, .env, ~/.aws or on this machine provides them.",
                next_step=_CREDENTIALS_HELP,
            )
        case boto.PartialCredentialsError():
            return CredentialsError(
                f"The credentials for {place} are incomplete: {error}.", next_step=_CREDENTIALS_HELP
            )
        case boto.ProfileNotFound():
            return CredentialsError(
                f"{error}.", next_step="check AWS_PROFILE, or unset it to use other credentials."
            )
        case (
            boto.CredentialRetrievalError() | boto.SSOError() | boto.TokenRetrievalError() | boto.LoginError()
        ):
            return CredentialsError(
                f"The credentials for {place} could not be obtained: {error}",
                cause="the sign-in has expired, or the profile's credential process failed.",
                next_step="sign in again; 'aws sts get-caller-identity' shows whether it worked.",
            )
    return None


def not_s3(request: Request) -> TransferError:
    """The error for a reply with a good status that S3 cannot have written."""
    return TransferError(
        f"The reply for {request.place} is not from S3.",
        cause="a proxy or a captive portal answered instead.",
        next_step="open the endpoint in a browser to see who answers.",
    )


def _unreachable(request: Request, error: Exception) -> HubError:
    if _is_name_failure(error):
        return EndpointError(
            f"The host of {request.endpoint} could not be found (DNS).",
            cause="no network, a VPN that is not connected, or a typo in AWS_ENDPOINT_URL_S3 or AWS_REGION.",
            next_step="check the network and these two settings.",
        )
    return EndpointError(
        f"{request.endpoint} refuses the connection.",
        cause="the server is not running, or the port is wrong.",
        next_step="start it, or check AWS_ENDPOINT_URL_S3 (unset it to use Amazon S3).",
    )


def _tls(request: Request, error: Exception) -> HubError:
    text = str(error)
    if "CERTIFICATE_VERIFY_FAILED" in text:
        return EndpointError(
            f"The certificate of {request.endpoint} is not trusted.",
            cause="a company proxy or a private server signs with its own authority.",
            next_step="set AWS_CA_BUNDLE to that authority's .pem file.",
        )
    return EndpointError(
        f"No secure connection to {request.endpoint} could be made.",
        cause="the server does not speak TLS on this port." if "WRONG_VERSION_NUMBER" in text else text,
        next_step="check AWS_ENDPOINT_URL_S3: http:// or https://, and the port.",
    )


def _interrupted(request: Request, error: Exception) -> HubError:
    return EndpointError(
        f"The connection to {request.endpoint} broke off at {s3_uri(request.bucket, request.key)}.",
        cause=f"the network or the server ({type(error).__name__}).",
        next_step="try again; what has arrived is kept.",
    )


def _is_name_failure(error: BaseException | None) -> bool:
    """Whether a name look-up is at the bottom of the chain of causes."""
    seen = 0
    while error is not None and seen < 10:
        if isinstance(error, socket.gaierror) or type(error).__name__ == "NameResolutionError":
            return True
        inner = getattr(error, "kwargs", {}).get("error")
        error = inner if isinstance(inner, BaseException) else (error.__cause__ or error.__context__)
        seen += 1
    return False
