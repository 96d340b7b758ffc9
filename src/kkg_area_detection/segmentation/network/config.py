"""Which networks are known: the fields of ``config.json`` that shape one, read and checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeVar, cast

STAGES = 4
_MOST = 1 << 16  # of any size; with more, numbers of elements would no longer fit into 64 bits
_Value = TypeVar("_Value")


class UnknownNetworkError(Exception):
    """The configuration or the weights describe a network that is not built here; the text says which."""


@dataclass(frozen=True)
class SwinConfig:
    """The shape of a Swin backbone; the defaults are those of transformers.

    Attributes:
        embed_dim: Channels of the first stage; each further stage has twice as many.
        depths: Blocks of each stage.
        num_heads: Attention heads of each stage.
        window_size: Side of a window, in cells.
        patch_size: Side of a patch, in pixels.
        mlp_ratio: Channels inside a block's MLP, relative to those outside.
        qkv_bias: Whether queries, keys and values have a bias.
        layer_norm_eps: Of the norms within the blocks.
    """

    embed_dim: int = 96
    depths: tuple[int, ...] = (2, 2, 6, 2)
    num_heads: tuple[int, ...] = (3, 6, 12, 24)
    window_size: int = 7
    patch_size: int = 4
    mlp_ratio: float = 4.0
    qkv_bias: bool = True
    layer_norm_eps: float = 1e-5

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of each stage."""
        return tuple(self.embed_dim * 2**stage for stage in range(STAGES))


@dataclass(frozen=True)
class ResNetConfig:
    """The shape of a ResNet backbone; the defaults are those of transformers.

    Attributes:
        embedding_size: Channels after the first convolution.
        channels: Channels of each stage.
        depths: Blocks of each stage.
        layer_type: ``"basic"`` (two convolutions a block) or ``"bottleneck"`` (three).
        downsample_in_bottleneck: Whether the first of the three takes the stride, not the second.
    """

    embedding_size: int = 64
    channels: tuple[int, ...] = (256, 512, 1024, 2048)
    depths: tuple[int, ...] = (3, 4, 6, 3)
    layer_type: str = "bottleneck"
    downsample_in_bottleneck: bool = False


@dataclass(frozen=True)
class NetworkConfig:
    """The shape of a Mask2Former; the defaults are those of transformers.

    Attributes:
        backbone: The shape of its backbone.
        num_labels: Classes, without "no object".
        num_queries: Most segments that can be found.
        feature_size: Channels of the pixel decoder.
        mask_feature_size: Channels of the mask features.
        hidden_dim: Channels of the transformer decoder.
        num_attention_heads: In both decoders.
        encoder_layers: Layers of the pixel decoder.
        encoder_feedforward_dim: Channels inside their MLPs.
        decoder_layers: Predictions of the transformer decoder, one more than it has layers.
        dim_feedforward: Channels inside its MLPs.
        enforce_input_projection: Whether the decoder projects its input also where the channels agree.
    """

    backbone: SwinConfig | ResNetConfig
    num_labels: int = 2
    num_queries: int = 100
    feature_size: int = 256
    mask_feature_size: int = 256
    hidden_dim: int = 256
    num_attention_heads: int = 8
    encoder_layers: int = 6
    encoder_feedforward_dim: int = 1024
    decoder_layers: int = 10
    dim_feedforward: int = 2048
    enforce_input_projection: bool = False

    @property
    def projects_levels(self) -> bool:
        """Whether the transformer decoder has projections for its input."""
        return self.feature_size != self.hidden_dim or self.enforce_input_projection

    @classmethod
    def from_fields(cls, fields: dict[str, Any], num_labels: int) -> NetworkConfig:
        """Read the fields of a ``config.json``.

        Args:
            fields: As ``network_config.read_network_config`` gives them.
            num_labels: Number of classes.

        Returns:
            The shape of the network.

        Raises:
            UnknownNetworkError: It is none of those that are built here.
        """
        read = _Reader(fields)
        read.require("activation_function", "relu", default="relu")
        read.require("pre_norm", False, default=False)
        read.require("common_stride", 4, default=4)
        read.require("feature_strides", [4, 8, 16, 32], default=[4, 8, 16, 32])
        config = cls(
            backbone=_backbone(fields.get("backbone_config")),
            num_labels=num_labels,
            num_queries=read.size("num_queries", cls.num_queries),
            feature_size=read.size("feature_size", cls.feature_size),
            mask_feature_size=read.size("mask_feature_size", cls.mask_feature_size),
            hidden_dim=read.size("hidden_dim", cls.hidden_dim),
            num_attention_heads=read.size("num_attention_heads", cls.num_attention_heads),
            encoder_layers=read.size("encoder_layers", cls.encoder_layers, least=0),
            encoder_feedforward_dim=read.size("encoder_feedforward_dim", cls.encoder_feedforward_dim),
            decoder_layers=read.size("decoder_layers", cls.decoder_layers),
            dim_feedforward=read.size("dim_feedforward", cls.dim_feedforward),
            enforce_input_projection=read.value("enforce_input_projection", cls.enforce_input_projection),
        )
        _check_divisible(config)
        return config


