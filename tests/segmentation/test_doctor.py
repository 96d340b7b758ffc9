from __future__ import annotations

import sys

import pytest
import torch

from kkg_area_detection.checkup import examine
from kkg_area_detection.errors import DeviceError
from kkg_area_detection.segmentation import doctor


def test_here() -> None:
    torch_, transformers_, gpu = examine(doctor.segmentation_checks(), budget_s=1)
    assert torch_.detail.startswith(f"version {torch.__version__}, built for ")
    assert transformers_.status == "ok"
    assert gpu.status in ("ok", "warning")


def test_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    torch_, _, gpu = examine(doctor.segmentation_checks(), budget_s=1)
    assert torch_.status == "failure"
    assert torch_.next_step.startswith("pip install torch")
    assert gpu.status == "skipped"


@pytest.mark.parametrize(("version", "status"), [("4.57.1", "failure"), ("5.0.0rc1", "ok"), ("10.0", "ok")])
def test_versions_of_transformers(monkeypatch: pytest.MonkeyPatch, version: str, status: str) -> None:
    monkeypatch.setattr(doctor.metadata, "version", lambda _: version)
    assert doctor.check_transformers().status == status


def test_without_transformers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert doctor.check_transformers().next_step == "pip install transformers"


@pytest.mark.parametrize(
    ("driver", "status", "words"),
    [(None, "ok", "models run on the CPU"), ("/usr/bin/nvidia-smi", "warning", "built without CUDA")],
)
def test_no_gpu(monkeypatch: pytest.MonkeyPatch, driver: str | None, status: str, words: str) -> None:
    """A CPU build beside an NVIDIA driver is what `pip install torch` gives on Windows."""
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: driver)
    finding = doctor.check_gpu()
    assert finding.status == status
    assert words in finding.detail


def test_two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what torch says of them is played; the sum is done on the CPU."""
    ones = torch.ones
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.cuda, "is_built", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda index: f"RTX {index}")
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (3 * 2**30, 8 * 2**30))
    monkeypatch.setattr(torch, "ones", lambda size, device: ones(size))
    assert doctor.check_gpu().detail == (
        "cuda:0 RTX 0, 3.0 of 8.0 GiB free\ncuda:1 RTX 1, 3.0 of 8.0 GiB free"
    )


def test_a_gpu_that_does_not_compute(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("no kernel image is available\nlong story")

    monkeypatch.setattr(torch, "ones", refuse)
    with pytest.raises(DeviceError, match="no kernel image is available") as caught:
        doctor._compute("cuda:0")
    assert "long story" not in str(caught.value)


def test_a_dll_that_does_not_load(monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "torch":
                raise OSError("[WinError 126] c10.dll")

    monkeypatch.delitem(sys.modules, "torch")
    monkeypatch.setattr(sys, "meta_path", [Broken(), *sys.meta_path])
    assert "Visual C++" in doctor.check_torch().next_step
