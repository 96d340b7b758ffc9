"""The ``README.md`` of a trained model: what it is, how it was made, how well it did."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from kkg_area_detection import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping

    from kkg_area_detection.training.config import TrainConfig


def model_card(
    config: TrainConfig,
    seen: int,
    parameters: int,
    held_out: int,
    quality: Mapping[str, tuple[float, float]],
) -> str:
    """Write the card.

    Args:
        config: Of the run.
        seen: Images that the model was trained on so far.
        parameters: Number of weights.
        held_out: How many drawings were held out.
        quality: Label to PQ and F1 on held-out drawings; NaN where there was nothing to find.
    """
    stages = ", ".join(f"{stage.size} px ({stage.share:.0%})" for stage in config.stages)
    start = "nothing" if config.start is None else f"`{Path(config.start).name}`"
    return f"""---
library_name: transformers
pipeline_tag: image-segmentation
---

# A Mask2Former for drawings of buildings

Finds {", ".join(config.labels)}. Trained by `kkg train` of kkg-area-detection {__version__}.

| | |
|---|---|
| size | {parameters / 1e6:.2f} million parameters |
| input | longest edge {config.size} px |
| trained from | {start}{"" if config.start else f", preset `{config.preset}`"} |
| data | {_data(config)} |
| images seen | {seen} of {config.images} planned |
| sizes | {stages} |
| seed | {config.seed} |

## Held-out drawings

{_quality(held_out, quality)} How good a model is on other drawings, `kkg evaluate` tells.
"""


def _quality(held_out: int, quality: Mapping[str, tuple[float, float]]) -> str:
    if not held_out:
        return "There were none: with five annotated drawings or more, one in ten is held out."
    rows = "\n".join(f"| {label} | {_number(pq)} | {_number(f1)} |" for label, (pq, f1) in quality.items())
    return f"""{held_out} of the same kind, which it was not trained on, at its own resolution:

| | PQ | F1 at IoU 0.5 |
|---|---|---|
{rows}

These figures are for comparing runs."""


def _data(config: TrainConfig) -> str:
    if not config.data:
        return "generated plans alone"
    names = ", ".join(f"`{Path(path).name}`" for path in config.data)
    return f"{config.mix:.0%} annotated drawings ({names}), {1 - config.mix:.0%} generated plans"


def _number(value: float) -> str:
    return "none there" if value != value else f"{value:.2f}"  # noqa: PLR0124 - only NaN differs from itself
