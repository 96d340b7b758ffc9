"""What windows show of a known map must be merged back into that map."""

import random

import numpy as np
import pytest

from kkg_area_detection.segmentation.merging import (
    merge_pieces,
    paint_pieces,
    piece_in_window,
    piece_of_sheet,
)
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
from kkg_area_detection.segmentation.windows import Box, TileSettings, lay_out

# Without resizing, a cell is 4 pixels and a window of 64 pixels has 16 cells.
SETTINGS = ProcessorSettings(kind="maskformer", do_resize=False)


def windows_on(shape, overlap_cells=6):
    height, width = shape
    return lay_out((width * 4, height * 4), TileSettings(64, overlap_cells * 4), SETTINGS).windows


def pieces_of_map(id_map, windows, labels, scores=None):
    """What windows show of a map of ids (-1 for nothing)."""
    pieces = []
    for window in windows:
        seen = id_map[window.top : window.bottom, window.left : window.right]
        for id_ in np.unique(seen[seen >= 0]):
            score = scores() if scores else 0.9
            pieces.append(piece_in_window(labels[id_], score, seen == id_, window, id_map.shape))
    return pieces


def random_rooms(seed, shape):
    """Boxes with and without walls between them, some joined to an L: ids from 0, -1 for walls."""
    choose = random.Random(seed)
    id_map = np.full(shape, -1)
    boxes = [(0, 0, *shape)]
    for _ in range(40):
        top, left, bottom, right = boxes.pop(choose.randrange(len(boxes)))
        wall = choose.choice([0, 0, 1])
        if bottom - top > right - left and bottom - top >= 8:
            cut = choose.randint(top + 3, bottom - 4)
            boxes += [(top, left, cut, right), (cut + wall, left, bottom, right)]
        elif right - left >= 8:
            cut = choose.randint(left + 3, right - 4)
            boxes += [(top, left, bottom, cut), (top, cut + wall, bottom, right)]
        else:
            boxes.append((top, left, bottom, right))
    for number, (top, left, bottom, right) in enumerate(boxes):
        id_map[top:bottom, left:right] = number
    joined = choose.randrange(len(boxes))
    border = np.zeros(shape, bool)
    border[:, :-1] = (id_map[:, :-1] == joined) & (id_map[:, 1:] != joined)
    for row, column in np.argwhere(border)[:1]:
        neighbour = id_map[row, column + 1]
        if neighbour >= 0:
            id_map[id_map == neighbour] = joined
    return id_map


def same_partition(one, other):
    """Whether two id maps differ only in their numbers."""
    pairs = {(int(a), int(b)) for a, b in zip(one.ravel(), other.ravel(), strict=True)}
    backgrounds = all((a == -1) == (b == -1) for a, b in pairs)
    return backgrounds and len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def merged_map(pieces, shape, coarse=()):
    merged = merge_pieces(pieces, coarse, shape)
    return merged, paint_pieces(merged, shape)


@pytest.mark.parametrize("shape", [(16, 16), (10, 12), (16, 60), (61, 9), (37, 53), (40, 40), (64, 100)])
@pytest.mark.parametrize("overlap", [1, 3, 8])
@pytest.mark.parametrize("seed", range(8))
def test_a_known_map_comes_back(shape, overlap, seed):
    id_map = random_rooms(seed, shape)
    choose = random.Random(seed)
    labels = [choose.randrange(2) for _ in range(id_map.max() + 1)]
    pieces = pieces_of_map(id_map, windows_on(shape, overlap), labels, choose.random)
    merged, painted = merged_map(pieces, shape)
    assert same_partition(painted, id_map)
    for number, piece in enumerate(merged):
        assert {labels[id_] for id_ in np.unique(id_map[painted == number])} == {piece.label}


@pytest.mark.parametrize("shape", [(5, 7), (16, 60), (37, 53)])
def test_nothing_found(shape):
    merged, painted = merged_map([], shape)
    assert merged == []
    assert painted.shape == shape
    assert (painted == -1).all()


def test_an_empty_mask_is_no_piece():
    empty = np.zeros((4, 4), bool)
    assert piece_in_window(0, 0.9, empty, Box(2, 2, 6, 6), (8, 8)) is None
    assert piece_of_sheet(0, 0.9, empty, np.arange(4), np.arange(4)) is None


@pytest.mark.parametrize(
    ("columns", "window", "cut"),
    [
        ((3, 6), (0, 8), (False, False, False, False)),
        ((3, 8), (0, 8), (False, False, False, True)),
        ((4, 8), (4, 12), (False, True, False, False)),
        ((0, 8), (0, 8), (False, False, False, True)),
        ((12, 20), (12, 20), (False, True, False, False)),  # the border of the sheet cuts nothing
        ((4, 12), (4, 12), (False, True, False, True)),
    ],
)
def test_what_a_border_cuts(columns, window, cut):
    inside = np.zeros((5, 8), bool)
    inside[1:4, columns[0] - window[0] : columns[1] - window[0]] = True
    piece = piece_in_window(0, 0.9, inside, Box(0, window[0], 5, window[1]), (5, 20))
    assert piece.box == Box(1, columns[0], 4, columns[1])
    assert piece.cut == cut


