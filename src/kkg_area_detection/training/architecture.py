"""The networks that can be built from nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from kkg_area_detection.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

_STAGES = ["stage1", "stage2", "stage3", "stage4"]

# "tiny" is for tests and for trying data: it learns, but nothing useful.
_PRESETS: Mapping[str, Mapping[str, Any]] = {
    "tiny": {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 8,
            "hidden_sizes": [8, 16, 24, 32],
            "depths": [1, 1, 1, 1],
            "out_features": _STAGES,
        },
        "feature_size": 32,
        "mask_feature_size": 32,
        "hidden_dim": 32,
        "num_attention_heads": 2,
        "encoder_layers": 1,
        "encoder_feedforward_dim": 32,
        "decoder_layers": 2,
        "dim_feedforward": 32,
        "num_queries": 20,
    },
    # The bundled model: 4.4 million parameters, 9 MB in float16. Most of them are where cells are few. The features
    # of the finest grid are narrow, because everything that touches it costs as much as the rest together.
    "small": {
        "backbone_config": {
            "model_type": "resnet",
            "layer_type": "basic",
            "embedding_size": 32,
            "hidden_sizes": [32, 64, 160, 256],
            "depths": [2, 2, 3, 2],
            "out_features": _STAGES,
        },
        "feature_size": 64,
        "mask_feature_size": 64,
        "hidden_dim": 128,
        "num_attention_heads": 4,
        "encoder_layers": 1,
        "encoder_feedforward_dim": 256,
        "decoder_layers": 4,
        "dim_feedforward": 256,
        "num_queries": 200,
    },
    # The published size with Swin-T; for GPUs.
    "swin-tiny": {
        "backbone_config": {
            "model_type": "swin",
            "embed_dim": 96,
            "depths": [2, 2, 6, 2],
            "num_heads": [3, 6, 12, 24],
            "window_size": 7,
            "drop_path_rate": 0.1,
            "out_features": _STAGES,
        },
        "num_queries": 150,
    },
}

PRESETS = tuple(_PRESETS)


def architecture(preset: str) -> dict[str, Any]:
    """Look up the fields of a ``config.json`` for a preset.

    Raises:
        UsageError: There is no such preset.
    """
    if preset not in _PRESETS:
        raise UsageError(f"There is no preset {preset!r}.", next_step=f"use one of {', '.join(PRESETS)}.")
    return {"model_type": "mask2former", "dropout": 0.0, **_PRESETS[preset]}
