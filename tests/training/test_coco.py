"""COCO folders as other programs write them, checked against pycocotools."""

import contextlib
import io
import json
import os
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from kkg_area_detection.errors import ImageError
from kkg_area_detection.training.coco import CocoError, CocoFolder, write_coco_folder
from kkg_area_detection.training.coco_masks import decompress, encode, mask_of
from kkg_area_detection.training.samples import Sample

SQUARE = [10, 10, 30, 10, 30, 30, 10, 30]
IMAGE = {"id": 7, "file_name": "a.png", "height": 40, "width": 60}


def export(
    folder: Path, *annotations: dict, file="annotations/instances_default.json", picture="images/a.png", **top
):
    """What a program might export for one picture of 40 x 60 pixels."""
    (folder / picture).parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (60, 40)).save(folder / picture)
    content = {
        "images": [IMAGE | {"file_name": top.pop("file_name", "a.png")}],
        "categories": [{"id": 3, "name": "Zimmer"}, {"id": 5, "name": "door"}],
        "annotations": [
            {"id": 11 + number, "image_id": 7, "category_id": 3, "iscrowd": 0} | annotation
            for number, annotation in enumerate(annotations)
        ],
    } | top
    (folder / file).parent.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(json.dumps(content))
    return folder


def read(folder: Path, **names: str) -> Sample:
    return CocoFolder.open(folder, names).read(0, most_pixels=4096)


def boxes(count: int, height: int, width: int, seed: int = 0):
    rng = np.random.default_rng(seed)
    mask = np.zeros((height, width), bool)
    for _ in range(count):
        y, x = rng.integers(height), rng.integers(width)
        mask[y : y + rng.integers(1, height + 1), x : x + rng.integers(1, width + 1)] ^= True
    return mask


# --- masks ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [1, 2, 9])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (7, 5), (130, 200)])
def test_run_lengths_are_those_of_pycocotools(count, height, width):
    mask = boxes(count, height, width)
    mask[0, 0] = count == 2  # a mask that begins at once
    mask[-1, -1] = True
    theirs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    text = theirs["counts"].decode()

    ours = encode(mask)
    assert decompress(text) == ours["segmentation"]["counts"]
    assert ours["area"] == coco_mask.area(theirs)
    assert ours["bbox"] == coco_mask.toBbox(theirs).tolist()
    for counts in (text, ours["segmentation"]["counts"]):
        segmentation = {"size": [height, width], "counts": counts}
        np.testing.assert_array_equal(mask_of(segmentation, height, width, height, width), mask)


@pytest.mark.parametrize(
    "polygon",
    [
        SQUARE,
        [5.5, 5.5, 50.2, 8.1, 40, 35],
        [0, 0, 60, 0, 60, 40, 0, 40],  # the whole picture
        [-10, -10, 70, -10, 30, 60],  # beyond it
        [10, 5, 16, 5, 16, 35, 10, 35],  # a thin wall
    ],
)
def test_polygons_are_those_of_pycocotools_but_for_pixels_on_the_line(polygon):
    theirs = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects([polygon], 40, 60))).astype(bool)
    ours = mask_of([polygon], 40, 60, 40, 60)
    assert (ours != theirs).sum() <= 5


def test_several_polygons_are_one_object():
    mask = mask_of([SQUARE, [40, 10, 50, 10, 50, 30, 40, 30]], 40, 60, 40, 60)
    assert mask[20, 20]
    assert mask[20, 45]
    assert not mask[20, 35]


def test_a_smaller_picture_gets_a_smaller_mask():
    segmentation = encode(mask_of([SQUARE], 40, 60, 40, 60))["segmentation"]
    for way in ([SQUARE], segmentation):
        mask = mask_of(way, 40, 60, 20, 30)
        assert abs(int(mask.sum()) - 100) <= 25
        assert mask[10, 10]


# --- folders -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("file", "picture", "file_name"),
    [
        ("annotations/instances_default.json", "images/a.png", "a.png"),  # CVAT
        ("annotations/instances_default.json", "images/default/a.png", "a.png"),  # CVAT, with its subset
        ("annotations/instances_Train.json", "images/Train/b/a.png", "b/a.png"),
        ("result.json", "images/a.png", "images/a.png"),  # Label Studio
        ("result.json", "images/a.png", "images\\a.png"),  # Label Studio on Windows
        ("result.json", "images/a.png", "../../label-studio/data/media/upload/1/a.png"),
        ("_annotations.coco.json", "a.png", "a.png"),  # Roboflow
        ("annotations/instances_Validation.json", "images/Validation/a.png", "a.png"),
        (
            "result.json",
            unicodedata.normalize("NFD", "images/ガレージ.png"),
            "images/ガレージ.png",
        ),  # from a Mac
        ("result.json", "images/図.png", "images/%E5%9B%B3.png"),
        ("result.json", "images/a.png", "C:\\plans\\a.png"),
    ],
)
def test_finds_the_pictures_of_every_program(tmp_path, file, picture, file_name):
    export(tmp_path, {"segmentation": [SQUARE]}, file=file, picture=picture, file_name=file_name)
    sample = read(tmp_path)
    assert sample.image.shape == (40, 60, 3)
    assert sample.labels == ("Zimmer",)
    assert sample.ids[20, 20] == 1
    assert sample.ids[5, 5] == 0


