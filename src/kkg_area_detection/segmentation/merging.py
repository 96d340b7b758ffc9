"""One set of segments out of what overlapping windows and a look at the whole sheet show. Pure arrays.

A window shows some things as a whole and cuts others. What is whole in a window is known best. What is cut is
put together from its pieces: two windows show the same thing where they agree about the zone that both see.
The whole sheet, seen coarsely, settles the rest: pieces that lie in one of its segments belong together.

Everything lies on one grid for the sheet, on which the windows stand at whole cells. A mask is kept within its
own box, so that memory grows with what is found and not with the sheet.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from kkg_area_detection.segmentation.result import BACKGROUND
from kkg_area_detection.segmentation.windows import Box

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

# Two masks agree, and one is part of another, from this share on.
_SAME = 0.5

# A coarse segment is no longer believed where so much of it is made of things that are known better: it is
# several of them, run together.
_RUN_TOGETHER = 0.3


_ORIGIN = Box(0, 0, 0, 0)


@dataclass(frozen=True, eq=False)
class Piece:
    """Something that was found, or a part of it.

    Attributes:
        label: Class index.
        score: 0 to 1.
        box: A box around its cells.
        inside: Shape of ``box``, bool.
        window: The window that shows it; None for what several show, or the whole sheet.
        cut: Whether the window's top, left, bottom and right border cut it. The border of the sheet cuts
            nothing.
    """

    label: int
    score: float
    box: Box
    inside: NDArray[np.bool_]
    window: Box | None = None
    cut: tuple[bool, bool, bool, bool] = (False, False, False, False)

    @property
    def is_whole(self) -> bool:
        """Whether no border cuts it."""
        return not any(self.cut)

    @property
    def area(self) -> int:
        """Its number of cells."""
        return int(np.count_nonzero(self.inside))

    def part(self, box: Box) -> NDArray[np.bool_]:
        """Its cells within a box, as a view on the common part of the two boxes."""
        return self.inside[box.slices(self.box)]


def piece_in_window(
    label: int, score: float, inside: NDArray[np.bool_], window: Box, grid_shape: tuple[int, int]
) -> Piece | None:
    """Place what a window shows on the sheet.

    Args:
        label: Class index.
        score: 0 to 1.
        inside: Shape of the window, bool.
        window: Where it stands.
        grid_shape: Rows and columns of the sheet's grid.

    Returns:
        The piece; None for an empty mask.
    """
    piece = _cropped(label, score, inside, window)
    if piece is None:
        return None
    sheet = Box(0, 0, *grid_shape)
    sides = zip(piece.box, window, sheet, strict=True)
    top, left, bottom, right = (own == border != end for own, border, end in sides)
    return replace(piece, window=window, cut=(top, left, bottom, right))


class CoarsePiece(NamedTuple):
    """Something that the whole sheet shows.

    Attributes:
        outline: All of it.
        core: What is left without its outermost coarse cells, where it is sure to be; None where it is too
            thin to have any.
    """

    outline: Piece
    core: Piece | None


def piece_of_sheet(
    label: int, score: float, inside: NDArray[np.bool_], rows: NDArray[np.intp], columns: NDArray[np.intp]
) -> CoarsePiece | None:
    """Place what the whole sheet shows.

    Args:
        label: Class index.
        score: 0 to 1.
        inside: Shape of the coarse grid, bool.
        rows: For each row of the sheet's grid, the coarse row that it lies in.
        columns: The same for columns.

    Returns:
        The piece; None where no cell of the sheet's grid shows it.
    """
    sheet = Box(0, 0, len(rows), len(columns))
    cells = np.ix_(rows, columns)
    outline = _cropped(label, score, inside[cells], sheet)
    if outline is None:
        return None
    return CoarsePiece(outline, core=_cropped(label, score, _eroded(inside)[cells], sheet))


def merge_pieces(
    pieces: Iterable[Piece], coarse_pieces: Iterable[CoarsePiece], grid_shape: tuple[int, int]
) -> list[Piece]:
    """Make one set of segments out of what was found.

    Args:
        pieces: What the windows show.
        coarse_pieces: What the whole sheet shows.
        grid_shape: Rows and columns of the sheet's grid.

    Returns:
        The segments in painting order: those that the whole sheet settled first, and then by rising score.
        Two of one label never overlap.
    """
    pieces_of: defaultdict[int, list[Piece]] = defaultdict(list)
    for piece in pieces:
        pieces_of[piece.label].append(piece)
    coarse_pieces_of: defaultdict[int, list[CoarsePiece]] = defaultdict(list)
    for coarse in coarse_pieces:
        coarse_pieces_of[coarse.outline.label].append(coarse)

    below: list[Piece] = []
    above: list[Piece] = []
    for label in sorted(pieces_of.keys() | coarse_pieces_of.keys()):
        wholes, fragments = _put_together(pieces_of[label], grid_shape)
        claims = _Claims(grid_shape)
        above += claims.settle(wholes)
        settled, fragments = _settle_coarsely(claims, _best_first(coarse_pieces_of[label]), fragments)
        below += settled
        above += claims.settle(fragments)
    return sorted(below, key=_score) + sorted(above, key=_score)


def paint_pieces(pieces: Sequence[Piece], grid_shape: tuple[int, int]) -> NDArray[np.int32]:
    """Paint pieces one over the other.

    Args:
        pieces: In painting order.
        grid_shape: Rows and columns of the sheet's grid.

    Returns:
        Shape ``grid_shape``, int32: the place in ``pieces`` of the one that was painted last, or -1.
    """
    grid = np.full(grid_shape, BACKGROUND, dtype=np.int32)
    for id_, piece in enumerate(pieces):
        grid[piece.box.slices(_ORIGIN)][piece.inside] = id_
    return grid


class _Claims:
    """Who was first: the cells of one label that better pieces hold already."""

    def __init__(self, grid_shape: tuple[int, int]) -> None:
        self._held = np.zeros(grid_shape, dtype=bool)

    def held_share(self, piece: Piece) -> float:
        """The share of a piece that is held already."""
        return float(np.count_nonzero(self._view(piece) & piece.inside) / piece.area)

    def settle(self, pieces: Iterable[Piece]) -> list[Piece]:
        """Give each piece, the best first, what is free; leave out those that are mostly held."""
        return [
            self._hold(piece)
            for piece in sorted(pieces, key=_score, reverse=True)
            if self.held_share(piece) < _SAME
        ]

    def _hold(self, piece: Piece) -> Piece:
        view = self._view(piece)
        free = piece.inside & ~view
        view |= piece.inside
        return replace(piece, inside=free)

    def _view(self, piece: Piece) -> NDArray[np.bool_]:
        return self._held[piece.box.slices(_ORIGIN)]


def _put_together(pieces: list[Piece], grid_shape: tuple[int, int]) -> tuple[list[Piece], list[Piece]]:
    """Join what windows have cut.

    Returns:
        What is known as a whole, and what is still cut somewhere.
    """
    claims = _Claims(grid_shape)
    shown_whole = claims.settle(piece for piece in pieces if piece.is_whole)
    cut = [piece for piece in pieces if not piece.is_whole and claims.held_share(piece) < _SAME]
    wholes, fragments = [], []
    for group in _groups(shown_whole + cut):
        union = _union(group)
        best = max((piece for piece in group if piece.is_whole), key=_score, default=None)
        if best is not None and best.area >= _SAME * union.area:
            wholes.append(best)
        elif _is_closed(group, union):
            wholes.append(union)
        else:
            fragments.append(union)
    return wholes, fragments


def _settle_coarsely(
    claims: _Claims, coarse_pieces: Iterable[CoarsePiece], fragments: list[Piece]
) -> tuple[list[Piece], list[Piece]]:
    """Join the fragments that lie in one coarse piece, and fill them up with what it is sure of.

    Returns:
        The settled pieces, and the fragments that are left.
    """
    settled: list[Piece] = []
    for outline, core in coarse_pieces:
        if claims.held_share(outline) >= _RUN_TOGETHER:
            continue
        within = [piece for piece in fragments if _common_area(piece, outline) >= _SAME * piece.area]
        parts = within if core is None else [*within, core]
        if not parts:
            continue
        joined = claims.settle([replace(_union(parts), score=outline.score)])
        if joined:
            settled += joined
            fragments = [piece for piece in fragments if piece not in within]
    return settled, fragments


def _groups(pieces: list[Piece]) -> list[list[Piece]]:
    """Group pieces that show the same thing: union-find over the pairs that agree."""
    parents = list(range(len(pieces)))

    def root(index: int) -> int:
        while parents[index] != index:
            parents[index] = parents[parents[index]]
            index = parents[index]
        return index

    for first, second in _touching_pairs(pieces):
        if _agree(pieces[first], pieces[second]):
            parents[root(first)] = root(second)
    groups: defaultdict[int, list[Piece]] = defaultdict(list)
    for index, piece in enumerate(pieces):
        groups[root(index)].append(piece)
    return list(groups.values())


def _touching_pairs(pieces: list[Piece]) -> Iterator[tuple[int, int]]:
    """The pairs of pieces whose boxes share a cell."""
    boxes = np.array([piece.box for piece in pieces], dtype=np.intp).reshape(-1, 4)
    for second, box in enumerate(boxes):
        top, left, bottom, right = boxes[:second].T
        shares = (top < box[2]) & (left < box[3]) & (bottom > box[0]) & (right > box[1])
        for first in np.flatnonzero(shares):
            yield int(first), second


def _agree(one: Piece, other: Piece) -> bool:
    """Whether two windows show the same thing, by the IoU in the zone that both see."""
    if one.window is None or other.window is None or one.window == other.window:
        return False
    zone = one.window.intersection(other.window)
    common = _common_area(one, other)
    seen = int(np.count_nonzero(one.part(zone)) + np.count_nonzero(other.part(zone))) - common
    return common > 0 and common >= _SAME * seen


def _is_closed(group: list[Piece], union: Piece) -> bool:
    """Whether the union goes on beyond every border that cuts a member."""
    for piece in group:
        for cut, own_end, end in zip(piece.cut, piece.box, union.box, strict=True):
            if cut and own_end == end:
                return False
    return True


def _common_area(one: Piece, other: Piece) -> int:
    common = one.box.intersection(other.box)
    return int(np.count_nonzero(one.part(common) & other.part(common)))


def _union(pieces: list[Piece]) -> Piece:
    """All cells of some pieces, with the best score; of one piece, that piece."""
    if len(pieces) == 1:
        return pieces[0]
    tops, lefts, bottoms, rights = zip(*(piece.box for piece in pieces), strict=True)
    box = Box(min(tops), min(lefts), max(bottoms), max(rights))
    inside = np.zeros((box.bottom - box.top, box.right - box.left), dtype=bool)
    for piece in pieces:
        inside[piece.box.slices(box)] |= piece.inside
    return Piece(pieces[0].label, max(map(_score, pieces)), box, inside)


def _cropped(label: int, score: float, inside: NDArray[np.bool_], frame: Box) -> Piece | None:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    box = Box(frame.top + top, frame.left + left, frame.top + bottom, frame.left + right)
    return Piece(label, score, box, inside[top:bottom, left:right].copy())


def _eroded(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The cells whose four neighbours are inside, too; the border of the sheet takes nothing away."""
    padded = np.pad(mask, 1, mode="edge")
    return mask & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]


def _score(piece: Piece) -> float:
    return piece.score


def _best_first(coarse_pieces: list[CoarsePiece]) -> list[CoarsePiece]:
    return sorted(coarse_pieces, key=lambda coarse: coarse.outline.score, reverse=True)
