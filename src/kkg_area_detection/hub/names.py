"""Which names may become local paths.

The same rules hold on every system, so that a bucket that works on Linux works on Windows too, and no key or
archive member can name a place outside the directory it is meant for.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from pathlib import PurePosixPath

from kkg_area_detection.errors import UnsafeKeyError, UsageError

# What file managers put into folders by themselves.
CLUTTER = frozenset({".DS_Store", "Thumbs.db", "desktop.ini"})

MAX_NAME_LENGTH = 100
MAX_NAME_BYTES = 180  # in UTF-8; file systems allow 255, and we put something behind some names
_FORBIDDEN_CHARACTERS = frozenset('<>:"|?*\\')
_RESERVED_ON_WINDOWS = frozenset(
    {"CON", "PRN", "AUX", "NUL", "CONIN$", "CONOUT$"}
    | {f"{device}{digit}" for device in ("COM", "LPT") for digit in "0123456789¹²³"}
)


def check_model_name(name: str) -> str:
    """Return the name if it can be a folder of the cache.

    Raises:
        UsageError: It is empty, too long, contains a slash, or is a name that some system reserves.
    """
    reason = _objection_to_part(name) if isinstance(name, str) else "it is not text"
    if not reason and "/" in name:
        reason = "it contains a slash"
    if not reason and name.startswith("."):
        reason = "it begins with a dot"
    if reason:
        raise UsageError(
            f"model_name={name!r} cannot be used: {reason}.",
            next_step="pass a plain name such as 'large'; to load a local directory pass model_path=...",
        )
    return name


def safe_relative_path(name: str, origin: str) -> PurePosixPath:
    """The relative path for a key below its prefix, or for a member of an archive.

    Args:
        name: The name as it stands in S3 or in the archive, with ``/`` between its parts.
        origin: What to call it in the error message, for example its S3 URI.

    Raises:
        UnsafeKeyError: The name is absolute, climbs (``..``), contains a backslash, a drive letter or a
            control character, or is reserved on Windows.
    """
    for part in name.split("/"):
        reason = _objection_to_part(part)
        if reason:
            raise UnsafeKeyError(
                f"{origin} has an unsafe name: {reason}. Nothing was written.",
                cause="the model was uploaded with names that cannot exist on every system, or somebody "
                "tampered with it.",
                next_step="rename or remove that object and try again.",
            )
    return PurePosixPath(name)


def check_collisions(paths: Iterable[PurePosixPath], origin: str) -> None:
    """Refuse sets of paths of which some systems could keep only one.

    Raises:
        UnsafeKeyError: Two paths differ in case or Unicode form only (Windows and macOS fold these), or one
            is a file where another needs a folder.
    """
    files: dict[str, PurePosixPath] = {}
    folders: dict[str, PurePosixPath] = {}
    for path in paths:
        folded = _fold(path)
        clash = files.get(folded) or folders.get(folded)
        for parent in path.parents[:-1]:
            clash = clash or files.get(_fold(parent))
            known = folders.setdefault(_fold(parent), parent)
            clash = clash or (known if known != parent else None)
        if clash is not None:
            raise UnsafeKeyError(
                f"{origin} has both {str(clash)!r} and {str(path)!r}, which are one name on some systems.",
                next_step="rename or remove one of them and try again.",
            )
        files[folded] = path


def _fold(path: PurePosixPath) -> str:
    return unicodedata.normalize("NFC", str(path)).casefold()


def _objection_to_part(part: str) -> str:
    """Why one component may not become a file or folder name; an empty string where it may."""
    if not part:
        return "it is empty or contains an empty part"
    if part in (".", ".."):
        return f"it contains {part!r}"
    if len(part) > MAX_NAME_LENGTH:
        return f"a part of it is longer than {MAX_NAME_LENGTH} characters"
    if len(part.encode(errors="replace")) > MAX_NAME_BYTES:
        return f"a part of it is longer than {MAX_NAME_BYTES} bytes in UTF-8"
    if any(unicodedata.category(character) in ("Cc", "Cs") for character in part):
        return "it contains a control character"
    bad = sorted(_FORBIDDEN_CHARACTERS.intersection(part))
    if bad:
        return f"it contains {bad[0]!r}"
    if part[-1] in ". ":
        return "a part of it ends with a dot or a space"
    if part[0] == " ":
        return "a part of it begins with a space"
    if part.partition(".")[0].rstrip().upper() in _RESERVED_ON_WINDOWS:
        return f"{part!r} is a reserved name on Windows"
    return ""
