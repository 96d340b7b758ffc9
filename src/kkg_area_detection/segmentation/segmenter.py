"""``Segmenter``: a loaded model that turns pictures into segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.device import explained_out_of_memory
from kkg_area_detection.segmentation.postprocessing import PAINTING_GRIDS, find_segments
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings, prepare

if TYPE_CHECKING:
    from pathlib import Path

    from PIL import Image

    from kkg_area_detection.segmentation.engines import Engine
    from kkg_area_detection.segmentation.result import SegmentationResult


@dataclass(frozen=True)
class Segmenter:
    """An engine and the settings of its images.

    Attributes:
        engine: Holds the weights and runs the network.
        settings: How the model wants its images, and which post-processing goes with it.
    """

    engine: Engine
    settings: ProcessorSettings

    @classmethod
    def load(cls, directory: Path, device: torch.device) -> Segmenter:
        """Load a model directory.

        Args:
            directory: As ``save_pretrained`` writes it, with or without ``preprocessor_config.json``.
            device: Where to run; see ``device.resolve_device``.

        Returns:
            The segmenter.

        Raises:
            ModelNotFoundError: There is no such directory.
            InvalidModelError: The directory does not hold a complete, sound Mask2Former model.
            DeviceError: The model does not fit into the device's memory.
        """
        from kkg_area_detection.segmentation.engines.reference import ReferenceEngine

        return cls(ReferenceEngine.load(directory, device), ProcessorSettings.from_directory(directory))

    def segment(self, image: Image.Image, threshold: float = 0.5) -> SegmentationResult:
        """Find the segments of a picture.

        Args:
            image: Mode RGB, any size.
            threshold: Least score of a segment, 0 to 1.

        Returns:
            The segments, in the picture's own pixels.

        Raises:
            UsageError: The threshold is not within 0 to 1.
            ImageError: The image is not in mode RGB.
            DeviceError: The device's memory was not enough.
        """
        if not 0 <= threshold <= 1:
            raise UsageError(
                f"threshold is {threshold}.", next_step="pass a number between 0 and 1, such as 0.5."
            )
        pixel_values = torch.from_numpy(prepare(image, self.settings))[None]
        height, width = pixel_values.shape[-2:]
        with explained_out_of_memory(self.engine.device, f"on an input of {height} x {width} pixels"):
            outputs = self.engine.forward(pixel_values)
            return find_segments(
                outputs.class_logits[0],
                outputs.mask_logits[0],
                image_shape=(image.height, image.width),
                threshold=threshold,
                grid_shape=PAINTING_GRIDS[self.settings.kind],
                id2label=self.engine.id2label,
            )