def _check_divisible(config: NetworkConfig) -> None:
    """Leave to transformers what torch would refuse with a less helpful message."""
    if config.num_labels < 1:
        raise UnknownNetworkError("it has no classes")
    heads = config.num_attention_heads
    sizes = (config.feature_size, config.hidden_dim)
    if any(size % heads or size % 4 for size in sizes) or config.feature_size % 32:
        raise UnknownNetworkError(f"channels {sizes} cannot be divided among {heads} heads and 32 groups")


def _backbone(fields: Any) -> SwinConfig | ResNetConfig:
    if not isinstance(fields, dict):
        raise UnknownNetworkError("there is no backbone_config")
    read = _Reader(fields)
    read.require("num_channels", 3, default=3)
    stages = [f"stage{stage}" for stage in range(1, STAGES + 1)]
    read.require("out_features", stages, default=stages if fields.get("out_indices") else None)
    read.require("out_indices", [1, 2, 3, 4], default=[1, 2, 3, 4])
    match fields.get("model_type"):
        case "swin":
            return _swin(read)
        case "resnet":
            return _resnet(read)
        case other:
            raise UnknownNetworkError(f"its backbone is {other!r}")


def _swin(read: _Reader) -> SwinConfig:
    read.require("hidden_act", "gelu", default="gelu")
    read.require("use_absolute_embeddings", False, default=False)
    read.require("patch_size", 4, default=4)
    config = SwinConfig(
        embed_dim=read.size("embed_dim", SwinConfig.embed_dim),
        depths=read.sizes("depths", SwinConfig.depths),
        num_heads=read.sizes("num_heads", SwinConfig.num_heads),
        window_size=read.size("window_size", SwinConfig.window_size),
        mlp_ratio=read.value("mlp_ratio", SwinConfig.mlp_ratio),
        qkv_bias=read.value("qkv_bias", SwinConfig.qkv_bias),
        layer_norm_eps=read.value("layer_norm_eps", SwinConfig.layer_norm_eps),
    )
    if not 0 < config.mlp_ratio <= _MOST:  # NaN is not
        raise UnknownNetworkError(f"its mlp_ratio is {config.mlp_ratio}")
    if any(size % heads for size, heads in zip(config.channels, config.num_heads, strict=True)):
        raise UnknownNetworkError("the channels of a stage cannot be divided among its heads")
    return config


def _resnet(read: _Reader) -> ResNetConfig:
    read.require("hidden_act", "relu", default="relu")
    read.require("downsample_in_first_stage", False, default=False)
    layer_type = read.value("layer_type", ResNetConfig.layer_type)
    if layer_type not in ("basic", "bottleneck"):
        raise UnknownNetworkError(f"its layer_type is {layer_type!r}")
    return ResNetConfig(
        embedding_size=read.size("embedding_size", ResNetConfig.embedding_size),
        channels=read.sizes("hidden_sizes", ResNetConfig.channels),
        depths=read.sizes("depths", ResNetConfig.depths),
        layer_type=layer_type,
        downsample_in_bottleneck=read.value(
            "downsample_in_bottleneck", ResNetConfig.downsample_in_bottleneck
        ),
    )


@dataclass(frozen=True)
class _Reader:
    """Fields of a configuration, of which those that are left out have transformers' defaults."""

    fields: dict[str, Any]

    def require(self, name: str, wanted: object, default: object) -> None:
        """Refuse a network that differs in something that is not built here."""
        value = self.fields.get(name, default)
        if (list(value) if isinstance(value, tuple) else value) != wanted:
            raise UnknownNetworkError(f"its {name} is {value!r}")

    def value(self, name: str, default: _Value) -> _Value:
        value = self.fields.get(name, default)
        kind = (int, float) if isinstance(default, float) else type(default)
        if not isinstance(value, kind) or isinstance(value, bool) is not isinstance(default, bool):
            raise UnknownNetworkError(f"its {name} is {value!r}")
        return cast("_Value", value)

    def size(self, name: str, default: int, *, least: int = 1) -> int:
        value = self.value(name, default)
        if not least <= value <= _MOST:
            raise UnknownNetworkError(f"its {name} is {value}")
        return value

    def sizes(self, name: str, default: tuple[int, ...]) -> tuple[int, ...]:
        value = self.fields.get(name, default)
        if not isinstance(value, list | tuple) or len(value) != STAGES:
            raise UnknownNetworkError(f"its {name} is {value!r}")
        if not all(type(size) is int and 0 < size <= _MOST for size in value):
            raise UnknownNetworkError(f"its {name} is {value!r}")
        return tuple(value)
