"""The reference engine: transformers' own Mask2Former, as it is.

Slowest to start, and the measure of every other engine. It reads local files only: nothing in a model's
configuration can make it look for a backbone, a kernel or code on a public hub, and nothing but safetensors
is ever read as weights.
"""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
import transformers.utils.logging
from huggingface_hub.utils.tqdm import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
from safetensors import SafetensorError
from torch import nn
from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation, Mask2FormerModel
from transformers.models.mask2former.modeling_mask2former import Mask2FormerPreTrainedModel

from kkg_area_detection.errors import InvalidModelError
from kkg_area_detection.model_directory import CONFIG_NAME, check_model_directory
from kkg_area_detection.segmentation.device import explained_out_of_memory
from kkg_area_detection.segmentation.engines import MaskOutputs
from kkg_area_detection.segmentation.network_config import read_classes, read_network_config

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

logger = logging.getLogger(__name__)


class ReferenceEngine:
    """Mask2Former in float32, run by transformers."""

    def __init__(self, network: nn.Module, id2label: dict[int, str], device: torch.device) -> None:
        self._network = network
        self._id2label = id2label
        self._device = device

    @classmethod
    def load(cls, directory: Path, device: torch.device) -> ReferenceEngine:
        """Load a model directory as ``save_pretrained`` writes it.

        Args:
            directory: Holds ``config.json`` and ``model.safetensors``, or shards and their index. Weights of
                any dtype are converted to float32.
            device: Where to run.

        Returns:
            The engine, ready to run.

        Raises:
            ModelNotFoundError: There is no such directory.
            InvalidModelError: A file is missing or damaged, the configuration is not one of Mask2Former, or
                the weights do not fit it.
            DeviceError: The weights do not fit into the device's memory.
        """
        check_model_directory(directory)
        network = load_network(directory)
        with explained_out_of_memory(device, "while the model was loaded"):
            network = network.to(device)
        _, id2label = read_classes(directory / CONFIG_NAME, network.config.to_dict())
        return cls(network.eval(), id2label, device)

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
        outputs = self._network(pixel_values=pixel_values.to(self._device))
        return MaskOutputs(
            class_logits=outputs.class_queries_logits, mask_logits=outputs.masks_queries_logits
        )


class _NetworkWithoutLoss(Mask2FormerForUniversalSegmentation):  # type: ignore[misc]
    """The network as transformers runs it, minus the training loss, whose constructor demands SciPy."""

    # transformers 4 stored the index of the position biases, and not this norm, which no feature passes through.
    _keys_to_ignore_on_load_unexpected = (r"^criterion\.", r"\.relative_position_index$")
    _keys_to_ignore_on_load_missing = (r"\.swin\.layernorm\.",)

    def __init__(self, config: Any) -> None:
        Mask2FormerPreTrainedModel.__init__(self, config)
        self.model = Mask2FormerModel(config)
        self.class_predictor = nn.Linear(config.hidden_dim, config.num_labels + 1)
        self.post_init()


def _network_config(directory: Path) -> Any:
    fields = read_network_config(directory)
    try:
        with _quiet_transformers():
            return Mask2FormerConfig.from_dict(fields)
    except Exception as error:
        raise InvalidModelError(
            f"transformers {transformers.__version__} does not understand {directory / CONFIG_NAME}: {error}",
            cause="the file was edited by hand, or was written by another release of transformers.",
            next_step="copy the file anew from where the model was saved, or upgrade transformers.",
        ) from error


def load_network(directory: Path, tensors: dict[str, torch.Tensor] | None = None) -> Any:
    """Build the network that ``config.json`` describes and fill it.

    Args:
        directory: A model directory that has passed the load gate.
        tensors: What to fill it with; None takes the weights in the directory.

    Returns:
        The network in float32, on the CPU.

    Raises:
        InvalidModelError: The configuration is not one of Mask2Former, or the weights are damaged or do not
            fit it.
    """
    config = _network_config(directory)
    try:
        with _quiet_transformers():
            network, report = _NetworkWithoutLoss.from_pretrained(
                directory if tensors is None else None,
                config=config,
                state_dict=tensors,
                local_files_only=True,
                use_safetensors=True,
                dtype=torch.float32,
                ignore_mismatched_sizes=True,  # they are in the report, and our error says more
                output_loading_info=True,
            )
    except SafetensorError as error:
        raise InvalidModelError(
            f"The weights in {directory} are damaged: {error}",
            cause="the file was cut short or changed on the way.",
            next_step="delete it and copy or download the model anew.",
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        ImportError,
        KeyError,
        OSError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise InvalidModelError(
            f"transformers {transformers.__version__} cannot load the model in {directory}: {error}",
            cause=f"{CONFIG_NAME} describes a network that it cannot build, or a file is damaged.",
            next_step="copy the model anew from where it was saved, or upgrade transformers.",
        ) from error
    _check_report(directory, report)
    return network


def _check_report(directory: Path, report: dict[str, Any]) -> None:
    """Refuse a network of which a part kept its random initial values."""
    missing = sorted(report["missing_keys"])
    mismatched = sorted(report["mismatched_keys"])
    if missing:
        raise InvalidModelError(
            f"The weights in {directory} lack {_first_of(missing)}.",
            cause=f"they belong to another model than {CONFIG_NAME} describes, or to another architecture.",
            next_step="copy both files from the same training run.",
        )
    if mismatched:
        described = [
            f"{name} {tuple(found)} instead of {tuple(wanted)}" for name, found, wanted in mismatched
        ]
        raise InvalidModelError(
            f"The weights in {directory} have other shapes than {CONFIG_NAME} says: {_first_of(described)}.",
            cause="the two files come from different trainings, for example with different labels.",
            next_step="copy both files from the same training run.",
        )
    unexpected = sorted(report["unexpected_keys"])
    if unexpected:
        logger.warning(
            "The weights in %s hold more than the model uses: %s.", directory, _first_of(unexpected)
        )


def _first_of(names: list[str]) -> str:
    shown = ", ".join(names[:3])
    rest = len(names) - 3
    return f"{shown} and {rest} more (of {len(names)})" if rest > 0 else f"{shown} ({len(names)} in all)"


@contextmanager
def _quiet_transformers() -> Iterator[None]:
    """Keep transformers' bars, reports and warnings from the terminal while a model loads.

    What a user must know is in our errors and our log. transformers has only process-wide switches; each is
    put back as it was.
    """
    log = transformers.utils.logging
    verbosity = log.get_verbosity()
    bars = log.is_progress_bar_enabled()
    hub_bars = not are_progress_bars_disabled()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"transformers\.|huggingface_hub\.")
        log.set_verbosity_error()
        log.disable_progress_bar()
        try:
            yield
        finally:
            log.set_verbosity(verbosity)
            if bars:
                log.enable_progress_bar()
            if hub_bars:
                enable_progress_bars()
            else:
                disable_progress_bars()
