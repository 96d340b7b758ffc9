"""JWW, Jw_cad's own format: the drawing on a sheet of A3, at a scale at which it fits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kkg_area_detection.areas.export.cp932 import for_cp932
from kkg_area_detection.areas.export.frame import Frame
from kkg_area_detection.areas.export.strokes import Point, Stroke, Writing, strokes_of, writings_of
from kkg_area_detection.errors import MissingDependencyError

if TYPE_CHECKING:
    from kkg_area_detection.areas.area import Areas

_PAPER = 3  # A3
_WIDTH, _HEIGHT = 420.0, 297.0  # millimetres
_DENOMINATORS = (1, 2, 5, 10, 20, 30, 50, 100, 150, 200, 250, 300, 500, 600, 1000, 2500, 5000, 10000, 25000)
_MOST_LAYERS = 16  # that a group of Jw_cad has
_ON, _CURRENT = 2, 3  # states of a layer
_PENS = {1: 8, 2: 4, 3: 3, 4: 1, 5: 6, 6: 5, 7: 2}  # AutoCAD's colours, as Jw_cad's pens show them


def jww_document(areas: Areas, texts: dict[int, str], *, japanese_layers: bool = False) -> bytes:
    """Draw areas as a JWW file of version 7.

    Args:
        areas: The areas. Without a scale, a millimetre of the drawing is a pixel.
        texts: What is written into an area, by its id; lines are separated by line feeds.
        japanese_layers: Name the layers in Japanese.

    Returns:
        The file.

    Raises:
        MissingDependencyError: ezjww is not installed.
    """
    try:
        import ezjww
    except ImportError as error:
        raise MissingDependencyError(
            "JWW files are written by ezjww, which is not installed.",
            next_step="pip install 'kkg-area-detection[jww]', or write .dxf with dxf_version=\"jw\".",
        ) from error

    frame = Frame.in_millimetres(areas) or Frame.in_pixels(areas)
    size = (areas.image_size[0] * frame.units_per_pixel, areas.image_size[1] * frame.units_per_pixel)
    denominator = _fitting(size)

    def on_paper(point: Point) -> Point:
        return (point[0] - size[0] / 2) / denominator, (point[1] - size[1] / 2) / denominator

    strokes = list(strokes_of(areas, frame, japanese_layers=japanese_layers))
    writings = list(writings_of(areas, texts, frame, japanese_layers=japanese_layers))
    entities: list[Stroke | Writing] = [*strokes, *writings]
    layers = list(dict.fromkeys(entity.layer for entity in entities))
    # More labels than a group has layers share the last one.
    places = {layer: min(number, _MOST_LAYERS - 1) for number, layer in enumerate(layers)}

    drawing = ezjww.new(paper_size=_PAPER)
    space = drawing.modelspace()
    for stroke in strokes:
        attributes = {"layer": places[stroke.layer], "pen_color": _PENS.get(stroke.layer.colour, 2)}
        space.add_line(on_paper(stroke.start), on_paper(stroke.end), jwwattribs=attributes)
    for writing in writings:
        text, height = for_cp932(writing.text), writing.height / denominator
        # Jw_cad's letters are twice as high as half-width ones are wide.
        width = height / 2 * sum(1 if letter.isascii() else 2 for letter in text)
        x, y = on_paper(writing.middle)
        space.add_text(
            text,
            (x - width / 2, y - height / 2),
            (x + width / 2, y - height / 2),
            size_x=height,
            size_y=height,
            jwwattribs={"layer": places[writing.layer]},
        )
    group = drawing.options["layer_groups"][0]
    group["scale"] = float(denominator)
    for layer, place in places.items():
        group["layers"][place].update(name=for_cp932(layer.name), state=_ON if place else _CURRENT)
    return bytes(drawing.to_jww_bytes())


def _fitting(size: Point) -> int:
    """The denominator of the largest usual scale at which a drawing fits on the paper.

    Args:
        size: Width and height of the drawing in millimetres.
    """
    needed = max(size[0] / _WIDTH, size[1] / _HEIGHT)
    return next((one for one in _DENOMINATORS if one >= needed), round(needed) + 1)
