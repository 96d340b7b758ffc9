"""Letters as masks. What fonts a machine has changes the letters, so the same seed may look different elsewhere.

Latin text is in Pillow's own font and, where found, in DejaVu; Japanese text needs ``pylopdf-fonts-jp`` or a
Japanese font of the system, and is not written where there is none.
"""

from __future__ import annotations

import importlib.util
from functools import cache, lru_cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_LATIN = ("DejaVuSans.ttf", "DejaVuSans-Bold.ttf", "DejaVuSerif.ttf", "DejaVuSansMono.ttf")
_JAPANESE = (
    "NotoSansCJK-Regular.ttc",
    "YuGothM.ttc",
    "meiryo.ttc",
    "msgothic.ttc",
    "ipaexg.ttf",
    "ipagp.ttf",
)


@cache
def _latin_fonts() -> tuple[str, ...]:
    """The empty name is Pillow's own font."""
    return ("", *(name for name in _LATIN if _opens(name)))


@cache
def _japanese_fonts() -> tuple[str, ...]:
    package = importlib.util.find_spec("pylopdf_fonts_jp")
    if package is not None and package.submodule_search_locations:
        folder = Path(package.submodule_search_locations[0])
        return tuple(str(path) for path in sorted(folder.glob("*.otf")))
    return tuple(name for name in _JAPANESE if _opens(name))


def _opens(name: str) -> bool:
    try:
        ImageFont.truetype(name, 10)
    except OSError:
        return False
    return True


def writes_japanese() -> bool:
    """Whether there is a font with Japanese letters."""
    return bool(_japanese_fonts())


@lru_cache(maxsize=512)
def _font(name: str, size: int) -> _Font:
    return ImageFont.truetype(name, size) if name else ImageFont.load_default(size)


@lru_cache(maxsize=8192)
def letters(text: str, size: int, font: int, *, turned: bool) -> Image.Image:
    """One line of text.

    Args:
        text: Japanese letters are left out where no font has them.
        size: Of the font, in pixels.
        font: Any number: which of the fonts that there are.
        turned: From bottom to top.

    Returns:
        Mode L, 255 where there is ink; do not change it.
    """
    fonts = _latin_fonts()
    if not text.isascii():
        fonts = _japanese_fonts() or fonts
        if not _japanese_fonts():
            text = "".join(letter for letter in text if ord(letter) < 0x250) or " "
    face = _font(fonts[font % len(fonts)], size)
    left, top, right, bottom = face.getbbox(text)
    image = Image.new("L", (max(1, round(right - left) + 1), max(1, round(bottom - top) + 1)))
    ImageDraw.Draw(image).text((-left, -top), text, fill=255, font=face)
    return image.transpose(Image.Transpose.ROTATE_90) if turned else image
