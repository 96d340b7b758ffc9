import logging
import subprocess
import sys
import textwrap
import threading

import pytest
import torch
from PIL import Image

from kkg_area_detection.errors import MissingDependencyError, UsageError
from kkg_area_detection.segmentation.engines.native import NativeEngine
from kkg_area_detection.segmentation.engines.openvino import OpenVinoEngine
from kkg_area_detection.segmentation.engines.reference import ReferenceEngine
from kkg_area_detection.segmentation.engines.selection import EngineChoice
from kkg_area_detection.segmentation.network.config import UnknownNetworkError
from kkg_area_detection.segmentation.openvino_cache import MOST_FILES, CompiledFiles
from kkg_area_detection.segmentation.openvino_network.runtime import core
from kkg_area_detection.segmentation.segmenter import Segmenter

CPU = torch.device("cpu")
COMPILES = "OpenVINO compiles the network for pictures of"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def log(caplog):
    caplog.set_level(logging.INFO, "kkg_area_detection.segmentation")
    return caplog


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache"


def random_pixels(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def stored(cache):
    return sorted(cache.rglob("*.compiled"))


def load(directory, cache=None, dtype=torch.float32):
    return OpenVinoEngine.load(directory, CPU, dtype, cache)


@pytest.mark.usefixtures("no_network")
def test_outputs_are_those_of_transformers(pristine_swin_model):
    engine = load(pristine_swin_model)
    pixels = random_pixels(2, 3, 64, 96)
    before = pixels.clone()
    outputs = engine.forward(pixels)
    expected = ReferenceEngine.load(pristine_swin_model, CPU).forward(pixels)
    torch.testing.assert_close(tuple(outputs), tuple(expected), atol=1e-4, rtol=1e-4)
    assert {tensor.dtype for tensor in outputs} == {torch.float32}
    assert torch.equal(pixels, before)
    assert engine.device == CPU
    assert engine.id2label == {0: "room", 1: "exwall", 2: "inwall"}


@pytest.mark.usefixtures("no_network")
def test_segments_are_those_of_transformers(demo_model, sample_plans):
    engines = (EngineChoice("openvino"), EngineChoice("reference"))
    image = Image.open(sorted(sample_plans.values())[0]).convert("RGB")
    found, expected = (Segmenter.load(demo_model, CPU, choice).segment(image) for choice in engines)
    assert len(found["segments_info"]) > 3
    for one, other in zip(found["segments_info"], expected["segments_info"], strict=True):
        assert one == other | {"score": pytest.approx(other["score"], abs=1e-5)}
    assert (found["segmentation"] != expected["segmentation"]).float().mean() < 1e-4


def test_results_outlive_the_next_picture(pristine_swin_model):
    engine = load(pristine_swin_model)
    first = engine.forward(random_pixels(1, 3, 64, 64))
    kept = first.mask_logits.clone()
    engine.forward(torch.ones(1, 3, 64, 64))
    assert torch.equal(first.mask_logits, kept)


def test_the_second_process_compiles_nothing(swin_model, cache, log):
    pixels = random_pixels(1, 3, 64, 96)
    first = load(swin_model, cache).forward(pixels)
    assert f"{COMPILES} 64 x 96 pixels ..." in log.messages
    assert len(stored(cache)) == 1
    log.clear()
    second = load(swin_model, cache).forward(pixels)
    assert not log.messages
    assert torch.equal(first.mask_logits, second.mask_logits)


def test_each_size_is_compiled_once(swin_model, cache, log):
    engine = load(swin_model, cache)
    for size in ((64, 96), (96, 64), (64, 96)):
        assert engine.forward(random_pixels(1, 3, *size)).mask_logits.shape[2:] == (
            size[0] // 4,
            size[1] // 4,
        )
    assert [message for message in log.messages if message.startswith(COMPILES)] == [
        f"{COMPILES} 64 x 96 pixels ...",
        f"{COMPILES} 96 x 64 pixels ...",
    ]
    assert len(stored(cache)) == 2


def test_sizes_beyond_the_last_are_native(pristine_swin_model, log):
    engine = load(pristine_swin_model)
    native = NativeEngine.load(pristine_swin_model, CPU)
    for number in range(1, MOST_FILES + 2):
        outputs = engine.forward(random_pixels(1, 3, 32, 32 * number))
    for _ in range(2):
        outputs = engine.forward(random_pixels(1, 3, 32, 32 * number))
    assert torch.equal(outputs.mask_logits, native.forward(random_pixels(1, 3, 32, 32 * number)).mask_logits)
    (message,) = (message for message in log.messages if "native" in message)
    assert (
        message == "The native engine runs pictures of 32 x 160 pixels: OpenVINO runs 4 other sizes already."
    )


def test_a_damaged_file_is_compiled_anew(swin_model, cache, log):
    pixels = random_pixels(1, 3, 64, 64)
    expected = load(swin_model, cache).forward(pixels)
    (path,) = stored(cache)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    found = load(swin_model, cache).forward(pixels)
    assert torch.equal(found.mask_logits, expected.mask_logits)
    assert f"{path} is not used, because it is damaged." in log.messages
    log.clear()
    load(swin_model, cache).forward(pixels)
    assert not log.messages


def test_a_file_that_openvino_refuses_is_compiled_anew(swin_model, cache, log, monkeypatch):
    pixels = random_pixels(1, 3, 64, 64)
    store = CompiledFiles.store
    with monkeypatch.context() as patch:
        patch.setattr(
            CompiledFiles, "store", lambda *args: store(*args[:2], lambda: memoryview(b"no network" * 99))
        )
        expected = load(swin_model, cache).forward(pixels)
    found = load(swin_model, cache).forward(pixels)
    assert torch.equal(found.mask_logits, expected.mask_logits)
    assert "OpenVINO does not take it" in log.text
    assert len(stored(cache)) == 1


def test_another_model_in_the_same_place(swin_model, cache):
    pixels = random_pixels(1, 3, 64, 64)
    before = load(swin_model, cache).forward(pixels)
    from safetensors.torch import load_file, save_file

    weights = load_file(swin_model / "model.safetensors")
    weights["class_predictor.bias"] += 1
    save_file(weights, swin_model / "model.safetensors", metadata={"format": "pt"})
    after = load(swin_model, cache).forward(pixels)
    torch.testing.assert_close(after.class_logits, before.class_logits + 1)
    assert len(stored(cache)) == 1


def test_an_unwritable_cache_costs_only_time(swin_model, tmp_path, log):
    cache = tmp_path / "file"
    cache.write_text("")
    engine = load(swin_model, cache)
    for size in (32, 64):
        engine.forward(random_pixels(1, 3, size, size))
    assert len([record for record in log.records if record.levelno == logging.WARNING]) == 1


def fail(*_, **__):
    raise RuntimeError("Exception from openvino:\n  out of luck")


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_native_engine_goes_on_where_compiling_fails(pristine_swin_model, log, monkeypatch, dtype):
    engine = load(pristine_swin_model, dtype=dtype)
    monkeypatch.setattr(engine, "_compiled", fail)
    pixels = random_pixels(2, 3, 64, 64)
    outputs = engine.forward(pixels)
    expected = NativeEngine.load(pristine_swin_model, CPU, engine._dtype).forward(pixels)
    torch.testing.assert_close(outputs.mask_logits, expected.mask_logits, atol=1e-4, rtol=1e-4)
    assert [record.message for record in log.records if "failed" in record.message] == [
        "The native engine runs pictures of 64 x 64 pixels: OpenVINO failed: Exception from openvino: out of luck"
    ]


def test_the_native_engine_goes_on_where_running_fails(swin_model, log, tmp_path):
    """NaN weights make sampling points without a place, which OpenVINO refuses."""
    from safetensors.torch import load_file, save_file

    weights = load_file(swin_model / "model.safetensors")
    name = next(name for name in weights if name.endswith("sampling_offsets.bias"))
    weights[name].fill_(float("nan"))
    save_file(weights, swin_model / "model.safetensors", metadata={"format": "pt"})
    pixels = random_pixels(1, 3, 64, 64)
    outputs = load(swin_model).forward(pixels)
    expected = NativeEngine.load(swin_model, CPU).forward(pixels)
    torch.testing.assert_close(outputs.mask_logits, expected.mask_logits, equal_nan=True)


def test_bfloat16(pristine_swin_model):
    capabilities = core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    pixels = random_pixels(1, 3, 128, 128)
    exact = load(pristine_swin_model).forward(pixels)
    outputs = load(pristine_swin_model, dtype=torch.bfloat16).forward(pixels)
    error = (outputs.class_logits - exact.class_logits).abs().mean() / exact.class_logits.abs().mean()
    assert outputs.class_logits.dtype == torch.float32
    assert bool(error > 0) is ("BF16" in capabilities)
    assert error < 0.05


def test_a_processor_without_bfloat16(pristine_swin_model, log, monkeypatch):
    monkeypatch.setattr(OpenVinoEngine, "_capabilities", lambda self: ["FP32"])
    pixels = random_pixels(1, 3, 64, 64)
    outputs = load(pristine_swin_model, dtype=torch.bfloat16).forward(pixels)
    assert torch.equal(outputs.mask_logits, load(pristine_swin_model).forward(pixels).mask_logits)
    assert "This processor does not compute in bfloat16; OpenVINO runs in float32." in log.messages


def test_several_threads_share_an_engine(pristine_swin_model):
    engine = load(pristine_swin_model)
    pictures = [random_pixels(1, 3, 32, 32) * number for number in range(1, 5)]
    expected = [engine.forward(picture).mask_logits for picture in pictures]
    wrong = []

    def run(number):
        for _ in range(20):
            if not torch.equal(engine.forward(pictures[number]).mask_logits, expected[number]):
                wrong.append(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(len(pictures))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_processes_race_for_the_cache(swin_model, cache):
    """Both compile and write; whoever comes next reads a whole file."""
    statements = (
        "import sys, torch; from pathlib import Path;"
        "from kkg_area_detection.segmentation.engines.openvino import OpenVinoEngine;"
        "engine = OpenVinoEngine.load(Path(sys.argv[1]), torch.device('cpu'), cache_directory=Path(sys.argv[2]));"
        "print(float(engine.forward(torch.ones(1, 3, 64, 64)).mask_logits.sum()))"
    )
    command = [sys.executable, "-c", statements, str(swin_model), str(cache)]
    racing = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    sums = {float(process.communicate()[0]) for process in racing}
    sums.add(float(load(swin_model, cache).forward(torch.ones(1, 3, 64, 64)).mask_logits.sum()))
    assert len(sums) == 1
    assert len(stored(cache)) == 1
    assert not list(cache.rglob("*.writing"))


def test_signals_arrive_when_engines_are_gone(pristine_swin_model):
    """Where each engine has a core of its own, the second of two to go takes the stack of signals with it."""
    script = """
        import gc, signal, sys
        from pathlib import Path
        import torch
        from kkg_area_detection.segmentation.engines.openvino import OpenVinoEngine

        signal.signal(signal.SIGINT, lambda *_: print("arrived"))
        engines = [OpenVinoEngine.load(Path(sys.argv[1]), torch.device("cpu")) for _ in range(2)]
        for engine in engines:
            engine.forward(torch.ones(1, 3, 64, 64))
        del engine
        while engines:
            del engines[0]
            gc.collect()
        signal.raise_signal(signal.SIGINT)
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(pristine_swin_model)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "arrived\n"), done.stderr


@pytest.mark.parametrize("device", ["cuda", "mps"])
def test_other_devices_are_refused(pristine_swin_model, device):
    with pytest.raises(UsageError, match=f"does not run on {device}"):
        OpenVinoEngine.load(pristine_swin_model, torch.device(device))


def test_float16_is_refused(pristine_swin_model):
    with pytest.raises(UsageError, match="does not run in float16"):
        load(pristine_swin_model, dtype=torch.float16)


def test_unknown_networks_are_left_to_others(swin_model, edit_json):
    edit_json(swin_model / "config.json", activation_function="gelu")
    with pytest.raises(UnknownNetworkError, match="activation_function"):
        load(swin_model)


def test_openvino_is_not_installed(pristine_swin_model, monkeypatch):
    monkeypatch.setitem(sys.modules, "kkg_area_detection.segmentation.openvino_network.runtime", None)
    with pytest.raises(MissingDependencyError, match=r'pip install "kkg-area-detection\[openvino\]"'):
        load(pristine_swin_model)
