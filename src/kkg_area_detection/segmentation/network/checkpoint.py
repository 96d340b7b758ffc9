"""The weights of a transformers directory, under the names and in the form of the modules here.

Weights in float32 stay mapped from their file: they take no memory of the process's own, load at once, and
are shared by all processes that use the model.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load as load_bytes

from kkg_area_detection.model_directory import weights_files
from kkg_area_detection.segmentation.network.config import UnknownNetworkError
from kkg_area_detection.segmentation.network.mask2former import Mask2Former
from kkg_area_detection.segmentation.network.swin import relative_position_index

if TYPE_CHECKING:
    from pathlib import Path

    from kkg_area_detection.segmentation.network.config import NetworkConfig

# Batch norms divide by the square root of the variance plus this (the default of torch, which transformers uses).
_BATCH_NORM_EPSILON = 1e-5

# From the names in the file to those of the modules, in this order. Parts that inference has no use for have none.
_RENAMES = tuple(
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^model\.pixel_level_module\.encoder\.", "backbone."),
        (r"^backbone\.embeddings\.patch_embeddings\.projection\.", "backbone.patch_embedding."),
        (r"^backbone\.embeddings\.norm\.", "backbone.patch_norm."),
        (r"^backbone\.encoder\.layers\.(\d)\.blocks\.", r"backbone.stages.\1.blocks."),
        (r"^backbone\.encoder\.layers\.(\d)\.downsample\.", r"backbone.downsamples.\1."),
        (r"^backbone\.hidden_states_norms\.stage1\.", "backbone.norms.0."),
        (r"^backbone\.hidden_states_norms\.stage2\.", "backbone.norms.1."),
        (r"^backbone\.hidden_states_norms\.stage3\.", "backbone.norms.2."),
        (r"^backbone\.hidden_states_norms\.stage4\.", "backbone.norms.3."),
        (r"\.attention\.self\.", ".attention."),
        (r"\.attention\.output\.dense\.", ".attention.output."),
        (r"\.intermediate\.dense\.", ".fc1."),
        (r"\.output\.dense\.", ".fc2."),
        (r"^backbone\.embedder\.embedder\.", "backbone.stem."),
        (r"^backbone\.encoder\.stages\.(\d)\.layers\.(\d+)\.layer\.", r"backbone.stages.\1.\2.convolutions."),
        (r"^backbone\.encoder\.stages\.(\d)\.layers\.(\d+)\.shortcut\.", r"backbone.stages.\1.\2.shortcut."),
        (r"^model\.pixel_level_module\.decoder\.", "pixel_decoder."),
        (r"^pixel_decoder\.encoder\.layers\.(\d+)\.(self_attn\.)?", r"pixel_decoder.layers.\1."),
        (r"^pixel_decoder\.adapter_1\.", "pixel_decoder.lateral."),
        (r"^pixel_decoder\.layer_1\.", "pixel_decoder.output."),
        (r"^model\.transformer_module\.", "transformer_decoder."),
        (r"\.decoder\.mask_predictor\.mask_embedder\.0\.0\.", ".mask_embedder.0."),
        (r"\.decoder\.mask_predictor\.mask_embedder\.1\.0\.", ".mask_embedder.2."),
        (r"\.decoder\.mask_predictor\.mask_embedder\.2\.0\.", ".mask_embedder.4."),
        (r"^transformer_decoder\.decoder\.", "transformer_decoder."),
        (r"^(transformer_decoder\.(queries_embedder|queries_features|level_embed))\.weight$", r"\1"),
        (r"^class_predictor\.", "transformer_decoder.class_predictor."),
    )
)  # fmt: skip
_UNUSED = re.compile(
    r"^criterion\.|num_batches_tracked$|relative_position_index$|^backbone\.(swin\.)?layernorm\."
)


def load_network(directory: Path, config: NetworkConfig) -> Mask2Former:
    """Build a network and fill it with the weights of a directory.

    Args:
        directory: A model directory that has passed the load gate.
        config: The shape of the network, from the same directory.

    Returns:
        The network in float32, on the CPU, for inference.

    Raises:
        UnknownNetworkError: The weights are damaged, or are not those of the network.
    """
    return build_network(read_tensors(directory), config)


def build_network(stored: dict[str, torch.Tensor], config: NetworkConfig) -> Mask2Former:
    """Build a network and fill it.

    Args:
        stored: What ``read_tensors`` gives.
        config: The shape of the network.

    Returns:
        The network in float32, on the CPU, for inference. It shares the memory of tensors that are float32.

    Raises:
        UnknownNetworkError: The tensors are not those of the network.
    """
    with torch.device("meta"):  # shapes without memory
        network = Mask2Former(config)
    tensors = native_tensors(stored)
    wanted = network.state_dict()
    missing = sorted(wanted.keys() - tensors.keys())
    if missing:
        raise UnknownNetworkError(f"its weights lack {missing[0]}")
    strangers = sorted(tensors.keys() - wanted.keys())
    if strangers:
        raise UnknownNetworkError(f"its weights hold {strangers[0]}")
    for name, tensor in tensors.items():
        if tensor.shape != wanted[name].shape:
            raise UnknownNetworkError(f"{name} is {tuple(tensor.shape)}, not {tuple(wanted[name].shape)}")
    network.load_state_dict(tensors, assign=True)
    return network.eval().requires_grad_(False)


def read_tensors(directory: Path) -> dict[str, torch.Tensor]:
    """Read the weights of a model directory, as they are.

    Raises:
        UnknownNetworkError: A file is damaged.
    """
    tensors: dict[str, torch.Tensor] = {}
    for path in weights_files(directory):
        try:
            tensors |= _read_file(path)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise UnknownNetworkError(f"{path.name} cannot be read: {error}") from error
    return tensors


def _read_file(path: Path) -> dict[str, torch.Tensor]:
    if os.name == "nt":  # Windows refuses to replace or delete a mapped file, so no update could be published
        return dict(load_bytes(path.read_bytes()))
    with safe_open(path, framework="pt") as weights:
        return {name: weights.get_tensor(name) for name in weights.keys()}  # noqa: SIM118


def native_tensors(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Bring tensors into the form of the modules here.

    Args:
        tensors: By their names in the file, in any floating dtype.

    Returns:
        By the names of ``Mask2Former.state_dict()``, float32. Batch norms are folded into their convolutions,
        tables of position biases are laid out, joint projections are split.
    """
    renamed = {_renamed(name): tensor for name, tensor in tensors.items()}
    floats = {name: tensor.float() for name, tensor in renamed.items() if not _UNUSED.search(name)}
    native: dict[str, torch.Tensor] = {}
    for name, tensor in floats.items():
        owner, _, kind = name.rpartition(".")
        if kind == "relative_position_bias_table":
            native[f"{owner}.position_bias"] = _position_bias(tensor)
        elif kind in ("in_proj_weight", "in_proj_bias"):
            for part, piece in zip("qkv", tensor.chunk(3), strict=True):
                native[f"{owner}.{part}_proj.{kind.removeprefix('in_proj_')}"] = piece
        elif owner.endswith(".convolution"):
            place = owner.removesuffix(".convolution")
            native[f"{place}.weight"], native[f"{place}.bias"] = _folded(
                tensor, f"{place}.normalization", floats
            )
        elif re.search(r"^transformer_decoder\.input_projections\.\d\.weight$", name):
            native[name] = tensor.flatten(1)  # a convolution of one pixel is a linear layer
        elif not owner.endswith(".normalization"):
            native[name] = tensor
    return native


