"""``Area`` and ``Areas``: what was found on one sheet, as polygons."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import shapely

    from kkg_area_detection.areas.scale import Scale
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
        pixels: Pixels of the segment in the image, before simplification.
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
        cell: Side in pixels of the cells that the segments were found on: no border is known more finely.
        specks: Pieces of segments that were too small to keep, and went to what surrounds them.
    """

    areas: tuple[Area, ...]
    image_size: tuple[int, int]
    scale: Scale | None = None
    walls: tuple[Wall, ...] = ()
    cell: float = 1.0
    specks: int = 0

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
        jw: bool = False,
        japanese_layers: bool = False,
        hatch: bool = False,
    ) -> None:
        """Write the areas into a file, whole or not at all.

        Args:
            path: Its suffix names the format: ``.geojson``, ``.json`` (COCO), ``.svg``, ``.dxf`` or ``.png``.
            image: The drawing the areas were found in; for ``.png``.
            force: Replace a file that is there.
            jw: Write the DXF that Jw_cad reads: release 12, lines and texts only.
            japanese_layers: Name the layers of a DXF in Japanese.
            hatch: Fill the areas of a DXF.

        Raises:
            UsageError: The suffix is another, the file exists, or the drawing is missing.
            OutputError: The file cannot be written.
        """
        from kkg_area_detection.areas.export import save_areas

        save_areas(
            self,
            Path(path),
            image=image,
            force=force,
            jw=jw,
            japanese_layers=japanese_layers,
            hatch=hatch,
        )
