"""The whole network."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import nn

from kkg_area_detection.segmentation.network.config import SwinConfig
from kkg_area_detection.segmentation.network.pixel_decoder import PixelDecoder
from kkg_area_detection.segmentation.network.resnet import ResNetBackbone
from kkg_area_detection.segmentation.network.swin import SwinBackbone
from kkg_area_detection.segmentation.network.transformer_decoder import TransformerDecoder

if TYPE_CHECKING:
    from kkg_area_detection.segmentation.network.config import NetworkConfig


class Mask2Former(nn.Module):
    """Masked-attention mask transformer (Cheng et al. 2022), for inference."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        backbone = config.backbone
        self.backbone = (
            SwinBackbone(backbone) if isinstance(backbone, SwinConfig) else ResNetBackbone(backbone)
        )
        self.pixel_decoder = PixelDecoder(config)
        self.transformer_decoder = TransformerDecoder(config)

    def forward(self, pixel_values: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Run the network.

        Args:
            pixel_values: Shape (B, 3, H, W), float32.

        Returns:
            Class logits of shape (B, Q, C + 1), the last column meaning "no object", and mask logits of shape
            (B, Q, H / 4, W / 4); both float32.
        """
        features = self.pixel_decoder(self.backbone(pixel_values))
        class_logits, mask_logits = self.transformer_decoder(features)
        return class_logits, mask_logits
