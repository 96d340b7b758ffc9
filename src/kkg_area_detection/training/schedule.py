"""From the number of a step to its images, their size, and the learning rate: plain arithmetic."""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kkg_area_detection.training.config import Stage, TrainConfig

_REFERENCE_BATCH = 8  # that the learning rate of a config is meant for


@dataclass(frozen=True)
class Step:
    """One step of a run.

    Attributes:
        number: From 0.
        first_image: Number of its first image within the run, from 0.
        stage: Size and batch.
    """

    number: int
    first_image: int
    stage: Stage

    @property
    def images(self) -> range:
        """Numbers of its images."""
        return range(self.first_image, self.first_image + self.stage.batch)


class Schedule:
    """The steps of a run.

    Args:
        config: Of the run. Stages too short for a step are left out; a run has at least one step.
    """

    def __init__(self, config: TrainConfig) -> None:
        self._config = config
        counts = [round(config.images * stage.share / stage.batch) for stage in config.stages]
        if not any(counts):
            counts[-1] = 1
        self._ends = list(accumulate(counts))
        images = [count * stage.batch for count, stage in zip(counts, config.stages, strict=True)]
        self._first_images = [0, *accumulate(images)]
        self.steps = self._ends[-1]
        self.images = self._first_images[-1]

    def step(self, number: int) -> Step:
        """Look up a step, from 0 to ``steps`` - 1."""
        index = bisect_right(self._ends, number)
        stage = self._config.stages[index]
        begin = self._ends[index - 1] if index else 0
        return Step(number, self._first_images[index] + (number - begin) * stage.batch, stage)

    def learning_rate(self, step: Step) -> float:
        """A linear warm-up, then a cosine down to ``final_rate`` (Loshchilov and Hutter 2017)."""
        config = self._config
        seen = step.first_image + step.stage.batch
        warm_up = min(config.warm_up_images, self.images / 4)
        highest = config.learning_rate * math.sqrt(step.stage.batch / _REFERENCE_BATCH)
        if seen < warm_up:
            return highest * seen / warm_up
        turn = math.pi * (seen - warm_up) / max(1.0, self.images - warm_up)
        return highest * (config.final_rate + (1 - config.final_rate) * (1 + math.cos(turn)) / 2)
