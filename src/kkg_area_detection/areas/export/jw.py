"""The DXF that Jw_cad shows: the smallest drawing of release 12, in millimetres of the building.

Jw_cad is said to show nothing of newer releases, nor of what libraries write as release 12. It does read LINE and
TEXT of a file with three tables and no handles, in the Japanese code page of Windows, with its line ends.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from itertools import pairwise
from typing import TYPE_CHECKING, TypeAlias

import shapely

from kkg_area_detection.areas.export.dxf import text_height
from kkg_area_detection.areas.export.frame import Frame, label_place
from kkg_area_detection.areas.export.layers import Layer, centre_line_layer, layer_of, text_layer

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

logger = logging.getLogger(__name__)

_Tag: TypeAlias = tuple[int, str | int | float]
_REPLACEMENT = "〓"  # what Japanese printers put in the place of a letter they do not have
_SAME: dict[str, str | int | None] = {"²": "2", "³": "3", "—": "―", "–": "-", "±": "±", "㎡": "m2"}


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
    entities = list(_entities(areas, texts, frame, japanese_layers))
    tags: list[_Tag] = [
        *_header(),
        *_tables(sorted({layer for layer, _ in entities}, key=lambda layer: layer.name)),
        (0, "SECTION"),
        (2, "ENTITIES"),
        *(tag for _, entity in entities for tag in entity),
        (0, "ENDSEC"),
        (0, "EOF"),
    ]
    text = "".join(f"{code:>3}\r\n{_value(value)}\r\n" for code, value in tags)
    return _encoded(text)


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


def _entities(
    areas: Areas, texts: dict[int, str], frame: Frame, japanese: bool
) -> Iterator[tuple[Layer, list[_Tag]]]:
    for area in areas:
        layer = layer_of(area.label, area.label_id, japanese=japanese)
        yield from ((layer, line) for line in _lines(frame.place(area.polygon.boundary), layer))
    for area in areas:
        if texts.get(area.id):
            layer = text_layer(japanese=japanese)
            place, radius = label_place(frame.place(area.polygon))
            yield from ((layer, text) for text in _texts(texts[area.id], place, radius, frame, layer))
    for wall in areas.walls:
        layer = centre_line_layer(japanese=japanese)
        yield from ((layer, line) for line in _lines(frame.place(wall.line), layer))


def _lines(geometry: shapely.Geometry, layer: Layer) -> Iterator[list[_Tag]]:
    for part in shapely.get_parts(geometry):
        points = shapely.get_coordinates(part).tolist()
        for (x0, y0), (x1, y1) in pairwise(points):
            yield [(0, "LINE"), (8, layer.name), (10, x0), (20, y0), (11, x1), (21, y1)]


def _texts(
    text: str, place: shapely.Point, radius: float, frame: Frame, layer: Layer
) -> Iterator[list[_Tag]]:
    lines = text.split("\n")
    height = text_height(lines, radius, frame)
    for number, line in enumerate(lines):
        y = place.y + ((len(lines) - 1) / 2 - number) * height * 1.5
        # Group 72 = 4: the second point (11, 21) is the middle of the text.
        yield [
            (0, "TEXT"), (8, layer.name), (10, place.x), (20, y), (40, height), (1, line),
            (7, "STANDARD"), (72, 4), (11, place.x), (21, y),
        ]  # fmt: skip


def _value(value: str | int | float) -> str:
    return f"{value:.6f}" if isinstance(value, float) else str(value)


def _encoded(text: str) -> bytes:
    text = text.translate(str.maketrans(_SAME))
    missing = sorted({letter for letter in set(text) if not _is_in_cp932(letter)})
    if missing:
        logger.warning("Jw_cad's code page lacks %s: written as %s.", " ".join(missing), _REPLACEMENT)
        text = text.translate({ord(letter): _REPLACEMENT for letter in missing})
    return text.encode("cp932")


def _is_in_cp932(letter: str) -> bool:
    try:
        letter.encode("cp932")
    except UnicodeEncodeError:
        return False
    return True
