"""Small models of any shape, all of whose numbers are random."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from transformers import Mask2FormerConfig

from kkg_area_detection.segmentation.engines.reference import _NetworkWithoutLoss

STAGES = {"out_features": ["stage1", "stage2", "stage3", "stage4"]}
SWIN = {
    "model_type": "swin",
    "embed_dim": 8,
    "depths": [2, 1, 2, 1],
    "num_heads": [1, 2, 2, 4],
    "window_size": 4,
} | STAGES
RESNET = {
    "model_type": "resnet",
    "embedding_size": 8,
    "hidden_sizes": [8, 16, 24, 32],
    "depths": [1, 2, 1, 1],
    "layer_type": "basic",
} | STAGES
SMALL = {
    "feature_size": 64,
    "mask_feature_size": 24,
    "hidden_dim": 64,
    "encoder_feedforward_dim": 20,
    "dim_feedforward": 28,
    "encoder_layers": 1,
    "decoder_layers": 4,
    "num_attention_heads": 4,
    "num_queries": 7,
    "id2label": {0: "room", 1: "exwall", 2: "inwall"},
}

MakeModel = Callable[..., Path]


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """So small, networks are quicker on one thread, above all where other programs want the processor too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def random_model(tmp_path_factory) -> MakeModel:
    """Write a model with a given backbone, and fields of its configuration; each shape is written once."""
    written: dict[str, Path] = {}

    def write(backbone: dict[str, object], **fields: object) -> Path:
        key = json.dumps([backbone, fields])
        if key not in written:
            network = _NetworkWithoutLoss(Mask2FormerConfig(backbone_config=backbone, **(SMALL | fields)))
            randomise(network)
            written[key] = tmp_path_factory.mktemp("random")
            network.save_pretrained(written[key])
        return written[key]

    return write


@torch.no_grad()
def randomise(network: torch.nn.Module) -> None:
    """Fill everything at random, also what is zero or one in a new network and would hide a fault.

    The sizes keep the numbers between the layers near one, and send sampling points across several cells.
    """
    generator = torch.Generator().manual_seed(0)
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        values = torch.randn(tensor.shape, generator=generator)
        owner, _, kind = name.rpartition(".")
        if not tensor.is_floating_point():
            continue
        if kind == "running_var" or ("norm" in owner and kind == "weight"):
            values = 0.5 + torch.rand(tensor.shape, generator=generator)
        elif kind == "weight" and tensor.dim() > 1 and "embed" not in owner.rpartition(".")[2]:
            values /= tensor[0].numel() ** 0.5
        if owner.endswith("sampling_offsets"):
            values *= 4
        tensor.copy_(values)
