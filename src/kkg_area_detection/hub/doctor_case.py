"""What the checks of ``kkg doctor`` share: what was found out so far, and clients that do not wait long."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from kkg_area_detection.errors import AccessDeniedError, SettingsError
from kkg_area_detection.settings import DEFAULT_REGION, MODEL_NAME_FIELD, Settings

if TYPE_CHECKING:
    import boto3
    from botocore.config import Config
    from mypy_boto3_s3 import S3Client

TIMEOUT_S = 3.0


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the unsigned HEAD, and when it came (seconds since the epoch, by our clock)."""

    status: int
    headers: dict[str, str]
    at: float


@dataclass(slots=True)
class Case:
    """What earlier checks found out for later ones."""

    settings: Settings = field(default_factory=Settings)
    dotenv: dict[str, str] = field(default_factory=dict)
    session: boto3.Session | None = None
    secrets: set[str] = field(default_factory=set)
    reply: Reply | None = None
    keys: list[tuple[str, int]] = field(default_factory=list)
    truncated: bool = False
    denied: AccessDeniedError | None = None

    @property
    def bucket(self) -> str:
        """The configured bucket; the check "location" has seen that there is one."""
        return self.settings.bucket or ""

    @property
    def key(self) -> str:
        """``S3_MODEL_KEY``; the check "location" has seen that there is one."""
        return self.settings.model_key or ""

    @property
    def listed(self) -> str:
        """The prefix that is listed: ``S3_MODEL_KEY`` up to ``{model_name}``."""
        return self.key.partition(MODEL_NAME_FIELD)[0]

    @property
    def region(self) -> str:
        """The region that is asked."""
        profile_region = self.session.region_name if self.session else None
        return self.settings.region or profile_region or DEFAULT_REGION

    def client(self, *, signed: bool) -> S3Client:
        """An S3 client with short time-outs and no retries.

        Raises:
            SettingsError: The endpoint or region is malformed.
        """
        from botocore import UNSIGNED
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError

        assert self.session is not None
        config = (
            impatient_config()
            if signed and not is_anonymous()
            else impatient_config().merge(Config(signature_version=UNSIGNED))
        )
        try:
            return self.session.client("s3", region_name=self.region, config=config)
        except (BotoCoreError, ValueError) as error:
            raise SettingsError(
                f"The S3 client cannot be set up: {error}",
                cause="AWS_ENDPOINT_URL_S3, AWS_REGION or a line of ~/.aws/config is malformed.",
                next_step="an endpoint is a full URL, for example https://s3.example.com:9000",
            ) from error


def is_anonymous() -> bool:
    """Whether requests are not to be signed."""
    return os.environ.get("AWS_NO_SIGN_REQUEST", "").lower() in ("1", "true", "yes")


def impatient_config() -> Config:
    """Short time-outs, no retries."""
    from botocore.config import Config

    return Config(connect_timeout=TIMEOUT_S, read_timeout=TIMEOUT_S, retries={"total_max_attempts": 1})
