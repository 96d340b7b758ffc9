"""Every error this library raises on purpose, in one tree.

A message has three parts: what happened, the likely cause, and the next step. Each leaf also derives from
the built-in exception a caller would expect, so that ``except FileNotFoundError`` works as well as
``except ModelNotFoundError``. The exception of the library underneath is always chained (``__cause__``).
"""

from __future__ import annotations


class KkgAreaDetectionError(Exception):
    """Root of the tree.

    Attributes:
        what: What happened, with the bucket, key, region, endpoint or path it happened to.
        cause: The likely cause, or an empty string where ``what`` says it all.
        next_step: What the reader can do about it.
    """

    def __init__(self, what: str, *, cause: str = "", next_step: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.cause = cause
        self.next_step = next_step

    def __str__(self) -> str:
        lines = [self.what]
        if self.cause:
            lines.append(f"  Likely cause: {self.cause}")
        if self.next_step:
            lines.append(f"  Next step: {self.next_step}")
        return "\n".join(lines)

    def __reduce__(self) -> tuple[object, ...]:
        # Without this, keyword-only parts are lost on the way through a process pool.
        return (_rebuild, (type(self), self.what, self.cause, self.next_step))


def _rebuild(
    kind: type[KkgAreaDetectionError], what: str, cause: str, next_step: str
) -> KkgAreaDetectionError:
    return kind(what, cause=cause, next_step=next_step)


# --- how the library is called ---------------------------------------------------------------------------


class UsageError(KkgAreaDetectionError, ValueError):
    """The arguments of a call make no sense together."""


class SettingsError(KkgAreaDetectionError, ValueError):
    """An environment variable or a line of ``.env`` is missing or malformed."""


class NotInitializedError(KkgAreaDetectionError, RuntimeError):
    """Segmentation was asked for before ``initialize_model`` succeeded."""


class DeviceError(KkgAreaDetectionError, RuntimeError):
    """The device asked for is unknown or not usable on this machine."""


class MissingDependencyError(KkgAreaDetectionError, ImportError):
    """An optional package is needed for what was asked."""


# --- images ----------------------------------------------------------------------------------------------


class ImageError(KkgAreaDetectionError, ValueError):
    """The image cannot be read, or is of a kind that cannot be segmented."""


class ImageNotFoundError(ImageError, FileNotFoundError):
    """There is no file at the image path."""


class PasswordError(ImageError, PermissionError):
    """The PDF is encrypted, and no password was given, or a wrong one."""


# --- model directories -----------------------------------------------------------------------------------


class ModelNotFoundError(KkgAreaDetectionError, FileNotFoundError):
    """There is no model where one was expected."""


class InvalidModelError(KkgAreaDetectionError, ValueError):
    """The directory, object or archive cannot become a loadable model."""


class ModelAccessError(KkgAreaDetectionError, PermissionError):
    """The model is there, but this user may not read it."""


# --- the way from S3 -------------------------------------------------------------------------------------


class HubError(KkgAreaDetectionError):
    """Root of everything that can go wrong between S3 and the cache."""


class CredentialsError(HubError, PermissionError):
    """No credentials were found, or S3 does not accept them."""


class ExpiredCredentialsError(CredentialsError):
    """Temporary credentials were good once, but are no longer."""


class AccessDeniedError(HubError, PermissionError):
    """The credentials are good, but they may not do this."""


class BucketNotFoundError(HubError, FileNotFoundError):
    """There is no such bucket."""


class ObjectNotFoundError(HubError, FileNotFoundError):
    """There is no such object, or nothing below the prefix."""


class RegionError(HubError, ValueError):
    """The bucket lives in another region than the one asked."""


class EndpointError(HubError, ConnectionError):
    """The S3 endpoint could not be reached (name, port, TLS, time-out)."""


class UnsafeKeyError(HubError, ValueError):
    """An object key or archive member has a name that must not become a local path."""


class ObjectChangedError(HubError, RuntimeError):
    """The model was replaced in S3 while it was being downloaded."""


class IntegrityError(HubError, RuntimeError):
    """The bytes that arrived are not the bytes that were stored."""


class TransferError(HubError, RuntimeError):
    """S3 answered in a way that no other error describes, or kept failing."""


class UnexpectedReplyError(TransferError):
    """A reply is well-formed, but is not what was asked for, or does not fit the listing."""


class DiskFullError(HubError, OSError):
    """The model does not fit on the disk of the cache."""


class CacheNotWritableError(HubError, PermissionError):
    """The cache directory cannot be created or written."""
