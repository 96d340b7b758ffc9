import logging

import numpy as np
import pytest
import torch
from PIL import Image

from kkg_area_detection.errors import DeviceError, ImageError, UsageError
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
from kkg_area_detection.segmentation.segmenter import Segmenter
from kkg_area_detection.segmentation.tiling import segment_tiled
from kkg_area_detection.segmentation.windows import TileSettings
from tests.segmentation.test_merging import random_rooms, same_partition

CPU = torch.device("cpu")
SEEN_AS_IT_IS = ProcessorSettings(kind="maskformer", do_resize=False, do_rescale=False, do_normalize=False)


class ColourEngine:
    """A network that knows: a pixel whose red value is k belongs to thing k - 1; 0 is background."""

    id2label = {0: "room", 1: "exwall"}  # noqa: RUF012

    def __init__(self, queries=60, device="cpu", most=100, stride=4, narrowest=0):
        self.device = torch.device(device)
        self.batches = []
        self._queries = queries
        self._most = most
        self._stride = stride
        self._narrowest = narrowest

    def forward(self, pixel_values):
        self.batches.append(len(pixel_values))
        if len(pixel_values) > self._most:
            raise torch.OutOfMemoryError("CUDA out of memory")
        cells = pixel_values[:, :1, 2 :: self._stride, 2 :: self._stride]
        if pixel_values.shape[-1] < self._narrowest:
            cells = torch.zeros_like(cells)
        things = torch.arange(1, self._queries + 1).view(1, -1, 1, 1)
        mask_logits = torch.where(cells == things, 20.0, -20.0)
        shown = (mask_logits > 0).flatten(2).any(2)
        class_logits = torch.full((len(pixel_values), self._queries, 3), -20.0)
        class_logits[:, 0::2, 0] = class_logits[:, 1::2, 1] = 20.0
        class_logits[..., 2] = torch.where(shown, -20.0, 40.0)
        return MaskOutputs(class_logits, mask_logits)


class Progress:
    def __init__(self):
        self.total, self.done = None, 0

    def start(self, description, total_items, /):
        self.total = total_items

    def advance(self, n_items, /):
        self.done += n_items


def picture_of(id_map):
    """Each cell as 4 x 4 pixels, a colour for each thing."""
    red = np.kron(id_map + 1, np.ones((4, 4))).astype(np.uint8)
    return Image.fromarray(np.dstack([red, red * 0, red * 0]))


@pytest.mark.parametrize("shape", [(16, 16), (12, 70), (37, 53), (50, 50)])
@pytest.mark.parametrize("tiles", [(64, 4), (64, 32), (100, 30), (72, 20)])
def test_a_known_picture_comes_back(shape, tiles):
    id_map = random_rooms(5, shape)
    segmenter = Segmenter(ColourEngine(), SEEN_AS_IT_IS)
    image = picture_of(id_map)
    progress = Progress()
    result = segment_tiled(segmenter, image, TileSettings(*tiles), 0.5, progress)
    assert result.image_size == image.size
    full = np.kron(id_map, np.ones((4, 4), int))
    assert same_partition(result["segmentation"].numpy(), full)
    for info in result["segments_info"]:
        thing = int(full[result["segmentation"].numpy() == info["id"]][0])
        assert info["label_id"] == thing % 2
        assert info["score"] == pytest.approx(1)
        assert info["was_fused"] is False
    assert [info["id"] for info in result["segments_info"]] == list(
        range(len(np.unique(id_map[id_map >= 0])))
    )
    assert result.id2label == {0: "room", 1: "exwall"}
    assert progress.done == progress.total == sum(segmenter.engine.batches)


def test_a_cell_that_is_left_over_shows_the_last_one():
    id_map = random_rooms(5, (20, 40))
    image = picture_of(id_map).crop((0, 0, 160, 78))
    result = segment_tiled(Segmenter(ColourEngine(), SEEN_AS_IT_IS), image, TileSettings(64, 16))
    assert result["segmentation"].shape == (78, 160)
    assert (result["segmentation"][75] == result["segmentation"][77]).all()


