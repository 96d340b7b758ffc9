"""What this room needs of a segmentation, and the plain numbers of its segments."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Segmentation(Protocol):
    """The parts of a ``SegmentationResult`` that are read here."""

    @property
    def id2label(self) -> dict[int, str]:
        """Label of each label id."""
        ...

    def __getitem__(self, key: str) -> Any:
        """``segmentation`` and ``segments_info``."""
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


def id_map(result: Segmentation) -> NDArray[np.int32]:
    """The segmentation as an array of shape (H, W): a segment's id at each pixel, -1 for background."""
    segmentation = result["segmentation"]
    return np.asarray(segmentation.cpu() if hasattr(segmentation, "cpu") else segmentation, dtype=np.int32)


def summarize_segments(result: Segmentation) -> list[SegmentSummary]:
    """The segments of a result in numbers, in the order of their ids."""
    ids = id_map(result)
    infos = result["segments_info"]
    boxes = dict(_boxes(ids))
    counts = np.bincount(ids.ravel() + 1, minlength=len(infos) + 1)[1:]
    return [
        SegmentSummary(
            id=info["id"],
            label_id=info["label_id"],
            label=result.id2label[info["label_id"]],
            score=info["score"],
            pixels=int(counts[info["id"]]),
            share=float(counts[info["id"]] / ids.size),
            box=boxes.get(info["id"]),
        )
        for info in infos
    ]


def _boxes(ids: NDArray[np.int32]) -> Iterator[tuple[int, tuple[int, int, int, int]]]:
    """Bounding box of each visible id, in two passes over the map whatever the number of segments."""
    n_ids = int(ids.max(initial=-1)) + 1
    in_row = np.zeros((ids.shape[0], n_ids + 1), dtype=bool)
    in_column = np.zeros((ids.shape[1], n_ids + 1), dtype=bool)
    in_row[np.arange(ids.shape[0])[:, None], ids] = True  # background, -1, falls into the last column
    in_column[np.arange(ids.shape[1])[None, :], ids] = True
    for number in range(n_ids):
        rows, columns = np.flatnonzero(in_row[:, number]), np.flatnonzero(in_column[:, number])
        if rows.size:
            yield number, (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1)
