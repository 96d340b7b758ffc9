"""How many images a machine can train on in some hours."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING

from kkg_area_detection.training.data import StepImages
from kkg_area_detection.training.trainer import Trainer

if TYPE_CHECKING:
    import torch

    from kkg_area_detection.training.coco import CocoFolder
    from kkg_area_detection.training.config import Stage, TrainConfig

_STEPS_BEFORE, _STEPS = 2, 5
_FOR_STEPS = 0.95  # the rest of the time goes into validations and checkpoints


def images_in(
    hours: float, config: TrainConfig, device: torch.device, folders: tuple[CocoFolder, ...]
) -> int:
    """Time a few steps of each stage.

    Args:
        hours: To train.
        config: Of the run; how many images it says does not matter.
        device: Where to train.
        folders: The annotated drawings.

    Returns:
        The number of images that fit, at least one.
    """
    seconds = sum(stage.share * _seconds_an_image(stage, config, device, folders) for stage in config.stages)
    return max(1, int(hours * 3600 * _FOR_STEPS / seconds))


def _seconds_an_image(
    stage: Stage, config: TrainConfig, device: torch.device, folders: tuple[CocoFolder, ...]
) -> float:
    steps = _STEPS_BEFORE + _STEPS
    short = replace(config, images=steps * stage.batch, stages=(stage._replace(share=1.0),))
    trainer, images = Trainer(short, device), StepImages(short, folders)
    preparing = training = 0.0
    for number in range(steps):
        began = time.perf_counter()
        batch = images[number]
        prepared = time.perf_counter()
        trainer.step(trainer.schedule.step(number), batch)
        if number >= _STEPS_BEFORE:
            preparing += prepared - began
            training += time.perf_counter() - prepared
    # Workers prepare while the network learns.
    slower = max(training, preparing / config.workers) if config.workers else training + preparing
    return slower / (_STEPS * stage.batch)
