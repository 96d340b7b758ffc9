"""A flat of four rooms and LDK, drawn at 1/100 and scanned at 300 dpi, as a perfect model would segment it."""

from dataclasses import dataclass

import numpy as np
import shapely
from shapely.affinity import rotate, scale, translate
from shapely.geometry import LineString, box

from kkg_area_detection.areas.scale import Scale
from kkg_area_detection.segmentation.result import SegmentationResult

SCALE = Scale.from_ratio("1/100", dpi=300)
THICKNESS = 150.0  # mm, of every wall
LABELS = {0: "room", 1: "exwall", 2: "inwall", 3: "door"}

# Left, top, right and bottom of rooms between centre lines, in millimetres; y down.
ROOMS = (
    (0, 0, 3640, 3640),
    (0, 3640, 3640, 7280),
    (3640, 0, 7280, 3640),
    (7280, 0, 10920, 3640),
    (3640, 3640, 10920, 4550),  # corridor
    (3640, 4550, 10920, 7280),  # LDK
)
OUTER = ((0, 0, 10920, 0), (10920, 0, 10920, 7280), (10920, 7280, 0, 7280), (0, 7280, 0, 0))
INNER = ((3640, 0, 3640, 7280), (0, 3640, 10920, 3640), (7280, 0, 7280, 3640), (3640, 4550, 10920, 4550))
DOORS = (
    (3640, 3700, 3640, 4500),
    (5000, 3640, 5800, 3640),
    (8500, 3640, 9300, 3640),
    (6000, 4550, 6900, 4550),
    (1000, 3640, 2700, 3640),
    (10920, 3700, 10920, 4500),  # the entrance
)
_MARGIN = 3400.0


@dataclass(frozen=True)
class Plan:
    """The segmentation, and what is to be found in it, in pixels."""

    result: SegmentationResult
    centre_lines: shapely.Geometry
    rooms: list[shapely.Polygon]  # between the faces of the walls
    rooms_to_centres: list[shapely.Polygon]

    @property
    def thickness(self) -> float:
        return THICKNESS / SCALE.mm_per_pixel


def plan_4ldk(cell: float = 2, angle: float = 0) -> Plan:
    """Draw the plan on a grid of cells of so many pixels, turned clockwise by an angle in degrees."""
    walls = {
        label: shapely.union_all([_line(ends).buffer(THICKNESS / 2, cap_style="square") for ends in lines])
        for label, lines in ((1, OUTER), (2, INNER))
    }
    doors = [_line(ends).buffer(THICKNESS / 2, cap_style="flat") for ends in DOORS]
    everything = shapely.union_all(list(walls.values()))
    rooms = [box(*room).difference(everything) for room in ROOMS]
    # Later ones are painted over earlier ones.
    shapes = [(walls[2], 2), (walls[1], 1), *((door, 3) for door in doors), *((room, 0) for room in rooms)]

    width, height = (round((side + 2 * _MARGIN) / SCALE.mm_per_pixel) for side in (10920, 7280))
    columns, rows = round(width / cell), round(height / cell)
    x = (np.arange(columns) + 0.5) * width / columns
    y = (np.arange(rows) + 0.5) * height / rows
    grid = np.full((rows, columns), -1, dtype=np.int32)
    for id_, (shape, _) in enumerate(shapes):
        grid[shapely.contains_xy(_placed(shape, angle), *np.meshgrid(x, y))] = id_
    result = SegmentationResult(
        id_grid=grid,
        row_index=np.arange(height) * rows // height,
        column_index=np.arange(width) * columns // width,
        segments_info=[
            {"id": id_, "label_id": label, "was_fused": False, "score": 0.9}
            for id_, (_, label) in enumerate(shapes)
        ],
        id2label=LABELS,
    )
    return Plan(
        result,
        _placed(shapely.union_all([_line(ends) for ends in OUTER + INNER]), angle),
        [_placed(room, angle) for room in rooms],
        [_placed(box(*room), angle) for room in ROOMS],
    )


def _line(ends: tuple[float, float, float, float]) -> LineString:
    return LineString([ends[:2], ends[2:]])


def _placed(shape: shapely.Geometry, angle: float) -> shapely.Geometry:
    """From millimetres of the building to pixels."""
    turned = rotate(shape, angle, origin=(5460, 3640))
    pixels = 1 / SCALE.mm_per_pixel
    return scale(translate(turned, _MARGIN, _MARGIN), pixels, pixels, origin=(0, 0))
