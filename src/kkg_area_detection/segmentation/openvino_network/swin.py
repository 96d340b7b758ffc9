"""See ``network.swin``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from kkg_area_detection.segmentation.network.swin import Windows
from kkg_area_detection.segmentation.openvino_network.layers import (
    FeatureMap,
    Node,
    Weights,
    attention,
    channels_of,
    constant,
    convolution,
    gathered,
    layer_norm,
    length_of,
    linear,
    reshape,
    split_heads,
)
from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import SwinConfig

_CPU = torch.device("cpu")


def swin_features(pixel_values: Node, config: SwinConfig, weights: Weights) -> list[FeatureMap]:
    """A picture (1, 3, H, W) in; features of strides 4, 8, 16 and 32 out."""
    side = config.patch_size
    _, _, height, width = pixel_values.get_output_shape(0)
    patches = convolution(
        pixel_values, weights / "patch_embedding", stride=side, after=(-height % side, -width % side)
    )
    embedded = FeatureMap.from_image(patches)
    x = FeatureMap(layer_norm(embedded.cells, weights / "patch_norm"), embedded.height, embedded.width)
    features: list[FeatureMap] = []
    for stage in range(len(config.depths)):
        if stage > 0:
            x = _halved(x, weights / f"downsamples.{stage - 1}")
        x = FeatureMap(_stage(x, config, stage, weights / f"stages.{stage}"), x.height, x.width)
        features.append(FeatureMap(layer_norm(x.cells, weights / f"norms.{stage}"), x.height, x.width))
    return features


def _stage(x: FeatureMap, config: SwinConfig, stage: int, weights: Weights) -> Node:
    size = config.window_size
    windows = [Windows.of(x.height, x.width, size, shift, _CPU) for shift in (0, size // 2)]
    cells = x.cells
    for index in range(config.depths[stage]):
        cells = _block(cells, windows[index % 2], config, stage, weights / f"blocks.{index}")
    return cells


def _block(cells: Node, windows: Windows, config: SwinConfig, stage: int, weights: Weights) -> Node:
    normed = layer_norm(cells, weights / "layernorm_before", config.layer_norm_eps)
    number = length_of(cells)
    place = windows.place.numpy()
    source = np.full(windows.cells, number)  # cells that only fill up the last windows are zeros
    source[place] = np.arange(number)
    windowed = gathered(normed, source)
    attended = _attention(windowed, windows, config.num_heads[stage], weights / "attention")
    cells = ops.add(cells, gathered(attended, place))
    normed = layer_norm(cells, weights / "layernorm_after", config.layer_norm_eps)
    return ops.add(cells, linear(ops.gelu(linear(normed, weights / "fc1"), "erf"), weights / "fc2"))


def _attention(cells: Node, windows: Windows, heads: int, weights: Weights) -> Node:
    """Attend within each of the windows that the cells are ordered by."""
    length = windows.size**2
    scale = (channels_of(cells) // heads) ** -0.5
    biases = [constant(weights["position_bias"])]
    if windows.mask is not None:
        biases.append(constant(windows.mask.numpy()))
    attended = attention(
        split_heads(linear(cells, weights / "query", scale=scale), heads, length),
        split_heads(linear(cells, weights / "key"), heads, length),
        split_heads(linear(cells, weights / "value"), heads, length),
        *biases,
    )
    return linear(attended, weights / "output")


def _halved(x: FeatureMap, weights: Weights) -> FeatureMap:
    """Merge patches of 2 x 2 cells: half the resolution, twice the channels."""
    height, width = -(-x.height // 2), -(-x.width // 2)
    number = x.height * x.width
    source = np.full((2 * height, 2 * width), number)
    source[: x.height, : x.width] = np.arange(number).reshape(x.height, x.width)
    patches = source.reshape(height, 2, width, 2).transpose(0, 2, 3, 1)  # within a patch, column by column
    cells = reshape(gathered(x.cells, patches), 1, height * width, 4 * channels_of(x.cells))
    return FeatureMap(linear(layer_norm(cells, weights / "norm"), weights / "reduction"), height, width)
