"""``Area`` and ``Areas``: what was found on one sheet, as polygons."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import shapely

    from kkg_area_detection.areas.export import DxfVersion
    from kkg_area_detection.areas.scale import Scale
    from kkg_area_detection.areas.units import Number
    from kkg_area_detection.documents import ImageLike


@dataclass(frozen=True, slots=True)
class Area:
    """One piece of the plan with a label: a room, a wall, a door.

    Attributes:
        id: Its id in ``segments_info`` of the segmentation.
        label_id: Class of the model.
        label: Name of the class.
        score: 0 to 1.
        polygon: A ``shapely.Polygon`` or ``MultiPolygon`` with holes, in pixels of the image: x right, y down,
            on pixel edges, so that before simplification its area is the number of its pixels.
        pixels: Pixels of the area before simplification: of its segment, without the specks of it that went to
            others, and with those that it was given.
    """

    id: int
    label_id: int
    label: str
    score: float
    polygon: shapely.Polygon | shapely.MultiPolygon
    pixels: int


@dataclass(frozen=True, slots=True)
class Wall:
    """A straight piece of wall.

    Attributes:
        line: Its centre line, a ``shapely.LineString`` of two points in pixels, x right, y down.
        thickness: In pixels.
        label: Name of the class it was found in.
    """

    line: shapely.LineString
    thickness: float
    label: str


@dataclass(frozen=True, slots=True)
class Areas(Sequence[Area]):
    """The areas of one sheet: a sequence of ``Area`` that share their borders.

    Attributes:
        areas: In the order of their ids.
        image_size: Width and height of the image in pixels.
        scale: Millimetres a pixel, where known.
        walls: Centre lines of the walls; empty where they were not asked for.
        cell: Side in pixels of the cells of the network: no border is known much more finely.
        specks: Pieces of segments that were too small to keep, and went to what surrounds them.
        name: Of the drawing: ``"plan.png"`` or ``"plan.pdf#page=2"``; may be empty.
    """

    areas: tuple[Area, ...]
    image_size: tuple[int, int]
    scale: Scale | None = None
    walls: tuple[Wall, ...] = ()
    cell: float = 1.0
    specks: int = 0
    name: str = ""

    @overload
    def __getitem__(self, index: int) -> Area: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[Area, ...]: ...
    def __getitem__(self, index: int | slice) -> Area | tuple[Area, ...]:
        return self.areas[index]

    def __len__(self) -> int:
        return len(self.areas)

    def __iter__(self) -> Iterator[Area]:
        return iter(self.areas)

    def save(
        self,
        path: str | os.PathLike[str],
        *,
        image: ImageLike | None = None,
        force: bool = False,
        dxf_version: DxfVersion = "R2010",
        japanese_layers: bool = False,
        hatch: bool = False,
        mat: str | Number = "規約",
    ) -> None:
        """Write the areas into a file, whole or not at all.

        Args:
            path: Its suffix names the format: ``.geojson``, ``.json`` (COCO), ``.svg``, ``.dxf``, ``.jww`` (with
                the extra ``jww`` installed), ``.csv``, ``.xlsx`` or ``.png``.
            image: The drawing the areas were found in: ``.png`` needs it, ``.svg`` puts it beneath.
            force: Replace a file that is there.
            dxf_version: ``"R2010"`` for AutoCAD and its like; ``"jw"`` for Jw_cad: release 12, lines and texts.
            japanese_layers: Name the layers of a CAD file in Japanese.
            hatch: Fill the areas of a DXF.
            mat: Of tables: kind of mat (帖) or its square metres; see ``units.mat_size``.

        Raises:
            UsageError: The suffix or an option is another, the file exists, or the drawing is missing.
            MissingDependencyError: It is a JWW file, and ezjww is not installed.
            OutputError: The file cannot be written.
        """
        from kkg_area_detection.areas.export import SaveOptions, save_areas

        options = SaveOptions(image, dxf_version, japanese_layers, hatch, mat)
        save_areas(self, Path(path), options, force=force)