# Masks that do not agree. A strip of 20 cells, seen through two windows that share four of them.
FIRST, SECOND = Box(0, 0, 1, 12), Box(0, 8, 1, 20)


def seen(window, start, end, *, score=0.9, label=0):
    """A piece from one column to another, in a window of the strip."""
    inside = np.zeros((1, 12), bool)
    inside[0, start - window.left : end - window.left] = True
    return piece_in_window(label, score, inside, window, (1, 20))


def strip(pieces):
    """Merge, and draw what is seen: a letter for each segment, from left to right, with the scores."""
    merged, painted = merged_map(pieces, (1, 20))
    assert [piece.score for piece in merged] == sorted(piece.score for piece in merged)
    ids = list(dict.fromkeys(id_ for id_ in painted[0].tolist() if id_ >= 0))
    drawn = "".join("." if id_ < 0 else "abc"[ids.index(id_)] for id_ in painted[0].tolist())
    return drawn, [merged[id_].score for id_ in ids]


@pytest.mark.parametrize(
    ("pieces", "drawn", "scores"),
    [
        # The two halves of a room agree in the zone; the better score is its own.
        ([seen(FIRST, 4, 12), seen(SECOND, 8, 16)], "....aaaaaaaaaaaa....", [0.9]),
        ([seen(FIRST, 4, 12, score=0.6), seen(SECOND, 8, 20, score=0.8)], "....aaaaaaaaaaaaaaaa", [0.8]),
        # They do not: two rooms, of which one ends where the other begins, or a bit further.
        ([seen(FIRST, 4, 9), seen(SECOND, 9, 16)], "....aaaaabbbbbbb....", [0.9, 0.9]),
        ([seen(FIRST, 4, 12, score=0.6), seen(SECOND, 11, 16)], "....aaaaaaabbbbb....", [0.6, 0.9]),
        # Other labels never become one; the better one is painted later.
        (
            [seen(FIRST, 4, 12), seen(SECOND, 8, 16, label=1, score=0.6)],
            "....aaaaaaaabbbb....",
            [0.9, 0.6],
        ),
        # What one window shows whole is not replaced by what another cuts, even if that scores better.
        ([seen(FIRST, 7, 11, score=0.6), seen(SECOND, 8, 11)], ".......aaaa.........", [0.6]),
        # The same thing whole in both: the better one. A worse one in the same window goes, too.
        ([seen(FIRST, 8, 11, score=0.6), seen(SECOND, 9, 11)], ".........aa.........", [0.9]),
        ([seen(FIRST, 2, 8), seen(FIRST, 3, 7, score=0.6)], "..aaaaaa............", [0.9]),
        # A piece that runs over something that is known as a whole keeps what is free.
        ([seen(FIRST, 9, 10, score=0.6), seen(SECOND, 8, 16)], "........abaaaaaa....", [0.9, 0.6]),
        # Neighbours stay apart: two whole ones that overlap a bit, in one window, and at the seam.
        ([seen(FIRST, 4, 11), seen(SECOND, 9, 17, score=0.6)], "....aaaaaaabbbbbb...", [0.9, 0.6]),
        ([seen(FIRST, 1, 5), seen(FIRST, 5, 8)], ".aaaabbb............", [0.9, 0.9]),
        ([seen(FIRST, 1, 12), seen(SECOND, 8, 12), seen(SECOND, 12, 20)], ".aaaaaaaaaaabbbbbbbb", [0.9, 0.9]),
    ],
)
def test_pieces_of_a_strip(pieces, drawn, scores):
    assert strip(pieces) == (drawn, scores)
    assert strip(pieces[::-1]) == (drawn, scores)


def test_pieces_of_one_label_never_overlap():
    choose = random.Random(0)
    pieces = []
    for window in windows_on((40, 40)):
        for _ in range(6):
            inside = np.zeros((16, 16), bool)
            top, left = choose.randrange(12), choose.randrange(12)
            inside[top : top + choose.randint(2, 9), left : left + choose.randint(2, 9)] = True
            pieces.append(piece_in_window(0, choose.random(), inside, window, (40, 40)))
    merged, painted = merged_map(pieces, (40, 40))
    assert len(merged) > 10
    assert sum(piece.area for piece in merged) == np.count_nonzero(painted >= 0)


# The whole sheet: 12 x 24 cells in coarse ones of 3 x 3, seen through three windows without agreement.
SHEET = (12, 24)
ROWS, COLUMNS = np.arange(12) // 3, np.arange(24) // 3
LEFT, MIDDLE, RIGHT = Box(0, 0, 12, 10), Box(0, 7, 12, 17), Box(0, 14, 12, 24)


