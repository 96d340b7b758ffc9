"""ResNet as a backbone (He et al. 2016), with its batch norms already folded into the convolutions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from kkg_area_detection.segmentation.network.layers import Conv2d

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import ResNetConfig

_BOTTLENECK = 4  # how many times fewer channels the middle convolution has


class ResNetBackbone(nn.Module):
    """A picture in; features of strides 4, 8, 16 and 32 out."""

    def __init__(self, config: ResNetConfig) -> None:
        super().__init__()
        self.stem = Conv2d(3, config.embedding_size, kernel_size=7, stride=2, padding=3)
        before = (config.embedding_size, *config.channels)
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    _block(config, before[stage] if index == 0 else channels, channels, stride=first_stride)
                    for index, first_stride in enumerate(_strides(stage, config.depths[stage]))
                )
            )
            for stage, channels in enumerate(config.channels)
        )

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the features of (B, 3, H, W): each (B, C_i, h, w)."""
        x = functional.relu(self.stem(pixel_values), inplace=True)
        x = functional.max_pool2d(x, kernel_size=3, stride=2, padding=1)
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return tuple(features)


class _Block(nn.Module):
    """Some convolutions and a way around them."""

    def __init__(self, convolutions: list[Conv2d], shortcut: nn.Module) -> None:
        super().__init__()
        self.convolutions = nn.ModuleList(convolutions)
        self.shortcut = shortcut

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        residual = self.shortcut(x)
        *inner, last = self.convolutions
        for convolution in inner:
            x = functional.relu(convolution(x), inplace=True)
        return functional.relu(last(x) + residual, inplace=True)


def _strides(stage: int, depth: int) -> list[int]:
    return [1 if stage == 0 else 2] + [1] * (depth - 1)


def _block(config: ResNetConfig, inputs: int, outputs: int, stride: int) -> _Block:
    changes = inputs != outputs or stride != 1
    shortcut = Conv2d(inputs, outputs, kernel_size=1, stride=stride) if changes else nn.Identity()
    if config.layer_type == "basic":
        return _Block(
            [
                Conv2d(inputs, outputs, kernel_size=3, stride=stride, padding=1),
                Conv2d(outputs, outputs, kernel_size=3, padding=1),
            ],
            shortcut,
        )
    narrow = outputs // _BOTTLENECK
    first, second = (stride, 1) if config.downsample_in_bottleneck else (1, stride)
    return _Block(
        [
            Conv2d(inputs, narrow, kernel_size=1, stride=first),
            Conv2d(narrow, narrow, kernel_size=3, stride=second, padding=1),
            Conv2d(narrow, outputs, kernel_size=1),
        ],
        shortcut,
    )
