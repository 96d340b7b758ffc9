import logging
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.areas import draw, lettering
from kkg_area_detection.areas.draw import draw_segments
from kkg_area_detection.areas.palette import PALETTE
from kkg_area_detection.areas.segments import summarize_segments
from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.result import SegmentationResult

ID2LABEL = {0: "room", 1: "wall", 2: "外壁", 9: "door"}


def result_of(
    ids: list[list[int]], labels: list[int], scale: int = 1, size: tuple[int, int] | None = None
) -> SegmentationResult:
    """`ids`, each cell `scale` pixels wide and high; or stretched to a size (width, height)."""
    grid = np.array(ids, dtype=np.int32)
    width, height = size or (grid.shape[1] * scale, grid.shape[0] * scale)
    return SegmentationResult(
        id_grid=grid,
        row_index=np.arange(height) * grid.shape[0] // height,
        column_index=np.arange(width) * grid.shape[1] // width,
        segments_info=[
            {"id": number, "label_id": label, "was_fused": False, "score": 0.9}
            for number, label in enumerate(labels)
        ],
        id2label=ID2LABEL,
    )


IDS = [[-1, 0, 0], [-1, 0, 1], [-1, -1, 1]]


@pytest.fixture
def no_full_map(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: SegmentationResult) -> None:
        raise AssertionError("the full-size map was asked for")

    monkeypatch.setattr(SegmentationResult, "_full_map", refuse)


@pytest.mark.usefixtures("no_full_map")
def test_summary() -> None:
    room, wall, hidden = summarize_segments(result_of(IDS, [0, 1, 0]))
    assert (room.label, room.pixels, room.share, room.box) == ("room", 3, pytest.approx(1 / 3), (1, 0, 3, 2))
    assert (wall.label, wall.pixels, wall.box) == ("wall", 2, (2, 1, 3, 3))
    assert (hidden.pixels, hidden.share, hidden.box) == (0, 0.0, None)


def test_summary_of_nothing() -> None:
    assert summarize_segments(result_of([[-1]], [])) == []


@pytest.mark.parametrize("size", [(1, 1), (4, 3), (7, 9), (50, 31), (3, 200)])
def test_the_summary_is_that_of_the_full_map(size: tuple[int, int]) -> None:
    """Also where the picture has fewer pixels than the grid has cells."""
    ids = np.random.default_rng(sum(size)).integers(-1, 4, (9, 7)).tolist()
    result = result_of(ids, [0] * 4, size=size)
    full = result["segmentation"].numpy()
    for one in summarize_segments(result):
        rows, columns = np.nonzero(full == one.id)
        assert one.pixels == rows.size
        expected = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1) if rows.size else None
        assert one.box == expected


@pytest.mark.usefixtures("no_full_map")
def test_background_is_left_as_it_was_and_segments_are_tinted() -> None:
    drawing = Image.new("RGB", (90, 90), "white")
    picture = draw_segments(drawing, result_of(IDS, [0, 1], scale=30))
    assert picture.width == 90
    assert picture.height > 90  # the legend
    assert picture.getpixel((10, 45)) == (255, 255, 255)
    tinted = [255 * 0.6 + channel * 0.4 for channel in PALETTE[0]]
    assert picture.getpixel((45, 45)) == pytest.approx(tinted, abs=1)
    assert drawing.getpixel((45, 45)) == (255, 255, 255)


def plain_painting(drawing: Image.Image, result: SegmentationResult, reach: int) -> np.ndarray:  # type: ignore[type-arg]
    """The same picture as draw_segments', without numbers and legend, pixel by pixel."""
    ids = result["segmentation"].numpy()
    painted = np.asarray(drawing).astype(float)
    for (y, x), here in np.ndenumerate(ids):
        colour = np.array(PALETTE[result["segments_info"][here]["label_id"]]) if here >= 0 else None
        column, row = ids[max(0, y - reach) : y + reach + 1, x], ids[y, max(0, x - reach) : x + reach + 1]
        if colour is not None and np.all(column == here) and np.all(row == here):
            painted[y, x] = painted[y, x] * 0.6 + colour * 0.4
        elif colour is not None:
            painted[y, x] = colour * 0.75
    return painted


@pytest.mark.parametrize("size", [(1, 1), (5, 4), (40, 90), (90, 40), (9, 7), (8, 1)])
def test_pixels_are_those_of_a_plain_painting(size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw, "_write_ids", lambda *_: None)
    random = np.random.default_rng(sum(size))
    ids = np.kron(random.integers(-1, 3, (3, 4)), np.ones((3, 2), int)).tolist()
    drawing = Image.fromarray(random.integers(0, 256, (size[1], size[0], 3), np.uint8))
    result = result_of(ids, [0, 1, 1], size=size)
    picture = np.asarray(draw_segments(drawing, result))[: size[1]].astype(float)
    assert np.abs(picture - plain_painting(drawing, result, reach=1)).max() <= 2


def test_borders_grow_with_the_drawing() -> None:
    ids = [[0, 1]]
    picture = draw_segments(
        Image.new("RGB", (1800, 1800), "white"), result_of(ids, [0, 1], size=(1800, 1800))
    )
    colours = [picture.getpixel((x, 100)) for x in range(890, 910)]
    border = [tuple(int(channel * 0.75) for channel in PALETTE[label]) for label in (0, 1)]
    assert [colours.count(one) for one in border] == [3, 3]


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 900), (1300, 700)])
def test_any_size(size: tuple[int, int]) -> None:
    assert draw_segments(Image.new("L", size), result_of([[0]], [0], size=size)).width == size[0]


def test_each_segment_is_numbered_where_it_has_most_room() -> None:
    ids = [
        [-1] * 9,
        [-1, 0, 0, 0, -1, -1, -1, 1, -1],
        [-1, 0, 0, 0, -1, -1, -1, -1, -1],
        [-1, 0, 0, 0, -1, 2, 2, 2, 2],
    ]
    points = {one[0]: one[1:] for one in draw._roomy_points(result_of(ids, [0, 0, 0]))}
    assert points == {0: (2.5, 2.5, 2.0), 1: (7.5, 1.5, 1.0), 2: (7.5, 3.5, 1.0)}


def test_nothing_found() -> None:
    assert draw_segments(Image.new("RGB", (4, 4)), result_of([[-1] * 4] * 4, [])).size == (4, 4)


def test_an_image_of_another_size() -> None:
    with pytest.raises(UsageError, match="90 x 90 pixels, but the result is for 3 x 3"):
        draw_segments(Image.new("RGB", (90, 90)), result_of(IDS, [0, 1]))


def test_a_label_beyond_the_palette() -> None:
    draw_segments(Image.new("RGB", (3, 3)), result_of(IDS, [9, 9]))


@pytest.fixture
def no_japanese_font(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(lettering, "_JAPANESE_FONTS", ("no-such-font.ttc",))
    lettering._say_that_a_font_is_missing.cache_clear()
    yield
    lettering._say_that_a_font_is_missing.cache_clear()


@pytest.mark.usefixtures("no_japanese_font")
def test_a_missing_font_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        draw_segments(Image.new("RGB", (3, 3)), result_of(IDS, [0, 1]))
        assert not caplog.records
        for _ in range(2):
            draw_segments(Image.new("RGB", (3, 3)), result_of(IDS, [0, 2]))
    assert caplog.text.count("Noto Sans CJK") == 1
