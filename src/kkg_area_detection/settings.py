"""Configuration, read from environment variables and from ``.env``.

============================  ===========================================================================
``AWS_REGION``                region of the bucket (then ``AWS_DEFAULT_REGION``, the profile's region, and
                              ``ap-northeast-1``)
``S3_BUCKET_NAME``            bucket that holds the models
``S3_MODEL_KEY``              key of one object, or a prefix ending in ``/``; may contain ``{model_name}``
``MODEL_CACHE_DIR``           where models are kept on this machine (optional); several directories, separated
                              as in ``PATH``, are layers: read from any, write to the last writable
``KKG_OFFLINE``               ``1``: never open a connection
``KKG_MAX_PIXELS``            most pixels of a picture or a page (``documents`` reads it itself)
``KKG_ENGINE``                what runs the network: ``auto``, ``native``, ``openvino`` or ``reference``
============================  ===========================================================================

Everything else that begins with ``AWS_`` (keys, profiles, ``AWS_ENDPOINT_URL_S3``, ``AWS_CA_BUNDLE``) is
boto3's own business and only passes through here when it stands in ``.env``.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kkg_area_detection.errors import SettingsError

DEFAULT_REGION = "ap-northeast-1"
MODEL_NAME_FIELD = "{model_name}"

# Only these are taken from .env: a library has no business setting a program's other variables.
_DOTENV_PREFIXES = ("AWS_", "S3_", "MODEL_CACHE_DIR", "KKG_", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY")

# One set of credentials comes from one place: half of it from the shell and half from .env never works.
_CREDENTIAL_NAMES = frozenset(
    {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"}
)

# What this process took from .env, so that an edited .env is seen without a restart.
_taken_from_dotenv: dict[str, str] = {}


@dataclass(frozen=True, slots=True)
class Settings:
    """What the environment says. Empty strings count as not set."""

    region: str | None = None
    bucket: str | None = None
    model_key: str | None = None
    cache_dirs: tuple[Path, ...] = ()
    offline: bool = False

    @classmethod
    def load(cls) -> Settings:
        """Read ``.env`` (from the working directory upwards), then the environment.

        Raises:
            SettingsError: A value is there, but malformed.
        """
        load_dotenv()
        cache_dirs = (_get("MODEL_CACHE_DIR") or "").split(os.pathsep)
        settings = cls(
            region=_get("AWS_REGION"),
            bucket=_get("S3_BUCKET_NAME"),
            model_key=_get("S3_MODEL_KEY"),
            cache_dirs=tuple(_expanded(part.strip()) for part in cache_dirs if part.strip()),
            offline=(_get("KKG_OFFLINE") or "").lower() in ("1", "true", "yes", "on"),
        )
        settings._check()
        return settings

    def _check(self) -> None:
        if self.bucket and ("/" in self.bucket or ":" in self.bucket):
            raise SettingsError(
                f"S3_BUCKET_NAME is {self.bucket!r}, which is not a bucket name.",
                cause="it holds a URL or a path.",
                next_step="set S3_BUCKET_NAME to the bare name (my-bucket), and the path to S3_MODEL_KEY.",
            )
        if self.model_key and self.model_key.startswith("s3://"):
            raise SettingsError(
                f"S3_MODEL_KEY is {self.model_key!r}, which is a URL.",
                next_step="keep only what follows the bucket name, for example S3_MODEL_KEY=models/large/",
            )

    def location(self, model_name: str) -> tuple[str, str]:
        """Where a model lies in S3.

        Returns:
            Bucket and key, with ``{model_name}`` filled in. A key that ends in ``/`` is a prefix.

        Raises:
            SettingsError: ``S3_BUCKET_NAME`` or ``S3_MODEL_KEY`` is not set.
        """
        missing = [
            name
            for name, value in (("S3_BUCKET_NAME", self.bucket), ("S3_MODEL_KEY", self.model_key))
            if not value
        ]
        if missing or self.bucket is None or self.model_key is None:
            raise SettingsError(
                f"{' and '.join(missing)} not set, so model {model_name!r} cannot be fetched from S3.",
                cause=_dotenv_remark(),
                next_step="set S3_BUCKET_NAME and S3_MODEL_KEY in the environment or in .env "
                "(see .env.example), or pass model_path=... to load a local directory.",
            )
        return self.bucket, self.model_key.replace(MODEL_NAME_FIELD, model_name)


def default_engine() -> str | None:
    """The engine that ``KKG_ENGINE`` names, in the environment or in ``.env``; None where it is not set.

    A ``.env`` that cannot be read says nothing here: a model from a path needs none, and one from S3 will complain.
    """
    with suppress(SettingsError):
        load_dotenv()
    return _get("KKG_ENGINE")


def load_dotenv() -> Path | None:
    """Take the nearest ``.env`` into the environment; variables that are already set win.

    Returns:
        The file that was read, or None where there is none.

    Raises:
        SettingsError: The file is there, but cannot be read as UTF-8 text.
    """
    for name, previous in _taken_from_dotenv.items():
        if os.environ.get(name) == previous:
            del os.environ[name]
    _taken_from_dotenv.clear()
    path = find_dotenv()
    if path is None:
        return None
    from dotenv import dotenv_values

    try:
        values = dotenv_values(path, encoding="utf-8-sig")  # Windows editors like to write a BOM
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"{path} cannot be read: {error}",
            cause="the file is not UTF-8 text, or you may not read it.",
            next_step="save it as UTF-8, or remove it and use environment variables.",
        ) from error
    credentials_are_set = any(os.environ.get(name) for name in _CREDENTIAL_NAMES)
    for name, value in values.items():
        if not value or not name.upper().startswith(_DOTENV_PREFIXES) or os.environ.get(name):
            continue
        if name in _CREDENTIAL_NAMES and credentials_are_set:
            continue
        os.environ[name] = _taken_from_dotenv[name] = value
    return path


def find_dotenv() -> Path | None:
    """The nearest ``.env`` from the working directory upwards, or None."""
    try:
        here = Path.cwd()
    except FileNotFoundError:  # the working directory was deleted under us
        return None
    for directory in (here, *here.parents):
        candidate = directory / ".env"
        if candidate.is_file():
            return candidate
    return None


def _expanded(text: str) -> Path:
    if any(ord(character) < 32 for character in text):
        raise SettingsError(
            f"MODEL_CACHE_DIR is {text!r}, which contains a control character.",
            cause="in double quotes, .env reads \\n and \\t of a Windows path as line break and tab.",
            next_step="write the path without quotes, or in single quotes.",
        )
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user: then it is a name like any other
        return Path(text)


def _get(name: str) -> str | None:
    return os.environ.get(name, "").strip() or None


def _dotenv_remark() -> str:
    path = find_dotenv()
    if path is not None:
        return f"{path} was read, but does not set it."
    return f"no .env file was found from {Path.cwd()} upwards."