def _renamed(name: str) -> str:
    for pattern, replacement in _RENAMES:
        name = pattern.sub(replacement, name)
    return name


def _position_bias(table: torch.Tensor) -> torch.Tensor:
    """((2 w - 1) ** 2, heads) to (1, heads, w ** 2, w ** 2)."""
    window = (round(table.shape[0] ** 0.5) + 1) // 2
    if (2 * window - 1) ** 2 != table.shape[0]:
        raise UnknownNetworkError(f"a table of position biases has {table.shape[0]} rows")
    laid_out = table[relative_position_index(window)].view(window**2, window**2, -1)
    return laid_out.permute(2, 0, 1)[None].contiguous()


def _folded(
    weight: torch.Tensor, norm: str, tensors: dict[str, torch.Tensor]
) -> tuple[torch.Tensor, torch.Tensor]:
    """Weight and bias of a convolution that does what it and its batch norm did (Ioffe and Szegedy 2015)."""
    try:
        gamma, beta, mean, variance = (
            tensors[f"{norm}.{kind}"].double() for kind in ("weight", "bias", "running_mean", "running_var")
        )
    except KeyError as error:
        raise UnknownNetworkError(f"its weights lack {error.args[0]}") from error
    scale = gamma / (variance + _BATCH_NORM_EPSILON).sqrt()
    return (weight * scale[:, None, None, None]).float(), (beta - mean * scale).float()
