import logging
import shutil
import threading

import pytest
import torch
from PIL import Image
from safetensors.torch import load_file, save_file

from kkg_area_detection.segmentation.engines import native
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.engines.selection import EngineChoice
from kkg_area_detection.segmentation.segmenter import Segmenter

CPU = torch.device("cpu")
WEIGHTS = "model.safetensors"
ENCODER_LAYER = "model.pixel_level_module.decoder.encoder.layers.0."
DECODER = "model.transformer_module.decoder."
STEM = "model.pixel_level_module.encoder.embedder.embedder.convolution.weight"


@pytest.fixture(autouse=True)
def one_thread():
    """So small, networks are quicker on one thread, above all where other programs want the processor too."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def demo_in(demo_model):
    """The bundled model in every engine and precision."""
    choices = {
        "reference": EngineChoice("reference"),
        "float32": EngineChoice("native", "float32"),
        "bfloat16": EngineChoice("native", "bfloat16"),
        "float16": EngineChoice("native", "float16"),
    }
    return {name: Segmenter.load(demo_model, CPU, choice) for name, choice in choices.items()}


@pytest.fixture
def broken_model(demo_model, tmp_path):
    """A copy of the bundled model, of which one tensor was changed."""

    def write(change, name):
        directory = tmp_path / "model"
        shutil.copytree(demo_model, directory)
        weights = {key: tensor.float() for key, tensor in load_file(directory / WEIGHTS).items()}
        weights[name] = change(weights[name])
        save_file(weights, directory / WEIGHTS, metadata={"format": "pt"})
        return directory

    return write


@pytest.fixture
def pixels():
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))


# --- segments ----------------------------------------------------------------------------------------------


def label_map(result):
    labels = torch.tensor([*(info["label_id"] for info in result["segments_info"]), -1])
    return labels[result["segmentation"].long()]


@pytest.mark.parametrize("plan", ["apartment-ja", "house-ja", "office-en"])
def test_segments_are_those_of_transformers(demo_in, sample_plans, plan):
    with Image.open(sample_plans[plan]) as opened:
        image = opened.convert("RGB")
    expected, found = demo_in["reference"].segment(image), demo_in["float32"].segment(image)
    described = [[info | {"score": None} for info in result["segments_info"]] for result in (found, expected)]
    assert described[0] == described[1]
    scores = [info["score"] for info in expected["segments_info"]]
    assert [info["score"] for info in found["segments_info"]] == pytest.approx(scores, abs=1e-5)
    assert torch.equal(found["segmentation"], expected["segmentation"])


# bfloat16 has 8 significant bits, float16 has 11, and a score is the product of a hundred roundings.
@pytest.mark.parametrize(("precision", "pixels_differ"), [("bfloat16", 0.03), ("float16", 0.005)])
@pytest.mark.parametrize("plan", ["apartment-ja", "house-ja", "office-en"])
def test_rounded_numbers_change_few_pixels(demo_in, sample_plans, plan, precision, pixels_differ):
    with Image.open(sample_plans[plan]) as opened:
        image = opened.convert("RGB")
    exact, rounded = demo_in["float32"].segment(image), demo_in[precision].segment(image)
    assert (label_map(rounded) != label_map(exact)).float().mean() <= pixels_differ
    assert len(rounded["segments_info"]) == pytest.approx(len(exact["segments_info"]), abs=2)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_logits_are_float32(demo_model, pixels, dtype):
    engine = NativeEngine.load(demo_model, CPU, dtype)
    outputs = engine.forward(pixels)
    assert {logits.dtype for logits in outputs} == {torch.float32}
    assert [tuple(logits.shape) for logits in outputs] == [(1, 200, 6), (1, 200, 16, 24)]
    assert dtype in {weights.dtype for weights in engine._network.parameters()}
    assert not any(logits.requires_grad for logits in outputs)
    assert engine.id2label == {0: "room", 1: "exwall", 2: "inwall", 3: "door", 4: "window"}


# --- numbers that are too large for float16 ----------------------------------------------------------------


def huge(tensor):
    return tensor * 1e6


def one_of(number):
    def change(tensor):
        tensor.view(-1)[0] = number
        return tensor

    return change


def all_of(number):
    return lambda tensor: torch.full_like(tensor, number)


@pytest.mark.parametrize(
    "name",
    [
        "class_predictor.weight",  # infinite class logits
        "model.pixel_level_module.decoder.mask_projection.weight",  # finite class logits, infinite masks
        f"{DECODER}mask_predictor.mask_embedder.0.0.weight",
        f"{DECODER}mask_predictor.mask_embedder.2.0.weight",
        f"{DECODER}layers.0.fc2.weight",
        f"{ENCODER_LAYER}self_attn.value_proj.weight",
        STEM,
    ],
)
def test_overflow_in_float16(broken_model, pixels, caplog, name):
    directory = broken_model(huge, name)
    expected = NativeEngine.load(directory, CPU).forward(pixels)
    engine = NativeEngine.load(directory, CPU, torch.float16)
    shutil.rmtree(directory)  # a cache may be cleared while its model is in use
    with caplog.at_level(logging.WARNING, native.logger.name):
        for _ in range(2):
            found = engine.forward(pixels)
            assert torch.equal(found.class_logits, expected.class_logits)
            assert torch.equal(found.mask_logits, expected.mask_logits)
    assert caplog.messages == ["The numbers of this model are too large for float16; it goes on in float32."]


def test_eight_threads_overflow_once(broken_model, pixels, caplog):
    directory = broken_model(huge, "class_predictor.weight")
    expected = NativeEngine.load(directory, CPU).forward(pixels)
    engine = NativeEngine.load(directory, CPU, torch.float16)
    found = in_threads(8, lambda _: engine.forward(pixels))
    for outputs in found:
        torch.testing.assert_close(outputs, expected)
    assert len(caplog.messages) == 1


def test_float16_without_overflow_stays(demo_model, pixels, caplog):
    engine = NativeEngine.load(demo_model, CPU, torch.float16)
    expected = NativeEngine.load(demo_model, CPU).forward(pixels)
    found = engine.forward(pixels)
    torch.testing.assert_close(found, expected, atol=0.2, rtol=0.02)
    assert not torch.equal(found.class_logits, expected.class_logits)
    assert not caplog.messages


# --- numbers that are none ---------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -3e38])
@pytest.mark.parametrize("change", [one_of, all_of])
@pytest.mark.parametrize(
    "name",
    [
        STEM,
        f"{ENCODER_LAYER}self_attn.sampling_offsets.bias",
        f"{ENCODER_LAYER}self_attn.sampling_offsets.weight",
        f"{ENCODER_LAYER}self_attn.value_proj.bias",
        f"{DECODER}layers.0.cross_attn.in_proj_bias",
    ],
)
def test_numbers_that_are_none_do_not_crash(broken_model, pixels, number, change, name):
    """Sampling points are indices into memory; wherever they lead, nothing else is read."""
    outputs = NativeEngine.load(broken_model(change(number), name), CPU).forward(pixels)
    assert outputs.class_logits.shape == (1, 200, 6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
@pytest.mark.parametrize("name", [STEM, f"{DECODER}layernorm.bias"])
def test_a_model_of_nan_finds_nothing(broken_model, sample_plans, caplog, dtype, name):
    directory = broken_model(all_of(float("nan")), name)
    with Image.open(sample_plans["house-ja"]) as plan:
        image = plan.convert("RGB").resize((64, 48))
    settings = Segmenter.load(directory, CPU).settings
    for engine in (NativeEngine.load(directory, CPU, dtype), ReferenceEngine.load(directory, CPU)):
        for _ in range(2):
            result = Segmenter(engine, settings).segment(image, threshold=0)
            assert result["segments_info"] == []
    assert len(caplog.messages) == (dtype == torch.float16)


# --- threads -----------------------------------------------------------------------------------------------


def in_threads(number, call):
    results = [None] * number
    barrier = threading.Barrier(number)

    def run(index):
        barrier.wait()
        results[index] = call(index)

    threads = [threading.Thread(target=run, args=(index,)) for index in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_threads_with_different_sizes(demo_in):
    sizes = [(32, 32), (64, 96), (33, 5), (256, 224), (1, 1), (70, 133), (128, 64), (8, 300)]
    generator = torch.Generator().manual_seed(1)
    inputs = [torch.randn(1, 3, *size, generator=generator) for size in sizes]
    engine = demo_in["float32"].engine
    expected = [engine.forward(pixels) for pixels in inputs]
    for _ in range(3):
        for found, wanted in zip(
            in_threads(8, lambda index: engine.forward(inputs[index])), expected, strict=True
        ):
            torch.testing.assert_close(found, wanted, atol=1e-4, rtol=1e-4)
