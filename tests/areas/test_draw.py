import numpy as np
import pytest
from PIL import Image

from kkg_area_detection.areas.draw import PALETTE, draw_segments
from kkg_area_detection.areas.segments import summarize_segments
from kkg_area_detection.errors import UsageError


class Result(dict):  # type: ignore[type-arg]
    """A segmentation as this room sees it."""

    @property
    def id2label(self) -> dict[int, str]:
        return {0: "room", 1: "外壁", 9: "door"}


def result_of(ids: list[list[int]], labels: list[int], scale: int = 1) -> Result:
    array = np.kron(np.array(ids), np.ones((scale, scale), int)).astype(np.int32)
    infos = [
        {"id": number, "label_id": label, "was_fused": False, "score": 0.9}
        for number, label in enumerate(labels)
    ]
    return Result(segmentation=array, segments_info=infos)


IDS = [[-1, 0, 0], [-1, 0, 1], [-1, -1, 1]]


def test_summary() -> None:
    room, wall, hidden = summarize_segments(result_of(IDS, [0, 1, 0]))
    assert (room.label, room.pixels, room.share, room.box) == ("room", 3, pytest.approx(1 / 3), (1, 0, 3, 2))
    assert (wall.label, wall.pixels, wall.box) == ("外壁", 2, (2, 1, 3, 3))
    assert (hidden.pixels, hidden.share, hidden.box) == (0, 0.0, None)


def test_summary_of_nothing() -> None:
    assert summarize_segments(result_of([[-1]], [])) == []


def test_background_is_left_as_it_was_and_segments_are_tinted() -> None:
    drawing = Image.new("RGB", (90, 90), "white")
    picture = draw_segments(drawing, result_of(IDS, [0, 1], scale=30))
    assert picture.width == 90
    assert picture.height > 90  # the legend
    assert picture.getpixel((10, 45)) == (255, 255, 255)
    tinted = tuple(int(255 * 0.6 + channel * 0.4) for channel in PALETTE[0])
    assert picture.getpixel((45, 45)) == tinted
    assert drawing.getpixel((45, 45)) == (255, 255, 255)


def test_borders_are_darker_than_fills() -> None:
    picture = draw_segments(Image.new("RGB", (90, 90), "white"), result_of(IDS, [0, 1], scale=30))
    border, fill = picture.getpixel((30, 45)), picture.getpixel((45, 45))
    assert isinstance(border, tuple)
    assert isinstance(fill, tuple)
    assert sum(border) < sum(fill)


@pytest.mark.parametrize("size", [(1, 1), (5, 3), (2, 900), (1300, 700)])
def test_any_size(size: tuple[int, int]) -> None:
    ids = np.zeros(size[::-1], int).tolist()
    assert draw_segments(Image.new("L", size), result_of(ids, [0])).width == size[0]


def test_nothing_found() -> None:
    assert draw_segments(Image.new("RGB", (4, 4)), result_of([[-1] * 4] * 4, [])).size == (4, 4)


def test_an_image_of_another_size() -> None:
    with pytest.raises(UsageError, match="90 x 90 pixels, but the result is for 3 x 3"):
        draw_segments(Image.new("RGB", (90, 90)), result_of(IDS, [0, 1]))


def test_a_label_beyond_the_palette() -> None:
    draw_segments(Image.new("RGB", (3, 3)), result_of(IDS, [9, 9]))
