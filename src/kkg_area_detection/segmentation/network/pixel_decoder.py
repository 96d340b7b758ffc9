"""The pixel decoder: a deformable encoder over three levels, and one step of a feature pyramid to a fourth."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import nn
from torch.nn import functional

from kkg_area_detection.segmentation.network.deformable_attention import Pyramid, sampler_of
from kkg_area_detection.segmentation.network.layers import (
    Conv2d,
    GroupNorm,
    LayerNorm,
    Linear,
    PointwiseConv2d,
    pieces,
)
from kkg_area_detection.segmentation.network.positions import sine_positions

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import NetworkConfig
    from kkg_area_detection.segmentation.network.deformable_attention import Sampler

LEVELS = 3
_POINTS = 4
_GROUPS = 32


class PixelFeatures(NamedTuple):
    """What the transformer decoder looks at.

    Attributes:
        levels: Coarsest first (strides 32, 16, 8), each of shape (B, h * w, C), float32.
        shapes: Height and width of each level, in cells.
        mask_features: Shape (B, C', H / 4, W / 4), float32: a mask is the product of one of its pixels' features
            with an embedding.
    """

    levels: tuple[torch.Tensor, ...]
    shapes: tuple[tuple[int, int], ...]
    mask_features: torch.Tensor


class PixelDecoder(nn.Module):
    """Backbone features in, pixel features out."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.feature_size
        finest, *others = config.backbone.channels
        self.input_projections = nn.ModuleList(
            nn.Sequential(PointwiseConv2d(channels, size), GroupNorm(_GROUPS, size))
            for channels in reversed(others)
        )
        self.level_embed = nn.Parameter(torch.empty(LEVELS, size))
        self.layers = nn.ModuleList(_EncoderLayer(config) for _ in range(config.encoder_layers))
        self.lateral = nn.Sequential(PointwiseConv2d(finest, size, bias=False), GroupNorm(_GROUPS, size))
        self.output = nn.Sequential(
            Conv2d(size, size, kernel_size=3, padding=1, bias=False), GroupNorm(_GROUPS, size), nn.ReLU()
        )
        self.mask_projection = PointwiseConv2d(size, config.mask_feature_size)

    def forward(self, features: tuple[torch.Tensor, ...]) -> PixelFeatures:
        """Turn backbone features into pixel features.

        Args:
            features: Strides 4, 8, 16, 32, each of shape (B, C_i, h, w).
        """
        finest, *others = features
        maps = [
            project(level) for project, level in zip(self.input_projections, reversed(others), strict=True)
        ]
        shapes = tuple((level.shape[2], level.shape[3]) for level in maps)
        pyramid = Pyramid.of(shapes, finest.device)
        positions = self._positions(shapes, finest.device)
        cells = torch.cat([level.flatten(2).transpose(1, 2) for level in maps], dim=1)
        for layer in self.layers:
            layer(cells, positions, pyramid)
        levels = cells.split([height * width for height, width in shapes], dim=1)
        return PixelFeatures(levels, shapes, self._mask_features(finest, levels[-1], shapes[-1]))

    def _positions(self, shapes: tuple[tuple[int, int], ...], device: torch.device) -> torch.Tensor:
        channels = self.level_embed.shape[1]
        return torch.cat(
            [
                sine_positions(height, width, channels, device) + self.level_embed[level]
                for level, (height, width) in enumerate(shapes)
            ],
            dim=1,
        )

    def _mask_features(
        self, finest: torch.Tensor, finest_level: torch.Tensor, shape: tuple[int, int]
    ) -> torch.Tensor:
        lateral = self.lateral(finest)
        # Flattened first: the strides of a slice hide from torch that this is channels-last, which costs 150 ms.
        above = finest_level.flatten().view(len(lateral), *shape, -1).permute(0, 3, 1, 2)
        lateral += functional.interpolate(
            above, size=lateral.shape[-2:], mode="bilinear", align_corners=False
        )
        return self.mask_projection(self.output(lateral)).float()


class _EncoderLayer(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.feature_size
        self.heads = config.num_attention_heads
        samples = self.heads * LEVELS * _POINTS
        self.sampling_offsets = nn.Linear(size, samples * 2)  # coordinates: always in float32
        self.attention_weights = nn.Linear(size, samples)
        self.value_proj = Linear(size, size)
        self.output_proj = Linear(size, size)
        self.self_attn_layer_norm = LayerNorm(size)
        self.fc1 = Linear(size, config.encoder_feedforward_dim)
        self.fc2 = Linear(config.encoder_feedforward_dim, size)
        self.final_layer_norm = LayerNorm(size)

    def forward(self, cells: torch.Tensor, positions: torch.Tensor, pyramid: Pyramid) -> None:
        """Change (B, S, C) in place, piece by piece: what all pieces look at, the values, is taken before."""
        values = self.value_proj(cells).float().unflatten(2, (self.heads, -1))
        sampler = sampler_of(values, pyramid, _POINTS)
        for queries in pieces(cells.shape[1], cells.device):
            x = cells[:, queries]
            x = self.self_attn_layer_norm(x + self._attend(x + positions[:, queries], sampler, queries))
            expanded = functional.relu(self.fc1(x), inplace=True)
            cells[:, queries] = self.final_layer_norm(x + self.fc2(expanded))

    def _attend(self, x: torch.Tensor, sampler: Sampler, queries: slice) -> torch.Tensor:
        offsets = self.sampling_offsets(x).unflatten(2, (self.heads, LEVELS, _POINTS, 2))
        weights = _softmax(self.attention_weights(x).unflatten(2, (self.heads, LEVELS * _POINTS)))
        attended = sampler.sample(offsets, weights.unflatten(3, (LEVELS, _POINTS)), queries)
        return self.output_proj(attended)


def _softmax(x: torch.Tensor) -> torch.Tensor:
    """Softmax over the last dimension; where that is as short as here, four times faster than torch's own."""
    x = (x - x.amax(dim=-1, keepdim=True)).exp_()
    return x.div_(x.sum(dim=-1, keepdim=True))
