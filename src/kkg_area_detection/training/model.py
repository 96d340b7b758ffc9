"""The model of a run: from nothing, or from any Mask2Former directory, for the labels of the run."""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from kkg_area_detection.areas.labels import kind_of
from kkg_area_detection.errors import InvalidModelError, MissingDependencyError
from kkg_area_detection.model_directory import CONFIG_NAME, check_model_directory
from kkg_area_detection.segmentation.network.checkpoint import read_tensors
from kkg_area_detection.segmentation.network.config import UnknownNetworkError
from kkg_area_detection.segmentation.network_config import read_classes, read_network_config
from kkg_area_detection.segmentation.preprocessing import ProcessorSettings
from kkg_area_detection.training.architecture import architecture

if TYPE_CHECKING:
    from torch import nn

    from kkg_area_detection.training.config import TrainConfig

logger = logging.getLogger(__name__)

_HEAD = "class_predictor."
# What `forward` does not compute otherwise; transformers' defaults are the same.
_REQUIRED = {
    "activation_function": "relu",
    "pre_norm": False,
    "common_stride": 4,
    "feature_strides": [4, 8, 16, 32],
}
_PLAIN_SETTINGS = ProcessorSettings(kind="maskformer", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


@dataclass(frozen=True)
class TrainableModel:
    """A network and what its directory will say about it.

    Attributes:
        network: transformers' ``Mask2FormerForUniversalSegmentation``.
        settings: How it wants its pixels; the size is that of the run, not this one.
    """

    network: nn.Module
    settings: ProcessorSettings

    @property
    def backbone_parameters(self) -> set[nn.Parameter]:
        """Those that a fine-tuning run should change slowly."""
        inner: Any = self.network
        return set(inner.model.pixel_level_module.encoder.parameters())


def make_model(config: TrainConfig) -> TrainableModel:
    """Make the model that a run begins with.

    Args:
        config: Of the run; its seed decides the weights that are drawn.

    Returns:
        On the CPU, in float32. Of a directory with other labels everything is taken over but the class head; there,
        labels of the same meaning keep what they have learned.

    Raises:
        KkgAreaDetectionError: The directory holds no model, or one that cannot be trained here.
        MissingDependencyError: SciPy is not installed.
    """
    _require_scipy()
    torch.manual_seed(config.seed)
    if config.start is None:
        return TrainableModel(new_network(architecture(config.preset), config.labels), _PLAIN_SETTINGS)
    directory = Path(config.start)
    check_model_directory(directory)
    fields = read_network_config(directory)
    _check_trainable(directory, fields)
    _, id2label = read_classes(directory / CONFIG_NAME, fields)
    network = new_network(fields, config.labels)
    try:
        stored = {name: tensor.float() for name, tensor in read_tensors(directory).items()}
    except UnknownNetworkError as error:
        raise _unloadable(directory, str(error)) from error
    _fill(network, stored, [id2label[number] for number in sorted(id2label)], config.labels, directory)
    return TrainableModel(network, ProcessorSettings.from_directory(directory))


def model_like(directory: Path, labels: tuple[str, ...]) -> TrainableModel:
    """Make the model of a run that goes on: a checkpoint has its weights.

    Args:
        directory: With the ``config.json`` and the processor of the model that the run began with.
        labels: Of the run.
    """
    _require_scipy()
    network = new_network(read_network_config(directory), labels)
    return TrainableModel(network, ProcessorSettings.from_directory(directory))


def new_network(fields: dict[str, Any], labels: tuple[str, ...]) -> nn.Module:
    """Build a network of random weights.

    Args:
        fields: Of a ``config.json``.
        labels: Of its classes.

    Returns:
        transformers' ``Mask2FormerForUniversalSegmentation``.
    """
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation

    named = dict(enumerate(labels))
    shape = {name: value for name, value in fields.items() if name not in ("num_labels", "label2id", "dtype")}
    logger_of_config = logging.getLogger(Mask2FormerConfig.__module__)
    level = logger_of_config.level
    logger_of_config.setLevel(logging.ERROR)  # it warns of backbones other than Swin, which work
    try:
        settings = Mask2FormerConfig(
            **shape | {"id2label": named, "label2id": {v: k for k, v in named.items()}}
        )
    finally:
        logger_of_config.setLevel(level)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "You'd better set embed_dim")  # for a CUDA kernel that is not used
        network: nn.Module = Mask2FormerForUniversalSegmentation(settings)
    return network


def _check_trainable(directory: Path, fields: dict[str, Any]) -> None:
    for name, wanted in _REQUIRED.items():
        value = fields.get(name, wanted)
        if value != wanted:
            raise InvalidModelError(
                f"The model in {directory} cannot be trained: its {name} is {value!r}, not {wanted!r}.",
                next_step="start from another model, or from scratch.",
            )


def _fill(
    network: nn.Module,
    stored: dict[str, torch.Tensor],
    old: list[str],
    labels: tuple[str, ...],
    directory: Path,
) -> None:
    """Load weights; rows of the class head are taken over label by label, "no object" last."""
    wanted = network.state_dict()
    loaded = {name: tensor for name, tensor in stored.items() if not name.startswith(_HEAD)}
    meanings = [kind_of(label) or label for label in old]
    known = {label: row for row, label in reversed(list(enumerate(meanings)))}
    rows = [*(known.get(kind_of(label) or label) for label in labels), len(old)]
    for name in (_HEAD + "weight", _HEAD + "bias"):
        if name in stored and len(stored[name]) == len(old) + 1:
            loaded[name] = wanted[name].clone()
            for row, source in enumerate(rows):
                if source is not None:
                    loaded[name][row] = stored[name][source]
    new = [label for label, row in zip(labels, rows, strict=False) if row is None]
    if new:
        logger.info(
            "The model in %s does not know %s; they are learned from nothing.", directory, ", ".join(new)
        )
    ours = {name for name in wanted if not name.startswith("criterion.")}
    lacking = sorted(name for name in ours - loaded.keys() if not name.endswith(_DISPENSABLE))
    if lacking:
        raise _unloadable(directory, f"its weights lack {lacking[0]}")
    for name in ours & loaded.keys():
        if loaded[name].shape != wanted[name].shape:
            raise _unloadable(
                directory, f"{name} is {tuple(loaded[name].shape)}, not {tuple(wanted[name].shape)}"
            )
    network.load_state_dict({name: loaded[name] for name in ours & loaded.keys()}, strict=False)


_DISPENSABLE = ("num_batches_tracked", "relative_position_index")


def _unloadable(directory: Path, reason: str) -> InvalidModelError:
    return InvalidModelError(
        f"The model in {directory} cannot be trained: {reason}.",
        cause="config.json and the weights are not of one model.",
        next_step="copy the whole model directory again.",
    )


def _require_scipy() -> None:
    try:
        import scipy  # noqa: F401
    except ImportError as error:
        raise MissingDependencyError(
            "Training needs SciPy.", next_step="pip install 'kkg-area-detection[training]'"
        ) from error
