"""On which layer of a CAD file a label goes.

The English names follow the AIA's CAD Layer Guidelines; they are ASCII and short, because full-width names have
broken readers. Japanese names are there for those who ask for them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kkg_area_detection.areas.labels import Kind, kind_of

_LONGEST_NAME = 31  # in R12


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer.

    Attributes:
        name: As it stands in the file.
        colour: AutoCAD Color Index.
    """

    name: str
    colour: int


_LAYERS: dict[Kind, tuple[str, str, int]] = {
    "room": ("A-AREA-BDRY", "部屋", 5),
    "exwall": ("A-WALL-EXTR", "外壁", 1),
    "inwall": ("A-WALL-INTR", "内壁", 3),
    "door": ("A-DOOR", "建具", 6),
    "window": ("A-GLAZ", "窓", 4),
}
_TEXT = ("A-AREA-IDEN", "室名", 7)
_CENTRE_LINES = ("A-WALL-CNTR", "壁芯", 2)
_OTHER_COLOUR = 8


def layer_of(label: str, label_id: int, *, japanese: bool) -> Layer:
    """The layer for the outlines of a label."""
    kind = kind_of(label)
    if kind is not None:
        return _layer(_LAYERS[kind], japanese)
    if japanese:
        return Layer(
            re.sub(r'[<>/\\":;?*|=`,\s]+', "_", label)[:_LONGEST_NAME] or f"{label_id}", _OTHER_COLOUR
        )
    ascii_label = re.sub(r"[^A-Z0-9]+", "-", label.upper()).strip("-")
    return Layer(f"A-{ascii_label or f'LABEL-{label_id}'}"[:_LONGEST_NAME], _OTHER_COLOUR)


def text_layer(*, japanese: bool) -> Layer:
    """The layer for names and areas of rooms."""
    return _layer(_TEXT, japanese)


def centre_line_layer(*, japanese: bool) -> Layer:
    """The layer for the centre lines of walls."""
    return _layer(_CENTRE_LINES, japanese)


def _layer(names: tuple[str, str, int], japanese: bool) -> Layer:
    english, native, colour = names
    return Layer(native if japanese else english, colour)
