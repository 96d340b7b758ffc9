import pickle
import warnings

import pytest
import torch

from kkg_area_detection.errors import DeviceError
from kkg_area_detection.segmentation.device import explained_out_of_memory, resolve_device


@pytest.fixture
def machine(monkeypatch):
    """Pretend to be another machine."""

    def pretend(*, cuda_build=True, gpus=0, warning="", mps_build=False, mps=False):
        def is_available():
            if warning:
                warnings.warn(warning, UserWarning, stacklevel=2)
            return gpus > 0

        monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: cuda_build)
        monkeypatch.setattr(torch.cuda, "is_available", is_available)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
        monkeypatch.setattr(torch.backends.mps, "is_built", lambda: mps_build)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return pretend


@pytest.mark.parametrize(
    ("asked", "hardware", "device"),
    [
        (None, {"gpus": 2, "mps": True}, "cuda"),
        (None, {"mps": True}, "mps"),
        (None, {}, "cpu"),
        (None, {"warning": "the driver is too old"}, "cpu"),
        ("cpu", {"gpus": 1}, "cpu"),
        ("cpu:0", {}, "cpu"),
        (" CPU ", {}, "cpu"),
        ("cuda", {"gpus": 1}, "cuda"),
        ("cuda:0", {"gpus": 1}, "cuda:0"),
        ("cuda:1", {"gpus": 2}, "cuda:1"),
        (torch.device("cuda", 1), {"gpus": 2}, "cuda:1"),
        (torch.device("cpu"), {}, "cpu"),
        ("mps", {"mps": True}, "mps"),
        ("mps:0", {"mps": True}, "mps"),
    ],
)
def test_usable(machine, asked, hardware, device):
    machine(**hardware)
    assert resolve_device(asked) == torch.device(device)


@pytest.mark.parametrize(
    ("asked", "hardware", "words"),
    [
        ("cuda", {"cuda_build": False}, ["built without CUDA", torch.__version__, 'device="cpu"']),
        ("cuda", {}, ["no NVIDIA GPU", "CUDA_VISIBLE_DEVICES", "nvidia-smi"]),
        (
            "cuda",
            {"warning": "The driver is too old (found version 9)."},
            ["driver is too old", "nvidia-smi"],
        ),
        ("cuda:2", {"gpus": 2}, ["cuda:2 does not exist", "2 GPU", 'device="cuda:1"']),
        ("mps", {}, ["built without MPS"]),
        ("mps", {"mps_build": True}, ["macOS"]),
        ("gpu", {"gpus": 1}, ["'gpu'", '"cuda"', '"cpu"', '"mps"']),
        ("", {}, ['"cpu"']),
        ("cuda:", {"gpus": 1}, ['"cuda:1"']),
        ("cuda:-1", {"gpus": 1}, ['"cuda:1"']),
        ("cpu:1", {}, ['"cpu"']),
        ("xpu", {}, ['"cpu"']),
        (0, {"gpus": 1}, ["'0'", '"cuda"']),
    ],
)
def test_not_usable(machine, asked, hardware, words):
    machine(**hardware)
    with pytest.raises(DeviceError) as caught:
        resolve_device(asked)
    for word in words:
        assert word in str(caught.value)
    assert caught.value.next_step
    assert isinstance(pickle.loads(pickle.dumps(caught.value)), DeviceError)


def test_this_machine_has_some_device():
    device = resolve_device(None)
    assert torch.ones(1, device=device).item() == 1


def test_out_of_memory_is_explained():
    with (
        pytest.raises(DeviceError, match="cuda:0 ran out of memory on a test") as caught,
        explained_out_of_memory(torch.device("cuda:0"), "on a test"),
    ):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB")
    assert isinstance(caught.value.__cause__, torch.OutOfMemoryError)


def test_other_errors_pass_unchanged():
    with pytest.raises(ZeroDivisionError), explained_out_of_memory(torch.device("cpu"), "on a test"):
        raise ZeroDivisionError
