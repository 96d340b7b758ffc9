"""Weights as they lie in files: their names, their dtypes, and how they get into the network."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.network.checkpoint import build_network, load_network, read_tensors
from kkg_area_detection.segmentation.network.config import NetworkConfig, UnknownNetworkError
from kkg_area_detection.segmentation.network_config import read_network_config
from kkg_area_detection.segmentation.weights_check import check_weights_fit
from tests.segmentation.network.conftest import RESNET, SWIN

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"
ENCODER = "model.pixel_level_module.encoder."
FIRST_ATTENTION = ENCODER + "encoder.layers.0.blocks.0.attention.self."
STEM = ENCODER + "embedder.embedder."


@pytest.fixture(params=["swin", "resnet"])
def model(request, random_model, tmp_path):
    """A copy of a model that a test may change."""
    return copy_of(random_model({"swin": SWIN, "resnet": RESNET}[request.param]), tmp_path)


@pytest.fixture
def swin(random_model, tmp_path):
    return copy_of(random_model(SWIN), tmp_path)


@pytest.fixture
def resnet(random_model, tmp_path):
    return copy_of(random_model(RESNET), tmp_path)


def copy_of(directory, tmp_path):
    return Path(shutil.copytree(directory, tmp_path / "model"))


def config_of(directory):
    return NetworkConfig.from_fields(read_network_config(directory), 3)


def change(directory, **changes):
    """Replace, add or (with None) remove tensors."""
    weights = load_file(directory / WEIGHTS) | changes
    sound = {name: tensor.contiguous() for name, tensor in weights.items() if tensor is not None}
    save_file(sound, directory / WEIGHTS, metadata={"format": "pt"})


def assert_agreement(directory):
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    native, reference = (
        engine.load(directory, CPU).forward(pixels) for engine in (NativeEngine, ReferenceEngine)
    )
    torch.testing.assert_close(native, reference, atol=5e-4, rtol=5e-4)


# --- what files may look like ------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_stored_in_another_dtype(model, dtype):
    weights = load_file(model / WEIGHTS)
    change(
        model, **{name: tensor.to(dtype) for name, tensor in weights.items() if tensor.is_floating_point()}
    )
    assert {tensor.dtype for tensor in NativeEngine.load(model, CPU)._network.parameters()} == {torch.float32}
    assert_agreement(model)


def test_shards(model):
    weights = load_file(model / WEIGHTS)
    (model / WEIGHTS).unlink()
    weight_map = {name: f"part-{number % 3}.safetensors" for number, name in enumerate(sorted(weights))}
    for part in set(weight_map.values()):
        tensors = {name: weights[name] for name in weights if weight_map[name] == part}
        save_file(tensors, model / part, metadata={"format": "pt"})
    (model / "model.safetensors.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    assert_agreement(model)


def test_what_only_training_needs_is_left_out(model):
    change(model, **{"criterion.empty_weight": torch.ones(9)})
    assert_agreement(model)


def test_as_transformers_4_saved_it(swin, caplog):
    indices = {
        name.replace("bias_table", "index"): torch.zeros(16, 16, dtype=torch.int64)
        for name in load_file(swin / WEIGHTS)
        if name.endswith("relative_position_bias_table")
    }
    later = {f"{ENCODER}swin.layernorm.{kind}": None for kind in ("weight", "bias")}
    change(swin, **indices, **later)
    assert_agreement(swin)
    check_weights_fit(swin)
    assert not caplog.records


# --- what is no network ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"class_predictor.bias": None}, r"its weights lack transformer_decoder\.class_predictor\.bias"),
        ({"ema.decay": torch.zeros(1)}, r"its weights hold ema\.decay"),
        ({"class_predictor.bias": torch.zeros(9)}, r"class_predictor\.bias is \(9,\), not \(4,\)"),
        ({"class_predictor.bias": torch.zeros(4, 1)}, r"is \(4, 1\), not \(4,\)"),
        ({FIRST_ATTENTION + "relative_position_bias_table": torch.zeros(48, 1)}, "biases has 48 rows"),
        ({FIRST_ATTENTION + "relative_position_bias_table": torch.zeros(25, 1)}, r"is \(1, 1, 9, 9\), not"),
    ],
)
def test_other_tensors(swin, changes, reason):
    change(swin, **changes)
    with pytest.raises(UnknownNetworkError, match=reason):
        load_network(swin, config_of(swin))


@pytest.mark.parametrize("kind", ["weight", "bias", "running_mean", "running_var"])
def test_half_a_batch_norm(resnet, kind):
    change(resnet, **{f"{STEM}normalization.{kind}": None})
    with pytest.raises(UnknownNetworkError, match=f"lack backbone.stem.normalization.{kind}"):
        load_network(resnet, config_of(resnet))


@pytest.mark.parametrize("content", [b"", bytes(100), b"\xff" * 100])
def test_a_file_that_is_none(swin, content):
    (swin / WEIGHTS).write_bytes(content)
    with pytest.raises(UnknownNetworkError, match=r"model\.safetensors cannot be read"):
        load_network(swin, config_of(swin))


# --- memory ------------------------------------------------------------------------------------------------


def mapped_ranges(file):
    """Where a file lies in the memory of this process."""
    lines = Path("/proc/self/maps").read_text().splitlines()
    spans = [line.split()[0].split("-") for line in lines if line.endswith(str(file))]
    return [range(int(begin, 16), int(end, 16)) for begin, end in spans]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux tells what is mapped")
def test_float32_weights_stay_in_their_file(swin):
    network = load_network(swin, config_of(swin))
    ranges = mapped_ranges(swin / WEIGHTS)
    own = [
        name
        for name, weights in network.named_parameters()
        if not any(weights.data_ptr() in mapped for mapped in ranges)
    ]
    assert ranges
    assert own == [name for name, _ in network.named_parameters() if name.endswith("position_bias")]
    del network
    assert not mapped_ranges(swin / WEIGHTS)


def test_a_network_is_built_as_often_as_wanted(model):
    tensors, config = read_tensors(model), config_of(model)
    before = {name: tensor.clone() for name, tensor in tensors.items()}
    pixels = torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        first = build_network(tensors, config)(pixels)
        second = build_network(tensors, config)(pixels)
    assert all(torch.equal(one, other) for one, other in zip(first, second, strict=True))
    assert all(torch.equal(tensors[name], tensor) for name, tensor in before.items())
