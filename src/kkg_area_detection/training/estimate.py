"""How many images a machine can train on in some hours."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kkg_area_detection.training.data import StepImages, batches
from kkg_area_detection.training.trainer import Trainer

if TYPE_CHECKING:
    import torch

    from kkg_area_detection.training.config import Stage, TrainConfig

_STEPS_BEFORE, _STEPS = 2, 5
_FOR_STEPS = 0.95  # the rest of the time goes into validations and checkpoints


def images_in(hours: float, config: TrainConfig, device: torch.device) -> int:
    """Time a few steps of each stage.

    Args:
        hours: To train.
        config: Of the run; how many images it says does not matter.
        device: Where to train.

    Returns:
        The number of images that fit, at least one.
    """
    seconds = sum(stage.share * _seconds_an_image(stage, config, device) for stage in config.stages)
    return max(1, int(hours * 3600 * _FOR_STEPS / seconds))


def _seconds_an_image(stage: Stage, config: TrainConfig, device: torch.device) -> float:
    steps = _STEPS_BEFORE + _STEPS
    short = replace(config, images=steps * stage.batch, stages=(stage._replace(share=1.0),))
    trainer = Trainer(short, device)
    began = 0.0
    for number, batch in enumerate(batches(StepImages(short), 0, steps, workers=0)):
        if number == _STEPS_BEFORE:
            began = time.perf_counter()
        trainer.step(trainer.schedule.step(number), batch)
    return (time.perf_counter() - began) / (_STEPS * stage.batch)
