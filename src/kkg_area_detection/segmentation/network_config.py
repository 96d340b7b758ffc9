"""The configuration of a network, without what would make a library look for something on a public hub."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kkg_area_detection.errors import InvalidModelError
from kkg_area_detection.model_directory import CONFIG_NAME, read_json_object

if TYPE_CHECKING:
    from pathlib import Path

# Fields that send transformers to a public hub for a backbone, kernels or code, or to files of other names.
_FIELDS_THAT_FETCH = (
    "_attn_implementation",
    "attn_implementation",
    "auto_map",
    "backbone",
    "backbone_kwargs",
    "fusion_config",
    "quantization_config",
    "transformers_weights",
    "use_pretrained_backbone",
    "use_timm_backbone",
)

_DEFAULT_CLASSES = 2  # those of transformers


def read_network_config(directory: Path) -> dict[str, Any]:
    """Read ``config.json`` without the fields that make transformers fetch something.

    Args:
        directory: A model directory that has passed the load gate.

    Returns:
        The fields of a Mask2Former configuration; ``backbone_config`` is one of them.

    Raises:
        InvalidModelError: The file is unreadable, or only names a backbone instead of describing it.
    """
    path = directory / CONFIG_NAME
    fields = read_json_object(path)
    backbone = fields.get("backbone_config")
    if not isinstance(backbone, dict):
        raise InvalidModelError(
            f"{path} has no backbone_config.",
            cause="the model was saved with a backbone's name on a public hub instead of its description.",
            next_step="load it once where that hub is reachable, and save it again with save_pretrained.",
        )
    return _without_fetching(fields) | {"backbone_config": _local_backbone(backbone)}


def read_classes(path: Path, fields: dict[str, Any]) -> tuple[int, dict[int, str]]:
    """Read how many classes there are, and their labels.

    Args:
        path: Of the ``config.json``, for messages.
        fields: Its fields.

    Returns:
        The number of classes without "no object", and class index to label. Classes that the file leaves out
        get transformers' own label, ``LABEL_<n>``.

    Raises:
        InvalidModelError: ``id2label`` is malformed.
    """
    named = fields.get("id2label")
    try:
        labels = {int(index): str(label) for index, label in (named or {}).items()}
    except (AttributeError, TypeError, ValueError) as error:
        raise InvalidModelError(
            f"id2label in {path} is malformed.",
            cause="it must be an object of class numbers and their labels.",
            next_step="copy the file anew from where the model was saved.",
        ) from error
    n_classes = len(labels) if named is not None else _DEFAULT_CLASSES
    return n_classes, {index: f"LABEL_{index}" for index in range(n_classes)} | labels


def _without_fetching(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name not in _FIELDS_THAT_FETCH}


def _local_backbone(fields: dict[str, Any]) -> dict[str, Any]:
    local = _without_fetching(fields)
    if fields.get("model_type") == "timm_backbone":  # here the name is the architecture itself
        local |= {"backbone": fields.get("backbone"), "use_pretrained_backbone": False}
    return local
