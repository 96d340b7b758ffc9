"""Many drawings: scores of each, their sums, and the worst of them as pictures."""

from __future__ import annotations

import heapq
import time
from dataclasses import dataclass, field
from functools import reduce
from operator import add
from typing import TYPE_CHECKING

import numpy as np

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.segmentation.result import SegmentationResult
from kkg_area_detection.training.evaluation.scores import LabelledMap, LabelScores, compare

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from kkg_area_detection.progress import ItemProgress
    from kkg_area_detection.training.samples import Sample


@dataclass(frozen=True, slots=True)
class ImageScores:
    """One drawing.

    Attributes:
        name: Of the drawing.
        scores: By label.
        seconds: That segmenting it took.
    """

    name: str
    scores: Mapping[str, LabelScores]
    seconds: float


@dataclass(frozen=True, slots=True, eq=False)
class WorstCase:
    """A drawing that went badly, kept to be looked at.

    Attributes:
        name: Of the drawing.
        quality: Panoptic quality of its labels together.
        sample: The drawing and the truth.
        result: What was found.
    """

    name: str
    quality: float
    sample: Sample
    result: SegmentationResult


@dataclass
class Evaluation:
    """What came out.

    Attributes:
        labels: Those that were compared.
        images: In the order of the drawings.
        worst: The worst drawings, the worst first.
    """

    labels: tuple[str, ...]
    images: list[ImageScores] = field(default_factory=list)
    worst: list[WorstCase] = field(default_factory=list)

    @property
    def total(self) -> dict[str, LabelScores]:
        """All drawings added up, by label."""
        return {label: reduce(add, (image.scores[label] for image in self.images)) for label in self.labels}

    @property
    def mean_iou(self) -> float:
        """Mean over the labels that are there."""
        values = [scores.iou for scores in self.total.values()]
        return float(np.nanmean(values)) if np.isfinite(values).any() else float("nan")


def evaluate(
    samples: Iterable[Sample],
    segment: Callable[[Sample], SegmentationResult],
    labels: Sequence[str],
    *,
    n_worst: int = 12,
    progress: ItemProgress | None = None,
) -> Evaluation:
    """Segment drawings and compare what was found with what is there.

    Args:
        samples: The drawings, at least one.
        segment: The model.
        labels: To be compared; see ``shared_labels``. Labels mean the same where ``kind_of`` says so.
        n_worst: How many of the worst drawings to keep.
        progress: Told of each drawing.

    Returns:
        The scores.
    """
    evaluation = Evaluation(tuple(labels))
    worst: list[tuple[float, int, WorstCase]] = []
    for number, sample in enumerate(samples):
        began = time.perf_counter()
        result = segment(sample)
        seconds = time.perf_counter() - began
        scores = compare(_truth(sample), _found(result), evaluation.labels)
        evaluation.images.append(ImageScores(sample.name, scores, seconds))
        everything = reduce(add, scores.values())
        quality = float(np.nan_to_num(everything.pq, nan=1.0))
        case = WorstCase(sample.name, quality, sample, result)
        heapq.heappush(worst, (-quality, -number, case))
        if len(worst) > n_worst:
            heapq.heappop(worst)
        if progress is not None:
            progress.advance(1)
    evaluation.worst = [case for _, _, case in sorted(worst, reverse=True)]
    return evaluation


def shared_labels(true: Iterable[str], known: Iterable[str]) -> tuple[list[str], list[str]]:
    """Which labels can be compared.

    Args:
        true: Labels of the drawings.
        known: Labels of the model.

    Returns:
        Those that both have, in the order of the model's, and those of the drawings that the model does not know.
    """
    of_model = dict.fromkeys(map(canonical, known))
    of_truth = dict.fromkeys(map(canonical, true))
    return [label for label in of_model if label in of_truth], [
        one for one in of_truth if one not in of_model
    ]


def canonical(label: str) -> str:
    """One name for labels that mean the same, in whatever language."""
    return kind_of(label) or label


def truth_as_result(case: WorstCase) -> SegmentationResult:
    """The truth in the form of a result, its labels numbered as the model's, so that both are drawn alike."""
    number_of = {canonical(label): number for number, label in case.result.id2label.items()}
    for label in map(canonical, case.sample.labels):
        number_of.setdefault(label, max(number_of.values(), default=-1) + 1)
    height, width = case.sample.ids.shape
    return SegmentationResult(
        id_grid=case.sample.ids.astype(np.int32) - 1,
        row_index=np.arange(height),
        column_index=np.arange(width),
        segments_info=[
            {"id": id_, "label_id": number_of[canonical(label)], "was_fused": False, "score": 1.0}
            for id_, label in enumerate(case.sample.labels)
        ],
        id2label={number: label for label, number in number_of.items()},
    )


def _truth(sample: Sample) -> LabelledMap:
    return LabelledMap(sample.ids, [canonical(label) for label in sample.labels])


def _found(result: SegmentationResult) -> LabelledMap:
    labels = [canonical(result.label_of(info["id"])) for info in result["segments_info"]]
    ids = result.id_grid[np.ix_(result.row_index, result.column_index)] + 1
    return LabelledMap(ids, labels)
