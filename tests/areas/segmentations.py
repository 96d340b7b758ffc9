"""Segmentations for the tests of polygons: drawn by hand, and any that a network could give."""

from collections.abc import Sequence

import numpy as np
import pytest
import shapely
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from shapely.affinity import rotate
from shapely.geometry import Polygon, box

from kkg_area_detection.areas.polygons import Cells, Coverage, trace
from kkg_area_detection.areas.simplify import simplify
from kkg_area_detection.segmentation.result import SegmentationResult

CELL = 10  # pixels a side
SIZE = 60  # cells a side of a raster
LABELS = {0: "room", 1: "exwall", 2: "inwall", 3: "door"}


def segmentation(
    ids: Sequence[Sequence[int]] | np.ndarray,  # type: ignore[type-arg]
    *,
    cell: int = 1,
    labels: Sequence[int] | None = None,
) -> SegmentationResult:
    """A grid of ids, each cell of so many pixels a side; every segment a room unless labels say otherwise."""
    grid = np.asarray(ids, dtype=np.int32)
    labels = [0] * (int(grid.max()) + 1) if labels is None else labels
    return SegmentationResult(
        id_grid=grid,
        row_index=np.repeat(np.arange(grid.shape[0]), cell),
        column_index=np.repeat(np.arange(grid.shape[1]), cell),
        segments_info=[
            {"id": id_, "label_id": label, "was_fused": False, "score": 0.9}
            for id_, label in enumerate(labels)
        ],
        id2label=LABELS,
    )


def drawn(*rows: str) -> np.ndarray:  # type: ignore[type-arg]
    """A grid of ids, drawn with digits, and dots for background."""
    return np.array([[-1 if char == "." else int(char) for char in row] for row in rows], dtype=np.int32)


def traced(ids: np.ndarray, cell: int = 1) -> Coverage:  # type: ignore[type-arg]
    return trace(Cells.of(segmentation(ids, cell=cell)))


@st.composite
def segmentations(draw: st.DrawFn) -> SegmentationResult:
    """Any grid of up to 12 x 12 cells, which have many pixels, few, or none."""
    height, width = draw(st.integers(1, 12)), draw(st.integers(1, 12))
    n_ids = draw(st.integers(0, 4))
    grid = draw(arrays.arrays(np.int32, (height, width), elements=st.integers(-1, n_ids - 1)))
    thicker = draw(st.integers(1, 3))  # of larger pieces, too
    grid = np.repeat(np.repeat(grid, thicker, axis=0), thicker, axis=1)[:12, :12]
    result = segmentation(grid, labels=[0] * n_ids)
    for name, cells in (("row_index", grid.shape[0]), ("column_index", grid.shape[1])):
        shown = draw(st.lists(st.integers(0, cells - 1), min_size=1, max_size=40))
        setattr(result, name, np.sort(np.array(shown, dtype=np.intp)))
    return result


def full_map(result: SegmentationResult) -> np.ndarray:  # type: ignore[type-arg]
    return result.id_grid[np.ix_(result.row_index, result.column_index)]


def assert_covers(coverage: Coverage, result: SegmentationResult) -> None:
    """The faces are sound polygons, and together the picture, without gaps or overlaps."""
    height, width = len(result.row_index), len(result.column_index)
    assert set(shapely.get_type_id(coverage.faces)) == {shapely.GeometryType.POLYGON}
    assert shapely.is_valid(coverage.faces).all()
    assert not shapely.is_empty(coverage.faces).any()
    assert shapely.coverage_is_valid(coverage.faces)
    assert shapely.area(coverage.faces).sum() == pytest.approx(height * width, rel=1e-9)
    picture = box(0, 0, width, height)
    assert shapely.union_all(coverage.faces).symmetric_difference(picture).area == pytest.approx(0, abs=1e-6)


def raster(*shapes: Polygon) -> np.ndarray:  # type: ignore[type-arg]
    """The cells whose middles lie in shapes; later ones are painted over earlier ones. In cells."""
    ids = np.full((SIZE, SIZE), -1)
    x, y = np.meshgrid(np.arange(SIZE) + 0.5, np.arange(SIZE) + 0.5)
    for id_, shape in enumerate(shapes):
        ids[shapely.contains_xy(shape, x, y)] = id_
    return ids


def simplified(ids: np.ndarray) -> Coverage:  # type: ignore[type-arg]
    return simplify(traced(ids, CELL), CELL, CELL)


def house(angle: float) -> tuple[Polygon, Polygon, Polygon]:
    """A wall with two rooms in it, turned about the middle of the picture."""
    shapes = box(10, 15, 50, 45), box(12, 17, 29, 43), box(31, 17, 48, 43)
    return tuple(rotate(shape, angle, origin=(30, 30)) for shape in shapes)  # type: ignore[return-value]
