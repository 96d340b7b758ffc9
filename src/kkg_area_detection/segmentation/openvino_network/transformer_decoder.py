"""See ``network.transformer_decoder``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kkg_area_detection.segmentation.network.pixel_decoder import LEVELS
from kkg_area_detection.segmentation.network.positions import sine_positions
from kkg_area_detection.segmentation.openvino_network.layers import (
    Node,
    Weights,
    attention,
    channels_of,
    constant,
    layer_norm,
    length_of,
    linear,
    reshape,
    resized,
    split_heads,
)
from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import NetworkConfig
    from kkg_area_detection.segmentation.openvino_network.pixel_decoder import PixelFeatures

_FORBIDDEN = -1e30  # added to the attention of what a query must not see: its exponential is 0


class _Memory(NamedTuple):
    """One level as the decoder sees it.

    Attributes:
        cells: What is found.
        keys: By what it is found: cells with their positions.
        mask_features: Those of the picture, at the size of the level.
    """

    cells: Node
    keys: Node
    mask_features: Node


def decoded(features: PixelFeatures, config: NetworkConfig, weights: Weights) -> tuple[Node, Node]:
    """Decide what each query stands for.

    Returns:
        Class logits (1, Q, C + 1) and mask logits (1, Q, H / 4, W / 4).
    """
    memories = [_memory(features, index, weights) for index in range(LEVELS)]
    queries = constant(weights["queries_features"][None])
    positions = constant(weights["queries_embedder"][None])
    for index in range(config.decoder_layers - 1):
        memory = memories[index % LEVELS]
        embedded = _embedded(layer_norm(queries, weights / "layernorm"), weights)
        unseen = _unseen(ops.matmul(embedded, memory.mask_features, False, True))
        layer = _Layer(config.num_attention_heads, positions, weights / f"layers.{index}")
        queries = layer.run(queries, memory, unseen)
    queries = layer_norm(queries, weights / "layernorm")
    grid = features.mask_features
    masks = ops.matmul(_embedded(queries, weights), grid.cells, False, True)
    classes = linear(queries, weights / "class_predictor")
    return (
        reshape(classes, 1, config.num_queries, channels_of(classes)),
        reshape(masks, 1, config.num_queries, grid.height, grid.width),
    )


def _memory(features: PixelFeatures, index: int, weights: Weights) -> _Memory:
    level = features.levels[index]
    cells = level.cells
    if f"input_projections.{index}.weight" in weights:
        cells = linear(cells, weights / f"input_projections.{index}")
    cells = ops.add(cells, constant(weights["level_embed"][None, None, index]))
    positions = sine_positions(level.height, level.width, channels_of(cells), torch.device("cpu"))
    keys = ops.add(cells, constant(positions.numpy()))
    return _Memory(cells, keys, resized(features.mask_features, level.height, level.width).cells)


def _embedded(queries: Node, weights: Weights) -> Node:
    """What a query's mask features have to look like."""
    x = ops.relu(linear(queries, weights / "mask_embedder.0"))
    x = ops.relu(linear(x, weights / "mask_embedder.2"))
    return linear(x, weights / "mask_embedder.4")


def _unseen(mask_logits: Node) -> Node:
    """Shape (1, 1, Q, S): what keeps a query to its mask. One with an empty mask looks everywhere."""
    empty = ops.less(ops.reduce_max(mask_logits, constant([2], np.int64), True), constant(0))
    allowed = ops.logical_or(ops.greater_equal(mask_logits, constant(0)), empty)
    bias = ops.select(allowed, constant(0), constant(_FORBIDDEN))
    return ops.unsqueeze(bias, constant([0], np.int64))


@dataclass(frozen=True)
class _Layer:
    heads: int
    positions: Node
    weights: Weights

    def run(self, queries: Node, memory: _Memory, unseen: Node) -> Node:
        weights = self.weights
        placed = ops.add(queries, self.positions)
        seen = self._attend("cross_attn", placed, memory.keys, memory.cells, unseen)
        queries = layer_norm(ops.add(queries, seen), weights / "cross_attn_layer_norm")
        placed = ops.add(queries, self.positions)
        others = self._attend("self_attn", placed, placed, queries)
        queries = layer_norm(ops.add(queries, others), weights / "self_attn_layer_norm")
        expanded = ops.relu(linear(queries, weights / "fc1"))
        return layer_norm(ops.add(queries, linear(expanded, weights / "fc2")), weights / "final_layer_norm")

    def _attend(self, name: str, queries: Node, keys: Node, values: Node, *biases: Node) -> Node:
        weights = self.weights / name
        scale = (channels_of(queries) // self.heads) ** -0.5
        attended = attention(
            split_heads(linear(queries, weights / "q_proj", scale=scale), self.heads, length_of(queries)),
            split_heads(linear(keys, weights / "k_proj"), self.heads, length_of(keys)),
            split_heads(linear(values, weights / "v_proj"), self.heads, length_of(values)),
            *biases,
        )
        return linear(attended, weights / "out_proj")
