"""The native engine: our own Mask2Former for inference (``network``).

It starts in little more than the time that importing torch takes, and is several times faster and leaner than
transformers. It knows the published sizes with Swin backbones, and ResNet backbones.
"""

from __future__ import annotations

import logging
import threading
from typing import TYPE_CHECKING

import torch

from kkg_area_detection.model_directory import CONFIG_NAME
from kkg_area_detection.segmentation.device import explained_out_of_memory
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.network.checkpoint import build_network, read_tensors
from kkg_area_detection.segmentation.network.config import NetworkConfig
from kkg_area_detection.segmentation.network.layers import set_precision
from kkg_area_detection.segmentation.network_config import read_classes, read_network_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from torch import nn

logger = logging.getLogger(__name__)


class NativeEngine:
    """Mask2Former in plain torch."""

    def __init__(
        self,
        network: nn.Module,
        id2label: dict[int, str],
        device: torch.device,
        in_float32: Callable[[], nn.Module],
    ) -> None:
        self._network = network
        self._id2label = id2label
        self._device = device
        self._in_float32 = in_float32
        self._changing = threading.Lock()

    @classmethod
    def load(cls, directory: Path, device: torch.device, dtype: torch.dtype = torch.float32) -> NativeEngine:
        """Load a model directory that has passed the load gate.

        Args:
            directory: Holds ``config.json`` and safetensors of any dtype.
            device: Where to run.
            dtype: Of the matrix products: float32, bfloat16 or float16. Norms and coordinates are in float32
                whatever it is.

        Returns:
            The engine, ready to run.

        Raises:
            UnknownNetworkError: The model is none of those that are built here, or is damaged.
            InvalidModelError: ``config.json`` is unreadable.
            DeviceError: The weights do not fit into the device's memory.
        """
        fields = read_network_config(directory)
        n_classes, id2label = read_classes(directory / CONFIG_NAME, fields)
        config = NetworkConfig.from_fields(fields, n_classes)
        tensors = read_tensors(directory)

        def build(dtype: torch.dtype = torch.float32) -> nn.Module:
            network = build_network(tensors, config)
            with explained_out_of_memory(device, "while the model was loaded"):
                set_precision(network, dtype)
                return network.to(device)

        # The tensors stay mapped: when they are needed again, the directory may hold another model, or none.
        return cls(build(dtype), id2label, device, build)

    @property
    def id2label(self) -> dict[int, str]:
        """Class index to label, from ``config.json``."""
        return self._id2label

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self._device

    @torch.inference_mode()
    def forward(self, pixel_values: torch.Tensor) -> MaskOutputs:
        """Run the network.

        Args:
            pixel_values: Shape (B, 3, h, w), float32, on any device.

        Returns:
            The logits in float32, on ``device``.
        """
        pixel_values = pixel_values.to(self._device)
        network = self._network
        outputs = MaskOutputs(*network(pixel_values))
        if not _has_short_range(network) or all(logits.isfinite().all() for logits in outputs):
            return outputs
        with self._changing:
            if self._network is network:  # no other thread was here before
                logger.warning("The numbers of this model are too large for float16; it goes on in float32.")
                self._network = self._in_float32()
        return MaskOutputs(*self._network(pixel_values))


def _has_short_range(network: nn.Module) -> bool:
    """Whether numbers above 65504 become infinite."""
    return any(weights.dtype == torch.float16 for weights in network.parameters())
