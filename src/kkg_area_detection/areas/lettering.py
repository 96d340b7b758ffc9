"""Letters on pictures: fonts that have them, and the legend."""

from __future__ import annotations

import logging
from functools import cache

from PIL import Image, ImageDraw, ImageFont

from kkg_area_detection.areas.palette import Colour

logger = logging.getLogger(__name__)

_JAPANESE_FONTS = (
    "NotoSansCJK-Regular.ttc",
    "NotoSansJP-Regular.otf",
    "YuGothM.ttc",
    "meiryo.ttc",
    "msgothic.ttc",
    "ヒラギノ角ゴシック W3.ttc",
    "ipagp.ttf",
    "ipaexg.ttf",
    "VL-PGothic-Regular.ttf",
)


def font_for(text: str, size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font, or for other scripts the first Japanese font that this machine has."""
    if not text.isascii():
        for name in _JAPANESE_FONTS:
            try:
                return ImageFont.truetype(name, size)
            except OSError:
                continue
        _say_that_a_font_is_missing()
    return ImageFont.load_default(size)


@cache
def _say_that_a_font_is_missing() -> None:
    """Once a process: a batch of drawings has the same legend on each."""
    logger.warning(
        "No Japanese font was found, so some labels in the legend are boxes. Install one, for example "
        "Noto Sans CJK (Debian, Ubuntu: apt install fonts-noto-cjk)."
    )


def write_legend(sheet: Image.Image, y: float, entries: list[tuple[str, Colour]], font_size: int) -> None:
    """Write a line of names with their colours.

    Args:
        sheet: What to write on.
        y: Middle of the line, in pixels from the top.
        entries: Names and colours.
        font_size: In pixels.
    """
    font = font_for("".join(name for name, _ in entries), font_size)
    pen = ImageDraw.Draw(sheet)
    x = float(font_size // 2)
    for name, colour in entries:
        pen.rectangle((x, y - font_size / 2, x + font_size, y + font_size / 2), fill=colour)
        pen.text((x + 1.4 * font_size, y), name, font=font, anchor="lm", fill="black")
        x += 2.4 * font_size + pen.textlength(name, font=font)
