"""Pictures of held-out drawings: what is there, and what a model finds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from kkg_area_detection.training.validation import Segments, truth_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from kkg_area_detection.training.samples import Sample
    from kkg_area_detection.training.targets import Targets

_MOST_ROWS = 8
_OPACITY = 0.5
# By class number, and varied a little from segment to segment: rooms must be told apart.
_COLOURS = np.array(
    [(80, 160, 235), (215, 60, 50), (245, 160, 40), (60, 175, 90), (160, 90, 200), (120, 120, 120)],
    np.float32,
)


def draw_samples(
    held_out: Sequence[tuple[Sample, Targets]], predictions: Sequence[Segments], path: Path
) -> None:
    """Write a sheet of pictures, a drawing a row: as it is, as it should be found, as it was found.

    Args:
        held_out: Drawings and truth; the first few are shown.
        predictions: Of the same drawings.
        path: PNG to write.
    """
    rows = [
        np.concatenate(
            [sample.image, _painted(sample.image, truth_of(targets)), _painted(sample.image, predicted)],
            axis=1,
        )
        for (sample, targets), predicted in list(zip(held_out, predictions, strict=True))[:_MOST_ROWS]
    ]
    if not rows:
        return
    sheet = np.full((sum(len(row) for row in rows), max(row.shape[1] for row in rows), 3), 255, np.uint8)
    top = 0
    for row in rows:
        sheet[top : top + len(row), : row.shape[1]] = row
        top += len(row)
    Image.fromarray(sheet).save(path)


def _painted(image: NDArray[np.uint8], segments: Segments) -> NDArray[np.uint8]:
    height, width, _ = image.shape
    ids = np.asarray(
        Image.fromarray(segments.ids.astype(np.int32)).resize((width, height), Image.Resampling.NEAREST)
    )
    colours = _COLOURS[segments.classes % len(_COLOURS)]
    colours = colours + ((np.arange(len(colours)) * 67 % 5 - 2) * 14)[:, None]
    table = np.concatenate([[(255.0, 255.0, 255.0)], colours]) if len(colours) else np.full((1, 3), 255.0)
    paint = np.where(ids[:, :, None] > 0, table[ids], image)
    return np.clip(image * (1 - _OPACITY) + paint * _OPACITY, 0, 255).astype(np.uint8)