def test_an_annotation_file_may_be_named_itself(tmp_path):
    export(tmp_path, {"segmentation": [SQUARE]})
    assert read(tmp_path / "annotations" / "instances_default.json").labels == ("Zimmer",)


def test_categories_may_have_other_names(tmp_path):
    folder = CocoFolder.open(export(tmp_path, {"segmentation": [SQUARE]}), {"Zimmer": "room"})
    assert folder.labels == ("room", "door")
    assert folder.read(0, 4096).labels == ("room",)


def test_categories_may_be_in_another_language(tmp_path):
    categories = [{"id": 3, "name": "部屋"}, {"id": 5, "name": "Outer_Wall"}, {"id": 6, "name": "階段"}]
    folder = CocoFolder.open(export(tmp_path, {"segmentation": [SQUARE]}, categories=categories), {})
    assert folder.labels == ("room", "exwall", "階段")


def test_the_smaller_of_two_that_overlap_is_on_top(tmp_path):
    whole = [0, 0, 60, 0, 60, 40, 0, 40]
    sample = read(export(tmp_path, {"segmentation": [SQUARE], "category_id": 5}, {"segmentation": [whole]}))
    assert sample.labels == ("door", "Zimmer")
    assert sample.ids[20, 20] == 1
    assert sample.ids[5, 5] == 2


def test_holes_stay_open_also_of_what_was_drawn_with_a_brush(tmp_path):
    ring = mask_of([SQUARE], 40, 60, 40, 60)
    ring[15:25, 15:25] = False
    sample = read(export(tmp_path, encode(ring) | {"iscrowd": 1}))  # as CVAT writes it
    assert sample.labels == ("Zimmer",)
    np.testing.assert_array_equal(sample.ids == 1, ring)


@pytest.mark.parametrize("segmentation", [{}, {"segmentation": []}])
def test_rectangles(tmp_path, segmentation):
    sample = read(export(tmp_path, segmentation | {"bbox": [10, 5.0, 20, 10]}))
    assert (sample.ids[5:15, 10:30] == 1).all()
    assert np.count_nonzero(sample.ids) == 200


def test_pictures_without_annotations_are_left_out(tmp_path, caplog):
    images = [IMAGE | {"id": 6, "file_name": "b.png"}, IMAGE]
    Image.new("RGB", (60, 40)).save(tmp_path / "b.png")
    folder = CocoFolder.open(export(tmp_path, {"segmentation": [SQUARE]}, images=images), {})
    assert len(folder) == 1
    assert folder.read(0, 4096).labels == ("Zimmer",)
    assert "1 of the 2 pictures" in caplog.text


def test_pictures_are_as_they_are_shown(tmp_path):
    export(tmp_path, {"segmentation": [SQUARE]}, picture="images/a.jpg", file_name="a.jpg")
    lying = Image.Exif()
    lying[0x0112] = 6  # turned by 90 degrees
    Image.new("RGB", (40, 60)).save(tmp_path / "images" / "a.jpg", exif=lying)
    assert read(tmp_path).image.shape == (40, 60, 3)


def test_large_pictures_are_reduced(tmp_path):
    folder = CocoFolder.open(export(tmp_path, {"segmentation": [SQUARE]}), {})
    sample = folder.read(0, most_pixels=30)
    assert sample.image.shape == (20, 30, 3)
    assert sample.ids.shape == (20, 30)
    assert sample.ids[10, 10] == 1


def test_holds_out_one_in_ten_by_name(tmp_path):
    image = np.zeros((8, 8, 3), np.uint8)
    write_coco_folder(
        (Sample(image, np.ones((8, 8), np.uint16), ("room",)) for _ in range(200)), tmp_path / "x"
    )
    folder = CocoFolder.open(tmp_path / "x", {})
    assert 10 <= len(folder.held_out) <= 32
    assert sorted([*folder.held_out, *folder.training]) == list(range(200))


@pytest.mark.parametrize("count", [4, 5, 7, 12])
def test_holds_out_one_of_five_at_least(tmp_path, count):
    sample = Sample(np.zeros((8, 8, 3), np.uint8), np.ones((8, 8), np.uint16), ("room",))
    write_coco_folder([sample] * count, tmp_path / "x")
    assert bool(CocoFolder.open(tmp_path / "x", {}).held_out) == (count >= 5)


@pytest.mark.skipif(os.name == "nt", reason="links need permissions on Windows")
def test_pictures_may_lie_behind_a_link(tmp_path):
    (tmp_path / "store").mkdir()
    export(tmp_path / "x", {"segmentation": [SQUARE]})
    (tmp_path / "x" / "images").rename(tmp_path / "store" / "images")
    (tmp_path / "x" / "images").symlink_to(tmp_path / "store" / "images", target_is_directory=True)
    assert read(tmp_path / "x").labels == ("Zimmer",)


