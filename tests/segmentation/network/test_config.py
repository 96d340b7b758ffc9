"""Which configurations are known, and how the others are refused."""

from dataclasses import replace

import pytest
import torch
from transformers import Mask2FormerConfig
from transformers.core_model_loading import revert_weight_conversion

from kkg_area_detection.segmentation.engines.reference import _NetworkWithoutLoss
from kkg_area_detection.segmentation.network.checkpoint import build_network
from kkg_area_detection.segmentation.network.config import (
    NetworkConfig,
    ResNetConfig,
    SwinConfig,
    UnknownNetworkError,
)
from tests.segmentation.network.conftest import RESNET, STAGES, SWIN

INFINITY, NAN = float("inf"), float("nan")


def parse(backbone=SWIN, **fields):
    return NetworkConfig.from_fields({"backbone_config": backbone} | fields, 4)


def without(backbone, *names):
    return {name: value for name, value in backbone.items() if name not in names}


def test_defaults_are_those_of_transformers():
    fields = Mask2FormerConfig(backbone_config=STAGES | {"model_type": "swin"}).to_dict()
    assert parse(STAGES | {"model_type": "swin"}) == NetworkConfig.from_fields(fields, 4)
    fields = Mask2FormerConfig(backbone_config=STAGES | {"model_type": "resnet"}).to_dict()
    assert parse(STAGES | {"model_type": "resnet"}) == NetworkConfig.from_fields(fields, 4)


def test_every_field_is_read():
    backbone = SwinConfig(8, (1, 2, 3, 4), (1, 2, 4, 8), 5, 4, 2.5, False, 1e-3)
    expected = NetworkConfig(backbone, 4, 9, 64, 24, 32, 2, 0, 20, 3, 28, True)
    fields = {
        "num_queries": 9,
        "feature_size": 64,
        "mask_feature_size": 24,
        "hidden_dim": 32,
        "num_attention_heads": 2,
        "encoder_layers": 0,
        "encoder_feedforward_dim": 20,
        "decoder_layers": 3,
        "dim_feedforward": 28,
        "enforce_input_projection": True,
    }
    swin = STAGES | {
        "model_type": "swin",
        "embed_dim": 8,
        "depths": [1, 2, 3, 4],
        "num_heads": [1, 2, 4, 8],
        "window_size": 5,
        "mlp_ratio": 2.5,
        "qkv_bias": False,
        "layer_norm_eps": 1e-3,
    }
    assert parse(swin, **fields) == expected
    resnet = RESNET | {"layer_type": "bottleneck", "downsample_in_bottleneck": True}
    assert parse(resnet, **fields) == replace(
        expected, backbone=ResNetConfig(8, (8, 16, 24, 32), (1, 2, 1, 1), "bottleneck", True)
    )


@pytest.mark.parametrize(
    "backbone",
    [
        without(SWIN, "out_features") | {"out_indices": [1, 2, 3, 4]},
        SWIN | {"out_indices": [1, 2, 3, 4]},
        SWIN | {"mlp_ratio": 4},  # a whole number, as people write it
        SWIN | {"image_size": 384, "drop_path_rate": 0.3, "encoder_stride": 32, "anything": "else"},
    ],
)
def test_equal_to_the_plain_one(backbone):
    assert parse(backbone) == parse(SWIN)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"activation_function": "gelu"}, "its activation_function is 'gelu'"),
        ({"pre_norm": True}, "its pre_norm is True"),
        ({"common_stride": 8}, "its common_stride is 8"),
        ({"feature_strides": [4, 8, 16]}, r"its feature_strides is \[4, 8, 16\]"),
        ({"feature_strides": None}, "its feature_strides is None"),
        ({"num_queries": "100"}, "its num_queries is '100'"),
        ({"num_queries": True}, "its num_queries is True"),
        ({"num_queries": 100.0}, r"its num_queries is 100\.0"),
        ({"num_queries": 0}, "its num_queries is 0"),
        ({"num_queries": 10**30}, "its num_queries is 1000"),
        ({"mask_feature_size": -1}, "its mask_feature_size is -1"),
        ({"dim_feedforward": 10**18}, "its dim_feedforward is 1000"),
        ({"encoder_layers": -1}, "its encoder_layers is -1"),
        ({"decoder_layers": 0}, "its decoder_layers is 0"),
        ({"num_attention_heads": 0}, "its num_attention_heads is 0"),
        ({"enforce_input_projection": 1}, "its enforce_input_projection is 1"),
        ({"hidden_dim": None}, "its hidden_dim is None"),
        ({"hidden_dim": 258}, r"\(256, 258\) cannot be divided"),
        ({"feature_size": 48}, r"\(48, 256\) cannot be divided"),
        ({"num_attention_heads": 3}, "among 3 heads"),
    ],
)
def test_unknown_networks(fields, reason):
    with pytest.raises(UnknownNetworkError, match=reason):
        parse(**fields)


