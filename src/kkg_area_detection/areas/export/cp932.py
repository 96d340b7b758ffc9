"""Code page 932, the Japanese one of Windows, which Jw_cad's files are written in."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)

_REPLACEMENT = "〓"  # what Japanese printers put in the place of a letter they do not have
_SAME: dict[str, str | int | None] = {"²": "2", "³": "3", "—": "―", "–": "-", "㎡": "m2"}


def for_cp932(text: str) -> str:
    """Replace what code page 932 does not have.

    Args:
        text: Any text.

    Returns:
        A text that ``encode("cp932")`` takes. What has no equivalent is replaced by 〓, and a log line names it.

    Example:
        >>> for_cp932("6 m²")
        '6 m2'
    """
    text = text.translate(str.maketrans(_SAME))
    missing = sorted({letter for letter in set(text) if not _is_in_cp932(letter)})
    if missing:
        logger.warning("Jw_cad's code page lacks %s: written as %s.", " ".join(missing), _REPLACEMENT)
        text = text.translate({ord(letter): _REPLACEMENT for letter in missing})
    return text


def _is_in_cp932(letter: str) -> bool:
    try:
        letter.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True
