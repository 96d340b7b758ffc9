"""One drawing: what was found, against what is there. Pure arrays.

* Panoptic quality (Kirillov et al. 2019): segments of one label match where their IoU is above 0.5, which no two
  can be with the same segment. PQ = sum of the IoUs / (matches + unmatched / 2) = SQ x RQ; RQ is the F1 score at
  IoU 0.5.
* mIoU: IoU of the pixels of each label, whatever segment they are in, over all drawings.
* Boundary F (Csurka et al. 2013, on the pixels of each label): how much of the found border lies within a few
  pixels of the true one, and the other way round.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_MATCH = 0.5
BOUNDARY_SHARE = 0.0075
"""How far borders may be apart, as a share of the picture's diagonal; but at least a pixel."""


class LabelledMap(NamedTuple):
    """Segments as pixels.

    Attributes:
        ids: Shape (H, W), integer: number of the segment from 1, 0 for background.
        labels: Label of segment 1, 2 and so on.
    """

    ids: NDArray[np.integer]
    labels: Sequence[str]


class Match(NamedTuple):
    """A segment that was found.

    Attributes:
        iou: With the true one, above 0.5.
        true_area: Pixels of the true one.
        found_area: Pixels of the found one.
    """

    iou: float
    true_area: int
    found_area: int


class Boundary(NamedTuple):
    """Pixels of borders.

    Attributes:
        found: Of what was found.
        found_near: Those of them near the true border.
        true: Of the truth.
        true_near: Those of them near the found border.
    """

    found: int
    found_near: int
    true: int
    true_near: int


@dataclass(frozen=True, slots=True)
class LabelScores:
    """One label on one drawing, or on many added up.

    Attributes:
        matches: Segments that were found.
        n_true: Segments that are there.
        n_found: Segments that somebody says are there.
        common: Pixels that are of the label in both.
        union: Pixels that are in either.
        boundary: Of the pixels of the label.
    """

    matches: tuple[Match, ...]
    n_true: int
    n_found: int
    common: int
    union: int
    boundary: Boundary

    def __add__(self, other: LabelScores) -> LabelScores:
        boundary = Boundary(*(a + b for a, b in zip(self.boundary, other.boundary, strict=True)))
        return LabelScores(
            self.matches + other.matches,
            self.n_true + other.n_true,
            self.n_found + other.n_found,
            self.common + other.common,
            self.union + other.union,
            boundary,
        )

    @property
    def pq(self) -> float:
        """Panoptic quality; NaN where there is nothing and nothing was found."""
        return _ratio(2 * sum(match.iou for match in self.matches), self.n_true + self.n_found)

    @property
    def sq(self) -> float:
        """Segmentation quality: mean IoU of the matches; NaN without one."""
        return _ratio(sum(match.iou for match in self.matches), len(self.matches))

    def f1(self, iou: float = _MATCH) -> float:
        """Harmonic mean of precision and recall, where a match has an IoU above a number of 0.5 or more."""
        return _ratio(2 * sum(match.iou > iou for match in self.matches), self.n_true + self.n_found)

    @property
    def iou(self) -> float:
        """Of the pixels of the label."""
        return _ratio(self.common, self.union)

    @property
    def boundary_f(self) -> float:
        """Harmonic mean of the shares of both borders that are near each other."""
        precision = _ratio(self.boundary.found_near, self.boundary.found)
        recall = _ratio(self.boundary.true_near, self.boundary.true)
        if np.isnan(precision) and np.isnan(recall):
            return float("nan")
        return _ratio(
            2 * np.nan_to_num(precision) * np.nan_to_num(recall), np.nansum((precision, recall)), 0.0
        )

    @property
    def area_errors(self) -> NDArray[np.float64]:
        """Shape (matches,): how much too large each found segment is, as a share of the true one."""
        areas = np.array([(match.true_area, match.found_area) for match in self.matches]).reshape(-1, 2)
        errors: NDArray[np.float64] = (areas[:, 1] - areas[:, 0]) / np.maximum(areas[:, 0], 1)
        return errors


def compare(true: LabelledMap, found: LabelledMap, labels: Sequence[str]) -> dict[str, LabelScores]:
    """Compare what was found on a drawing with what is there.

    Args:
        true: The truth. Segments of other labels than those asked for are background.
        found: Of the same shape; the same goes for it.
        labels: Which labels to compare.

    Returns:
        Scores by label.
    """
    shared = np.bincount(
        (true.ids.astype(np.int64) * (len(found.labels) + 1) + found.ids).ravel(),
        minlength=(len(true.labels) + 1) * (len(found.labels) + 1),
    ).reshape(len(true.labels) + 1, -1)
    true_sizes, found_sizes = shared.sum(axis=1), shared.sum(axis=0)
    scores = {}
    for label in labels:
        rows, columns = _numbers(true.labels, label, true_sizes), _numbers(found.labels, label, found_sizes)
        common = shared[np.ix_(rows, columns)]
        iou = common / np.maximum(true_sizes[rows][:, None] + found_sizes[columns] - common, 1)
        matches = tuple(
            Match(float(iou[row, column]), int(true_sizes[rows[row]]), int(found_sizes[columns[column]]))
            for row, column in np.argwhere(iou > _MATCH)
        )
        pixels = int(common.sum())
        scores[label] = LabelScores(
            matches=matches,
            n_true=len(rows),
            n_found=len(columns),
            common=pixels,
            union=int(true_sizes[rows].sum() + found_sizes[columns].sum()) - pixels,
            boundary=_boundary(np.isin(true.ids, rows), np.isin(found.ids, columns)),
        )
    return scores


def _numbers(labels: Sequence[str], label: str, sizes: NDArray[np.int64]) -> NDArray[np.intp]:
    """Numbers of the segments of a label that have a pixel."""
    has_label = np.array([False, *(one == label for one in labels)])
    return np.flatnonzero(has_label & (sizes > 0))


def _boundary(true: NDArray[np.bool_], found: NDArray[np.bool_]) -> Boundary:
    reach = max(1, round(BOUNDARY_SHARE * float(np.hypot(*true.shape))))
    true_border, found_border = _border(true), _border(found)
    return Boundary(
        found=int(found_border.sum()),
        found_near=int((found_border & _grown(true_border, reach)).sum()),
        true=int(true_border.sum()),
        true_near=int((true_border & _grown(found_border, reach)).sum()),
    )


def _border(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Pixels of a mask with a side to a pixel outside it; the picture's own edge is no border."""
    padded = np.pad(mask, 1, mode="edge")
    inside = padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    border: NDArray[np.bool_] = mask & ~inside
    return border


def _grown(mask: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Pixels within a square of so many pixels each way around those of a mask, by sums over windows."""
    for axis in (0, 1):
        width = [(0, 0), (0, 0)]
        width[axis] = (reach + 1, reach)
        sums = np.cumsum(np.pad(mask, width), axis=axis, dtype=np.int32)
        length = mask.shape[axis]
        upper = np.take(sums, np.arange(2 * reach + 1, 2 * reach + 1 + length), axis=axis)
        mask = upper > np.take(sums, np.arange(length), axis=axis)
    return mask


def _ratio(part: float, whole: float, empty: float = float("nan")) -> float:
    return float(part / whole) if whole else empty
