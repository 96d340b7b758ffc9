"""``SegmentationResult``: what was found in one picture.

It reads like the dictionary that transformers gives (``result["segmentation"]`` and
``result["segments_info"]``), but keeps the segments on the network's own small grid. The full-size map is
made when it is first asked for; whoever needs only labels, scores, areas or polygons never pays for it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

import numpy as np

from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

BACKGROUND = -1


class SegmentInfo(TypedDict):
    """One segment, as transformers describes it.

    Attributes:
        id: The value of the segment's pixels in ``segmentation``; equal to its place in ``segments_info``.
        label_id: Class index; ``SegmentationResult.id2label`` names it.
        was_fused: Always False; kept because transformers has it.
        score: Class probability times mean mask probability, 0 to 1, rounded to 6 digits.
    """

    id: int
    label_id: int
    was_fused: bool
    score: float


class SegmentationResult(Mapping[str, Any]):
    """The segments of one picture, as a read-only mapping of two keys.

    ``segmentation`` is a ``torch.Tensor`` of shape (H, W) and dtype int32 on the CPU that holds a segment's
    id in each pixel and -1 where there is none; row 0 is the top of the picture. It is made on first access
    and kept. ``segments_info`` is the list of ``SegmentInfo``. A segment that later ones cover completely
    stays in the list, though it has no pixel.

    Attributes:
        id_grid: Shape (h, w), int32: the segments' ids on the grid on which they were found, or -1.
        row_index: Shape (H,), integer: the row of ``id_grid`` that each row of pixels shows; never decreases.
        column_index: Shape (W,), integer: the same for columns.
        id2label: Class index to label, from the model.
        refinement: Cells of ``id_grid`` along each side of a cell on which the network saw the segments.

    Example:
        >>> result = SegmentationResult(
        ...     id_grid=np.array([[0, -1]], dtype=np.int32),
        ...     row_index=np.array([0, 0]),
        ...     column_index=np.array([0, 0, 1]),
        ...     segments_info=[{"id": 0, "label_id": 3, "was_fused": False, "score": 0.9}],
        ...     id2label={3: "door"},
        ... )
        >>> result
        <SegmentationResult 3 x 2 px, 1 segment: 1 door>
        >>> result.pixel_counts()
        {0: 4}
        >>> result["segmentation"].tolist()
        [[0, 0, -1], [0, 0, -1]]
    """

    def __init__(
        self,
        *,
        id_grid: NDArray[np.int32],
        row_index: NDArray[np.intp],
        column_index: NDArray[np.intp],
        segments_info: list[SegmentInfo],
        id2label: dict[int, str],
        refinement: int = 1,
    ) -> None:
        self.id_grid = id_grid
        self.row_index = row_index
        self.column_index = column_index
        self.id2label = id2label
        self.refinement = refinement
        self._segments_info = segments_info
        self._segmentation: torch.Tensor | None = None

    @property
    def height(self) -> int:
        """Height of the picture in pixels."""
        return len(self.row_index)

    @property
    def width(self) -> int:
        """Width of the picture in pixels."""
        return len(self.column_index)

    @property
    def image_size(self) -> tuple[int, int]:
        """Width and height of the picture in pixels, in Pillow's order."""
        return self.width, self.height

    def label_of(self, segment_id: int) -> str:
        """Name the label of a segment.

        Args:
            segment_id: An ``id`` of ``segments_info``.

        Returns:
            The label from the model's ``config.json``.

        Raises:
            UsageError: There is no such segment.
        """
        for segment in self._segments_info:
            if segment["id"] == segment_id:
                return self._label(segment)
        raise UsageError(
            f"There is no segment {segment_id}.",
            next_step=f"use an id of `segments_info`; there are {len(self._segments_info)}, counted from 0.",
        )

    def pixel_counts(self) -> dict[int, int]:
        """Count each segment's pixels at full size, without making the full-size map.

        Returns:
            Pixels by segment id, in the order of ``segments_info``; 0 for a segment that others cover.
        """
        pixels_a_row = np.bincount(self.row_index, minlength=self.id_grid.shape[0])
        pixels_a_column = np.bincount(self.column_index, minlength=self.id_grid.shape[1])
        pixels_a_cell = np.outer(pixels_a_row, pixels_a_column)
        # The sums are exact: float64 holds every whole number up to 2 ** 53.
        counts = np.bincount((self.id_grid - BACKGROUND).ravel(), weights=pixels_a_cell.ravel())[1:]
        ids = [segment["id"] for segment in self._segments_info]
        return {id_: int(counts[id_]) if id_ < len(counts) else 0 for id_ in ids}

    def __getitem__(self, key: str) -> Any:
        if key == "segmentation":
            return self._full_map()
        if key == "segments_info":
            return self._segments_info
        raise KeyError(key)

    def __iter__(self) -> Iterator[str]:
        return iter(("segmentation", "segments_info"))

    def __len__(self) -> int:
        return 2

    def __eq__(self, other: object) -> bool:
        # Mapping would compare the two tensors for one truth value, which torch refuses to give.
        if not isinstance(other, SegmentationResult):
            return NotImplemented
        return (
            self._segments_info == other._segments_info
            and self.id2label == other.id2label
            and np.array_equal(self.id_grid, other.id_grid)
            and np.array_equal(self.row_index, other.row_index)
            and np.array_equal(self.column_index, other.column_index)
        )

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        labels = Counter(self._label(segment) for segment in self._segments_info)
        number = len(self._segments_info)
        text = f"{self.width} x {self.height} px, {number} segment{'' if number == 1 else 's'}"
        if labels:
            text += ": " + ", ".join(f"{count} {label}" for label, count in labels.most_common())
        return f"<SegmentationResult {text}>"

    def _label(self, segment: SegmentInfo) -> str:
        label_id = segment["label_id"]
        return self.id2label.get(label_id, f"LABEL_{label_id}")

    def _full_map(self) -> torch.Tensor:
        if self._segmentation is None:
            import torch

            # Columns first: this has as few rows as the grid, so that only one full-size array is made.
            wide = self.id_grid[:, self.column_index]
            self._segmentation = torch.from_numpy(np.take(wide, self.row_index, axis=0))
        return self._segmentation
