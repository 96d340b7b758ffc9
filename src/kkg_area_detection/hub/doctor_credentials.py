"""What ``kkg doctor`` asks of credentials: which link of boto3's chain gives them, and whose they are.

Of an access key id it shows the first 4 and last 2 characters; of secrets and tokens nothing.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from kkg_area_detection.checkup import Finding, explained, failure, ok, skipped, warning
from kkg_area_detection.hub.doctor_case import Case, impatient_config, is_anonymous
from kkg_area_detection.hub.s3_errors import credentials_failure

if TYPE_CHECKING:
    from botocore.credentials import Credentials

_LINKS = {
    "env": "environment variables",
    "shared-credentials-file": "the shared credentials file (~/.aws/credentials)",
    "config-file": "the AWS configuration file (~/.aws/config)",
    "custom-process": "the credential_process of the profile",
    "sso": "SSO (aws sso login)",
    "login": "aws login",
    "assume-role": "a role that the profile assumes",
    "assume-role-with-web-identity": "a role assumed with a web identity",
    "container-role": "the role of the container",
    "iam-role": "the role of the instance",
}


def check_profile(case: Case) -> Finding:
    """Whether boto3 can read its configuration and finds the profile."""
    import boto3
    from botocore.exceptions import BotoCoreError, ProfileNotFound

    name = os.environ.get("AWS_PROFILE") or os.environ.get("AWS_DEFAULT_PROFILE")
    try:
        case.session = boto3.Session()
        region = case.session.region_name
    except ProfileNotFound:
        return failure(
            f"there is no profile {name!r} in the AWS configuration.",
            "check AWS_PROFILE ('aws configure list-profiles' lists them), or unset it.",
        )
    except BotoCoreError as error:
        return failure(str(error), "mend that file; 'aws configure' writes a new one.")
    return ok((f"{name}" if name else "none named") + (f", region {region}" if region else ""))


def check_credentials(case: Case) -> Finding:
    """Which link of boto3's chain gives credentials."""
    from botocore.exceptions import BotoCoreError

    if is_anonymous():
        return ok("none are used: AWS_NO_SIGN_REQUEST is set.")
    assert case.session is not None
    try:
        credentials = case.session.get_credentials()
        frozen = credentials.get_frozen_credentials() if credentials else None
    except BotoCoreError as error:
        at_fault = credentials_failure(error, "S3")
        if at_fault is None:
            raise
        return explained(at_fault)
    except ValueError as error:  # JSON that a credential_process should have printed
        return failure(
            f"the credentials cannot be read: {error}",
            "run the credential_process of the profile by hand: it must print the JSON that AWS describes.",
        )
    if credentials is None or frozen is None:
        return failure(
            "none were found: not in the environment, .env, ~/.aws, nor on this machine.",
            "put AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY into .env, or set AWS_PROFILE and run "
            "'aws sso login', or attach an IAM role to the machine.",
        )
    key_id, secret, token = frozen.access_key or "", frozen.secret_key or "", frozen.token or ""
    case.secrets |= {secret, token}
    detail = f"access key id {redacted_key_id(key_id)}, from {_origin(case, credentials)}"
    return _objection(key_id, secret, token, detail) or ok(detail)


def check_identity(case: Case) -> Finding:
    """Who Amazon says we are."""
    from botocore.exceptions import BotoCoreError, ClientError

    if is_anonymous() or not _is_amazon(case):
        return skipped("asked at Amazon's own endpoint only, and with credentials.")
    assert case.session is not None
    try:
        client = case.session.client("sts", region_name=case.region, config=impatient_config())
        identity = client.get_caller_identity()
    except ClientError as error:
        code = error.response["Error"]["Code"]
        return failure(
            f"Amazon does not accept the credentials ({code}).",
            "sign in again (aws sso login), or copy the key, the secret and the token again, all three.",
        )
    except BotoCoreError as error:  # a VPC without a way to STS is none the worse for it
        return skipped(f"STS does not answer ({type(error).__name__}); models can be fetched without it.")
    detail = f"account {identity['Account']}, {identity['Arn']}"
    if identity["Arn"].endswith(":root"):
        return warning(f"{detail}: the account's root user.", "delete this key, and use an IAM role or user.")
    return ok(detail)


def redacted_key_id(key_id: str) -> str:
    """The first 4 and last 2 characters; nothing of what does not look like a key id.

    Examples:
        >>> redacted_key_id("AKIAIOSFODNN7EXAMPLE")
        'AKIA...LE'
        >>> redacted_key_id("a/secret+in/the+wrong/place")
        '(hidden)'
    """
    return f"{key_id[:4]}...{key_id[-2:]}" if re.fullmatch(r"\w{10,32}", key_id) else "(hidden)"


def _objection(key_id: str, secret: str, token: str, detail: str) -> Finding | None:
    """What can be seen to be wrong with credentials from their form alone."""
    for what, value in (("access key id", key_id), ("secret", secret), ("session token", token)):
        if value != value.strip(" \t\r\n'\""):
            return failure(
                f"{detail}\nthe {what} begins or ends with a space or a quotation mark.",
                f"set the {what} again without it (in cmd.exe: set NAME=value, no quotes, no space after it).",
            )
    if key_id.startswith("ASIA") and not token:
        return failure(
            f"{detail}\nthe key is temporary (ASIA...), but there is no session token.",
            "set AWS_SESSION_TOKEN too, or sign in again.",
        )
    if key_id.startswith("AKIA") and token:
        return warning(
            f"{detail}\nthe key is permanent (AKIA...), but there is a session token.",
            "remove AWS_SESSION_TOKEN: it is left over from other credentials.",
        )
    return None


def _origin(case: Case, credentials: Credentials) -> str:
    method = credentials.method
    if method == "env" and case.dotenv.get("AWS_ACCESS_KEY_ID") == credentials.access_key:
        return ".env"
    return f"{_LINKS[method]} ({method})" if method in _LINKS else method


def _is_amazon(case: Case) -> bool:
    if any(name.startswith("AWS_ENDPOINT_URL") and value for name, value in os.environ.items()):
        return False
    host = urlsplit(case.client(signed=False).meta.endpoint_url).hostname or ""
    return host.endswith((".amazonaws.com", ".amazonaws.com.cn"))
