"""What kind of thing a label means, whatever its number and its language."""

from __future__ import annotations

import unicodedata
from typing import Literal, TypeAlias

Kind: TypeAlias = Literal["room", "exwall", "inwall", "door", "window"]

_NAMES: dict[Kind, tuple[str, ...]] = {
    "room": ("room", "rooms", "space", "部屋", "室", "居室"),
    "exwall": ("exwall", "outer wall", "outerwall", "exterior wall", "external wall", "外壁"),
    "inwall": ("inwall", "inner wall", "innerwall", "interior wall", "internal wall", "wall", "内壁", "壁"),
    "door": ("door", "doors", "ドア", "扉", "建具", "戸"),
    "window": ("window", "windows", "窓"),
}
_KIND_OF_NAME = {name: kind for kind, names in _NAMES.items() for name in names}


def kind_of(label: str) -> Kind | None:
    """Recognise a label by its name.

    Returns:
        Its kind; None for a label of another kind.

    Example:
        >>> kind_of("Outer_Wall"), kind_of("外壁"), kind_of("stairs")
        ('exwall', 'exwall', None)
    """
    name = unicodedata.normalize("NFKC", label)  # ﾄﾞｱ, ｒｏｏｍ, and ドア as Macs write it
    return _KIND_OF_NAME.get(name.strip().casefold().replace("_", " ").replace("-", " "))
