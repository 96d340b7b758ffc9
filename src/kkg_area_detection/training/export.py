"""A trained network as a model directory: what ``initialize_model`` and ``kkg models push`` take."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from safetensors.torch import save

from kkg_area_detection.model_directory import CONFIG_NAME, PROCESSOR_NAME, WEIGHTS_NAME

if TYPE_CHECKING:
    from pathlib import Path

    import torch
    from torch import nn

    from kkg_area_detection.segmentation.preprocessing import ProcessorSettings

CARD_NAME = "README.md"
_PROCESSOR_OF_KIND = {"maskformer": "MaskFormerImageProcessor", "mask2former": "Mask2FormerImageProcessor"}


def export_model(
    network: nn.Module,
    settings: ProcessorSettings,
    directory: Path,
    *,
    size: int,
    dtype: torch.dtype,
    card: str,
) -> None:
    """Write a model directory. A directory that was there is replaced as a whole.

    Args:
        network: transformers' class, on any device.
        settings: Its kind of processor, mean and standard deviation.
        directory: Where to write.
        size: Longest edge of its input, in pixels.
        dtype: Of the weights: float16 halves the size, and is what the engines compute from all the same.
        card: Text of its ``README.md``.
    """
    staging = directory.with_name(f".{directory.name}.new")
    shutil.rmtree(staging, ignore_errors=True)
    staging.mkdir(parents=True)
    model: Any = network
    fields = model.config.to_dict() | {
        "architectures": [type(network).__name__],
        "dtype": str(dtype).removeprefix("torch."),
    }
    _write_json(staging / CONFIG_NAME, fields)
    _write_json(staging / PROCESSOR_NAME, _processor(settings, size, len(fields["id2label"])))
    tensors = {
        name: (tensor.to(dtype) if tensor.is_floating_point() else tensor).detach().cpu().contiguous()
        for name, tensor in network.state_dict().items()
    }
    # Not save_file: that makes files which nobody else may read.
    (staging / WEIGHTS_NAME).write_bytes(save(tensors, metadata={"format": "pt"}))
    (staging / CARD_NAME).write_text(card, "utf-8")
    _replace(staging, directory)


def _processor(settings: ProcessorSettings, size: int, classes: int) -> dict[str, Any]:
    return {
        "image_processor_type": _PROCESSOR_OF_KIND[settings.kind],
        "do_resize": True,
        "size": {"shortest_edge": size, "longest_edge": size},
        "size_divisor": 32,
        "resample": int(settings.resample),
        "do_rescale": settings.do_rescale,
        "rescale_factor": settings.rescale_factor,
        "do_normalize": settings.do_normalize,
        "image_mean": list(settings.mean),
        "image_std": list(settings.std),
        "do_reduce_labels": False,
        "ignore_index": 255,
        "num_labels": classes,
    }


def _write_json(path: Path, fields: dict[str, Any]) -> None:
    path.write_text(json.dumps(fields, indent=2, ensure_ascii=False, sort_keys=True) + "\n", "utf-8")


def _replace(staging: Path, directory: Path) -> None:
    if directory.exists():
        old = directory.with_name(f".{directory.name}.old")
        shutil.rmtree(old, ignore_errors=True)
        directory.replace(old)
        staging.replace(directory)
        shutil.rmtree(old, ignore_errors=True)
    else:
        staging.replace(directory)
