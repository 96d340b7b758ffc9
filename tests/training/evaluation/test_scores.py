"""Scores of maps that can be counted by hand, and against COCO's own evaluation."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from kkg_area_detection.training.evaluation.scores import LabelledMap, compare

SIZE = (40, 60)


def boxes(*items: tuple[str, int, int, int, int]) -> LabelledMap:
    """A map of rectangles (label, top, left, bottom, right); later ones cover earlier ones."""
    ids = np.zeros(SIZE, np.uint16)
    for number, (_, top, left, bottom, right) in enumerate(items, start=1):
        ids[top:bottom, left:right] = number
    return LabelledMap(ids, [label for label, *_ in items])


ROOM = ("room", 0, 0, 20, 20)  # 400 pixels
HALF = ("room", 0, 0, 20, 10)
MOST = ("room", 0, 0, 20, 16)  # IoU 0.8 with ROOM
OTHER = ("room", 20, 30, 40, 50)
WALL = ("wall", 20, 0, 24, 30)


@pytest.mark.parametrize(
    ("true", "found", "pq", "sq", "f1", "f1_75", "iou"),
    [
        pytest.param([ROOM, OTHER], [ROOM, OTHER], 1, 1, 1, 1, 1, id="all"),
        pytest.param([ROOM], [MOST], 0.8, 0.8, 1, 1, 0.8, id="a little small"),
        pytest.param([ROOM], [HALF], 0, np.nan, 0, 0, 0.5, id="an IoU of 0.5 is no match"),
        pytest.param([ROOM, OTHER], [MOST], 0.8 * 2 / 3, 0.8, 2 / 3, 2 / 3, 0.4, id="one is missing"),
        pytest.param([ROOM], [ROOM, OTHER], 2 / 3, 1, 2 / 3, 2 / 3, 0.5, id="one too many"),
        pytest.param([], [ROOM], 0, np.nan, 0, 0, 0, id="nothing there"),
        pytest.param([ROOM], [], 0, np.nan, 0, 0, 0, id="nothing found"),
        pytest.param([], [], *[np.nan] * 5, id="neither"),
        pytest.param([ROOM], [("wall", 0, 0, 20, 20)], 0, np.nan, 0, 0, 0, id="another label"),
        pytest.param([WALL, ROOM], [ROOM], 1, 1, 1, 1, 1, id="other labels do not count"),
    ],
)
def test_rooms(
    true: list[tuple[str, int, int, int, int]],
    found: list[tuple[str, int, int, int, int]],
    pq: float,
    sq: float,
    f1: float,
    f1_75: float,
    iou: float,
) -> None:
    scores = compare(boxes(*true), boxes(*found), ["room"])["room"]
    values = (scores.pq, scores.sq, scores.f1(), scores.f1(0.75), scores.iou)
    assert values == pytest.approx((pq, sq, f1, f1_75, iou), nan_ok=True)


def test_segments_without_a_pixel_are_not_there() -> None:
    covered = boxes(("room", 0, 0, 5, 5), ROOM)
    assert compare(covered, boxes(ROOM), ["room"])["room"].pq == 1


@pytest.mark.parametrize(
    ("found", "boundary_f"),
    [
        (boxes(("room", 10, 10, 30, 40)), 1),
        (boxes(("room", 11, 10, 30, 40)), 1),  # a pixel is near enough
        (
            boxes(("room", 13, 10, 30, 40)),
            2 / (90 / 64 + 96 / 64),
        ),  # 64 of 90 and 64 of 96 border pixels are near
        (boxes(("room", 0, 50, 5, 60)), 0),
        (boxes(), 0),
    ],
)
def test_boundaries(found: LabelledMap, boundary_f: float) -> None:
    scores = compare(boxes(("room", 10, 10, 30, 40)), found, ["room"])["room"]
    assert scores.boundary_f == pytest.approx(boundary_f)


def test_area_errors() -> None:
    scores = compare(boxes(ROOM, OTHER), boxes(MOST, ("room", 20, 30, 40, 52)), ["room"])["room"]
    assert sorted(scores.area_errors) == pytest.approx([-0.2, 0.1])


def test_drawings_add_up() -> None:
    one = compare(boxes(ROOM), boxes(MOST), ["room"])["room"]
    other = compare(boxes(ROOM, OTHER), boxes(ROOM), ["room"])["room"]
    both = one + other
    assert both.pq == pytest.approx((0.8 + 1) / (2 + 0.5))
    assert both.iou == pytest.approx((320 + 400) / (400 + 800))
    assert both.boundary.true == one.boundary.true + other.boundary.true


@pytest.mark.parametrize("seed", range(6))
def test_against_cocos_own_evaluation(seed: int) -> None:
    """Its matches at IoU 0.5 and 0.75, and the IoUs of these."""
    random = np.random.default_rng(seed)
    drawings = [(_random_map(random, 0), _random_map(random, 2)) for _ in range(8)]
    scores = [compare(true, found, ["room"])["room"] for true, found in drawings]
    total = sum(scores[1:], start=scores[0])
    evaluation = _coco_evaluation(drawings)
    for threshold in (0.5, 0.75):
        assert total.f1(threshold) == pytest.approx(_f1(evaluation, threshold))
    ious = [
        iou for image in evaluation.ious.values() if len(image) for iou in np.max(image, axis=0) if iou > 0.5
    ]
    assert sorted(match.iou for match in total.matches) == pytest.approx(sorted(ious))


def _random_map(random: np.random.Generator, shift: int) -> LabelledMap:
    """Four rooms in the quarters of the map, each moved a little."""
    moves = random.integers(-shift, shift + 1, (4, 4)) if shift else np.zeros((4, 4), int)
    corners = [(4, 4, 15, 25), (4, 34, 15, 55), (24, 4, 35, 25), (24, 34, 35, 55)]
    kept = [number for number in range(4) if random.random() < 0.8]
    return boxes(*(("room", *(np.array(corners[n]) + moves[n] * 2).tolist()) for n in kept))


def _coco_evaluation(drawings: list[tuple[LabelledMap, LabelledMap]]) -> COCOeval:
    truth: dict[str, list[dict[str, object]]] = {
        "images": [{"id": n, "height": SIZE[0], "width": SIZE[1]} for n in range(len(drawings))],
        "categories": [{"id": 1, "name": "room"}],
        "annotations": [],
    }
    detections = []
    for image, maps in enumerate(drawings):
        for is_found, one in enumerate(maps):
            for number in range(1, len(one.labels) + 1):
                mask = np.asfortranarray(one.ids == number, dtype=np.uint8)
                item = {"image_id": image, "category_id": 1, "segmentation": coco_mask.encode(mask)}
                if is_found:
                    detections.append({**item, "score": 0.9})
                else:
                    known = truth["annotations"]
                    known.append(
                        {
                            **item,
                            "id": len(known) + 1,
                            "area": int(mask.sum()),
                            "iscrowd": 0,
                            "bbox": [0, 0, 1, 1],
                        }
                    )
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(detections), "segm")
        evaluation.params.iouThrs = np.array([0.5, 0.75])
        evaluation.evaluate()
    return evaluation


def _f1(evaluation: COCOeval, threshold: float) -> float:
    place = evaluation.params.iouThrs.tolist().index(threshold)
    images = [
        image for image in evaluation.evalImgs if image and image["aRng"] == evaluation.params.areaRng[0]
    ]
    hits = sum(int((image["dtMatches"][place] > 0).sum()) for image in images)
    there = sum(len(image["gtIds"]) for image in images)
    said = sum(len(image["dtIds"]) for image in images)
    return 2 * hits / (there + said)
