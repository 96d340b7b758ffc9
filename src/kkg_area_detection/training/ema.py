"""A running mean of the weights: the model that is validated and exported."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torch import nn


class RunningMean:
    """An exponential moving average of a model's weights and batch statistics (Polyak and Juditsky 1992).

    Args:
        model: To follow.
        images: The mean is over about so many images.

    Attributes:
        model: A copy with the mean weights, for inference.
    """

    def __init__(self, model: nn.Module, images: int) -> None:
        self.model = copy.deepcopy(model).eval().requires_grad_(False)
        self._images = images

    @torch.no_grad()
    def update(self, model: nn.Module, batch: int, seen: int) -> None:
        """Take in the weights after a step.

        Args:
            model: The one that is followed.
            batch: Images of the step.
            seen: Images of the run so far: at its beginning the mean is over a fifth of them at most.
        """
        keep = math.exp(-batch / max(1.0, min(self._images, seen / 5)))
        means, news = [], []
        for mean, new in zip(self.model.state_dict().values(), model.state_dict().values(), strict=True):
            if mean.is_floating_point():
                means.append(mean)
                news.append(new)
            else:
                mean.copy_(new)
        torch._foreach_lerp_(means, news, 1 - keep)