def test_a_network_with_coarser_masks():
    id_map = np.kron(random_rooms(1, (8, 16)), np.ones((2, 2), int))
    segmenter = Segmenter(ColourEngine(stride=8), SEEN_AS_IT_IS)
    result = segment_tiled(segmenter, picture_of(id_map), TileSettings(64, 32))
    assert same_partition(result.id_grid, id_map)


def test_what_only_the_whole_sheet_shows():
    id_map = np.full((40, 40), -1)
    id_map[5:35, 10:35] = 0
    id_map[1, 1:39] = 1  # too thin to be sure of
    segmenter = Segmenter(ColourEngine(narrowest=65), SEEN_AS_IT_IS)
    result = segment_tiled(segmenter, picture_of(id_map), TileSettings(64, 16))
    core = np.full((40, 40), -1)
    core[6:34, 11:34] = 0
    assert np.array_equal(result.id_grid, core)


@pytest.mark.parametrize("threshold", [0.0, 0.5, 1.0])
def test_nothing_found(threshold):
    image = Image.new("RGB", (300, 200))
    engine = ColourEngine()
    result = segment_tiled(Segmenter(engine, SEEN_AS_IT_IS), image, TileSettings(64, 16), threshold)
    assert result["segments_info"] == []
    assert (result["segmentation"] == -1).all()
    assert result["segmentation"].shape == (200, 300)


def test_a_gpu_runs_several_windows_and_fewer_where_they_do_not_fit(caplog):
    id_map = random_rooms(2, (50, 50))
    usual = segment_tiled(Segmenter(ColourEngine(), SEEN_AS_IT_IS), picture_of(id_map), TileSettings(64, 16))
    engine = ColourEngine(device="cuda:0", most=3)
    with caplog.at_level(logging.WARNING):
        result = segment_tiled(Segmenter(engine, SEEN_AS_IT_IS), picture_of(id_map), TileSettings(64, 16))
    assert result == usual
    assert engine.batches[:4] == [1, 8, 4, 2]
    assert "cuda:0 ran out of memory" in caplog.text
    assert "batches of 2" in caplog.text
    too_small = Segmenter(ColourEngine(device="cuda:0", most=0), SEEN_AS_IT_IS)
    with pytest.raises(DeviceError, match="ran out of memory"):
        segment_tiled(too_small, picture_of(id_map), TileSettings(64, 16))


def test_bad_arguments():
    segmenter = Segmenter(ColourEngine(), SEEN_AS_IT_IS)
    with pytest.raises(UsageError, match="threshold is 2"):
        segment_tiled(segmenter, Image.new("RGB", (100, 100)), TileSettings(64, 16), 2)
    with pytest.raises(ImageError, match="mode L"):
        segment_tiled(segmenter, Image.new("L", (100, 100)), TileSettings(64, 16))


@pytest.mark.parametrize("kind", ["maskformer", "mask2former"])
def test_small_rooms_on_a_large_sheet(demo_model, sample_plans, kind):
    """Nine plans on one sheet: as a whole they are too small for the bundled model."""
    loaded = Segmenter.load(demo_model, CPU)
    settings = ProcessorSettings(**{**vars(loaded.settings), "kind": kind})
    segmenter = Segmenter(loaded.engine, settings)
    plan = Image.open(sample_plans["house-ja"]).convert("RGB").resize((1000, 750))
    sheet = Image.new("RGB", (3000, 2250), "white")
    for place in range(9):
        sheet.paste(plan, (place % 3 * 1000, place // 3 * 750))
    whole, tiled = segmenter.segment(sheet), segment_tiled(segmenter, sheet, TileSettings(1100, 275))
    assert tiled.image_size == sheet.size
    assert rooms_in(tiled) >= 9 * 7  # of 9 x 9
    assert rooms_in(whole) < rooms_in(tiled) - 9
    assert {tiled.label_of(info["id"]) for info in tiled["segments_info"]} >= {"room", "exwall", "inwall"}
    scores = [info["score"] for info in tiled["segments_info"]]
    assert min(scores) >= 0.5
    assert scores == [round(score, 6) for score in scores]


def rooms_in(result):
    counts = result.pixel_counts()
    return sum(result.label_of(id_) == "room" and count > 5000 for id_, count in counts.items())
