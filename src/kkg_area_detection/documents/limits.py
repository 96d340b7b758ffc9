"""How many pixels may be opened: a small file can claim to be a picture that fills the memory."""

from __future__ import annotations

import contextlib
import math
import os
import threading
import warnings
from collections.abc import Iterator

from PIL import Image

from kkg_area_detection.errors import ImageError, SettingsError, UsageError

VARIABLE = "KKG_MAX_PIXELS"

_PILLOW = threading.Lock()


def pixel_limit(max_pixels: int | None) -> float:
    """The most pixels that a page may have.

    The argument, or else the environment variable ``KKG_MAX_PIXELS``, or else what Pillow refuses: twice
    ``PIL.Image.MAX_IMAGE_PIXELS``, which is 179 million and leaves room for A0 at 300 dpi (139 million).

    Raises:
        UsageError: The argument is not positive.
        SettingsError: The environment variable is not a positive whole number.
    """
    if max_pixels is not None:
        if max_pixels < 1:
            raise UsageError(f"max_pixels is {max_pixels}.", next_step="pass a positive number, or None.")
        return max_pixels
    text = os.environ.get(VARIABLE, "").strip()
    if text:
        try:
            limit = int(text)
        except ValueError:
            limit = 0
        if limit < 1:
            raise SettingsError(
                f"{VARIABLE} is {text!r}.", next_step="set it to a whole number of pixels, such as 500000000."
            )
        return limit
    return math.inf if Image.MAX_IMAGE_PIXELS is None else 2 * Image.MAX_IMAGE_PIXELS


def check_pixels(what: str, width: int, height: int, limit: float) -> None:
    """Refuse a picture that is too large.

    Raises:
        ImageError: It has more pixels than ``limit``.
    """
    if width * height > limit:
        raise too_many_pixels(f"{what} has too many pixels to be opened safely: {width} x {height}.")


def too_many_pixels(what: str) -> ImageError:
    """The error for a picture that is too large."""
    return ImageError(
        what,
        cause="it was scanned at a very high resolution, or it is a decompression bomb.",
        next_step=f"export it at 300 dpi or less; if you trust it, pass max_pixels=... or set {VARIABLE}.",
    )


@contextlib.contextmanager
def pillow_limit(limit: float) -> Iterator[None]:
    """Let Pillow open pictures up to a limit, also where its own is lower.

    Pillow knows one limit for the process. It is touched only where somebody asked for more, and then by one
    thread at a time.
    """
    with warnings.catch_warnings():
        # Pillow warns from half of what it refuses on, and scanned A1 sheets are larger than that.
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        if Image.MAX_IMAGE_PIXELS is None or limit <= 2 * Image.MAX_IMAGE_PIXELS:
            yield
            return
        with _PILLOW:
            before = Image.MAX_IMAGE_PIXELS
            Image.MAX_IMAGE_PIXELS = math.ceil(limit / 2)
            try:
                yield
            finally:
                Image.MAX_IMAGE_PIXELS = before
