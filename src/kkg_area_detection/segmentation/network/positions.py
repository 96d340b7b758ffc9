"""Sine position embeddings: where each cell of a feature map lies."""

from __future__ import annotations

import math

import torch

_TEMPERATURE = 10_000.0
_EPSILON = 1e-6


def sine_positions(height: int, width: int, channels: int, device: torch.device) -> torch.Tensor:
    """Encode the position of every cell: the 2-D form of DETR (Carion et al. 2020, appendix A.4).

    Args:
        height: Of the feature map, in cells.
        width: Of the feature map, in cells.
        channels: Half of them for y, half for x; divisible by 4.
        device: Where the result lies.

    Returns:
        Shape (1, height * width, channels), float32, row by row.
    """
    frequencies = torch.arange(channels // 2, dtype=torch.float32, device=device)
    frequencies = _TEMPERATURE ** (2 * torch.div(frequencies, 2, rounding_mode="floor") / (channels // 2))
    y = _along(height, frequencies)[:, None].expand(height, width, channels // 2)
    x = _along(width, frequencies)[None].expand(height, width, channels // 2)
    return torch.cat((y, x), dim=2).view(1, height * width, channels)


def _along(length: int, frequencies: torch.Tensor) -> torch.Tensor:
    """Shape (length, frequencies): sines at even places, cosines at odd ones."""
    position = torch.arange(1, length + 1, dtype=torch.float32, device=frequencies.device)
    position = position / (position[-1:] + _EPSILON) * (2 * math.pi)
    angle = position[:, None] / frequencies
    return torch.stack((angle[:, 0::2].sin(), angle[:, 1::2].cos()), dim=2).flatten(1)
