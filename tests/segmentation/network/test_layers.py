import re

import pytest
import torch
from torch import nn

from kkg_area_detection.segmentation.network.layers import (
    Conv2d,
    GroupNorm,
    LayerNorm,
    Linear,
    PointwiseConv2d,
    pieces,
    set_precision,
)
from kkg_area_detection.segmentation.network.mask2former import Mask2Former
from tests.segmentation.network.test_config import RESNET, SWIN, parse


@pytest.mark.parametrize("length", [1, 1023, 1024, 1025, 5000])
@pytest.mark.parametrize(
    ("device", "threads", "rows"), [("cpu", 1, 1024), ("cpu", 2, 2048), ("cuda", 2, 5000)]
)
def test_pieces_cover_everything_once(length, device, threads, rows):
    torch.set_num_threads(threads)
    slices = list(pieces(length, torch.device(device)))
    assert torch.cat([torch.arange(length)[piece] for piece in slices]).tolist() == list(range(length))
    assert len(slices) == -(-length // rows)


@pytest.mark.parametrize("bias", [True, False])
def test_a_pointwise_convolution_is_a_convolution(bias):
    layer = PointwiseConv2d(5, 8, bias=bias)
    x = torch.randn(2, 5, 3, 4)
    expected = nn.functional.conv2d(x, layer.weight, layer.bias)
    torch.testing.assert_close(layer(x), expected)


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize("given", [torch.float32, torch.bfloat16, torch.float16])
@pytest.mark.parametrize(
    ("layer", "shape"),
    [
        (Linear(4, 6), (2, 4)),
        (Conv2d(4, 6, kernel_size=3), (1, 4, 5, 5)),
        (PointwiseConv2d(4, 6), (1, 4, 5, 5)),
        (LayerNorm(4), (2, 4)),
        (GroupNorm(2, 4), (1, 4, 5, 5)),
    ],
)
def test_dtypes(layer, shape, given, weights):
    """Products answer in the dtype of their weights, norms in float32, whatever comes in."""
    set_precision(layer, weights)
    norm = isinstance(layer, LayerNorm | GroupNorm)
    assert layer(torch.ones(shape, dtype=given)).dtype == (torch.float32 if norm else weights)
    set_precision(layer, torch.float32)


@pytest.mark.parametrize("backbone", [SWIN, RESNET])
def test_what_stays_in_float32(backbone):
    """Norms, position biases, embeddings, and what decides where the deformable attention looks."""
    exact = re.compile(
        r"norm|position_bias$|level_embed$|queries_|sampling_offsets|attention_weights"
        r"|pixel_decoder\.(input_projections\.\d|lateral|output)\.1\."  # group norms
    )
    with torch.device("meta"):
        network = Mask2Former(parse(backbone))
    set_precision(network, torch.bfloat16)
    for name, weights in network.named_parameters():
        assert weights.dtype == (torch.float32 if exact.search(name) else torch.bfloat16), name
