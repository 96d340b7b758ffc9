"""The deep check: do the weights fit the network that ``config.json`` describes?

Only the headers of the weights are read, so a large model takes hardly longer than a small one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open

from kkg_area_detection.errors import InvalidModelError
from kkg_area_detection.model_directory import check_model_directory, weights_files
from kkg_area_detection.segmentation.engines.reference import load_network

if TYPE_CHECKING:
    from pathlib import Path


def check_weights_fit(directory: Path) -> None:
    """Pass silently where names and shapes of the weights are those the network needs.

    Args:
        directory: A model directory as ``save_pretrained`` writes it. The load gate is part of the check.

    Raises:
        ModelNotFoundError: There is no such directory.
        InvalidModelError: The load gate refuses it, the configuration is not one of Mask2Former, or tensors
            are missing or have other shapes; the message names the first of them.
    """
    check_model_directory(directory)
    # The loader itself judges, so that tensors under the names of older releases count as they do when the
    # model is loaded. A tensor that repeats one zero has a shape but needs no memory.
    zero = torch.zeros(())
    tensors = {name: zero.expand(shape) for name, shape in _shapes(directory).items()}
    load_network(directory, tensors)


def _shapes(directory: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor, from the headers."""
    shapes: dict[str, list[int]] = {}
    for path in weights_files(directory):
        try:
            with safe_open(path, framework="np") as weights:  # "pt" reserves memory for the whole file
                shapes |= {name: weights.get_slice(name).get_shape() for name in weights.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise InvalidModelError(
                f"The header of {path} cannot be read: {error}",
                cause="the file was cut short or changed on the way.",
                next_step="replace it with a sound copy of the file.",
            ) from error
    return shapes
