"""``Segmenter``: a loaded model that turns pictures into segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, TypeAlias

import torch
from PIL import Image

from kkg_area_detection.errors import UsageError
from kkg_area_detection.segmentation.device import explained_out_of_memory
from kkg_area_detection.segmentation.engines.selection import EngineChoice, load_engine
from kkg_area_detection.segmentation.fine_painting import find_segments_finely
from kkg_area_detection.segmentation.postprocessing import PAINTING_GRIDS, find_segments
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings, prepare

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from kkg_area_detection.segmentation.engines import Engine, MaskOutputs
    from kkg_area_detection.segmentation.result import SegmentationResult

Painting: TypeAlias = Literal["exact", "fine"]
"""How masks become a map: exactly as transformers does it, or with finer borders and without doubles."""

_PAINTERS = {"exact": find_segments, "fine": find_segments_finely}
_A4_AT_100_DPI = (827, 1169)


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
    def load(
        cls,
        directory: Path,
        device: torch.device,
        choice: EngineChoice = EngineChoice(),  # noqa: B008 - it is frozen
        cache_directory: Callable[[], Path] | None = None,
    ) -> Segmenter:
        """Load a model directory.

        Args:
            directory: As ``save_pretrained`` writes it, with or without ``preprocessor_config.json``.
            device: Where to run; see ``device.resolve_device``.
            choice: Which engine, and in what precision.
            cache_directory: Says where an engine may keep what it derives from the model; None: nowhere.

        Returns:
            The segmenter.

        Raises:
            ModelNotFoundError: There is no such directory.
            InvalidModelError: The directory does not hold a complete, sound Mask2Former model.
            UsageError: The engine that was asked for cannot run the model, or not on this device.
            MissingDependencyError: The engine that was asked for is not installed.
            DeviceError: The model does not fit into the device's memory.
        """
        engine = load_engine(directory, device, choice, cache_directory)
        return cls(engine, ProcessorSettings.from_directory(directory))

    def warm_up(self) -> None:
        """Run the network once on an empty A4 page, so that the first real picture finds everything ready.

        Raises:
            DeviceError: The device's memory was not enough.
        """
        self.segment(Image.new("RGB", _A4_AT_100_DPI, "white"))

    def segment(
        self, image: Image.Image, threshold: float = 0.5, painting: Painting = "exact"
    ) -> SegmentationResult:
        """Find the segments of a picture.

        Args:
            image: Mode RGB, any size.
            threshold: Least score of a segment, 0 to 1.
            painting: How masks become a map.

        Returns:
            The segments, in the picture's own pixels.

        Raises:
            UsageError: The threshold is not within 0 to 1, or there is no such painting.
            ImageError: The image is not in mode RGB.
            DeviceError: The device's memory was not enough.
        """
        check_threshold(threshold)
        check_painting(painting)
        outputs = self.run(torch.from_numpy(self.prepare(image))[None])
        return self.finish(
            outputs.class_logits[0], outputs.mask_logits[0], (image.height, image.width), threshold, painting
        )

    def prepare(self, image: Image.Image) -> NDArray[np.float32]:
        """Turn a picture into the network's input: shape (3, h, w); see ``preprocessing.prepare``."""
        return prepare(image, self.settings)

    def run(self, pixel_values: torch.Tensor) -> MaskOutputs:
        """Run the network on a batch of prepared pictures of one shape.

        Args:
            pixel_values: Shape (B, 3, h, w), float32, on any device.

        Returns:
            The logits, on the engine's device.

        Raises:
            DeviceError: The device's memory was not enough.
        """
        height, width = pixel_values.shape[-2:]
        with explained_out_of_memory(self.engine.device, f"on an input of {height} x {width} pixels"):
            return self.engine.forward(pixel_values)

    def finish(
        self,
        class_logits: torch.Tensor,
        mask_logits: torch.Tensor,
        image_shape: tuple[int, int],
        threshold: float,
        painting: Painting = "exact",
    ) -> SegmentationResult:
        """Turn the logits of one picture into its segments.

        Args:
            class_logits: Shape (Q, C + 1).
            mask_logits: Shape (Q, h / 4, w / 4).
            image_shape: Height and width of the picture in pixels.
            threshold: Least score of a segment, 0 to 1.
            painting: How masks become a map.

        Returns:
            The segments, in the picture's own pixels.

        Raises:
            DeviceError: The device's memory was not enough.
        """
        with explained_out_of_memory(self.engine.device, "while segments were made of its results"):
            return _PAINTERS[painting](
                class_logits,
                mask_logits,
                image_shape=image_shape,
                threshold=threshold,
                grid_shape=PAINTING_GRIDS[self.settings.kind],
                id2label=self.engine.id2label,
            )


def check_threshold(threshold: float) -> None:
    """Pass silently where a threshold can be one.

    Raises:
        UsageError: It is not within 0 to 1.
    """
    if not 0 <= threshold <= 1:
        raise UsageError(
            f"threshold is {threshold}.", next_step="pass a number between 0 and 1, such as 0.5."
        )


def check_painting(painting: str) -> None:
    """Pass silently where there is such a painting.

    Raises:
        UsageError: There is none.
    """
    if painting not in _PAINTERS:
        raise UsageError(f"painting is {painting!r}.", next_step=f"pass one of {', '.join(_PAINTERS)}.")
