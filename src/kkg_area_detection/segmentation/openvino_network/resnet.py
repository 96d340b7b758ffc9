"""See ``network.resnet``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from kkg_area_detection.segmentation.openvino_network.layers import FeatureMap, Node, Weights, convolution
from kkg_area_detection.segmentation.openvino_network.runtime import ops

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import ResNetConfig


def resnet_features(pixel_values: Node, config: ResNetConfig, weights: Weights) -> list[FeatureMap]:
    """A picture (1, 3, H, W) in; features of strides 4, 8, 16 and 32 out."""
    x = ops.relu(_same(pixel_values, weights / "stem", stride=2))
    x = ops.max_pool(x, [2, 2], [1, 1], [1, 1], [1, 1], [3, 3]).output(0)
    features = []
    for stage, depth in enumerate(config.depths):
        for index in range(depth):
            stride = 2 if stage > 0 and index == 0 else 1
            x = _block(x, config, stride, weights / f"stages.{stage}.{index}")
        features.append(FeatureMap.from_image(x))
    return features


def _block(x: Node, config: ResNetConfig, stride: int, weights: Weights) -> Node:
    """Some convolutions and a way around them."""
    residual = _same(x, weights / "shortcut", stride=stride) if "shortcut.weight" in weights else x
    strides = [stride, 1]
    if config.layer_type == "bottleneck":
        strides = [stride, 1, 1] if config.downsample_in_bottleneck else [1, stride, 1]
    for index, step in enumerate(strides):
        x = _same(x, weights / f"convolutions.{index}", stride=step)
        x = ops.relu(x if index < len(strides) - 1 else ops.add(x, residual))
    return x


def _same(x: Node, weights: Weights, *, stride: int) -> Node:
    """A convolution with zeros around, so that only its stride changes the resolution."""
    around = weights["weight"].shape[2] // 2
    return convolution(x, weights, stride=stride, before=around, after=(around, around))
