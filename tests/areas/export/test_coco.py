import json

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st
from pycocotools.coco import COCO
from shapely.geometry import Polygon, box

from kkg_area_detection.areas.export.coco import coco_document, run_lengths
from tests.areas.export.conftest import EMPTY


def opened(document, tmp_path) -> COCO:
    path = tmp_path / "areas.json"
    path.write_text(json.dumps(document))
    return COCO(str(path))


def test_pycocotools_reads_it(sheet, tmp_path):
    coco = opened(coco_document(sheet, "平面図.png"), tmp_path)
    assert coco.loadImgs(1)[0]["file_name"] == "平面図.png"
    assert [cat["name"] for cat in coco.loadCats(coco.getCatIds())] == ["room", "部屋", "階段 室"]
    masks = [coco.annToMask(one) for one in coco.loadAnns(coco.getAnnIds())]
    assert [mask.shape for mask in masks] == [(120, 100)] * 3
    assert masks[0].sum() == 1900
    assert masks[0][25, 25] == 0  # the hole is open
    assert masks[1].sum() == pytest.approx(1300, rel=0.01)  # pycocotools rounds the corners of polygons


def test_boxes_and_areas(sheet):
    first, second, _ = coco_document(sheet, "plan.png")["annotations"]
    assert first["bbox"] == [10, 10, 50, 40]
    assert (first["area"], second["area"]) == (1900, 1300)
    assert isinstance(first["segmentation"], dict)
    assert second["segmentation"] == [
        [90, 10, 90, 50, 60, 50, 60, 10], [10, 80, 10, 90, 0, 90, 0, 80]
    ]  # fmt: skip


def test_nothing_found(tmp_path):
    assert opened(coco_document(EMPTY, "plan.png"), tmp_path).getAnnIds() == []


@pytest.mark.parametrize(
    ("polygon", "expected"),
    [
        (box(0, 0, 3, 2), [0, 6]),
        (box(0, 0, 3, 1), [0, 1, 1, 1, 1, 1, 1]),
        (box(1, 0, 2, 2), [2, 2, 2]),
        (box(0.6, 0, 1.4, 2), [6]),  # no pixel has its centre inside
        (box(2, 1, 3, 2), [5, 1]),
    ],
)
def test_run_lengths(polygon, expected):
    """Down the columns of a picture of 3 x 2 pixels."""
    assert run_lengths(polygon, (3, 2)) == expected


@given(st.lists(st.tuples(st.integers(0, 80), st.integers(0, 60)), min_size=3, max_size=8))
def test_a_pixel_is_inside_where_its_centre_is(corners):
    polygon = Polygon([(x / 4, y / 4) for x, y in corners])
    if not polygon.is_valid or polygon.area == 0:
        return
    y, x = np.mgrid[0:15, 0:20] + 0.5
    nearly_on_the_border = shapely.distance(polygon.boundary, shapely.points(x, y)) < 1e-9
    expected = shapely.contains_xy(polygon, x, y)
    runs = run_lengths(polygon, (20, 15))
    found = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(20, 15).T
    assert ((found == expected) | nearly_on_the_border).all()
