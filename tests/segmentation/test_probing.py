"""A network that is a table: what it finds depends on how much of the drawing it is shown."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from kkg_area_detection.segmentation.preprocessing import EdgeLimits, ProcessorSettings
from kkg_area_detection.segmentation.probing import _busiest_window, _things, find_tiles
from kkg_area_detection.segmentation.result import SegmentationResult
from kkg_area_detection.segmentation.windows import TileSettings

SMALL = ProcessorSettings(kind="maskformer", size=EdgeLimits(256, 256))
LARGE = ProcessorSettings(kind="maskformer", size=EdgeLimits(1024, 1024))


def found(n_side: int, score: float, size: tuple[int, int]) -> SegmentationResult:
    """So many squares along each side, each with a frame of a wall around it; the walls' label comes first."""
    cell = 8
    ids = np.zeros((max(1, n_side) * cell,) * 2, np.int32)
    for number in range(n_side**2):
        top, left = number // n_side * cell, number % n_side * cell
        ids[top + 1 : top + cell - 1, left + 1 : left + cell - 1] = number + 1
    return SegmentationResult(
        id_grid=ids,
        row_index=np.arange(size[1]) * len(ids) // size[1],
        column_index=np.arange(size[0]) * len(ids) // size[0],
        segments_info=[{"id": 0, "label_id": 0, "was_fused": False, "score": 0.99}] * (n_side > 0)
        + [
            {"id": number + 1, "label_id": 1, "was_fused": False, "score": score}
            for number in range(n_side**2)
        ],
        id2label={0: "wall", 1: "room"},
    )


class Table:
    """Stands in for a segmenter: rooms along a side and their score, by the part of the drawing that is shown."""

    def __init__(self, settings: ProcessorSettings, width: int, finds: dict[int, tuple[int, float]]) -> None:
        self.settings, self._width, self._finds = settings, width, finds
        self.looks: list[int] = []

    def segment(self, image: Image.Image, threshold: float, painting: str) -> SegmentationResult:
        assert (threshold, painting) == (0.5, "fine")
        parts = round(self._width / image.width)
        self.looks.append(parts)
        return found(*self._finds[parts], image.size)


@pytest.mark.parametrize(
    ("settings", "width", "finds", "size", "looks"),
    [
        pytest.param(SMALL, 1200, {1: (4, 0.9)}, None, [1], id="a dwelling"),
        pytest.param(SMALL, 1200, {1: (3, 0.7)}, None, [1], id="few things, not sure"),
        pytest.param(SMALL, 1200, {1: (4, 0.7), 2: (3, 0.6)}, None, [1, 2], id="not sure, and less in half"),
        pytest.param(
            SMALL, 1200, {1: (4, 0.7), 2: (3, 0.8), 3: (2, 0.7)}, 600, [1, 2, 3], id="surer in half"
        ),
        pytest.param(SMALL, 1200, {1: (0, 0.7)}, None, [1], id="nothing"),
        pytest.param(SMALL, 1200, {1: (5, 0.9), 2: (3, 0.6)}, 600, [1, 2], id="many things"),
        pytest.param(SMALL, 1200, {1: (5, 0.9), 2: (0, 0.9)}, None, [1, 2], id="nothing in half"),
        pytest.param(SMALL, 1200, {1: (5, 0.9), 2: (6, 0.8), 3: (3, 0.8)}, 400, [1, 2, 3], id="many in half"),
        pytest.param(
            SMALL, 1200, {1: (5, 0.9), 2: (6, 0.8), 3: (3, 0.7)}, 600, [1, 2, 3], id="but then less sure"
        ),
        pytest.param(
            SMALL,
            1200,
            {1: (5, 0.9), 2: (6, 0.8), 3: (8, 0.9), 4: (3, 0.9)},
            300,
            [1, 2, 3, 4],
            id="many in a third",
        ),
        pytest.param(SMALL, 700, {1: (5, 0.9), 2: (9, 0.9)}, 350, [1, 2], id="no more detail to be seen"),
        pytest.param(SMALL, 400, {1: (5, 0.7)}, None, [1], id="none at all"),
        pytest.param(SMALL, 4000, {1: (3, 0.9)}, None, [1], id="a large scan of a dwelling"),
        pytest.param(SMALL, 4000, {1: (3, 0.7), 2: (3, 0.6)}, None, [1, 2], id="not surer in half"),
        pytest.param(
            SMALL, 4000, {1: (1, 0.6), 2: (2, 0.8), 3: (2, 0.7)}, 2000, [1, 2, 3], id="too faint as a whole"
        ),
        pytest.param(
            SMALL,
            4000,
            {1: (0, 0), 2: (0, 0), 3: (2, 0.8), 4: (2, 0.7)},
            1334,
            [1, 2, 3, 4],
            id="unseen in half",
        ),
        pytest.param(
            SMALL,
            4000,
            dict.fromkeys((1, 2, 3, 4, 6, 8, 12), (0, 0)),
            None,
            [1, 2, 3, 4, 6, 8, 12],
            id="empty",
        ),
        pytest.param(SMALL, 4000, {1: (5, 0.9), 2: (3, 0.8)}, 2000, [1, 2], id="many on a large sheet"),
        pytest.param(LARGE, 1200, {}, None, [], id="a large input is not probed"),
        pytest.param(LARGE, 8000, {}, 2339, [], id="nor on a large sheet, where size decides"),
    ],
)
def test_automatic(
    settings: ProcessorSettings,
    width: int,
    finds: dict[int, tuple[int, float]],
    size: int | None,
    looks: list[int],
) -> None:
    table = Table(settings, width, finds)
    tiles = find_tiles("auto", table, Image.new("RGB", (width, width), "white"))  # type: ignore[arg-type]
    assert tiles == (None if size is None else TileSettings(size, size // 4))
    assert table.looks == looks


@pytest.mark.parametrize("tile", [None, (512, 128)])
def test_what_the_caller_wants_is_not_probed(tile: tuple[int, int] | None) -> None:
    table = Table(SMALL, 1200, {})
    expected = None if tile is None else TileSettings(*tile)
    assert find_tiles(tile, table, Image.new("RGB", (1200, 900))) == expected  # type: ignore[arg-type]


def test_things_are_those_of_the_main_label() -> None:
    assert _things(found(3, 0.8, (240, 240))).tolist() == [0.8] * 9
    assert len(_things(found(0, 0.8, (240, 240)))) == 0


@pytest.mark.parametrize(
    ("drawn", "size", "window"),
    [
        ((700, 50, 780, 130), 400, (400, 0, 800, 400)),
        ((20, 300, 60, 380), 400, (0, 200, 400, 600)),
        (None, 400, (0, 0, 400, 400)),
        ((700, 50, 780, 130), 2000, (0, 0, 800, 600)),
    ],
)
def test_the_busiest_window(
    drawn: tuple[int, int, int, int] | None, size: int, window: tuple[int, int, int, int]
) -> None:
    image = Image.new("RGB", (800, 600), "white")
    if drawn:
        for step in range(0, 18, 3):
            left, top, right, bottom = drawn
            ImageDraw.Draw(image).rectangle(
                (left + step, top + step, right - step, bottom - step), outline="black"
            )
    left, top, right, bottom = _busiest_window(image, size)
    assert (right - left, bottom - top) == (window[2] - window[0], window[3] - window[1])
    if drawn:
        assert left <= drawn[0] and top <= drawn[1] and right >= drawn[2] and bottom >= drawn[3]  # noqa: PT018
