"""See ``network.pixel_decoder``."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch

from kkg_area_detection.segmentation.network.positions import sine_positions
from kkg_area_detection.segmentation.openvino_network.deformable_attention import Sampler
from kkg_area_detection.segmentation.openvino_network.layers import (
    FeatureMap,
    Node,
    Weights,
    channels_of,
    constant,
    convolution,
    group_norm,
    layer_norm,
    length_of,
    linear,
    part,
    reshape,
    resized,
)
from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import NetworkConfig


class PixelFeatures(NamedTuple):
    """What the transformer decoder looks at.

    Attributes:
        levels: Coarsest first (strides 32, 16, 8).
        mask_features: Of stride 4: a mask is the product of its cells' features with an embedding.
    """

    levels: list[FeatureMap]
    mask_features: FeatureMap


def pixel_features(
    features: list[FeatureMap], config: NetworkConfig, weights: Weights, *, lower_precision: bool
) -> PixelFeatures:
    """Backbone features (strides 4, 8, 16, 32) in, pixel features out."""
    finest, *others = features
    maps = [
        _projected(level, weights / f"input_projections.{index}")
        for index, level in enumerate(reversed(others))
    ]
    shapes = tuple((level.height, level.width) for level in maps)
    sampler = Sampler.of(shapes, config.num_attention_heads, lower_precision=lower_precision)
    positions = constant(_positions(shapes, weights["level_embed"])[None])
    cells = ops.concat([level.cells for level in maps], 1)
    for index in range(config.encoder_layers):
        cells = _encoder_layer(cells, positions, sampler, weights / f"layers.{index}")
    ends = np.cumsum([height * width for height, width in shapes])
    parts = (
        part(cells, end - height * width, end) for end, (height, width) in zip(ends, shapes, strict=True)
    )
    levels = [FeatureMap(cells, *shape) for cells, shape in zip(parts, shapes, strict=True)]
    return PixelFeatures(levels, _mask_features(finest, levels[-1], weights))


def _projected(level: FeatureMap, weights: Weights) -> FeatureMap:
    return FeatureMap(
        group_norm(linear(level.cells, weights / "0"), weights / "1"), level.height, level.width
    )


def _positions(shapes: tuple[tuple[int, int], ...], embedding: np.ndarray) -> np.ndarray:
    device = torch.device("cpu")
    return np.concatenate(
        [
            sine_positions(height, width, embedding.shape[1], device)[0].numpy() + embedding[level]
            for level, (height, width) in enumerate(shapes)
        ]
    )


def _encoder_layer(cells: Node, positions: Node, sampler: Sampler, weights: Weights) -> Node:
    placed = ops.add(cells, positions)
    scores = linear(placed, weights / "attention_weights")
    shape = (length_of(scores), sampler.heads, channels_of(scores) // sampler.heads)
    attended = sampler.sample(
        linear(cells, weights / "value_proj"),
        linear(placed, weights / "sampling_offsets", outputs=slice(0, None, 2)),
        linear(placed, weights / "sampling_offsets", outputs=slice(1, None, 2)),
        reshape(ops.softmax(reshape(scores, *shape), 2), 1, length_of(scores), channels_of(scores)),
    )
    attended = linear(attended, weights / "output_proj")
    cells = layer_norm(ops.add(cells, attended), weights / "self_attn_layer_norm")
    expanded = ops.relu(linear(cells, weights / "fc1"))
    return layer_norm(ops.add(cells, linear(expanded, weights / "fc2")), weights / "final_layer_norm")


def _mask_features(finest: FeatureMap, finest_level: FeatureMap, weights: Weights) -> FeatureMap:
    height, width = finest.height, finest.width
    lateral = _projected(finest, weights / "lateral")
    summed = FeatureMap(ops.add(lateral.cells, resized(finest_level, height, width).cells), height, width)
    output = convolution(summed.as_image(), weights / "output.0", before=1, after=(1, 1))
    cells = ops.relu(group_norm(FeatureMap.from_image(output).cells, weights / "output.1"))
    return FeatureMap(linear(cells, weights / "mask_projection"), height, width)
