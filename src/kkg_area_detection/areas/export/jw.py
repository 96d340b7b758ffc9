"""The DXF that Jw_cad shows: the smallest drawing of release 12, in millimetres of the building.

Jw_cad is said to show nothing of newer releases, nor of what libraries write as release 12. It does read LINE and
TEXT of a file with three tables and no handles, in the Japanese code page of Windows, with its line ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

from kkg_area_detection.areas.export.cp932 import for_cp932
from kkg_area_detection.areas.export.frame import Frame
from kkg_area_detection.areas.export.layers import Layer
from kkg_area_detection.areas.export.strokes import Stroke, Writing, strokes_of, writings_of

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

logger = logging.getLogger(__name__)

_Tag: TypeAlias = tuple[int, str | int | float]


def jw_document(areas: Areas, texts: dict[int, str], *, japanese_layers: bool = False) -> bytes:
    """Draw areas as DXF for Jw_cad.

    Args:
        areas: The areas. Without a scale, a millimetre of the drawing is a pixel.
        texts: What is written into an area, by its id; lines are separated by line feeds.
        japanese_layers: Name the layers in Japanese.

    Returns:
        The file, in code page 932. Letters that it does not have are replaced by 〓, and a log line names them.
    """
    frame = Frame.in_millimetres(areas)
    if frame is None:
        logger.warning(
            "The scale is unknown: a millimetre of the drawing is a pixel. Pass scale= to mend it."
        )
        frame = Frame.in_pixels(areas)
    strokes = list(strokes_of(areas, frame, japanese_layers=japanese_layers))
    writings = list(writings_of(areas, texts, frame, japanese_layers=japanese_layers))
    entities: list[Stroke | Writing] = [*strokes, *writings]
    layers = {entity.layer for entity in entities}
    tags: list[_Tag] = [
        *_header(),
        *_tables(sorted(layers, key=lambda layer: layer.name)),
        (0, "SECTION"),
        (2, "ENTITIES"),
        *(tag for stroke in strokes for tag in _line(stroke)),
        *(tag for writing in writings for tag in _text(writing)),
        (0, "ENDSEC"),
        (0, "EOF"),
    ]
    text = "".join(f"{code:>3}\r\n{_value(value)}\r\n" for code, value in tags)
    return for_cp932(text).encode("cp932")


def _header() -> list[_Tag]:
    variables: list[_Tag] = [(9, "$ACADVER"), (1, "AC1009"), (9, "$DWGCODEPAGE"), (3, "ANSI_932")]
    return [(0, "SECTION"), (2, "HEADER"), *variables, (0, "ENDSEC")]


def _tables(layers: list[Layer]) -> Iterator[_Tag]:
    yield from ((0, "SECTION"), (2, "TABLES"))
    yield from ((0, "TABLE"), (2, "LTYPE"), (70, 1), (0, "LTYPE"), (2, "CONTINUOUS"), (70, 0))
    yield from ((3, "Solid line"), (72, 65), (73, 0), (40, 0.0), (0, "ENDTAB"))
    yield from ((0, "TABLE"), (2, "LAYER"), (70, len(layers)))
    for layer in layers:
        yield from ((0, "LAYER"), (2, layer.name), (70, 0), (62, layer.colour), (6, "CONTINUOUS"))
    yield from ((0, "ENDTAB"), (0, "TABLE"), (2, "STYLE"), (70, 1))
    yield from ((0, "STYLE"), (2, "STANDARD"), (70, 0), (40, 0.0), (41, 1.0), (50, 0.0), (71, 0))
    yield from ((42, 2.5), (3, "TXT"), (4, ""), (0, "ENDTAB"), (0, "ENDSEC"))


def _line(stroke: Stroke) -> list[_Tag]:
    (x0, y0), (x1, y1) = stroke.start, stroke.end
    return [(0, "LINE"), (8, stroke.layer.name), (10, x0), (20, y0), (11, x1), (21, y1)]


def _text(writing: Writing) -> list[_Tag]:
    x, y = writing.middle
    # Group 72 = 4: the second point (11, 21) is the middle of the text.
    return [
        (0, "TEXT"), (8, writing.layer.name), (10, x), (20, y), (40, writing.height), (1, writing.text),
        (7, "STANDARD"), (72, 4), (11, x), (21, y),
    ]  # fmt: skip


def _value(value: str | int | float) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)
