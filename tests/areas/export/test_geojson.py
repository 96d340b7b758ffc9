from dataclasses import replace

import geojson
import pytest
import shapely
from shapely.geometry import shape

from kkg_area_detection.areas.export.geojson import geojson_document
from tests.areas.export.conftest import EMPTY, SCALE


def read(document):
    collection = geojson.loads(geojson.dumps(document))
    assert collection.is_valid, collection.errors()
    return collection


def test_metres_with_y_up(sheet):
    collection = read(geojson_document(sheet))
    assert collection["coordinates"]["unit"] == "metre"
    polygons = [shape(feature["geometry"]) for feature in collection["features"]]
    square = (SCALE.mm_per_pixel / 1000) ** 2
    assert [polygon.area / square for polygon in polygons] == pytest.approx(
        [area.polygon.area for area in sheet], rel=1e-4
    )
    assert polygons[0].bounds == pytest.approx((0.085, 0.595, 0.51, 0.935))


def test_pixels_without_a_scale(sheet):
    collection = read(geojson_document(replace(sheet, scale=None)))
    assert collection["coordinates"] == {
        "unit": "pixel", "y": "down", "image_size": [100, 120], "mm_per_pixel": None
    }  # fmt: skip
    assert shape(collection["features"][0]["geometry"]).bounds == (10, 10, 60, 50)


@pytest.mark.parametrize("scale", [None, SCALE])
def test_ring_order(sheet, scale):
    for feature in geojson_document(replace(sheet, scale=scale))["features"]:
        for part in shapely.get_parts(shape(feature["geometry"])):
            assert part.exterior.is_ccw
            assert not any(hole.is_ccw for hole in part.interiors)


def test_properties(sheet):
    first, second, third = geojson_document(sheet)["features"]
    assert [first["id"], second["id"], third["id"]] == [0, 1, 3]
    assert second["geometry"]["type"] == "MultiPolygon"
    assert third["properties"]["label"] == "階段 室"


def test_nothing_found():
    assert read(geojson_document(EMPTY))["features"] == []