def test_a_damaged_picture_is_named_at_once(tmp_path):
    export(tmp_path, {"segmentation": [SQUARE]})
    (tmp_path / "images" / "a.png").write_bytes(b"nonsense")
    with pytest.raises(ImageError, match=r"a\.png cannot be decoded"):
        CocoFolder.open(tmp_path, {})


def test_what_is_written_is_read_by_pycocotools_and_by_us(tmp_path):
    rng = np.random.default_rng(0)
    ids = rng.integers(0, 4, (6, 9)).repeat(5, axis=0).repeat(5, axis=1).astype(np.uint16)
    sample = Sample(rng.integers(0, 255, (30, 45, 3), np.uint8), ids, ("room", "door", "room", "stairs"))
    assert write_coco_folder([sample, sample], tmp_path / "x") == 2

    again = CocoFolder.open(tmp_path / "x", {}).read(1, 4096)
    np.testing.assert_array_equal(again.image, sample.image)
    np.testing.assert_array_equal(again.ids, ids)
    assert again.labels == ("room", "door", "room")  # segment 4 has no pixel

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(tmp_path / "x" / "annotations" / "instances_default.json"))
    for annotation in coco.loadAnns(coco.getAnnIds(imgIds=[1])):
        name = coco.loadCats(annotation["category_id"])[0]["name"]
        assert name == sample.labels[annotation["id"] - 1]
        np.testing.assert_array_equal(coco.annToMask(annotation).astype(bool), ids == annotation["id"])


# --- what is wrong with folders ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ({"segmentation": []}, r"Annotation 0 \(id 11\).*there is none"),
        ({}, "there is none"),
        ({"segmentation": [[1, 2, 3, 4]]}, "4 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "7 numbers"),
        ({"segmentation": [[1, 2, 3, 4, 5, "x"]]}, "no number"),
        ({"segmentation": [[1, 2, 3, 4, 5, 1e300]]}, "infinity"),
        ({"segmentation": {"size": [40, 60], "counts": [5, 5]}}, "add up to 10"),
        ({"segmentation": {"size": [60, 40], "counts": [2400]}}, r"size is \[60, 40\]"),
        ({"segmentation": {"size": [40, 60], "counts": [-1, 2401]}}, "neither"),
        ({"segmentation": {"size": [40, 60], "counts": "\x00"}}, "hold"),
        ({"segmentation": {"size": [40, 60], "counts": "o"}}, "end within"),
        ({"segmentation": [SQUARE], "image_id": 8}, "image 8"),
        ({"segmentation": [SQUARE], "category_id": None}, "category None"),
    ],
)
def test_names_the_annotation_that_is_wrong(tmp_path, annotation, message):
    with pytest.raises(CocoError, match=message) as caught:
        CocoFolder.open(export(tmp_path, annotation), {})
    assert "instances_default.json" in str(caught.value)


@pytest.mark.parametrize(
    ("top", "message"),
    [
        ({"annotations": []}, "no annotated objects"),
        ({"annotations": None}, "no list 'annotations'"),
        ({"images": [{"id": 1}]}, "Image 0"),
        ({"categories": [{"id": 1}]}, "A category"),
        ({"file_name": "b.png"}, r"b\.png.*not there"),
        ({"file_name": "../../etc/passwd"}, "not there"),
        ({"annotations": [5]}, "Annotation 0"),
        ({"images": [IMAGE, IMAGE]}, "have the id 7"),
        ({"images": [IMAGE, IMAGE | {"id": 8, "file_name": "x/a.png"}]}, "a.png and x/a.png in .* are both"),
        ({"images": [IMAGE | {"height": 41}]}, "is 60 x 40 pixels, but .* says 60 x 41"),
        ({"images": [IMAGE | {"id": []}]}, "Image 0"),
    ],
)
def test_names_the_file_that_is_wrong(tmp_path, top, message):
    with pytest.raises(CocoError, match=message):
        CocoFolder.open(export(tmp_path, {"segmentation": [SQUARE]}, **top), {})


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(CocoError, match="There is no folder"):
        CocoFolder.open(tmp_path / "none", {})
    with pytest.raises(CocoError, match="no COCO annotations"):
        CocoFolder.open(tmp_path, {})
    (tmp_path / "result.json").write_text("{")
    with pytest.raises(CocoError, match="not JSON"):
        CocoFolder.open(tmp_path, {})
    (tmp_path / "annotations").mkdir()
    for name in "ab":
        (tmp_path / "annotations" / f"{name}.json").write_text("{}")
    with pytest.raises(CocoError, match="several annotation files"):
        CocoFolder.open(tmp_path, {})


def test_a_picture_of_another_size_is_refused(tmp_path):
    export(tmp_path, {"segmentation": [SQUARE]})
    Image.new("RGB", (61, 40)).save(tmp_path / "images" / "a.png")
    with pytest.raises(CocoError, match="61 x 40"):
        read(tmp_path)
