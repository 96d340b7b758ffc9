"""The native network against transformers, for every kind of configuration that it knows."""

from types import SimpleNamespace

import pytest
import torch

from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from tests.segmentation.network.conftest import RESNET, SWIN

CPU = torch.device("cpu")
BOTTLENECK = RESNET | {"layer_type": "bottleneck"}

NETWORKS = {
    "swin": (SWIN, {}),
    "window 1, never shifted": (SWIN | {"window_size": 1}, {}),
    "window 7": (SWIN | {"window_size": 7}, {}),
    "window 12": (SWIN | {"window_size": 12}, {}),
    "other depths": (SWIN | {"depths": [3, 4, 1, 2]}, {}),
    "other heads": (SWIN | {"num_heads": [4, 1, 8, 2]}, {}),
    "no qkv bias": (SWIN | {"qkv_bias": False}, {}),
    "mlp ratio 2": (SWIN | {"mlp_ratio": 2}, {}),
    "mlp ratio 2.6": (SWIN | {"mlp_ratio": 2.6}, {}),
    "layer norm eps": (SWIN | {"layer_norm_eps": 0.1}, {}),
    "input projections": (SWIN, {"hidden_dim": 32}),
    "enforced input projections": (SWIN, {"enforce_input_projection": True}),
    "no encoder layer": (SWIN, {"encoder_layers": 0}),
    "three encoder layers": (SWIN, {"encoder_layers": 3}),
    "no decoder layer": (SWIN, {"decoder_layers": 1}),
    "decoder goes round twice": (SWIN, {"decoder_layers": 8}),
    "one head": (SWIN, {"num_attention_heads": 1}),
    "one query, one class": (SWIN, {"num_queries": 1, "id2label": {0: "room"}}),
    "other sizes": (SWIN, {"feature_size": 32, "mask_feature_size": 5, "dim_feedforward": 40}),
    "resnet": (RESNET, {}),
    "resnet, other depths": (RESNET | {"depths": [3, 1, 2, 2]}, {}),
    "shortcut in the first stage": (RESNET | {"embedding_size": 12}, {}),
    "no shortcut but for the stride": (RESNET | {"hidden_sizes": [8, 8, 8, 8]}, {}),
    "bottleneck": (BOTTLENECK, {}),
    "downsample in bottleneck": (BOTTLENECK | {"downsample_in_bottleneck": True}, {}),
}


@pytest.fixture(scope="module")
def pair(random_model):
    """Both engines with the same model."""
    loaded = {}

    def load(name):
        if name not in loaded:
            backbone, fields = NETWORKS[name]
            directory = random_model(backbone, **fields)
            loaded[name] = SimpleNamespace(
                native=NativeEngine.load(directory, CPU), reference=ReferenceEngine.load(directory, CPU)
            )
        return loaded[name]

    return load


def assert_agreement(pair, batch, height, width):
    pixels = torch.randn(batch, 3, height, width, generator=torch.Generator().manual_seed(1))
    before = pixels.clone()
    native, reference = pair.native.forward(pixels), pair.reference.forward(pixels)
    assert torch.equal(pixels, before)
    for found, expected in zip(native, reference, strict=True):
        assert found.dtype == torch.float32
        assert found.is_contiguous()
        torch.testing.assert_close(found, expected, atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize(("batch", "height", "width"), [(2, 70, 133), (1, 33, 5)])
def test_every_configuration(pair, name, batch, height, width):
    assert_agreement(pair(name), batch, height, width)


@pytest.mark.parametrize("name", ["window 7", "resnet"])
@pytest.mark.parametrize(
    ("batch", "height", "width"),
    [
        (1, 64, 96),
        (3, 64, 96),
        (1, 1, 1),
        (3, 2, 1),
        (1, 4, 300),  # one row of cells
        (1, 300, 3),
        (1, 112, 224),  # whole windows in the first two stages
        (1, 65, 129),  # one pixel more than whole cells
        (2, 230, 250),  # long sequences go through in pieces
    ],
)
def test_every_size(pair, name, batch, height, width):
    assert_agreement(pair(name), batch, height, width)


@pytest.mark.parametrize("name", ["window 7", "resnet"])
def test_two_threads(pair, name):
    torch.set_num_threads(2)
    assert_agreement(pair(name), 1, 70, 133)


@pytest.mark.parametrize("name", ["window 7", "resnet"])
def test_a_batch_is_its_pictures(pair, name):
    pixels = torch.randn(3, 3, 70, 133, generator=torch.Generator().manual_seed(2))
    together = pair(name).native.forward(pixels)
    for index in range(3):
        alone = pair(name).native.forward(pixels[index : index + 1])
        torch.testing.assert_close(together.class_logits[index : index + 1], alone.class_logits)
        torch.testing.assert_close(
            together.mask_logits[index : index + 1], alone.mask_logits, atol=1e-4, rtol=1e-4
        )
