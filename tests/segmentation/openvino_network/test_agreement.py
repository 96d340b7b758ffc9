"""The graph against the torch modules, for every kind of configuration that they know."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from kkg_area_detection.model_directory import CONFIG_NAME
from kkg_area_detection.segmentation.network.checkpoint import load_network
from kkg_area_detection.segmentation.network.config import NetworkConfig
from kkg_area_detection.segmentation.network_config import read_classes, read_network_config
from kkg_area_detection.segmentation.openvino_network.mask2former import build_graph
from kkg_area_detection.segmentation.openvino_network.runtime import core
from tests.segmentation.network.test_agreement import NETWORKS


@pytest.fixture(scope="module")
def network(random_model):
    """The torch network of that name, and its configuration."""
    loaded = {}

    def load(name):
        if name not in loaded:
            backbone, fields = NETWORKS[name]
            directory = random_model(backbone, **fields)
            fields = read_network_config(directory)
            config = NetworkConfig.from_fields(fields, read_classes(directory / CONFIG_NAME, fields)[0])
            loaded[name] = SimpleNamespace(torch=load_network(directory, config), config=config)
        return loaded[name]

    return load


def run(network, pixels, precision="f32"):
    """Both results: of OpenVINO and of torch."""
    graph = build_graph(
        network.config, network.torch.state_dict(), *pixels.shape[2:], lower_precision=precision != "f32"
    )
    options = {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": 1}
    found = core.compile_model(graph, "CPU", options)([pixels.numpy()])
    with torch.inference_mode():
        expected = network.torch(pixels)
    return [torch.from_numpy(found[index]) for index in range(2)], expected


def random_pixels(height, width):
    return torch.randn(1, 3, height, width, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("name", NETWORKS)
def test_every_configuration(network, name):
    found, expected = run(network(name), random_pixels(70, 133))
    torch.testing.assert_close(found, list(expected), atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("name", ["window 7", "resnet"])
@pytest.mark.parametrize(
    ("height", "width"),
    [
        (1, 1),
        (4, 300),  # one row of cells
        (300, 3),
        (32, 32),  # a level of one cell
        (64, 96),
        (112, 224),  # whole windows in the first two stages
        (65, 129),  # one pixel more than whole cells
    ],
)
def test_every_size(network, name, height, width):
    found, expected = run(network(name), random_pixels(height, width))
    torch.testing.assert_close(found, list(expected), atol=5e-4, rtol=5e-4)


@pytest.mark.parametrize("name", ["window 7", "resnet"])
def test_lower_precision(network, name):
    """The numbers are less precise; the places in tables, which integers hold, are not."""
    if "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        pytest.skip("this processor does not compute in bfloat16")
    found, expected = run(network(name), random_pixels(480, 640), precision="bf16")
    for one, other in zip(found, expected, strict=True):
        error = (one - other).abs().mean() / other.abs().mean()
        assert 0 < error < 0.05


def test_points_far_outside(network):
    """Offsets that lead out of every level count as zeros, as in torch."""
    tensors = network("resnet").torch.state_dict()
    offsets = tensors["pixel_decoder.layers.0.sampling_offsets.bias"]
    changed = torch.linspace(-1e9, 1e9, len(offsets))
    before = offsets.clone()
    offsets.copy_(changed)  # the network shares its memory
    try:
        found, expected = run(network("resnet"), random_pixels(70, 133))
    finally:
        offsets.copy_(before)
    torch.testing.assert_close(found, list(expected), atol=5e-4, rtol=5e-4)
    assert np.isfinite(found[1].numpy()).all()
