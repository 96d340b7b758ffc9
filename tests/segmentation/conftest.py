"""A small model that really runs, and a machine without a network."""

import json
import socket
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session")
def pristine_swin_model(tmp_path_factory) -> Path:
    """What ``save_pretrained`` of transformers' own class writes for a small Swin model of random weights."""
    from transformers import Mask2FormerConfig, Mask2FormerForUniversalSegmentation
    from transformers.models.mask2former import modeling_mask2former

    config = Mask2FormerConfig(
        backbone_config={
            "model_type": "swin",
            "image_size": 64,
            "embed_dim": 8,
            "depths": [1, 1, 1, 1],
            "num_heads": [1, 1, 2, 2],
            "window_size": 4,
            "out_features": ["stage1", "stage2", "stage3", "stage4"],
        },
        feature_size=32,
        mask_feature_size=32,
        hidden_dim=16,
        encoder_feedforward_dim=16,
        dim_feedforward=16,
        encoder_layers=1,
        decoder_layers=2,
        num_attention_heads=2,
        num_queries=5,
        id2label={0: "room", 1: "exwall", 2: "inwall"},
    )
    directory = tmp_path_factory.mktemp("swin")
    torch.manual_seed(0)
    with pytest.MonkeyPatch.context() as patch:
        # The loss of the full class asks for SciPy at birth, though only training would call it.
        patch.setattr(modeling_mask2former, "requires_backends", lambda *_: None)
        Mask2FormerForUniversalSegmentation(config).save_pretrained(directory)
    return directory


@pytest.fixture
def swin_model(pristine_swin_model, tmp_path) -> Path:
    """A copy of the small model that a test may damage."""
    directory = tmp_path / "model"
    directory.mkdir()
    for file in pristine_swin_model.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return directory


@pytest.fixture
def edit_json():
    """Change top-level fields of a JSON file; None removes one."""

    def edit(path: Path, **changes: object) -> None:
        fields = json.loads(path.read_text()) | changes
        path.write_text(json.dumps({name: value for name, value in fields.items() if value is not None}))

    return edit


@pytest.fixture
def no_network(monkeypatch) -> None:
    """Every attempt to reach another machine fails the test, DNS included."""

    def refuse(*args: object, **kwargs: object) -> None:
        raise AssertionError(f"the network was asked for: {args}")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket.socket, "connect_ex", refuse)