@pytest.mark.parametrize(
    ("backbone", "reason"),
    [
        (None, "no backbone_config"),
        ("swin", "no backbone_config"),
        ({}, "its out_features is None"),
        (STAGES, "its backbone is None"),
        (STAGES | {"model_type": "convnext"}, "its backbone is 'convnext'"),
        (STAGES | {"model_type": ["swin"]}, r"its backbone is \['swin'\]"),
        (SWIN | {"num_channels": 1}, "its num_channels is 1"),
        (without(SWIN, "out_features"), "its out_features is None"),
        (SWIN | {"out_features": None, "out_indices": [1, 2, 3, 4]}, "its out_features is None"),
        (SWIN | {"out_features": ["stage1", "stage2", "stage4"]}, "its out_features is"),
        (SWIN | {"out_indices": [0, 1, 2, 3]}, r"its out_indices is \[0, 1, 2, 3\]"),
        (without(RESNET, "out_features") | {"out_indices": [0, 1, 2, 3]}, "its out_indices is"),
        (SWIN | {"hidden_act": "relu"}, "its hidden_act is 'relu'"),
        (SWIN | {"use_absolute_embeddings": True}, "its use_absolute_embeddings is True"),
        (SWIN | {"patch_size": 2}, "its patch_size is 2"),
        (SWIN | {"patch_size": [4, 4]}, r"its patch_size is \[4, 4\]"),
        (SWIN | {"depths": [2, 2, 6]}, "its depths is"),
        (SWIN | {"depths": [2, 2, 6, 0]}, "its depths is"),
        (SWIN | {"depths": 4}, "its depths is 4"),
        (SWIN | {"num_heads": [1, 2, 2, True]}, "its num_heads is"),
        (SWIN | {"num_heads": [1, 2, 2, 10**30]}, "its num_heads is"),
        (SWIN | {"num_heads": [3, 2, 2, 4]}, "cannot be divided among its heads"),
        (SWIN | {"window_size": 0}, "its window_size is 0"),
        (SWIN | {"window_size": -4}, "its window_size is -4"),
        (SWIN | {"embed_dim": -8}, "its embed_dim is -8"),
        (SWIN | {"embed_dim": 10**12}, "its embed_dim is 1000"),
        (SWIN | {"mlp_ratio": "4"}, "its mlp_ratio is '4'"),
        (SWIN | {"mlp_ratio": -4.0}, r"its mlp_ratio is -4\.0"),
        (SWIN | {"mlp_ratio": INFINITY}, "its mlp_ratio is inf"),
        (SWIN | {"mlp_ratio": NAN}, "its mlp_ratio is nan"),
        (SWIN | {"qkv_bias": "yes"}, "its qkv_bias is 'yes'"),
        (SWIN | {"layer_norm_eps": None}, "its layer_norm_eps is None"),
        (RESNET | {"hidden_act": "gelu"}, "its hidden_act is 'gelu'"),
        (RESNET | {"downsample_in_first_stage": True}, "its downsample_in_first_stage is True"),
        (RESNET | {"layer_type": "wide"}, "its layer_type is 'wide'"),
        (RESNET | {"embedding_size": 0}, "its embedding_size is 0"),
        (RESNET | {"hidden_sizes": [8, 16, 24, 32.0]}, "its hidden_sizes is"),
    ],
)
def test_unknown_backbones(backbone, reason):
    with pytest.raises(UnknownNetworkError, match=reason):
        parse(backbone)


def test_no_classes():
    with pytest.raises(UnknownNetworkError, match="no classes"):
        NetworkConfig.from_fields({"backbone_config": SWIN}, 0)


@pytest.mark.parametrize(
    ("backbone", "num_queries", "millions"),
    [
        # Millions of parameters: Cheng et al. 2022, table 1.
        ({"model_type": "resnet"}, 100, 44),
        ({"model_type": "swin"}, 100, 47),
        ({"model_type": "swin", "depths": [2, 2, 18, 2]}, 100, 69),
        (
            {
                "model_type": "swin",
                "embed_dim": 128,
                "depths": [2, 2, 18, 2],
                "num_heads": [4, 8, 16, 32],
                "window_size": 12,
            },
            100,
            107,
        ),
        (
            {
                "model_type": "swin",
                "embed_dim": 192,
                "depths": [2, 2, 18, 2],
                "num_heads": [6, 12, 24, 48],
                "window_size": 12,
            },
            200,
            216,
        ),
    ],
)
def test_published_networks(backbone, num_queries, millions):
    """Names and shapes of a file of transformers are those that are wanted; the ``meta`` device has no numbers."""
    config = Mask2FormerConfig(backbone_config=STAGES | backbone, num_queries=num_queries, num_labels=80)
    with torch.device("meta"):
        original = _NetworkWithoutLoss(config)
    stored = revert_weight_conversion(original, original.state_dict())
    network = build_network(stored, NetworkConfig.from_fields(config.to_dict(), 80))
    # Laid out for every pair of cells, position biases are more numbers than were learned.
    learned = [weights for name, weights in network.named_parameters() if not name.endswith("position_bias")]
    assert round(sum(weights.numel() for weights in learned) / 1e6) == pytest.approx(millions, abs=1)
