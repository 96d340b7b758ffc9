"""Linear and convolution layers whose weights decide the precision.

What is between them (norms, coordinates, the residual sums of transformer layers) stays in float32, so lowering the
precision of a network is nothing but converting the weights of these layers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Iterator


# On a CPU a long sequence goes through a layer in pieces of this many rows a thread: what lies in between then
# stays in the processor's cache, where it would otherwise be tens of megabytes of fresh memory for every step.
_ROWS_A_THREAD = 1024


def pieces(length: int, device: torch.device) -> Iterator[slice]:
    """Divide a sequence into the pieces that suit a device: one on a GPU, short ones on a CPU."""
    step = _ROWS_A_THREAD * torch.get_num_threads() if device.type == "cpu" else length
    return (slice(start, start + step) for start in range(0, length, step))


class Linear(nn.Linear):
    """A linear layer that takes input of any floating dtype and answers in the dtype of its weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (..., in_features) to (..., out_features)."""
        return functional.linear(x.to(self.weight.dtype), self.weight, self.bias)


class Conv2d(nn.Conv2d):
    """A convolution that takes input of any floating dtype and answers in the dtype of its weights."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, h, w) to (B, out_channels, h', w')."""
        return self._conv_forward(x.to(self.weight.dtype), self.weight, self.bias)


class PointwiseConv2d(nn.Conv2d):
    """A convolution of one pixel, done as the linear layer that it is: faster on a CPU, and channels-last."""

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, kernel_size=1, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map (B, in_channels, h, w) to (B, out_channels, h, w)."""
        pixels = x.permute(0, 2, 3, 1).to(self.weight.dtype)
        return functional.linear(pixels, self.weight.flatten(1), self.bias).permute(0, 3, 1, 2)


class LayerNorm(nn.LayerNorm):
    """A layer norm in float32, whatever comes in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise the last dimension."""
        return super().forward(x.float())


class GroupNorm(nn.GroupNorm):
    """A group norm in float32, whatever comes in."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Normalise (B, C, h, w) over groups of channels."""
        return super().forward(x.float())


def set_precision(network: nn.Module, dtype: torch.dtype) -> None:
    """Convert the weights of all linear and convolution layers in place.

    Args:
        network: Of the layers of this module.
        dtype: float32, bfloat16 or float16.
    """
    for module in network.modules():
        if isinstance(module, Linear | Conv2d | PointwiseConv2d):
            module.to(dtype)
