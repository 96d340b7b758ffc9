"""Swin Transformer as a backbone (Liu et al. 2021): attention within windows that shift from block to block."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from kkg_area_detection.segmentation.network.layers import Conv2d, LayerNorm, Linear, pieces

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import SwinConfig

_FORBIDDEN = -100.0  # added to the attention between cells that are neighbours only through the shift


class SwinBackbone(nn.Module):
    """A picture in; features of strides 4, 8, 16 and 32 out."""

    def __init__(self, config: SwinConfig) -> None:
        super().__init__()
        self.patch_size = config.patch_size
        channels = config.channels
        self.patch_embedding = Conv2d(3, channels[0], kernel_size=config.patch_size, stride=config.patch_size)
        self.patch_norm = LayerNorm(channels[0])
        self.stages = nn.ModuleList(_Stage(config, stage) for stage in range(len(channels)))
        self.downsamples = nn.ModuleList(_PatchMerging(size) for size in channels[:-1])
        self.norms = nn.ModuleList(LayerNorm(size) for size in channels)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Compute the features of (B, 3, H, W): each (B, C_i, h, w), float32."""
        x = self.patch_embedding(_padded(pixel_values, self.patch_size))
        x = self.patch_norm(x.permute(0, 2, 3, 1))
        features = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            features.append(self.norms[index](x).permute(0, 3, 1, 2))
            if index < len(self.downsamples):
                x = self.downsamples[index](x)
        return tuple(features)


class _Stage(nn.Module):
    def __init__(self, config: SwinConfig, stage: int) -> None:
        super().__init__()
        self.window = config.window_size
        self.blocks = nn.ModuleList(_Block(config, stage) for _ in range(config.depths[stage]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pass (B, h, w, C) through the blocks of one resolution; x itself is changed."""
        shifts = (0, self.window // 2)  # from block to block in turn
        windows = [Windows.of(x.shape[1], x.shape[2], self.window, shift, x.device) for shift in shifts]
        cells = x.flatten(1, 2)
        for index, block in enumerate(self.blocks):
            block(cells, windows[index % 2])
        return cells.view(x.shape)


class _Block(nn.Module):
    def __init__(self, config: SwinConfig, stage: int) -> None:
        super().__init__()
        size = config.channels[stage]
        self.layernorm_before = LayerNorm(size, eps=config.layer_norm_eps)
        self.attention = _WindowAttention(size, config.num_heads[stage], config.window_size, config.qkv_bias)
        self.layernorm_after = LayerNorm(size, eps=config.layer_norm_eps)
        self.fc1 = Linear(size, int(size * config.mlp_ratio))
        self.fc2 = Linear(int(size * config.mlp_ratio), size)

    def forward(self, cells: torch.Tensor, windows: Windows) -> None:
        """Change (B, h * w, C) in place."""
        batch, _, size = cells.shape
        windowed = cells.new_zeros(batch, windows.cells, size)
        windowed.index_copy_(1, windows.place, self.layernorm_before(cells))
        attended = self.attention(windowed.view(-1, windows.size**2, size), windows.mask)
        cells += attended.view(batch, -1, size).index_select(1, windows.place)
        rows = cells.view(-1, size)
        for piece in pieces(len(rows), rows.device):
            rows[piece] += self.fc2(functional.gelu(self.fc1(self.layernorm_after(rows[piece]))))


class _WindowAttention(nn.Module):
    def __init__(self, size: int, heads: int, window: int, qkv_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.query = Linear(size, size, bias=qkv_bias)
        self.key = Linear(size, size, bias=qkv_bias)
        self.value = Linear(size, size, bias=qkv_bias)
        self.output = Linear(size, size)
        self.position_bias = nn.Parameter(torch.empty(1, heads, window**2, window**2))

    def forward(self, windows: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
        """Attend within each of the windows (N, window ** 2, C); the mask is (N / B, 1, cells, cells)."""
        x = windows.to(self.query.weight.dtype)
        bias: torch.Tensor = self.position_bias
        if mask is not None:
            bias = (bias + mask).repeat(len(x) // len(mask), 1, 1, 1)
        attended = functional.scaled_dot_product_attention(
            self._heads(self.query(x)),
            self._heads(self.key(x)),
            self._heads(self.value(x)),
            attn_mask=bias.to(x.dtype),
        )
        return self.output(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """(N, cells, C) to (N, heads, cells, C / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class _PatchMerging(nn.Module):
    def __init__(self, size: int) -> None:
        super().__init__()
        self.norm = LayerNorm(4 * size)
        self.reduction = Linear(4 * size, 2 * size, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Halve the resolution of (B, h, w, C), doubling the channels."""
        x = _padded(x.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1)
        x = torch.cat([x[:, row::2, column::2] for column in range(2) for row in range(2)], dim=-1)
        return self.reduction(self.norm(x)).float()


def relative_position_index(window: int) -> torch.Tensor:
    """For each pair of cells of a window, the row of the table that holds the bias of their offset.

    Returns:
        Shape (window ** 4,), int64: pairs (query, key), row by row.
    """
    cells = torch.stack(torch.meshgrid(torch.arange(window), torch.arange(window), indexing="ij")).flatten(1)
    offset = cells[:, :, None] - cells[:, None, :] + (window - 1)
    return (offset[0] * (2 * window - 1) + offset[1]).flatten()


@dataclass(frozen=True)
class Windows:
    """How the cells of a feature map are divided among windows.

    Attributes:
        size: Side of a window, in cells.
        cells: Cells in all windows together, those included that only fill up the last ones.
        place: Shape (h * w,), int64: where each cell of the map, row by row, is among those of the windows.
        mask: Shape (windows, 1, size ** 2, size ** 2), float32, to be added to the attention: -100 between
            cells that a shift has brought together from opposite sides of the map. None without a shift.
    """

    size: int
    cells: int
    place: torch.Tensor
    mask: torch.Tensor | None

    @classmethod
    def of(cls, height: int, width: int, size: int, shift: int, device: torch.device) -> Windows:
        """Divide a map of height x width cells, moved up and to the left by ``shift`` cells."""
        rows, columns = -(-height // size), -(-width // size)
        y, x = torch.arange(height, device=device), torch.arange(width, device=device)
        y, x = (y - shift) % (rows * size), (x - shift) % (columns * size)
        window = (y // size)[:, None] * columns + x // size
        place = window * size**2 + (y % size)[:, None] * size + x % size
        mask = _shift_mask(rows, columns, size, shift, device) if shift else None
        return cls(size=size, cells=rows * columns * size**2, place=place.flatten(), mask=mask)


def _shift_mask(rows: int, columns: int, size: int, shift: int, device: torch.device) -> torch.Tensor:
    """Only the last row and the last column of windows hold cells from both sides."""
    y, x = (_regions(count, size, shift, device) for count in (rows, columns))
    regions = (y[:, None, :, None] * 3 + x[None, :, None, :]).view(-1, 1, size**2)
    return torch.where(regions[..., None] != regions[:, :, None, :], _FORBIDDEN, 0.0)


def _regions(count: int, size: int, shift: int, device: torch.device) -> torch.Tensor:
    """Shape (count, size): cells of different numbers are not neighbours."""
    place = torch.arange(count * size, device=device)
    end = count * size
    return ((place >= end - size).int() + (place >= end - shift).int()).view(count, size)


def _padded(x: torch.Tensor, cell: int) -> torch.Tensor:
    """Add zeros below and on the right of (B, C, h, w) until both sides are multiples of a cell."""
    height, width = x.shape[2:]
    return functional.pad(x, (0, -width % cell, 0, -height % cell))
