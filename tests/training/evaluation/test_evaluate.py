import json
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.segmentation.result import SegmentationResult
from kkg_area_detection.training.evaluation.evaluate import Evaluation, evaluate, shared_labels
from kkg_area_detection.training.evaluation.report import write_report
from kkg_area_detection.training.samples import Sample


def drawing(name: str, *widths: int) -> Sample:
    """Rooms of so many columns beside each other, with a wall between two, on a picture of 20 x 60 pixels."""
    ids, labels, left = np.zeros((20, 60), np.uint16), [], 0
    for width in widths:
        ids[:, left : left + width] = len(labels) + 1
        ids[:, left + width : left + width + 2] = len(labels) + 2
        labels += ["部屋", "inwall"]
        left += width + 2
    return Sample(np.full((20, 60, 3), 250, np.uint8), ids, tuple(labels), name)


def model(sample: Sample) -> SegmentationResult:
    """Finds everything, but in drawings that are called bad only the walls."""
    ids = sample.ids.astype(np.int32) - 1
    if "bad" in sample.name:
        ids[ids % 2 == 0] = -1
    return SegmentationResult(
        id_grid=ids,
        row_index=np.arange(20),
        column_index=np.arange(60),
        segments_info=[
            {"id": id_, "label_id": id_ % 2, "was_fused": False, "score": 0.9}
            for id_ in range(len(sample.labels))
        ],
        id2label={0: "room", 1: "内壁"},
    )


@pytest.fixture
def evaluation() -> Evaluation:
    drawings = [
        drawing("good", 20, 10),
        drawing("bad <1>", 30),
        drawing("worse, bad", 10, 10, 10),
        drawing("fair", 40),
    ]
    return evaluate(drawings, model, ["room", "inwall"], n_worst=2)


def test_labels_mean_the_same_in_two_languages(evaluation: Evaluation) -> None:
    total = evaluation.total
    assert total["inwall"].pq == 1
    assert (total["room"].n_true, total["room"].n_found, len(total["room"].matches)) == (7, 3, 3)
    assert evaluation.mean_iou == pytest.approx((1 + total["room"].iou) / 2)
    assert [image.name for image in evaluation.images] == ["good", "bad <1>", "worse, bad", "fair"]


def test_the_worst_are_kept(evaluation: Evaluation) -> None:
    assert [case.name for case in evaluation.worst] == ["bad <1>", "worse, bad"]
    assert [case.quality for case in evaluation.worst] == pytest.approx([2 / 3, 2 / 3])


@pytest.mark.parametrize(
    ("true", "known", "shared", "unknown"),
    [
        (["room", "door", "window"], ["room", "exwall", "door"], ["room", "door"], ["window"]),
        (["部屋", "外壁"], ["exwall", "room"], ["exwall", "room"], []),
        (["tree"], ["room"], [], ["tree"]),
        (["tree"], ["tree"], ["tree"], []),
    ],
)
def test_shared_labels(true: list[str], known: list[str], shared: list[str], unknown: list[str]) -> None:
    assert shared_labels(true, known) == (shared, unknown)


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.cells: list[str] = []
        self.images: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.open.append(tag)
        if tag == "img":
            self.images.append(str(dict(attrs)["src"]))

    def handle_data(self, data: str) -> None:
        if self.open[-1:] == ["td"]:
            self.cells.append(data)


def test_report(evaluation: Evaluation, tmp_path: Path) -> None:
    folder = tmp_path / "報告"
    folder.mkdir()
    (folder / "worst-03.png").write_bytes(b"of a longer report")
    write_report(evaluation, folder, {"model": "a <b>"}, mm_per_pixel=10.0)
    assert sorted(path.name for path in folder.glob("*.png")) == ["worst-01.png", "worst-02.png"]
    page = _Page()
    page.feed((folder / "report.html").read_text(encoding="utf-8"))
    assert {"a <b>", "bad <1>", "0.600"} <= set(page.cells)  # 2 x 3 matches of 7 + 3 rooms
    assert page.images == ["worst-01.png", "worst-02.png"]
    with Image.open(folder / "worst-01.png") as picture:
        assert picture.width == 2 * 60 + 8
    document = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    assert document["labels"]["room"]["f1_50"] == pytest.approx(0.6)
    assert document["labels"]["room"]["area_error_m2"] == 0
    assert [image["name"] for image in document["images"]][1] == "bad <1>"
    assert document["images"][1]["labels"]["room"]["sq"] is None
    write_report(evaluation, folder, {}, mm_per_pixel=None)  # over the first one
    assert "area_error_m2" not in (folder / "scores.json").read_text(encoding="utf-8")
