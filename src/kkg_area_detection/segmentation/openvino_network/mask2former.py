"""The whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from kkg_area_detection.segmentation.network.config import SwinConfig
from kkg_area_detection.segmentation.openvino_network.layers import Node, Weights
from kkg_area_detection.segmentation.openvino_network.pixel_decoder import pixel_features
from kkg_area_detection.segmentation.openvino_network.resnet import resnet_features
from kkg_area_detection.segmentation.openvino_network.runtime import openvino, ops
from kkg_area_detection.segmentation.openvino_network.swin import swin_features
from kkg_area_detection.segmentation.openvino_network.transformer_decoder import decoded

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from kkg_area_detection.segmentation.network.config import NetworkConfig


def build_graph(
    config: NetworkConfig,
    tensors: Mapping[str, torch.Tensor],
    height: int,
    width: int,
    *,
    lower_precision: bool = False,
) -> Node:
    """Build the graph of a network for pictures of one size.

    Args:
        config: The shape of the network.
        tensors: Its weights: the ``state_dict()`` of ``network.mask2former.Mask2Former``, float32, on the CPU.
        height: Of the picture, in pixels.
        width: Of the picture, in pixels.
        lower_precision: Whether the graph will run in less than float32.

    Returns:
        An ``openvino.Model``. Its input is pixel values of shape (1, 3, height, width); its outputs are class
        logits (1, Q, C + 1) and mask logits (1, Q, height / 4, width / 4). All are float32.
    """
    weights = Weights(tensors)
    pixel_values = ops.parameter([1, 3, height, width], np.float32, name="pixel_values")
    if isinstance(config.backbone, SwinConfig):
        features = swin_features(pixel_values, config.backbone, weights / "backbone")
    else:
        features = resnet_features(pixel_values, config.backbone, weights / "backbone")
    decoder_input = pixel_features(
        features, config, weights / "pixel_decoder", lower_precision=lower_precision
    )
    outputs = decoded(decoder_input, config, weights / "transformer_decoder")
    return openvino.Model(list(outputs), [pixel_values], "Mask2Former")
