"""What this room needs of a segmentation, and the plain numbers of its segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Segmentation(Protocol):
    """The parts of a ``SegmentationResult`` that are read here.

    The full-size map is not among them: on an A0 sheet it has half a gigabyte, and the small grid says it all.
    """

    @property
    def id_grid(self) -> NDArray[np.int32]:
        """Shape (h, w): a segment's id in each cell, -1 for background."""
        ...

    @property
    def row_index(self) -> NDArray[np.intp]:
        """Shape (H,): the row of ``id_grid`` that each row of pixels shows; never decreases."""
        ...

    @property
    def column_index(self) -> NDArray[np.intp]:
        """Shape (W,): the same for columns."""
        ...

    @property
    def id2label(self) -> dict[int, str]:
        """Label of each label id."""
        ...

    @property
    def refinement(self) -> int:
        """Cells of ``id_grid`` along each side of a cell on which the network saw the segments."""
        ...

    def pixel_counts(self) -> dict[int, int]:
        """Pixels of each segment at full size."""
        ...

    def __getitem__(self, key: str) -> Any:
        """``segments_info``."""
        ...


@dataclass(frozen=True, slots=True)
class SegmentSummary:
    """One segment in numbers.

    Attributes:
        id: Its value in the segmentation map.
        label_id: Class of the model.
        label: Name of the class.
        score: Between 0 and 1.
        pixels: Number of pixels in the image; 0 where other segments cover it entirely.
        share: Pixels over all pixels of the image, between 0 and 1.
        box: Left, top, right, bottom in pixels, x right and y down, right and bottom exclusive; None where
            nothing of the segment is visible.
    """

    id: int
    label_id: int
    label: str
    score: float
    pixels: int
    share: float
    box: tuple[int, int, int, int] | None


def labels_by_id(result: Segmentation) -> dict[int, str]:
    """Label of each segment by its id; one that the model does not name is called as in transformers."""
    return {
        info["id"]: result.id2label.get(info["label_id"], f"LABEL_{info['label_id']}")
        for info in result["segments_info"]
    }


def summarize_segments(result: Segmentation) -> list[SegmentSummary]:
    """The segments of a result in numbers, in the order of its ``segments_info``."""
    n_pixels = len(result.row_index) * len(result.column_index)
    counts = result.pixel_counts()
    boxes, labels = dict(_boxes(result)), labels_by_id(result)
    return [
        SegmentSummary(
            id=info["id"],
            label_id=info["label_id"],
            label=labels[info["id"]],
            score=info["score"],
            pixels=counts[info["id"]],
            share=counts[info["id"]] / n_pixels,
            box=boxes.get(info["id"]),
        )
        for info in result["segments_info"]
    ]


def _boxes(result: Segmentation) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Bounding box of each visible id, in two passes over the grid whatever the number of segments."""
    rows, tops, bottoms = _visible(result.row_index)
    columns, lefts, rights = _visible(result.column_index)
    ids = result.id_grid[np.ix_(rows, columns)]
    n_ids = int(ids.max(initial=-1)) + 1
    in_row = np.zeros((len(rows), n_ids + 1), dtype=bool)
    in_column = np.zeros((len(columns), n_ids + 1), dtype=bool)
    in_row[np.arange(len(rows))[:, None], ids] = True  # background, -1, falls into the last column
    in_column[np.arange(len(columns))[None, :], ids] = True
    for number in range(n_ids):
        y, x = np.flatnonzero(in_row[:, number]), np.flatnonzero(in_column[:, number])
        if y.size:
            yield number, (int(lefts[x[0]]), int(tops[y[0]]), int(rights[x[-1]]), int(bottoms[y[-1]]))


def _visible(index: NDArray[np.intp]) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """The cells along one axis that have pixels, and where the pixels of each begin and end (exclusive)."""
    cells, starts = np.unique(index, return_index=True)
    return cells, starts, np.append(starts[1:], len(index))