def on_sheet(window, rows, columns, score=0.9):
    inside = np.zeros((12, 10), bool)
    inside[slice(*rows), columns[0] - window.left : columns[1] - window.left] = True
    return piece_in_window(0, score, inside, window, SHEET)


def coarse(rows, columns, score=0.7):
    """A rectangle, given in coarse cells."""
    inside = np.zeros((4, 8), bool)
    inside[slice(*rows), slice(*columns)] = True
    return piece_of_sheet(0, score, inside, ROWS, COLUMNS)


SCRAPS = [on_sheet(LEFT, (4, 8), (4, 10)), on_sheet(RIGHT, (3, 8), (14, 20))]


@pytest.mark.parametrize(
    ("pieces", "coarse_pieces", "expected"),
    [
        pytest.param(SCRAPS, [], [Box(4, 4, 8, 10), Box(3, 14, 8, 20)], id="fragments stay apart"),
        pytest.param(
            SCRAPS, [coarse((1, 3), (1, 7))], [Box(3, 4, 8, 20)], id="a thin coarse one only joins them"
        ),
        pytest.param(
            SCRAPS,
            [coarse((0, 4), (1, 7))],
            [Box(0, 4, 12, 20)],
            id="a thick one fills them up with its core",
        ),
        pytest.param(
            SCRAPS,
            [coarse((1, 3), (1, 4)), coarse((1, 3), (4, 7))],
            [Box(4, 4, 8, 10), Box(3, 14, 8, 20)],
            id="two coarse ones keep them apart",
        ),
        pytest.param(
            [on_sheet(LEFT, (4, 8), (2, 7)), on_sheet(RIGHT, (4, 8), (15, 20))],
            [coarse((1, 3), (0, 7))],
            [Box(4, 2, 8, 7), Box(4, 15, 8, 20)],
            id="what is made of known things is not believed",
        ),
        pytest.param(
            [on_sheet(LEFT, (4, 9), (4, 10)), on_sheet(MIDDLE, (3, 9), (7, 14))],
            [coarse((1, 4), (0, 6))],
            [Box(3, 4, 9, 14)],
            id="pieces that go on beyond each cut are as good as whole",
        ),
        pytest.param(
            SCRAPS,
            [coarse((1, 3), (1, 7)), coarse((1, 3), (1, 4), score=0.8)],
            [Box(4, 4, 8, 10), Box(3, 14, 8, 20)],
            id="the better coarse one decides",
        ),
        pytest.param(
            SCRAPS[:1],
            [coarse((1, 3), (0, 8)), coarse((1, 3), (1, 4), score=0.8)],
            [Box(4, 4, 8, 10)],
            id="a fragment is used once",
        ),
        pytest.param(
            [on_sheet(LEFT, (3, 9), (3, 6))],
            [coarse((0, 4), (0, 3))],
            [Box(3, 3, 9, 6), Box(0, 0, 12, 6)],
            id="a core keeps what is free",
        ),
        pytest.param(
            [on_sheet(LEFT, (0, 3), (0, 7))],
            [coarse((0, 2), (0, 5))],
            [Box(0, 0, 3, 7)],
            id="a core that is mostly held adds nothing",
        ),
        pytest.param([], [coarse((0, 4), (1, 7))], [Box(0, 6, 12, 18)], id="windows missed it"),
        pytest.param([], [coarse((1, 3), (1, 7))], [], id="too thin to be sure of"),
    ],
)
def test_the_whole_sheet_settles(pieces, coarse_pieces, expected):
    merged, _ = merged_map(pieces, SHEET, coarse_pieces)
    assert sorted(piece.box for piece in merged) == sorted(expected)


def test_a_stray_line_does_not_tie_two_things_together():
    room = on_sheet(LEFT, (4, 8), (3, 9))
    runs_over = np.zeros((12, 10), bool)
    runs_over[4:8, 0:2] = runs_over[4, 2:10] = True  # half of it is the room, half the line
    other = np.zeros((12, 10), bool)
    other[4, 0:3] = other[4:8, 3:6] = True
    pieces = [
        room,
        piece_in_window(0, 0.9, runs_over, MIDDLE, SHEET),
        piece_in_window(0, 0.9, other, RIGHT, SHEET),
    ]
    merged, _ = merged_map(pieces, SHEET)
    assert sorted(piece.box for piece in merged) == [room.box, Box(4, 14, 8, 20)]


def test_what_the_whole_sheet_joins_has_its_score():
    merged, _ = merged_map(SCRAPS, SHEET, [coarse((1, 3), (1, 7), score=0.7)])
    assert [piece.score for piece in merged] == [0.7]


def test_what_the_whole_sheet_settled_lies_below():
    room, closet = coarse((0, 4), (0, 8), score=0.95), on_sheet(LEFT, (4, 7), (3, 6), score=0.6)
    merged, painted = merged_map([closet], SHEET, [room])
    assert [piece.score for piece in merged] == [0.95, 0.6]
    assert (painted[4:7, 3:6] == 1).all()
    assert (painted[0] == 0).all()
