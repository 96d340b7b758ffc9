"""The masked-attention decoder: queries that look only where their own mask was a layer before.

One exact short cut: a layer's attention mask is the query's mask, resized to one of the levels. Resizing and
the product with the query's embedding are both linear, so the mask features are resized once for each level,
and the product is taken on that small grid.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn
from torch.nn import functional

from kkg_area_detection.segmentation.network.layers import LayerNorm, Linear
from kkg_area_detection.segmentation.network.pixel_decoder import LEVELS
from kkg_area_detection.segmentation.network.positions import sine_positions

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import NetworkConfig
    from kkg_area_detection.segmentation.network.pixel_decoder import PixelFeatures


class TransformerDecoder(nn.Module):
    """Pixel features in; the class logits and the mask logits of every query out."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.hidden_dim
        self.queries_embedder = nn.Parameter(torch.empty(config.num_queries, size))
        self.queries_features = nn.Parameter(torch.empty(config.num_queries, size))
        self.level_embed = nn.Parameter(torch.empty(LEVELS, size))
        self.input_projections = nn.ModuleList(
            Linear(config.feature_size, size) if config.projects_levels else nn.Identity()
            for _ in range(LEVELS)
        )
        self.layers = nn.ModuleList(_DecoderLayer(config) for _ in range(config.decoder_layers - 1))
        self.layernorm = LayerNorm(size)
        self.mask_embedder = nn.Sequential(
            Linear(size, size),
            nn.ReLU(),
            Linear(size, size),
            nn.ReLU(),
            Linear(size, config.mask_feature_size),
        )
        self.class_predictor = Linear(size, config.num_labels + 1)

    def forward(self, features: PixelFeatures) -> tuple[torch.Tensor, torch.Tensor]:
        """Decide what each query stands for.

        Returns:
            Class logits of shape (B, Q, C + 1) and mask logits of shape (B, Q, H / 4, W / 4), both float32.
        """
        mask_features = features.mask_features
        memories, keys, small_masks = self._memories(features)
        batch = mask_features.shape[0]
        positions = self.queries_embedder.expand(batch, -1, -1)
        queries = self.queries_features.expand(batch, -1, -1)
        for index, layer in enumerate(self.layers):
            level = index % LEVELS
            allowed = self._embed(self.layernorm(queries)) @ small_masks[level] >= 0
            allowed |= ~allowed.any(dim=-1, keepdim=True)  # a query with an empty mask looks everywhere
            queries = layer(queries, positions, memories[level], keys[level], allowed[:, None])
        queries = self.layernorm(queries)
        masks = self._embed(queries) @ mask_features.flatten(2)
        return self.class_predictor(queries).float(), masks.unflatten(2, mask_features.shape[2:])

    def _memories(
        self, features: PixelFeatures
    ) -> tuple[list[torch.Tensor], list[torch.Tensor], list[torch.Tensor]]:
        """Of each level: its cells, its cells with their positions, and the mask features at its size."""
        memories, keys, small_masks = [], [], []
        levels = zip(features.levels, features.shapes, self.input_projections, strict=True)
        for index, (level, shape, project) in enumerate(levels):
            memory = project(level).float() + self.level_embed[index]
            memories.append(memory)
            keys.append(memory + sine_positions(*shape, memory.shape[2], memory.device))
            small = functional.interpolate(
                features.mask_features, size=shape, mode="bilinear", align_corners=False
            )
            small_masks.append(small.flatten(2))
        return memories, keys, small_masks

    def _embed(self, queries: torch.Tensor) -> torch.Tensor:
        """Shape (B, Q, C'), float32: what a query's mask features have to look like."""
        return self.mask_embedder(queries).float()


class _DecoderLayer(nn.Module):
    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        size = config.hidden_dim
        self.cross_attn = _Attention(size, config.num_attention_heads)
        self.cross_attn_layer_norm = LayerNorm(size)
        self.self_attn = _Attention(size, config.num_attention_heads)
        self.self_attn_layer_norm = LayerNorm(size)
        self.fc1 = Linear(size, config.dim_feedforward)
        self.fc2 = Linear(config.dim_feedforward, size)
        self.final_layer_norm = LayerNorm(size)

    def forward(
        self,
        queries: torch.Tensor,
        positions: torch.Tensor,
        memory: torch.Tensor,
        keys: torch.Tensor,
        allowed: torch.Tensor,
    ) -> torch.Tensor:
        attended = self.cross_attn(queries + positions, keys, memory, allowed)
        queries = self.cross_attn_layer_norm(queries + attended)
        placed = queries + positions
        queries = self.self_attn_layer_norm(queries + self.self_attn(placed, placed, queries, None))
        expanded = functional.relu(self.fc1(queries), inplace=True)
        return self.final_layer_norm(queries + self.fc2(expanded))


class _Attention(nn.Module):
    def __init__(self, size: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.q_proj = Linear(size, size)
        self.k_proj = Linear(size, size)
        self.v_proj = Linear(size, size)
        self.out_proj = Linear(size, size)

    def forward(
        self, queries: torch.Tensor, keys: torch.Tensor, values: torch.Tensor, allowed: torch.Tensor | None
    ) -> torch.Tensor:
        """Attend; ``allowed`` is boolean, of shape (B, 1, Q, S)."""
        attended = functional.scaled_dot_product_attention(
            self._heads(self.q_proj(queries)),
            self._heads(self.k_proj(keys)),
            self._heads(self.v_proj(values)),
            attn_mask=allowed,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: torch.Tensor) -> torch.Tensor:
        """(B, N, C) to (B, heads, N, C / heads)."""
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)
