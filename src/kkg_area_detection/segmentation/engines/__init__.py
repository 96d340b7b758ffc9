"""Engines: one file for each way of running the network, all behind one small protocol."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

if TYPE_CHECKING:
    import torch


class MaskOutputs(NamedTuple):
    """What the network says about a batch of images, before any decision is taken.

    Attributes:
        class_logits: Shape (B, Q, C + 1), floating point. The last column is "no object".
        mask_logits: Shape (B, Q, h / 4, w / 4), floating point. Positive means inside the query's mask.
    """

    class_logits: torch.Tensor
    mask_logits: torch.Tensor


class Engine(Protocol):
    """Something that holds the weights and runs the network."""

    @property
    def id2label(self) -> dict[int, str]:
        """Class index to label, from the model's ``config.json``."""
        ...

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        ...

    def forward(self, pixel_values: torch.Tensor) -> MaskOutputs:
        """Run the network.

        Args:
            pixel_values: Shape (B, 3, h, w), float32, on any device; what ``preprocessing.prepare`` gives.

        Returns:
            The logits, on ``device``.
        """
        ...
